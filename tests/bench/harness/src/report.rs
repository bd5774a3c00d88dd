//! The report, in Markdown.

use core::fmt::Write as _;
use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    results::Results,
    summary::Summary,
    tables,
    targets::{self, Bar, Verdict},
};

/// The page of `results`, with the charts that lie at `charts` relative to it.
pub(crate) fn write(
    results: &Results,
    summary: &Summary<'_>,
    charts: &[(String, PathBuf)],
) -> String {
    let mut text = String::from("# The benchmark\n\n");
    text.push_str(
        "Written by `tests/bench/run` from `results.jsonl` beside it. How it is measured, and how \
         fair that is: see the README of the benchmark. Each number is the median over the rounds, with the \
         least and the most in brackets.\n\n",
    );
    facts(&mut text, results);
    contestants(&mut text, summary);
    all_bars(&mut text, &targets::all(summary));
    for (title, path) in charts {
        let _ = write!(text, "![{title}]({})\n\n", path.display());
    }
    for group in &summary.groups {
        let cell = group.cell;
        let _ = write!(text, "## {}\n\n", cell.title());
        let amount = match (cell.records, cell.seconds) {
            (0, seconds) => format!("for {seconds} s"),
            (records, _) => format!("{records} records"),
        };
        let _ = write!(
            text,
            "`{}`: {amount}, `linger.ms` {}, `buffer.memory` {} MiB\n\n",
            cell.name(),
            cell.linger_ms,
            cell.buffer_memory >> 20,
        );
        text.push_str(&tables::table(group));
        text.push('\n');
        let bars = targets::of(group);
        for bar in &bars {
            let _ = writeln!(text, "- {bar}");
        }
        if !bars.is_empty() {
            text.push('\n');
        }
    }
    text
}

fn facts(text: &mut String, results: &Results) {
    let facts = &results.facts;
    let rows = [
        ("date", facts.date.clone()),
        ("processor", format!("{}, {} cores", facts.cpu, facts.cores)),
        ("memory", format!("{} MiB", facts.memory_mib)),
        ("system", format!("{}, kernel {}", facts.system, facts.kernel)),
        ("load before", format!("{:.2}", facts.load_before)),
        ("commit", facts.commit.clone()),
        ("compilers", format!("{}; {}", facts.rustc, facts.go)),
        ("Java", format!("{}, with {}", facts.java, facts.java_options)),
        ("Kafka", facts.kafka.clone()),
        ("rounds", facts.rounds.to_string()),
    ];
    text.push_str("| fact | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    #[expect(clippy::float_cmp, reason = "it is exactly what was given")]
    if facts.scale != 1.0 {
        let _ = write!(
            text,
            "\n**A trial with {} of the records: it says nothing about speed.**\n",
            facts.scale
        );
    }
    text.push('\n');
}

/// Versions and notes, in the order of names.
fn contestants(text: &mut String, summary: &Summary<'_>) {
    let mut found = BTreeMap::new();
    for entry in summary.groups.iter().flat_map(|group| &group.entries) {
        if let Some(version) = entry.version() {
            let (_, note) = found.entry(entry.contestant).or_insert((version, None));
            *note = note.or_else(|| entry.note());
        }
    }
    text.push_str("| contestant | version | note |\n|---|---|---|\n");
    for (contestant, (version, note)) in found {
        let _ = writeln!(text, "| {contestant} | {version} | {} |", note.unwrap_or(""));
    }
    text.push('\n');
}

fn all_bars(text: &mut String, bars: &[Bar]) {
    if bars.is_empty() {
        return;
    }
    let count = |verdict: Verdict| bars.iter().filter(|bar| bar.verdict == verdict).count();
    let _ = write!(
        text,
        "## Bars\n\n{} hold, {} are missed, {} were not measured. Each is a ratio of medians. (The \
         core alone against copy and CRC is held in `tests/cost`.)\n\n",
        count(Verdict::Holds),
        count(Verdict::Missed),
        count(Verdict::Open),
    );
    for bar in bars {
        let _ = writeln!(text, "- {bar}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cell::Cell, contestant::Contestant, machine::Facts, summary::tests::run};

    #[test]
    fn a_page_has_facts_bars_charts_and_tables() {
        let dir = tempfile::tempdir().unwrap();
        let facts = Facts { scale: 1.0, cores: 2, ..Facts::default() };
        let mut results = Results::create(&dir.path().join("r"), facts).unwrap();
        for (who, cpu) in [(Contestant::OttlaTokio, 0.1), (Contestant::FranzGo, 0.7)] {
            results.add(run(&Cell::BASE, who, 1, cpu)).unwrap();
        }
        let charts = [("CPU".to_owned(), PathBuf::from("charts/cpu.svg"))];
        let page = write(&results, &Summary::of(&results.runs), &charts);
        assert!(page.contains("1 hold, 1 are missed, 1 were not measured"), "{page}");
        assert!(page.contains("![CPU](charts/cpu.svg)"));
        assert!(page.contains("| franz-go | 1.2.3 |"));
        assert!(page.contains("## Sink, load: 100 B, no key, 6 partitions, 1 thread"));
        assert!(!page.contains("A trial"), "{page}");
        results.facts.scale = 0.01;
        assert!(write(&results, &Summary::of(&results.runs), &[]).contains("A trial"));
    }
}
