//! What two brokers did differently.

use ottla_core::wire::ErrorCode;

use super::{
    judge::kind_of,
    plan::Plan,
    transcript::{Outcome, Transcript},
};

/// A step that two brokers answered otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which step; [`None`] is the log at the end.
    pub step: Option<usize>,
    /// What kind of request it is.
    pub kind: String,
    /// What the first one did.
    pub one: String,
    /// What the other one did.
    pub other: String,
}

impl Difference {
    /// By what the same is known in another run.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("{} | {} | {}", self.kind, self.one, self.other)
    }
}

/// The first step that was answered otherwise: what comes after it may be no more than its consequence. Without one, the
/// logs, where they are not the same.
#[must_use]
pub fn differences(plan: &Plan, one: &Transcript, other: &Transcript) -> Option<Difference> {
    for (at, step) in plan.steps.iter().enumerate() {
        let (Some(a), Some(b)) = (one.asked.get(at), other.asked.get(at)) else {
            break;
        };
        if a.outcome != b.outcome {
            let (one, other) = words_of_both(&a.outcome, &b.outcome);
            return Some(Difference { step: Some(at), kind: kind_of(step), one, other });
        }
    }
    if !one.was_read || !other.was_read {
        return None;
    }
    for (partition, log) in &one.logs {
        let told = |transcript: &Transcript| -> Vec<String> {
            let log = transcript.logs.get(partition);
            let batches = log.into_iter().flatten().map(|logged| {
                let batch = &logged.batch;
                let values =
                    batch.values.iter().flatten().map(|value| String::from_utf8_lossy(value));
                let values: Vec<_> = values.collect();
                format!(
                    "{} {:?} {} {} {values:?}",
                    batch.base_offset, logged.producer, batch.epoch, batch.sequence
                )
            });
            batches.collect()
        };
        let (a, b) = (told(one), told(other));
        if a != b {
            let (one, other) = (format!("{} batches", log.len()), format!("{} batches", b.len()));
            return Some(Difference { step: None, kind: "the log".to_owned(), one, other });
        }
    }
    None
}

/// What became of a request, in words. Offsets are told only where they are what differs.
fn words_of_both(a: &Outcome, b: &Outcome) -> (String, String) {
    let (one, other) = (words(a, false), words(b, false));
    if one == other { (words(a, true), words(b, true)) } else { (one, other) }
}

/// What became of a request, in words.
pub(super) fn words(outcome: &Outcome, with_offset: bool) -> String {
    match outcome {
        Outcome::Told { errors, offset } => {
            let errors: Vec<String> = errors
                .iter()
                .filter(|error| **error != 0)
                .map(|error| ErrorCode(*error).to_string())
                .collect();
            match (errors.is_empty(), offset) {
                (true, Some(offset)) if with_offset => format!("acknowledged at offset {offset}"),
                (true, Some(_)) => "acknowledged".to_owned(),
                (true, None) => "answered".to_owned(),
                (false, Some(offset)) if with_offset => {
                    format!("{} (offset {offset})", errors.join(", "))
                }
                (false, _) => errors.join(", "),
            }
        }
        Outcome::Unreadable => "an answer that is none".to_owned(),
        Outcome::Closed => "the connection was closed".to_owned(),
        Outcome::Silent => "no answer in time".to_owned(),
        Outcome::Waits => "waits".to_owned(),
        Outcome::NotAsked => "no answer, as none was asked for".to_owned(),
        Outcome::NotSent => "not sent".to_owned(),
    }
}
