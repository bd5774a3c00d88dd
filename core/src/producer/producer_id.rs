//! The producer id, and the epochs and sequences that batches are bound to.
//!
//! Epochs are per partition: brokers check them per partition only (semantics §3.8), so a gap on
//! one partition concerns no other.

use super::{Producer, poll_trace::trace};
use crate::{
    Disconnect, Event, Instant, NoProducerId,
    batch::{Batch, Life, compact, sequence_after},
    conn::Conn,
    coverage::seen,
    logging::tell,
    partition_slot::{Partition, Phase},
    slots::Ix,
    wire::ErrorCode,
};

/// From this epoch on a partition asks for a new producer id instead of another epoch, early
/// enough that the last epoch, 32767, is never needed.
const LAST_EPOCH: i16 = 32_000;

/// What becomes of the question for a producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// Idempotence is off.
    Never,
    /// Nobody needs another one.
    Rests,
    /// To be asked, and not before this.
    Due(Instant),
    Asked,
    /// The producer is closed.
    Over,
}

/// Whose name the producer's chains bear.
///
/// A chain keeps its name for as long as it goes on, whatever becomes of the question for another: so
/// one that needs a new name keeps no other waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// For chains that begin: producer id and epoch, the one that it came with or one that no partition
    /// had that was forgotten. None before the first.
    known: Option<(i64, i16)>,
    ask: Ask,
    /// No question for another one before this.
    not_before: Instant,
    /// Questions in a row that came to nothing.
    failures: u8,
    /// The last refusal since all brokers were last to be asked.
    heard: Option<NoProducerId>,
    /// The last error that a broker answered with, since there was one.
    error: ErrorCode,
    /// As it was told last: why there is none.
    refused: Option<NoProducerId>,
    untold: bool,
}

/// What a partition's next batch is to be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    /// The one that is.
    GoesOn,
    /// A new one, under this name.
    Begins { id: i64, epoch: i16 },
    /// One for which there is no name yet.
    Nameless,
}

impl Identity {
    pub(super) const fn new(enable_idempotence: bool) -> Self {
        Self {
            known: None,
            ask: if enable_idempotence { Ask::Due(Instant::ZERO) } else { Ask::Never },
            not_before: Instant::ZERO,
            failures: 0,
            heard: None,
            error: ErrorCode::NONE,
            refused: None,
            untold: false,
        }
    }

    /// Whether idempotence is off, or nothing is sent any more.
    pub(super) const fn is_off(&self) -> bool {
        matches!(self.ask, Ask::Never | Ask::Over)
    }

    /// The producer is closed. What was heard of producer ids is kept, to be told with the last batches.
    pub(super) fn end(&mut self) {
        if self.ask != Ask::Never {
            self.ask = Ask::Over;
        }
        self.untold = false;
    }

    /// Whether there will be a new one.
    pub(super) const fn comes(&self) -> bool {
        matches!(self.ask, Ask::Due(_) | Ask::Asked)
    }

    /// When a producer id is to be asked for.
    pub(super) const fn deadline(&self) -> Instant {
        if let Ask::Due(at) = self.ask { at } else { Instant::NEVER }
    }

    /// Why no record can be sent at all, as was told.
    #[inline]
    pub(super) const fn refusal(&self) -> Option<NoProducerId> {
        match self.refused {
            Some(why) if self.known.is_none() => Some(why),
            _ => None,
        }
    }

    /// Whether [`Producer::identity_event`] has something.
    pub(super) const fn has_output(&self) -> bool {
        self.untold
    }

    /// With what a broker that was asked for one answered last.
    pub(super) const fn last_error(&self) -> ErrorCode {
        self.error
    }

    /// The producer id, if there is one.
    #[cfg(feature = "_internal")]
    pub(super) const fn known(&self) -> Option<(i64, i16)> {
        self.known
    }

    #[cfg(feature = "_internal")]
    pub(super) fn is_asked(&self) -> bool {
        self.ask == Ask::Asked
    }
}

impl Producer<'_> {
    /// Whether a producer id is to be asked for now.
    pub(super) const fn wants_producer_id(&self) -> bool {
        self.identity.deadline().as_micros() <= self.now.as_micros() && self.registry.count() > 0
    }

    /// What there is to tell about producer ids.
    pub(super) fn identity_event(&mut self) -> Option<Event> {
        let told = core::mem::take(&mut self.identity.untold);
        told.then(|| self.identity.refused.map_or(Event::ProducerId, Event::NoProducerId))
    }

    /// The question for a producer id is in a request.
    pub(super) fn asked_for_producer_id(&mut self) {
        self.identity.ask = Ask::Asked;
    }

    /// The question was taken back before a byte of it left.
    pub(super) fn recall_producer_id(&mut self) {
        self.identity.ask = Ask::Due(self.now);
        // Whatever becomes of this connection, another look is due at once.
        self.timers.dial = self.now;
    }

    /// Takes a broker's answer to InitProducerId.
    ///
    /// # Errors
    ///
    /// It is none that a broker gives which is well: another one is to be asked.
    pub(super) fn handle_producer_id(
        &mut self,
        conn: Ix<Conn>,
        (error, id, epoch): (ErrorCode, i64, i16),
    ) -> Result<(), Disconnect> {
        if self.identity.ask != Ask::Asked {
            return Ok(());
        }
        let broker = self.conns.at(conn).broker;
        // One that was given before serves no better than then.
        let again = self.identity.known.is_some_and(|(known, _)| known == id);
        if error.is_none() && id >= 0 && (0..LAST_EPOCH).contains(&epoch) && !again {
            self.note_use(broker);
            self.name_chains(id, epoch);
            return Ok(());
        }
        self.brokers.at_mut(broker).gave_no_id = true;
        self.identity.error = error;
        if error.is_none() {
            self.retry_producer_id();
            return Err(Disconnect::ProducerIdRefused(error));
        }
        if error.is_retriable() {
            self.retry_producer_id();
            return Ok(());
        }
        let is_right = error == ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
        let why = if is_right { NoProducerId::NotAuthorized } else { NoProducerId::Refused(error) };
        self.identity.heard = Some(why);
        self.identity.ask = Ask::Due(self.now);
        self.ask_for_producer_id();
        if is_right { Ok(()) } else { Err(Disconnect::ProducerIdRefused(error)) }
    }

    /// There is a name for chains that begin.
    fn name_chains(&mut self, id: i64, epoch: i16) {
        tell!(info, "producer id {} at epoch {}", id, epoch);
        trace!(self, ProducerId { id: id, epoch: epoch });
        let wait = self.settings.least_retry_backoff();
        let identity = &mut self.identity;
        identity.known = Some((id, epoch));
        identity.ask = Ask::Rests;
        identity.not_before = self.now.later(wait);
        identity.failures = 0;
        identity.heard = None;
        identity.error = ErrorCode::NONE;
        identity.untold |= identity.refused.take().is_some();
        self.begin_round();
        for partition in self.partitions.indices() {
            if !self.partitions.at(partition).queue.is_empty() {
                self.reconsider(partition);
            }
        }
    }

    /// The question came to nothing: asks again, after a backoff, another broker if there is one.
    pub(super) fn retry_producer_id(&mut self) {
        if self.identity.ask == Ask::Asked {
            self.postpone_producer_id();
        }
    }

    fn postpone_producer_id(&mut self) {
        self.identity.failures = self.identity.failures.saturating_add(1);
        let wait = self.settings.retry_backoff(&mut self.random, self.identity.failures);
        self.identity.ask = Ask::Due(self.now.later(wait));
    }

    /// All brokers may be asked again.
    fn begin_round(&mut self) {
        for broker in self.brokers.indices() {
            self.brokers.at_mut(broker).gave_no_id = false;
        }
    }

    /// Whether a connection is one to ask for a producer id.
    pub(super) fn may_ask_for_producer_id(&self, conn: &Conn) -> bool {
        conn.is_at_leisure(self.now)
            && conn.versions.init_producer_id >= 0
            && !self.brokers.at(conn.broker).gave_no_id
    }

    /// Finds a broker to ask for a producer id, where that is due. Where all that can be asked have
    /// refused one, their refusal is told, and they are asked again after a backoff: a right may be
    /// granted, and a broker be upgraded.
    pub(super) fn ask_for_producer_id(&mut self) {
        if !self.wants_producer_id() || self.is_over() {
            return;
        }
        if let Some(conn) = self.best_conn(&|this, slot| this.may_ask_for_producer_id(slot)) {
            return self.wake_conn(conn);
        }
        for conn in self.conns.indices() {
            let slot = self.conns.at(conn);
            if slot.is_ready() && slot.versions.init_producer_id < 0 {
                self.brokers.at_mut(slot.broker).gave_no_id = true;
                self.identity.heard.get_or_insert(NoProducerId::NotOffered);
            }
        }
        let comes = self.conns.iter().any(|(_, slot)| slot.is_in_transit());
        if comes || self.dial_any(&|slot| !slot.gave_no_id) {
            return;
        }
        if self.brokers.iter().any(|(_, slot)| slot.gave_no_id) {
            self.begin_round();
            self.postpone_producer_id();
            if let Some(why) = self.identity.heard.take() {
                self.tell_no_producer_id(why);
            }
        }
    }

    /// No broker gives a producer id: what needs one is answered at once.
    fn tell_no_producer_id(&mut self, why: NoProducerId) {
        tell!(warn, "{}", why);
        let identity = &mut self.identity;
        identity.untold |= identity.refused != Some(why);
        identity.refused = Some(why);
        for home in self.partitions.indices() {
            if self.partitions.at(home).unbound.is_some()
                && self.next_chain(home) == Chain::Nameless
            {
                self.refuse_nameless(home, why);
            }
        }
    }

    /// Asks for another producer id, not before `at`.
    fn want_producer_id(&mut self, at: Instant) {
        if self.identity.ask == Ask::Rests {
            seen!(self, Rotated);
            self.identity.ask = Ask::Due(at.max(self.identity.not_before));
            self.ask_for_producer_id();
        }
    }

    fn next_chain(&self, home: Ix<Partition>) -> Chain {
        let partition = self.partitions.at(home);
        if partition.phase == Phase::Normal && partition.producer_id >= 0
            || self.identity.ask == Ask::Never
        {
            return Chain::GoesOn;
        }
        match self.identity.known {
            Some((id, epoch)) if id != partition.producer_id && epoch <= LAST_EPOCH => {
                Chain::Begins { id, epoch }
            }
            Some((id, _))
                if id == partition.producer_id
                    && !partition.fenced
                    && partition.epoch < LAST_EPOCH =>
            {
                Chain::Begins { id, epoch: partition.epoch + 1 }
            }
            Some(_) | None => Chain::Nameless,
        }
    }

    /// Whether there is a name for the partition's next batch.
    pub(super) fn has_name(&self, home: Ix<Partition>) -> bool {
        self.next_chain(home) != Chain::Nameless
    }

    /// Sees to it that a producer id is asked for where a partition needs another one.
    pub(super) fn seek_name(&mut self, home: Ix<Partition>) {
        let partition = self.partitions.at(home);
        if partition.unbound.is_some() && partition.bound == 0 && !self.has_name(home) {
            self.want_producer_id(self.partitions.at(home).retry_at);
        }
    }

    /// A partition is about to be forgotten. Should it be heard of again, its chain must not begin where
    /// this one did: to a broker, that would be the same batches (semantics I1).
    pub(super) fn leave_chain(&mut self, index: Ix<Partition>) {
        let partition = self.partitions.at(index);
        let used = partition.next_sequence != 0 || partition.last_acked >= 0;
        if let Some((id, epoch)) = &mut self.identity.known
            && *id == partition.producer_id
            && used
        {
            *epoch = partition.epoch.saturating_add(1).max(*epoch);
        }
    }

    /// Whether the partition's chain can take another batch; begins a new one where the old one
    /// has come to its end.
    pub(super) fn chain_is_open(&mut self, index: Ix<Partition>) -> bool {
        let chain = self.next_chain(index);
        let partition = self.partitions.at_mut(index);
        match chain {
            Chain::GoesOn => return true,
            // Nothing of the old epoch may be under way when the new one begins (semantics I3).
            Chain::Begins { .. } if partition.bound > 0 => return false,
            Chain::Nameless => return false,
            Chain::Begins { id, epoch } => {
                let bumped = partition.producer_id == id;
                partition.begin_chain(id, epoch);
                if bumped {
                    seen!(self, NewEpoch);
                    tell!(warn, "{}: epoch {} begins", self.topic_at(index), epoch);
                    trace!(self, index, Epoch(epoch));
                    self.stats.epoch_bumps += 1;
                }
            }
        }
        true
    }

    /// Closes ranks in an open or sealed batch, so that it can be bound.
    pub(super) fn prepare(&mut self, index: Ix<Batch>) {
        self.queues.end_linger(&mut self.batches, index);
        let batch = self.batches.at_mut(index);
        batch.life = Life::Sealed;
        debug_assert!(batch.withdrawn < batch.records, "with its last record a batch is over");
        let (before, free) = (batch.len, self.pages.free());
        compact(&mut self.pages, batch, self.settings.checksum);
        let shrunk = before - batch.len;
        if self.pages.free() > free {
            self.back_pressure.note_room();
        }
        let partition = batch.partition;
        self.partitions.at_mut(partition).queued -= shrunk;
    }

    /// Binds a prepared batch to the next sequences of its partition's chain, which is open.
    pub(super) fn bind(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at_mut(index);
        let partition = self.partitions.at_mut(batch.partition);
        debug_assert!(partition.unbound == index, "batches are bound in order");
        partition.unbound = batch.queue.next();
        partition.bound += 1;
        batch.life = Life::Idle;
        if self.identity.is_off() {
            (batch.producer_id, batch.producer_epoch, batch.base_sequence) = (-1, -1, -1);
        } else {
            batch.producer_id = partition.producer_id;
            batch.producer_epoch = partition.epoch;
            batch.base_sequence = partition.next_sequence;
            partition.next_sequence = sequence_after(partition.next_sequence, batch.records);
        }
    }

    /// Takes the sequences back from the last bound batch of a partition, of which no byte counts.
    pub(super) fn unbind(&mut self, index: Ix<Batch>) {
        seen!(self, Unbound);
        let batch = self.batches.at_mut(index);
        let partition = self.partitions.at_mut(batch.partition);
        debug_assert!(batch.queue.next() == partition.unbound, "the last bound batch goes first");
        partition.unbound = index;
        partition.bound -= 1;
        if partition.phase != Phase::Sealing {
            partition.next_sequence = batch.base_sequence;
        }
        batch.life = Life::Sealed;
        debug_assert!(!batch.may_be_in_log(), "what may be in the log keeps its name");
        batch.base_sequence = 0;
        batch.after_gap = false;
        batch.pipelined = false;
        batch.attempts = 0;
    }

    /// Brings a partition that is being sealed nearer to its new epoch: what cannot have been
    /// appended goes back to the batches without a sequence, last one first.
    pub(super) fn unwind(&mut self, index: Ix<Partition>) {
        loop {
            let partition = self.partitions.at(index);
            if partition.phase != Phase::Sealing || partition.in_flight > 0 || partition.bound == 0
            {
                return;
            }
            let last = self.last_bound(index);
            let batch = self.batches.at(last);
            if batch.may_be_in_log() {
                return;
            }
            self.unbind(last);
        }
    }
}
