//! The producer as an application holds it.

use core::time::Duration;
use std::sync::Arc;

use ottla_client::{
    CloseReport, Delivery, Options, Receipt, SendError, Shards, Stats, Tally, Topic,
};
use ottla_core::{Instant, Record, ReleaseError, Ticket, TopicError, Verdict};
use tokio::runtime::Handle;

use crate::{drive::Drive, runtime::until, send::Send};

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
pub struct Producer {
    last: Arc<LastHandle>,
}

#[derive(Debug)]
struct LastHandle {
    shards: Shards,
    runtime: Handle,
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        self.shards.close_unattended();
    }
}

impl Producer {
    pub(crate) fn start(shards: Shards, runtime: Handle) -> Self {
        for engine in shards.engines() {
            drop(runtime.spawn(Drive::new(Arc::clone(engine))));
        }
        Self { last: Arc::new(LastHandle { shards, runtime }) }
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
    /// [`ReleaseError::Busy`] where records of it have no last word yet: try again later. Where it was
    /// released before, or is another producer's: [`ReleaseError::UnknownTopic`].
    pub fn release_topic(&self, topic: &Topic) -> Result<(), ReleaseError> {
        self.shards().release_topic(topic)
    }

    /// Sends a record. Waits for memory, or for the topic to be known, up to `max.block.ms`.
    ///
    /// The record is copied before this returns. Dropping the future before means that the record
    /// was not taken.
    ///
    /// # Errors
    ///
    /// Where the record was not taken.
    pub fn send<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
    ) -> impl Future<Output = Result<Delivery, SendError>> + 'a {
        self.send_for(topic, record, Options::default())
    }

    /// Sends a record that is cancelled if it has no answer when `timeout` is over. That includes
    /// the wait for memory.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub fn send_deadline<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Delivery, SendError>> + 'a {
        self.send_for(topic, record, Options::default().deadline(timeout))
    }

    /// Sends a record of which `on_report` is told under this number.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], and without `on_report`.
    pub fn send_with_token<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
        token: u64,
    ) -> impl Future<Output = Result<Ticket, SendError>> + 'a {
        self.send_for(topic, record, Options::default().token(token))
    }

    /// Sends a record if it can be taken at once.
    ///
    /// # Errors
    ///
    /// Where it cannot; the record is still the caller's.
    pub fn try_send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.shards().try_send(topic, record, Options::default())
    }

    /// As [`Producer::send_with_token`], if it can be taken at once.
    ///
    /// # Errors
    ///
    /// As [`Producer::try_send`], and without `on_report`.
    pub fn try_send_with_token(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        token: u64,
    ) -> Result<Ticket, SendError> {
        let options = Options::default().token(token);
        self.shards().try_send(topic, record, options)
    }

    /// As [`Producer::try_send`], with a token, a deadline, or both.
    ///
    /// # Errors
    ///
    /// As [`Producer::try_send`], and with a token without `on_report`.
    pub fn try_send_with(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        options: Options,
    ) -> Result<Delivery, SendError> {
        self.shards().try_send(topic, record, options)
    }

    /// As [`Producer::send`], with a token, a deadline, or both.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], and with a token without `on_report`.
    pub fn send_with<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
        options: Options,
    ) -> impl Future<Output = Result<Delivery, SendError>> + 'a {
        self.send_for(topic, record, options)
    }

    fn send_for<'a, R: Receipt + 'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
        options: Options,
    ) -> Send<'a, R> {
        Send::new(self.shards(), &self.last.runtime, topic, record, options)
    }

    /// Gives up on a record; see [`Delivery::cancel`]. A ticket of another producer is not believed:
    /// [`Verdict::Foreign`].
    pub fn cancel(&self, ticket: &Ticket) -> Verdict {
        self.shards().cancel(ticket)
    }

    /// Cancels a record when `timeout` is over; see [`Delivery::deadline`]. False where there was
    /// nothing to set: the record has an answer, or is another producer's.
    pub fn set_deadline(&self, ticket: &Ticket, timeout: Duration) -> bool {
        self.shards().set_deadline(ticket, self.after(timeout))
    }

    fn after(&self, timeout: Duration) -> Instant {
        self.shards().clock().now().after(timeout)
    }

    /// Sends what is buffered at once, and waits until each record that was taken before has an
    /// answer. Returns how many answers of which kind came meanwhile.
    pub async fn flush(&self) -> Tally {
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
