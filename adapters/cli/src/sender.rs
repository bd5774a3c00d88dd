//! One producer, whichever adapter drives it.

use core::time::Duration;
use std::sync::Arc;

use anyhow::Context as _;
use ottla_core::{Config, Record};
use ottla_shared::{RecordOutcome, Report, SendError, Stats, Topic};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::args::DriverKind;

/// Where tokio's tasks run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Threads {
    /// On the thread that waits: the shortest way where nothing is done meanwhile.
    One,
    /// On a thread of their own.
    Many,
}

/// One producer, whichever adapter drives it. A clone is the same one.
#[derive(Clone, Debug)]
pub(crate) enum Sender {
    Tokio { runtime: Arc<Runtime>, producer: ottla_tokio::Producer },
}

impl Sender {
    pub(crate) fn new(
        driver: DriverKind,
        threads: Threads,
        config: &Config<'_>,
        on_report: impl Fn(&Report) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        match driver {
            DriverKind::Tokio | DriverKind::Blocking => {
                let mut runtime = match threads {
                    Threads::One => Builder::new_current_thread(),
                    Threads::Many => Builder::new_multi_thread(),
                };
                let runtime = runtime.worker_threads(1).enable_all().build();
                let runtime = Arc::new(runtime.context("tokio's runtime did not start")?);
                let builder = ottla_tokio::Producer::builder().on_report(on_report);
                let producer = builder.runtime(runtime.handle().clone()).build_on(config)?;
                Ok(Self::Tokio { runtime, producer })
            }
        }
    }

    pub(crate) fn topic(&self, name: &str) -> anyhow::Result<Topic> {
        match self {
            Self::Tokio { producer, .. } => producer.topic(name),
        }
        .with_context(|| format!("--topic {name:?}"))
    }

    /// Sends a record if it can be taken at once.
    pub(crate) fn try_send(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        token: u64,
        deadline: Option<Duration>,
    ) -> Result<(), SendError> {
        match self {
            Self::Tokio { producer, .. } => {
                let ticket = producer.try_send_with_token(topic, record, token)?;
                if let Some(deadline) = deadline {
                    producer.set_deadline(&ticket, deadline);
                }
            }
        }
        Ok(())
    }

    /// Sends a record. Waits up to `limit`, and never longer than `max.block.ms`.
    pub(crate) fn send(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        token: u64,
        deadline: Option<Duration>,
        limit: Option<Duration>,
    ) -> Result<(), SendError> {
        match self {
            Self::Tokio { runtime, producer } => runtime.block_on(async {
                let sending = producer.send_with_token(topic, record, token);
                let sent = match limit {
                    None => sending.await,
                    Some(limit) => match timeout(limit, sending).await {
                        Ok(sent) => sent,
                        Err(_) => producer.try_send_with_token(topic, record, token),
                    },
                };
                let ticket = sent?;
                if let Some(deadline) = deadline {
                    producer.set_deadline(&ticket, deadline);
                }
                Ok(())
            }),
        }
    }

    /// Sends a record again and again, and waits for each one's answer before the next.
    pub(crate) fn send_each(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        records: u64,
        mut told: impl FnMut(RecordOutcome),
    ) -> Result<(), SendError> {
        match self {
            Self::Tokio { runtime, producer } => runtime.block_on(async {
                for _ in 0..records {
                    told(producer.send(topic, record).await?.await);
                }
                Ok(())
            }),
        }
    }

    /// Waits until each record has an answer.
    pub(crate) fn flush(&self) {
        match self {
            Self::Tokio { runtime, producer } => {
                runtime.block_on(producer.flush());
            }
        }
    }

    /// Takes no more records, and waits until all are settled, up to `timeout`.
    pub(crate) fn close(&self, timeout: Duration) {
        match self {
            Self::Tokio { runtime, producer } => {
                runtime.block_on(producer.close(timeout));
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Tokio { producer, .. } => producer.stats(),
        }
    }
}
