//! What is noted of one batch.

use std::{collections::VecDeque, sync::Arc};

use ottla_core::{BatchId, Instant, Ticket, TopicId};

use crate::cell::Cell;

#[derive(Debug)]
pub(super) struct Book {
    pub(super) batch: BatchId,
    pub(super) topic: TopicId,
    /// Grows with each opening.
    pub(super) number: u64,
    pub(super) cell: Arc<Cell>,
    pub(super) opened: Instant,
    /// When each record came, in microseconds after `opened`.
    pub(super) times: Vec<u32>,
    /// For how many cancelled records the cell has room.
    pub(super) room: usize,
    pub(super) tokens: Vec<Token>,
    /// In the order of time.
    pub(super) deadlines: VecDeque<(Instant, Ticket)>,
    /// How many records the batch has, without those taken out.
    pub(super) live: u64,
    /// How many of them have an answer, be it that they were cancelled.
    pub(super) answered: u64,
    /// How many of them have their last word.
    pub(super) done: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) index: u32,
    pub(super) token: u64,
    pub(super) told: bool,
    pub(super) done: bool,
}

impl Book {
    pub(super) const fn is_answered(&self) -> bool {
        self.answered >= self.live
    }
}

/// The book of a batch that is live.
pub(super) fn find(books: &mut [Option<Box<Book>>], batch: BatchId) -> Option<&mut Book> {
    let book = books.get_mut(batch.index())?.as_deref_mut()?;
    (book.batch == batch).then_some(book)
}

/// When a record came.
pub(super) fn after(opened: Instant, times: &[u32], index: u32) -> Instant {
    let micros = times.get(index as usize).copied().unwrap_or(0);
    Instant::from_micros(opened.as_micros() + u64::from(micros))
}
