//! ottla's tokio adapter in the benchmark.

use std::{sync::Arc, thread, time::Instant};

use anyhow::Result;
use bench_contestant::{Arguments, Counting, Latencies, Meter, Report, Shape, Values};
use bench_ottla::{Entry, Heard, Outcomes, VERSION};
use clap::Parser as _;
use ottla_tokio::{Builder, Producer, Record, Topic};
use tokio::runtime::{self, Runtime};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NAME: &str = "ottla-tokio";
/// Records between two yields, so that a task that is never told to wait lets others run.
const TURN: u64 = 1_024;

struct Contestant {
    entry: Entry,
    producer: Producer,
    topic: Topic,
    heard: Arc<Heard>,
    values: Values<Vec<u8>>,
}

fn main() -> Result<()> {
    let entry = Entry::parse();
    let runtime = runtime()?;
    runtime.block_on(async {
        let heard = Arc::new(Heard::new(entry.shards));
        let mut builder = Producer::builder().limits(entry.limits()).shards(entry.shards);
        for (name, value) in entry.properties() {
            builder = builder.property(name, value);
        }
        if entry.reports() {
            builder = builder.on_report(heard.callback());
        }
        if let Some(authority) = &entry.arguments.tls {
            builder = secured(builder, &entry.arguments, authority)?;
        }
        let producer = builder.build_on(&entry.config())?;
        let topic = producer.topic(&entry.arguments.topic)?;
        let values = Values::new(&entry.arguments)?;
        let contestant = Arc::new(Contestant { entry, producer, topic, heard, values });
        contestant.idle().await?;
        let shape = contestant.entry.arguments.shape;
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

/// As it is by default, and with two workers at least, so that tasks meet.
fn runtime() -> Result<Runtime> {
    let workers = thread::available_parallelism()?.get().max(2);
    Ok(runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?)
}

/// By properties, as users have it.
#[cfg(not(feature = "aws-lc"))]
fn secured(builder: Builder, _: &Arguments, authority: &str) -> Result<Builder> {
    Ok(builder.property("security.protocol", "SSL").property("ssl.ca.location", authority))
}

/// With another provider than the default one.
#[cfg(feature = "aws-lc")]
fn secured(builder: Builder, arguments: &Arguments, _: &str) -> Result<Builder> {
    Ok(match arguments.tls_config()? {
        Some(config) => builder.tls(config),
        None => builder,
    })
}

impl Contestant {
    /// Has a connection to each of the brokers that stay idle.
    async fn idle(&self) -> Result<()> {
        if self.entry.arguments.idle > 0 {
            let topic = self.producer.topic("idle")?;
            for partition in 0..=self.entry.arguments.idle.cast_signed() {
                let record = Record { partition: Some(partition), ..Record::default() };
                let sent = self.producer.send(&topic, &record).await?;
                anyhow::ensure!(sent.await.is_delivered(), "an idle broker does not answer");
            }
        }
        Ok(())
    }

    async fn load(self: &Arc<Self>) -> Result<()> {
        let arguments = &self.entry.arguments;
        self.send_all(arguments.warm_up).await?;
        let before = self.delivered();
        let meter = Meter::start(arguments);
        self.send_all(arguments.records).await?;
        let measured = meter.read();
        let failed = arguments.records - (self.delivered() - before);
        Report::new(NAME, VERSION, arguments.records, failed, &measured).print()
    }

    async fn send_all(self: &Arc<Self>, records: u64) -> Result<()> {
        let arguments = &self.entry.arguments;
        let others = (1..arguments.threads).map(|thread| {
            let (this, share) = (Arc::clone(self), arguments.share(records, thread));
            tokio::spawn(async move { this.send(share).await })
        });
        let others: Vec<_> = others.collect();
        self.send(arguments.share(records, 0)).await?;
        for other in others {
            other.await??;
        }
        self.producer.flush().await;
        Ok(())
    }

    async fn send(&self, records: u64) -> Result<()> {
        if self.entry.arguments.batch > 0 {
            return self.send_many(records).await;
        }
        let keyed = self.entry.arguments.keyed;
        for (number, value) in (0..records).zip(self.values.turns()) {
            let key = if keyed { Arguments::key(number) } else { [0; 8] };
            let key = keyed.then_some(&key[..]);
            let record = Record { key, value: Some(value), ..Record::default() };
            match self.entry.outcomes {
                Outcomes::Report => {
                    self.producer
                        .send_detached(&self.topic, &Record { token: Some(number), ..record })
                        .await?;
                }
                Outcomes::Tally => drop(self.producer.send(&self.topic, &record).await?),
            }
        }
        Ok(())
    }

    async fn send_many(&self, records: u64) -> Result<()> {
        let arguments = &self.entry.arguments;
        let mut values = self.values.turns();
        let (mut tickets, mut deliveries) = (Vec::new(), Vec::new());
        for numbers in arguments.calls(records) {
            let keys = arguments.keyed.then(|| numbers.clone().map(Arguments::key).collect());
            let keys: Vec<_> = keys.unwrap_or_default();
            let given = numbers.zip(0..).zip(&mut values).map(|((number, place), value)| Record {
                key: keys.get(place).map(|key| &key[..]),
                value: Some(value),
                token: (self.entry.outcomes == Outcomes::Report).then_some(number),
                ..Record::default()
            });
            match self.entry.outcomes {
                Outcomes::Report => {
                    self.producer.send_all_detached(&self.topic, given, &mut tickets).await?;
                    tickets.clear();
                }
                Outcomes::Tally => {
                    self.producer.send_all(&self.topic, given, &mut deliveries).await?;
                    deliveries.clear();
                }
            }
        }
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.heard.delivered(self.entry.outcomes, &self.producer.stats())
    }

    async fn lone(&self) -> Result<()> {
        let arguments = &self.entry.arguments;
        self.one_by_one(arguments.warm_up, &mut Latencies::default()).await?;
        let mut latencies = Latencies::default();
        let meter = Meter::start(arguments);
        let failed = self.one_by_one(arguments.records, &mut latencies).await?;
        let measured = meter.read();
        Report::new(NAME, VERSION, arguments.records, failed, &measured)
            .latencies(&latencies)
            .print()
    }

    async fn one_by_one(&self, records: u64, latencies: &mut Latencies) -> Result<u64> {
        let record = Record { value: Some(self.values.first()), ..Record::default() };
        let mut failed = 0;
        for _ in 0..records {
            let start = Instant::now();
            let outcome = self.producer.send(&self.topic, &record).await?.await;
            latencies.record(start.elapsed());
            failed += u64::from(!outcome.is_delivered());
        }
        Ok(failed)
    }

    async fn overload(&self) -> Result<()> {
        let arguments = &self.entry.arguments;
        let record = Record { value: Some(self.values.first()), ..Record::default() };
        // The topic is to be known first.
        drop(self.producer.send(&self.topic, &record).await?);
        let meter = Meter::start(arguments);
        let mut taken = 0;
        while meter.read().elapsed.as_secs_f64() < arguments.seconds {
            for _ in 0..TURN {
                // Full is what it is most of the time.
                taken += u64::from(self.producer.try_send(&self.topic, &record).is_ok());
            }
            tokio::task::yield_now().await;
        }
        Report::new(NAME, VERSION, taken, 0, &meter.read()).print()?;
        std::process::exit(0)
    }
}
