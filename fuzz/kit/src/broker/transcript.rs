//! What was seen of a plan.

use std::collections::BTreeMap;

use super::law::{Broken, Law};
use crate::batch::ReadBatch;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Told {
        /// The error codes in the answer, each once; 0 is none.
        errors: Vec<i16>,
        /// For a batch, its offset, counted from the end of the log before the plan.
        offset: Option<i64>,
    },
    /// It was answered by something that is no answer.
    Unreadable,
    /// The connection was closed.
    Closed,
    /// There was no answer in time.
    Silent,
    /// There was no answer, and none was due: more bytes were announced, or Fetch waits.
    Waits,
    /// There was no answer to this request and one to the next: none was asked for.
    NotAsked,
    /// It was not sent, since there is nothing in it that could be spoilt so.
    NotSent,
}

/// A request as it was sent, and what became of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// In which version; -1 where it was not sent.
    pub version: i16,
    /// Where it was spoilt.
    pub at: String,
    /// Its bytes, the frame's size first, where the plan alone does not say what is in it.
    pub bytes: Vec<u8>,
    /// What became of it.
    pub outcome: Outcome,
    /// What is wrong with the answer by itself.
    pub broken: Vec<Wrong>,
}

/// What is wrong with an answer by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Against which law.
    pub law: Law,
    /// What it is.
    pub what: String,
    /// What tells it from other ways to break the law.
    pub kind: String,
}

/// A batch in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// By which of the plan's producers.
    pub producer: Option<u8>,
    /// The batch, its offset counted from the end of the log before the plan.
    pub batch: ReadBatch,
}

/// All that was seen of one plan.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// What became of each step.
    pub asked: Vec<Asked>,
    /// The logs of the partitions as they were read back, from the end before the plan on.
    pub logs: BTreeMap<i32, Vec<Logged>>,
    /// What is wrong with reading them.
    pub broken: Vec<Broken>,
    /// Whether logs can be read back at all.
    pub was_read: bool,
}

/// Offsets and checksums of a log.
pub(super) fn judge_offsets(log: &[Logged], partition: i32, broken: &mut Vec<Broken>) {
    let mut next = 0;
    for Logged { batch, .. } in log {
        let at = batch.base_offset;
        if at != next {
            let what = format!("partition {partition}: offset {at} comes where {next} is to come");
            broken.push(Broken::new(Law::Offsets, None, what, String::new()));
        }
        if !batch.is_intact {
            let what =
                format!("partition {partition}: the batch at offset {at} has a wrong checksum");
            broken.push(Broken::new(Law::Intact, None, what, String::new()));
        }
        next = batch.next_offset();
    }
}
