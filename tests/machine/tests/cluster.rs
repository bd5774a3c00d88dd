//! Storms of which an input decides each step: those of the corpus, and some by chance.
//!
//! `OTTLA_INPUTS=100000` runs so many by chance; `OTTLA_INPUT=7` that one alone.

use ottla_machine::{by_chance, corpus};
use ottla_scenario::storm::{Tally, run_input};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_law_holds_in_the_corpus() {
    for (path, input) in corpus("cluster") {
        println!("{}", path.display());
        run_input(&input, None);
    }
}

#[test]
fn every_law_holds_by_chance() {
    let (first, count) = match variable("OTTLA_INPUT") {
        Some(seed) => (seed, 1),
        None => (0, variable("OTTLA_INPUTS").unwrap_or(300)),
    };
    let mut sum = Tally::default();
    for seed in first..first + count {
        let run = || run_input(&by_chance(seed), None);
        let tally = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("input {seed}"));
        sum.add(&tally);
    }
    println!(
        "{count} inputs: {} records, {} delivered, {} not delivered, {} unknown, {} refined",
        sum.records, sum.delivered, sum.not_delivered, sum.unknown, sum.refined
    );
    assert!(count < 100 || sum.delivered > count && sum.not_delivered > 0 && sum.unknown > 0);
}
