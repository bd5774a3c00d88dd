//! What the table found out for others to hear, once the lock is free.

use core::{fmt, ops::Range, time::Duration};

use ottla_core::Instant;

use crate::{
    delivery::{
        batch_entry::Entry,
        batch_state::{BatchStateInner, WHOLE},
        outcome::{RecordOutcome, Report, Told},
    },
    panic_containment::{Wakes, contain},
};

/// To be told without the lock, in this order.
#[derive(Debug, Default)]
pub(crate) struct Notifications {
    pub(crate) wakes: Wakes,
    /// What is to be logged: whoever listens to that may use the producer.
    notes: Vec<Note>,
    reports: Vec<Reports>,
    /// How many records they are about.
    records: usize,
}

/// Something to be logged.
struct Note(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Note")
    }
}

/// Reports of one record, or of all records of a batch.
#[derive(Debug)]
enum Reports {
    One(Report),
    Batch(Finished),
}

/// A batch all records of which have the same, first and last word, and are in the log once if at all: their reports are made one by one
/// when they are told, by who tells them.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) entry: Box<Entry>,
    pub(super) partition: i32,
    pub(super) told: Told,
    pub(super) at: Instant,
}

impl Notifications {
    pub(crate) fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.reports.is_empty() && self.notes.is_empty()
    }

    /// Has something logged once the lock is free.
    pub(crate) fn note(&mut self, log: impl FnOnce() + Send + 'static) {
        self.notes.push(Note(Box::new(log)));
    }

    /// Logs what is to be logged.
    pub(crate) fn log(&mut self) {
        for Note(log) in self.notes.drain(..) {
            // Where even that panics, there is nobody to be told.
            contain(log);
        }
    }

    pub(crate) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// How many records have reports.
    pub(crate) const fn records(&self) -> usize {
        self.records
    }

    pub(super) fn report(&mut self, report: Report) {
        self.records += 1;
        self.reports.push(Reports::One(report));
    }

    pub(super) fn finish(&mut self, finished: Finished) {
        self.records += finished.entry.tokens.len();
        self.reports.push(Reports::Batch(finished));
    }

    /// Tells all reports that were not told yet, in order. Where `tell` panics, the next call goes on behind that report.
    pub(crate) fn tell(&self, progress: &mut Progress, mut tell: impl FnMut(&Report)) {
        let mut behind = progress.told;
        for reports in &self.reports {
            match (behind.checked_sub(reports.len()), reports) {
                (Some(rest), _) => {
                    behind = rest;
                    continue;
                }
                (None, Reports::One(report)) => {
                    progress.begin(report);
                    tell(report);
                }
                (None, Reports::Batch(finished)) => finished.tell(behind, progress, &mut tell),
            }
            behind = 0;
        }
    }

    /// Forgets the reports, and gives back the entries that they were made of.
    pub(super) fn forget_reports(&mut self) -> impl Iterator<Item = Box<Entry>> {
        self.records = 0;
        self.reports.drain(..).filter_map(|reports| match reports {
            Reports::One(_) => None,
            Reports::Batch(finished) => Some(finished.entry),
        })
    }
}

impl Reports {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Batch(finished) => finished.entry.tokens.len(),
        }
    }
}

/// How far reports were told.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many were begun.
    told: usize,
    /// The token of the last of those.
    pub(crate) token: u64,
}

impl Progress {
    const fn begin(&mut self, report: &Report) {
        self.told += 1;
        self.token = report.token;
    }
}

impl Finished {
    /// Tells the reports from this one on. All are made in one place: between records of a batch, little changes.
    fn tell(&self, from: usize, progress: &mut Progress, tell: &mut impl FnMut(&Report)) {
        let mut report = Report {
            token: 0,
            topic: self.entry.topic,
            outcome: RecordOutcome::of(&self.told, self.partition, 0),
            late: false,
            elapsed: Duration::ZERO,
        };
        let base = match report.outcome {
            RecordOutcome::Delivered { offset, .. } => offset,
            RecordOutcome::NotDelivered(_) | RecordOutcome::Unknown(_) => None,
        };
        let mut tokens = self.entry.tokens.iter().skip(from).peekable();
        for (indexes, elapsed) in self.entry.times.runs(self.at, &WHOLE) {
            report.elapsed = elapsed;
            while let Some(token) = tokens.next_if(|token| token.index < indexes.end) {
                report.token = token.token;
                if let (RecordOutcome::Delivered { offset, .. }, Some(base)) =
                    (&mut report.outcome, base)
                {
                    *offset = Some(base.saturating_add(i64::from(token.index)));
                }
                progress.begin(&report);
                tell(&report);
            }
        }
    }
}

/// Reports what is new of records with tokens.
pub(super) fn report(
    entry: &mut Entry,
    state: &BatchStateInner,
    now: Instant,
    indexes: &Range<u32>,
    last: bool,
    news: &mut Notifications,
) {
    let from = entry.tokens.partition_point(|token| token.index < indexes.start);
    let tokens = entry.tokens.iter_mut().skip(from);
    let tokens = tokens.take_while(|token| token.index < indexes.end);
    for token in tokens.filter(|token| !token.done) {
        if let Some(outcome) = state.first(token.index)
            && (last || !token.told)
        {
            news.report(Report {
                token: token.token,
                topic: entry.topic,
                outcome,
                late: token.told,
                elapsed: entry.times.elapsed(now, token.index),
            });
        }
        token.told = true;
        token.done = last;
    }
}
