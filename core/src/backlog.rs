//! The records that are under way, each with its deadline, and what to do when memory is full. It stands
//! on the producer's public methods alone: nothing below knows of it, and nothing of it is linked where it
//! is not used.

use core::{fmt, time::Duration};

use heapless::Vec;

use crate::{
    BatchId, BatchOutcome, Cause, Event, Instant, LastError, Outcome, ProduceError, Producer,
    Record, Ticket, TopicId, Verdict,
};

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    NotDelivered(Why),
    /// Whether the record is in the log cannot be known yet. Producing it again could duplicate it.
    Unknown(Why),
}

/// Why a record is not delivered, or not known to be.
///
/// In words: the cause, and behind it what went wrong last, as in
/// `delivery timeout; last error: NOT_ENOUGH_REPLICAS (19)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Why {
    /// What ended the wait.
    pub cause: Cause,
    /// What stood in the way, if something did and the cause does not say it.
    pub last_error: Option<LastError>,
}

impl RecordOutcome {
    /// Why it is not delivered, or not known to be.
    #[must_use]
    pub const fn why(&self) -> Option<&Why> {
        match self {
            Self::NotDelivered(why) | Self::Unknown(why) => Some(why),
            Self::Delivered { .. } => None,
        }
    }
}

impl Why {
    /// With what is known now of a record's batch.
    fn of(producer: &Producer<'_>, batch: BatchId, cause: Cause) -> Self {
        let last_error = if cause.is_whole() { None } else { producer.last_error(batch) };
        Self { cause, last_error }
    }
}

impl From<Cause> for Why {
    fn from(cause: Cause) -> Self {
        Self { cause, last_error: None }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        self.last_error.map_or(Ok(()), |error| write!(f, "; last error: {error}"))
    }
}

/// What is told of a record that went through a [`Backlog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// Which record gives way when memory is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // there is no third end of a queue
pub enum DropPolicy {
    /// Those that wait longest: they are cancelled, and the new one is taken. A reading of now is
    /// worth more than one of an hour ago.
    OldestFirst,
    /// The new one: [`Backlog::produce`] refuses it. What was taken is kept.
    #[default]
    NewestFirst,
}

/// Up to `N` records that are under way, by a token of the caller's: what became of each, its
/// deadline, and who gives way when memory is full.
///
/// It uses no memory but its own, and says of each record that it took what became of it, at least
/// once and at most twice ([`poll_report`](Self::poll_report)). What a record's batch was told, it is
/// told: so give it each event of the producer, and produce and cancel the topic's records through it
/// only, since a record's offset depends on which others of its batch were cancelled.
///
/// **Dropping.** A record whose batch was begun to be sent cannot be dropped: its bytes are out. Of the
/// others, memory is freed by whole batches, so with [`DropPolicy::OldestFirst`] all records of the
/// oldest batch go for one new record, and those that follow find the room that was made. Where that is
/// too many at a time, a smaller `batch.size`, down to a page, makes the steps smaller. `N` should be
/// more than record memory can hold, so that memory is what runs out.
#[derive(Debug)]
pub struct Backlog<T, const N: usize> {
    policy: DropPolicy,
    /// In the order in which they were produced.
    entries: Vec<Entry<T>, N>,
    /// No record's deadline is before this.
    due: Instant,
    /// Entries that have something to report.
    reports: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    ticket: Ticket,
    token: T,
    /// [`Instant::NEVER`] where it has none, or it is over.
    deadline: Instant,
    /// Records before it in its batch that were taken out.
    gone_before: u32,
    /// Records of its batch that were taken out.
    gone: u32,
    /// What is to be reported.
    report: Option<Pending>,
    /// `Unknown` was reported.
    told: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    outcome: RecordOutcome,
    last: bool,
}

impl<T: Copy, const N: usize> Backlog<T, N> {
    /// An empty backlog.
    #[must_use]
    pub const fn new(policy: DropPolicy) -> Self {
        Self { policy, entries: Vec::new(), due: Instant::NEVER, reports: 0 }
    }

    /// How many records are under way, or wait for their report to be taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Produces a record that is cancelled when it has no verdict after `within`, if that is given.
    ///
    /// # Errors
    ///
    /// [`ProduceError`] as from [`Producer::produce`]; then the record was not taken, so that it is not
    /// in the log and never will be. [`ProduceError::Full`] also where `N` records are under way or
    /// wait for their reports to be taken: with [`DropPolicy::OldestFirst`] there is something to take
    /// then, if anything could be dropped.
    pub fn produce(
        &mut self,
        producer: &mut Producer<'_>,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
        token: T,
        within: Option<Duration>,
    ) -> Result<(), ProduceError> {
        loop {
            let taken = match self.entries.is_full() {
                true => Err(ProduceError::Full),
                false => producer.produce(now, topic, record),
            };
            match taken {
                Ok(ticket) => {
                    let deadline = within.map_or(Instant::NEVER, |within| now.after(within));
                    self.push(ticket, token, deadline);
                    return Ok(());
                }
                Err(ProduceError::Full) if self.policy == DropPolicy::OldestFirst => {
                    if !self.drop_oldest(producer, now) {
                        return Err(ProduceError::Full);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes note of what the producer told, before its next [`poll_output`](Producer::poll_output).
    pub fn handle_event(&mut self, producer: &Producer<'_>, event: &Event) {
        if let Event::BatchOutcome(settled) = event {
            self.settle(producer, settled);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; [`Instant::NEVER`] while no
    /// record has a deadline.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// Cancels the records whose deadline has come: each is told what is true of it at once.
    pub fn handle_timeout(&mut self, producer: &mut Producer<'_>, now: Instant) {
        if self.due > now {
            return;
        }
        let mut due = Instant::NEVER;
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(at) else { break };
            if entry.deadline > now {
                due = due.min(entry.deadline);
                continue;
            }
            entry.deadline = Instant::NEVER;
            if !entry.is_over() {
                self.cancel_at(producer, now, at, Cause::Deadline);
            }
        }
        self.due = due;
    }

    /// Cancels the record of a token, the oldest one if there are several; `None` where there is none
    /// under way. Its report follows.
    pub fn cancel(
        &mut self,
        producer: &mut Producer<'_>,
        now: Instant,
        token: &T,
    ) -> Option<Verdict>
    where
        T: PartialEq,
    {
        let at = self.entries.iter().position(|e| e.token == *token && !e.is_over())?;
        Some(self.cancel_at(producer, now, at, Cause::Cancelled))
    }

    /// The next thing to tell of a record, oldest first; take them until there is none.
    pub fn poll_report(&mut self) -> Option<Report<T>> {
        if self.reports == 0 {
            return None;
        }
        let at = self.entries.iter().position(|entry| entry.report.is_some())?;
        let entry = self.entries.get_mut(at)?;
        let Pending { outcome, last } = entry.report.take()?;
        self.reports -= 1;
        let report = Report { token: entry.token, outcome, late: entry.told, last };
        entry.told = true;
        if last {
            self.remove(at);
        }
        Some(report)
    }

    /// Takes an entry out and keeps the order of the others. (`Vec::remove` panics where it does not know
    /// that the entry is there.)
    fn remove(&mut self, at: usize) {
        let mut rest = self.entries.iter_mut().skip(at);
        if let Some(mut hole) = rest.next() {
            for next in rest {
                core::mem::swap(hole, next);
                hole = next;
            }
            self.entries.pop();
        }
    }

    fn push(&mut self, ticket: Ticket, token: T, deadline: Instant) {
        // All that the entries of a batch know of it is the same.
        let mates = self.entries.iter().rev().find(|e| e.ticket.batch() == ticket.batch());
        let gone = mates.map_or(0, |mate| mate.gone);
        let entry =
            Entry { ticket, token, deadline, gone_before: gone, gone, report: None, told: false };
        // There is room: a full backlog produces nothing.
        let _ = self.entries.push(entry);
        self.due = self.due.min(deadline);
    }

    /// Drops the records of the oldest batch of which no byte is out; tells whether there was one.
    fn drop_oldest(&mut self, producer: &mut Producer<'_>, now: Instant) -> bool {
        let mut held = None;
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get(at) else { break };
            let batch = entry.ticket.batch();
            if entry.is_over() || held == Some(batch) {
                continue;
            }
            let why = Why::of(producer, batch, Cause::Cancelled);
            let dropped = producer.cancel(now, entry.ticket) == Verdict::NotDelivered;
            if !dropped {
                // Its bytes are out, and those of its batch with it.
                held = Some(batch);
                continue;
            }
            self.take_out(at, why);
            for at in at..self.entries.len() {
                let mate = self.entries.get(at).filter(|e| e.ticket.batch() == batch);
                if mate.is_some_and(|mate| !mate.is_over()) {
                    self.cancel_at(producer, now, at, Cause::Cancelled);
                }
            }
            return true;
        }
        false
    }

    fn cancel_at(
        &mut self,
        producer: &mut Producer<'_>,
        now: Instant,
        at: usize,
        cause: Cause,
    ) -> Verdict {
        let Some(entry) = self.entries.get(at) else {
            return Verdict::AlreadySettled;
        };
        let why = Why::of(producer, entry.ticket.batch(), cause);
        let verdict = producer.cancel(now, entry.ticket);
        match verdict {
            Verdict::NotDelivered => self.take_out(at, why),
            Verdict::Unknown => self.report(at, RecordOutcome::Unknown(why), false),
            // The batch's event has told, or is about to.
            Verdict::AlreadySettled | Verdict::Foreign => {}
        }
        verdict
    }

    /// A record was taken out of its batch: the numbers of those that follow it change.
    fn take_out(&mut self, at: usize, why: Why) {
        let Some(Entry { ticket, .. }) = self.entries.get(at).copied() else { return };
        for mate in self.entries.iter_mut().filter(|e| e.ticket.batch() == ticket.batch()) {
            mate.gone += 1;
            mate.gone_before += u32::from(mate.ticket.index() > ticket.index());
        }
        self.report(at, RecordOutcome::NotDelivered(why), true);
    }

    fn settle(&mut self, producer: &Producer<'_>, settled: &BatchOutcome) {
        let why = |cause| Why::of(producer, settled.batch, cause);
        let numbers = settled.first..settled.first.saturating_add(settled.records);
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get(at) else { break };
            if entry.ticket.batch() != settled.batch || entry.is_over() {
                continue;
            }
            let number = entry.ticket.index().saturating_sub(entry.gone_before);
            if !numbers.contains(&number) {
                continue;
            }
            let outcome = match settled.outcome {
                Outcome::Delivered { base_offset, .. } => RecordOutcome::Delivered {
                    partition: settled.partition,
                    offset: base_offset.map(|base| base + i64::from(number - settled.first)),
                    unique: settled.unique,
                },
                Outcome::NotDelivered(cause) => RecordOutcome::NotDelivered(why(cause)),
                Outcome::Unknown(cause) => RecordOutcome::Unknown(why(cause)),
            };
            self.report(at, outcome, settled.last);
        }
    }

    /// Has something told of a record. `Unknown` is told once, unless it is the last word.
    fn report(&mut self, at: usize, outcome: RecordOutcome, last: bool) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        if !last && (entry.told || entry.report.is_some()) {
            return;
        }
        self.reports += usize::from(entry.report.is_none());
        entry.report = Some(Pending { outcome, last });
        entry.deadline = Instant::NEVER;
    }
}

impl<T> Entry<T> {
    /// Whether its last word is known.
    fn is_over(&self) -> bool {
        self.report.is_some_and(|pending| pending.last)
    }
}
