//! Which records of a refused batch were at fault, and what the broker says of them (KIP-467).
//!
//! A broker names them behind the error itself, and one may be in another window than the other. So the answer
//! about the batch is not acted on before all of it is read, or the connection is lost.

use super::Producer;
use crate::{
    Cause, Outcome, Remark,
    batch::{Batch, Chunks, Marker},
    conn::{Conn, Kept},
    logging::tell,
    slots::Ix,
    wire::produce::{self, Text},
};

/// Whether it is listened to. Where it is not, nothing of what follows is linked.
pub(super) const LISTENS: bool = cfg!(feature = "record-errors");

/// Who hears what a broker says in words.
pub(super) type OnRemark<'a> = &'a mut dyn FnMut(&Remark<'_>);

impl Producer<'_> {
    /// Puts the answer about a batch aside until all is read that a broker says of its records; false where
    /// nothing is to come, or it would be of no use.
    pub(super) fn put_aside(
        &mut self,
        conn: Ix<Conn>,
        batch: Ix<Batch>,
        part: &produce::Partition,
    ) -> bool {
        let tells = !part.error.is_none() && self.conns.at(conn).versions.produce >= 8;
        if !tells || !self.is_refusal(batch, part.error) {
            return false;
        }
        let marker = Marker::new(self.batches.at(batch));
        let place = &mut self.conns.at_mut(conn).place;
        place.error = part.error;
        place.kept = Kept::Refused { batch, marker };
        true
    }

    /// A broker names a record at fault. If it cannot be that one, whatever it names is not believed.
    pub(super) fn read_record_error(
        &mut self,
        conn: Ix<Conn>,
        number: i32,
        message: Option<Text<'_>>,
        on_remark: OnRemark<'_>,
    ) {
        let Kept::Refused { batch, marker } = &mut self.conns.at_mut(conn).place.kept else {
            return;
        };
        let batch = self.batches.at_mut(*batch);
        if marker.mark(&mut self.pages, batch, number) {
            self.pass_on(conn, Some(number as u32), message, on_remark);
        } else {
            batch.judged = false;
            marker.end();
            tell!(warn, "fault is found with record {} of a batch of {}", number, batch.records);
        }
    }

    /// All is read that a broker says of a batch that it refuses.
    pub(super) fn read_error_message(
        &mut self,
        conn: Ix<Conn>,
        message: Option<Text<'_>>,
        on_remark: OnRemark<'_>,
    ) {
        self.pass_on(conn, None, message, on_remark);
        self.conclude_refusal(conn, true);
    }

    /// Tells what a broker says of one record of a batch that it refuses, or of all of it.
    fn pass_on(
        &self,
        conn: Ix<Conn>,
        number: Option<u32>,
        message: Option<Text<'_>>,
        on_remark: OnRemark<'_>,
    ) {
        let (Kept::Refused { batch, .. }, Some(text)) = (self.conns.at(conn).place.kept, message)
        else {
            return;
        };
        let batch = self.batches.at(batch);
        tell!(warn, "{}: {}", self.topic_at(batch.partition), text);
        on_remark(&Remark {
            batch: self.batch_id(batch.origin),
            first: batch.first + number.unwrap_or(0),
            records: number.map_or(batch.records, |_| 1),
            single: number.is_some(),
            text,
        });
    }

    /// Acts on an answer that was put aside, if there is one. Where not all of it came, a record that was not
    /// named may be at fault as well: so nobody is told to be innocent, and nobody else.
    pub(super) fn conclude_refusal(&mut self, conn: Ix<Conn>, whole: bool) {
        let place = &mut self.conns.at_mut(conn).place;
        let Kept::Refused { batch, .. } = place.kept else {
            return;
        };
        place.kept = Kept::Nothing;
        let error = place.error;
        let slot = self.batches.at_mut(batch);
        slot.judged &= whole;
        let part = produce::Partition {
            index: self.partitions.at(slot.partition).number,
            error,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
        };
        self.conclude(conn, batch, part);
    }

    /// What is told of a refused batch next: the records that follow each other and are all at fault, or none
    /// of them. How many they are, and what becomes of them.
    #[cold]
    pub(super) fn next_part(&mut self, index: Ix<Batch>, outcome: Outcome) -> (u32, Outcome) {
        let batch = self.batches.at(index);
        let at_fault = self.part.advance(&self.pages, batch);
        let records = self.part.records;
        if records < batch.records {
            self.queues.push_output_again(&mut self.batches, index);
        }
        let Outcome::NotDelivered(Cause::Broker(code)) = outcome else {
            return (records, outcome);
        };
        let cause = if at_fault { Cause::AtFault } else { Cause::Neighbour };
        (records, Outcome::NotDelivered(cause(code)))
    }

    /// Leaves the part of a batch that was shown; whether there are more.
    #[inline(always)]
    pub(super) fn leave_part(&mut self, index: Ix<Batch>) -> bool {
        if !LISTENS || self.part.len == 0 {
            return false;
        }
        let batch = self.batches.at_mut(index);
        if !batch.event.is_listed() {
            self.part.len = 0;
            return false;
        }
        batch.first += self.part.records;
        batch.records -= self.part.records;
        true
    }

    /// The bytes of the part of a batch that is shown; `None` where all of it is.
    pub(super) fn part_bytes(&self) -> Option<(&[u8], Chunks<'_>)> {
        (LISTENS && self.part.len > 0).then(|| self.part.bytes(&self.pages))
    }
}
