//! One producer, whichever adapter drives it.

use core::time::Duration;
use std::sync::Arc;

use anyhow::Context as _;
use ottla_client::{Record, RecordOutcome, Report, SendAllError, SendError, Stats, Topic};
use ottla_core::Config;
use tokio::runtime::{Builder, Runtime};

use crate::{args::DriverKind, config::Settings};

/// Where tokio's tasks run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Threads {
    /// On the thread that waits: the shortest way where nothing is done meanwhile.
    One,
    /// On threads of their own, as many as there are shards.
    Many,
}

/// One producer, whichever adapter drives it. A clone is the same one.
#[derive(Clone, Debug)]
pub(crate) enum Sender {
    Tokio { runtime: Arc<Runtime>, producer: ottla_tokio::Producer },
    Blocking(ottla_blocking::Producer),
}

impl Sender {
    pub(crate) fn new(
        settings: &Settings<'_>,
        threads: Threads,
        config: &Config<'_>,
        on_report: impl Fn(&Report) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let refused = |error| settings.refused(error);
        match settings.connect.driver {
            DriverKind::Tokio => {
                let mut runtime = match threads {
                    Threads::One => Builder::new_current_thread(),
                    Threads::Many => Builder::new_multi_thread(),
                };
                let workers = usize::from(settings.connect.shards);
                let runtime = runtime.worker_threads(workers).enable_all().build();
                let runtime = Arc::new(runtime.context("tokio's runtime did not start")?);
                let builder = settings.equip(ottla_tokio::Producer::builder());
                let builder = builder.on_report(on_report).runtime(runtime.handle().clone());
                let producer = builder.build_on(config).map_err(refused)?;
                Ok(Self::Tokio { runtime, producer })
            }
            DriverKind::Blocking => {
                let builder = settings.equip(ottla_blocking::Producer::builder());
                let producer = builder.on_report(on_report).build_on(config);
                Ok(Self::Blocking(producer.map_err(refused)?))
            }
        }
    }

    /// Registers a topic.
    pub(crate) fn topic(&self, name: &str) -> anyhow::Result<Topic> {
        match self {
            Self::Tokio { producer, .. } => producer.topic(name),
            Self::Blocking(producer) => producer.topic(name),
        }
        .with_context(|| format!("--topic {name:?}"))
    }

    /// Sends a record if it can be taken at once.
    pub(crate) fn try_send(&self, topic: &Topic, record: &Record<'_>) -> Result<(), SendError> {
        match self {
            Self::Tokio { producer, .. } => producer.try_send(topic, record).map(drop),
            Self::Blocking(producer) => producer.try_send(topic, record).map(drop),
        }
    }

    /// Sends a record, and waits up to `max.block.ms` for memory and for the topic to be known.
    pub(crate) fn send(&self, topic: &Topic, record: &Record<'_>) -> Result<(), SendError> {
        match self {
            Self::Tokio { runtime, producer } => {
                runtime.block_on(producer.send(topic, record)).map(drop)
            }
            Self::Blocking(producer) => producer.send(topic, record).map(drop),
        }
    }

    /// Sends records in one call, and waits as [`Sender::send`] does.
    pub(crate) fn send_all(&self, topic: &Topic, records: &[Record<'_>]) -> Result<(), SendError> {
        let told = |error: SendAllError| error.error;
        match self {
            Self::Tokio { runtime, producer } => {
                let mut deliveries = Vec::with_capacity(records.len());
                match producer.try_send_all(topic, records, &mut deliveries) {
                    Err(error) if error.is_temporary() => {
                        let rest = records.iter().skip(error.taken);
                        let sent = producer.send_all(topic, rest, &mut deliveries);
                        runtime.block_on(sent).map(drop).map_err(told)
                    }
                    result => result.map(drop).map_err(told),
                }
            }
            Self::Blocking(producer) => {
                let mut tickets = Vec::with_capacity(records.len());
                producer.send_all_detached(topic, records, &mut tickets).map(drop).map_err(told)
            }
        }
    }

    /// Sends so many records, and waits for each one's answer before the next.
    pub(crate) fn send_each<'a>(
        &self,
        topic: &Topic,
        records: u64,
        record: impl Fn(u64) -> Record<'a>,
        mut told: impl FnMut(RecordOutcome),
    ) -> Result<(), SendError> {
        match self {
            Self::Tokio { runtime, producer } => runtime.block_on(async {
                for number in 0..records {
                    told(producer.send(topic, &record(number)).await?.await);
                }
                Ok(())
            }),
            Self::Blocking(producer) => {
                for number in 0..records {
                    told(producer.send(topic, &record(number))?.wait());
                }
                Ok(())
            }
        }
    }

    /// Waits until each record has an answer.
    pub(crate) fn flush(&self) {
        match self {
            Self::Tokio { runtime, producer } => {
                runtime.block_on(producer.flush());
            }
            Self::Blocking(producer) => {
                producer.flush();
            }
        }
    }

    /// Takes no more records, and waits until all are settled, up to `timeout`.
    pub(crate) fn close(&self, timeout: Duration) {
        match self {
            Self::Tokio { runtime, producer } => {
                runtime.block_on(producer.close(timeout));
            }
            Self::Blocking(producer) => {
                producer.close(timeout);
            }
        }
    }

    /// Counters and latencies so far.
    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Tokio { producer, .. } => producer.stats(),
            Self::Blocking(producer) => producer.stats(),
        }
    }
}
