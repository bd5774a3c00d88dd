//! The producer as an application holds it.

use core::time::Duration;
use std::{
    io,
    sync::Arc,
    thread::{self, ThreadId},
};

use ottla_client::{
    BuildError, CloseReport, Options, Receipt, SendError, Shards, Stats, Tally, Topic, block_on,
};
use ottla_core::{Instant, Record, ReleaseError, Ticket, TopicError, Verdict};

use crate::{Delivery, drive::Shared};

/// A handle to a producer. Clones are handles to the same one, and cheap.
///
/// When the last handle is dropped, the producer goes on in the background until what was sent is
/// settled, for at most `delivery.timeout.ms`; [`Producer::close`] waits for that and tells.
#[derive(Clone, Debug)]
pub struct Producer {
    last: Arc<LastHandle>,
}

#[derive(Debug)]
struct LastHandle {
    shards: Shards,
    drivers: Box<[ThreadId]>,
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        self.shards.close_unattended();
    }
}

impl Producer {
    pub(crate) fn start(shards: Shards) -> Result<Self, BuildError> {
        let drivers = spawn_all(&shards).inspect_err(|_| {
            // Those that run already have nobody to end them.
            shards.close_unattended();
        })?;
        Ok(Self { last: Arc::new(LastHandle { shards, drivers }) })
    }

    fn shards(&self) -> &Shards {
        &self.last.shards
    }

    /// A driver's thread must not wait for what only it can bring, nor for another that waits for it.
    fn is_driver(&self) -> bool {
        self.last.drivers.contains(&thread::current().id())
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
    /// The record is copied before this returns. Called from `on_report`, it does not wait.
    ///
    /// # Errors
    ///
    /// Where the record was not taken.
    pub fn send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.send_with(topic, record, Options::default())
    }

    /// Sends a record that is cancelled if it has no answer when `timeout` is over. That includes
    /// the wait for memory.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub fn send_deadline(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        timeout: Duration,
    ) -> Result<Delivery, SendError> {
        self.send_with(topic, record, Options::default().deadline(timeout))
    }

    /// Sends a record of which `on_report` is told under this number.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], and without `on_report`.
    pub fn send_with_token(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        token: u64,
    ) -> Result<Ticket, SendError> {
        let options = Options::default().token(token);
        self.send_for(topic, record, options)
    }

    /// Sends a record if it can be taken at once.
    ///
    /// # Errors
    ///
    /// Where it cannot; the record is still the caller's.
    pub fn try_send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.shards().try_send(topic, record, Options::default()).map(Delivery::new)
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
        self.shards().try_send(topic, record, options).map(Delivery::new)
    }

    /// As [`Producer::send`], with a token, a deadline, or both.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], and with a token without `on_report`.
    pub fn send_with(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        options: Options,
    ) -> Result<Delivery, SendError> {
        self.send_for(topic, record, options).map(Delivery::new)
    }

    fn send_for<R: Receipt>(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        options: Options,
    ) -> Result<R, SendError> {
        match self.shards().send_now(topic, record, options) {
            Some(receipt) => Ok(receipt),
            None => self.send_patiently(topic, record, options),
        }
    }

    #[cold]
    fn send_patiently<R: Receipt>(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        options: Options,
    ) -> Result<R, SendError> {
        let mut sending = self.shards().sending(topic, record, options);
        if self.is_driver() {
            return sending.give_up();
        }
        let until = self.shards().clock().std(sending.wait_until());
        block_on(&mut sending, until).unwrap_or_else(|| sending.give_up())
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

    /// Called from `on_report`, nothing is to be waited for: that would be for the caller itself.
    fn no_wait(&self) -> Option<std::time::Instant> {
        let clock = self.shards().clock();
        if self.is_driver() { clock.std(clock.now()) } else { None }
    }

    fn after(&self, timeout: Duration) -> Instant {
        self.shards().clock().now().after(timeout)
    }

    /// Sends what is buffered at once, and waits until each record that was taken before has an
    /// answer. Returns how many answers of which kind came meanwhile.
    ///
    /// That takes `delivery.timeout.ms` at most. Called from `on_report`, it does not wait.
    pub fn flush(&self) -> Tally {
        let flushing = self.shards().flush();
        block_on(flushing, self.no_wait()).unwrap_or_default()
    }

    /// Takes no more records, and waits until all are settled, but not much longer than `timeout`:
    /// what has no answer by then gets one, which may be `Unknown`.
    pub fn close(&self, timeout: Duration) -> CloseReport {
        let mut closing = self.shards().close(timeout);
        let guard = self.no_wait().or_else(|| self.shards().clock().std(closing.wait_until()));
        block_on(&mut closing, guard).unwrap_or_else(|| closing.give_up())
    }

    /// Counters, gauges and latencies, as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shards().stats()
    }
}

/// Starts a thread for each engine.
fn spawn_all(shards: &Shards) -> io::Result<Box<[ThreadId]>> {
    let spawn = |(shard, engine): (usize, &Arc<_>)| {
        let drive = Shared::new(engine)?;
        let name = match shards.engines().len() {
            1 => "ottla".to_owned(),
            _ => format!("ottla-{shard}"),
        };
        let thread = thread::Builder::new().name(name).spawn(move || drive.run())?;
        Ok(thread.thread().id())
    };
    shards.engines().iter().enumerate().map(spawn).collect()
}
