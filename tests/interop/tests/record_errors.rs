//! Which records of a refused batch were at fault, in the words of real brokers, by both adapters.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_client::RecordOutcome;
use ottla_interop::{Adapter, Client, Message, oldest_timestamp, version};
use ottla_kafka::{Cluster, Config};

const LIMIT: Duration = Duration::from_secs(30);

/// Sends messages of which these are bad, as one batch, and then the others alone. Returns what was said of
/// the first bad one and of the first good one.
fn refused(
    bootstrap: &str,
    adapter: Adapter,
    topic: &str,
    messages: &[Message],
    bad: &[usize],
) -> [String; 2] {
    let properties = [("bootstrap.servers", bootstrap), ("linger.ms", "300")];
    let client = Client::new(adapter, &properties).unwrap();
    let topic = client.topic(topic).unwrap();
    let last = |messages: Vec<&Message>| -> Vec<RecordOutcome> {
        let sent: Vec<_> = messages
            .into_iter()
            .map(|message| client.send(&topic, message, None).unwrap())
            .collect();
        sent.into_iter().map(|receipt| receipt.last(LIMIT).expect("a final outcome")).collect()
    };
    let outcomes = last(messages.iter().collect());
    for (number, outcome) in outcomes.iter().enumerate() {
        let RecordOutcome::NotDelivered(why) = outcome else { panic!("{number}: {outcome}") };
        println!("Kafka {}, {adapter}, record {number}: {outcome}", version());
        assert_eq!(why.cause.at_fault(), Some(bad.contains(&number)), "record {number}: {outcome}");
        assert!(why.message.is_some(), "record {number}: {outcome}");
    }
    let innocent = messages.iter().enumerate().filter(|(number, _)| !bad.contains(number));
    let again = last(innocent.map(|(_, message)| message).collect());
    assert!(again.iter().all(RecordOutcome::is_delivered), "{again:?}");
    drop(client.close(Duration::ZERO));
    let good = (0..messages.len()).find(|number| !bad.contains(number)).unwrap();
    [bad[0], good].map(|number| outcomes[number].to_string())
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_record_that_a_broker_refuses_is_told_from_its_neighbours() {
    let cluster = Cluster::start(&Config::new(&version(), 1).unwrap()).unwrap();
    let bootstrap = cluster.bootstrap();
    cluster.create_topic("compacted", 1, 1, &[("cleanup.policy", "compact")]).unwrap();
    let before = oldest_timestamp();
    cluster.create_topic("recent", 1, 1, &[(before, "3600000")]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(now).unwrap();
    let keyed = || Message { key: Some(b"key".to_vec()), ..Message::text("value") };
    let dated = |ago: i64| Message { timestamp: Some(now - ago), ..Message::text("value") };
    for adapter in Adapter::ALL {
        let no_key = Message::text("no key");
        let messages = [keyed(), no_key.clone(), keyed(), keyed(), no_key, keyed()];
        let [bad, good] = refused(&bootstrap, adapter, "compacted", &messages, &[1, 4]);
        assert!(bad.contains("INVALID_RECORD (87), and this record is at fault: "), "{bad}");
        assert!(bad.contains("Compacted topic cannot accept message without key"), "{bad}");
        assert!(good.contains("INVALID_RECORD (87), for the fault of other records"), "{good}");

        let hours = |hours: i64| dated(hours * 3_600_000);
        let messages = [hours(0), hours(2), hours(0), hours(3), hours(0)];
        let [bad, good] = refused(&bootstrap, adapter, "recent", &messages, &[1, 3]);
        assert!(bad.contains("INVALID_TIMESTAMP (32), and this record is at fault: "), "{bad}");
        assert!(bad.contains(&format!("Timestamp {}", now - 2 * 3_600_000)), "{bad}");
        assert!(good.contains("INVALID_TIMESTAMP (32), for the fault of other records"), "{good}");
    }
}
