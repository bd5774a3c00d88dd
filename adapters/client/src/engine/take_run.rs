//! Many records under one lock, with one reading of the clock.

use std::sync::Arc;

use ottla_core::{Instant, TopicId};

use crate::{
    delivery::delivery_future::Receipt,
    engine::{driver_sleep::Nudge, locked_core::Engine, state::State},
    record::Record,
};

impl Engine {
    /// Gives records of one topic to the core, in order, until one is not taken for whatever reason. Appends
    /// the receipts of those that were, and returns how many. Timeouts are counted from `started`. `crowded` is
    /// called where somebody has the lock. `waits`: who sends them can wait, so that none are taken while such are held back.
    pub(crate) fn take_run<R: Receipt>(
        self: &Arc<Self>,
        topic: TopicId,
        records: &[Record<'_>],
        started: Instant,
        waits: bool,
        crowded: impl FnOnce(),
        receipts: &mut Vec<R>,
    ) -> usize {
        // What is taken has its receipt, whatever else happens.
        receipts.reserve(records.len());
        let mut state = self.lock_or(crowded);
        if waits && state.hold.is_on() && records.first().is_some_and(|next| next.timeout.is_none())
        {
            return 0;
        }
        let now = state.now(self.clock());
        let wall_ms = self.clock().wall_ms(now);
        let State { core, table, run, .. } = &mut *state;
        run.clear();
        let given = records.iter().map(|record| record.for_core(|| wall_ms));
        // Who is not taken is given to the core once more, alone, and hears why.
        let _ = core.produce_all(now, topic, given, |ticket| run.push(ticket));
        let (mut left, mut begun, mut dated) = (records, 0, false);
        for run in run.chunk_by(|one, next| one.batch() == next.batch()) {
            let (these, rest) = left.split_at_checked(run.len()).unwrap_or_default();
            left = rest;
            begun += u32::from(run.first().is_some_and(|ticket| ticket.index() == 0));
            let tokens = these.iter().map(|record| record.token);
            let Some(cell) = table.enter_run(now, topic, run, tokens) else {
                continue;
            };
            receipts.extend(run.iter().map(|ticket| R::new(cell, *ticket)));
            for (ticket, record) in run.iter().zip(these) {
                if let Some(timeout) = record.timeout {
                    table.set_deadline(ticket, started.after(timeout));
                    dated = true;
                }
            }
        }
        let taken = run.len();
        let nudge = match u32::try_from(taken).unwrap_or(u32::MAX) {
            0 => Nudge::Nothing,
            records => state.nudge_for_records(records, begun, dated),
        };
        drop(state);
        if !matches!(nudge, Nudge::Nothing) {
            self.follow(nudge);
        }
        taken
    }
}
