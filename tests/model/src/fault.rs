//! Faults to order: what shall go wrong, when, as data.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode};

use crate::NodeId;

/// Something that goes wrong with the requests that it matches.
///
/// Each request is met by the first fault in the order of their making that matches it and is not
/// used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which requests.
    pub api: ApiKey,
    /// At which node; `None` is any.
    pub node: Option<NodeId>,
    /// About which topic and partition; `None` is any. A request matches with any of its
    /// partitions. Metadata matches by the topic alone.
    pub partition: Option<(String, i32)>,
    /// How many matching requests are let through first.
    pub skip: u32,
    /// How many matching requests are met then.
    pub times: u32,
    /// What happens.
    pub action: Action,
}

impl Fault {
    /// Meets the next request of an API, once, at any node.
    #[must_use]
    pub const fn new(api: ApiKey, action: Action) -> Self {
        Self { api, node: None, partition: None, skip: 0, times: 1, action }
    }

    /// Meets the next produce request, once, at any node.
    #[must_use]
    pub const fn produce(action: Action) -> Self {
        Self::new(ApiKey::PRODUCE, action)
    }

    /// The same at one node alone.
    #[must_use]
    pub fn at(self, node: NodeId) -> Self {
        Self { node: Some(node), ..self }
    }

    /// The same about one partition alone.
    #[must_use]
    pub fn on(self, topic: &str, partition: i32) -> Self {
        Self { partition: Some((topic.to_owned(), partition)), ..self }
    }

    /// The same after `skip` matching requests.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// The same `times` times; [`u32::MAX`] is for ever.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The answer is this error, and nothing is done. For Produce the error is that of the
    /// partitions that match; the others are served.
    Reject(ErrorCode),
    /// Nothing is done, and the answer for the partitions that match is `INVALID_RECORD` and finds fault with
    /// the records of these numbers, be there such or not.
    Blame(Vec<i32>),
    /// The batches that match are appended, and the answer for them is this error. A batch that
    /// is refused is answered as it is.
    AppendThenError {
        /// The error.
        error: ErrorCode,
        /// The base offset beside it.
        base_offset: BaseOffset,
    },
    /// The request is handled and its answer is lost, and so is everything that the connection
    /// would say after it: the way back is dead. The connection stays open.
    Swallow,
    /// The request is handled at once and answered after this time. Nothing behind it on the same
    /// connection is handled before.
    Hold(Duration),
    /// The connection is closed, and the request is not handled.
    CloseBefore,
    /// The request is handled, and the connection is closed without an answer.
    CloseAfter,
    /// The request is handled, and these bytes are sent in place of the answer.
    Garbage(Vec<u8>),
    /// The request is handled, and the answer has another correlation id: this much higher.
    WrongCorrelation(i32),
    /// The request is handled, and the answer leaves the partitions that match out.
    Omit,
    /// The request is handled, and the answer tells the partitions that match twice.
    Twice,
    /// The request is handled, and the answer tells, before all else, of a partition and of a topic
    /// that were not asked about.
    Stray,
    /// Before the request is handled, the partitions that match lose so many of their newest records,
    /// and the producers' state with them; or all of that state, though the records stay. For Produce
    /// and DescribeProducers alone.
    Lose {
        /// How many records are lost; the cut is at the start of a batch.
        records: u32,
        /// All producers are forgotten.
        state: bool,
    },
    /// The node freezes before it handles the request; see [`Cluster::freeze`](crate::Cluster::freeze).
    Freeze,
}

/// The base offset in the answer for a batch that was appended and is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseOffset {
    /// The real one: Apache Kafka.
    Kept,
    /// -1.
    Unknown,
    /// `i64::MIN`: Redpanda.
    Min,
}

impl BaseOffset {
    pub(crate) const fn of(self, offset: i64) -> i64 {
        match self {
            Self::Kept => offset,
            Self::Unknown => -1,
            Self::Min => i64::MIN,
        }
    }
}

/// Faults that wait for their requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

/// A fault that met its request.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub(crate) action: Action,
    pub(crate) partition: Option<(String, i32)>,
}

impl Met {
    /// Whether the fault is about this partition.
    pub(crate) fn is_about(&self, topic: &str, partition: i32) -> bool {
        about(self.partition.as_ref(), topic, Some(partition))
    }

    /// Whether the fault is about this topic.
    pub(crate) fn is_about_topic(&self, topic: &str) -> bool {
        about(self.partition.as_ref(), topic, None)
    }
}

fn about(wanted: Option<&(String, i32)>, topic: &str, partition: Option<i32>) -> bool {
    wanted.is_none_or(|(name, index)| {
        name == topic && partition.is_none_or(|partition| *index == partition)
    })
}

impl Faults {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push(fault);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Meets a request that is about the topics and partitions of `asked`; no partition where the
    /// API has none.
    pub(crate) fn meet(
        &mut self,
        api: ApiKey,
        node: NodeId,
        asked: &[(&str, Option<i32>)],
    ) -> Option<Met> {
        for at in 0..self.0.len() {
            let Some(fault) = self.0.get_mut(at) else {
                break;
            };
            let here = fault.api == api && fault.node.is_none_or(|wanted| wanted == node);
            let wanted = fault.partition.as_ref();
            let mut asked = asked.iter();
            let matches =
                wanted.is_none() || asked.any(|(topic, index)| about(wanted, topic, *index));
            if !here || !matches {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let met = Met { action: fault.action.clone(), partition: fault.partition.clone() };
            if fault.times != u32::MAX {
                fault.times = fault.times.saturating_sub(1);
            }
            if fault.times == 0 {
                self.0.remove(at);
            }
            return Some(met);
        }
        None
    }
}
