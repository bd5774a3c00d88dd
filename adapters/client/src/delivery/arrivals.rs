//! What is noted of records that come to a batch apart from the table, until they are entered in it.

use core::ops::Range;
use std::sync::Arc;

use ottla_core::{BatchId, Cause, Instant, TopicId, Verdict};

use crate::delivery::{
    batch_entry::{Token, find},
    batch_state::BatchState,
    delivery_table::Table,
    notifications::Notifications,
    outcome::Why,
};

/// Notes of records of one batch, in order.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(super) tokens: Vec<Token>,
    /// The index of the first record of each run, and when they all came.
    pub(super) times: Vec<(u32, Instant)>,
}

impl Arrivals {
    /// Notes the next record.
    #[inline]
    pub(crate) fn push(&mut self, index: u32, now: Instant, token: Option<u64>) {
        if self.times.last().is_none_or(|(_, last)| *last != now) {
            self.times.push((index, now));
        }
        if let Some(token) = token {
            self.tokens.push(Token { index, token, told: false, done: false });
        }
    }

    /// Forgets all, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
        self.times.clear();
    }
}

impl Table {
    /// The cell of a batch that has an entry.
    pub(crate) fn cell(&mut self, batch: BatchId) -> Option<&Arc<BatchState>> {
        find(&mut self.entries, batch).map(|entry| &entry.cell)
    }

    /// Enters the first records of a batch that has this cell, which were noted apart.
    pub(crate) fn enter_new(
        &mut self,
        topic: TopicId,
        batch: BatchId,
        records: u32,
        cell: Arc<BatchState>,
        arrivals: &mut Arrivals,
    ) {
        let opened = arrivals.times.first().map_or(Instant::ZERO, |(_, at)| *at);
        self.open(opened, topic, batch, cell);
        self.enter_all(batch, 0, records, arrivals);
    }

    /// Enters records that were noted apart, of a batch that has an entry: so many from this index on.
    pub(crate) fn enter_all(
        &mut self,
        batch: BatchId,
        first: u32,
        records: u32,
        arrivals: &mut Arrivals,
    ) {
        let Some(entry) = find(&mut self.entries, batch) else {
            unreachable!("an entry lasts for as long as its batch takes records")
        };
        if entry.is_answered() {
            entry.number = self.next_number;
            self.next_number += 1;
            self.unanswered.insert(entry.number);
        }
        let end = first.saturating_add(records);
        entry.times.push_runs(&arrivals.times, end);
        while end as usize > entry.room {
            entry.make_room();
        }
        entry.live += u64::from(records);
        self.pending += u64::from(records);
        entry.tokens.append(&mut arrivals.tokens);
        arrivals.clear();
    }

    /// Tells that these records of a batch, which were entered, will never leave: the core has not taken them.
    #[cold]
    pub(crate) fn never_taken(
        &mut self,
        batch: BatchId,
        indexes: Range<u32>,
        news: &mut Notifications,
    ) {
        let why = Why::new(Cause::Closed, None);
        for index in indexes {
            let verdict = Verdict::NotDelivered;
            self.cancelled_at(Instant::ZERO, (batch, index), verdict, &why, news);
        }
    }
}
