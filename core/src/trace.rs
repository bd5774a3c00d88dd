//! What happens inside and is no event: for a caller that logs. Only with the feature `trace`.

use core::time::Duration;

use heapless::{Deque, Vec};

use crate::{TopicId, wire::ErrorCode};

/// Something that happened inside, as [`Producer::poll_trace`](crate::Producer::poll_trace) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Trace {
    /// To a partition, or to a batch of it.
    Partition {
        /// Its topic.
        topic: TopicId,
        /// Its number.
        partition: i32,
        /// What happened.
        what: Turn,
    },
    /// A broker gave a producer id.
    ProducerId {
        /// The id.
        id: i64,
        /// Its epoch.
        epoch: i16,
    },
    /// A broker wants to be left alone for a while: a quota is exceeded (KIP-219).
    Throttled {
        /// Its node id; `None` for a bootstrap server.
        node_id: Option<i32>,
        /// For how long.
        by: Duration,
    },
    /// A broker said what it speaks.
    Versions {
        /// Its node id; `None` for a bootstrap server.
        node_id: Option<i32>,
        /// The version of Produce that will be used.
        produce: i16,
        /// That of Metadata.
        metadata: i16,
        /// That of InitProducerId; -1 where the broker has none.
        init_producer_id: i16,
    },
    /// So many more happened, and were not asked for in time.
    Missed(u32),
}

/// What happens to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Turn {
    /// The leader answered a batch with this error, and it is tried again.
    Retry(ErrorCode),
    /// The leader refused a batch for good with this error.
    Refused(ErrorCode),
    /// The leader knows another producer of the same id and a newer epoch.
    Fenced(ErrorCode),
    /// The leader expects another sequence: acknowledged records are lost, or what it knew of them.
    Desync,
    /// The leader lost its record of this producer.
    Unremembered,
    /// The leader may have forgotten this producer, and cannot be asked.
    Forgotten,
    /// The log was cut below what was acknowledged.
    LogCut,
    /// The chain of sequences begins anew, at this epoch.
    Epoch(i16),
    /// This broker leads it, and another one did before, or none.
    Leader(i32),
    /// The brokers name no leader for it, with this error, if any.
    Leaderless(ErrorCode),
}

/// So much is kept until it is asked for.
const KEPT: usize = 32;

/// Errors that are counted one by one; all others are counted together.
const CODES: usize = 24;

/// What is kept of that.
#[derive(Debug)]
pub(crate) struct Traces {
    kept: Deque<Trace, KEPT>,
    missed: u32,
    errors: Vec<(ErrorCode, u64), CODES>,
    other_errors: u64,
}

impl Traces {
    pub(crate) const fn new() -> Self {
        Self { kept: Deque::new(), missed: 0, errors: Vec::new(), other_errors: 0 }
    }

    #[cold]
    pub(crate) fn push(&mut self, trace: Trace) {
        if self.kept.push_back(trace).is_err() {
            self.missed = self.missed.saturating_add(1);
        }
    }

    /// The oldest.
    pub(crate) fn pop(&mut self) -> Option<Trace> {
        let oldest = self.kept.pop_front();
        oldest.or_else(|| match core::mem::take(&mut self.missed) {
            0 => None,
            missed => Some(Trace::Missed(missed)),
        })
    }

    /// A batch was answered with this error.
    #[cold]
    pub(crate) fn count(&mut self, code: ErrorCode) {
        match self.errors.iter_mut().find(|(known, _)| *known == code) {
            Some((_, times)) => *times += 1,
            None => self.other_errors += u64::from(self.errors.push((code, 1)).is_err()),
        }
    }

    /// Each error with how often, in no order; what there was no room for has no name.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (Option<ErrorCode>, u64)> {
        let others = (self.other_errors > 0).then_some((None, self.other_errors));
        self.errors.iter().map(|(code, times)| (Some(*code), *times)).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_in_time_is_counted() {
        let mut traces = Traces::new();
        for epoch in 0..40 {
            traces.push(Trace::ProducerId { id: 1, epoch });
        }
        for epoch in 0..32 {
            assert_eq!(traces.pop(), Some(Trace::ProducerId { id: 1, epoch }));
        }
        assert_eq!((traces.pop(), traces.pop()), (Some(Trace::Missed(8)), None));
    }

    #[test]
    fn errors_are_counted_by_code_as_long_as_there_is_room() {
        let mut traces = Traces::new();
        for code in 1..=30 {
            traces.count(ErrorCode(code));
            traces.count(ErrorCode(1));
        }
        let all: std::vec::Vec<_> = traces.errors().collect();
        assert_eq!(all.first(), Some(&(Some(ErrorCode(1)), 31)));
        assert_eq!(all.last(), Some(&(None, 6)));
        assert_eq!(all.iter().map(|(_, times)| times).sum::<u64>(), 60);
    }
}
