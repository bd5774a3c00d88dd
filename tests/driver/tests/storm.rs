//! Storms over the real adapters: see `ottla_driver`.
//!
//! `OTTLA_CONCENTRATED=1` has callers do often what they do now and then.
//!
//! `OTTLA_SEEDS=20000` runs so many, with `OTTLA_FIRST=1` up to the first that breaks a law; `OTTLA_SEED=7` runs
//! that one.

use std::collections::BTreeMap;

use ottla_driver::{Tally, attempt, compressed, plan, run, run_async, run_polled};
use ottla_model::Lie;
use ottla_scenario::storm::Plan;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What must strike in a thousand storms, whichever adapter is used, and what is done by its users.
const TROUBLES: [&str; 43] = [
    "another date",
    "append, then error",
    "cancel",
    "chain far on",
    "close",
    "close after",
    "close before",
    "cut",
    "cut at a byte",
    "deaf",
    "flush",
    "forgotten unnoticed",
    "freeze",
    "freeze at a request",
    "garbage",
    "hold",
    "leader moved",
    "log cut unnoticed",
    "lost at a request",
    "metadata disturbed",
    "metadata refused",
    "no producer ids on offer",
    "omit",
    "producer id disturbed",
    "producer id refused",
    "question disturbed",
    "question refused",
    "records deleted",
    "refused",
    "reject",
    "replica lags",
    "restart with loss",
    "state expired",
    "stop",
    "stray",
    "swallow",
    "the right to an id refused",
    "throttle",
    "topic made anew",
    "twice",
    "unclean election",
    "unreachable",
    "wrong correlation",
];

/// What must come about, too, in those of the shared driver.
const SHARED: [&str; 24] = [
    "a driver comes to a bad end",
    "a driver is dropped",
    "a topic is released",
    "burst",
    "by a lane",
    "closed twice",
    "delivery dropped",
    "dropped without close",
    "flood",
    "flush dropped",
    "late",
    "let in",
    "let in anew",
    "many in one call",
    "many in one call, and some are taken",
    "many in one call, dropped in the middle",
    "nap",
    "queue for memory",
    "send",
    "send with a deadline",
    "send with a token",
    "try_send",
    "wait given up, and reattached",
    "waited for memory or the topic",
];

/// What must come about where batches are compressed.
const COMPRESSED: [&str; 6] = [
    "batch compressed",
    "batch no smaller",
    "batch refused as it is compressed",
    "codec failed or panicked",
    "compressed by gzip, snappy or zstd",
    "no memory for a compressed batch",
];

/// `own`: what must come about with this adapter, beside the troubles and the hostile acts.
fn storms(run: fn(&Plan) -> Tally, own: &[&str]) {
    let expected = [&TROUBLES[..], &Lie::KINDS, own].concat();
    storms_of(run, plan, &expected);
}

/// `expected`: what must come about in a thousand.
fn storms_of(run: fn(&Plan) -> Tally, plan: fn(u64) -> Plan, expected: &[&str]) {
    if let Some(seed) = variable("OTTLA_SEED") {
        println!("{:?}", run(&plan(seed)));
        return;
    }
    let count = variable("OTTLA_SEEDS").unwrap_or(100);
    let (mut shares, mut failed) = (BTreeMap::<&str, u64>::new(), Vec::new());
    let (mut records, mut answers) = (0, [0; 3]);
    for seed in 0..count {
        match attempt(run, &plan(seed)) {
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
        if !failed.is_empty() && variable("OTTLA_FIRST").is_some() {
            break;
        }
    }
    let [delivered, not_delivered, unknown] = answers;
    println!(
        "{count} storms: {records} records taken; first answers that were heard: {delivered} \
         delivered, {not_delivered} not delivered, {unknown} unknown"
    );
    println!("share of the storms in which this came about:");
    for (name, storms) in &shares {
        println!("  {name:<42}{:6.2} %", 100.0 * *storms as f64 / count as f64);
    }
    for (seed, law) in failed.iter().take(20) {
        println!("seed {seed}: {law}");
    }
    assert!(failed.is_empty(), "{} of {count} seeds failed", failed.len());
    if count >= 1_000 {
        let never: Vec<_> = expected.iter().filter(|name| !shares.contains_key(*name)).collect();
        assert!(never.is_empty(), "never reached: {never:?}");
    }
}

#[test]
fn whoever_waits_is_told_in_every_storm() {
    storms(run, &SHARED);
}

#[test]
fn whoever_waits_is_told_where_batches_are_compressed() {
    storms_of(run, compressed, &[&SHARED[..], &COMPRESSED].concat());
}

#[test]
fn the_polled_face_misses_nothing_in_any_storm() {
    storms(run_polled, &["produce with a deadline"]);
}

#[test]
fn the_async_face_misses_nothing_in_any_storm() {
    let own = ["produce with a deadline", "the run is dropped and begun again"];
    storms(run_async, &own);
}

/// What must come about where a device compresses batches, or has no compressor for them.
const COMPRESSED_ON_A_DEVICE: [&str; 4] =
    ["batch compressed", "batch no smaller", "no codec for it", "no memory for a compressed batch"];

#[test]
fn the_polled_face_misses_nothing_where_batches_are_compressed() {
    storms_of(run_polled, compressed, &COMPRESSED_ON_A_DEVICE);
}

#[test]
fn the_async_face_misses_nothing_where_batches_are_compressed() {
    storms_of(run_async, compressed, &COMPRESSED_ON_A_DEVICE);
}

#[test]
fn a_seed_is_the_same_storm_each_time() {
    for seed in 0..8 {
        let compressed = compressed(seed);
        for (run, plan) in [run, run_polled, run_async]
            .map(|run| (run, plan(seed)))
            .into_iter()
            .chain([(run as fn(&Plan) -> Tally, compressed)])
        {
            let told = || format!("{:?}", attempt(run, &plan));
            assert_eq!(told(), told(), "seed {seed}");
        }
    }
}
