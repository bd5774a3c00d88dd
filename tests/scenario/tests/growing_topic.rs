//! A topic that grows, byte by byte.

use core::time::Duration;

use ottla_core::{
    Config, ConnId, Disconnect, Event, Instant, Limits, Memory, Output, ProduceError, Producer,
    Record, TopicStatus,
};
use ottla_model::{Cluster, ClusterConfig, Connection};

/// What the core says now.
fn outputs(core: &mut Producer<'_>) -> Vec<Output> {
    core::iter::from_fn(|| core.poll_output()).collect()
}

/// What the broker answers to all that the core writes.
fn answers(
    core: &mut Producer<'_>,
    now: Instant,
    conn: ConnId,
    (cluster, broker): (&mut Cluster, &mut Connection),
) -> Vec<u8> {
    while core.prepare_write(now, conn) {
        let bytes: Vec<u8> = core.pending_write(conn).flatten().copied().collect();
        core.handle_written(now, conn, bytes.len());
        broker.receive(cluster, Duration::from_micros(now.as_micros()), &bytes);
    }
    broker.advance(cluster, Duration::from_micros(now.as_micros()));
    broker.take_transmit()
}

fn read(core: &mut Producer<'_>, now: Instant, conn: ConnId, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let window = core.rx_buffer(conn);
        let len = window.len().min(bytes.len());
        window[..len].copy_from_slice(&bytes[..len]);
        core.handle_received(now, conn, len);
        bytes = &bytes[len..];
    }
}

#[test]
fn whoever_was_told_that_a_growing_topic_is_pending_is_told_when_it_is_not() {
    let mut cluster = Cluster::new(ClusterConfig::default());
    cluster.create_topic("t", 1).expect("a topic");
    let config = Config {
        bootstrap_servers: "127.0.0.1:9092",
        metadata_max_age: Duration::from_secs(1),
        enable_idempotence: false,
        ..Config::default()
    };
    let memory = Memory::heap(Limits::for_config(&config));
    let mut core = Producer::new(&config, memory, 7).expect("a core");
    let mut now = Instant::from_micros(1_000);
    let topic = core.topic(now, "t").expect("a topic");
    let Some(Output::Connect(conn)) = core.poll_output() else { panic!("a core dials") };
    let mut broker = Connection::new(&cluster, 1);
    core.handle_connected(now, conn);
    for _ in 0..4 {
        let bytes = answers(&mut core, now, conn, (&mut cluster, &mut broker));
        read(&mut core, now, conn, &bytes);
    }
    let ready = TopicStatus::Ready { partitions: 1 };
    assert_eq!(core.topic_status(topic), Some(ready));
    drop(outputs(&mut core));
    // It grows, and half of the answer that says so has come.
    cluster.grow_topic("t", 60).expect("a topic");
    now = now.after(Duration::from_secs(2));
    core.handle_timeout(now);
    let bytes = answers(&mut core, now, conn, (&mut cluster, &mut broker));
    read(&mut core, now, conn, &bytes[..bytes.len() / 2]);
    assert_eq!(core.produce(now, topic, &Record::default()), Err(ProduceError::MetadataPending));
    // The rest never comes.
    drop(outputs(&mut core));
    core.handle_disconnected(now, conn, Disconnect::Eof);
    assert_eq!(core.topic_status(topic), Some(ready));
    let said = outputs(&mut core);
    let told = |output: &Output| matches!(output, Output::Event(Event::Topic(of)) if *of == topic);
    assert!(said.iter().any(told), "who waits for the topic waits for ever: {said:?}");
}
