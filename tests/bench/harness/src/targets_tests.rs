//! Tests of the bars: made-up runs on either side of each.

use super::*;
use crate::{
    broker::Received,
    plan,
    results::{Outcome, Part, Run},
    summary::tests::run,
};

/// The verdicts on `runs`, in order.
fn verdicts(runs: &[Run]) -> Vec<Verdict> {
    all(&Summary::of(runs)).iter().map(|bar| bar.verdict).collect()
}

fn cell(name: &str) -> Cell {
    plan::star().into_iter().find(|cell| cell.name() == name).unwrap()
}

fn change(run: &mut Run, change: impl FnOnce(&mut crate::results::Measured)) {
    let Outcome::Finished(measured) = &mut run.outcome else { panic!("void") };
    change(measured);
}

#[test]
fn a_third_of_the_best_peer_is_asked_at_100_bytes() {
    let bench = |ours: f64, seconds: f64| {
        let mut tokio = run(&Cell::BASE, Contestant::OttlaTokio, 1, ours);
        change(&mut tokio, |measured| measured.seconds = seconds);
        let peers =
            [(Contestant::Java, 2.0), (Contestant::Barnabas, 0.61), (Contestant::Baseline, 0.1)];
        let mut runs = peers.map(|(who, cpu)| run(&Cell::BASE, who, 1, cpu)).to_vec();
        runs.push(tokio);
        verdicts(&runs)
    };
    assert_eq!(bench(0.2, 0.4), [Verdict::Holds, Verdict::Holds, Verdict::Open]);
    assert_eq!(bench(0.21, 0.41), [Verdict::Missed, Verdict::Missed, Verdict::Open]);
}

#[test]
fn a_peer_whose_runs_are_void_sets_no_bar_and_none_of_them_leaves_it_open() {
    let mut runs = vec![
        run(&Cell::BASE, Contestant::OttlaTokio, 1, 0.2),
        run(&Cell::BASE, Contestant::Krafka, 1, 0.1),
        run(&Cell::BASE, Contestant::Java, 1, 2.0),
    ];
    assert_eq!(verdicts(&runs)[0], Verdict::Missed);
    runs[1].outcome = Outcome::Void("killed".to_owned());
    let summary = Summary::of(&runs);
    let bars = all(&summary);
    assert_eq!(bars[0].verdict, Verdict::Holds);
    assert!(bars[0].evidence.contains("java, best of 1"), "{}", bars[0].evidence);
    runs.pop();
    assert_eq!(verdicts(&runs)[0], Verdict::Open);
}

#[test]
fn an_allocation_for_each_record_is_too_many() {
    let bench = |count: u64| {
        let mut counted = run(&Cell::BASE, Contestant::OttlaBlocking, 0, 0.2);
        counted.part = Part::Allocations;
        change(&mut counted, |measured| measured.allocations = Some(count));
        verdicts(&[counted])[2]
    };
    assert_eq!((bench(50_000), bench(1_000_000)), (Verdict::Holds, Verdict::Missed));
}

#[test]
fn at_1000_bytes_the_floor_and_every_peer_are_the_measure() {
    let cell = cell("sink-load-1000B");
    let bench = |ours: f64| {
        let all = [
            (Contestant::OttlaBlocking, ours),
            (Contestant::Baseline, 0.7),
            (Contestant::FranzGo, 1.0),
        ];
        verdicts(&all.map(|(who, cpu)| run(&cell, who, 1, cpu)))
    };
    assert_eq!(bench(0.97), [Verdict::Holds, Verdict::Holds]);
    assert_eq!(bench(0.99), [Verdict::Missed, Verdict::Holds]);
    assert_eq!(bench(1.0), [Verdict::Missed, Verdict::Missed]);
}

#[test]
fn a_lone_record_is_held_against_the_peers_and_blocking_against_an_echo() {
    let cell = cell("sink-lone-100B");
    let bench = |ours: f64| {
        let all = [
            (Contestant::OttlaTokio, 39.0),
            (Contestant::OttlaBlocking, ours),
            (Contestant::Rskafka, 39.0),
            (Contestant::Baseline, 13.0),
        ];
        verdicts(&all.map(|(who, p50)| {
            let mut run = run(&cell, who, 1, 1.0);
            change(&mut run, |measured| measured.p50_us = Some(p50));
            run
        }))
    };
    assert_eq!(bench(20.8), [Verdict::Holds, Verdict::Holds, Verdict::Holds]);
    assert_eq!(bench(21.0), [Verdict::Holds, Verdict::Holds, Verdict::Missed]);
    assert_eq!(bench(40.0), [Verdict::Holds, Verdict::Missed, Verdict::Missed]);
}

#[test]
fn memory_is_held_against_the_buffer_and_the_peers() {
    let cell = cell("sink-overload-100B");
    let bench = |ours: u64, peer: u64| {
        let mut runs =
            [Contestant::OttlaTokio, Contestant::Librdkafka].map(|who| run(&cell, who, 1, 1.0));
        runs[0].peak_rss = ours << 20;
        runs[1].peak_rss = peer << 20;
        verdicts(&runs)
    };
    assert_eq!(bench(48, 48), [Verdict::Holds, Verdict::Holds]);
    assert_eq!(bench(49, 100), [Verdict::Missed, Verdict::Holds]);
    assert_eq!(bench(40, 39), [Verdict::Holds, Verdict::Missed]);
}

#[test]
fn threads_that_share_a_producer_have_bars_by_their_number() {
    let bench = |name: &str, ours: f64, seconds: f64| {
        let cell = cell(name);
        let mut runs = [(Contestant::OttlaTokio, ours), (Contestant::FranzGo, 0.9)]
            .map(|(who, cpu)| run(&cell, who, 1, cpu));
        change(&mut runs[0], |measured| measured.seconds = seconds);
        verdicts(&runs)
    };
    let (holds, missed) = ([Verdict::Holds; 2], [Verdict::Missed; 2]);
    assert_eq!(bench("sink-load-100B-4t", 0.3, 0.4), holds);
    assert_eq!(bench("sink-load-100B-4t", 0.31, 0.41), missed);
    for name in ["sink-load-100B-2t", "sink-load-100B-8t"] {
        assert_eq!(bench(name, 0.45, 0.66), holds);
        assert_eq!(bench(name, 0.46, 0.67), missed);
    }
    assert_eq!(bench("kafka-load-100B-4t", 0.45, 1.0), holds);
    assert_eq!(bench("kafka-load-100B-4t", 0.46, 1.01), missed);
}

#[test]
fn the_batch_call_is_held_against_the_floor_and_the_batches_of_a_peer() {
    let bench = |name: &str, ours: f64| {
        let cell = cell(name);
        let all = [
            (Contestant::OttlaBlocking, ours),
            (Contestant::BarnabasBatch, 0.21),
            (Contestant::Rskafka, 0.1),
            (Contestant::Baseline, 0.05),
        ];
        verdicts(&all.map(|(who, cpu)| run(&cell, who, 1, cpu)))
    };
    assert_eq!(bench("sink-load-100B-batch", 0.1), [Verdict::Holds, Verdict::Holds]);
    assert_eq!(bench("sink-load-100B-batch", 0.104), [Verdict::Missed, Verdict::Holds]);
    assert_eq!(bench("sink-load-100B-batch", 0.106), [Verdict::Missed, Verdict::Missed]);
    assert_eq!(bench("sink-load-100B-4t-batch", 0.1), []);
}

#[test]
fn compression_counts_by_time_size_and_throughput() {
    let cell = cell("sink-load-1000B-64K-zstd");
    let bench = |cpu: f64, bytes: u64, seconds: f64| {
        let all = [
            (Contestant::OttlaTokio, cpu, bytes),
            (Contestant::Barnabas, 1.0, 2_000),
            // It is smaller, and takes longer.
            (Contestant::Java, 4.0, 1_000),
        ];
        let mut runs = all.map(|(who, cpu, bytes)| {
            let received = Some(Received { records: 10, bytes });
            Run { received, ..run(&cell, who, 1, cpu) }
        });
        change(&mut runs[0], |measured| measured.seconds = seconds);
        verdicts(&runs)
    };
    assert_eq!(bench(0.5, 2_100, 1.0), [Verdict::Holds; 3]);
    assert_eq!(bench(0.51, 2_101, 1.01), [Verdict::Missed; 3]);
}

#[test]
fn what_is_idle_may_cost_a_twentieth() {
    let cell = cell("sink-idle-100B");
    let bench = |with: f64| {
        let mut runs = [1.0, with].map(|cpu| run(&cell, Contestant::OttlaTokio, 1, cpu));
        runs[0].part = Part::WithoutIdle;
        runs[1].part = Part::WithIdle;
        verdicts(&runs)
    };
    assert_eq!((bench(1.05), bench(1.06)), (vec![Verdict::Holds], vec![Verdict::Missed]));
}

#[test]
fn with_kafka_every_peer_counts_in_every_size() {
    let bench = |name: &str, ours: f64, cpu: f64| {
        let cell = cell(name);
        let mut runs =
            [(Contestant::OttlaTokio, cpu), (Contestant::Java, 0.9), (Contestant::FranzGo, 0.9)]
                .map(|(who, cpu)| run(&cell, who, 1, cpu));
        change(&mut runs[0], |measured| measured.seconds = ours);
        change(&mut runs[2], |measured| measured.seconds = 2.0);
        verdicts(&runs)
    };
    assert_eq!(bench("kafka-load-100B", 1.0, 0.3), [Verdict::Holds, Verdict::Holds]);
    assert_eq!(bench("kafka-load-100B", 1.1, 0.31), [Verdict::Missed, Verdict::Missed]);
    assert_eq!(bench("kafka-load-10000B", 1.0, 5.0), [Verdict::Holds]);
}

#[test]
fn with_tls_half_of_the_best_peer_is_asked() {
    for name in ["sink-load-100B-tls", "sink-load-1000B-tls"] {
        let bench = |ours: f64| {
            let all = [
                (Contestant::OttlaTokio, ours),
                (Contestant::FranzGo, 1.0),
                // Neither the floor nor who is handed whole batches.
                (Contestant::Baseline, 0.1),
                (Contestant::BarnabasBatch, 0.2),
            ];
            verdicts(&all.map(|(who, cpu)| run(&cell(name), who, 1, cpu)))
        };
        assert_eq!((bench(0.5), bench(0.51)), (vec![Verdict::Holds], vec![Verdict::Missed]));
    }
}

#[test]
fn other_cells_decide_nothing() {
    for name in ["sink-load-100B-keyed", "sink-load-16B", "kafka-lone-100B"] {
        assert_eq!(verdicts(&[run(&cell(name), Contestant::OttlaTokio, 1, 1.0)]), [], "{name}");
    }
}

#[test]
fn the_numbers_are_shown() {
    let runs = [
        run(&Cell::BASE, Contestant::OttlaTokio, 1, 0.12),
        run(&Cell::BASE, Contestant::FranzGo, 1, 0.66),
    ];
    let bar = &all(&Summary::of(&runs))[0];
    assert_eq!(
        bar.to_string(),
        "holds: CPU per record of ottla-tokio at most 1/3 of the best peer's: \
         0.120 / 0.660 µs (franz-go, best of 1) = 0.182 (at most 0.333)"
    );
}
