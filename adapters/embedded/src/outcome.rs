//! What is told of a single record.

use ottla_core::Cause;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// The record is in the log exactly once.
    Delivered {
        /// The partition that it went to.
        partition: i32,
        /// Its offset; `None` where the broker proved that it has it without saying where.
        offset: Option<i64>,
        /// That is, once. False only with `on.forgotten=resend`: it may be in the log twice.
        unique: bool,
    },
    /// The record is not in the log and never will be.
    NotDelivered(Cause),
    /// Whether the record is in the log cannot be known yet. Producing it again could duplicate it.
    Unknown(Cause),
}

/// What is told of a record that went through a [`Backlog`](crate::Backlog).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report<T> {
    /// The caller's own name for the record.
    pub token: T,
    /// What became of it.
    pub outcome: RecordOutcome,
    /// `Unknown` was told before.
    pub late: bool,
    /// Nothing more will be told of it. False only with `Unknown`: a late report follows.
    pub last: bool,
}
