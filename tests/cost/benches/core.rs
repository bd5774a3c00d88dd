//! The time of each case: `cargo bench -p ottla-cost`.

#![allow(clippy::disallowed_methods)] // a benchmark reads the clock

use core::time::Duration;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use ottla_cost::{CASES, measured};

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("core");
    for case in CASES {
        group.throughput(Throughput::Elements(case.units));
        group.bench_function(case.name, |bencher| {
            let mut work = (case.prepare)();
            bencher.iter_custom(|rounds| {
                let mut time = Duration::ZERO;
                for _ in 0..rounds {
                    let start = Instant::now();
                    measured(&mut *work);
                    time += start.elapsed();
                    work.reset();
                }
                time
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
