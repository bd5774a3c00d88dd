//! Sending many records in one call, as threads do it.

use core::borrow::Borrow;

use ottla_core::Ticket;

use crate::{
    block_on::block_on,
    client::{send::SendFuture, send_all::Step, shards::Topic},
    delivery::delivery_future::Receipt,
    error::{SendAllError, SendError},
    record::Record,
    threads::{delivery::Delivery, poller::Poller, producer::Producer},
};

impl<P: Poller> Producer<P> {
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
    /// Called from `on_report`, it does not wait.
    ///
    /// # Errors
    ///
    /// Where a record was not taken, with the reason as [`Producer::send`] has it: no memory within the time, a record that is
    /// too large, and so on. Those before it were taken, as many as [`SendAllError::taken`] says and `deliveries` grew by; it and
    /// those behind it were not. To go on, skip as many. (An iterator that was passed by reference may have yielded more than
    /// were taken, so begin a new one.)
    pub fn send_all<'r, B: Borrow<Record<'r>>>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize, SendAllError> {
        self.send_all_for(topic, records, deliveries)
    }

    /// As [`Producer::send_all`], for records of which only `on_report` is told, where they have tokens. The tickets
    /// are for [`Producer::cancel`]; they hold on to nothing, and so cost a little less than deliveries.
    ///
    /// # Errors
    ///
    /// As [`Producer::send_all`].
    pub fn send_all_detached<'r, B: Borrow<Record<'r>>>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        tickets: &mut Vec<Ticket>,
    ) -> Result<usize, SendAllError> {
        self.send_all_for(topic, records, tickets)
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

    fn send_all_for<'r, B: Borrow<Record<'r>>, R: Receipt>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        receipts: &mut Vec<R>,
    ) -> Result<usize, SendAllError> {
        let mut sending = self.shards().sending_all(topic, records, receipts);
        loop {
            match sending.step() {
                Step::Taken(_) => {}
                Step::Wait(one) => sending.note(self.wait_for(one))?,
                Step::Done(taken) => return Ok(taken),
            }
        }
    }

    /// Waits until a record is taken.
    #[cold]
    pub(super) fn wait_for<R: Receipt>(
        &self,
        mut sending: SendFuture<'_, R>,
    ) -> Result<R, SendError> {
        if self.is_driver() {
            return sending.give_up();
        }
        let until = self.shards().clock().std(sending.wait_until());
        block_on(&mut sending, until).unwrap_or_else(|| sending.give_up())
    }
}
