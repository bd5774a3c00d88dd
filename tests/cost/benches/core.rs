//! The time of each case: `cargo bench -p ottla-cost`.

use criterion::{BatchSize, Criterion, Throughput};
use ottla_cost::{CASES, measured};

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("core");
    for case in CASES {
        group.throughput(Throughput::Elements(case.units));
        group.bench_function(case.name, |bencher| {
            bencher.iter_batched_ref(
                case.prepare,
                |work| measured(&mut **work),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    criterion.final_summary();
}
