//! The delivery table: from a batch of the core to those who want to know of its records.

use core::sync::atomic::{AtomicU64, Ordering};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Weak},
};

use ottla_core::{BatchId, Cause, Instant, Outcome, Settled, Ticket, TopicId, Verdict};

use crate::delivery::{
    batch_state::{Cell, WHOLE, Word},
    cancelled::Gone,
    engine_calls::EngineCalls,
    entry::{Book, Deadlines, Times, Token, find},
    latency::Histogram,
    notifications::{Finished, News, report},
    outcome::{RecordOutcome, Report, Tally, Told},
    words::Words,
};

/// Cells that wait to be reused; more than this are given back to the heap.
const SPARE_CELLS: usize = 256;
/// How many of them are looked at for one that nobody holds.
const TRIES: usize = 4;

/// One book for each live batch.
#[derive(Debug)]
pub(crate) struct Table {
    engine: Weak<dyn EngineCalls>,
    pub(super) books: Vec<Option<Box<Book>>>,
    /// The last one closed is opened next, so that the number of books, and of the vectors in
    /// them, follows the number of live batches and not of slots.
    #[expect(clippy::vec_box, reason = "books move by their boxes")]
    spare_books: Vec<Box<Book>>,
    spare_cells: VecDeque<Arc<Cell>>,
    next_number: u64,
    /// Numbers of the books with records that have no answer.
    unanswered: BTreeSet<u64>,
    /// The earliest deadline of each book that has one, with the slot.
    deadlines: BTreeSet<(Instant, usize)>,
    /// The first of them, in microseconds; `u64::MAX` where there is none. For who has not the lock.
    due: Arc<AtomicU64>,
    pending: u64,
    pub(crate) first: Tally,
    pub(crate) last: Tally,
    /// Of those, the ones of which `Unknown` was told before.
    pub(crate) late: Tally,
    pub(crate) latency: Histogram,
}

impl Table {
    pub(crate) fn new(engine: Weak<dyn EngineCalls>, due: Arc<AtomicU64>) -> Self {
        Self {
            engine,
            books: Vec::new(),
            spare_books: Vec::new(),
            spare_cells: VecDeque::new(),
            next_number: 0,
            unanswered: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            due,
            pending: 0,
            first: Tally::default(),
            last: Tally::default(),
            late: Tally::default(),
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
    ) -> &Arc<Cell> {
        let slot = ticket.batch().index();
        let known = self
            .books
            .get(slot)
            .is_some_and(|book| book.as_ref().is_some_and(|book| book.batch == ticket.batch()));
        if !known {
            self.open(now, topic, ticket.batch());
        }
        let Some(Some(book)) = self.books.get_mut(slot) else {
            unreachable!("the book was opened just now")
        };
        if book.is_answered() {
            book.number = self.next_number;
            self.next_number += 1;
            self.unanswered.insert(book.number);
        }
        book.times.push(ticket.index(), now);
        if ticket.index() as usize >= book.room {
            book.make_room();
        }
        book.live += 1;
        self.pending += 1;
        if let Some(token) = token {
            book.tokens.push(Token { index: ticket.index(), token, told: false, done: false });
        }
        &book.cell
    }

    fn open(&mut self, now: Instant, topic: TopicId, batch: BatchId) {
        let slot = batch.index();
        if self.books.len() <= slot {
            self.books.resize_with(slot + 1, || None);
        }
        // Left over where all records of a batch were taken out and the core dropped it silently.
        self.retire_and_spare(slot);
        let cell = self.spare_cell();
        let mut book = self.spare_books.pop().unwrap_or_else(|| {
            Box::new(Book {
                batch,
                topic,
                number: 0,
                cell: Arc::clone(&cell),
                times: Times::new(),
                words: Words::default(),
                room: 0,
                tokens: Vec::new(),
                deadlines: Deadlines::default(),
                live: 0,
                answered: 0,
                done: 0,
            })
        });
        book.batch = batch;
        book.topic = topic;
        book.times.open(now);
        book.room = 0;
        // What the book had before is its last batch's: spare for others once it is let go.
        let before = core::mem::replace(&mut book.cell, cell);
        if self.spare_cells.len() < SPARE_CELLS && !Arc::ptr_eq(&before, &book.cell) {
            self.spare_cells.push_back(before);
        }
        if let Some(place) = self.books.get_mut(slot) {
            *place = Some(book);
        }
    }

    fn spare_cell(&mut self) -> Arc<Cell> {
        for _ in 0..TRIES.min(self.spare_cells.len()) {
            let Some(mut cell) = self.spare_cells.pop_front() else {
                break;
            };
            if let Some(free) = Arc::get_mut(&mut cell) {
                free.reset();
                return cell;
            }
            self.spare_cells.push_back(cell);
        }
        Arc::new(Cell::new(Weak::clone(&self.engine)))
    }

    /// Sets a time at which [`Table::pop_due`] gives the ticket, unless there is an earlier one. False where it has an answer, or is
    /// not known.
    pub(crate) fn set_deadline(&mut self, ticket: &Ticket, at: Instant) -> bool {
        let slot = ticket.batch().index();
        let Some(book) = find(&mut self.books, ticket.batch()).filter(|book| !book.is_answered())
        else {
            return false;
        };
        let before = book.deadlines.first();
        book.deadlines.set(ticket.index(), *ticket, at);
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
        let book = self.books.get_mut(slot)?.as_deref_mut()?;
        let ticket = book.deadlines.pop()?;
        if let Some(next) = book.deadlines.first() {
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
        gone: &Gone,
        news: &mut News,
    ) -> Verdict {
        let Some(book) = find(&mut self.books, ticket.batch()) else {
            return Verdict::Settled;
        };
        let index = ticket.index();
        let mut state = book.cell.lock();
        let before = state.verdict(index);
        let taken = match verdict {
            // Withdrawn once is withdrawn for ever.
            _ if before == Some(Verdict::NotDelivered) => return Verdict::NotDelivered,
            // Even after `Unknown`, where the bytes came back unwritten.
            Verdict::NotDelivered => true,
            // Told of already: its part of a batch that was split, or all of it.
            _ if state.last(index).is_some() => return Verdict::Settled,
            Verdict::Unknown if state.first(index).is_some() => return verdict,
            Verdict::Unknown => false,
            Verdict::Settled | _ => return verdict,
        };
        let first = state.first(index).is_none();
        state.cancel(index, taken, gone, &mut news.wakes);
        drop(state);
        let elapsed = book.times.elapsed(now, index);
        let token = book.tokens.binary_search_by_key(&index, |token| token.index);
        if let Some(token) = token.ok().and_then(|at| book.tokens.get_mut(at)) {
            news.report(Report {
                token: token.token,
                topic: book.topic,
                outcome: match taken {
                    true => RecordOutcome::NotDelivered(gone.why()),
                    false => RecordOutcome::Unknown(gone.why()),
                },
                late: token.told,
                elapsed,
            });
            token.told = true;
            token.done = taken;
        }
        if first {
            book.answered += 1;
            self.pending -= 1;
        }
        if taken {
            book.live -= 1;
            book.answered -= 1;
            self.last.not_delivered += 1;
        }
        if book.is_answered() {
            self.answered(ticket.batch().index());
        }
        match (first, taken) {
            (true, true) => self.first.not_delivered += 1,
            (true, false) => self.first.unknown += 1,
            (false, true) => self.late.not_delivered += 1,
            (false, false) => {}
        }
        verdict
    }

    /// Notes what became of a batch, or of a part of it. Returns of how many records that is the last word after
    /// `Unknown`, be it that it was told to who cancelled.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        settled: &Settled,
        told: Told,
        news: &mut News,
    ) -> u64 {
        let book = find(&mut self.books, settled.batch);
        if book.is_none_or(|book| book.words.is_empty()) {
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
        settled: &Settled,
        told: Told,
        news: &mut News,
    ) -> u64 {
        let slot = settled.batch.index();
        let Some(book) = find(&mut self.books, settled.batch) else {
            return 0;
        };
        let records = u64::from(settled.records);
        let whole = settled.first == 0 && records >= book.live;
        let records = records.min(book.live);
        let word = Word {
            partition: settled.partition,
            part: (!whole).then_some((settled.first, settled.records)),
            told: told.clone(),
            last: settled.last,
        };
        let cell = Arc::clone(&book.cell);
        let mut state = cell.lock();
        let (indexes, first) = state.tell(&word, &mut news.wakes);
        let plain = settled.last && settled.unique;
        let finished = whole && first && plain && !state.has_marks();
        if !finished {
            report(book, &state, now, &indexes, settled.last, news);
        }
        let mut unmarked = 0;
        if first {
            unmarked = records - (state.marked_unknown(&indexes) as u64).min(records);
            count(&mut self.first, settled.outcome, unmarked);
            if matches!(settled.outcome, Outcome::Delivered { .. }) {
                for (run, elapsed) in book.times.runs(now, &indexes) {
                    let records = run.len() - state.marked(&run);
                    self.latency.record(elapsed.as_micros() as u64, records as u64);
                }
            }
        }
        drop(state);
        book.answered += unmarked;
        self.pending -= unmarked;
        let late = if settled.last { records - unmarked } else { 0 };
        if settled.last {
            book.done += records;
            count(&mut self.last, settled.outcome, records);
            count(&mut self.late, settled.outcome, late);
        }
        if book.done >= book.live {
            let partition = settled.partition;
            if let Some(book) = self.retire(slot) {
                if finished && !book.tokens.is_empty() {
                    news.finish(Finished { book, partition, told, at: now });
                } else {
                    self.spare(book);
                }
            }
        } else if book.is_answered() {
            self.answered(slot);
        }
        late
    }

    /// A book's records have an answer: nobody waits to flush them, no deadline is left.
    fn answered(&mut self, slot: usize) {
        if let Some(Some(book)) = self.books.get_mut(slot) {
            self.unanswered.remove(&book.number);
            if let Some(at) = book.deadlines.first() {
                self.deadlines.remove(&(at, slot));
                book.deadlines.clear();
                self.note_due();
            }
        }
    }

    /// Takes the book of a batch of which no more will be heard.
    fn retire(&mut self, slot: usize) -> Option<Box<Book>> {
        self.answered(slot);
        let book = self.books.get_mut(slot).and_then(Option::take)?;
        self.pending -= book.live.saturating_sub(book.answered);
        Some(book)
    }

    fn spare(&mut self, mut book: Box<Book>) {
        book.clear();
        self.spare_books.push(book);
    }

    fn retire_and_spare(&mut self, slot: usize) {
        if let Some(book) = self.retire(slot) {
            self.spare(book);
        }
    }

    /// Forgets reports that were told.
    pub(crate) fn told(&mut self, news: &mut News) {
        news.forget_reports().for_each(|book| self.spare(book));
    }

    /// The number that the next book gets: all before it were opened by now.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Whether all records of books before this number have an answer.
    pub(crate) fn answered_before(&self, number: u64) -> bool {
        self.unanswered.first().is_none_or(|first| *first >= number)
    }

    /// Books, books with a deadline, and books with records that have no answer.
    #[cfg(feature = "_internal")]
    pub(crate) fn held(&self) -> (usize, usize, usize) {
        (self.books.iter().flatten().count(), self.deadlines.len(), self.unanswered.len())
    }

    /// Records without an answer.
    pub(crate) const fn pending(&self) -> u64 {
        self.pending
    }

    /// Batches without a last word; for when no more word will come.
    pub(crate) fn leftovers(&self) -> Vec<(BatchId, TopicId)> {
        let books = self.books.iter().flatten().filter(|book| book.live > 0);
        books.map(|book| (book.batch, book.topic)).collect()
    }

    /// Tells an outcome in the core's stead, when no more word will come from it.
    pub(crate) fn give_up(&mut self, now: Instant, batch: BatchId, cause: Cause, news: &mut News) {
        let slot = batch.index();
        let Some(book) = find(&mut self.books, batch) else {
            return;
        };
        let cell = Arc::clone(&book.cell);
        let mut state = cell.lock();
        state.give_up(cause, &mut news.wakes);
        report(book, &state, now, &WHOLE, true, news);
        drop(state);
        self.first.unknown += book.live.saturating_sub(book.answered);
        self.last.unknown += book.live.saturating_sub(book.done);
        self.retire_and_spare(slot);
    }
}

fn count(tally: &mut Tally, outcome: Outcome, records: u64) {
    match outcome {
        Outcome::Delivered { .. } => tally.delivered += records,
        Outcome::NotDelivered(_) => tally.not_delivered += records,
        Outcome::Unknown(_) | _ => tally.unknown += records,
    }
}
