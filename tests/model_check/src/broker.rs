//! A tiny broker: one partition, two nodes that may lead it, and Kafka's rules for sequences.
//!
//! Written for the search and apart from `ottla-model`, so that a mistake in one is not in both.

use ottla_core::wire::{ErrorCode, describe_producers::ProducerState};

use crate::broker_frames::WALL_MS;

/// How many batches back a broker knows a duplicate.
const WINDOW: usize = 5;

/// A batch as it was sent: who sent it, its first sequence, and the numbers of its records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Producer id, epoch, first sequence.
    pub origin: (i64, i16, i32),
    /// The records by their numbers.
    pub records: Vec<u8>,
}

impl Batch {
    fn last(&self) -> i32 {
        after(self.origin.2, self.records.len() as u32 - 1)
    }
}

/// How a request for a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Course {
    /// By the rules.
    Plain,
    /// By the rules, but the replicas are slow: REQUEST_TIMED_OUT after the append.
    SlowReplicas,
    /// By the rules, but the leader moves before the replicas have it: NOT_LEADER_OR_FOLLOWER
    /// after the append.
    LeaderLeaves,
    /// NOT_ENOUGH_REPLICAS, before anything is looked at.
    TooFewReplicas,
    /// INVALID_RECORD, likewise.
    Invalid,
    /// MESSAGE_TOO_LARGE, likewise.
    TooLarge,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The error, 0 for none.
    pub error: i16,
    /// The offset of the batch's first record, -1 where none is told.
    pub base_offset: i64,
    /// A batch that was in the log already: Kafka answers that with a time, and what is new without one.
    pub duplicate: bool,
    /// The leader and its epoch, where another one leads.
    pub leader: Option<(u8, i32)>,
}

/// What the log knows of one producer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    producer: i64,
    epoch: i16,
    /// First sequence, last sequence, offset; oldest first.
    batches: Vec<(i32, i32, i64)>,
}

/// The partition and its two nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Broker {
    /// The batches in the log.
    pub log: Vec<Batch>,
    /// How many of them can be lost no more.
    committed: usize,
    states: Vec<State>,
    /// The node that leads.
    pub leader: u8,
    /// How many times the leader has changed.
    pub leader_epoch: i32,
    /// The next producer id.
    next_producer: i64,
    zero_first: bool,
    unclean: bool,
    written: bool,
}

impl Broker {
    /// A broker with an empty log; `zero_first` where it takes only 0 as the first sequence of a
    /// log that was never written, as Kafka 4.5 does; `unclean` where it confirms what it may lose.
    #[must_use]
    pub fn new(zero_first: bool, unclean: bool) -> Self {
        Self { zero_first, unclean, ..Self::default() }
    }

    /// A new producer id.
    pub fn new_producer(&mut self) -> i64 {
        self.next_producer += 1;
        self.next_producer
    }

    /// The records in the log, in order.
    pub fn records(&self) -> impl Iterator<Item = u8> {
        self.log.iter().flat_map(|batch| batch.records.iter().copied())
    }

    /// What is told of the producers that are known.
    pub fn producers(&self) -> impl Iterator<Item = ProducerState> {
        self.states.iter().map(|state| ProducerState {
            producer_id: state.producer,
            producer_epoch: state.epoch.into(),
            last_sequence: state.batches.last().map_or(-1, |known| known.1),
            last_timestamp: WALL_MS,
            coordinator_epoch: -1,
            current_txn_start_offset: -1,
        })
    }

    /// A node takes a request for a batch.
    pub fn serve(&mut self, node: u8, batch: &Batch, course: Course) -> Verdict {
        if node != self.leader {
            return self.refusal(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        // Kafka looks at these before it looks for a duplicate, so they prove nothing of earlier
        // attempts.
        match course {
            Course::TooFewReplicas => return self.refusal(ErrorCode::NOT_ENOUGH_REPLICAS),
            Course::Invalid => return self.refusal(ErrorCode::INVALID_RECORD),
            Course::TooLarge => return self.refusal(ErrorCode::MESSAGE_TOO_LARGE),
            Course::Plain | Course::SlowReplicas | Course::LeaderLeaves => {}
        }
        let (base_offset, duplicate) = match self.place(batch) {
            Ok(place) => place,
            Err(error) => return self.refusal(error),
        };
        match course {
            Course::SlowReplicas => {
                Verdict { base_offset, duplicate, ..self.refusal(ErrorCode::REQUEST_TIMED_OUT) }
            }
            Course::LeaderLeaves => {
                self.move_leader(false);
                Verdict {
                    base_offset,
                    duplicate,
                    ..self.refusal(ErrorCode::NOT_LEADER_OR_FOLLOWER)
                }
            }
            Course::Plain | Course::TooFewReplicas | Course::Invalid | Course::TooLarge => {
                if !self.unclean {
                    self.committed = self.log.len();
                }
                Verdict { error: 0, base_offset, duplicate, leader: None }
            }
        }
    }

    fn refusal(&self, error: ErrorCode) -> Verdict {
        let hint = error == ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let leader = hint.then_some((self.leader, self.leader_epoch));
        Verdict { error: error.0, base_offset: -1, duplicate: false, leader }
    }

    /// The offset of a batch, and whether it was in the log already, at that offset.
    fn place(&mut self, batch: &Batch) -> Result<(i64, bool), ErrorCode> {
        let (producer, epoch, first) = batch.origin;
        if let Some(state) = self.states.iter().find(|state| state.producer == producer) {
            let same = |known: &&(i32, i32, i64)| (known.0, known.1) == (first, batch.last());
            if let Some(known) = state.batches.iter().find(same).filter(|_| state.epoch == epoch) {
                return Ok((known.2, true));
            }
            if epoch < state.epoch {
                return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
            }
            let last = state.batches.last().map_or(i32::MAX, |known| known.1);
            let next = if epoch > state.epoch { 0 } else { after(last, 1) };
            if first != next {
                return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
        } else if self.zero_first && !self.written && first != 0 {
            return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        let offset = self.records().count() as i64;
        self.remember(batch, offset);
        self.log.push(batch.clone());
        self.written = true;
        Ok((offset, false))
    }

    fn remember(&mut self, batch: &Batch, offset: i64) {
        let (producer, epoch, first) = batch.origin;
        let known = (first, batch.last(), offset);
        match self.states.iter_mut().find(|state| state.producer == producer) {
            Some(state) if state.epoch == epoch => {
                if state.batches.len() == WINDOW {
                    state.batches.remove(0);
                }
                state.batches.push(known);
            }
            Some(state) => {
                state.epoch = epoch;
                state.batches = vec![known];
            }
            None => self.states.push(State { producer, epoch, batches: vec![known] }),
        }
    }

    /// The other node leads. It has all that was acknowledged; what was not it may lack.
    pub fn move_leader(&mut self, lose: bool) {
        self.leader ^= 1;
        self.leader_epoch += 1;
        if lose {
            self.log.truncate(self.committed);
            self.states.clear();
            let mut offset = 0;
            for batch in self.log.clone() {
                self.remember(&batch, offset);
                offset += batch.records.len() as i64;
            }
        }
    }

    /// Whether a change of leaders could lose anything.
    pub fn can_lose(&self) -> bool {
        self.committed < self.log.len()
    }

    /// Whether there is anything to forget.
    pub fn can_forget(&self) -> bool {
        !self.states.is_empty()
    }

    /// The leader forgets every producer.
    pub fn forget(&mut self) {
        self.states.clear();
    }

    /// The nodes start anew, from a snapshot: it has the last batch of every producer and no more.
    pub fn restart(&mut self) {
        for state in &mut self.states {
            let older = state.batches.len().saturating_sub(1);
            state.batches.drain(..older);
        }
    }
}

/// The sequence so many after another; 0 comes after 2^31 - 1.
fn after(sequence: i32, by: u32) -> i32 {
    ((sequence.unsigned_abs().wrapping_add(by)) & 0x7fff_ffff) as i32
}
