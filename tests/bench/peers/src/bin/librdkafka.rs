//! librdkafka in the benchmark, through the crate `rdkafka`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use bench_contestant::{Arguments, Compression, Latencies, Meter, Report, Shape, Values};
use bench_peers::Keys;
use clap::Parser as _;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext, ThreadedProducer},
};

/// Records between two looks for reports: those of a batch come as one event.
const TURN: u64 = 1_024;
/// For how long a full queue is waited for at a time.
const FULL: Duration = Duration::from_millis(1);
const NO_COUNT: &str = "allocations are not counted: they are C's";

/// Counts outcomes, and wakes who waits for a single one.
#[derive(Default)]
struct Outcomes {
    delivered: AtomicU64,
    failed: AtomicU64,
    wake: Option<Thread>,
}

impl ClientContext for Outcomes {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("librdkafka: {error}: {reason}");
    }
}

impl ProducerContext for Outcomes {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        // After the failure, so that who sees this sees that.
        self.delivered.fetch_add(1, Ordering::Release);
        if let Some(thread) = &self.wake {
            thread.unpark();
        }
    }
}

struct Contestant {
    arguments: Arguments,
    values: Values<Vec<u8>>,
    keys: Keys,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let contestant =
        Contestant { values: Values::new(&arguments)?, keys: Keys::new(&arguments), arguments };
    match contestant.arguments.shape {
        Shape::Load => contestant.load(),
        Shape::Lone => contestant.lone(),
        Shape::Overload => contestant.overload(),
    }
}

impl Contestant {
    fn config(&self) -> ClientConfig {
        let arguments = &self.arguments;
        let linger = if arguments.shape == Shape::Lone { 0 } else { arguments.linger_ms };
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &arguments.bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", arguments.compression.map_or("none", Compression::name))
            .set("max.in.flight", "5")
            // Forever.
            .set("message.timeout.ms", "0")
            .set("linger.ms", linger.to_string())
            .set("batch.size", arguments.batch_size.to_string())
            // The bytes are the limits here, so numbers of records must not be ones before them.
            .set("batch.num.messages", "1000000")
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", (arguments.buffer_memory / 1_024).to_string())
            .set("enable.metrics.push", "false")
            .set_log_level(RDKafkaLogLevel::Emerg);
        // Its defaults are -1 for lz4, which is faster and larger than 0, and 3 for zstd.
        match arguments.compression {
            None => {}
            Some(Compression::Lz4) => drop(config.set("compression.level", "0")),
            Some(Compression::Zstd) => drop(config.set("compression.level", "1")),
        }
        if let Some(authority) = &arguments.tls {
            config.set("security.protocol", "ssl").set("ssl.ca.location", authority);
        }
        if arguments.keyed {
            // Kafka's hash; its default is another one.
            config.set("partitioner", "murmur2_random");
        }
        config
    }

    fn report(&self, records: u64, failed: u64, meter: &Meter) -> Report {
        let mut measured = meter.read();
        measured.allocations = None;
        let (_, version) = rdkafka::util::get_rdkafka_version();
        let version = Box::leak(version.into_boxed_str());
        let report = Report::new("librdkafka", version, records, failed, &measured);
        if self.arguments.count_allocations { report.note(NO_COUNT) } else { report }
    }

    /// The threads that produce are also those that look for reports.
    fn load(&self) -> Result<()> {
        let arguments = &self.arguments;
        let producer = self.config().create_with_context(Outcomes::default())?;
        self.send_all(&producer, arguments.warm_up)?;
        let outcomes = producer.context();
        anyhow::ensure!(outcomes.failed.load(Ordering::Relaxed) == 0, "the warm-up failed");
        let meter = Meter::start(arguments);
        self.send_all(&producer, arguments.records)?;
        let outcome = outcomes.delivered.load(Ordering::Acquire) - arguments.warm_up;
        let failed = outcomes.failed.load(Ordering::Relaxed) + (arguments.records - outcome);
        self.report(arguments.records, failed, &meter).print()
    }

    fn send_all(&self, producer: &BaseProducer<Outcomes>, records: u64) -> Result<()> {
        let arguments = &self.arguments;
        thread::scope(|scope| {
            let others: Vec<_> = (1..arguments.threads)
                .map(|thread| {
                    scope.spawn(move || self.send(producer, arguments.share(records, thread)))
                })
                .collect();
            self.send(producer, arguments.share(records, 0))?;
            others.into_iter().try_for_each(|other| other.join().expect("no panic"))
        })?;
        Ok(producer.flush(Duration::from_secs(60))?)
    }

    fn send(&self, producer: &BaseProducer<Outcomes>, records: u64) -> Result<()> {
        for (number, value) in (0..records).zip(self.values.turns()) {
            let mut record = self.record(number, value);
            while let Err((error, back)) = producer.send(record) {
                if !is_full(&error) {
                    return Err(error.into());
                }
                producer.poll(FULL);
                record = back;
            }
            if number % TURN == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        Ok(())
    }

    fn record<'a>(&'a self, number: u64, value: &'a [u8]) -> BaseRecord<'a, [u8], [u8]> {
        let record = BaseRecord::to(&self.arguments.topic).payload(value);
        match self.keys.get(number) {
            Some(key) => record.key(&key[..]),
            None => record,
        }
    }

    /// A thread of the crate's looks for reports: a poll in this one would not return when one came.
    fn lone(&self) -> Result<()> {
        let arguments = &self.arguments;
        let outcomes = Outcomes { wake: Some(thread::current()), ..Outcomes::default() };
        let producer: ThreadedProducer<Outcomes> = self.config().create_with_context(outcomes)?;
        self.one_by_one(&producer, arguments.warm_up, &mut Latencies::default())?;
        let mut latencies = Latencies::default();
        let meter = Meter::start(arguments);
        self.one_by_one(&producer, arguments.records, &mut latencies)?;
        let failed = producer.context().failed.load(Ordering::Relaxed);
        self.report(arguments.records, failed, &meter).latencies(&latencies).print()
    }

    fn one_by_one(
        &self,
        producer: &ThreadedProducer<Outcomes>,
        records: u64,
        latencies: &mut Latencies,
    ) -> KafkaResult<()> {
        let outcomes: &Arc<Outcomes> = producer.context();
        for number in 0..records {
            let before = outcomes.delivered.load(Ordering::Acquire);
            let start = Instant::now();
            producer.send(self.record(number, self.values.first())).map_err(|(error, _)| error)?;
            while outcomes.delivered.load(Ordering::Acquire) == before {
                thread::park();
            }
            latencies.record(start.elapsed());
        }
        Ok(())
    }

    fn overload(&self) -> Result<()> {
        let arguments = &self.arguments;
        let producer: BaseProducer<_> = self.config().create_with_context(Outcomes::default())?;
        let until = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
        let meter = Meter::start(arguments);
        let start = Instant::now();
        let mut taken = 0;
        while start.elapsed() < until {
            match producer.send(self.record(taken, self.values.first())) {
                Ok(()) => taken += 1,
                Err((error, _)) if is_full(&error) => producer.poll(FULL),
                Err((error, _)) => return Err(error.into()),
            }
        }
        let failed = producer.context().failed.load(Ordering::Relaxed);
        self.report(taken, failed, &meter).print()?;
        std::process::exit(0)
    }
}

fn is_full(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))
}
