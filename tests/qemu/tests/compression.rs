//! A device with 64 KiB of RAM compresses readings in JSON by LZ4: what goes over its wire is at least 2.5 times less than
//! without, requests and their heads included; and it is in the log as it was, whatever happens to the wire.

use core::time::Duration;

use ottla_qemu::{Board, Broker, Firmware, Guest, Kind, Run, TOPIC, judge};

const READINGS: u32 = 3_000;
const CUTS: u32 = 5;
const SEED: u64 = 16;
/// How many times fewer bytes are to go over the wire, in hundredths.
const LEAST_RATIO: u64 = 250;
const LIMIT: Duration = Duration::from_secs(120);

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_json_is_compressed() {
    compress(Board::Lm3s6965evb, Broker::model);
}

#[test]
#[ignore = "needs QEMU"]
fn mps2_an386_model_json_is_compressed() {
    compress(Board::Mps2An386, Broker::model);
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn lm3s6965evb_kafka_json_is_compressed() {
    compress(Board::Lm3s6965evb, Broker::kafka);
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn mps2_an386_kafka_json_is_compressed() {
    compress(Board::Mps2An386, Broker::kafka);
}

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_compressed_readings_arrive_though_the_wire_is_cut() {
    cut(Board::Lm3s6965evb, &Broker::model().unwrap());
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn mps2_an386_kafka_compressed_readings_arrive_though_the_wire_is_cut() {
    cut(Board::Mps2An386, &Broker::kafka().unwrap());
}

/// The same readings, plain and compressed.
fn compress(board: Board, broker: fn() -> anyhow::Result<Broker>) {
    let plain = bytes_on_the_wire(board, Kind::JsonWithLogs, &broker().unwrap());
    let broker = broker().unwrap();
    let wire = bytes_on_the_wire(board, Kind::Lz4WithLogs, &broker);
    println!("{board}: {plain} bytes over the wire, compressed {wire}");
    let stored = broker.stored().unwrap();
    println!("in the log, by codec: {stored:?}");
    assert!(plain * 100 >= wire * LEAST_RATIO, "{plain} bytes, and compressed {wire}");
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["lz4"], "all batches are compressed");
}

/// What a device sent until all readings were in the log, as they are to be.
fn bytes_on_the_wire(board: Board, kind: Kind, broker: &Broker) -> u64 {
    run(board, kind, broker);
    broker.links().counters().bytes_to_broker
}

fn cut(board: Board, broker: &Broker) {
    broker.links().cut_at_random(SEED, CUTS, 5_000..=20_000);
    run(board, Kind::Lz4Full, broker);
    let counters = broker.links().counters();
    println!("{board}: {counters:?}");
    assert_eq!(counters.cuts_in_data, u64::from(CUTS), "all cuts were made");
}

fn run(board: Board, kind: Kind, broker: &Broker) {
    let firmware = Firmware::build(board, kind).unwrap();
    let arguments = [
        format!("bootstrap={}", broker.advertised()),
        format!("topic={TOPIC}"),
        format!("readings={READINGS}"),
    ];
    let run = Run { link: broker.link().unwrap(), arguments: &arguments, print: true };
    let mut guest = Guest::start(&firmware, &run).unwrap();
    assert!(guest.wait(LIMIT).unwrap(), "the firmware failed");
    // A device with JSON has one channel.
    let log = broker.read().unwrap();
    println!("{board}: {}", judge(&log, 1, READINGS, |_| false).unwrap());
    for (number, (_, value)) in (0..).zip(&log) {
        assert_eq!(*value, sensor::json(number).as_bytes());
    }
}
