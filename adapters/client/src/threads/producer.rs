//! The producer as an application on threads holds it.

use core::{marker::PhantomData, time::Duration};
use std::{io, sync::Arc};

use ottla_core::Ticket;

use crate::{
    block_on::block_on,
    client::{
        builder::Place,
        flush_close::CloseReport,
        producer,
        shards::{Shards, Topic},
    },
    delivery::{delivery_future::Receipt, outcome::OutcomeCounts},
    error::{BuildError, SendError},
    record::Record,
    security::Security,
    sync::thread::{self, ThreadId},
    threads::{delivery::Delivery, drive::Shared, poller::Poller},
};

/// A handle to a producer. Clones are handles to the same one, and cheap.
///
/// When the last handle is dropped, the producer goes on in the background until what was sent is
/// settled, for at most `delivery.timeout.ms`; [`Producer::close`] waits for that and tells.
pub type Producer<P> = producer::Producer<Threads<P>>;

/// Runs a producer's engines on threads of their own, `ottla`, or with shards `ottla-0`, `ottla-1` and so on.
#[derive(Debug)]
pub struct Threads<P>(PhantomData<fn() -> P>);

impl<P: Poller> Place for Threads<P> {
    type Producer = Producer<P>;
    type Running = Box<[ThreadId]>;

    fn find() -> Result<Self, BuildError> {
        Ok(Self(PhantomData))
    }

    fn start(self, shards: Shards, security: &Security) -> Result<Producer<P>, BuildError> {
        let drivers = spawn_all::<P>(&shards, security).inspect_err(|_| {
            // Those that run already have nobody to end them.
            shards.close_unattended();
        })?;
        Ok(Producer::of(shards, drivers))
    }
}

impl<P: Poller> Producer<P> {
    /// A driver's thread must not wait for what only it can bring, nor for another that waits for it.
    pub(super) fn is_driver(&self) -> bool {
        self.running().contains(&thread::current().id())
    }

    /// Sends a record. Waits for memory, or for the topic to be known, up to `max.block.ms` or the record's
    /// own timeout.
    ///
    /// The record is copied before this returns. Called from `on_report`, it does not wait. To drop the
    /// delivery is to detach from it.
    ///
    /// # Errors
    ///
    /// Where the record was not taken; with a token also where there is no `on_report`.
    pub fn send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.send_for(topic, record).map(Delivery::new)
    }

    /// As [`Producer::send`], for a record of which only `on_report` is told, if it has a token. The ticket
    /// is for [`Producer::cancel`]; it holds on to nothing, and so costs a little less than a delivery.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub fn send_detached(&self, topic: &Topic, record: &Record<'_>) -> Result<Ticket, SendError> {
        self.send_for(topic, record)
    }

    /// As [`Producer::send`], if the record can be taken at once.
    ///
    /// # Errors
    ///
    /// Where it cannot; the record is still the caller's.
    pub fn try_send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.shards().try_send(topic, record).map(Delivery::new)
    }

    fn send_for<R: Receipt>(&self, topic: &Topic, record: &Record<'_>) -> Result<R, SendError> {
        match self.shards().send_now(topic, record) {
            Some(receipt) => Ok(receipt),
            None => self.send_patiently(topic, record),
        }
    }

    #[cold]
    fn send_patiently<R: Receipt>(
        &self,
        topic: &Topic,
        record: &Record<'_>,
    ) -> Result<R, SendError> {
        self.wait_for(self.shards().sending(topic, record))
    }

    /// Called from `on_report`, nothing is to be waited for: that would be for the caller itself.
    fn no_wait(&self) -> Option<std::time::Instant> {
        let clock = self.shards().clock();
        if self.is_driver() { clock.std(clock.now()) } else { None }
    }

    /// Sends what is buffered at once, and waits until each record that was taken before has an
    /// answer. Returns how many answers of which kind came meanwhile.
    ///
    /// That takes `delivery.timeout.ms` at most. Called from `on_report`, it does not wait.
    pub fn flush(&self) -> OutcomeCounts {
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
}

/// Starts a thread for each engine.
fn spawn_all<P: Poller>(shards: &Shards, security: &Security) -> io::Result<Box<[ThreadId]>> {
    let spawn = |(shard, engine): (usize, &Arc<_>)| {
        let drive = Shared::<P>::new(engine, security.clone())?;
        let name = match shards.engines().len() {
            1 => "ottla".to_owned(),
            _ => format!("ottla-{shard}"),
        };
        let thread = thread::Builder::new().name(name).spawn(move || drive.run())?;
        Ok(thread.thread().id())
    };
    shards.engines().iter().enumerate().map(spawn).collect()
}
