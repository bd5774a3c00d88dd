//! The table of a cell, in Markdown.

use core::fmt::Write as _;
use std::collections::BTreeSet;

use crate::{
    cell::Shape,
    statistics::{Spread, number},
    summary::{Entry, Group, Metric},
};

/// A column: its head, and what it says of an entry.
type Column = (&'static str, fn(&Entry<'_>) -> Option<String>);

fn shown(spread: Option<Spread>) -> Option<String> {
    spread.map(|spread| spread.show(number))
}

const CPU: Column = ("CPU µs/record", |entry| shown(entry.spread(Metric::Cpu)));
const MEMORY: Column = ("peak RSS MiB", |entry| {
    let least = if entry.memory_is_a_limit() { "≤ " } else { "" };
    shown(entry.spread(Metric::Memory)).map(|shown| format!("{least}{shown}"))
});
const LOAD: &[Column] = &[
    ("records/s", |entry| shown(entry.spread(Metric::Rate))),
    ("MB/s", |entry| shown(entry.spread(Metric::Megabytes))),
    CPU,
    ("user", |entry| shown(entry.spread(Metric::User))),
    ("system", |entry| shown(entry.spread(Metric::System))),
    MEMORY,
];
const LONE: &[Column] = &[
    ("p50 µs", |entry| shown(entry.spread(Metric::P50))),
    ("p99 µs", |entry| shown(entry.spread(Metric::P99))),
    ("p99.9 µs", |entry| shown(entry.spread(Metric::P999))),
    CPU,
    MEMORY,
];
const OVERLOAD: &[Column] =
    &[MEMORY, ("records taken", |entry| shown(entry.spread(Metric::Records)))];
const IDLE: &[Column] = &[
    ("CPU µs/record without", |entry| shown(entry.idle().map(|[without, ..]| without))),
    ("with", |entry| shown(entry.idle().map(|[_, with, _]| with))),
    ("ratio", |entry| shown(entry.idle().map(|[.., ratio]| ratio))),
];
const WIRE: Column = ("wire B/record", |entry| shown(entry.spread(Metric::Wire)));
const ALLOCATIONS: Column = ("allocations/record", |entry| entry.allocations.map(number));

/// The table of `group`, and what there is to say of single entries.
pub(crate) fn table(group: &Group<'_>) -> String {
    let mut columns = match group.cell.shape {
        Shape::Load => LOAD,
        Shape::Lone => LONE,
        Shape::Overload => OVERLOAD,
        Shape::Idle => IDLE,
    }
    .to_vec();
    if group.cell.compression.is_some() {
        columns.insert(3, WIRE);
    }
    if group.entries.iter().any(|entry| entry.allocations.is_some()) {
        columns.push(ALLOCATIONS);
    }
    let heads: Vec<_> = columns.iter().map(|(head, _)| *head).collect();
    let mut text = format!("| contestant | {} |\n|---|", heads.join(" | "));
    text.push_str(&"--:|".repeat(columns.len()));
    text.push('\n');
    for entry in &group.entries {
        let strong = if entry.contestant.is_ottla() { "**" } else { "" };
        let _ = write!(text, "| {strong}{}{strong} |", entry.contestant);
        for (_, show) in &columns {
            let _ = write!(text, " {} |", show(entry).unwrap_or_else(|| "–".to_owned()));
        }
        text.push('\n');
    }
    for entry in group.entries.iter().filter(|entry| !entry.void.is_empty()) {
        let _ = write!(
            text,
            "\n{}: {} void, {} good: {}\n",
            entry.contestant,
            runs(entry.void.len()),
            entry.rounds(),
            BTreeSet::from_iter(&entry.void).into_iter().copied().collect::<Vec<_>>().join("; ")
        );
    }
    text
}

fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::Received,
        cell::{Cell, Compression},
        contestant::Contestant,
        results::{Outcome, Run},
        summary::{Summary, tests::run},
    };

    #[test]
    fn each_contestant_has_a_row_with_median_and_ends() {
        let mut runs: Vec<Run> = (1..)
            .zip([0.12, 0.18, 0.15])
            .map(|(round, cpu)| run(&Cell::BASE, Contestant::OttlaTokio, round, cpu))
            .collect();
        let void = Outcome::Void("ended after 120 s".to_owned());
        for round in [1, 2] {
            let outcome = void.clone();
            runs.push(Run { outcome, ..run(&Cell::BASE, Contestant::Java, round, 9.0) });
        }
        let summary = Summary::of(&runs);
        let text = table(&summary.groups[0]);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("| contestant | records/s | MB/s | CPU µs/record |"));
        assert!(lines[2].starts_with("| **ottla-tokio** | 1,000,000 (1,000,000–1,000,000) |"));
        assert!(lines[2].contains("| 0.150 (0.120–0.180) |"), "{}", lines[2]);
        assert_eq!(lines[3], "| java | – | – | – | – | – | – |");
        assert_eq!(lines[5], "java: 2 runs void, 0 good: ended after 120 s");
    }

    #[test]
    fn where_batches_are_compressed_their_size_is_told() {
        let cell = Cell { compression: Some(Compression::Lz4), ..Cell::BASE };
        let received = Some(Received { records: 1_000, bytes: 27_500 });
        let runs = [Run { received, ..run(&cell, Contestant::Java, 1, 0.1) }];
        let text = table(&Summary::of(&runs).groups[0]);
        assert!(text.contains("| CPU µs/record | wire B/record |"), "{text}");
        assert!(text.contains("| 27.5 (27.5–27.5) |"), "{text}");
    }

    #[test]
    fn rows_have_as_many_columns_as_the_head() {
        for shape in [Shape::Load, Shape::Lone, Shape::Overload, Shape::Idle] {
            let runs = [run(&Cell { shape, ..Cell::BASE }, Contestant::OttlaTokio, 1, 0.1)];
            let text = table(&Summary::of(&runs).groups[0]);
            let counts: Vec<_> = text.lines().map(|line| line.matches('|').count()).collect();
            assert!(counts.iter().all(|count| *count == counts[0]), "{text}");
        }
    }
}
