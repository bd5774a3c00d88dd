//! barnabas in the benchmark, in both of its ways: a record a call, or batches that the caller gathers.
//!
//! Its handle is exclusive, so that several threads have a producer each. It spawns nothing: bytes move
//! within its calls alone, and one that finds a batch full sends all that there is and waits for the
//! answers. `buffer.memory` it has none: in neither way are there more than a few batches.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use barnabas_client::producer::CompressionCodec;
use barnabas_tokio::{Partitioner, ProducerRecord, Tokio, tls::TokioTls};
use bench_contestant::{Arguments, Compression, Counting, Latencies, Meter, Report, Shape, Values};
use bench_peers::Keys;
use bytes::Bytes;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// As in Cargo.toml.
const VERSION: &str = "0.2.0";
/// Batches of a partition that are on their way at a time.
const IN_FLIGHT: usize = 5;
/// What a record is counted as beside its key and value, as it does.
const OVERHEAD: usize = 16;

/// What all contestants are told, and the way.
#[derive(Clone, Debug, Parser)]
struct Entry {
    #[command(flatten)]
    arguments: Arguments,
    /// Batches are gathered here and handed over.
    #[arg(long)]
    batches: bool,
}

/// A producer, with TLS or without: those are two types.
enum Producer {
    Plain(barnabas_tokio::Producer),
    Tls(barnabas_tokio::tls::TlsProducer),
}

/// The same of both.
macro_rules! on {
    ($producer:expr, $name:ident => $call:expr) => {
        match $producer {
            Producer::Plain($name) => $call,
            Producer::Tls($name) => $call,
        }
    };
}

struct Contestant {
    entry: Entry,
    values: Values<Bytes>,
    keys: Keys,
    taken: AtomicU64,
}

/// One of the producing tasks.
struct Sender<'a> {
    contestant: &'a Contestant,
    producer: Producer,
    batches: Vec<Batch>,
    sticky: usize,
    enqueued: usize,
}

/// Records for one partition.
#[derive(Default)]
struct Batch {
    records: Vec<ProducerRecord>,
    bytes: usize,
}

fn main() -> Result<()> {
    let entry = Entry::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let values = Values::new(&entry.arguments)?;
    let keys = Keys::new(&entry.arguments);
    let contestant = Contestant { entry, values, keys, taken: AtomicU64::new(0) };
    // For as long as the process lives, as tasks need it.
    let contestant: &'static Contestant = Box::leak(Box::new(contestant));
    runtime.block_on(async {
        // On the runtime's own threads, where applications send from.
        tokio::spawn(async move {
            match contestant.entry.arguments.shape {
                Shape::Load => contestant.load().await,
                Shape::Lone => contestant.lone().await,
                Shape::Overload => contestant.overload().await,
            }
        })
        .await?
    })
}

impl Contestant {
    fn report(&self, records: u64, meter: &Meter) -> Report {
        let name = if self.entry.batches { "barnabas-batch" } else { "barnabas" };
        Report::new(name, VERSION, records, 0, &meter.read())
    }

    async fn sender(&self) -> Result<Sender<'_>> {
        let arguments = &self.entry.arguments;
        let (bootstrap, id) = ([arguments.bootstrap.clone()], "bench");
        // It has one level of each: 4 of C lz4, which is not the fast one, and 3 of C zstd.
        let compression = match arguments.compression {
            None => CompressionCodec::None,
            Some(Compression::Lz4) => CompressionCodec::Lz4,
            Some(Compression::Zstd) => CompressionCodec::Zstd,
        };
        macro_rules! build {
            ($builder:expr) => {
                $builder
                    .bootstrap(bootstrap)
                    .client_id(id)
                    .partitioner(Partitioner::Murmur2)
                    .compression(compression)
                    .max_in_flight(IN_FLIGHT)
                    .build()
                    .await?
            };
        }
        let mut producer = match arguments.tls_config()? {
            None => Producer::Plain(build!(barnabas_tokio::Producer::builder(Tokio))),
            Some(config) => {
                let tls = TokioTls::from_config(config);
                Producer::Tls(build!(barnabas_tokio::tls::TlsProducer::builder(tls)))
            }
        };
        let linger = if arguments.shape == Shape::Lone { 0 } else { arguments.linger_ms };
        on!(&mut producer, it => {
            it.set_linger(Duration::from_millis(linger));
            it.set_batch_size(arguments.batch_size as usize);
        });
        let batches = (0..arguments.partitions).map(|_| Batch::default()).collect();
        Ok(Sender { contestant: self, producer, batches, sticky: 0, enqueued: 0 })
    }

    async fn load(&'static self) -> Result<()> {
        let arguments = &self.entry.arguments;
        let mut senders = Vec::new();
        for _ in 0..arguments.threads {
            senders.push(self.sender().await?);
        }
        let senders = send_all(senders, arguments.warm_up).await?;
        let meter = Meter::start(arguments);
        send_all(senders, arguments.records).await?;
        // A record that fails is an error of a call.
        self.report(arguments.records, &meter).print()
    }

    fn record(&self, number: u64, value: &Bytes) -> ProducerRecord {
        ProducerRecord::new(self.keys.get(number).cloned(), Some(value.clone()))
    }

    async fn lone(&self) -> Result<()> {
        let arguments = &self.entry.arguments;
        let mut sender = self.sender().await?;
        sender.one_by_one(arguments.warm_up, &mut Latencies::default()).await?;
        let mut latencies = Latencies::default();
        let meter = Meter::start(arguments);
        sender.one_by_one(arguments.records, &mut latencies).await?;
        self.report(arguments.records, &meter).latencies(&latencies).print()
    }

    async fn overload(&self) -> Result<()> {
        let arguments = &self.entry.arguments;
        let time = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
        let mut sender = self.sender().await?;
        let meter = Meter::start(arguments);
        let ended = tokio::time::timeout(time, sender.send(u64::MAX)).await;
        if let Ok(ended) = ended {
            ended?;
        }
        self.report(self.taken.load(Ordering::Relaxed), &meter).print()?;
        std::process::exit(0)
    }
}

/// Has each of them send its share.
async fn send_all(senders: Vec<Sender<'static>>, records: u64) -> Result<Vec<Sender<'static>>> {
    let tasks: Vec<_> = (0..)
        .zip(senders)
        .map(|(thread, mut sender)| {
            tokio::spawn(async move {
                let share = sender.contestant.entry.arguments.share(records, thread);
                sender.send(share).await.map(|()| sender)
            })
        })
        .collect();
    let mut back = Vec::new();
    for task in tasks {
        back.push(task.await??);
    }
    Ok(back)
}

impl Sender<'_> {
    async fn send(&mut self, records: u64) -> Result<()> {
        if self.contestant.entry.batches {
            self.send_batches(records).await
        } else {
            self.send_records(records).await
        }
    }

    /// The partition is chosen here where there is no key: its own choice is always the same one.
    async fn send_records(&mut self, records: u64) -> Result<()> {
        let contestant = self.contestant;
        let topic = &contestant.entry.arguments.topic;
        for (number, value) in (0..records).zip(contestant.values.turns()) {
            let record = contestant.record(number, value);
            if record.key.is_some() {
                on!(&mut self.producer, it => it.produce(topic, record).await)?;
            } else {
                let partition = i32::try_from(self.sticky)?;
                on!(&mut self.producer, it => it.produce_to(topic, partition, record).await)?;
                self.sticky = (self.sticky + 1) % self.batches.len();
            }
            if contestant.entry.arguments.shape == Shape::Overload {
                contestant.taken.fetch_add(1, Ordering::Relaxed);
            }
        }
        on!(&mut self.producer, it => it.flush().await)?;
        Ok(())
    }

    /// A batch for each partition in turn, as many of each as may be in flight, and a flush.
    async fn send_batches(&mut self, records: u64) -> Result<()> {
        let contestant = self.contestant;
        for (number, value) in (0..records).zip(contestant.values.turns()) {
            let record = contestant.record(number, value);
            let bytes = record.key.as_ref().map_or(0, Bytes::len) + value.len();
            let partition = match &record.key {
                None => self.sticky,
                Some(key) => {
                    let topic = &contestant.entry.arguments.topic;
                    let partition =
                        on!(&mut self.producer, it => it.partition_for(topic, Some(key)).await)?;
                    usize::try_from(partition)?
                }
            };
            let batch = &mut self.batches[partition];
            batch.bytes += bytes + OVERHEAD;
            batch.records.push(record);
            if batch.bytes + OVERHEAD > contestant.entry.arguments.batch_size as usize {
                self.enqueue(partition).await?;
                self.sticky = (self.sticky + 1) % self.batches.len();
            }
        }
        for partition in 0..self.batches.len() {
            self.enqueue(partition).await?;
        }
        self.flush().await
    }

    async fn enqueue(&mut self, partition: usize) -> Result<()> {
        let topic = &self.contestant.entry.arguments.topic;
        let batch = &mut self.batches[partition];
        let (index, records) = (i32::try_from(partition)?, &batch.records);
        on!(&mut self.producer, it => it.enqueue(topic, index, records).await)?;
        let count = batch.records.len() as u64;
        self.contestant.taken.fetch_add(count, Ordering::Relaxed);
        batch.records.clear();
        batch.bytes = 0;
        self.enqueued += 1;
        if self.enqueued == IN_FLIGHT * self.batches.len().min(6) {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.enqueued = 0;
        on!(&mut self.producer, it => it.flush().await)?;
        Ok(())
    }

    async fn one_by_one(&mut self, records: u64, latencies: &mut Latencies) -> Result<()> {
        let topic = &self.contestant.entry.arguments.topic;
        for number in 0..records {
            let record = self.contestant.record(number, self.contestant.values.first());
            let partition = i32::try_from(number % self.batches.len() as u64)?;
            let start = Instant::now();
            on!(&mut self.producer, it => it.send(topic, partition, &[record]).await)?;
            latencies.record(start.elapsed());
        }
        Ok(())
    }
}
