//! The bars that ottla is to take, and whether it does, in numbers.

use core::fmt;

use crate::{
    cell::{BrokerKind, Cell, Compression, Shape},
    contestant::Contestant,
    statistics::number,
    summary::{Entry, Group, Metric, Summary},
};

/// The heap is asked for batches and not for records: with 16 KiB and 100 B a batch has some 150.
const ALLOCATIONS: f64 = 0.1;
/// MiB beside `buffer.memory` that an overloaded producer may have.
const BESIDE_BUFFER: f64 = 16.0;

/// What a ratio may be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

/// Whether a bar is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    Missed,
    /// A number is missing.
    Open,
}

/// A bar, and what became of it.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) claim: String,
    pub(crate) verdict: Verdict,
    /// The numbers.
    pub(crate) evidence: String,
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Holds => "holds",
            Verdict::Missed => "**missed**",
            Verdict::Open => "not measured",
        };
        write!(f, "{word}: {}: {}", self.claim, self.evidence)
    }
}

impl Limit {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
            Self::Below(limit) => ratio < limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {}", number(*limit)),
            Self::AtLeast(limit) => write!(f, "at least {}", number(*limit)),
            Self::Below(limit) => write!(f, "below {}", number(*limit)),
        }
    }
}

/// A number and whose it is.
type Named = (String, f64);

/// Holds the ratio of `ours` to `theirs` against a limit.
fn judge(claim: String, unit: &str, ours: Option<f64>, theirs: Option<Named>, limit: Limit) -> Bar {
    let (Some(ours), Some((name, theirs))) = (ours, theirs) else {
        return Bar { claim, verdict: Verdict::Open, evidence: "no number to compare".to_owned() };
    };
    let ratio = ours / theirs;
    let verdict = if limit.holds(ratio) { Verdict::Holds } else { Verdict::Missed };
    let evidence = format!(
        "{} / {} {unit} ({name}) = {} ({limit})",
        number(ours),
        number(theirs),
        number(ratio)
    );
    Bar { claim, verdict, evidence }
}

/// All bars that the cell of `group` decides.
pub(crate) fn of(group: &Group<'_>) -> Vec<Bar> {
    let Cell { broker, shape, size, threads, .. } = *group.cell;
    let cell = group.cell;
    let ours = Contestant::OTTLA.into_iter().filter_map(|who| group.entry(who));
    if cell.tls {
        return ours.map(|ours| tls(group, ours)).collect();
    }
    if cell.compression.is_some() {
        return ours.flat_map(|ours| compressed(group, ours)).collect();
    }
    if *cell == (Cell { records: cell.records, batch: cell.batch, ..Cell::BASE }) && cell.batch > 0
    {
        return ours.flat_map(|ours| call(group, ours)).collect();
    }
    if *cell == (Cell { records: cell.records, broker, threads, ..Cell::BASE }) && threads > 1 {
        return ours.flat_map(|ours| shared(group, ours)).collect();
    }
    if !cell.is_plain() {
        return Vec::new();
    }
    ours.flat_map(|ours| match (broker, shape, size) {
        (BrokerKind::Sink, Shape::Load, 100) => base(group, ours),
        (BrokerKind::Sink, Shape::Load, 1000) => thousand(group, ours),
        (BrokerKind::Sink, Shape::Lone, 100) => lone(group, ours),
        (BrokerKind::Sink, Shape::Overload, _) => overload(group, ours),
        (BrokerKind::Sink, Shape::Idle, _) => vec![idle(ours)],
        (BrokerKind::Kafka, Shape::Load, _) => kafka(group, ours),
        (
            BrokerKind::Sink | BrokerKind::Kafka,
            Shape::Load | Shape::Lone | Shape::Overload | Shape::Idle,
            _,
        ) => Vec::new(),
    })
    .collect()
}

/// All bars of all cells.
pub(crate) fn all(summary: &Summary<'_>) -> Vec<Bar> {
    summary.groups.iter().flat_map(of).collect()
}

fn base(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let who = ours.contestant;
    let mut bars = vec![
        judge(
            format!("CPU per record of {who} at most 1/3 of the best peer's"),
            "µs",
            ours.median(Metric::Cpu),
            least(group, Metric::Cpu),
            Limit::AtMost(1.0 / 3.0),
        ),
        judge(
            format!("records/s of {who} at least 2.5 times the best peer's"),
            "records/s",
            ours.median(Metric::Rate),
            most(group, Metric::Rate),
            Limit::AtLeast(2.5),
        ),
    ];
    let claim = format!("heap allocations of {who} come with batches, not with records");
    bars.push(match ours.allocations {
        Some(count) => Bar {
            claim,
            verdict: if count <= ALLOCATIONS { Verdict::Holds } else { Verdict::Missed },
            evidence: format!("{} a record (at most {})", number(count), number(ALLOCATIONS)),
        },
        None => Bar { claim, verdict: Verdict::Open, evidence: "they were not counted".to_owned() },
    });
    bars
}

fn thousand(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let who = ours.contestant;
    let cpu = ours.median(Metric::Cpu);
    vec![
        judge(
            format!("CPU per record of {who} at most 1.4 times the baseline's"),
            "µs",
            cpu,
            baseline(group, Metric::Cpu),
            Limit::AtMost(1.4),
        ),
        judge(
            format!("CPU per record of {who} below every peer's"),
            "µs",
            cpu,
            least(group, Metric::Cpu),
            Limit::Below(1.0),
        ),
    ]
}

fn tls(group: &Group<'_>, ours: &Entry<'_>) -> Bar {
    let (who, size) = (ours.contestant, group.cell.size);
    judge(
        format!("CPU per record of {who} with TLS at {size} B at most 1/2 of the best peer's"),
        "µs",
        ours.median(Metric::Cpu),
        least(group, Metric::Cpu),
        Limit::AtMost(0.5),
    )
}

/// Threads that share a producer. (barnabas has a producer for each.)
fn shared(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let who = ours.contestant;
    let Cell { broker, threads, .. } = *group.cell;
    let (part, cpu, times, rate) = match (broker, threads) {
        (BrokerKind::Kafka, _) => ("1/2", 0.5, "", 1.0),
        (BrokerKind::Sink, 4) => ("1/3", 1.0 / 3.0, "2.5 times ", 2.5),
        (BrokerKind::Sink, _) => ("1/2", 0.5, "1.5 times ", 1.5),
    };
    vec![
        judge(
            format!(
                "CPU per record of {who} with {threads} threads at most {part} of the best peer's"
            ),
            "µs",
            ours.median(Metric::Cpu),
            least(group, Metric::Cpu),
            Limit::AtMost(cpu),
        ),
        judge(
            format!("records/s of {who} with {threads} threads at least {times}the best peer's"),
            "records/s",
            ours.median(Metric::Rate),
            most(group, Metric::Rate),
            Limit::AtLeast(rate),
        ),
    ]
}

/// Many records handed over by one call.
fn call(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let who = ours.contestant;
    let cpu = ours.median(Metric::Cpu);
    let named =
        |who| Some((Contestant::name(who).to_owned(), group.entry(who)?.median(Metric::Cpu)?));
    vec![
        judge(
            format!("CPU per record of {who} by the batch call at most 2 times the baseline's"),
            "µs",
            cpu,
            baseline(group, Metric::Cpu),
            Limit::AtMost(2.0),
        ),
        judge(
            format!("CPU per record of {who} by the batch call at most 1/2 of that of barnabas'"),
            "µs",
            cpu,
            named(Contestant::BarnabasBatch),
            Limit::AtMost(0.5),
        ),
    ]
}

/// Time counts where the size is about that of who takes the least time, or smaller.
fn compressed(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let (who, size) = (ours.contestant, group.cell.size);
    let with = group.cell.compression.map_or("", Compression::name);
    let best = peers(group, Metric::Cpu).into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let wire = best.and_then(|(best, _)| {
        Some((best.name().to_owned(), group.entry(best)?.median(Metric::Wire)?))
    });
    vec![
        judge(
            format!(
                "CPU per record of {who} with {with} at {size} B at most 1/2 of the best peer's"
            ),
            "µs",
            ours.median(Metric::Cpu),
            least(group, Metric::Cpu),
            Limit::AtMost(0.5),
        ),
        judge(
            format!(
                "bytes on the wire of {who} with {with} at {size} B at most 5 % more than that peer's"
            ),
            "B",
            ours.median(Metric::Wire),
            wire,
            Limit::AtMost(1.05),
        ),
        judge(
            format!("records/s of {who} with {with} at {size} B at least the best peer's"),
            "records/s",
            ours.median(Metric::Rate),
            most(group, Metric::Rate),
            Limit::AtLeast(1.0),
        ),
    ]
}

fn lone(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let who = ours.contestant;
    let p50 = ours.median(Metric::P50);
    let claim = format!("p50 of {who} not above the fastest peer's");
    let mut bars = vec![judge(claim, "µs", p50, least(group, Metric::P50), Limit::AtMost(1.0))];
    if who == Contestant::OttlaBlocking {
        let claim = format!("p50 of {who} within 1.6 times a bare echo of the same bytes");
        bars.push(judge(claim, "µs", p50, baseline(group, Metric::P50), Limit::AtMost(1.6)));
    }
    bars
}

fn overload(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let who = ours.contestant;
    let memory = ours.median(Metric::Memory);
    let allowed = crate::schedule::f64_of(group.cell.buffer_memory >> 20) + BESIDE_BUFFER;
    vec![
        judge(
            format!("peak resident memory of {who} at most buffer.memory + 16 MiB"),
            "MiB",
            memory,
            Some(("allowed".to_owned(), allowed)),
            Limit::AtMost(1.0),
        ),
        judge(
            format!("no peer's peak resident memory is below that of {who}"),
            "MiB",
            memory,
            least(group, Metric::Memory),
            Limit::AtMost(1.0),
        ),
    ]
}

fn idle(ours: &Entry<'_>) -> Bar {
    let who = ours.contestant;
    let claim =
        format!("10,000 idle partitions and 200 idle connections cost {who} at most 5 % CPU");
    let Some([without, with, ratio]) = ours.idle() else {
        return Bar { claim, verdict: Verdict::Open, evidence: "no pair of runs".to_owned() };
    };
    let limit = Limit::AtMost(1.05);
    Bar {
        claim,
        verdict: if limit.holds(ratio.median) { Verdict::Holds } else { Verdict::Missed },
        evidence: format!(
            "{} with, {} µs without, in pairs {} ({limit})",
            number(with.median),
            number(without.median),
            ratio.show(number)
        ),
    }
}

fn kafka(group: &Group<'_>, ours: &Entry<'_>) -> Vec<Bar> {
    let who = ours.contestant;
    let size = group.cell.size;
    let mut bars = vec![judge(
        format!("records/s of {who} at {size} B at least those of every peer"),
        "records/s",
        ours.median(Metric::Rate),
        most(group, Metric::Rate),
        Limit::AtLeast(1.0),
    )];
    if size == 100 {
        bars.push(judge(
            format!("CPU per record of {who} at {size} B at most 1/3 of the best peer's"),
            "µs",
            ours.median(Metric::Cpu),
            least(group, Metric::Cpu),
            Limit::AtMost(1.0 / 3.0),
        ));
    }
    bars
}

/// The least of the peers' medians, with the peer's name and out of how many.
fn least(group: &Group<'_>, metric: Metric) -> Option<Named> {
    let peers = peers(group, metric);
    best(&peers, peers.iter().min_by(|a, b| a.1.total_cmp(&b.1)))
}

fn most(group: &Group<'_>, metric: Metric) -> Option<Named> {
    let peers = peers(group, metric);
    best(&peers, peers.iter().max_by(|a, b| a.1.total_cmp(&b.1)))
}

fn peers(group: &Group<'_>, metric: Metric) -> Vec<(Contestant, f64)> {
    let peers = group.entries.iter().filter(|entry| entry.contestant.is_peer());
    peers.filter_map(|entry| Some((entry.contestant, entry.median(metric)?))).collect()
}

fn best(peers: &[(Contestant, f64)], found: Option<&(Contestant, f64)>) -> Option<Named> {
    found.map(|(who, value)| (format!("{who}, best of {}", peers.len()), *value))
}

fn baseline(group: &Group<'_>, metric: Metric) -> Option<Named> {
    let median = group.entry(Contestant::Baseline)?.median(metric)?;
    Some((Contestant::Baseline.name().to_owned(), median))
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
