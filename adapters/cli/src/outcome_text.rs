//! What is told of a line.

use core::fmt;
use std::sync::Arc;

use ottla_client::{RecordOutcome, Report};
use ottla_core::{Cause, LastError};
use serde::Serialize;

/// What is told of a line, as it is written in the outcomes file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// Counted from one.
    pub(crate) line: u64,
    /// Its outcome.
    #[serde(rename = "verdict")]
    pub(crate) kind: Kind,
    /// `Unknown` was told before.
    pub(crate) late: bool,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partition: Option<i32>,
    /// Where it is in its partition; the broker may have proved that it has it without saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<i64>,
    /// Since the producer took the line, or, if it did not take it, since it was asked to.
    pub(crate) elapsed_us: u64,
    /// Why it is not delivered, or not known to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Why>,
    /// What stood in the way last, where the cause does not say it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_words")]
    pub(crate) last_error: Option<LastError>,
    /// With a refusal of which the broker said so: whether it was for this line's record, or for others of its
    /// batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at_fault: Option<bool>,
    /// What the broker says of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_words")]
    pub(crate) message: Option<Arc<str>>,
}

/// The three that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Delivered,
    NotDelivered,
    Unknown,
}

/// Why a line is not delivered, or not known to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// What the producer says of a record that it took.
    Cause(Cause),
    /// Why a record was not taken.
    Refused(Arc<str>),
}

impl Verdict {
    /// A line that the producer did not take.
    pub(crate) const fn refused(line: u64, why: Arc<str>, elapsed_us: u64) -> Self {
        Self {
            line,
            kind: Kind::NotDelivered,
            late: false,
            partition: None,
            offset: None,
            elapsed_us,
            cause: Some(Why::Refused(why)),
            last_error: None,
            at_fault: None,
            message: None,
        }
    }
}

impl From<&Report> for Verdict {
    fn from(report: &Report) -> Self {
        let (partition, offset) = match report.outcome {
            RecordOutcome::Delivered { partition, offset, .. } => (Some(partition), offset),
            RecordOutcome::NotDelivered(_) | RecordOutcome::Unknown(_) | _ => (None, None),
        };
        let why = report.outcome.why();
        Self {
            line: report.token,
            kind: Kind::from(&report.outcome),
            late: report.late,
            partition,
            offset,
            elapsed_us: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
            cause: why.map(|why| Why::Cause(why.cause)),
            last_error: why.and_then(|why| why.last_error),
            at_fault: why.and_then(|why| why.cause.at_fault()),
            message: why.and_then(|why| why.message.clone()),
        }
    }
}

impl From<&RecordOutcome> for Kind {
    fn from(outcome: &RecordOutcome) -> Self {
        match outcome {
            RecordOutcome::Delivered { .. } => Self::Delivered,
            RecordOutcome::NotDelivered(_) => Self::NotDelivered,
            // A state that this version does not know of proves nothing.
            RecordOutcome::Unknown(_) | _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delivered => "delivered",
            Self::NotDelivered => "not delivered",
            Self::Unknown => "not known whether delivered",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cause(cause) => write!(f, "{cause}"),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

/// As it is told elsewhere.
#[allow(clippy::ref_option)] // as serde calls it
fn in_words<T, S>(said: &Option<T>, to: S) -> Result<S::Ok, S::Error>
where
    T: fmt::Display,
    S: serde::Serializer,
{
    match said {
        Some(said) => to.collect_str(said),
        None => to.serialize_none(),
    }
}

impl Serialize for Why {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The final outcome of each line, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) not_delivered: u64,
    pub(crate) unknown: u64,
}

impl Tally {
    pub(crate) const fn total(&self) -> u64 {
        self.delivered + self.not_delivered + self.unknown
    }

    pub(crate) const fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::Delivered => &mut self.delivered,
            Kind::NotDelivered => &mut self.not_delivered,
            Kind::Unknown => &mut self.unknown,
        } += 1;
    }

    /// A final outcome takes the place of the first.
    pub(crate) const fn replace_unknown(&mut self, kind: Kind) {
        self.unknown = self.unknown.saturating_sub(1);
        self.add(kind);
    }
}

#[cfg(test)]
mod tests {
    use ottla_core::wire::ErrorCode;

    use super::*;

    #[test]
    fn a_verdict_is_one_json_object() {
        let delivered = Verdict {
            line: 1,
            kind: Kind::Delivered,
            late: false,
            partition: Some(0),
            offset: Some(12),
            elapsed_us: 310,
            cause: None,
            last_error: None,
            at_fault: None,
            message: None,
        };
        assert_eq!(
            serde_json::to_string(&delivered).unwrap(),
            r#"{"line":1,"verdict":"delivered","late":false,"partition":0,"offset":12,"elapsed_us":310}"#
        );
        let unknown = Verdict {
            kind: Kind::Unknown,
            partition: None,
            offset: None,
            cause: Some(Why::Cause(Cause::DeliveryTimeout)),
            last_error: Some(LastError::Answer(ErrorCode::NOT_ENOUGH_REPLICAS)),
            ..delivered
        };
        assert_eq!(
            serde_json::to_string(&unknown).unwrap(),
            r#"{"line":1,"verdict":"unknown","late":false,"elapsed_us":310,"cause":"delivery timeout","last_error":"NOT_ENOUGH_REPLICAS (19)"}"#
        );
        let refused = Verdict {
            kind: Kind::NotDelivered,
            cause: Some(Why::Cause(Cause::Neighbour(ErrorCode::INVALID_RECORD))),
            last_error: None,
            at_fault: Some(false),
            message: Some("no key".into()),
            ..unknown
        };
        assert_eq!(
            serde_json::to_string(&refused).unwrap(),
            r#"{"line":1,"verdict":"not_delivered","late":false,"elapsed_us":310,"cause":"INVALID_RECORD (87), for the fault of other records of its batch","at_fault":false,"message":"no key"}"#
        );
    }

    #[test]
    fn a_late_verdict_takes_the_place_of_the_first() {
        let mut tally = Tally::default();
        tally.add(Kind::Unknown);
        assert_eq!((tally.unknown, tally.total()), (1, 1));
        tally.replace_unknown(Kind::Delivered);
        assert_eq!((tally.delivered, tally.total()), (1, 1));
    }
}
