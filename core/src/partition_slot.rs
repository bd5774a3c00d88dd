//! A partition: its leader, its queue of batches, and its chain of sequences.

use crate::{
    Instant, LastError,
    batch::{Batch, Queue},
    broker_slot::Broker,
    conn::Conn,
    list::{Link, List, chains},
    slots::Ix,
    topic_slot::Topic,
};

/// What the chain of sequences is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// New batches get the sequences that follow.
    Normal,
    /// A sequence that was sent was given up: once everything that was sent is resolved, a new
    /// epoch begins at sequence 0. Until then no batch gets a sequence.
    Sealing,
    /// The broker has state, but not the state that the oldest batch expects: what may have been
    /// appended is sent again newest first, because a broker that restarted may remember no more
    /// than the last batch of a producer (semantics §6.4, rule 3d).
    Probing,
}

/// How far it is known whether the leader would recognise what may be in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// It is to be asked before anything of that is sent again.
    Open,
    /// It was asked, on the partition's connection.
    Asked,
    /// It would: one batch may be sent again.
    Answered,
}

/// What a partition waits for, apart from its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// In no list.
    Nowhere,
    /// In its leader's list of partitions with something to send.
    Ready,
    /// In its leader's list of partitions about which it is to be asked first.
    Doubtful,
    /// In the list of partitions whose retry backoff runs.
    Backoff,
}

/// A slot for a partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: Ix<Topic>,
    pub(crate) number: i32,
    /// How many partitions of the topic follow in the slots after this one; set in the first slot
    /// of a run only.
    pub(crate) run: u32,
    /// The first slot of the topic's next run.
    pub(crate) next_run: Ix<Self>,
    pub(crate) leader: Ix<Broker>,
    pub(crate) leader_epoch: i32,
    /// All batches that are not settled, oldest first: those bound to a sequence, then the others.
    pub(crate) queue: List<Batch, Queue>,
    /// The first batch that is not bound to a sequence.
    pub(crate) unbound: Ix<Batch>,
    /// Bytes of records in the queue.
    pub(crate) queued: u32,
    /// Batches in requests.
    pub(crate) in_flight: u8,
    /// Batches bound to a sequence.
    pub(crate) bound: u8,
    /// The connection that the batches in flight are on.
    pub(crate) conn: Ix<Conn>,
    pub(crate) phase: Phase,
    /// A batch was acknowledged in this epoch, by this leader, since the last error: so more than
    /// one may be in flight (semantics I5).
    pub(crate) proven: bool,
    /// Until when the last acknowledgement proves that the leader knows this producer id; zero before the
    /// first.
    pub(crate) proven_until: Instant,
    /// Until when a leader that has what was acknowledged last is sure to remember this producer id; zero
    /// where nothing was acknowledged under it.
    pub(crate) remembered_until: Instant,
    /// The broker's clock stamps the records (`message.timestamp.type=LogAppendTime`).
    pub(crate) by_broker: bool,
    pub(crate) question: Question,
    /// The producer id that the chain belongs to.
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) next_sequence: i32,
    /// Sequence of the last record that was acknowledged in this epoch; -1 before the first.
    pub(crate) last_acked: i32,
    /// An earlier attempt at what was acknowledged last was not heard of: it may come to a broker yet.
    pub(crate) echoes: bool,
    /// The last epoch of this producer id before this one in which something was acknowledged, and its last
    /// sequence; -1 where there is none.
    pub(crate) former_epoch: i16,
    pub(crate) former_acked: i32,
    /// The chain needs another producer id, since somebody else has this one at a newer epoch.
    pub(crate) fenced: bool,
    /// The topic was deleted and created again while batches were in flight.
    pub(crate) orphaned: bool,
    /// The offset of the last record that was acknowledged, in whatever epoch; -1 where none was told.
    pub(crate) last_offset: i64,
    /// What went wrong last, since a batch was last acknowledged.
    pub(crate) fault: Option<LastError>,
    pub(crate) retry_at: Instant,
    /// Failed attempts in a row.
    pub(crate) failures: u8,
    /// Since the last success one attempt was made without waiting, at another leader or under another
    /// name. That was the only one.
    pub(crate) hastened: bool,
    pub(crate) listed: Listed,
    /// Place in the list that `listed` names.
    pub(crate) link: Link<Self>,
}

chains! {
    /// Partitions with something to send, or with a backoff.
    Waiting: Partition, link;
}

impl Partition {
    pub(crate) const EMPTY: Self = Self {
        topic: Ix::NONE,
        number: 0,
        run: 0,
        next_run: Ix::NONE,
        leader: Ix::NONE,
        leader_epoch: 0,
        queue: List::EMPTY,
        unbound: Ix::NONE,
        queued: 0,
        in_flight: 0,
        bound: 0,
        conn: Ix::NONE,
        phase: Phase::Normal,
        proven: false,
        proven_until: Instant::ZERO,
        remembered_until: Instant::ZERO,
        by_broker: false,
        question: Question::Open,
        producer_id: 0,
        epoch: 0,
        next_sequence: 0,
        last_acked: 0,
        echoes: false,
        former_epoch: 0,
        former_acked: 0,
        fenced: false,
        orphaned: false,
        last_offset: 0,
        fault: None,
        retry_at: Instant::ZERO,
        failures: 0,
        hastened: false,
        listed: Listed::Nowhere,
        link: Link::EMPTY,
    };

    /// A partition as it is first heard of: its chain begins with whatever producer id is next.
    pub(crate) fn new(topic: Ix<Topic>, number: i32) -> Self {
        Self {
            topic,
            number,
            leader_epoch: -1,
            producer_id: -1,
            last_acked: -1,
            former_acked: -1,
            last_offset: -1,
            ..Self::EMPTY
        }
    }

    /// Whether it is this one of that topic.
    pub(crate) fn is(&self, topic: Ix<Topic>, number: u32) -> bool {
        self.topic == topic && self.number as u32 == number
    }

    /// Whether a question about it is under way on a connection.
    pub(crate) fn was_asked(&self, conn: Ix<Conn>) -> bool {
        self.question == Question::Asked && self.conn == conn
    }

    /// What a leader that knows so much of its producer id has of the chain: its last sequence, -1 where
    /// that is before the chain. None where it had forgotten: an older epoch than was acknowledged last, or
    /// another sequence of that one, is what a straggler left.
    pub(crate) fn known_by(&self, epoch: i32, sequence: i32) -> Option<i32> {
        if epoch == i32::from(self.epoch) {
            return Some(sequence);
        }
        let former = self.last_acked < 0
            && (epoch, sequence) == (i32::from(self.former_epoch), self.former_acked);
        (former || epoch > i32::from(self.epoch)).then_some(-1)
    }

    /// Whether what a leader knows of the chain, its last sequence as [`Self::known_by`] says, may be what an
    /// earlier attempt at the batch that was acknowledged last has left there, which came after the leader
    /// had forgotten the producer.
    pub(crate) const fn is_echo(&self, last: i32) -> bool {
        self.echoes && last == self.last_acked
    }

    /// Whether a batch of its producer id was ever acknowledged.
    pub(crate) fn was_acked(&self) -> bool {
        self.remembered_until > Instant::ZERO
    }

    /// Begins a chain: nothing of an older one is left to be resolved.
    pub(crate) fn begin_chain(&mut self, producer_id: i64, epoch: i16) {
        if self.producer_id != producer_id {
            self.remembered_until = Instant::ZERO;
            self.former_acked = -1;
        } else if self.last_acked >= 0 {
            (self.former_epoch, self.former_acked) = (self.epoch, self.last_acked);
        }
        self.producer_id = producer_id;
        self.epoch = epoch;
        self.next_sequence = 0;
        self.last_acked = -1;
        self.proven = false;
        self.fenced = false;
        self.phase = Phase::Normal;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_a_straggler_told_of_this_producer_has_forgotten_it() {
        let mut chain = Partition::new(Ix::NONE, 0);
        chain.begin_chain(7, 0);
        chain.last_acked = 4;
        assert_eq!(chain.known_by(0, 6), Some(6));
        chain.begin_chain(7, 1);
        // It has what was acknowledged last, and nothing of the new epoch.
        assert_eq!(chain.known_by(0, 4), Some(-1));
        // What was never acknowledged came after it had forgotten.
        assert_eq!(chain.known_by(0, 6), None);
        assert_eq!(chain.known_by(2, 0), Some(-1), "somebody else has gone on with it");
        chain.last_acked = 0;
        assert_eq!(chain.known_by(0, 4), None);
        chain.begin_chain(8, 0);
        assert_eq!(chain.known_by(-1, -1), None);
    }
}
