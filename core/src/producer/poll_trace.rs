//! What happened inside, kept for a caller that logs.

#[cfg(feature = "trace")]
use super::Producer;
#[cfg(feature = "trace")]
use crate::{
    LastError, Waiting,
    broker_slot::{Broker, Origin},
    partition_slot::Partition,
    slots::Ix,
    topic_slot::Knowledge,
    trace::{Trace, Turn},
    wire::ErrorCode,
};

/// Keeps what happened to a partition, or another [`Trace`](crate::Trace), for
/// [`Producer::poll_trace`](crate::Producer::poll_trace). Without the feature nothing is left of it.
macro_rules! trace {
    ($producer:ident, $home:expr, $turn:ident $(($argument:expr))?) => {{
        #[cfg(feature = "trace")]
        {
            let turn = crate::trace::Turn::$turn $(($argument))?;
            $producer.trace_partition($home, turn);
        }
    }};
    ($producer:ident, $trace:ident { $($field:ident: $value:expr),+ $(,)? }) => {{
        #[cfg(feature = "trace")]
        {
            let trace = crate::trace::Trace::$trace { $($field: $value),+ };
            $producer.traces.push(trace);
        }
    }};
}
pub(super) use trace;

#[cfg(feature = "trace")]
impl Producer<'_> {
    /// What waits, and why, as far as something stands in its way: partitions with batches that have no
    /// outcome, and topics that are not known or cannot be written to.
    pub fn waiting(&self) -> impl Iterator<Item = Waiting> {
        let topics = self.topics.iter().filter_map(|(index, slot)| {
            let (Knowledge::Pending(error) | Knowledge::Refused(error)) = slot.knowledge else {
                return None;
            };
            let (topic, why) = (self.topic_id(index), LastError::Topic(error));
            (!error.is_none()).then_some(Waiting { topic, partition: None, why })
        });
        let open = self.partitions.iter().filter(|(_, slot)| !slot.queue.is_empty());
        topics.chain(open.filter_map(|(home, slot)| {
            let (topic, partition) = (self.topic_id(slot.topic), Some(slot.number));
            self.blame(home).map(|why| Waiting { topic, partition, why })
        }))
    }

    /// Bytes of records that need not linger and are in no request: they wait for their brokers. Of a batch that takes
    /// more records while it waits, those that came first; compressed ones count as they were given.
    #[must_use]
    pub const fn due_bytes(&self) -> u64 {
        self.queues.due_bytes()
    }

    /// What happened inside since this was last asked, oldest first; `None` where that is all. To be asked
    /// after each call: 32 are kept, and the others counted.
    pub fn poll_trace(&mut self) -> Option<Trace> {
        self.traces.pop()
    }

    /// How many batches were answered with each error, be it that they were tried again. 24 errors have a
    /// count of their own; `None` stands for all that came later.
    pub fn errors(&self) -> impl Iterator<Item = (Option<ErrorCode>, u64)> {
        self.traces.errors()
    }

    pub(super) fn trace_partition(&mut self, home: Ix<Partition>, what: Turn) {
        let slot = self.partitions.at(home);
        let (topic, partition) = (self.topic_id(slot.topic), slot.number);
        self.traces.push(Trace::Partition { topic, partition, what });
    }

    /// What the cluster calls a broker.
    pub(super) fn node_of(&self, broker: Ix<Broker>) -> Option<i32> {
        let slot = self.brokers.at(broker);
        (slot.origin == Origin::Cluster).then_some(slot.node_id)
    }
}
