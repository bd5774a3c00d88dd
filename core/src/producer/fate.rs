//! What becomes of a batch. No other code ends one.
//!
//! Semantics §6 is the specification: cancel detaches the caller and never edits the chain of
//! sequences; ambiguity sticks until the broker says that the batch is in the log.

use super::{BatchOutcome, Producer, poll_trace::trace, record_errors::LISTENS};
use crate::{
    Cause, LastError, NoProducerId, OnUnknown, Outcome,
    batch::{Batch, Exposure, Life, Told, sequence_after, sequence_reached},
    coverage::seen,
    logging::tell,
    partition_slot::{Partition, Phase},
    slots::Ix,
    wire::{ErrorCode, Evidence},
};

/// A broker's answer about one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) error: ErrorCode,
    pub(crate) base_offset: i64,
    pub(crate) log_append_time: i64,
    pub(crate) log_start_offset: i64,
}

impl Producer<'_> {
    /// Takes a broker's answer about a batch that is in no request any more.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn handle_answer(&mut self, index: Ix<Batch>, answer: Answer) {
        let code = answer.error;
        if code == ErrorCode::NONE {
            self.acknowledge(index, &answer);
        } else if code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER
            && self.batches.at(index).may_be_in_log()
        {
            self.acknowledge(index, &Answer { base_offset: -1, log_append_time: -1, ..answer });
        } else if is_about_sequences(code) || code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER {
            // A duplicate that was never sent before is one of somebody else's sequences.
            self.note_attempt(index, Exposure::NotAppended);
            self.handle_out_of_order(index, answer.log_start_offset);
        } else if is_about_names(code) {
            self.note_attempt(index, Exposure::NotAppended);
            self.handle_fenced(index, code);
        } else {
            let proof = match code.evidence() {
                Evidence::NotAppended => {
                    seen!(self, NotAppended);
                    Exposure::NotAppended
                }
                Evidence::Ambiguous | Evidence::Appended => {
                    seen!(self, MaybeAppended);
                    Exposure::Ambiguous
                }
            };
            self.note_attempt(index, proof);
            if proof == Exposure::NotAppended && !code.is_retriable() {
                self.refuse(index, code);
            }
            if code.refreshes_metadata() {
                self.want_metadata();
            }
        }
    }

    /// Takes note of what one attempt proves; what earlier ones left open stays open.
    pub(super) fn note_attempt(&mut self, index: Ix<Batch>, proof: Exposure) {
        let batch = self.batches.at_mut(index);
        batch.exposure = batch.exposure.max(proof);
        let adds = proof == Exposure::Ambiguous && !batch.recognised;
        batch.copies = batch.copies.saturating_add(u8::from(adds));
        batch.unjudged = false;
    }

    fn acknowledge(&mut self, index: Ix<Batch>, answer: &Answer) {
        seen!(self, Acknowledged);
        let batch = self.batches.at(index);
        let (home, epoch, last) = (batch.partition, batch.producer_epoch, batch.last_sequence());
        let echoes = batch.copies > 0;
        // What cannot be is no offset.
        let end = answer.base_offset.checked_add(i64::from(batch.records) - 1);
        let base = end.filter(|_| answer.base_offset >= 0).map(|_| answer.base_offset);
        let cut = self.is_cut(index, base);
        if let Some(base) = base.filter(|_| self.has_predecessor(index)) {
            self.settle_before(index, base, answer);
        }
        // One that was on its way when an older one failed says nothing of what the broker would
        // take now.
        let oldest = !self.has_predecessor(index);
        let partition = self.partitions.at(home);
        let by_leader = self.conns.at(partition.conn).broker == partition.leader;
        let partition = self.partitions.at_mut(home);
        let end = base.and(end).unwrap_or(-1);
        if partition.epoch == epoch {
            if sequence_reached(partition.last_acked, last) {
                partition.last_acked = last;
                partition.last_offset = end;
                partition.echoes = echoes;
            } else if partition.last_offset.min(end) < 0 {
                partition.last_offset = -1;
            } else {
                // Where the newest was probed for, those before it are acknowledged after it, and may lie
                // behind it.
                partition.last_offset = partition.last_offset.max(end);
            }
        }
        partition.proven |= by_leader && oldest;
        partition.failures = 0;
        partition.fault = None;
        partition.hastened = false;
        self.note_remembered(index, answer.log_append_time);
        if cut {
            seen!(self, LogCut);
            self.partitions.at_mut(home).proven = false;
            self.stats.desyncs += 1;
            tell!(warn, "{}: the log was cut below what was acknowledged", self.topic_at(home));
            trace!(self, home, LogCut);
        }
        if self.partitions.at(home).phase == Phase::Probing {
            seen!(self, ProbeFound);
            self.end_probes(home);
        }
        let log_append_time = (answer.log_append_time >= 0).then_some(answer.log_append_time);
        self.settle(index, Outcome::Delivered { base_offset: base, log_append_time });
    }

    fn has_predecessor(&self, index: Ix<Batch>) -> bool {
        self.batches.at(index).queue.prev().is_some()
    }

    /// Whether a batch lies where something lay that was acknowledged before it: then the log has
    /// lost that, and with it perhaps the broker its record of the producer.
    fn is_cut(&self, index: Ix<Batch>, base: Option<i64>) -> bool {
        let partition = self.partitions.at(self.batches.at(index).partition);
        let follows = self.records_since_acked(index).is_some();
        follows && base.is_some_and(|base| base <= partition.last_offset)
    }

    /// How many records of its epoch lie between the last that was acknowledged and a batch's first;
    /// none where nothing was acknowledged in the epoch, or something behind the batch.
    fn records_since_acked(&self, index: Ix<Batch>) -> Option<u32> {
        let batch = self.batches.at(index);
        let partition = self.partitions.at(batch.partition);
        let known = partition.last_acked >= 0 && partition.epoch == batch.producer_epoch;
        if !known
            || !batch.is_bound()
            || !sequence_reached(partition.last_acked, batch.base_sequence)
        {
            return None;
        }
        let next = sequence_after(partition.last_acked, 1);
        Some((batch.base_sequence as u32).wrapping_sub(next as u32) & 0x7fff_ffff)
    }

    /// Settles what was sent between the last batch that was acknowledged and this one, where the log
    /// has just as many offsets between them as records were sent: then these are the records
    /// (decision 43). Where the log was cut there is no room for any. That the later one was taken proves nothing by itself: a broker that has
    /// forgotten a producer takes any sequence.
    fn settle_before(&mut self, index: Ix<Batch>, base: i64, answer: &Answer) {
        let home = self.batches.at(index).partition;
        let first = self.partitions.at(home).queue.head();
        let anchor = self.partitions.at(home).last_offset;
        let between = self.records_since_acked(index).map(i64::from);
        let distance = anchor.checked_add(1).and_then(|next| base.checked_sub(next));
        let batch = self.batches.at(index);
        // It must not be a second copy of itself that lies there. A duplicate is answered with a time, where
        // something new has one by the broker's clock only.
        let recognised = batch.recognised && answer.log_append_time >= 0;
        let first_copy = batch.copies == 0 || recognised;
        if anchor < answer.log_start_offset.max(0) || between != distance || !first_copy {
            return;
        }
        let (mut sent, mut next) = (0, first);
        while let Some(before) = next.some().filter(|before| *before != index) {
            let batch = self.batches.at(before);
            next = batch.queue.next();
            if self.records_since_acked(before).is_none() {
                continue;
            }
            if !batch.may_be_in_log() || batch.copies != 1 {
                // What was refused each time lies nowhere, and what may lie there twice takes more room.
                return;
            }
            sent += i64::from(batch.records);
        }
        if between != Some(sent) {
            return;
        }
        next = first;
        while let Some(before) = next.some().filter(|before| *before != index) {
            let batch = self.batches.at(before);
            next = batch.queue.next();
            // One that is on its way again has an answer to come.
            let waits = batch.life == Life::Idle;
            if let Some(since) = self.records_since_acked(before).filter(|_| waits) {
                seen!(self, Overtaken);
                let base_offset = Some(anchor + 1 + i64::from(since));
                self.settle(before, Outcome::Delivered { base_offset, log_append_time: None });
            }
        }
    }

    /// Has a partition that was probing go on in order. Where a sequence behind its batches was given
    /// up before, its epoch is over all the same.
    pub(super) fn end_probes(&mut self, home: Ix<Partition>) {
        let mut next = self.partitions.at(home).queue.head();
        while let Some(index) = next.some().filter(|index| self.batches.at(*index).is_bound()) {
            let batch = self.batches.at_mut(index);
            batch.probed = false;
            next = batch.queue.next();
        }
        let last = self.batches.at(self.last_bound(home)).last_sequence();
        let partition = self.partitions.at_mut(home);
        let whole = partition.next_sequence == sequence_after(last, 1);
        partition.phase = if whole { Phase::Normal } else { Phase::Sealing };
    }

    /// The broker's next sequence is not this batch's (semantics §6.4, rule 3).
    fn handle_out_of_order(&mut self, index: Ix<Batch>, log_start_offset: i64) {
        let batch = self.batches.at(index);
        let home = batch.partition;
        self.partitions.at_mut(home).proven = false;
        let partition = self.partitions.at(home);
        if partition.phase == Phase::Probing {
            self.batches.at_mut(index).probed = true;
        } else if batch.pipelined {
            // Says nothing but that this attempt came before its predecessor. What is not pipelined
            // has no predecessor that is open: the oldest of those is sent first.
            seen!(self, OutOfOrderBehind);
        } else if !batch.may_be_in_log() {
            seen!(self, OutOfOrderNotAppended);
            // Where all that was acknowledged has left the log since, so has its memory of us.
            let expired = log_start_offset > partition.last_offset && partition.last_offset >= 0;
            let expected = self.batches.at(index).after_gap || expired;
            self.stats.desyncs += u64::from(!expected);
            tell!(warn, "{}: the broker expects another sequence", self.topic_at(home));
            trace!(self, home, Desync);
            self.partitions.at_mut(home).phase = Phase::Sealing;
        } else {
            // Behind a gap that is no surprise.
            self.stats.desyncs += u64::from(!batch.after_gap);
            tell!(warn, "{}: the broker lost its record of this producer", self.topic_at(home));
            trace!(self, home, Unremembered);
            self.batches.at_mut(index).probed = true;
            self.partitions.at_mut(home).phase = Phase::Probing;
        }
    }

    /// Gives up on what may have been appended once no probe is left: this broker cannot tell.
    pub(super) fn end_probing(&mut self, home: Ix<Partition>) {
        let partition = self.partitions.at(home);
        if partition.in_flight > 0 || self.next_probe(home).is_some() {
            return;
        }
        seen!(self, ProbeFailed);
        self.partitions.at_mut(home).phase = Phase::Sealing;
        self.settle_ambiguous(home, Cause::SequenceMismatch);
    }

    /// Ends what may be in the log, since its leader may have forgotten this producer and would take it
    /// once more. What follows goes out in a new epoch.
    pub(super) fn settle_forgotten(&mut self, home: Ix<Partition>) {
        self.seal(home);
        self.settle_ambiguous(home, Cause::Forgotten);
    }

    /// Ends what may be in the log and cannot be found out any more; nothing is in flight.
    fn settle_ambiguous(&mut self, home: Ix<Partition>, cause: Cause) {
        let mut next = self.partitions.at(home).queue.head();
        while let Some(index) = next.some() {
            let batch = self.batches.at(index);
            next = batch.queue.next();
            if batch.is_bound() && batch.may_be_in_log() {
                self.settle(index, Outcome::Unknown(cause));
            }
        }
    }

    /// Somebody else has this producer id at a newer epoch: it can serve no more.
    fn handle_fenced(&mut self, index: Ix<Batch>, code: ErrorCode) {
        seen!(self, Fenced);
        let batch = self.batches.at(index);
        let home = batch.partition;
        tell!(warn, "{}: fenced, {}", self.topic_at(home), code);
        let ambiguous = batch.may_be_in_log();
        trace!(self, home, Fenced(code));
        let partition = self.partitions.at_mut(home);
        partition.phase = Phase::Sealing;
        partition.fenced = true;
        self.strike(index);
        if ambiguous {
            self.settle(index, Outcome::Unknown(Cause::Broker(code)));
        }
    }

    /// The broker refused a batch for good.
    fn refuse(&mut self, index: Ix<Batch>, code: ErrorCode) {
        if self.batches.at(index).may_be_in_log() {
            // An earlier attempt may be in the log: this refusal says nothing of it.
            seen!(self, RefusedAmbiguous);
            self.tell_unknown(index, Cause::Broker(code));
            let batch = self.batches.at_mut(index);
            batch.refusals = batch.refusals.saturating_add(1);
            let own = !is_about_rights(code) && batch.life != Life::Done;
            if batch.refusals >= LAST_REFUSAL && own {
                // What is wrong is the batch, and will be: those that follow need not wait for it.
                self.seal(self.batches.at(index).partition);
                self.settle(index, Outcome::Unknown(Cause::Broker(code)));
            }
        } else if self.goes_plain(index, code) {
            // It leaves at once, as it is.
        } else if is_too_large(code) && self.may_split(index) {
            // Half the size each, and the same sequences; where there is no memory for that now, the
            // batch waits for it (KIP-126).
            if !self.split(index) {
                self.back_off(self.batches.at(index).partition);
            }
        } else {
            seen!(self, Refused);
            tell!(warn, "{}: refused, {}", self.topic_at(self.batches.at(index).partition), code);
            trace!(self, self.batches.at(index).partition, Refused(code));
            self.leave_gap(index);
            self.settle(index, Outcome::NotDelivered(Cause::Broker(code)));
        }
    }

    /// Whether an answer can do no more to a batch than refuse it: then no byte of it will be sent again.
    pub(super) fn is_refusal(&self, index: Ix<Batch>, code: ErrorCode) -> bool {
        let proof = matches!(code.evidence(), Evidence::NotAppended) && !code.is_retriable();
        let other = is_about_sequences(code) || is_about_names(code) || is_too_large(code);
        #[cfg(feature = "compression")]
        let other = other || self.is_refused_codec(index, code);
        proof && !other && !self.batches.at(index).may_be_in_log()
    }

    /// Whether a refusal is of how a batch is compressed, and it goes out plain instead.
    #[cfg_attr(not(feature = "compression"), expect(clippy::unused_self, reason = "a constant"))]
    #[inline(always)]
    fn goes_plain(&mut self, index: Ix<Batch>, code: ErrorCode) -> bool {
        #[cfg(feature = "compression")]
        return self.leaves_plain_if_refused(index, code);
        #[cfg(not(feature = "compression"))]
        {
            let _ = (index, code);
            false
        }
    }

    /// A batch of which `Unknown` was told is one that its caller does not wait for: it is told
    /// the rest of the truth instead.
    fn may_split(&self, index: Ix<Batch>) -> bool {
        let batch = self.batches.at(index);
        batch.records > 1 && batch.told == Told::Nothing
    }

    /// `resolve.timeout.ms` is over for a batch of which `Unknown` was told.
    pub(super) fn abandon(&mut self, index: Ix<Batch>, cause: Cause) {
        let batch = self.batches.at(index);
        let home = batch.partition;
        if batch.life == Life::InFlight {
            // Its request must not be answered to a slot that serves another batch by then.
            self.drop_connection(self.partitions.at(home).conn, crate::Disconnect::RequestTimedOut);
        }
        if self.batches.at(index).life == Life::Done {
            return;
        }
        if self.batches.at(index).may_be_in_log() {
            self.seal(home);
            self.settle(index, Outcome::Unknown(cause));
        } else {
            if self.batches.at(index).is_bound() {
                self.leave_gap(index);
            }
            self.settle(index, Outcome::NotDelivered(cause));
        }
        self.reconsider(home);
    }

    /// With [`OnUnknown::Abandon`](crate::OnUnknown), a batch of which `Unknown` was told is not
    /// sent again: once no answer can come for it any more, it is given up.
    pub(super) fn abandon_told(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at(index);
        let over = batch.life == Life::Idle && batch.told != Told::Nothing;
        if self.settings.on_unknown == OnUnknown::Abandon && over {
            seen!(self, Abandoned);
            self.abandon(index, Cause::Abandoned);
        }
    }

    /// `delivery.timeout.ms` is over for a batch: answers its callers.
    pub(super) fn expire(&mut self, index: Ix<Batch>) {
        let cause = Cause::DeliveryTimeout;
        #[cfg(feature = "_internal")]
        self.note_case(index);
        if self.batches.at(index).life == Life::InFlight {
            self.recall_if_unsent(index);
        }
        let batch = self.batches.at(index);
        let home = batch.partition;
        match (batch.life, batch.exposure) {
            (Life::Open | Life::Sealed, _) => {
                self.settle(index, Outcome::NotDelivered(cause));
            }
            (Life::Idle, Exposure::Never | Exposure::NotAppended) => {
                self.leave_gap(index);
                self.settle(index, Outcome::NotDelivered(cause));
            }
            (Life::InFlight, _) | (Life::Idle, Exposure::Ambiguous) => {
                self.tell_unknown(index, cause);
            }
            (Life::Free | Life::Done, _) => {}
        }
        self.reconsider(home);
    }

    /// Ends everything that is left, at the end of `close` or of the producer.
    pub(super) fn give_up_everything(&mut self, cause: Cause) {
        for conn in self.conns.indices() {
            // Who hears of the last batches asks for what stood in their way when connections are gone.
            let slot = self.conns.at(conn);
            if slot.throttled_until > self.now {
                self.brokers.at_mut(slot.broker).trouble = Some(LastError::Throttled);
            }
            self.drop_connection(conn, crate::Disconnect::Closed);
        }
        for index in self.batches.indices() {
            let batch = self.batches.at_mut(index);
            // No connection is left that it could be on: whoever took it off one was interrupted.
            let lost = batch.life == Life::InFlight;
            if lost {
                batch.life = Life::Idle;
            }
            let outcome = match (batch.life, batch.exposure) {
                (Life::Free | Life::Done, _) => continue,
                _ if lost || batch.unjudged => Outcome::Unknown(cause),
                (_, Exposure::Ambiguous) => Outcome::Unknown(cause),
                (_, Exposure::Never | Exposure::NotAppended) => Outcome::NotDelivered(cause),
            };
            seen!(self, C9Close);
            self.settle(index, outcome);
        }
        self.metadata = super::metadata::Metadata::NEW;
        self.timers = super::deadlines::Timers::NEW;
        self.backoff.forget_time();
        self.identity.end();
    }

    /// The topic was deleted and created again: what was sent to the old one can no longer be
    /// resolved, and its chain is over.
    pub(super) fn leave_incarnation(&mut self, home: Ix<Partition>) {
        seen!(self, Recreated);
        if self.identity.is_off() {
            return;
        }
        let partition = self.partitions.at_mut(home);
        partition.phase = Phase::Sealing;
        partition.proven = false;
        if partition.in_flight > 0 {
            return;
        }
        self.settle_ambiguous(home, Cause::Recreated);
        self.reconsider(home);
    }

    /// The same for a partition that had batches in flight when that was heard, once all are back.
    pub(super) fn leave_incarnation_if_landed(&mut self, home: Ix<Partition>) {
        let partition = self.partitions.at_mut(home);
        if partition.orphaned && partition.in_flight == 0 {
            partition.orphaned = false;
            self.leave_incarnation(home);
        }
    }

    /// Tells the callers of a batch `Unknown`, once; the batch goes on to be resolved.
    fn tell_unknown(&mut self, index: Ix<Batch>, cause: Cause) {
        let batch = self.batches.at_mut(index);
        if batch.told != Told::Nothing {
            return;
        }
        batch.told = Told::Pending(cause);
        batch.since = self.now;
        self.queues.tell_unknown(&mut self.batches, index);
        self.abandon_told(index);
    }

    /// Ends a batch that is in no request: takes it out of its partition, frees its pages, and has
    /// its event told.
    fn settle(&mut self, index: Ix<Batch>, outcome: Outcome) {
        #[cfg(feature = "compression")]
        self.set_form(index, crate::batch::Form::Plain);
        let batch = self.batches.at_mut(index);
        debug_assert!(batch.life != Life::InFlight, "its request still points at it");
        let records = batch.records - batch.withdrawn.min(batch.records);
        tell!(debug, "{} records of batch {}: {:?}", records, index.number(), outcome);
        match outcome {
            Outcome::Delivered { .. } => self.stats.delivered += u64::from(records),
            Outcome::NotDelivered(_) => self.stats.not_delivered += u64::from(records),
            Outcome::Unknown(_) => self.stats.unknown += u64::from(records),
        }
        batch.records = records;
        batch.withdrawn = 0;
        batch.outcome = outcome;
        let home = batch.partition;
        let partition = self.partitions.at_mut(home);
        partition.bound -= u8::from(batch.is_bound());
        partition.queued -= batch.len;
        if partition.unbound == index {
            partition.unbound = batch.queue.next();
        }
        batch.life = Life::Done;
        let untold = batch.told == Told::Nothing;
        partition.queue.remove(&mut self.batches, index);
        // Nobody wants records back that are delivered, or that their callers took out.
        if records == 0 || matches!(outcome, Outcome::Delivered { .. }) {
            self.free_records(index);
        }
        self.queues.settle(&mut self.batches, index, untold);
    }

    /// Ends a batch whose records were all taken out by their callers.
    pub(super) fn forget(&mut self, index: Ix<Batch>) {
        self.settle(index, Outcome::NotDelivered(Cause::Cancelled));
    }

    /// Takes the next thing that a batch has to tell.
    #[inline]
    pub(super) fn next_settled(&mut self) -> Option<BatchOutcome> {
        let index = self.queues.pop_output(&mut self.batches)?;
        let batch = self.batches.at_mut(index);
        let (outcome, late, last) = match batch.told {
            told if batch.life == Life::Done => {
                self.queues.show(index);
                (batch.outcome, told == Told::Unknown, true)
            }
            Told::Pending(cause) => {
                batch.told = Told::Unknown;
                (Outcome::Unknown(cause), false, false)
            }
            Told::Nothing | Told::Unknown => (batch.outcome, false, true),
        };
        let (first, records, unique) = (batch.first, batch.records, !batch.repeated);
        let (origin, home) = (batch.origin, batch.partition);
        let whole = (records, outcome);
        let (records, outcome) =
            if LISTENS && batch.judged { self.next_part(index, outcome) } else { whole };
        let partition = self.partitions.at(home);
        Some(BatchOutcome {
            batch: self.batch_id(origin),
            topic: self.topic_id(partition.topic),
            partition: partition.number,
            first,
            records,
            outcome,
            late,
            last,
            unique,
        })
    }

    /// Ends what waits for a name that no broker gives.
    pub(super) fn refuse_nameless(&mut self, home: Ix<Partition>, why: NoProducerId) {
        while let Some(index) = self.partitions.at(home).unbound.some() {
            self.settle(index, Outcome::NotDelivered(Cause::NoProducerId(why)));
        }
    }

    /// With `acks=0` nothing more will be heard of a batch once its bytes are out.
    pub(super) fn settle_unanswered(&mut self, index: Ix<Batch>) {
        self.note_attempt(index, Exposure::Ambiguous);
        self.settle(index, Outcome::Unknown(Cause::NoAcks));
    }
}

/// How often a batch that may be in the log is refused for good before it is given up. Once or
/// twice may be a leader that was not quite itself.
const LAST_REFUSAL: u8 = 3;

fn is_too_large(code: ErrorCode) -> bool {
    code == ErrorCode::MESSAGE_TOO_LARGE || code == ErrorCode::RECORD_LIST_TOO_LARGE
}

/// The producer's id or epoch is none, or no longer, that the broker takes.
fn is_about_names(code: ErrorCode) -> bool {
    code == ErrorCode::INVALID_PRODUCER_EPOCH || code == ErrorCode::INVALID_PRODUCER_ID_MAPPING
}

/// A right that was taken away concerns those that follow as well, and may be given back.
fn is_about_rights(code: ErrorCode) -> bool {
    code == ErrorCode::TOPIC_AUTHORIZATION_FAILED || code == ErrorCode::CLUSTER_AUTHORIZATION_FAILED
}

/// The broker expects another sequence, or none: what that says depends on the chain.
pub(super) fn is_about_sequences(code: ErrorCode) -> bool {
    code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER || code == ErrorCode::UNKNOWN_PRODUCER_ID
}
