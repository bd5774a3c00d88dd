//! What is told of a single record.

use core::{fmt, time::Duration};
use std::sync::Arc;

use ottla_core::{BatchOutcome, Cause, LastError, Outcome, Producer, TopicId};

/// The outcome of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// The record is in the log exactly once.
    Delivered {
        /// The partition that it went to.
        partition: i32,
        /// Its offset; `None` where the broker proved that it has it without saying where.
        offset: Option<i64>,
        /// The time that the broker gave it, in milliseconds since the Unix epoch; `None` where
        /// the topic keeps the record's own create time.
        timestamp: Option<i64>,
        /// That is, once. False only with `on.forgotten=resend`: it may be in the log twice.
        unique: bool,
    },
    /// The record is not in the log and never will be: it is safe to produce it again.
    NotDelivered(Why),
    /// Whether the record is in the log cannot be known yet. Producing it again could duplicate
    /// it; `reattach` and `final_outcome` wait for the truth instead.
    Unknown(Why),
}

/// Why a record is not delivered, or not known to be.
///
/// In words: the cause, and behind it what the broker says, or what went wrong last, as in
/// `delivery timeout; last error: NOT_ENOUGH_REPLICAS (19)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Why {
    /// What ended the wait.
    pub cause: Cause,
    /// What stood in the way, if something did and the cause does not say it.
    pub last_error: Option<LastError>,
    /// What the broker that refused the record says in words, if anything: of this record, where it is
    /// [`Cause::AtFault`], and of its batch otherwise. One line; the end of a long one is cut off.
    pub message: Option<Arc<str>>,
}

impl Why {
    pub(crate) const fn new(cause: Cause, last_error: Option<LastError>) -> Self {
        Self { cause, last_error, message: None }
    }
}

impl From<Cause> for Why {
    fn from(cause: Cause) -> Self {
        Self::new(cause, None)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        self.last_error.map_or(Ok(()), |error| write!(f, "; last error: {error}"))
    }
}

/// What the core told of a batch, or of a part of it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    pub(crate) last_error: Option<LastError>,
    pub(crate) message: Option<Arc<str>>,
    /// As [`BatchOutcome::unique`](ottla_core::BatchOutcome).
    pub(crate) unique: bool,
}

impl Told {
    /// What the core tells of just now.
    pub(crate) fn of(core: &Producer<'_>, settled: &BatchOutcome) -> Self {
        let BatchOutcome { batch, outcome, unique, .. } = *settled;
        let last_error = match outcome {
            Outcome::NotDelivered(cause) | Outcome::Unknown(cause) if !cause.is_whole() => {
                core.last_error(batch)
            }
            Outcome::Delivered { .. } | Outcome::NotDelivered(_) | Outcome::Unknown(_) | _ => None,
        };
        Self { outcome, last_error, message: None, unique }
    }
}

impl RecordOutcome {
    /// The outcome of the record with this number in its batch, or in a part of it.
    pub(crate) fn of(told: &Told, partition: i32, number: i64) -> Self {
        let Told { outcome, last_error, unique, .. } = *told;
        let why = |cause| Why { cause, last_error, message: told.message.clone() };
        match outcome {
            Outcome::Delivered { base_offset, log_append_time } => Self::Delivered {
                partition,
                offset: base_offset.map(|base| base + number),
                timestamp: log_append_time,
                unique,
            },
            Outcome::NotDelivered(cause) => Self::NotDelivered(why(cause)),
            Outcome::Unknown(cause) => Self::Unknown(why(cause)),
            // A state that this version does not know of proves nothing.
            _ => Self::Unknown(Cause::SequenceMismatch.into()),
        }
    }

    /// Why it is not delivered, or not known to be.
    #[must_use]
    pub const fn why(&self) -> Option<&Why> {
        match self {
            Self::NotDelivered(why) | Self::Unknown(why) => Some(why),
            Self::Delivered { .. } => None,
        }
    }

    /// The same as a `Result`, for `?`: an error says which of the other two it is.
    ///
    /// # Errors
    ///
    /// Where the record is not delivered, or not known to be.
    pub fn into_result(self) -> Result<Delivered, DeliveryError> {
        match self {
            Self::Delivered { partition, offset, timestamp, unique } => {
                Ok(Delivered { partition, offset, timestamp, unique })
            }
            Self::NotDelivered(why) => Err(DeliveryError::NotDelivered(why)),
            Self::Unknown(why) => Err(DeliveryError::Unknown(why)),
        }
    }

    /// Whether the record is in the log.
    #[must_use]
    pub const fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }
}

impl From<RecordOutcome> for Result<Delivered, DeliveryError> {
    fn from(outcome: RecordOutcome) -> Self {
        outcome.into_result()
    }
}

/// Where a record is in the log: what [`RecordOutcome::Delivered`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The partition that it went to.
    pub partition: i32,
    /// Its offset; `None` where the broker proved that it has it without saying where.
    pub offset: Option<i64>,
    /// The time that the broker gave it; see [`RecordOutcome::Delivered`].
    pub timestamp: Option<i64>,
    /// Whether it is in the log once.
    pub unique: bool,
}

/// An outcome that is not `Delivered`, as an error. The two differ in whether it is safe to send again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The record is not in the log and never will be: it is safe to produce it again.
    NotDelivered(Why),
    /// Whether the record is in the log cannot be known yet. Producing it again could duplicate it.
    Unknown(Why),
}

impl DeliveryError {
    /// Why.
    #[must_use]
    pub const fn why(&self) -> &Why {
        match self {
            Self::NotDelivered(why) | Self::Unknown(why) => why,
        }
    }
}

impl From<DeliveryError> for RecordOutcome {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::NotDelivered(why) => Self::NotDelivered(why),
            DeliveryError::Unknown(why) => Self::Unknown(why),
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RecordOutcome::from(self.clone()).fmt(f)
    }
}

/// Without a source: its words are in this one's.
impl core::error::Error for DeliveryError {}

impl fmt::Display for RecordOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered { partition, offset, unique, .. } => {
                write!(f, "delivered to partition {partition}")?;
                if let Some(offset) = offset {
                    write!(f, " at offset {offset}")?;
                }
                f.write_str(if *unique { "" } else { ", perhaps twice" })
            }
            Self::NotDelivered(why) => write!(f, "not delivered: {why}"),
            Self::Unknown(why) => write!(f, "not known whether delivered: {why}"),
        }
    }
}

/// What is told of a record that was sent with a token.
///
/// A record gets one report, or two: `Unknown`, and later the truth with `late` set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The caller's own number for the record.
    pub token: u64,
    /// The record's topic.
    pub topic: TopicId,
    /// Its outcome.
    pub outcome: RecordOutcome,
    /// `Unknown` was told before.
    pub late: bool,
    /// How long ago the record was taken.
    pub elapsed: Duration,
}

/// How many records got which answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutcomeCounts {
    /// In the log.
    pub delivered: u64,
    /// Not in the log, now and for ever.
    pub not_delivered: u64,
    /// Not known.
    pub unknown: u64,
}

impl fmt::Display for OutcomeCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, not_delivered, unknown } = self;
        write!(f, "{delivered} delivered, {not_delivered} not delivered, {unknown} unknown")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = if self.late { ", after it was unknown" } else { "" };
        write!(f, "record {}: {}{late}, after {:?}", self.token, self.outcome, self.elapsed)
    }
}

impl OutcomeCounts {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.delivered + self.not_delivered + self.unknown
    }

    /// Both together.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            not_delivered: self.not_delivered + other.not_delivered,
            unknown: self.unknown + other.unknown,
        }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            delivered: self.delivered.saturating_sub(earlier.delivered),
            not_delivered: self.not_delivered.saturating_sub(earlier.not_delivered),
            unknown: self.unknown.saturating_sub(earlier.unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(outcome: RecordOutcome) -> Result<Delivered, DeliveryError> {
        let delivered = outcome.into_result()?;
        Ok(delivered)
    }

    #[test]
    fn an_outcome_is_a_result_for_a_question_mark() {
        let (partition, offset, timestamp, unique) = (3, Some(7), None, true);
        let outcome = RecordOutcome::Delivered { partition, offset, timestamp, unique };
        assert_eq!(delivered(outcome), Ok(Delivered { partition, offset, timestamp, unique }));
        for outcome in [
            RecordOutcome::NotDelivered(Cause::Deadline.into()),
            RecordOutcome::Unknown(Cause::Closed.into()),
        ] {
            let error = delivered(outcome.clone()).unwrap_err();
            assert_eq!(error.to_string(), outcome.to_string());
            assert_eq!(RecordOutcome::from(error), outcome);
        }
    }

    #[test]
    fn counts_and_reports_are_told_in_words() {
        let counts = OutcomeCounts { delivered: 5, not_delivered: 1, unknown: 0 };
        assert_eq!(counts.to_string(), "5 delivered, 1 not delivered, 0 unknown");
    }
}
