//! What the rounds add up to, for each contestant in each cell.

use crate::{
    cell::{BrokerKind, Cell, Shape},
    contestant::Contestant,
    results::{Measured, Outcome, Part, Run},
    schedule::f64_of,
    statistics::Spread,
};

const MIB: f64 = 1024.0 * 1024.0;

/// A quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Records a second.
    Rate,
    /// Megabytes of the application's a second.
    Megabytes,
    /// Microseconds of processor time for each record.
    Cpu,
    /// Those outside of the kernel.
    User,
    /// Those inside of it.
    System,
    /// MiB that were resident at most.
    Memory,
    /// Microseconds until half of the acknowledgements had come.
    P50,
    P99,
    P999,
    /// Records that were taken.
    Records,
    /// Bytes of requests for each record.
    Wire,
}

/// One contestant in one cell.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) contestant: Contestant,
    /// Measured runs that finished.
    runs: Vec<(&'a Run, &'a Measured)>,
    /// Pairs of runs of the same round, without and with what is idle.
    pairs: Vec<[&'a Measured; 2]>,
    /// Why runs are void.
    pub(crate) void: Vec<&'a str>,
    /// For each record.
    pub(crate) allocations: Option<f64>,
}

/// One cell.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// All cells, in the order in which they were run.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    pub(crate) groups: Vec<Group<'a>>,
}

impl<'a> Summary<'a> {
    pub(crate) fn of(runs: &'a [Run]) -> Self {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for run in runs {
            let index = groups.iter().position(|group| *group.cell == run.cell);
            let index = index.unwrap_or_else(|| {
                groups.push(Group { cell: &run.cell, entries: Vec::new() });
                groups.len() - 1
            });
            groups[index].add(run);
        }
        for group in &mut groups {
            group.pair(runs);
            group.sort();
        }
        Self { groups }
    }

    /// The cell that differs from the base in nothing but this.
    pub(crate) fn plain(&self, broker: BrokerKind, shape: Shape, size: u32) -> Option<&Group<'a>> {
        self.groups.iter().find(|group| {
            let cell = group.cell;
            cell.is_plain() && (cell.broker, cell.shape, cell.size) == (broker, shape, size)
        })
    }
}

impl<'a> Group<'a> {
    pub(crate) fn entry(&self, contestant: Contestant) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.contestant == contestant)
    }

    fn add(&mut self, run: &'a Run) {
        let index = self.entries.iter().position(|entry| entry.contestant == run.contestant);
        let index = index.unwrap_or_else(|| {
            self.entries.push(Entry::new(run.contestant));
            self.entries.len() - 1
        });
        let entry = &mut self.entries[index];
        match (&run.outcome, run.part) {
            (Outcome::Finished(measured), Part::Measured) => entry.runs.push((run, measured)),
            (Outcome::Finished(measured), Part::Allocations) => {
                let count = measured.allocations.map(f64_of);
                entry.allocations = count.map(|count| count / f64_of(measured.records));
            }
            (Outcome::Finished(_), Part::WithoutIdle | Part::WithIdle) | (Outcome::Absent, _) => {}
            (Outcome::Void(reason), _) => entry.void.push(reason),
        }
    }

    /// Finds the runs that belong together.
    fn pair(&mut self, runs: &'a [Run]) {
        for entry in &mut self.entries {
            let of = |round: u32, part: Part| {
                let run = runs.iter().find(|run| {
                    (run.contestant, run.round, run.part) == (entry.contestant, round, part)
                        && run.cell == *self.cell
                });
                match &run?.outcome {
                    Outcome::Finished(measured) => Some(measured),
                    Outcome::Absent | Outcome::Void(_) => None,
                }
            };
            let rounds = runs.iter().map(|run| run.round).max().unwrap_or(0);
            entry.pairs = (1..=rounds)
                .filter_map(|round| {
                    Some([of(round, Part::WithoutIdle)?, of(round, Part::WithIdle)?])
                })
                .collect();
        }
    }

    /// The baseline first, then who is best at what the cell is about; last who has no number.
    fn sort(&mut self) {
        let metric = self.cell.shape.metric();
        self.entries.sort_by(|a, b| {
            let key = |entry: &Entry<'_>| {
                let baseline = entry.contestant == Contestant::Baseline;
                if baseline { -1.0 } else { entry.median(metric).unwrap_or(f64::INFINITY) }
            };
            key(a).total_cmp(&key(b))
        });
    }
}

impl<'a> Entry<'a> {
    const fn new(contestant: Contestant) -> Self {
        Self {
            contestant,
            runs: Vec::new(),
            pairs: Vec::new(),
            void: Vec::new(),
            allocations: None,
        }
    }

    /// Over the rounds that finished.
    pub(crate) fn spread(&self, metric: Metric) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|(run, measured)| metric.of(run, measured)))
    }

    pub(crate) fn median(&self, metric: Metric) -> Option<f64> {
        self.spread(metric).map(|spread| spread.median)
    }

    /// Whether it may have needed less memory than is known: Linux begins to count with what the
    /// process had that started it.
    pub(crate) fn memory_is_a_limit(&self) -> bool {
        self.runs.iter().any(|(run, _)| run.peak_rss <= run.rss_limit)
    }

    /// Processor time without and with what is idle, and the ratio of the two in each round.
    pub(crate) fn idle(&self) -> Option<[Spread; 3]> {
        let cpu = |measured: &Measured| {
            f64_of(measured.user_us + measured.system_us) / f64_of(measured.records)
        };
        let pairs = || self.pairs.iter().map(|pair| pair.map(cpu));
        Some([
            Spread::of(pairs().map(|[without, _]| without))?,
            Spread::of(pairs().map(|[_, with]| with))?,
            Spread::of(pairs().map(|[without, with]| with / without))?,
        ])
    }

    /// How many rounds there are results of.
    pub(crate) fn rounds(&self) -> usize {
        self.runs.len() + self.pairs.len()
    }

    fn any(&self) -> Option<&'a Measured> {
        let first = self.runs.first().map(|(_, measured)| *measured);
        first.or_else(|| self.pairs.first().map(|[without, _]| *without))
    }

    pub(crate) fn version(&self) -> Option<&'a str> {
        self.any().map(|measured| measured.version.as_str())
    }

    /// What the contestant says that a reader should know.
    pub(crate) fn note(&self) -> Option<&'a str> {
        self.any()?.note.as_deref()
    }
}

impl Shape {
    /// What a cell of this shape is about.
    pub(crate) const fn metric(self) -> Metric {
        match self {
            Self::Load | Self::Idle => Metric::Cpu,
            Self::Lone => Metric::P50,
            Self::Overload => Metric::Memory,
        }
    }
}

impl Metric {
    fn of(self, run: &Run, measured: &Measured) -> Option<f64> {
        let records = f64_of(measured.records);
        let each = |micros: u64| f64_of(micros) / records;
        let rate = records / measured.seconds;
        match self {
            Self::Rate => Some(rate),
            Self::Megabytes => Some(rate * f64::from(run.cell.payload()) / 1e6),
            Self::Cpu => Some(each(measured.user_us + measured.system_us)),
            Self::User => Some(each(measured.user_us)),
            Self::System => Some(each(measured.system_us)),
            Self::Memory => (run.peak_rss > 0).then(|| f64_of(run.peak_rss) / MIB),
            Self::P50 => measured.p50_us,
            Self::P99 => measured.p99_us,
            Self::P999 => measured.p999_us,
            Self::Records => Some(records),
            Self::Wire => run.received.map(|it| f64_of(it.bytes) / f64_of(it.records)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::tests::measured;

    /// A run that took a second for a million records and `cpu` µs for each, a third of it system
    /// time.
    pub(crate) fn run(cell: &Cell, contestant: Contestant, round: u32, cpu: f64) -> Run {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        let total = (cpu * 1e6).round() as u64;
        Run {
            name: cell.name(),
            cell: cell.clone(),
            contestant,
            part: Part::Measured,
            round,
            warm_up: 0,
            outcome: Outcome::Finished(measured(1_000_000, 1.0, total - total / 3, total / 3)),
            peak_rss: 40 << 20,
            rss_limit: 8 << 20,
            process_us: total,
            received: None,
        }
    }

    #[test]
    fn medians_are_over_the_rounds_that_finished() {
        let mut runs = Vec::new();
        for (round, cpu) in [(1, 0.6), (2, 0.9), (3, 0.3)] {
            runs.push(run(&Cell::BASE, Contestant::FranzGo, round, cpu));
        }
        let void = Outcome::Void("no luck".to_owned());
        runs.push(Run { outcome: void, ..run(&Cell::BASE, Contestant::FranzGo, 4, 9.0) });
        let summary = Summary::of(&runs);
        let entry = summary.groups[0].entry(Contestant::FranzGo).unwrap();
        let cpu = entry.spread(Metric::Cpu).unwrap();
        assert_eq!((cpu.min, cpu.median, cpu.max), (0.3, 0.6, 0.9));
        assert!((entry.median(Metric::System).unwrap() - 0.2).abs() < 1e-9);
        assert_eq!(entry.median(Metric::Rate), Some(1_000_000.0));
        assert_eq!(entry.median(Metric::Megabytes), Some(100.0));
        assert_eq!(entry.median(Metric::Memory), Some(40.0));
        assert_eq!(entry.median(Metric::P50), None);
        assert_eq!((entry.rounds(), entry.void.as_slice()), (3, ["no luck"].as_slice()));
    }

    #[test]
    fn the_floor_is_first_and_who_has_no_number_last() {
        let absent = run(&Cell::BASE, Contestant::Rskafka, 1, 0.1);
        let runs = [
            Run { outcome: Outcome::Absent, ..absent },
            run(&Cell::BASE, Contestant::Java, 1, 0.9),
            run(&Cell::BASE, Contestant::OttlaTokio, 1, 0.1),
            run(&Cell::BASE, Contestant::Baseline, 1, 0.2),
        ];
        let summary = Summary::of(&runs);
        let order: Vec<_> = summary.groups[0].entries.iter().map(|e| e.contestant.name()).collect();
        assert_eq!(order, ["baseline", "ottla-tokio", "java", "rskafka"]);
    }

    #[test]
    fn runs_that_count_allocations_do_not_count_as_speed() {
        let mut counted = run(&Cell::BASE, Contestant::Krafka, 0, 50.0);
        counted.part = Part::Allocations;
        if let Outcome::Finished(measured) = &mut counted.outcome {
            measured.allocations = Some(3_000_000);
        }
        let runs = [counted, run(&Cell::BASE, Contestant::Krafka, 1, 1.5)];
        let summary = Summary::of(&runs);
        let entry = &summary.groups[0].entries[0];
        assert_eq!((entry.allocations, entry.median(Metric::Cpu)), (Some(3.0), Some(1.5)));
    }

    #[test]
    fn what_is_idle_is_compared_within_a_round() {
        let cell = Cell { shape: Shape::Idle, ..Cell::BASE };
        let mut runs = Vec::new();
        // The machine gets slower from round to round; the ratio does not.
        for (round, without, with) in
            [(1, 0.1, 0.11), (2, 0.2, 0.22), (3, 0.4, 0.44), (4, 9.0, 1.0)]
        {
            for (part, cpu) in [(Part::WithIdle, with), (Part::WithoutIdle, without)] {
                let mut run = run(&cell, Contestant::OttlaTokio, round, cpu);
                run.part = part;
                if round == 4 && part == Part::WithIdle {
                    run.outcome = Outcome::Void("late".to_owned());
                }
                runs.push(run);
            }
        }
        let summary = Summary::of(&runs);
        let [_, _, ratio] = summary.groups[0].entries[0].idle().unwrap();
        assert!((ratio.median - 1.1).abs() < 1e-9 && ratio.max < 1.2, "{ratio:?}");
        assert_eq!(summary.groups[0].entries[0].rounds(), 3);
    }

    #[test]
    fn memory_below_the_parents_is_a_limit_only() {
        let mut small = run(&Cell::BASE, Contestant::Baseline, 1, 0.1);
        small.peak_rss = small.rss_limit;
        let runs = [small, run(&Cell::BASE, Contestant::Java, 1, 0.1)];
        let summary = Summary::of(&runs);
        let limit = |who| summary.groups[0].entry(who).unwrap().memory_is_a_limit();
        assert!(limit(Contestant::Baseline) && !limit(Contestant::Java));
    }
}
