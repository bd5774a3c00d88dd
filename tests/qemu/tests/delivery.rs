//! What the firmware says it delivered is in the log, once and in order, whatever happens to the
//! wire and to the broker.

use core::time::Duration;
use std::thread;

use ottla_qemu::{Board, Broker, Firmware, Guest, Kind, PARTITIONS, Run, TOPIC, judge};

const READINGS: u32 = 10_000;
const CUTS: u32 = 20;
const SEED: u64 = 5;
/// How long the broker is frozen: longer than the firmware waits for an answer.
const FROZEN: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(300);

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_ten_thousand_readings() {
    deliver(Board::Lm3s6965evb, &Broker::model().unwrap());
}

#[test]
#[ignore = "needs QEMU"]
fn mps2_an386_model_ten_thousand_readings() {
    deliver(Board::Mps2An386, &Broker::model().unwrap());
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn lm3s6965evb_kafka_ten_thousand_readings() {
    deliver(Board::Lm3s6965evb, &Broker::kafka().unwrap());
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn mps2_an386_kafka_ten_thousand_readings() {
    deliver(Board::Mps2An386, &Broker::kafka().unwrap());
}

/// 10,000 readings while the link is cut 20 times at random bytes, and the broker frozen twice.
fn deliver(board: Board, broker: &Broker) {
    let firmware = Firmware::build(board, Kind::Full).unwrap();
    let arguments = [
        format!("bootstrap={}", broker.advertised()),
        format!("topic={TOPIC}"),
        format!("readings={READINGS}"),
    ];
    let run = Run { link: broker.link().unwrap(), arguments: &arguments, print: true };
    broker.links().cut_at_random(SEED, CUTS, 5_000..=22_000);
    let mut guest = Guest::start(&firmware, &run).unwrap();
    let mut at = 0;
    for thousand in [3, 6] {
        let words = format!("{thousand}000 readings delivered");
        at = guest.lines().wait(at, LIMIT, |text| text == words).expect(&words);
        broker.freeze().unwrap();
        println!("  (the broker is frozen)");
        thread::sleep(FROZEN);
        broker.thaw().unwrap();
        println!("  (the broker goes on)");
    }
    assert!(guest.wait(LIMIT).unwrap(), "the firmware failed");
    let counters = broker.links().counters();
    let log = broker.read().unwrap();
    let arrived = judge(&log, PARTITIONS as u32, READINGS, |_| false).unwrap();
    println!("{board}: {arrived}; {counters:?}");
    assert_eq!(broker.links().cuts_left(), 0, "all cuts were made");
    assert_eq!(counters.cuts_in_data, u64::from(CUTS));
}
