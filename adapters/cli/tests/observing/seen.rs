//! What a run showed.

use std::collections::BTreeMap;

use ottla_client::{RecordOutcome, Stats};
use serde_json::Value;

use crate::doc_tables::Place;

/// An outcome that is not `Delivered`, or a report of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) kind: &'static str,
    pub(crate) late: bool,
    pub(crate) cause: String,
    pub(crate) last_error: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) outcomes: Vec<Sight>,
    pub(crate) reports: Vec<Sight>,
    /// Lines of `--outcomes`.
    pub(crate) json: Vec<Value>,
    /// The most that each counter and each gauge showed.
    pub(crate) stats: BTreeMap<String, u64>,
    pub(crate) events: Vec<String>,
}

/// The name of a variant, without what it holds.
fn variant(value: &impl core::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

impl Sight {
    pub(crate) fn of(outcome: &RecordOutcome, late: bool) -> Option<Self> {
        let why = outcome.why()?;
        Some(Self {
            kind: if matches!(outcome, RecordOutcome::Unknown(_)) {
                "Unknown"
            } else {
                "NotDelivered"
            },
            late,
            cause: variant(&why.cause),
            last_error: why.last_error.as_ref().map(variant),
        })
    }
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.reports.extend(other.reports);
        self.json.extend(other.json);
        self.events.extend(other.events);
        for (name, count) in other.stats {
            self.note(&name, count);
        }
    }

    fn note(&mut self, name: &str, count: u64) {
        let most = self.stats.entry(name.to_owned()).or_default();
        *most = count.max(*most);
    }

    /// Takes note of counters and gauges, by the names that the page gives them.
    pub(crate) fn sample(&mut self, stats: &Stats) {
        for (kind, tally) in [("answers", &stats.answers), ("late", &stats.late)] {
            self.note(&format!("{kind}.delivered"), tally.delivered);
            self.note(&format!("{kind}.not_delivered"), tally.not_delivered);
            self.note(&format!("{kind}.unknown"), tally.unknown);
        }
        let core = &stats.core;
        self.note("core.not_delivered", core.not_delivered);
        self.note("core.unknown", core.unknown);
        self.note("core.retries", core.retries);
        self.note("core.desyncs", core.desyncs);
        self.note("core.epoch_bumps", core.epoch_bumps);
        self.note("errors", stats.errors.iter().map(|(_, times)| times).sum());
        self.note("waits", stats.waits.len() as u64);
        for wait in &stats.waits {
            self.note(&format!("waits={}", variant(&wait.why)), 1);
        }
        for error in stats.brokers.iter().filter_map(|broker| broker.last_error) {
            self.note("brokers", 1);
            self.note(&format!("brokers={}", variant(&error)), 1);
        }
    }

    pub(crate) fn told(&self, place: Place) -> String {
        match place {
            Place::Outcome => format!("{:?}", self.outcomes),
            Place::Report => format!("{:?}", self.reports),
            Place::Json => format!("{:?}", self.json),
            Place::Stats => format!("{:?}", self.stats),
            Place::Event => self.events.join("\n"),
        }
    }
}
