//! What happens in a cluster, for who wants to watch.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode, record::BatchHeader};

use crate::NodeId;

/// Something that happened; see [`Cluster::watch`](crate::Cluster::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A node takes a request up.
    Asked {
        /// The node.
        node: NodeId,
        /// What for.
        api: ApiKey,
        /// By which number the client will know the answer.
        correlation_id: i32,
    },
    /// A node is done with a request.
    Answered {
        /// The node.
        node: NodeId,
        /// By which number the client knows the answer.
        correlation_id: i32,
        /// What becomes of the answer.
        fate: AnswerFate,
    },
    /// A node judged a batch.
    Judged {
        /// The node.
        node: NodeId,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The batch, where its header can be read.
        header: Option<BatchHeader>,
        /// What it came to.
        judgement: Judgement,
        /// What the client is told, where that is not the same.
        told: Option<ErrorCode>,
    },
    /// A partition moved to a leader, or has none.
    LeaderMoved {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Who leads from now on.
        leader: Option<NodeId>,
        /// The new leader epoch.
        epoch: i32,
    },
    /// A replica follows no more.
    Lags {
        /// Whose.
        node: NodeId,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// All replicas follow again.
    CaughtUp {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A log lost its newest records.
    Lost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// How many.
        records: i64,
    },
    /// A partition forgot producers, though their records lie in its log.
    Forgot {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// When that was, counted from the start of the run: a sweep that was due before the request
        /// that is handled now. `None` is now.
        at: Option<Duration>,
    },
    /// A node told what it knows of the producers of a partition.
    Described {
        /// The node.
        node: NodeId,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Whether the node leads it.
        leads: bool,
    },
    /// The oldest records of a log were deleted.
    Deleted {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Those before this offset.
        before: i64,
    },
    /// A topic was made.
    TopicCreated {
        /// The topic.
        topic: String,
    },
    /// A topic was deleted.
    TopicDeleted {
        /// The topic.
        topic: String,
    },
    /// A node froze.
    Frozen {
        /// The node.
        node: NodeId,
    },
    /// A node goes on.
    Thawed {
        /// The node.
        node: NodeId,
    },
    /// A node was stopped.
    Stopped {
        /// The node.
        node: NodeId,
    },
    /// A node was started.
    Started {
        /// The node.
        node: NodeId,
    },
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It was appended at this offset.
    Appended {
        /// The offset of its first record.
        base_offset: i64,
        /// The producer's epoch is one that the partition had not seen.
        new_epoch: bool,
    },
    /// It was in the log already.
    Duplicate {
        /// The offset of its first record.
        base_offset: i64,
    },
    /// It was refused.
    Refused(ErrorCode),
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFate {
    /// It is sent.
    Sent,
    /// There is none: it was not asked for.
    NotAsked,
    /// It is sent after this time.
    Held(Duration),
    /// It is lost, and so is all that the connection would say after it.
    Swallowed,
    /// The connection is closed instead.
    Closed,
    /// Bytes that mean nothing are sent instead.
    Garbage,
    /// It is sent, and lies: a wrong number, a partition left out, one told twice, or one that was
    /// not asked about.
    Wrong,
    /// The node froze before it did anything.
    Frozen,
}
