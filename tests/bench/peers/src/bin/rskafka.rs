//! rskafka in the benchmark.
//!
//! It has no producer for a topic: a client of a partition takes a vector of records and writes it as
//! one batch. Its `BatchProducer` gathers records for a partition, but each record then is a future
//! that has to be polled to its end, so batches are made here, which is cheaper.
//!
//! It has no limit of requests in flight, and none is made for it: it writes the size of a large request
//! on its own and leaves Nagle's algorithm on, so with only five in flight it would stand still for most
//! of the time, waiting for the kernel to acknowledge four bytes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bench_contestant::{Arguments, Counting, Latencies, Meter, Report, Shape, Values};
use bench_peers::Keys;
use chrono::Utc;
use clap::Parser as _;
use krafka::producer::murmur2;
use rskafka::{
    client::{
        ClientBuilder,
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};
use tokio::sync::Semaphore;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NAME: &str = "rskafka";
/// As in Cargo.toml.
const VERSION: &str = "0.6.0";
const NOTE: &str = "not idempotent, no limit of requests in flight; partitions, batches and the limit of memory are the benchmark's";
/// Memory is counted in units of so many bytes, as a semaphore counts to no more than `u32`.
const UNIT: usize = 64;

struct Contestant {
    arguments: Arguments,
    partitions: Vec<Arc<PartitionClient>>,
    values: Values<Vec<u8>>,
    compression: Compression,
    keys: Keys,
    memory: Arc<Semaphore>,
    failed: Arc<AtomicU64>,
}

/// Records for one partition.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    bytes: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut builder = ClientBuilder::new(vec![arguments.bootstrap.clone()]);
        if let Some(config) = arguments.tls_config()? {
            builder = builder.tls_config(config);
        }
        let client = builder.build().await?;
        let mut partitions = Vec::new();
        for partition in 0..i32::try_from(arguments.partitions)? {
            let topic = arguments.topic.clone();
            let unknown = UnknownTopicHandling::Retry;
            partitions.push(Arc::new(client.partition_client(topic, partition, unknown).await?));
        }
        let units = usize::try_from(arguments.buffer_memory)? / UNIT;
        let contestant = Arc::new(Contestant {
            partitions,
            values: Values::new(&arguments)?,
            // It has one level of each: C lz4's fast one, and 3 of C zstd.
            compression: match arguments.compression {
                None => Compression::NoCompression,
                Some(bench_contestant::Compression::Lz4) => Compression::Lz4,
                Some(bench_contestant::Compression::Zstd) => Compression::Zstd,
            },
            keys: Keys::new(&arguments),
            memory: Arc::new(Semaphore::new(units)),
            failed: Arc::default(),
            arguments,
        });
        let shape = contestant.arguments.shape;
        // On the runtime's own threads, where applications send from.
        tokio::spawn(async move {
            match shape {
                Shape::Load => contestant.load().await,
                Shape::Lone => contestant.lone().await,
                Shape::Overload => contestant.overload().await,
            }
        })
        .await?
    })
}

impl Contestant {
    async fn load(self: &Arc<Self>) -> Result<()> {
        let arguments = &self.arguments;
        self.send_all(arguments.warm_up).await?;
        anyhow::ensure!(self.failed.load(Ordering::Relaxed) == 0, "the warm-up failed");
        let meter = Meter::start(arguments);
        self.send_all(arguments.records).await?;
        self.report(arguments.records, &meter).print()
    }

    fn report(&self, records: u64, meter: &Meter) -> Report {
        let failed = self.failed.load(Ordering::Relaxed);
        Report::new(NAME, VERSION, records, failed, &meter.read()).note(NOTE)
    }

    async fn send_all(self: &Arc<Self>, records: u64) -> Result<()> {
        let others: Vec<_> = (0..self.arguments.threads)
            .map(|thread| {
                let (this, share) = (Arc::clone(self), self.arguments.share(records, thread));
                tokio::spawn(async move { this.send(share).await })
            })
            .collect();
        for other in others {
            other.await??;
        }
        // Who has all memory knows that no batch is on its way.
        let all = u32::try_from(self.arguments.buffer_memory as usize / UNIT)?;
        drop(self.memory.acquire_many(all).await?);
        Ok(())
    }

    /// Each producing task gathers batches of its own. None of them lingers: there is always another
    /// record at once, until the last one.
    async fn send(&self, records: u64) -> Result<()> {
        let mut batches: Vec<Batch> = self.partitions.iter().map(|_| Batch::default()).collect();
        let mut sticky = 0;
        for (number, value) in (0..records).zip(self.values.turns()) {
            let key = self.keys.get(number).map(|key| key.to_vec());
            let partition = key.as_deref().map_or(sticky, |key| self.partition(key));
            let record = self.record(key, value);
            let bytes = self.bytes(&record);
            if batches[partition].bytes + bytes > self.arguments.batch_size as usize {
                self.dispatch(partition, &mut batches[partition]).await?;
                sticky = (sticky + 1) % self.partitions.len();
            }
            batches[partition].bytes += bytes;
            batches[partition].records.push(record);
        }
        for (partition, batch) in batches.iter_mut().enumerate() {
            self.dispatch(partition, batch).await?;
        }
        Ok(())
    }

    /// It has no hash of its own.
    fn partition(&self, key: &[u8]) -> usize {
        (murmur2(key) & 0x7fff_ffff) as usize % self.partitions.len()
    }

    fn record(&self, key: Option<Vec<u8>>, value: &[u8]) -> Record {
        Record { key, value: Some(value.to_vec()), headers: BTreeMap::new(), timestamp: Utc::now() }
    }

    /// What a record is counted as: about its bytes in a batch.
    fn bytes(&self, record: &Record) -> usize {
        const FRAMING: usize = 8;
        record.approximate_size() + FRAMING
    }

    /// Sends a batch as soon as there is memory for it, and does not wait for its answer.
    async fn dispatch(&self, partition: usize, batch: &mut Batch) -> Result<()> {
        let capacity = batch.records.len();
        let Batch { records, bytes } = std::mem::take(batch);
        batch.records.reserve(capacity);
        if records.is_empty() {
            return Ok(());
        }
        let units = u32::try_from(bytes.div_ceil(UNIT))?;
        let memory = Arc::clone(&self.memory).acquire_many_owned(units).await?;
        let client = Arc::clone(&self.partitions[partition]);
        let failed = Arc::clone(&self.failed);
        let compression = self.compression;
        tokio::spawn(async move {
            let count = records.len() as u64;
            if let Err(error) = client.produce(records, compression).await {
                eprintln!("rskafka: {error}");
                failed.fetch_add(count, Ordering::Relaxed);
            }
            drop(memory);
        });
        Ok(())
    }

    async fn lone(&self) -> Result<()> {
        let arguments = &self.arguments;
        self.one_by_one(arguments.warm_up, &mut Latencies::default()).await;
        let mut latencies = Latencies::default();
        let meter = Meter::start(arguments);
        self.one_by_one(arguments.records, &mut latencies).await;
        self.report(arguments.records, &meter).latencies(&latencies).print()
    }

    async fn one_by_one(&self, records: u64, latencies: &mut Latencies) {
        let partitions = self.partitions.iter().cycle();
        for (client, number) in partitions.zip(0..records) {
            let key = self.keys.get(number).map(|key| key.to_vec());
            let record = self.record(key, self.values.first());
            let start = Instant::now();
            let sent = client.produce(vec![record], self.compression).await;
            latencies.record(start.elapsed());
            if let Err(error) = sent {
                eprintln!("rskafka: {error}");
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn overload(&self) -> Result<()> {
        let arguments = &self.arguments;
        let time = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
        let meter = Meter::start(arguments);
        let ended = tokio::time::timeout(time, self.send(u64::MAX)).await;
        if let Ok(Err(error)) = ended {
            return Err(error);
        }
        // What is not in a batch that was sent was taken by no one.
        let units = self.arguments.buffer_memory as usize / UNIT - self.memory.available_permits();
        let each = self.bytes(&self.record(None, self.values.first()));
        self.report((units * UNIT / each) as u64, &meter).print()?;
        std::process::exit(0)
    }
}
