//! Storms over the real driver: see `ottla_driver`.
//!
//! `OTTLA_SEEDS=20000` runs so many; `OTTLA_SEED=7` runs that one.

use std::collections::BTreeMap;

use ottla_driver::{attempt, run};
use ottla_scenario::storm::Plan;

/// What must come about in a thousand storms.
const EXPECTED: [&str; 37] = [
    "append, then error",
    "burst",
    "cancel",
    "close",
    "close after",
    "close before",
    "cut",
    "cut at a byte",
    "deaf",
    "delivery dropped",
    "dropped without close",
    "flush",
    "flush dropped",
    "freeze",
    "freeze at a request",
    "garbage",
    "hold",
    "late",
    "leader moved",
    "metadata disturbed",
    "metadata refused",
    "nap",
    "omit",
    "producer id disturbed",
    "producer id refused",
    "refused",
    "reject",
    "send",
    "send with a deadline",
    "send with a token",
    "stop",
    "swallow",
    "throttle",
    "try_send",
    "unreachable",
    "wait given up, and reattached",
    "waited for memory or the topic",
];

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whoever_waits_is_told_in_every_storm() {
    if let Some(seed) = variable("OTTLA_SEED") {
        println!("{:?}", run(&Plan::of(seed)));
        return;
    }
    let count = variable("OTTLA_SEEDS").unwrap_or(100);
    let (mut shares, mut failed) = (BTreeMap::<&str, u64>::new(), Vec::new());
    let (mut records, mut answers) = (0, [0; 3]);
    for seed in 0..count {
        match attempt(&Plan::of(seed)) {
            Ok(tally) => {
                for name in tally.seen.keys() {
                    *shares.entry(name).or_default() += 1;
                }
                records += tally.records;
                for (sum, more) in answers.iter_mut().zip(tally.answers) {
                    *sum += more;
                }
            }
            Err(law) => failed.push((seed, law)),
        }
    }
    let [delivered, not_delivered, unknown] = answers;
    println!(
        "{count} storms: {records} records taken; first answers that were waited for: {delivered} \
         delivered, {not_delivered} not delivered, {unknown} unknown"
    );
    println!("share of the storms in which this came about:");
    for (name, storms) in &shares {
        println!("  {name:<42}{:6.2} %", 100.0 * *storms as f64 / count as f64);
    }
    if count >= 1_000 {
        let never: Vec<_> = EXPECTED.iter().filter(|name| !shares.contains_key(*name)).collect();
        assert!(never.is_empty(), "never reached: {never:?}");
    }
    for (seed, law) in failed.iter().take(20) {
        println!("seed {seed}: {law}");
    }
    assert!(failed.is_empty(), "{} of {count} seeds failed", failed.len());
}

#[test]
fn a_seed_is_the_same_storm_each_time() {
    for seed in 0..8 {
        let told = || format!("{:?}", attempt(&Plan::of(seed)));
        assert_eq!(told(), told(), "seed {seed}");
    }
}
