//! What brokers say of records that they refuse, on its way through the delivery table.

use std::sync::Arc;

use ottla_core::{BatchOutcome, Remark};

use crate::delivery::{batch_entry::find, delivery_table::Table};

impl Table {
    /// Notes what a broker says of records that it refuses.
    pub(crate) fn remark(&mut self, remark: &Remark<'_>) {
        if let Some(entry) = find(&mut self.entries, remark.batch) {
            entry.words.push(remark);
        }
    }

    /// What the core tells, taken apart by what a broker said of the records; `None` where it said nothing.
    #[cold]
    pub(super) fn pieces(
        &mut self,
        settled: &BatchOutcome,
    ) -> Vec<(BatchOutcome, Option<Arc<str>>)> {
        let entry = find(&mut self.entries, settled.batch);
        entry.map_or_else(Vec::new, |entry| entry.words.pieces(settled))
    }

    /// What a broker said of each of the records that the core tells of, in order; nothing behind the last one
    /// of which it said something.
    pub(crate) fn words_on(&mut self, settled: &BatchOutcome) -> Vec<Option<Arc<str>>> {
        let pieces = self.pieces(settled).into_iter();
        pieces
            .flat_map(|(piece, text)| core::iter::repeat_n(text, piece.records as usize))
            .collect()
    }
}
