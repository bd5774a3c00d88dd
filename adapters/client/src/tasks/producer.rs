//! The producer as an async application holds it.

use core::{future::Future, time::Duration};
use std::sync::Arc;

use ottla_core::{Config, ReleaseError, Ticket, TopicError, Verdict};

use crate::{
    client::{
        builder::{Builder, Place},
        flush_close::CloseReport,
        shards::{Shards, Topic},
        stats::Stats,
    },
    delivery::{delivery_future::Delivery, outcome::OutcomeCounts},
    error::{BuildError, SendError},
    record::Record,
    security::Security,
    tasks::{
        drive::Drive,
        runtime::{Runtime, until},
        send::Send,
    },
};

/// A handle to a producer. Clones are handles to the same one, and cheap.
///
/// When the last handle is dropped, the producer goes on in the background until what was sent is
/// settled, for at most `delivery.timeout.ms`; [`Producer::close`] waits for that and tells.
///
/// It lives on the runtime that it was built on, and can be used from anywhere else. While that runtime
/// does not run, be it that its only thread is blocked, nothing is sent, and no time passes for those
/// that wait: `send`, `flush` and `close` return only when it runs again. A record's own deadline is
/// answered all the same to who asks: [`Delivery::try_outcome`], [`Delivery::cancel`], or a delivery
/// that is polled.
#[derive(Clone, Debug)]
pub struct Producer<R: Runtime> {
    last: Arc<LastHandle<R>>,
}

#[derive(Debug)]
struct LastHandle<R: Runtime> {
    shards: Shards,
    runtime: R,
}

impl<R: Runtime> Drop for LastHandle<R> {
    fn drop(&mut self) {
        self.shards.close_unattended();
    }
}

/// Runs a producer's engines as tasks of a runtime.
#[derive(Debug)]
pub struct Tasks<R>(R);

impl<R: Runtime> Place for Tasks<R> {
    type Producer = Producer<R>;

    fn find() -> Result<Self, BuildError> {
        R::current().map(Self)
    }

    fn check(&self) -> Result<(), BuildError> {
        self.0.check()
    }

    fn start(self, shards: Shards, security: &Security) -> Result<Producer<R>, BuildError> {
        let Self(runtime) = self;
        for engine in shards.engines() {
            runtime.spawn(Drive::new(Arc::clone(engine), runtime.clone(), security.clone()));
        }
        Ok(Producer { last: Arc::new(LastHandle { shards, runtime }) })
    }
}

impl<R: Runtime> Builder<Tasks<R>> {
    /// Sets the runtime to run on; by default it is the one that `build` is called in. The producer may be
    /// used from other threads and executors; see [`Producer`].
    #[must_use]
    pub fn runtime(self, runtime: impl Into<R>) -> Self {
        self.place(Tasks(runtime.into()))
    }
}

impl<R: Runtime> Producer<R> {
    /// Starts to make a producer.
    #[must_use]
    pub fn builder() -> Builder<Tasks<R>> {
        Builder::new()
    }

    /// Makes a producer from properties with Kafka's names.
    ///
    /// # Errors
    ///
    /// Where one of them is unknown or refused, or there is no runtime.
    pub fn from_properties<N: AsRef<str>, V: AsRef<str>>(
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, BuildError> {
        Self::builder().properties(properties).build()
    }

    /// Makes a producer from a configuration. Its `checksum` is replaced by the fastest there is.
    ///
    /// # Errors
    ///
    /// Where the configuration is refused, or there is no runtime.
    pub fn new(config: &Config<'_>) -> Result<Self, BuildError> {
        Self::builder().build_on(config)
    }

    fn shards(&self) -> &Shards {
        &self.last.shards
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

    /// Sends a record. Waits for memory, or for the topic to be known, up to `max.block.ms` or the record's
    /// own timeout.
    ///
    /// The record is copied before this returns. Dropping the future before means that the record
    /// was not taken. To drop the delivery is to detach from it.
    ///
    /// # Errors
    ///
    /// Where the record was not taken; with a token also where there is no `on_report`.
    pub fn send<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
    ) -> impl Future<Output = Result<Delivery, SendError>> + 'a {
        Send::new(self.shards(), &self.last.runtime, topic, record)
    }

    /// As [`Producer::send`], for a record of which only `on_report` is told, if it has a token. The ticket
    /// is for [`Producer::cancel`]; it holds on to nothing, and so costs a little less than a delivery.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub fn send_detached<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
    ) -> impl Future<Output = Result<Ticket, SendError>> + 'a {
        Send::new(self.shards(), &self.last.runtime, topic, record)
    }

    /// As [`Producer::send`], if the record can be taken at once.
    ///
    /// # Errors
    ///
    /// Where it cannot; the record is still the caller's.
    pub fn try_send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.shards().try_send(topic, record)
    }

    /// Gives up on a record; see [`Delivery::cancel`]. A ticket of another producer is not believed:
    /// [`Verdict::Foreign`].
    pub fn cancel(&self, ticket: &Ticket) -> Verdict {
        self.shards().cancel(ticket)
    }

    /// Cancels a record when `timeout` is over; see [`Delivery::cancel_after`]. False where there is
    /// nothing to set: the record has an answer, or is another producer's.
    pub fn cancel_after(&self, ticket: &Ticket, timeout: Duration) -> bool {
        self.shards().cancel_after(ticket, timeout)
    }

    /// Sends what is buffered at once, and waits until each record that was taken before has an
    /// answer. Returns how many answers of which kind came meanwhile.
    pub async fn flush(&self) -> OutcomeCounts {
        self.shards().flush().await
    }

    /// Takes no more records, and waits until all are settled, but not much longer than `timeout`:
    /// what has no answer by then gets one, which may be `Unknown`.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        let mut closing = self.shards().close(timeout);
        let guard = self.shards().clock().std(closing.wait_until());
        let Some(guard) = guard else {
            return closing.await;
        };
        match until(&self.last.runtime, guard, &mut closing).await {
            Some(report) => report,
            None => closing.give_up(),
        }
    }

    /// Counters, gauges and latencies, as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shards().stats()
    }
}
