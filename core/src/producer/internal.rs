//! For tests alone: states that take too long to reach by way of the public face.

use super::Producer;
use crate::{
    Instant, Seen, TopicId,
    batch::{Batch, Exposure, Life, Told},
    conn::{Conn, State},
    partition_slot::{Partition, Phase},
    slots::Ix,
    topic_slot::Knowledge,
};

impl Producer<'_> {
    /// How often a case of semantics §6 was come through.
    #[doc(hidden)]
    #[must_use]
    pub fn internal_seen(&self, case: Seen) -> u32 {
        self.seen.count(case)
    }

    /// What a caller would sleep over that went to sleep now; `None` at rest.
    #[doc(hidden)]
    #[must_use]
    pub fn internal_overlooked(&self) -> Option<&'static str> {
        self.overlooked()
    }

    /// Whether all records are refused, since the producer is closing or must do without a producer id.
    #[doc(hidden)]
    #[must_use]
    pub fn internal_takes_nothing(&self) -> bool {
        !self.lifecycle.is_open() || self.identity.refusal().is_some()
    }

    /// Whether what comes on the connection of a slot is to be read, whether it has bytes to write, and
    /// whether it is to be asked for some.
    #[doc(hidden)]
    #[must_use]
    pub fn internal_wants(&self, slot: usize) -> (bool, bool, bool) {
        let slot = self.conns.at(Ix::new(slot as u32));
        (slot.is_open(), slot.is_open() && !slot.tx.is_nothing(), slot.write.is_listed())
    }

    /// Has an idle partition's chain go on at this epoch and sequence, as if it had come there.
    /// False where there is no such partition, no producer id yet, or something in the queue.
    #[doc(hidden)]
    pub fn internal_go_on_at(
        &mut self,
        topic: TopicId,
        partition: u32,
        epoch: i16,
        sequence: i32,
    ) -> bool {
        let Some((id, _)) = self.identity.known() else {
            return false;
        };
        let Some((topic, slot)) = self.topic_slot(topic) else {
            return false;
        };
        if partition >= slot.partition_count {
            return false;
        }
        let home = self.partition_of(topic, partition);
        let slot = self.partitions.at_mut(home);
        if !slot.queue.is_empty() || slot.phase != Phase::Normal {
            return false;
        }
        slot.begin_chain(id, epoch);
        slot.next_sequence = sequence;
        // All that came before was acknowledged, in this epoch.
        slot.last_acked = sequence - 1;
        true
    }

    /// Has all slots that are free now go into their last life, as if they had had all others.
    #[doc(hidden)]
    pub fn internal_wear_out(&mut self) {
        for index in self.batches.indices() {
            let batch = self.batches.at_mut(index);
            // Who has had the last one stays as it is.
            if batch.life == Life::Free && batch.generation < u32::MAX {
                batch.generation = u32::MAX - 1;
            }
        }
        for index in self.topics.indices() {
            let topic = self.topics.at_mut(index);
            if topic.knowledge == Knowledge::Free && topic.generation < u32::MAX {
                topic.generation = u32::MAX - 1;
            }
        }
    }

    /// Notes which case a cancel or a deadline meets.
    pub(super) fn note_case(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at(index);
        let partition = self.partitions.at(batch.partition);
        let last = self.last_bound(batch.partition) == index;
        let unsent = batch.life == Life::InFlight
            && self.conns.at(partition.conn).has_unsent(batch.correlation_id);
        let partial = batch.life == Life::InFlight && {
            let conn = self.conns.at(partition.conn);
            !conn.tx.is_nothing()
                && conn.requests.back().is_some_and(|r| r.correlation_id == batch.correlation_id)
        };
        let case = match (batch.life, batch.exposure) {
            (Life::InFlight, _) if unsent && last => Seen::C2UnsentTail,
            (Life::InFlight, _) if unsent => Seen::C3UnsentInside,
            (Life::InFlight, _) if partial => Seen::C4Partial,
            (Life::InFlight, _) => Seen::C5Complete,
            (Life::Idle, Exposure::Ambiguous) => Seen::C6IdleAmbiguous,
            (Life::Idle, _) => Seen::C7IdleNotAppended,
            (Life::Open | Life::Sealed | Life::Free | Life::Done, _) => Seen::C1Buffered,
        };
        let many = batch.records > 1;
        self.seen.note(case);
        if many {
            self.seen.note(Seen::C8OneOfMany);
        }
        if self.identity.is_off() {
            self.seen.note(Seen::C10NoIdempotence);
        }
    }

    /// Words that are the same for two producers that will do the same from here on, if no backoff
    /// has jitter and no connection times out. Times count from now, so that a state is known again
    /// that is reached at another time.
    #[doc(hidden)]
    pub fn internal_words(&self, word: &mut dyn FnMut(u64)) {
        let known = self.identity.known().unwrap_or((-1, -1));
        [known.0 as u64, known.1 as u64].into_iter().for_each(&mut *word);
        word(self.until(self.identity.deadline()));
        word(flags(&[self.identity.is_off(), self.identity.is_asked()]));
        word(self.until(self.metadata.deadline()));
        word(flags(&[
            self.metadata.asked,
            self.metadata.again,
            self.network.wants_slot(),
            self.lifecycle.is_open(),
            self.identity.refusal().is_some(),
        ]));
        for (_, broker) in self.brokers.iter() {
            word(broker.node_id as u64);
            word(flags(&[broker.has_address(), broker.ready.is_empty()]));
            word(self.until(broker.dial_at));
            match broker.conn.some() {
                Some(conn) => self.words_of_conn(conn, word),
                None => word(u64::MAX),
            }
        }
        for (index, _) in self.partitions.iter().filter(|(_, slot)| slot.topic.is_some()) {
            self.words_of_partition(index, word);
        }
    }

    /// Whether a connection is about to begin a request that its session is over for.
    #[cfg(feature = "_sasl")]
    #[doc(hidden)]
    #[must_use]
    pub fn internal_is_too_late(&self, conn: crate::ConnId) -> bool {
        self.live_connection(conn).is_some_and(|index| self.is_overdue(index))
    }

    fn words_of_conn(&self, index: Ix<Conn>, word: &mut dyn FnMut(u64)) {
        let conn = self.conns.at(index);
        let state = match conn.state {
            State::Free => 0,
            State::Dialing { told } => 1 + u64::from(told),
            State::Negotiating => 3,
            State::Ready => 4,
            State::Ended { .. } => 5,
            #[cfg(feature = "_sasl")]
            State::Authenticating(step) => 6 + step as u64,
        };
        word(state);
        let prefer = self.metadata.prefer == index;
        word(flags(&[conn.draining, conn.tx.is_nothing(), conn.tx.is_unsent(), prefer]));
        for request in &conn.requests {
            word(request.api.0 as u64);
            word(u64::from(request.complete));
            let mut next = request.batches;
            while let Some(batch) = next.some() {
                word(self.batches.at(batch).base_sequence as u64);
                next = self.batches.at(batch).next_in_request;
            }
        }
    }

    fn words_of_partition(&self, index: Ix<Partition>, word: &mut dyn FnMut(u64)) {
        let home = self.partitions.at(index);
        word(home.leader.some().map_or(-1, |leader| self.brokers.at(leader).node_id) as u64);
        let conn = if home.in_flight > 0 { home.conn } else { Ix::NONE };
        word(conn.some().map_or(-1, |conn| self.brokers.at(self.conns.at(conn).broker).node_id)
            as u64);
        word(home.leader_epoch as u64);
        word(home.phase as u64);
        word(home.listed as u64);
        word(flags(&[home.proven, home.orphaned, home.fenced]));
        for number in [home.producer_id, home.epoch.into(), home.next_sequence.into()] {
            word(number as u64);
        }
        word(home.last_acked as u64);
        word(u64::from(home.in_flight) << 8 | u64::from(home.bound));
        word(self.until(home.retry_at));
        let mut next = home.queue.head();
        while let Some(batch) = next.some() {
            self.words_of_batch(batch, word);
            next = self.batches.at(batch).queue.next();
        }
    }

    fn words_of_batch(&self, index: Ix<Batch>, word: &mut dyn FnMut(u64)) {
        let batch = self.batches.at(index);
        word(batch.life as u64);
        word(batch.exposure as u64);
        word(match batch.told {
            Told::Nothing => 0,
            Told::Pending(_) => 1,
            Told::Unknown => 2,
        });
        word(self.now.since(batch.since).as_micros() as u64);
        for number in [batch.producer_id, batch.producer_epoch.into(), batch.base_sequence.into()] {
            word(number as u64);
        }
        let lingers = batch.lingers();
        let marks = [batch.after_gap, batch.pipelined, batch.probed, batch.moved, lingers];
        word(flags(&marks));
        // A second attempt is like a third one.
        word(u64::from(batch.attempts.min(2)));
        word(u64::from(batch.refusals) << 32 | u64::from(batch.first));
        word(u64::from(batch.records) << 32 | u64::from(batch.withdrawn));
        #[cfg(feature = "compression")]
        word(u64::from(batch.has_form()) << 1 | u64::from(batch.is_compressed()));
    }

    fn until(&self, at: Instant) -> u64 {
        if at == Instant::NEVER { u64::MAX } else { at.since(self.now).as_micros() as u64 }
    }
}

fn flags(flags: &[bool]) -> u64 {
    flags.iter().fold(0, |word, flag| word << 1 | u64::from(*flag))
}
