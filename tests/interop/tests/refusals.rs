//! What a real broker refuses, and that nothing else suffers from it.

use core::time::Duration;
use std::thread;

use ottla_interop::{
    Adapter, Command, Ended, LogCount, Message, SEPARATOR, Stream, Told, cluster, verify, version,
};
use ottla_kafka::{Cluster, Direction, Hangup};

/// Lines of these sizes, every third with a key, through the command.
fn produce(
    cluster: &Cluster,
    driver: Adapter,
    topic: &str,
    lines: &[Message],
    properties: &[(&str, &str)],
) -> Ended {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut text = Vec::new();
    for Message { key, value, .. } in lines {
        if let Some(key) = key {
            text.extend_from_slice(key);
            text.extend_from_slice(SEPARATOR.as_bytes());
        }
        text.extend_from_slice(value.as_deref().unwrap_or_default());
        text.push(b'\n');
    }
    std::fs::write(file.path(), text).unwrap();
    let bootstrap = cluster.bootstrap();
    let limit = Duration::from_secs(60);
    let file = file.path();
    Command { bootstrap: &bootstrap, topic, file, driver, properties, limit }.run().unwrap()
}

fn lines(sizes: impl IntoIterator<Item = usize>) -> Vec<Message> {
    let line = |(index, size): (u32, usize)| {
        let mut value = format!("{index:06}").into_bytes();
        value.resize(size, b'a' + (index % 26) as u8);
        let key = (index % 3 == 0).then(|| format!("key {}", index % 7).into_bytes());
        Message { key, value: Some(value), ..Message::default() }
    };
    (0..).zip(sizes).map(line).collect()
}

/// Checks that the lines that are `refused` were refused with a cause that has `word` in it, that
/// all others were delivered, and that all of that is true.
fn judge(
    cluster: &Cluster,
    topic: &str,
    lines: &[Message],
    ended: &Ended,
    refused: impl Fn(usize) -> bool,
    word: &str,
) {
    let count = u32::try_from(lines.len()).unwrap();
    let log = cluster.read(topic).unwrap();
    let message = |index: u32| lines[index as usize].clone();
    let count = verify(count, message, &ended.fates, &log).unwrap();
    println!("{topic}: {}; {count};{}", ended.line, ended.fates.causes());
    println!("{topic}: {}", LogCount::of(cluster, topic).unwrap());
    for (index, fate) in ended.fates.all().iter().enumerate() {
        match fate.last() {
            Some(Told::Delivered { .. }) => assert!(!refused(index), "{index} is too large"),
            Some(Told::NotDelivered(cause)) => {
                assert!(refused(index), "{index} is a neighbour: {cause}");
                assert!(cause.contains(word), "{index}: {cause:?} does not name {word:?}");
            }
            other => panic!("{index}: {other:?}"),
        }
    }
    assert_eq!(ended.status, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(word), "{}", ended.stderr);
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_topic_that_is_not_there() {
    let cluster = cluster(1).unwrap();
    println!("Kafka {}: topics are not created on their own", version());
    let lines = lines([10; 200]);
    for driver in Adapter::ALL {
        let properties = [("max.block.ms", "3000")];
        let ended = produce(&cluster, driver, "absent", &lines, &properties);
        println!("{driver}: {};{}", ended.line, ended.fates.causes());
        assert_eq!((ended.status, ended.summary), (Some(2), [0, 200, 0]), "{}", ended.stderr);
        ended.fates.check(200).unwrap();
        for word in ["absent", "UNKNOWN_TOPIC_OR_PARTITION"] {
            assert!(ended.stderr.contains(word), "{word} is named: {}", ended.stderr);
        }
        assert!(cluster.partitions("absent").is_err(), "nor was it created");
    }
}

/// Never leaves: the broker need not be asked.
#[test]
#[ignore = "needs Java and Maven"]
fn a_record_over_max_request_size() {
    let cluster = cluster(1).unwrap();
    let refused = |index: usize| index % 100 == 41;
    let lines = lines((0..1000).map(|index| if refused(index) { 1_048_577 } else { 150 }));
    for driver in Adapter::ALL {
        let topic = format!("request-{driver}");
        cluster.create_topic(&topic, 3, 1, &[]).unwrap();
        let ended = produce(&cluster, driver, &topic, &lines, &[]);
        judge(&cluster, &topic, &lines, &ended, refused, "larger than the");
    }
}

/// The broker refuses it, in a batch of its own because it is larger than `batch.size`.
#[test]
#[ignore = "needs Java and Maven"]
fn a_record_over_max_message_bytes() {
    let cluster = cluster(1).unwrap();
    let refused = |index: usize| index % 100 == 41;
    let lines = lines((0..2000).map(|index| if refused(index) { 150_000 } else { 150 }));
    for driver in Adapter::ALL {
        let topic = format!("message-{driver}");
        cluster.create_topic(&topic, 3, 1, &[("max.message.bytes", "100000")]).unwrap();
        let ended = produce(&cluster, driver, &topic, &lines, &[]);
        judge(&cluster, &topic, &lines, &ended, refused, "MESSAGE_TOO_LARGE");
    }
}

/// As above, but smaller than `batch.size`, so that it shares its batch with records that are not
/// too large: those are delivered, as Java's producer does it.
#[test]
#[ignore = "needs Java and Maven"]
fn neighbours_in_a_batch_that_is_too_large() {
    let cluster = cluster(1).unwrap();
    let refused = |index: usize| index % 100 == 41;
    let lines = lines((0..2000).map(|index| if refused(index) { 6_000 } else { 150 }));
    for driver in Adapter::ALL {
        let topic = format!("batch-{driver}");
        cluster.create_topic(&topic, 3, 1, &[("max.message.bytes", "5000")]).unwrap();
        let ended = produce(&cluster, driver, &topic, &lines, &[]);
        judge(&cluster, &topic, &lines, &ended, refused, "MESSAGE_TOO_LARGE");
    }
}

/// The answer to a batch that is too large is lost, so that at first nobody knows whether it was
/// appended; when it is refused after that, those behind it must not suffer.
#[test]
#[ignore = "needs Java and Maven"]
fn a_batch_that_is_too_large_after_a_lost_answer() {
    const BATCH: u32 = 50;
    const ALL: u32 = 150;
    let cluster = cluster(1).unwrap();
    let bootstrap = cluster.proxied_bootstrap();
    let lines = lines([150; ALL as usize]);
    // One message that opens the connection, then a batch, then single ones.
    let feed = |index: u32| {
        let links = cluster.proxy().all();
        let cuts = links.counters().cuts;
        match index {
            1 => {
                thread::sleep(Duration::from_secs(2));
                links.cut_each_after(Direction::ToClient, Some((1, Hangup::Reset)));
            }
            BATCH => {
                while links.counters().cuts == cuts {
                    thread::sleep(Duration::from_millis(1));
                }
                links.cut_each_after(Direction::ToClient, None);
                thread::sleep(Duration::from_secs(1));
            }
            index if index > BATCH => thread::sleep(Duration::from_millis(20)),
            _ => {}
        }
        (index < ALL).then(|| lines[index as usize].clone())
    };
    for adapter in Adapter::ALL {
        let topic = format!("lost-{adapter}");
        cluster.create_topic(&topic, 1, 1, &[("max.message.bytes", "5000")]).unwrap();
        let close = Duration::from_secs(20);
        let properties = [("linger.ms", "100")];
        let stream = Stream { close, properties: &properties, ..Stream::new(&bootstrap, &topic) };
        let sent = stream.send(adapter, feed).unwrap();
        println!("{adapter}: {}", sent.story());
        let log = cluster.read(&topic).unwrap();
        let message = |index: u32| lines[index as usize].clone();
        let count = verify(ALL, message, &sent.fates, &log).unwrap();
        println!("{adapter}: {count}");
        for (index, fate) in sent.fates.all().iter().enumerate().skip(BATCH as usize) {
            assert!(matches!(fate.first, Some(Told::Delivered { .. })), "{index}: {fate:?}");
        }
    }
}
