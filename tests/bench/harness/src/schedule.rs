//! The benchmark itself: who runs when, against what.

use core::time::Duration;

use anyhow::{Context as _, Result};

use crate::{
    arguments::Arguments,
    broker::{IDLE_BROKERS, Kafka, Received, Sink},
    cell::{BrokerKind, Cell, Shape},
    child,
    contestant::Contestant,
    machine, readings,
    results::{Outcome, Part, Results, Run, outcome},
};

/// How often `idle` is run at least: the bar is 5 %, so that it needs more rounds than the others.
const IDLE_ROUNDS: u32 = 5;

/// One who runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    round: u32,
    contestant: Contestant,
    part: Part,
}

/// Runs cells.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    arguments: &'a Arguments,
    /// Started when it is needed first, and not tried again where it cannot be.
    kafka: Option<Result<Kafka, String>>,
}

/// Where a contestant is sent.
#[derive(Debug)]
struct Target {
    bootstrap: String,
    topic: String,
    /// Ends when this is dropped.
    sink: Option<Sink>,
}

impl<'a> Course<'a> {
    pub(crate) const fn new(arguments: &'a Arguments) -> Self {
        Self { arguments, kafka: None }
    }

    /// Runs all of `cells`. What goes wrong in one run is in its result, and the benchmark goes on.
    pub(crate) fn run(mut self, cells: &[Cell], results: &mut Results) -> Result<()> {
        for (index, cell) in cells.iter().enumerate() {
            println!("[{}/{}] {}", index + 1, cells.len(), cell.title());
            if cell.broker == BrokerKind::Sink {
                // A broker that has nothing to do does something all the same.
                self.kafka = None;
            }
            for turn in turns(cell, &self.arguments.contestants, self.arguments.rounds) {
                let run = self.one(cell, turn);
                println!("  {} {:<14} {}", turn.round, turn.contestant, line(&run));
                results.add(run)?;
            }
        }
        Ok(())
    }

    fn one(&mut self, cell: &Cell, turn: Turn) -> Run {
        let mut run = Run {
            name: cell.name(),
            cell: cell.clone(),
            contestant: turn.contestant,
            part: turn.part,
            round: turn.round,
            warm_up: turn.contestant.warm_up(cell),
            outcome: Outcome::Absent,
            peak_rss: 0,
            rss_limit: machine::peak_rss(),
            process_us: 0,
            received: None,
        };
        if let Err(error) = self.try_one(cell, &mut run) {
            run.outcome = Outcome::Void(format!("{error:#}"));
        }
        run
    }

    fn try_one(&mut self, cell: &Cell, run: &mut Run) -> Result<()> {
        let target = self.target(cell)?;
        let mut command = run.contestant.command(self.arguments)?;
        command.args(flags(cell, run, &target));
        if cell.compression.is_some() {
            let path = self.arguments.out.join(format!("readings-{}.jsonl", cell.size));
            readings::write(&path, cell.size).context("writing what is to be sent")?;
            command.arg("--values").arg(path);
        }
        let ended = child::run(&mut command, Duration::from_secs(self.arguments.limit))?;
        run.peak_rss = ended.peak_rss;
        run.process_us = u64::try_from(ended.cpu.as_micros())?;
        run.outcome = if ended.late {
            Outcome::Void(format!("ended after {} s", self.arguments.limit))
        } else {
            believe(outcome(cell, ended.code, &ended.stdout, &ended.stderr), ended.cpu)
        };
        if let Some(sink) = target.sink {
            run.received = Some(sink.received()?);
        }
        if let (BrokerKind::Kafka, Some(Ok(kafka))) = (cell.broker, &self.kafka) {
            // A topic that stays costs the next one little; the run is what it is.
            if let Err(error) = kafka.forget(&target.topic) {
                eprintln!("{} stays: {error:#}", target.topic);
            }
        }
        Ok(())
    }

    fn target(&mut self, cell: &Cell) -> Result<Target> {
        match cell.broker {
            BrokerKind::Sink => {
                let sink = Sink::start(self.arguments, cell)?;
                let bootstrap = sink.addresses.bootstrap.clone();
                Ok(Target { bootstrap, topic: "bench".to_owned(), sink: Some(sink) })
            }
            BrokerKind::Kafka => {
                let start = || Kafka::start().map_err(|error| format!("{error:#}"));
                let kafka = self.kafka.get_or_insert_with(start);
                let kafka = kafka.as_mut().map_err(|error| anyhow::anyhow!("no Kafka: {error}"))?;
                let topic = kafka.topic(cell.partitions).context("making a topic")?;
                Ok(Target { bootstrap: kafka.bootstrap(), topic, sink: None })
            }
        }
    }
}

/// Takes no result in which a contestant used more processor time than the kernel gave it, but for
/// what its clocks are coarse.
fn believe(outcome: Outcome, given: Duration) -> Outcome {
    const COARSE: Duration = Duration::from_millis(30);
    match outcome {
        Outcome::Finished(measured)
            if Duration::from_micros(measured.user_us + measured.system_us)
                > given + given / 50 + COARSE =>
        {
            let said = measured.user_us + measured.system_us;
            Outcome::Void(format!("it says {said} µs of CPU, and the kernel {given:?}"))
        }
        other @ (Outcome::Finished(_) | Outcome::Absent | Outcome::Void(_)) => other,
    }
}

/// The arguments of the contract.
fn flags(cell: &Cell, run: &Run, target: &Target) -> Vec<String> {
    let mut flags = Vec::new();
    let mut set = |name: &str, value: String| flags.extend([format!("--{name}"), value]);
    set("bootstrap", target.bootstrap.clone());
    set("topic", target.topic.clone());
    set("partitions", cell.partitions.to_string());
    set("shape", cell.shape.flag().to_owned());
    set("records", cell.records.to_string());
    set("warm-up", run.warm_up.to_string());
    set("seconds", cell.seconds.to_string());
    set("size", cell.size.to_string());
    set("threads", cell.threads.to_string());
    if cell.batch > 0 {
        set("batch", cell.batch.to_string());
    }
    if let Some(compression) = cell.compression {
        set("compression", compression.name().to_owned());
    }
    set("batch-size", cell.batch_size.to_string());
    set("linger-ms", cell.linger_ms.to_string());
    set("buffer-memory", cell.buffer_memory.to_string());
    if let (Contestant::Baseline, Some(sink)) = (run.contestant, &target.sink) {
        set("echo", sink.addresses.echo.clone());
    }
    if let Some(authority) = target.sink.as_ref().and_then(|sink| sink.authority.as_ref()) {
        set("tls", authority.display().to_string());
    }
    if run.part == Part::WithIdle {
        set("idle", IDLE_BROKERS.to_string());
    }
    if cell.keyed {
        flags.push("--keyed".to_owned());
    }
    if run.part == Part::Allocations {
        flags.push("--count-allocations".to_owned());
    }
    flags
}

/// Who runs in a cell, in order. In each round everyone runs once, and each round another begins,
/// so that what changes on the machine meanwhile, and who ran before, is shared out.
fn turns(cell: &Cell, contestants: &[Contestant], rounds: u32) -> Vec<Turn> {
    let contestants_of_it: Vec<_> =
        contestants.iter().copied().filter(|one| one.enters(cell)).collect();
    let idle = cell.shape == Shape::Idle;
    let rounds = if idle { rounds.max(IDLE_ROUNDS) } else { rounds };
    let mut turns = Vec::new();
    for round in 1..=rounds {
        let mut order = contestants_of_it.clone();
        if !order.is_empty() {
            order.rotate_left((round - 1) as usize % contestants_of_it.len());
        }
        for contestant in order {
            let mut parts =
                if idle { vec![Part::WithoutIdle, Part::WithIdle] } else { vec![Part::Measured] };
            if round % 2 == 0 {
                parts.reverse();
            }
            turns.extend(parts.into_iter().map(|part| Turn { round, contestant, part }));
        }
    }
    if *cell == (Cell { records: cell.records, ..Cell::BASE }) {
        let part = Part::Allocations;
        turns.extend(contestants_of_it.iter().map(|&contestant| Turn {
            round: 0,
            contestant,
            part,
        }));
    }
    turns
}

/// What is said of a run when it ended.
fn line(run: &Run) -> String {
    match &run.outcome {
        Outcome::Finished(measured) if run.cell.shape == Shape::Overload => {
            format!("{} records taken, {} MiB", measured.records, run.peak_rss >> 20)
        }
        Outcome::Finished(measured) => {
            let records = f64_of(measured.records);
            let cpu = f64_of(measured.user_us + measured.system_us) / records;
            let rate = records / measured.seconds;
            let sent = match run.received {
                Some(Received { records, bytes }) if run.cell.compression.is_some() => {
                    format!(", {:.1} B each", f64_of(bytes) / f64_of(records))
                }
                _ => String::new(),
            };
            let memory = run.peak_rss >> 20;
            format!("{rate:>11.0} records/s, {cpu:.3} µs of CPU each, {memory} MiB{sent}")
        }
        Outcome::Absent => "–".to_owned(),
        Outcome::Void(reason) => format!("void: {reason}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) const fn f64_of(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::{plan, results::tests::measured};

    const THREE: [Contestant; 3] =
        [Contestant::OttlaTokio, Contestant::FranzGo, Contestant::Baseline];

    fn names(turns: &[Turn], round: u32) -> Vec<&'static str> {
        turns.iter().filter(|turn| turn.round == round).map(|turn| turn.contestant.name()).collect()
    }

    #[test]
    fn everyone_runs_once_a_round_and_each_round_another_begins() {
        let keyed = Cell { keyed: true, ..Cell::BASE };
        let turns = turns(&keyed, &THREE, 4);
        assert_eq!(turns.len(), 12);
        assert_eq!(names(&turns, 1), ["ottla-tokio", "franz-go", "baseline"]);
        assert_eq!(names(&turns, 2), ["franz-go", "baseline", "ottla-tokio"]);
        assert_eq!(names(&turns, 3), ["baseline", "ottla-tokio", "franz-go"]);
        assert_eq!(names(&turns, 4), names(&turns, 1));
    }

    #[test]
    fn allocations_are_counted_in_runs_of_their_own_and_in_the_base_only() {
        let counted = |cell: &Cell| {
            let turns = turns(cell, &THREE, 3);
            turns.iter().filter(|turn| turn.part == Part::Allocations).count()
        };
        assert_eq!(counted(&Cell { records: 800, ..Cell::BASE }), 3);
        assert_eq!(counted(&Cell { keyed: true, ..Cell::BASE }), 0);
        assert_eq!(counted(&Cell { broker: BrokerKind::Kafka, ..Cell::BASE }), 0);
    }

    #[test]
    fn with_and_without_what_is_idle_take_turns() {
        let idle = Cell { shape: Shape::Idle, ..Cell::BASE };
        let turns = turns(&idle, Contestant::value_variants(), 3);
        assert_eq!(turns.len(), 2 * 2 * 5);
        let parts: Vec<_> = turns.iter().map(|turn| turn.part).collect();
        assert_eq!(parts[..2], [Part::WithoutIdle, Part::WithIdle]);
        assert_eq!(parts[4..6], [Part::WithIdle, Part::WithoutIdle]);
    }

    #[test]
    fn nobody_runs_where_nobody_may() {
        let idle = Cell { shape: Shape::Idle, ..Cell::BASE };
        assert!(turns(&idle, &[Contestant::Java], 3).is_empty());
    }

    #[test]
    fn nobody_used_more_than_the_kernel_gave() {
        let said = || Outcome::Finished(measured(10, 1.0, 700_000, 300_000));
        assert_eq!(believe(said(), Duration::from_millis(980)), said());
        assert!(matches!(believe(said(), Duration::from_millis(900)), Outcome::Void(_)));
    }

    #[test]
    fn a_contestant_is_told_what_the_cell_says() {
        let lone = plan::star().into_iter().find(|cell| cell.shape == Shape::Lone).unwrap();
        let arguments = <Arguments as clap::Parser>::parse_from(["bench", "--bin-dir", "nowhere"]);
        let turn = Turn { round: 1, contestant: Contestant::Java, part: Part::Allocations };
        let run = Course::new(&arguments).one(&lone, turn);
        assert!(matches!(&run.outcome, Outcome::Void(reason) if reason.contains("not built")));
        let target = Target { bootstrap: "h:1".to_owned(), topic: "t".to_owned(), sink: None };
        let told = flags(&lone, &run, &target).join(" ");
        assert_eq!(
            told,
            "--bootstrap h:1 --topic t --partitions 6 --shape lone --records 20000 --warm-up 20000 \
             --seconds 0 --size 100 --threads 1 --batch-size 16384 --linger-ms 0 \
             --buffer-memory 33554432 --count-allocations"
        );
        let idle = Cell { shape: Shape::Idle, keyed: true, ..Cell::BASE };
        let told = flags(&idle, &Run { part: Part::WithIdle, ..run }, &target).join(" ");
        assert!(told.contains("--shape load") && told.ends_with("--idle 200 --keyed"), "{told}");
    }
}
