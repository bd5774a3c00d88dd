//! What is remembered of the readings under way, and what is said of them.

use core::time::Duration;

use ottla_core::{Event, Instant, Outcome, ProduceError, Producer, Record, TopicId};
use ottla_embedded::{Backlog, RecordOutcome, Why};

use crate::logging::{say, why};

/// How many readings are delivered between two lines of the log about it.
const MILESTONE: u32 = 1_000;

/// What became of the readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// In the log.
    pub delivered: u32,
    /// Not in the log: too old, or no room for them.
    pub dropped: u32,
    /// Nobody knows.
    pub unknown: u32,
}

impl Summary {
    /// So many more are in the log.
    fn deliver(&mut self, count: u32) {
        let before = self.delivered / MILESTONE;
        self.delivered += count;
        if self.delivered / MILESTONE > before {
            say!(info, "{} readings delivered", self.delivered / MILESTONE * MILESTONE);
        }
    }

    /// One is not.
    pub(crate) fn drop_reading(&mut self, number: u32, why: &str) {
        say!(warn, "reading {} is dropped: {}", number, why);
        self.dropped += 1;
    }

    /// Takes note of what became of a reading.
    fn note(&mut self, number: u32, outcome: RecordOutcome, late: bool, last: bool) {
        match outcome {
            RecordOutcome::Delivered { .. } => {
                if late {
                    say!(info, "reading {} is delivered after all", number);
                }
                self.deliver(1);
            }
            RecordOutcome::NotDelivered(Why { cause, .. }) => self.drop_reading(number, why(cause)),
            RecordOutcome::Unknown(Why { cause, .. }) if last => {
                say!(error, "reading {} is unknown for good: {}", number, why(cause));
                self.unknown += 1;
            }
            RecordOutcome::Unknown(Why { cause, .. }) => {
                say!(warn, "reading {} is unknown: {}", number, why(cause));
            }
            _ => {}
        }
    }
}

/// What is remembered of the readings under way.
pub trait Book {
    /// Produces the reading `number`, which is worth something for so long.
    ///
    /// # Errors
    /// As [`Producer::produce`].
    fn produce(
        &mut self,
        producer: &mut Producer<'_>,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
        number: u32,
        within: Option<Duration>,
    ) -> Result<(), ProduceError>;

    /// Ends the readings whose time is over.
    fn expire(&mut self, producer: &mut Producer<'_>, now: Instant);

    /// Takes note of what the producer told.
    fn hear(&mut self, producer: &Producer<'_>, event: &Event);

    /// Sums up what was told since.
    fn sum_up(&mut self, summary: &mut Summary);

    /// Whether no reading is under way.
    fn is_empty(&self) -> bool;
}

/// Each reading, with its deadline: 80 bytes for each.
pub type Each = Backlog<u32, 32>;

impl<const N: usize> Book for Backlog<u32, N> {
    fn produce(
        &mut self,
        producer: &mut Producer<'_>,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
        number: u32,
        within: Option<Duration>,
    ) -> Result<(), ProduceError> {
        Self::produce(self, producer, now, topic, record, number, within)
    }

    fn expire(&mut self, producer: &mut Producer<'_>, now: Instant) {
        self.handle_timeout(producer, now);
    }

    fn hear(&mut self, producer: &Producer<'_>, event: &Event) {
        self.handle_event(producer, event);
    }

    fn sum_up(&mut self, summary: &mut Summary) {
        while let Some(report) = self.poll_report() {
            summary.note(report.token, report.outcome, report.late, report.last);
        }
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

/// How many there are, and nothing else: for a sensor that neither cancels nor drops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    under_way: u32,
    delivered: u32,
    not_delivered: u32,
    unknown: u32,
}

impl Count {
    /// None under way.
    #[must_use]
    pub const fn new() -> Self {
        Self { under_way: 0, delivered: 0, not_delivered: 0, unknown: 0 }
    }
}

impl Book for Count {
    fn produce(
        &mut self,
        producer: &mut Producer<'_>,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
        _number: u32,
        _within: Option<Duration>,
    ) -> Result<(), ProduceError> {
        producer.produce(now, topic, record)?;
        self.under_way += 1;
        Ok(())
    }

    fn expire(&mut self, _producer: &mut Producer<'_>, _now: Instant) {}

    fn hear(&mut self, _producer: &Producer<'_>, event: &Event) {
        let Event::BatchOutcome(settled) = event else { return };
        if !settled.last {
            return;
        }
        self.under_way = self.under_way.saturating_sub(settled.records);
        let sum = match settled.outcome {
            Outcome::Delivered { .. } => &mut self.delivered,
            Outcome::NotDelivered(_) => &mut self.not_delivered,
            Outcome::Unknown(_) | _ => &mut self.unknown,
        };
        *sum += settled.records;
    }

    fn sum_up(&mut self, summary: &mut Summary) {
        summary.deliver(core::mem::take(&mut self.delivered));
        summary.dropped += core::mem::take(&mut self.not_delivered);
        summary.unknown += core::mem::take(&mut self.unknown);
    }

    fn is_empty(&self) -> bool {
        self.under_way == 0
    }
}
