//! Both adapters behind one face that waits on the calling thread.

use core::time::Duration;

use anyhow::Result;
use ottla_client::{CloseReport, Record, RecordOutcome, SendError, Stats, Topic};
use ottla_core::{Ticket, Verdict};
use ottla_tokio::{OAuthToken, TokenError};
use tokio::{runtime::Runtime, time::timeout};

use crate::{Adapter, Message};

/// Fetches a token.
pub type Fetch = Box<dyn Fn() -> Result<OAuthToken, TokenError> + Send + Sync>;

/// A producer of either adapter.
#[derive(Debug)]
pub enum Client {
    /// With the runtime that it runs on.
    Tokio(ottla_tokio::Producer, Runtime),
    /// On a thread of its own.
    Blocking(ottla_blocking::Producer),
}

/// The receipt for one record, of either adapter.
#[derive(Debug)]
pub enum Receipt<'a> {
    /// With the runtime to wait on.
    Tokio(ottla_tokio::Delivery, &'a Runtime),
    /// As it is.
    Blocking(ottla_blocking::Delivery),
}

impl Client {
    /// Makes a producer.
    ///
    /// # Errors
    /// When a property is refused.
    pub fn new(adapter: Adapter, properties: &[(&str, &str)]) -> Result<Self> {
        Self::with_tokens(adapter, properties, None)
    }

    /// As [`Self::new`], with tokens from `fetch`: by a future where the adapter takes one.
    ///
    /// # Errors
    /// As there.
    pub fn with_tokens(
        adapter: Adapter,
        properties: &[(&str, &str)],
        fetch: Option<Fetch>,
    ) -> Result<Self> {
        let compressed =
            crate::compression().map(|by| crate::properties_of(&by)).unwrap_or_default();
        let compressed = compressed.iter().map(|(name, value)| (&**name, &**value));
        let properties = compressed.chain(properties.iter().copied());
        Ok(match adapter {
            Adapter::Tokio => {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                let runtime = runtime.worker_threads(1).enable_all().build()?;
                let mut builder = ottla_tokio::Producer::builder().properties(properties);
                if let Some(fetch) = fetch {
                    builder = builder.token_future(move || core::future::ready(fetch()));
                }
                Self::Tokio(builder.runtime(runtime.handle().clone()).build()?, runtime)
            }
            Adapter::Blocking => {
                let mut builder = ottla_blocking::Producer::builder().properties(properties);
                if let Some(fetch) = fetch {
                    builder = builder.token(fetch);
                }
                Self::Blocking(builder.build()?)
            }
        })
    }

    /// Registers a topic.
    ///
    /// # Errors
    /// When it is none.
    pub fn topic(&self, name: &str) -> Result<Topic> {
        Ok(match self {
            Self::Tokio(producer, _) => producer.topic(name)?,
            Self::Blocking(producer) => producer.topic(name)?,
        })
    }

    /// Sends a message, which is cancelled if it has no answer after `deadline`.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn send(
        &self,
        topic: &Topic,
        message: &Message,
        deadline: Option<Duration>,
    ) -> Result<Receipt<'_>, SendError> {
        message.lend(|record| {
            let record = &Record { timeout: deadline, ..*record };
            match self {
                Self::Tokio(producer, runtime) => {
                    let delivery = runtime.block_on(producer.send(topic, record))?;
                    Ok(Receipt::Tokio(delivery, runtime))
                }
                Self::Blocking(producer) => Ok(Receipt::Blocking(producer.send(topic, record)?)),
            }
        })
    }

    /// The producer's counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match self {
            Self::Tokio(producer, _) => producer.stats(),
            Self::Blocking(producer) => producer.stats(),
        }
    }

    /// Closes the producer.
    #[must_use]
    pub fn close(&self, limit: Duration) -> CloseReport {
        match self {
            Self::Tokio(producer, runtime) => runtime.block_on(producer.close(limit)),
            Self::Blocking(producer) => producer.close(limit),
        }
    }
}

impl Receipt<'_> {
    /// Waits for the first answer; `None` where none comes.
    #[must_use]
    pub fn first(&self, limit: Duration) -> Option<RecordOutcome> {
        match self {
            Self::Tokio(delivery, runtime) => {
                runtime.block_on(async { timeout(limit, delivery.reattach()).await.ok() })
            }
            Self::Blocking(delivery) => delivery.reattach().wait_timeout(limit),
        }
    }

    /// Waits for the final outcome; `None` where none comes.
    #[must_use]
    pub fn last(&self, limit: Duration) -> Option<RecordOutcome> {
        match self {
            Self::Tokio(delivery, runtime) => runtime
                .block_on(async { timeout(limit, delivery.reattach().final_outcome()).await.ok() }),
            Self::Blocking(delivery) => delivery.reattach().final_outcome().wait_timeout(limit),
        }
    }

    /// What is known now.
    #[must_use]
    pub fn now(&self) -> Option<RecordOutcome> {
        match self {
            Self::Tokio(delivery, _) => delivery.try_outcome(),
            Self::Blocking(delivery) => delivery.try_outcome(),
        }
    }

    /// Gives up on the record.
    pub fn cancel(&self) -> Verdict {
        match self {
            Self::Tokio(delivery, _) => delivery.cancel(),
            Self::Blocking(delivery) => delivery.cancel(),
        }
    }

    /// The record's batch and its place in it.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        match self {
            Self::Tokio(delivery, _) => delivery.ticket(),
            Self::Blocking(delivery) => delivery.ticket(),
        }
    }
}
