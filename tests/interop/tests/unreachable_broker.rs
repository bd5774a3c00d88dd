//! A broker that is not there costs no more than the deadline: nothing of the record leaves, so
//! nothing is left to find out, and the chain of sequences does not notice.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::time::Instant;

use ottla_client::RecordOutcome;
use ottla_core::wire::ApiKey;
use ottla_interop::{Adapter, Client, Message, cluster, requests, texts, version};
use ottla_kafka::{Cluster, Direction, Hangup};

const LIMIT: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_millis(500);
const RECORDS: usize = 5;

/// In which way the broker is not there.
#[derive(Clone, Copy, Debug)]
enum Absence {
    /// Nothing listens.
    Refuses,
    /// It takes connections, and what is sent, and says nothing.
    Swallows,
    /// It was there when the producer asked for partitions, and then nothing listens.
    Leaves,
}

#[test]
#[ignore = "needs Java and Maven"]
fn nothing_leaves_for_a_broker_that_is_not_there() {
    let cluster = cluster(1).unwrap();
    for adapter in Adapter::ALL {
        for absence in [Absence::Refuses, Absence::Swallows, Absence::Leaves] {
            miss(&cluster, adapter, absence);
        }
    }
}

fn miss(cluster: &Cluster, adapter: Adapter, absence: Absence) {
    let name = format!("absent-{adapter}-{absence:?}");
    cluster.create_topic(&name, 1, 1, &[]).unwrap();
    let links = cluster.proxy().all();
    links.tap();
    let bootstrap = cluster.proxied_bootstrap();
    let go_away = || match absence {
        Absence::Refuses => links.refuse(true),
        Absence::Swallows => links.blackhole(Direction::ToBroker, true),
        Absence::Leaves => {
            links.refuse(true);
            links.cut(Hangup::Reset);
        }
    };
    let was_there = matches!(absence, Absence::Leaves);
    if !was_there {
        go_away();
        await_refusal(cluster, absence);
    }
    let before = links.counters();
    let properties = [("bootstrap.servers", bootstrap.as_str()), ("request.timeout.ms", "2000")];
    let client = Client::new(adapter, &properties).unwrap();
    let topic = client.topic(&name).unwrap();
    let send = |text: &str, deadline| client.send(&topic, &Message::text(text), deadline);
    if was_there {
        // A record that is too large for a request asks for partitions all the same, and is refused.
        let vast = Message { value: Some(vec![0; 2 << 20]), ..Message::default() };
        assert!(client.send(&topic, &vast, Some(LIMIT)).is_err());
        go_away();
        await_refusal(cluster, absence);
    }
    let (mut late, mut refused) = (Duration::ZERO, 0);
    for number in 0..RECORDS {
        let begin = Instant::now();
        let said = match send(&format!("missed {number}"), Some(DEADLINE)) {
            Ok(receipt) => match receipt.last(LIMIT) {
                Some(RecordOutcome::NotDelivered(cause)) => cause.to_string(),
                other => panic!("{name}: {other:?}"),
            },
            // The partitions are not known: the record was not taken, and is the caller's still.
            Err(error) => {
                refused += 1;
                error.to_string()
            }
        };
        late = late.max(begin.elapsed().saturating_sub(DEADLINE));
        assert!(begin.elapsed() >= DEADLINE, "{name}: too soon: {said}");
        if number == 0 {
            println!("{name}: {said}");
        }
    }
    // Without partitions nothing can be taken.
    assert_eq!(refused, if was_there { 0 } else { RECORDS });
    let heard = links.heard(Direction::ToBroker);
    let sent = requests(&heard).unwrap();
    assert!(sent.iter().all(|request| request.api != ApiKey::PRODUCE), "{sent:?}");
    assert!(heard.iter().all(|heard| heard.first(b"missed").is_none()));
    let counters = links.counters();
    let connections = counters.connections - before.connections;
    match absence {
        Absence::Refuses => assert_eq!((connections, heard.len()), (0, 0)),
        Absence::Swallows => assert!(connections > 0 && !heard.is_empty()),
        Absence::Leaves => assert!(connections > 0),
    }
    let stats = client.stats().core;
    assert_eq!((stats.requests, stats.epoch_bumps, stats.unknown), (0, 0, 0));

    links.heal();
    if let Absence::Swallows = absence {
        links.cut(Hangup::Reset);
    }
    let present = send("present", None).unwrap().last(LIMIT);
    assert!(present.as_ref().is_some_and(RecordOutcome::is_delivered), "{present:?}");
    let stats = client.stats().core;
    assert!(client.close(LIMIT).complete);
    assert_eq!(stats.epoch_bumps, 0);
    assert_eq!(texts(cluster, &name).unwrap(), ["present"]);
    let batches = cluster.dump_log(1, &name, 0).unwrap();
    let first = &batches[0];
    assert_eq!((batches.len(), first.producer_epoch, first.base_sequence), (1, 0, 0));
    println!(
        "Kafka {}, {adapter}, {absence:?}: {refused} records not taken, {} NotDelivered, at most \
         {late:.1?} after their deadlines, {connections} connections, {} requests but none to produce; \
         then epoch 0, sequence 0",
        version(),
        RECORDS - refused,
        sent.len(),
    );
}

/// A proxy needs a moment to stop listening.
fn await_refusal(cluster: &Cluster, absence: Absence) {
    if matches!(absence, Absence::Swallows) {
        return;
    }
    let begin = Instant::now();
    while std::net::TcpStream::connect(cluster.proxied_bootstrap()).is_ok() {
        assert!(begin.elapsed() < LIMIT, "it listens still");
        std::thread::sleep(Duration::from_millis(5));
    }
}
