//! Deadlines and full memory on the device: what is dropped is said, and is not there; the readings
//! that follow go through.

use core::time::Duration;
use std::{collections::BTreeMap, thread};

use ottla_qemu::{Board, Broker, Firmware, Guest, Kind, Line, PARTITIONS, Run, TOPIC, judge};

const SILENT: Duration = Duration::from_secs(6);
const LIMIT: Duration = Duration::from_secs(60);

/// What the firmware said of readings that were not simply delivered.
#[derive(Debug, Default)]
struct Told {
    /// The last word about each, and whether it was `unknown` before.
    dropped: BTreeMap<u32, String>,
    unknown: Vec<u32>,
    after_all: Vec<u32>,
}

impl Told {
    fn of(lines: &[Line]) -> Self {
        let mut told = Self::default();
        for line in lines {
            let Some(rest) = line.text.strip_prefix("reading ") else { continue };
            let (number, what) = rest.split_once(" is ").expect("what it is");
            let number = number.parse().expect("a number");
            if let Some(why) = what.strip_prefix("dropped: ") {
                assert!(told.dropped.insert(number, why.to_owned()).is_none(), "{number} twice");
            } else if what.starts_with("unknown: ") {
                told.unknown.push(number);
            } else if what == "delivered after all" {
                told.after_all.push(number);
            } else {
                panic!("{line}");
            }
        }
        told
    }
}

/// Readings for 10 s, while the broker says nothing for 6 s of them.
fn silence(board: Board, broker: &Broker, every_ms: u32, deadline_ms: u32, full: &str) -> Told {
    let count = 10_000 / every_ms;
    let firmware = Firmware::build(board, Kind::Full).unwrap();
    let arguments = [
        format!("bootstrap={}", broker.advertised()),
        format!("topic={TOPIC}"),
        format!("readings={count}"),
        format!("every={every_ms}"),
        format!("deadline={deadline_ms}"),
        format!("full={full}"),
    ];
    let run = Run { link: broker.link().unwrap(), arguments: &arguments, print: true };
    let mut guest = Guest::start(&firmware, &run).unwrap();
    guest.lines().wait(0, LIMIT, |text| text.contains("records delivered")).expect("a delivery");
    thread::sleep(Duration::from_secs(1));
    broker.freeze().unwrap();
    println!("  (the broker is frozen)");
    thread::sleep(SILENT);
    broker.thaw().unwrap();
    println!("  (the broker goes on)");
    assert!(guest.wait(LIMIT).unwrap(), "the firmware failed");

    let told = Told::of(&guest.lines().all());
    let log = broker.read().unwrap();
    let dropped = |number| told.dropped.contains_key(&number);
    let arrived = judge(&log, PARTITIONS as u32, count, dropped).unwrap();
    println!(
        "{board}, a reading each {every_ms} ms, deadline {deadline_ms} ms, full={full}: {arrived}"
    );
    assert!(!told.dropped.contains_key(&(count - 1)), "the last ones go through");
    told
}

/// There is room for the readings of a second, so that age is what ends them.
fn too_old(board: Board, broker: &Broker) {
    let told = silence(board, broker, 50, 1_000, "oldest");
    let old = told.dropped.values().filter(|why| *why == "too old").count();
    assert!(old > 50, "only {old} readings were dropped for their age: {told:?}");
    // Of those whose bytes were out nothing could be said at once; the truth came later.
    assert!(!told.unknown.is_empty(), "{told:?}");
    for number in &told.unknown {
        let known = told.after_all.contains(number) || told.dropped.contains_key(number);
        assert!(known, "nothing more was said of reading {number}");
    }
}

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_readings_too_old_are_dropped() {
    too_old(Board::Lm3s6965evb, &Broker::model().unwrap());
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn mps2_an386_kafka_readings_too_old_are_dropped() {
    too_old(Board::Mps2An386, &Broker::kafka().unwrap());
}

/// Without deadlines, memory is what bounds: one policy keeps the beginning of the silence, the other
/// its end.
#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_who_gives_way_is_the_callers_choice() {
    let board = Board::Lm3s6965evb;
    let [oldest, newest] = ["oldest", "newest"].map(|full| {
        let told = silence(board, &Broker::model().unwrap(), 25, 0, full);
        assert!(told.dropped.values().all(|why| why == "no room"), "{told:?}");
        assert!(told.dropped.len() > 50, "{told:?}");
        told.dropped.into_keys().collect::<Vec<_>>()
    });
    let middle = |dropped: &[u32]| dropped.iter().sum::<u32>() / dropped.len() as u32;
    println!("dropped in the middle: oldest {}, newest {}", middle(&oldest), middle(&newest));
    assert!(middle(&oldest) < middle(&newest), "{oldest:?} {newest:?}");
}

/// A restart of the broker is a cut, a time without a listener, and a broker that remembers one batch
/// of each producer.
fn restart(board: Board, broker: &Broker) {
    let firmware = Firmware::build(board, Kind::Full).unwrap();
    let arguments = [
        format!("bootstrap={}", broker.advertised()),
        format!("topic={TOPIC}"),
        "readings=3000".to_owned(),
    ];
    let run = Run { link: broker.link().unwrap(), arguments: &arguments, print: true };
    let mut guest = Guest::start(&firmware, &run).unwrap();
    guest.lines().wait(0, LIMIT, |text| text == "1000 readings delivered").expect("deliveries");
    println!("  (the broker is killed and started again)");
    broker.restart().unwrap();
    println!("  (it is up)");
    assert!(guest.wait(LIMIT).unwrap(), "the firmware failed");
    let arrived = judge(&broker.read().unwrap(), PARTITIONS as u32, 3_000, |_| false).unwrap();
    println!("{board}: {arrived}");
}

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_a_broker_that_restarts_loses_nothing() {
    restart(Board::Lm3s6965evb, &Broker::model().unwrap());
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn mps2_an386_kafka_a_broker_that_restarts_loses_nothing() {
    restart(Board::Mps2An386, &Broker::kafka().unwrap());
}
