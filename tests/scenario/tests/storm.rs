//! Storms: see `ottla_scenario::storm`.
//!
//! `OTTLA_SEEDS=100000` runs so many; `OTTLA_SEED=7` runs that one.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use ottla_scenario::storm::{self, Tally};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_law_holds_in_every_storm() {
    let (first, count) = match variable("OTTLA_SEED") {
        Some(seed) => (seed, 1),
        None => (0, variable("OTTLA_SEEDS").unwrap_or(300)),
    };
    let mut sum = Tally::default();
    let mut failed = Vec::new();
    for seed in first..first + count {
        match catch_unwind(AssertUnwindSafe(|| storm::run(seed))) {
            Ok(tally) => {
                sum.records += tally.records;
                sum.delivered += tally.delivered;
                sum.not_delivered += tally.not_delivered;
                sum.unknown += tally.unknown;
                sum.refined += tally.refined;
                sum.retries += tally.retries;
                sum.epoch_bumps += tally.epoch_bumps;
                sum.desyncs += tally.desyncs;
            }
            Err(_) => failed.push(seed),
        }
    }
    println!("{count} storms: {sum:?}");
    assert!(
        failed.is_empty(),
        "{} seeds failed: {:?}",
        failed.len(),
        &failed[..failed.len().min(20)]
    );
    if count >= 100 {
        let seen = [
            sum.delivered,
            sum.not_delivered,
            sum.unknown,
            sum.refined,
            sum.retries,
            sum.epoch_bumps,
        ];
        assert!(seen.iter().all(|seen| *seen > 0), "something never happened: {sum:?}");
    }
}
