//! With `on.unknown=abandon` a record that may be in the log is not sent again, and what is sent
//! after it never comes before it.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::{thread, time::Instant};

use ottla_client::RecordOutcome;
use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_interop::{
    Adapter, Client, LogCount, Message, Request, cluster, requests, texts, verdicts, version,
};
use ottla_kafka::{Cluster, Direction, Hangup, Links};

const LIMIT: Duration = Duration::from_secs(30);

/// What becomes of the request that holds A.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The broker acts on it, and its answer is lost.
    Answered,
    /// The broker gets it when its connection is long given up, and B is not sent yet.
    Early,
    /// The broker gets it when B is in the log.
    Late,
    /// The broker never gets it.
    Lost,
}

#[test]
#[ignore = "needs Java and Maven"]
fn an_abandoned_record_is_never_behind_its_successors() {
    let cluster = cluster(1).unwrap();
    for adapter in Adapter::ALL {
        for fate in [Fate::Answered, Fate::Early, Fate::Late, Fate::Lost] {
            abandon(&cluster, adapter, fate);
        }
    }
}

fn abandon(cluster: &Cluster, adapter: Adapter, fate: Fate) {
    let name = format!("abandoned-{adapter}-{fate:?}");
    cluster.create_topic(&name, 1, 1, &[]).unwrap();
    let bootstrap = cluster.proxied_bootstrap();
    // The request is over before the record is, and it is not sent again in between: there is
    // nowhere to send it to.
    let properties = [
        ("bootstrap.servers", bootstrap.as_str()),
        ("on.unknown", "abandon"),
        ("request.timeout.ms", "800"),
        ("delivery.timeout.ms", "1000"),
    ];
    let client = Client::new(adapter, &properties).unwrap();
    let topic = client.topic(&name).unwrap();
    let send = |text, deadline| client.send(&topic, &Message::text(text), deadline).unwrap();
    let links = cluster.proxy().all();
    links.tap();

    assert!(send("warm", None).first(LIMIT).is_some_and(|outcome| outcome.is_delivered()));
    match fate {
        Fate::Answered => links.blackhole(Direction::ToClient, true),
        Fate::Early | Fate::Late => {
            links.freeze_open(Direction::ToBroker, true);
            links.refuse(true);
        }
        Fate::Lost => links.blackhole(Direction::ToBroker, true),
    }
    let before = links.counters();
    let a = send("A", Some(Duration::from_millis(300)));
    let first = a.first(LIMIT);
    assert!(matches!(first, Some(RecordOutcome::Unknown(_))), "{first:?}");
    let last = a.last(LIMIT);
    assert!(matches!(last, Some(RecordOutcome::Unknown(_))), "nobody looks for it: {last:?}");
    links.refuse(false);
    match fate {
        Fate::Answered => links.blackhole(Direction::ToClient, false),
        Fate::Lost => links.blackhole(Direction::ToBroker, false),
        Fate::Early => {
            assert_eq!(links.counters().bytes_to_broker, before.bytes_to_broker);
            links.freeze_open(Direction::ToBroker, false);
            assert_eq!(straggler(&links), [ErrorCode::NONE], "{name}: the broker took it");
        }
        Fate::Late => {}
    }
    let b = send("B", None).first(LIMIT);
    assert!(b.as_ref().is_some_and(|outcome| outcome.is_delivered()), "{b:?}");
    if let Fate::Late = fate {
        assert_eq!(texts(cluster, &name).unwrap(), ["warm", "B"]);
        links.freeze_open(Direction::ToBroker, false);
        let said = straggler(&links);
        assert_eq!(said, [ErrorCode::INVALID_PRODUCER_EPOCH], "{name}: B is the fence");
    }
    let c = send("C", None).first(LIMIT);
    assert!(c.as_ref().is_some_and(|outcome| outcome.is_delivered()), "{c:?}");

    let stats = client.stats().core;
    assert!(client.close(LIMIT).complete);
    let log = texts(cluster, &name).unwrap();
    match fate {
        Fate::Answered | Fate::Early => assert_eq!(log, ["warm", "A", "B", "C"]),
        Fate::Late | Fate::Lost => assert_eq!(log, ["warm", "B", "C"]),
    }
    assert_eq!((stats.epoch_bumps, stats.retries, stats.unknown), (1, 0, 1));
    assert_eq!(LogCount::of(cluster, &name).unwrap().epochs, 2);
    println!(
        "Kafka {}, {adapter}, {fate:?}: A was Unknown, B began a new epoch; the log is {}",
        version(),
        log.join(" ")
    );
    // Nothing is left of this round for the next.
    links.heal();
    links.cut(Hangup::Reset);
}

/// What the broker says to the second produce request that the proxy heard, however late: that of A.
fn straggler(links: &Links<'_>) -> Vec<ErrorCode> {
    let begin = Instant::now();
    loop {
        let sent = requests(&links.heard(Direction::ToBroker)).unwrap();
        let mut oldest = sent.iter().map(|request| request.connection).collect::<Vec<_>>();
        oldest.dedup();
        let to_produce = |request: &&Request| {
            request.api == ApiKey::PRODUCE && Some(&request.connection) == oldest.first()
        };
        if let Some(request) = sent.iter().filter(to_produce).nth(1)
            && let Some(said) = verdicts(request, &links.heard(Direction::ToClient)).unwrap()
        {
            return said;
        }
        assert!(begin.elapsed() < LIMIT, "the broker says nothing to the straggler: {sent:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
