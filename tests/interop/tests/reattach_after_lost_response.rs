//! The broker appends a record and its answer is lost: to wait for the same record again is the one
//! retry that writes nothing twice.

use core::time::Duration;
use std::thread;

use ottla_client::RecordOutcome;
use ottla_interop::{Adapter, Client, LogCount, Message, cluster, texts, version};
use ottla_kafka::{Cluster, Direction, Hangup};

const LIMIT: Duration = Duration::from_secs(30);
/// When A is given up.
const DEADLINE: Duration = Duration::from_millis(500);

/// How the connection that lost answers comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// By `request.timeout.ms`.
    Timeout,
    /// By a reset.
    Cut,
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_reattached_record_is_in_the_log_once() {
    let cluster = cluster(1).unwrap();
    for adapter in Adapter::ALL {
        for end in [End::Timeout, End::Cut] {
            lose_the_answer(&cluster, adapter, end);
        }
    }
}

fn lose_the_answer(cluster: &Cluster, adapter: Adapter, end: End) {
    let name = format!("swallowed-{adapter}-{end:?}");
    cluster.create_topic(&name, 1, 1, &[]).unwrap();
    let bootstrap = cluster.proxied_bootstrap();
    let request_timeout = match end {
        End::Timeout => "2000",
        End::Cut => "30000",
    };
    let properties =
        [("bootstrap.servers", bootstrap.as_str()), ("request.timeout.ms", request_timeout)];
    let client = Client::new(adapter, &properties).unwrap();
    let topic = client.topic(&name).unwrap();
    let send = |text, deadline| client.send(&topic, &Message::text(text), deadline).unwrap();
    let links = cluster.proxy().all();

    let warm = send("warm", None).first(LIMIT);
    assert!(is_at(&warm, 0), "{warm:?}");
    links.blackhole(Direction::ToClient, true);
    let a = send("A", Some(DEADLINE));
    let first = a.first(LIMIT);
    assert!(matches!(first, Some(RecordOutcome::Unknown(_))), "{first:?}");
    // Its answer was swallowed, as it is in the log.
    assert_eq!(texts(cluster, &name).unwrap(), ["warm", "A"]);
    let b = send("B", None);
    thread::sleep(Duration::from_millis(200));
    assert!(matches!(a.now(), Some(RecordOutcome::Unknown(_))), "nobody knows yet");
    assert_eq!(b.now(), None);

    links.blackhole(Direction::ToClient, false);
    match end {
        End::Timeout => {}
        End::Cut => assert!(links.cut(Hangup::Reset) > 0, "there is one to cut"),
    }
    let late = a.last(LIMIT);
    assert!(is_at(&late, 1), "{late:?}");
    assert_eq!(a.first(LIMIT), late, "reattached, it is known");
    let c = send("C", None);
    let ends = [b.first(LIMIT), c.first(LIMIT)];
    assert!(is_at(&ends[0], 2) && is_at(&ends[1], 3), "{ends:?}");

    let stats = client.stats().core;
    assert!(client.close(LIMIT).complete);
    let log = texts(cluster, &name).unwrap();
    assert_eq!(log, ["warm", "A", "B", "C"]);
    assert!(stats.retries > 0, "A was sent again");
    assert_eq!((stats.epoch_bumps, stats.desyncs, stats.unknown), (0, 0, 0));
    let count = LogCount::of(cluster, &name).unwrap();
    assert_eq!((count.records, count.epochs), (4, 1));
    println!(
        "Kafka {}, {adapter}, ended by {end:?}: A was Unknown, and then at offset 1; {} batches sent \
         again, no epoch bumped; the log is {}",
        version(),
        stats.retries,
        log.join(" "),
    );
}

fn is_at(outcome: &Option<RecordOutcome>, at: i64) -> bool {
    matches!(outcome, Some(RecordOutcome::Delivered { offset, .. }) if *offset == Some(at))
}
