//! krafka in the benchmark.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bench_contestant::{Arguments, Compression, Counting, Latencies, Meter, Report, Shape, Values};
use bench_peers::Keys;
use bytes::Bytes;
use clap::Parser as _;
use krafka::{
    Compression as RecordCompression, Headers, Kafka, KrafkaError, Record,
    auth::{AuthConfig, TlsConfig},
    interceptor::{InterceptorResult, ProducerInterceptor, RecordContext},
    producer::{Acks, Producer, RecordMetadata},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NAME: &str = "krafka";
/// As in Cargo.toml.
const VERSION: &str = "0.28.1";
/// As good as forever.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Hears what became of each record, once.
#[derive(Clone, Debug, Default)]
struct Heard {
    delivered: Arc<AtomicU64>,
}

impl ProducerInterceptor for Heard {
    fn on_acknowledgement(
        &self,
        _: &str,
        _: i32,
        result: Result<&RecordMetadata, &KrafkaError>,
        _: &Headers,
        _: &mut RecordContext,
    ) -> InterceptorResult {
        match result {
            Ok(_) => drop(self.delivered.fetch_add(1, Ordering::Relaxed)),
            Err(error) => tell(error),
        }
        Ok(())
    }
}

struct Contestant {
    arguments: Arguments,
    producer: Producer,
    heard: Heard,
    values: Values<Bytes>,
    keys: Keys,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let linger = if arguments.shape == Shape::Lone { 0 } else { arguments.linger_ms };
        let mut builder = Kafka::builder(&arguments.bootstrap);
        if let Some(authority) = &arguments.tls {
            builder = builder.security(AuthConfig::ssl(TlsConfig::new().with_ca_cert(authority)));
        }
        let kafka = builder
            // The topic exists, but the sink makes it when it is first asked for.
            .allow_auto_create_topics(true)
            .max_in_flight_requests(5)
            .connect()
            .await?;
        let heard = Heard::default();
        let mut builder = kafka.producer();
        if arguments.shape != Shape::Lone {
            builder = builder.interceptor(heard.clone());
        }
        builder = match arguments.compression {
            None => builder,
            // Its only one.
            Some(Compression::Lz4) => builder.compression(RecordCompression::Lz4),
            Some(Compression::Zstd) => {
                builder.compression(RecordCompression::Zstd).compression_level(Some(1))
            }
        };
        let producer = builder
            .acks(Acks::All)
            .idempotent(true)
            .batch_size(arguments.batch_size as usize)
            .linger(Duration::from_millis(linger))
            .buffer_memory(usize::try_from(arguments.buffer_memory)?)
            .delivery_timeout(PATIENCE)
            .max_block(PATIENCE)
            .metrics_push(false)
            .build()
            .await?;
        let values = Values::new(&arguments)?;
        let keys = Keys::new(&arguments);
        let contestant = Arc::new(Contestant { arguments, producer, heard, values, keys });
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
        let before = self.heard.delivered.load(Ordering::Relaxed);
        anyhow::ensure!(before == arguments.warm_up, "the warm-up failed");
        let meter = Meter::start(arguments);
        self.send_all(arguments.records).await?;
        let delivered = self.heard.delivered.load(Ordering::Relaxed) - before;
        let failed = arguments.records - delivered;
        Report::new(NAME, VERSION, arguments.records, failed, &meter.read()).print()
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
        Ok(self.producer.flush().await?)
    }

    /// Handles are dropped: the interceptor hears of each record as well, which is cheaper.
    async fn send(&self, records: u64) -> Result<()> {
        for (number, value) in (0..records).zip(self.values.turns()) {
            drop(self.producer.enqueue(self.record(number, value)).await?);
        }
        Ok(())
    }

    fn record(&self, number: u64, value: &Bytes) -> Record {
        let record = Record::new(&self.arguments.topic, value.clone());
        match self.keys.get(number) {
            Some(key) => record.key(key.clone()),
            None => record,
        }
    }

    async fn lone(&self) -> Result<()> {
        let arguments = &self.arguments;
        self.one_by_one(arguments.warm_up, &mut Latencies::default()).await;
        let mut latencies = Latencies::default();
        let meter = Meter::start(arguments);
        let failed = self.one_by_one(arguments.records, &mut latencies).await;
        Report::new(NAME, VERSION, arguments.records, failed, &meter.read())
            .latencies(&latencies)
            .print()
    }

    async fn one_by_one(&self, records: u64, latencies: &mut Latencies) -> u64 {
        let mut failed = 0;
        for number in 0..records {
            let record = self.record(number, self.values.first());
            let start = Instant::now();
            let sent = self.producer.send(record).await;
            latencies.record(start.elapsed());
            failed += u64::from(sent.inspect_err(tell).is_err());
        }
        failed
    }

    async fn overload(&self) -> Result<()> {
        let arguments = &self.arguments;
        let time = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
        let meter = Meter::start(arguments);
        let taken = AtomicU64::new(0);
        // It outlives the time: the end of a record that is not taken yet would be a failure.
        let mut offer = pin!(async {
            loop {
                let number = taken.load(Ordering::Relaxed);
                let record = self.record(number, self.values.first());
                if let Err(error) = self.producer.enqueue(record).await {
                    return error;
                }
                taken.fetch_add(1, Ordering::Relaxed);
            }
        });
        let ended = tokio::time::timeout(time, &mut offer).await;
        if let Ok(error) = ended {
            return Err(error.into());
        }
        let taken = taken.load(Ordering::Relaxed);
        Report::new(NAME, VERSION, taken, 0, &meter.read()).print()?;
        std::process::exit(0)
    }
}

fn tell(error: &KrafkaError) {
    eprintln!("krafka: {error}");
}
