// franz-go, for `ottla-fuzz client`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("OTTLA_FUZZ_BOOTSTRAP")),
		kgo.DefaultProduceTopic(os.Getenv("OTTLA_FUZZ_TOPIC")),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProduceRequestTimeout(5*time.Second),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM)
	for number := 0; ; number++ {
		select {
		case <-ends:
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			_ = client.Flush(ctx)
			return
		case <-time.After(3 * time.Millisecond):
		}
		value := fmt.Sprintf("record-%d", number)
		client.Produce(context.Background(), kgo.StringRecord(value), func(told *kgo.Record, err error) {
			if err == nil {
				fmt.Printf("ack %d %d %s\n", told.Partition, told.Offset, value)
			} else {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
}
