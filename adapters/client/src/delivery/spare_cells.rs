//! Cells of batches that are over, for those that are to come.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use crate::delivery::{batch_state::BatchState, calls_to_engine::EngineCalls};

/// Cells that wait to be reused; more than this are given back to the heap.
const MOST: usize = 256;
/// How many of them are looked at for one that nobody holds.
const TRIES: usize = 4;

#[derive(Debug)]
pub(crate) struct SpareCells {
    engine: Weak<dyn EngineCalls>,
    cells: VecDeque<Arc<BatchState>>,
}

impl SpareCells {
    pub(super) const fn new(engine: Weak<dyn EngineCalls>) -> Self {
        Self { engine, cells: VecDeque::new() }
    }

    /// Keeps a cell for another batch.
    pub(crate) fn keep(&mut self, cell: Arc<BatchState>) {
        if self.cells.len() < MOST {
            self.cells.push_back(cell);
        }
    }

    /// A cell for a batch that is to come.
    pub(crate) fn take(&mut self) -> Arc<BatchState> {
        for _ in 0..TRIES.min(self.cells.len()) {
            let Some(mut cell) = self.cells.pop_front() else {
                break;
            };
            if let Some(free) = Arc::get_mut(&mut cell) {
                free.reset();
                return cell;
            }
            self.cells.push_back(cell);
        }
        Arc::new(BatchState::new(Weak::clone(&self.engine)))
    }
}
