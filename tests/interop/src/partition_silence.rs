//! For how long a partition heard nothing.

use core::time::Duration;
use std::{collections::HashMap, time::Instant};

use ottla_client::RecordOutcome;

/// Measures the time between deliveries to the same partition.
#[derive(Debug)]
pub(crate) struct Silence {
    begin: Instant,
    last: HashMap<i32, Instant>,
    longest: (Duration, Duration, i32),
}

impl Silence {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), last: HashMap::new(), longest: Default::default() }
    }

    pub(crate) fn told(&mut self, outcome: &RecordOutcome) {
        let RecordOutcome::Delivered { partition, .. } = outcome else {
            return;
        };
        let now = Instant::now();
        if let Some(before) = self.last.insert(*partition, now) {
            self.longest = self.longest.max((now - before, now - self.begin, *partition));
        }
    }

    /// The longest, when it ended, counted from the first moment, and the partition.
    pub(crate) const fn longest(&self) -> (Duration, Duration, i32) {
        self.longest
    }
}
