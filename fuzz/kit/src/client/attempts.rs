//! What a client sent, batch by batch, and what came back.

use std::collections::BTreeMap;

use ottla_core::wire::{ErrorCode, Evidence};

use crate::{
    batch::{ReadBatch, advance, read_batches},
    messages::{Request, Struct, Value},
};

/// One batch, sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When, in milliseconds since the episode began.
    pub at_ms: u64,
    /// On which connection, counted over the episode.
    pub connection: u64,
    /// The partition.
    pub partition: i32,
    /// The batch.
    pub batch: ReadBatch,
    /// What came back.
    pub answer: Answer,
}

/// What a client knows of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    None,
    /// Bytes that are no answer: it was spoilt on its way.
    Spoilt,
    /// It is in the log, at this offset.
    Acknowledged(i64),
    /// An error.
    Error(i16),
}

impl Attempt {
    /// Whether the client was told for certain that this attempt was not appended.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        match self.answer {
            Answer::Error(code) => ErrorCode(code).evidence() == Evidence::NotAppended,
            Answer::None | Answer::Spoilt | Answer::Acknowledged(_) => false,
        }
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let batch = &self.batch;
        let answer = match self.answer {
            Answer::None => "no answer".to_owned(),
            Answer::Spoilt => "an answer that was spoilt".to_owned(),
            Answer::Acknowledged(offset) => format!("acknowledged at offset {offset}"),
            Answer::Error(code) => ErrorCode(code).to_string(),
        };
        let values = batch.values.iter().flatten().map(|value| String::from_utf8_lossy(value));
        let mut values: Vec<_> = values.take(4).collect();
        if batch.values.len() > values.len() {
            values.push("…".into());
        }
        format!(
            "{:>6} ms  partition {}  producer {} epoch {} sequences {}..{}  [{}]  connection {}: {answer}",
            self.at_ms,
            self.partition,
            batch.producer_id,
            batch.epoch,
            batch.sequence,
            batch.last_sequence(),
            values.join(" "),
            self.connection,
        )
    }
}

/// All attempts of an episode, in their order.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    all: Vec<Attempt>,
    /// Those whose answers are to come, by connection and correlation id.
    open: BTreeMap<(u64, i32), Vec<usize>>,
}

impl Attempts {
    /// These, and no more.
    #[must_use]
    pub const fn of(all: Vec<Attempt>) -> Self {
        Self { all, open: BTreeMap::new() }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Attempt] {
        &self.all
    }

    /// A Produce request was sent as a whole.
    pub(super) fn sent(&mut self, at_ms: u64, connection: u64, request: &Request) {
        let mut open = Vec::new();
        for partition in
            request.body.structs("topics").flat_map(|topic| topic.structs("partitions"))
        {
            let index = i32::try_from(partition.int("index")).unwrap_or(-1);
            let (batches, _) = read_batches(partition.get("records").map_or(&[], Value::bytes));
            for batch in batches {
                open.push(self.all.len());
                let answer = Answer::None;
                self.all.push(Attempt { at_ms, connection, partition: index, batch, answer });
            }
        }
        self.open.insert((connection, request.correlation_id), open);
    }

    /// A Produce answer came back, and was spoilt.
    pub(super) fn spoilt(&mut self, connection: u64, correlation_id: i32) {
        for at in self.open.remove(&(connection, correlation_id)).unwrap_or_default() {
            if let Some(attempt) = self.all.get_mut(at) {
                attempt.answer = Answer::Spoilt;
            }
        }
    }

    /// A Produce answer came back as a whole and as it was.
    pub(super) fn answered(&mut self, connection: u64, correlation_id: i32, body: &Struct) {
        let Some(open) = self.open.remove(&(connection, correlation_id)) else {
            return;
        };
        for partition in body.structs("topics").flat_map(|topic| topic.structs("partitions")) {
            let index = i32::try_from(partition.int("index")).unwrap_or(-1);
            let answer = match i16::try_from(partition.int("error_code")).unwrap_or(-1) {
                0 => Answer::Acknowledged(partition.int("base_offset")),
                code => Answer::Error(code),
            };
            for at in &open {
                if let Some(attempt) = self.all.get_mut(*at).filter(|of| of.partition == index) {
                    attempt.answer = answer;
                }
            }
        }
    }
}

/// Whether two batches have sequence numbers in common.
pub(super) fn overlap(a: &ReadBatch, b: &ReadBatch) -> bool {
    let within = |from: i32, more: i32, at: i32| {
        i64::from(at.wrapping_sub(from) & i32::MAX) <= i64::from(more)
    };
    (a.producer_id, a.epoch) == (b.producer_id, b.epoch)
        && (within(a.sequence, a.last_offset_delta, b.sequence)
            || within(b.sequence, b.last_offset_delta, a.sequence))
}

/// The sequence number of a batch's record.
pub(super) fn sequence_of(batch: &ReadBatch, record: usize) -> i32 {
    advance(batch.sequence, i32::try_from(record).unwrap_or(0))
}
