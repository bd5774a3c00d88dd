//! The firmware says who it is, by SCRAM-SHA-256 and by PLAIN, and again before a session is over.

use core::time::Duration;

use ottla_qemu::{
    Board, Broker, Firmware, Guest, Kind, PARTITIONS, PASSWORD, Run, TOPIC, USER, judge,
};

const READINGS: u32 = 60;
const LIMIT: Duration = Duration::from_secs(120);

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_scram() {
    deliver(Board::Lm3s6965evb, &Broker::model_with_sasl().unwrap(), "scram");
}

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_plain() {
    deliver(Board::Lm3s6965evb, &Broker::model_with_sasl().unwrap(), "plain");
}

#[test]
#[ignore = "needs QEMU"]
fn mps2_an386_model_scram() {
    deliver(Board::Mps2An386, &Broker::model_with_sasl().unwrap(), "scram");
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn mps2_an386_kafka_scram() {
    deliver(Board::Mps2An386, &Broker::kafka_with_sasl().unwrap(), "scram");
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn lm3s6965evb_kafka_scram() {
    deliver(Board::Lm3s6965evb, &Broker::kafka_with_sasl().unwrap(), "scram");
}

#[test]
#[ignore = "needs QEMU, Java and Maven"]
fn lm3s6965evb_kafka_plain() {
    deliver(Board::Lm3s6965evb, &Broker::kafka_with_sasl().unwrap(), "plain");
}

#[test]
#[ignore = "needs QEMU"]
fn lm3s6965evb_model_a_wrong_password_is_told_and_nothing_is_delivered() {
    let broker = Broker::model_with_sasl().unwrap();
    let firmware = Firmware::build(Board::Lm3s6965evb, Kind::ScramWithLogs).unwrap();
    let mut words = words(&broker, "scram", "wrong");
    words.push("limit=8".to_owned());
    let run = Run { link: broker.link().unwrap(), arguments: &words, print: true };
    let mut guest = Guest::start(&firmware, &run).unwrap();
    assert!(!guest.wait(LIMIT).unwrap(), "it gives up");
    let lines = guest.lines().all();
    assert!(lines.iter().any(|line| line.text.ends_with("user, password or token are refused")));
    assert!(lines.iter().all(|line| !line.text.contains("wrong")), "no password is in the log");
    assert!(broker.read().unwrap().is_empty());
}

fn words(broker: &Broker, mechanism: &str, password: &str) -> Vec<String> {
    vec![
        format!("bootstrap={}", broker.advertised()),
        format!("topic={TOPIC}"),
        format!("readings={READINGS}"),
        // Longer than two sessions of eight seconds.
        "every=400".to_owned(),
        format!("user={USER}"),
        format!("password={password}"),
        format!("mechanism={mechanism}"),
    ]
}

fn deliver(board: Board, broker: &Broker, mechanism: &str) {
    let firmware = Firmware::build(board, Kind::ScramWithLogs).unwrap();
    let words = words(broker, mechanism, PASSWORD);
    let run = Run { link: broker.link().unwrap(), arguments: &words, print: true };
    let mut guest = Guest::start(&firmware, &run).unwrap();
    assert!(guest.wait(LIMIT).unwrap(), "the firmware failed");
    let arrived = judge(&broker.read().unwrap(), PARTITIONS as u32, READINGS, |_| false).unwrap();
    let lines = guest.lines().all();
    println!("{board}, {mechanism}: {arrived}");
    assert!(lines.iter().all(|line| !line.text.contains(PASSWORD)), "no password is in the log");
    assert!(!lines.iter().any(|line| line.text.contains("refused")), "let in at once");
    if let Some(tally) = broker.sasl_tally() {
        println!("{tally:?}");
        assert!(tally.before.is_empty() && tally.between.is_empty() && tally.refused.is_empty());
        // On a busy host the guest's clock loses time, so that a session may be over before the device renews it:
        // then the broker closes the connection, and the device comes again.
        assert!(tally.authenticated >= 1 && tally.authenticated + tally.reauthenticated >= 3);
    }
}
