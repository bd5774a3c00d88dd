// The franz-go contestant: the command line, the shapes and the result line are in ../README.md.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keys is how many different keys there are.
const keys = 10_000

// notInThisOne is the exit code for a shape that a contestant does not have.
const notInThisOne = 3

type options struct {
	bootstrap    string
	topic        string
	shape        string
	records      uint64
	warmUp       uint64
	seconds      float64
	size         int
	values       string
	compression  string
	keyed        bool
	threads      uint64
	batchSize    int
	lingerMs     float64
	bufferMemory int
	allocations  bool
	tls          string
}

// result is the line on stdout. Pointers are null where there is nothing to say.
type result struct {
	Contestant  string   `json:"contestant"`
	Version     string   `json:"version"`
	Records     uint64   `json:"records"`
	Failed      uint64   `json:"failed"`
	Seconds     float64  `json:"seconds"`
	UserUs      int64    `json:"user_us"`
	SystemUs    int64    `json:"system_us"`
	Allocations *uint64  `json:"allocations"`
	P50Us       *float64 `json:"p50_us"`
	P99Us       *float64 `json:"p99_us"`
	P999Us      *float64 `json:"p999_us"`
	Note        *string  `json:"note"`
}

func main() {
	var o options
	flag.StringVar(&o.bootstrap, "bootstrap", "", "HOST:PORT of a broker")
	flag.StringVar(&o.topic, "topic", "", "topic, which exists already")
	// Every contestant takes it; this one learns it from the broker.
	flag.Int("partitions", 1, "how many partitions the topic has")
	flag.StringVar(&o.shape, "shape", "load", "load, lone or overload")
	flag.Uint64Var(&o.records, "records", 1_000_000, "measured records")
	flag.Uint64Var(&o.warmUp, "warm-up", 0, "records before the measured ones")
	flag.Float64Var(&o.seconds, "seconds", 5, "how long overload offers records")
	flag.IntVar(&o.size, "size", 100, "bytes of a value")
	flag.StringVar(&o.values, "values", "", "file whose lines are the values, in turns; otherwise noise")
	flag.StringVar(&o.compression, "compression", "none", "none, lz4 or zstd")
	flag.BoolVar(&o.keyed, "keyed", false, "give each record a key")
	flag.Uint64Var(&o.threads, "threads", 1, "producing threads")
	// Every contestant takes it; there is no call for many records here that does not wait for them.
	flag.Int("batch", 0, "records of a call")
	flag.IntVar(&o.batchSize, "batch-size", 16384, "bytes of a batch")
	flag.Float64Var(&o.lingerMs, "linger-ms", 5, "milliseconds that a batch waits for more records")
	flag.IntVar(&o.bufferMemory, "buffer-memory", 33554432, "bytes of buffered records")
	flag.BoolVar(&o.allocations, "count-allocations", false, "count heap allocations")
	flag.StringVar(&o.tls, "tls", "", "PEM file of who signed the broker's certificate: it speaks TLS")
	flag.Parse()

	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "franz-go:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	linger := time.Duration(o.lingerMs * float64(time.Millisecond))
	if o.shape == "lone" {
		linger = 0
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.bootstrap),
		kgo.DefaultProduceTopic(o.topic),
		// The topic exists, but the sink makes it when it is first asked for.
		kgo.AllowAutoTopicCreation(),
		// Idempotent with at most five requests in flight, and no limit on retries: its defaults.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(compression(o.compression)),
		kgo.ProducerBatchMaxBytes(int32(o.batchSize)),
		kgo.ProducerLinger(linger),
		// The bytes are the limit here, so the number of records must not be one before them.
		kgo.MaxBufferedBytes(o.bufferMemory),
		kgo.MaxBufferedRecords(1 << 30),
		kgo.DisableClientMetrics(),
	}
	if o.tls != "" {
		authority, err := os.ReadFile(o.tls)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(authority) {
			return errors.New("no certificate in " + o.tls)
		}
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	values, err := values(o)
	if err != nil {
		return err
	}
	r := bench{options: o, client: client, values: values, pool: sync.Pool{New: func() any { return new(kgo.Record) }}}
	if o.keyed {
		r.keys = make([][]byte, keys)
		for i := range r.keys {
			r.keys[i] = fmt.Appendf(nil, "%08d", i)
		}
	}

	out := result{Contestant: "franz-go", Version: clientVersion()}
	var meter meter
	switch o.shape {
	case "load":
		if err := r.load(o.warmUp); err != nil {
			return err
		}
		r.failed.Store(0)
		meter.start(o.allocations)
		if err := r.load(o.records); err != nil {
			return err
		}
		meter.stop(&out)
		out.Records = o.records
		client.Close()
	case "lone":
		r.lone(o.warmUp, nil)
		r.failed.Store(0)
		latencies := make([]time.Duration, 0, o.records)
		meter.start(o.allocations)
		latencies = r.lone(o.records, latencies)
		meter.stop(&out)
		out.Records = o.records
		slices.Sort(latencies)
		out.P50Us = quantile(latencies, 0.5)
		out.P99Us = quantile(latencies, 0.99)
		out.P999Us = quantile(latencies, 0.999)
		client.Close()
	case "overload":
		meter.start(o.allocations)
		out.Records = r.overload(time.Duration(o.seconds * float64(time.Second)))
		meter.stop(&out)
	default:
		os.Exit(notInThisOne)
	}
	out.Failed = r.failed.Load()
	if first := r.firstError.Load(); first != nil {
		fmt.Fprintln(os.Stderr, "franz-go: first failure:", *first)
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

type bench struct {
	*options
	client     *kgo.Client
	values     [][]byte
	keys       [][]byte
	failed     atomic.Uint64
	firstError atomic.Pointer[error]
	// Records are the client's until their promise is called, and then ours again: as in the
	// client's own benchmark, they go round.
	pool sync.Pool
}

func (r *bench) record(i uint64) *kgo.Record {
	record := r.pool.Get().(*kgo.Record)
	*record = kgo.Record{Value: r.values[i%uint64(len(r.values))]}
	if r.keys != nil {
		record.Key = r.keys[i%keys]
	}
	return record
}

func (r *bench) fail(err error) {
	r.failed.Add(1)
	r.firstError.CompareAndSwap(nil, &err)
}

// promise learns the outcome of one record.
func (r *bench) promise(record *kgo.Record, err error) {
	if err != nil {
		r.fail(err)
	}
	r.pool.Put(record)
}

// load sends records from all threads and waits for the last acknowledgement. Flush returns after
// the last promise, so nothing has to count them.
func (r *bench) load(records uint64) error {
	ctx := context.Background()
	promise := r.promise
	send := func(first, last uint64) {
		for i := first; i < last; i++ {
			r.client.Produce(ctx, r.record(i), promise)
		}
	}
	if r.threads == 1 {
		send(0, records)
	} else {
		var threads sync.WaitGroup
		for t := range r.threads {
			threads.Go(func() { send(records*t/r.threads, records*(t+1)/r.threads) })
		}
		threads.Wait()
	}
	return r.client.Flush(ctx)
}

// lone sends one record after another, each when the one before it is acknowledged.
func (r *bench) lone(records uint64, latencies []time.Duration) []time.Duration {
	ctx := context.Background()
	for i := range records {
		record := r.record(i)
		start := time.Now()
		err := r.client.ProduceSync(ctx, record).FirstErr()
		latency := time.Since(start)
		if err != nil {
			r.fail(err)
		}
		if latencies != nil {
			latencies = append(latencies, latency)
		}
		r.pool.Put(record)
	}
	return latencies
}

// overload offers records until the time is over, and answers how many were taken. Produce blocks
// while the buffer is full; the end of its context wakes it.
func (r *bench) overload(limit time.Duration) uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	promise := func(_ *kgo.Record, err error) {
		// The end of the time is no failure.
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			r.fail(err)
		}
	}
	var taken uint64
	for ctx.Err() == nil {
		r.client.Produce(ctx, r.record(taken), promise)
		taken++
	}
	return taken
}

// meter measures the process from start to stop.
type meter struct {
	allocations bool
	memory      runtime.MemStats
	usage       syscall.Rusage
	start_      time.Time
}

func (m *meter) start(allocations bool) {
	// What the warm-up left is not the measured part's to clear away.
	runtime.GC()
	m.allocations = allocations
	if allocations {
		runtime.ReadMemStats(&m.memory)
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &m.usage)
	m.start_ = time.Now()
}

func (m *meter) stop(out *result) {
	out.Seconds = time.Since(m.start_).Seconds()
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	out.UserUs = (usage.Utime.Nano() - m.usage.Utime.Nano()) / 1000
	out.SystemUs = (usage.Stime.Nano() - m.usage.Stime.Nano()) / 1000
	if m.allocations {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		allocations := memory.Mallocs - m.memory.Mallocs
		out.Allocations = &allocations
	}
}

func quantile(sorted []time.Duration, q float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	us := float64(sorted[int(q*float64(len(sorted)-1))].Nanoseconds()) / 1000
	return &us
}

// noise is a value that no one could compress, the same in every run.
func noise(size int) []byte {
	value := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(value)
	return value
}

// values are the lines of a file, or noise.
func values(o *options) ([][]byte, error) {
	if o.values == "" {
		return [][]byte{noise(o.size)}, nil
	}
	file, err := os.ReadFile(o.values)
	if err != nil {
		return nil, err
	}
	values := bytes.Split(bytes.TrimSuffix(file, []byte("\n")), []byte("\n"))
	for _, value := range values {
		if len(value) != o.size {
			return nil, fmt.Errorf("values: not each line has %d bytes", o.size)
		}
	}
	return values, nil
}

// compression is at the level that is nearest to what the others have: the fast LZ4, which is its default,
// and its fastest zstd, which is about the level 1 of the reference implementation.
func compression(name string) kgo.CompressionCodec {
	switch name {
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression().WithLevel(1)
	default:
		return kgo.NoCompression()
	}
}

// clientVersion is what the module was built with.
func clientVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/twmb/franz-go" {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "unknown"
}
