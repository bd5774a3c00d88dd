//! Any calls: those of the corpus, and some by chance.
//!
//! `OTTLA_INPUTS=100000` runs so many by chance; `OTTLA_INPUT=7` that one alone.

use ottla_machine::{by_chance, calls, corpus};

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_law_holds_in_the_corpus() {
    for (path, input) in corpus("calls") {
        println!("{}", path.display());
        calls::run(&input, None);
    }
}

#[test]
fn every_law_holds_by_chance() {
    let (first, count) = match variable("OTTLA_INPUT") {
        Some(seed) => (seed, 1),
        None => (0, variable("OTTLA_INPUTS").unwrap_or(2_000)),
    };
    let mut sum = calls::Tally::default();
    let mut made = 0;
    for seed in first..first + count {
        let run = || calls::run(&by_chance(seed), None);
        let tally = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("input {seed}"));
        made += u64::from(tally.made);
        sum.add(&tally);
    }
    println!("{count} inputs, {made} producers: {sum:?}");
    // By chance no run comes as far as a fuzzer's do.
    assert!(count < 1_000 || made > count / 2 && sum.delivered > count / 4, "{made}, {sum:?}");
}
