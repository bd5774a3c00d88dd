//! Sending many records in one call, as tasks do it.

use core::{
    borrow::Borrow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ottla_core::Ticket;

use crate::{
    client::{
        send_all::{SendAll, Step},
        shards::{Shards, Topic},
    },
    delivery::delivery_future::{Delivery, Receipt},
    error::SendAllError,
    record::Record,
    tasks::{
        cooperative_yield,
        producer::Producer,
        runtime::Runtime,
        send::{Patient, send},
    },
};

impl<A: Runtime> Producer<A> {
    /// Sends records of one topic in one call, which costs less than a call for each. Waits for memory, or for
    /// the topic to be known, up to `max.block.ms` in all.
    ///
    /// The records are taken in order, each as if it were sent alone right after the one before it: it is copied
    /// once, has its own partition, timestamp, timeout and token, and stays behind those of its partition that were sent
    /// before. What was taken has its delivery at the end of `deliveries` at once. A `timeout` counts from the begin of
    /// the call, and so ends the wait for memory as well; where it was over before the record's turn came, the record is
    /// cancelled as it is taken. Returns how many were taken, which is all of them.
    ///
    /// `records` yields [`Record`]s or references to them. It is called with no lock held, so that it may use the
    /// producer, and is not asked for more than 128 beyond what was taken.
    ///
    /// The future may be dropped in the middle: the records that were taken by then are the first ones, as many
    /// as `deliveries` grew by, and no other one was.
    ///
    /// # Errors
    ///
    /// Where a record was not taken, with the reason as [`Producer::send`] has it: no memory within the time, a record that is
    /// too large, and so on. Those before it were taken, as many as [`SendAllError::taken`] says and `deliveries` grew by; it and
    /// those behind it were not. To go on, skip as many. (An iterator that was passed by reference may have yielded more than
    /// were taken, so begin a new one.)
    pub fn send_all<'a, 'r: 'a, B: Borrow<Record<'r>>, I: Iterator<Item = B> + 'a>(
        &'a self,
        topic: &'a Topic,
        records: impl IntoIterator<IntoIter = I, Item = B>,
        deliveries: &'a mut Vec<Delivery>,
    ) -> impl Future<Output = Result<usize, SendAllError>> {
        Sending::new(self, self.shards().sending_all(topic, records, deliveries))
    }

    /// As [`Producer::send_all`], for records of which only `on_report` is told, where they have tokens. The tickets
    /// are for [`Producer::cancel`]; they hold on to nothing, and so cost a little less than deliveries.
    ///
    /// # Errors
    ///
    /// As [`Producer::send_all`].
    pub fn send_all_detached<'a, 'r: 'a, B: Borrow<Record<'r>>, I: Iterator<Item = B> + 'a>(
        &'a self,
        topic: &'a Topic,
        records: impl IntoIterator<IntoIter = I, Item = B>,
        tickets: &'a mut Vec<Ticket>,
    ) -> impl Future<Output = Result<usize, SendAllError>> {
        Sending::new(self, self.shards().sending_all(topic, records, tickets))
    }

    /// As [`Producer::send_all`], as long as records can be taken at once.
    ///
    /// # Errors
    ///
    /// Where one cannot; it and those behind it are still the caller's.
    pub fn try_send_all<'r, B: Borrow<Record<'r>>>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize, SendAllError> {
        self.shards().try_send_all(topic, records, deliveries)
    }
}

/// Ready once all records were taken, which most are without a wait.
#[must_use = "a future does nothing until it is polled"]
struct Sending<'a, A, I, R> {
    shards: &'a Shards,
    runtime: &'a A,
    all: SendAll<'a, I, R>,
    /// Waits until the next one is taken.
    one: Option<Patient<'a, R>>,
}

impl<'a, A: Runtime, I, R> Sending<'a, A, I, R> {
    fn new(producer: &'a Producer<A>, all: SendAll<'a, I, R>) -> Self {
        Self { shards: producer.shards(), runtime: producer.running(), all, one: None }
    }
}

impl<A, I, R> fmt::Debug for Sending<'_, A, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

/// Nothing in it is pinned by it.
impl<A, I, R> Unpin for Sending<'_, A, I, R> {}

impl<'a, 'r: 'a, A, I, R> Future for Sending<'a, A, I, R>
where
    A: Runtime,
    I: Iterator<Item = Record<'r>>,
    R: Receipt + 'a,
{
    type Output = Result<usize, SendAllError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shards, runtime, all, one } = self.get_mut();
        loop {
            if let Some(waiting) = one {
                let sent = ready!(waiting.as_mut().poll(cx));
                *one = None;
                all.note(sent)?;
            }
            // As with single records: between them, so that none is in hand while this waits.
            while cooperative_yield::is_owed() {
                ready!(A::poll_turn(cx));
            }
            let before = all.taken();
            match all.step() {
                Step::Taken(bytes) => cooperative_yield::note(all.taken() - before, bytes),
                Step::Wait(next) => *one = Some(Box::pin(send(next, shards, *runtime))),
                Step::Done(taken) => return Poll::Ready(Ok(taken)),
            }
        }
    }
}
