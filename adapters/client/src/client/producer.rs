//! The producer as an application holds it, whatever it runs on: all that needs no wait.

use core::time::Duration;
use std::sync::Arc;

use ottla_core::{Config, ReleaseError, Ticket, TopicError, Verdict};

use crate::{
    client::{
        builder::{Builder, Place},
        shards::{Shards, Topic},
        stats::Stats,
    },
    error::BuildError,
};

/// A handle to a producer on a place `P`. Clones are handles to the same one, and cheap.
///
/// When the last handle is dropped, the producer goes on in the background until what was sent is
/// settled, for at most `delivery.timeout.ms`; `close` waits for that and tells.
#[derive(Debug)]
pub struct Producer<P: Place> {
    last: Arc<LastHandle<P::Running>>,
}

#[derive(Debug)]
struct LastHandle<R> {
    shards: Shards,
    running: R,
}

impl<P: Place> Clone for Producer<P> {
    fn clone(&self) -> Self {
        Self { last: Arc::clone(&self.last) }
    }
}

impl<R> Drop for LastHandle<R> {
    fn drop(&mut self) {
        self.shards.close_unattended();
    }
}

impl<P: Place> Producer<P> {
    pub(crate) fn of(shards: Shards, running: P::Running) -> Self {
        Self { last: Arc::new(LastHandle { shards, running }) }
    }

    #[inline]
    pub(crate) fn shards(&self) -> &Shards {
        &self.last.shards
    }

    /// What it runs on.
    #[inline]
    pub(crate) fn running(&self) -> &P::Running {
        &self.last.running
    }

    /// Registers a topic, or finds it. Its partitions are asked for in the background.
    ///
    /// # Errors
    ///
    /// Where it is no name for a topic, or there is no room for another.
    pub fn topic(&self, name: &str) -> Result<Topic, TopicError> {
        self.shards().topic(name)
    }

    /// Forgets a topic of which nothing is open, so that its room serves others (`limits.topics` and
    /// `limits.partitions`). Handles to it are refused from then on; registered again, it has new ones.
    ///
    /// # Errors
    ///
    /// [`ReleaseError::Busy`] where records of it have no final outcome yet: try again later. Where it was
    /// released before, or is another producer's: [`ReleaseError::UnknownTopic`].
    pub fn release_topic(&self, topic: &Topic) -> Result<(), ReleaseError> {
        self.shards().release_topic(topic)
    }

    /// Gives up on a record; see [`Delivery::cancel`](crate::Delivery::cancel). A ticket of another producer is not
    /// believed: [`Verdict::Foreign`].
    pub fn cancel(&self, ticket: &Ticket) -> Verdict {
        self.shards().cancel(ticket)
    }

    /// Cancels a record when `timeout` is over; see [`Delivery::cancel_after`](crate::Delivery::cancel_after). False
    /// where there is nothing to set: the record has an answer, or is another producer's.
    pub fn cancel_after(&self, ticket: &Ticket, timeout: Duration) -> bool {
        self.shards().cancel_after(ticket, timeout)
    }

    /// Counters, gauges and latencies, as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shards().stats()
    }
}

impl<P: Place<Producer = Self>> Producer<P> {
    /// Starts to make a producer.
    #[must_use]
    pub fn builder() -> Builder<P> {
        Builder::new()
    }

    /// Makes a producer from properties with Kafka's names.
    ///
    /// # Errors
    ///
    /// Where one of them is unknown or refused, or there is nothing to run on: no runtime, or no thread.
    pub fn from_properties<N: AsRef<str>, V: AsRef<str>>(
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, BuildError> {
        Self::builder().properties(properties).build()
    }

    /// Makes a producer from a configuration. Its `checksum` is replaced by the fastest there is.
    ///
    /// # Errors
    ///
    /// Where the configuration is refused, or there is nothing to run on: no runtime, or no thread.
    pub fn new(config: &Config<'_>) -> Result<Self, BuildError> {
        Self::builder().build_on(config)
    }
}
