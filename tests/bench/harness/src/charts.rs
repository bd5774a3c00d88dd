//! Which charts there are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    cell::{BrokerKind, Shape},
    chart::{Chart, Kind, Panel, Row, Side},
    schedule::f64_of,
    statistics::{number, short},
    summary::{Entry, Group, Metric, Summary},
};

const SIZES: [u32; 4] = [16, 100, 1000, 10_000];

/// Draws what `summary` has numbers for into `dir`, and returns titles and paths from the directory
/// above.
pub(crate) fn draw(summary: &Summary<'_>, dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let mut drawn = Vec::new();
    for (name, chart) in all(summary) {
        let name = format!("{name}.svg");
        let path = dir.join(&name);
        if chart.panels.is_empty() {
            // One of an earlier run would be taken for one of this.
            let _ = fs::remove_file(&path);
            continue;
        }
        svg::save(&path, &chart.draw()).with_context(|| format!("writing {}", path.display()))?;
        let parent = dir.file_name().unwrap_or_default();
        drawn.push((chart.title, Path::new(parent).join(name)));
    }
    Ok(drawn)
}

fn all(summary: &Summary<'_>) -> Vec<(String, Chart)> {
    let mut charts = Vec::new();
    for (broker, at) in [
        (BrokerKind::Sink, "a sink that stores nothing"),
        (BrokerKind::Kafka, "a real Kafka on the same machine"),
    ] {
        let name = broker.name();
        let whole = "No key, 6 partitions, one thread, batch.size 16 KiB; medians, with the range \
                     of rounds.";
        charts.push((
            format!("cpu-{name}"),
            Chart {
                title: format!("CPU time per record, µs, against {at}"),
                about: format!("Less is better. {whole}"),
                panels: sizes(summary, broker, Metric::Cpu, number),
            },
        ));
        charts.push((
            format!("records-{name}"),
            Chart {
                title: format!("Records per second, against {at}"),
                about: format!("More is better. {whole}"),
                panels: sizes(summary, broker, Metric::Rate, short),
            },
        ));
        let lone = summary.plain(broker, Shape::Lone, 100).map(lone);
        charts.push((
            format!("lone-{name}"),
            Chart {
                title: format!("One record at a time, against {at}"),
                about:
                    "From sending to its acknowledgement, µs, 100 B: p50 (full) to p99 (hollow). \
                        Left is better."
                        .to_owned(),
                panels: lone.into_iter().filter(|panel| !panel.rows.is_empty()).collect(),
            },
        ));
    }
    let overload = summary.plain(BrokerKind::Sink, Shape::Overload, 100).map(overload);
    charts.push((
        "memory-overload".to_owned(),
        Chart {
            title: "Peak resident memory under overload, MiB".to_owned(),
            about:
                "Less is better. Records of 100 B without pause, at a broker that answers nothing."
                    .to_owned(),
            panels: overload.into_iter().filter(|panel| !panel.rows.is_empty()).collect(),
        },
    ));
    charts
}

/// A panel for each size.
fn sizes(
    summary: &Summary<'_>,
    broker: BrokerKind,
    metric: Metric,
    format: fn(f64) -> String,
) -> Vec<Panel> {
    let groups = SIZES.iter().filter_map(|size| {
        let group = summary.plain(broker, Shape::Load, *size)?;
        let rows = rows(group, metric, |entry| {
            let spread = entry.spread(metric)?;
            Some((spread.median, [spread.min, spread.max], format(spread.median)))
        });
        Some(Panel { head: format!("{size} B"), kind: Kind::Bars, rows, mark: None })
    });
    groups.filter(|panel| !panel.rows.is_empty()).collect()
}

fn lone(group: &Group<'_>) -> Panel {
    let rows = rows(group, Metric::P50, |entry| {
        let (p50, p99) = (entry.median(Metric::P50)?, entry.median(Metric::P99)?);
        Some((p50, [p50, p99], format!("{} / {}", number(p50), number(p99))))
    });
    Panel { head: String::new(), kind: Kind::Dots, rows, mark: None }
}

fn overload(group: &Group<'_>) -> Panel {
    let rows = rows(group, Metric::Memory, |entry| {
        let spread = entry.spread(Metric::Memory)?;
        Some((spread.median, [spread.min, spread.max], number(spread.median)))
    });
    let buffer = group.cell.buffer_memory >> 20;
    let mark = Some((f64_of(buffer), format!("buffer.memory, {buffer}")));
    Panel { head: String::new(), kind: Kind::Bars, rows, mark }
}

/// The baseline first, then the best.
fn rows(
    group: &Group<'_>,
    metric: Metric,
    row: impl Fn(&Entry<'_>) -> Option<(f64, [f64; 2], String)>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = group
        .entries
        .iter()
        .filter_map(|entry| {
            let (value, range, text) = row(entry)?;
            let who = entry.contestant;
            let other = if who.is_ottla() { Side::Ours } else { Side::Baseline };
            let side = if who.is_peer() { Side::Peer } else { other };
            Some(Row { label: entry.contestant.to_string(), side, value, range, text })
        })
        .collect();
    rows.sort_by(|a, b| {
        let order = a.value.total_cmp(&b.value);
        let order = if metric == Metric::Rate { order.reverse() } else { order };
        (a.side != Side::Baseline).cmp(&(b.side != Side::Baseline)).then(order)
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cell::Cell, contestant::Contestant, summary::tests::run};

    #[test]
    fn rows_are_in_the_order_of_what_is_shown() {
        let mut runs = vec![
            run(&Cell::BASE, Contestant::Java, 1, 0.9),
            run(&Cell::BASE, Contestant::OttlaTokio, 1, 0.1),
            run(&Cell::BASE, Contestant::Baseline, 1, 0.5),
        ];
        if let crate::results::Outcome::Finished(measured) = &mut runs[0].outcome {
            measured.seconds = 0.5;
        }
        let summary = Summary::of(&runs);
        let order = |metric| {
            let panels = sizes(&summary, BrokerKind::Sink, metric, number);
            assert_eq!(panels.len(), 1);
            panels[0].rows.iter().map(|row| row.label.clone()).collect::<Vec<_>>()
        };
        assert_eq!(order(Metric::Cpu), ["baseline", "ottla-tokio", "java"]);
        assert_eq!(order(Metric::Rate), ["baseline", "java", "ottla-tokio"]);
    }

    #[test]
    fn a_chart_without_numbers_is_not_drawn_and_an_old_one_goes() {
        let dir = tempfile::tempdir().unwrap();
        let charts = dir.path().join("charts");
        fs::create_dir(&charts).unwrap();
        fs::write(charts.join("cpu-kafka.svg"), "old").unwrap();
        let runs = [run(&Cell::BASE, Contestant::OttlaTokio, 1, 0.1)];
        let drawn = draw(&Summary::of(&runs), &charts).unwrap();
        let paths: Vec<_> = drawn.iter().map(|(_, path)| path.display().to_string()).collect();
        assert_eq!(paths, ["charts/cpu-sink.svg", "charts/records-sink.svg"]);
        assert_eq!(fs::read_dir(&charts).unwrap().count(), 2);
    }
}
