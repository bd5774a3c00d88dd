//! Storms: see `ottla_scenario::storm`.
//!
//! `OTTLA_SEEDS=100000` runs so many; `OTTLA_SEED=7` runs that one.

use core::panic::AssertUnwindSafe;
use std::{collections::BTreeMap, panic::catch_unwind};

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
    let (mut reached, mut struck) = (BTreeMap::<String, u64>::new(), BTreeMap::<&str, u64>::new());
    for seed in first..first + count {
        match catch_unwind(AssertUnwindSafe(|| storm::run(seed))) {
            Ok(tally) => {
                for (case, count) in &tally.cases {
                    *reached.entry(format!("{case:?}")).or_default() += u64::from(*count > 0);
                }
                for (fault, count) in &tally.faults {
                    *struck.entry(*fault).or_default() += u64::from(*count > 0);
                }
                sum.add(&tally);
            }
            Err(_) => failed.push(seed),
        }
    }
    println!(
        "{count} storms: {} records, {} delivered, {} not delivered, {} unknown, {} refined; \
         {} retries, {} epochs begun after a gap, {} brokers that had lost their record of us",
        sum.records,
        sum.delivered,
        sum.not_delivered,
        sum.unknown,
        sum.refined,
        sum.retries,
        sum.epoch_bumps,
        sum.desyncs
    );
    let share = |runs: u64| 100.0 * runs as f64 / count as f64;
    println!("share of the storms in which a fault struck:");
    struck.iter().for_each(|(name, runs)| println!("  {name:<24}{:6.2} %", share(*runs)));
    println!("share of the storms that came through a case of semantics §6:");
    reached.iter().for_each(|(name, runs)| println!("  {name:<24}{:6.2} %", share(*runs)));
    let shown = failed.len().min(20);
    assert!(failed.is_empty(), "{} seeds failed: {:?}", failed.len(), &failed[..shown]);
    if count >= 2_000 {
        // A topic is created again in a scenario of its own only.
        let never = reached.iter().filter(|(name, runs)| **runs == 0 && *name != "Recreated");
        let never: Vec<_> = never.map(|(name, _)| name).collect();
        assert!(never.is_empty(), "never reached: {never:?}");
    }
}
