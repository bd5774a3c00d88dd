//! The delivery table: from a batch of the core to those who want to know of its records.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
};

use ottla_core::{BatchId, BatchOutcome, Cause, Instant, Outcome, Ticket, TopicId, Verdict};

use crate::{
    delivery::{
        batch_entry::{Deadlines, Entry, Times, Token, find},
        batch_state::{BatchState, Update, WHOLE},
        broker_messages::BrokerMessages,
        calls_to_engine::EngineCalls,
        latency::Histogram,
        notifications::{Finished, Notifications, report},
        outcome::{OutcomeCounts, RecordOutcome, Report, Told, Why},
        spare_cells::SpareCells,
    },
    sync::atomic::{AtomicU64, Ordering},
};

mod enter_run;

/// One entry for each live batch.
#[derive(Debug)]
pub(crate) struct Table {
    pub(super) entries: Vec<Option<Box<Entry>>>,
    /// The last one closed is opened next, so that the number of entries, and of the vectors in
    /// them, follows the number of live batches and not of slots.
    #[expect(clippy::vec_box, reason = "entries move by their boxes")]
    spare_entries: Vec<Box<Entry>>,
    pub(crate) spare_cells: SpareCells,
    pub(super) next_number: u64,
    /// Numbers of the entries with records that have no answer.
    pub(super) unanswered: BTreeSet<u64>,
    /// The earliest deadline of each entry that has one, with the slot.
    deadlines: BTreeSet<(Instant, usize)>,
    /// The first of them, in microseconds; `u64::MAX` where there is none. For who has not the lock.
    due: Arc<AtomicU64>,
    pub(super) pending: u64,
    pub(crate) first: OutcomeCounts,
    pub(crate) last: OutcomeCounts,
    /// Of those, the ones of which `Unknown` was told before.
    pub(crate) late: OutcomeCounts,
    pub(crate) latency: Histogram,
}

impl Table {
    pub(crate) fn new(engine: Weak<dyn EngineCalls>, due: Arc<AtomicU64>) -> Self {
        Self {
            entries: Vec::new(),
            spare_entries: Vec::new(),
            spare_cells: SpareCells::new(engine),
            next_number: 0,
            unanswered: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            due,
            pending: 0,
            first: OutcomeCounts::default(),
            last: OutcomeCounts::default(),
            late: OutcomeCounts::default(),
            latency: Histogram::new(),
        }
    }

    /// Enters a record that the core took. Returns its batch's cell.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        topic: TopicId,
        ticket: &Ticket,
        token: Option<u64>,
    ) -> &Arc<BatchState> {
        self.pending += 1;
        let entry = self.entry_for(now, topic, ticket.batch());
        entry.times.push(ticket.index(), now);
        if ticket.index() as usize >= entry.room {
            entry.make_room();
        }
        entry.live += 1;
        if let Some(token) = token {
            entry.tokens.push(Token { index: ticket.index(), token, told: false, done: false });
        }
        &entry.cell
    }

    pub(super) fn open(
        &mut self,
        now: Instant,
        topic: TopicId,
        batch: BatchId,
        cell: Arc<BatchState>,
    ) {
        let slot = batch.index();
        if self.entries.len() <= slot {
            self.entries.resize_with(slot + 1, || None);
        }
        // Left over where all records of a batch were taken out and the core dropped it silently.
        self.retire_and_spare(slot);
        let mut entry = self.spare_entries.pop().unwrap_or_else(|| {
            Box::new(Entry {
                batch,
                topic,
                number: 0,
                cell: Arc::clone(&cell),
                times: Times::new(),
                words: BrokerMessages::default(),
                room: 0,
                tokens: Vec::new(),
                deadlines: Deadlines::default(),
                live: 0,
                answered: 0,
                done: 0,
            })
        });
        entry.batch = batch;
        entry.topic = topic;
        entry.times.open(now);
        entry.room = 0;
        // What the entry had before is its last batch's: spare for others once it is let go.
        let before = core::mem::replace(&mut entry.cell, cell);
        if !Arc::ptr_eq(&before, &entry.cell) {
            self.spare_cells.keep(before);
        }
        if let Some(place) = self.entries.get_mut(slot) {
            *place = Some(entry);
        }
    }

    /// Sets a time at which [`Table::pop_due`] gives the ticket, unless there is an earlier one. False where it has an answer, or is
    /// not known.
    pub(crate) fn set_deadline(&mut self, ticket: &Ticket, at: Instant) -> bool {
        let slot = ticket.batch().index();
        let Some(entry) =
            find(&mut self.entries, ticket.batch()).filter(|entry| !entry.is_answered())
        else {
            return false;
        };
        let before = entry.deadlines.first();
        entry.deadlines.set(ticket.index(), *ticket, at);
        if before.is_none_or(|before| at < before) {
            if let Some(before) = before {
                self.deadlines.remove(&(before, slot));
            }
            self.deadlines.insert((at, slot));
            self.note_due();
        }
        true
    }

    fn note_due(&self) {
        let due = self.next_deadline().map_or(u64::MAX, Instant::as_micros);
        self.due.store(due, Ordering::Relaxed);
    }

    /// The earliest deadline of a record.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A record whose deadline is over.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Ticket> {
        let &(at, slot) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.deadlines.remove(&(at, slot));
        let entry = self.entries.get_mut(slot)?.as_deref_mut()?;
        let ticket = entry.deadlines.pop()?;
        if let Some(next) = entry.deadlines.first() {
            self.deadlines.insert((next, slot));
        }
        self.note_due();
        Some(ticket)
    }

    /// Notes what the core said to a cancel. Returns what holds for the caller.
    pub(crate) fn cancelled(
        &mut self,
        now: Instant,
        ticket: &Ticket,
        verdict: Verdict,
        why: &Why,
        news: &mut Notifications,
    ) -> Verdict {
        self.cancelled_at(now, (ticket.batch(), ticket.index()), verdict, why, news)
    }

    /// The same of a record of a batch by its index.
    pub(super) fn cancelled_at(
        &mut self,
        now: Instant,
        (batch, index): (BatchId, u32),
        verdict: Verdict,
        why: &Why,
        news: &mut Notifications,
    ) -> Verdict {
        let Some(entry) = find(&mut self.entries, batch) else {
            return Verdict::AlreadySettled;
        };
        let mut state = entry.cell.lock();
        let before = state.verdict(index);
        let taken = match verdict {
            // Withdrawn once is withdrawn for ever.
            _ if before == Some(Verdict::NotDelivered) => return Verdict::NotDelivered,
            // Even after `Unknown`, where the bytes came back unwritten.
            Verdict::NotDelivered => true,
            // Told of already: its part of a batch that was split, or all of it.
            _ if state.last(index).is_some() => return Verdict::AlreadySettled,
            Verdict::Unknown if state.first(index).is_some() => return verdict,
            Verdict::Unknown => false,
            Verdict::AlreadySettled | _ => return verdict,
        };
        let first = state.first(index).is_none();
        state.cancel(index, taken, why, &mut news.wakes);
        drop(state);
        let elapsed = entry.times.elapsed(now, index);
        let token = entry.tokens.binary_search_by_key(&index, |token| token.index);
        if let Some(token) = token.ok().and_then(|at| entry.tokens.get_mut(at)) {
            news.report(Report {
                token: token.token,
                topic: entry.topic,
                outcome: match taken {
                    true => RecordOutcome::NotDelivered(why.clone()),
                    false => RecordOutcome::Unknown(why.clone()),
                },
                late: token.told,
                elapsed,
            });
            token.told = true;
            token.done = taken;
        }
        if first {
            entry.answered += 1;
            self.pending -= 1;
        }
        if taken {
            entry.live -= 1;
            entry.answered -= 1;
            self.last.not_delivered += 1;
        }
        if entry.is_answered() {
            self.answered(batch.index());
        }
        match (first, taken) {
            (true, true) => self.first.not_delivered += 1,
            (true, false) => self.first.unknown += 1,
            (false, true) => self.late.not_delivered += 1,
            (false, false) => {}
        }
        verdict
    }

    /// Notes the outcome of a batch, or of a part of it. Returns of how many records that is the final outcome after
    /// `Unknown`, be it that it was told to who cancelled.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        settled: &BatchOutcome,
        told: Told,
        news: &mut Notifications,
    ) -> u64 {
        let entry = find(&mut self.entries, settled.batch);
        if entry.is_none_or(|entry| entry.words.is_empty()) {
            return self.settle_piece(now, settled, told, news);
        }
        let mut late = 0;
        for (piece, message) in self.pieces(settled) {
            late += self.settle_piece(now, &piece, Told { message, ..told.clone() }, news);
        }
        late
    }

    fn settle_piece(
        &mut self,
        now: Instant,
        settled: &BatchOutcome,
        told: Told,
        news: &mut Notifications,
    ) -> u64 {
        let slot = settled.batch.index();
        let Some(entry) = find(&mut self.entries, settled.batch) else {
            return 0;
        };
        let records = u64::from(settled.records);
        let whole = settled.first == 0 && records >= entry.live;
        let records = records.min(entry.live);
        let word = Update {
            partition: settled.partition,
            part: (!whole).then_some((settled.first, settled.records)),
            told: told.clone(),
            last: settled.last,
        };
        let cell = Arc::clone(&entry.cell);
        let mut state = cell.lock();
        let (indexes, first) = state.tell(&word, &mut news.wakes);
        let plain = settled.last && settled.unique;
        let finished = whole && first && plain && !state.has_marks();
        if !finished {
            report(entry, &state, now, &indexes, settled.last, news);
        }
        let mut unmarked = 0;
        if first {
            unmarked = records - (state.marked_unknown(&indexes) as u64).min(records);
            count(&mut self.first, settled.outcome, unmarked);
            if matches!(settled.outcome, Outcome::Delivered { .. }) {
                for (run, elapsed) in entry.times.runs(now, &indexes) {
                    let records = run.len() - state.marked(&run);
                    self.latency.record(elapsed.as_micros() as u64, records as u64);
                }
            }
        }
        drop(state);
        entry.answered += unmarked;
        self.pending -= unmarked;
        let late = if settled.last { records - unmarked } else { 0 };
        if settled.last {
            entry.done += records;
            count(&mut self.last, settled.outcome, records);
            count(&mut self.late, settled.outcome, late);
        }
        if entry.done >= entry.live {
            let partition = settled.partition;
            if let Some(entry) = self.retire(slot) {
                if finished && !entry.tokens.is_empty() {
                    news.finish(Finished { entry, partition, told, at: now });
                } else {
                    self.spare(entry);
                }
            }
        } else if entry.is_answered() {
            self.answered(slot);
        }
        late
    }

    /// An entry's records have an answer: nobody waits to flush them, no deadline is left.
    fn answered(&mut self, slot: usize) {
        if let Some(Some(entry)) = self.entries.get_mut(slot) {
            self.unanswered.remove(&entry.number);
            if let Some(at) = entry.deadlines.first() {
                self.deadlines.remove(&(at, slot));
                entry.deadlines.clear();
                self.note_due();
            }
        }
    }

    /// Takes the entry of a batch of which no more will be heard.
    fn retire(&mut self, slot: usize) -> Option<Box<Entry>> {
        self.answered(slot);
        let entry = self.entries.get_mut(slot).and_then(Option::take)?;
        self.pending -= entry.live.saturating_sub(entry.answered);
        Some(entry)
    }

    fn spare(&mut self, mut entry: Box<Entry>) {
        entry.clear();
        self.spare_entries.push(entry);
    }

    fn retire_and_spare(&mut self, slot: usize) {
        if let Some(entry) = self.retire(slot) {
            self.spare(entry);
        }
    }

    /// Forgets reports that were told.
    pub(crate) fn told(&mut self, news: &mut Notifications) {
        news.forget_reports().for_each(|entry| self.spare(entry));
    }

    /// The number that the next entry gets: all before it were opened by now.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Whether all records of entries before this number have an answer.
    pub(crate) fn answered_before(&self, number: u64) -> bool {
        self.unanswered.first().is_none_or(|first| *first >= number)
    }

    /// Entries, those with a deadline, and those with records that have no answer.
    #[cfg(feature = "_internal")]
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        (self.entries.iter().flatten().count(), self.deadlines.len(), self.unanswered.len())
    }

    /// Records without an answer.
    pub(crate) const fn pending(&self) -> u64 {
        self.pending
    }

    /// Batches without a final outcome; for when no more word will come.
    pub(crate) fn leftovers(&self) -> Vec<(BatchId, TopicId)> {
        let entries = self.entries.iter().flatten().filter(|entry| entry.live > 0);
        entries.map(|entry| (entry.batch, entry.topic)).collect()
    }

    /// Tells an outcome in the core's stead, when no more word will come from it.
    pub(crate) fn give_up(
        &mut self,
        now: Instant,
        batch: BatchId,
        cause: Cause,
        news: &mut Notifications,
    ) {
        let slot = batch.index();
        let Some(entry) = find(&mut self.entries, batch) else {
            return;
        };
        let cell = Arc::clone(&entry.cell);
        let mut state = cell.lock();
        state.give_up(cause, &mut news.wakes);
        report(entry, &state, now, &WHOLE, true, news);
        drop(state);
        self.first.unknown += entry.live.saturating_sub(entry.answered);
        self.last.unknown += entry.live.saturating_sub(entry.done);
        self.retire_and_spare(slot);
    }
}

fn count(tally: &mut OutcomeCounts, outcome: Outcome, records: u64) {
    match outcome {
        Outcome::Delivered { .. } => tally.delivered += records,
        Outcome::NotDelivered(_) => tally.not_delivered += records,
        Outcome::Unknown(_) | _ => tally.unknown += records,
    }
}
