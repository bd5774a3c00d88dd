//! Records that are encoded apart from the producer are in it as if it had taken them itself, or not at all.

use core::{ops::Range, time::Duration};

use ottla_core::{
    BatchTail, Config, ConnId, Header, Limits, Memory, Record, StaleTail, Ticket, TopicId,
};
use ottla_model::ClusterConfig;
use ottla_scenario::{Dice as _, Random, quick};

type World = ottla_scenario::World<'static>;

const PAGE: u32 = 1_024;

/// Records linger, in batches of up to so many bytes.
fn config(batch_size: u32) -> Config<'static> {
    Config { linger: Duration::from_secs(1), batch_size, buffer_memory: 64 << 10, ..quick() }
}

/// One that knows a topic of two partitions, with small pages.
fn world(config: &Config<'static>) -> (World, TopicId) {
    let limits = Limits { page_size: PAGE, pages: 64, ..Limits::for_config(config) };
    let cluster = ClusterConfig::with_nodes(1);
    let mut world = World::with_memory(config, cluster, Memory::heap(limits), 7);
    world.cluster.create_topic("t", 2).expect("a topic");
    let topic = world.topic("t");
    for partition in 0..2 {
        let id = world.produce(topic, Some(partition), 10).expect("taken");
        world.conclude(id);
    }
    (world, topic)
}

/// A record for partition 0, with a key or without, or a value or none.
fn record<'a>(dice: &mut Random, bytes: &'a [u8], now: i64) -> Record<'a> {
    let mut part = |most| {
        let len = dice.roll(0, most) as usize;
        if len == 0 { None } else { bytes.get(..len) }
    };
    let (key, value) = (part(20), part(200));
    let timestamp = now + dice.roll(0, 100) as i64 - 50;
    Record { partition: Some(0), key, value, timestamp, ..Record::default() }
}

fn plain(value: &[u8]) -> Record<'_> {
    Record { partition: Some(0), value: Some(value), timestamp: 1_000, ..Record::default() }
}

fn produce(world: &mut World, topic: TopicId, value: &[u8]) -> Ticket {
    world.producer.produce(world.now, topic, &plain(value)).expect("taken")
}

fn buffer(tail: &BatchTail) -> Vec<u8> {
    vec![0xEE; tail.room() + BatchTail::SLACK]
}

/// All that is to leave, which is accepted.
fn leaves(world: &mut World) -> Vec<u8> {
    world.producer.flush(world.now);
    let mut bytes = Vec::new();
    while let Some(conn) = world.producer.poll_writable(world.now) {
        bytes.extend(written(world, conn));
    }
    bytes
}

fn written(world: &mut World, conn: ConnId) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let piece: Vec<u8> = world.producer.pending_write(conn).flatten().copied().collect();
        if piece.is_empty() {
            return bytes;
        }
        world.producer.handle_written(world.now, conn, piece.len());
        bytes.extend(piece);
    }
}

fn pages_and_records(world: &World) -> (u32, u64, u64, usize) {
    let stats = world.producer.stats();
    (stats.pages_used, stats.records, stats.bytes, stats.batches as usize)
}

/// The tickets of those records and what leaves, where the producer takes them itself.
fn taken(config: &Config<'static>, seed: u64, count: Range<u64>) -> (Vec<Ticket>, Vec<u8>) {
    let (mut world, topic) = world(config);
    let (bytes, mut dice) = ([0xAB; 256], Random::new(seed));
    let tickets = count.map(|_| {
        let record = record(&mut dice, &bytes, 1_000_000);
        world.producer.produce(world.now, topic, &record).expect("taken")
    });
    let tickets = tickets.collect();
    (tickets, leaves(&mut world))
}

#[test]
fn what_is_encoded_for_the_end_of_a_batch_is_what_the_producer_would_have_written() {
    for seed in 0..20 {
        // Of several pages, each of which has an end.
        let config = config(5_000);
        let expected = taken(&config, seed, 0..150);
        let (mut world, topic) = world(&config);
        let (bytes, mut dice) = ([0xAB; 256], Random::new(seed));
        let (mut tickets, mut apart) = (Vec::new(), 0);
        let mut open: Option<(BatchTail, Vec<u8>)> = None;
        for _ in 0..150 {
            let record = record(&mut dice, &bytes, 1_000_000);
            if let Some((tail, buffer)) = &mut open
                && let Some(ticket) = tail.append(&record, buffer)
            {
                tickets.push(ticket);
                apart += 1;
                continue;
            }
            if let Some((tail, buffer)) = open.take() {
                world.producer.extend(tail, &buffer).expect("nothing was done meanwhile");
            }
            let ticket = world.producer.produce(world.now, topic, &record).expect("taken");
            let tail = world.producer.batch_tail(ticket.batch());
            open = tail.map(|tail| {
                let buffer = buffer(&tail);
                (tail, buffer)
            });
            tickets.push(ticket);
        }
        if let Some((tail, buffer)) = open {
            world.producer.extend(tail, &buffer).expect("nothing was done meanwhile");
        }
        assert!(apart > 100, "{apart}");
        assert!((tickets, leaves(&mut world)) == expected, "seed {seed}");
    }
}

#[test]
fn a_batch_that_was_set_aside_is_the_one_that_the_producer_would_have_begun() {
    for seed in 0..20 {
        let config = config(800);
        let expected = taken(&config, seed, 0..60);
        let (mut world, topic) = world(&config);
        let before = world.producer.stats().pages_used;
        let (bytes, mut dice) = ([0xAB; 256], Random::new(seed));
        let first = record(&mut dice, &bytes, 1_000_000);
        let mut tickets = vec![world.producer.produce(world.now, topic, &first).expect("taken")];
        let mut parts = vec![world.producer.batch_tail(tickets[0].batch()).expect("it lingers")];
        // More than are needed: those are given back.
        parts.extend((0..20).map(|_| world.producer.set_aside(topic, 0).expect("room")));
        assert_eq!(
            world.producer.stats().pages_used - before,
            21,
            "memory that is set aside counts"
        );
        let mut buffers: Vec<_> = parts.iter().map(buffer).collect();
        let mut at = 0;
        for _ in 1..60 {
            let record = record(&mut dice, &bytes, 1_000_000);
            let ticket = parts[at].append(&record, &mut buffers[at]).unwrap_or_else(|| {
                at += 1;
                parts[at].append(&record, &mut buffers[at]).expect("it fits into an empty batch")
            });
            tickets.push(ticket);
        }
        assert!((8..20).contains(&at), "{at}");
        for (number, (tail, buffer)) in parts.into_iter().zip(&buffers).enumerate() {
            match number {
                0 => world.producer.extend(tail, buffer).expect("nothing was done meanwhile"),
                _ if tail.is_empty() => world.producer.give_back(tail),
                _ => world.producer.adopt(topic, 0, tail, buffer).expect("a topic"),
            }
        }
        assert_eq!(world.producer.stats().pages_used - before, at as u32 + 1);
        assert!((tickets, leaves(&mut world)) == expected, "seed {seed}");
    }
}

#[test]
fn records_that_are_not_for_the_place_are_not_encoded() {
    let (mut world, topic) = world(&config(800));
    let ticket = produce(&mut world, topic, b"first");
    let mut tail = world.producer.batch_tail(ticket.batch()).expect("it lingers");
    let mut bytes = buffer(&tail);
    let headers = [Header { key: "h", value: None }];
    let large = vec![b'.'; tail.room()];
    for record in [
        Record { headers: &headers, ..plain(b"with a header") },
        Record { timestamp: -2, ..plain(b"at no time") },
        Record { timestamp: i64::MAX, ..plain(b"far from the others") },
        plain(&large),
    ] {
        assert!(tail.append(&record, &mut bytes).is_none());
    }
    assert!(tail.append(&plain(b"no room in the buffer"), &mut bytes[..20]).is_none());
    assert!(tail.is_empty() && tail.records() == 0 && bytes.iter().all(|byte| *byte == 0xEE));
    let next = tail.append(&plain(b"second"), &mut bytes).expect("room");
    assert_eq!((next.batch(), next.index()), (ticket.batch(), 1));
    world.producer.extend(tail, &bytes).expect("nothing was done meanwhile");
}

#[test]
fn what_does_not_linger_has_no_end_to_encode_for() {
    let (mut at_once, topic) = world(&Config { linger: Duration::ZERO, ..config(800) });
    let ticket = produce(&mut at_once, topic, b"first");
    assert!(at_once.producer.batch_tail(ticket.batch()).is_none());
    let (mut world, topic) = world(&config(800));
    let ticket = produce(&mut world, topic, b"first");
    assert!(world.producer.batch_tail(ticket.batch()).is_some());
    world.producer.flush(world.now);
    assert!(world.producer.batch_tail(ticket.batch()).is_none(), "it is about to leave");
}

/// Encodes a record for the end of a batch that was begun just now.
fn apart(world: &mut World, topic: TopicId) -> (BatchTail, Vec<u8>) {
    let ticket = produce(world, topic, b"first");
    let mut tail = world.producer.batch_tail(ticket.batch()).expect("it lingers");
    let mut bytes = buffer(&tail);
    tail.append(&plain(b"apart"), &mut bytes).expect("room");
    (tail, bytes)
}

#[test]
fn what_does_not_fit_where_the_batch_ends_by_then_is_refused() {
    let meanwhile: [fn(&mut World, TopicId); 3] = [
        |world, topic| {
            produce(world, topic, b"another");
        },
        |world, _| drop(leaves(world)),
        |world, topic| {
            leaves(world);
            produce(world, topic, b"of the next batch");
        },
    ];
    for act in meanwhile {
        let (mut world, topic) = world(&config(800));
        let (tail, bytes) = apart(&mut world, topic);
        act(&mut world, topic);
        let before = pages_and_records(&world);
        assert_eq!(world.producer.extend(tail, &bytes), Err(StaleTail));
        assert_eq!(pages_and_records(&world), before);
    }
    let (mut world, topic) = world(&config(800));
    let (tail, bytes) = apart(&mut world, topic);
    let before = pages_and_records(&world);
    assert_eq!(world.producer.extend(tail, &bytes[..5]), Err(StaleTail), "bytes are missing");
    assert_eq!(pages_and_records(&world), before);
}

#[test]
fn the_end_of_a_batch_is_not_taken_for_a_batch_that_was_set_aside_nor_the_other_way_round() {
    let (mut world, topic) = world(&config(800));
    let (tail, bytes) = apart(&mut world, topic);
    let before = pages_and_records(&world);
    assert_eq!(world.producer.adopt(topic, 0, tail, &bytes), Err(StaleTail));
    let ticket = produce(&mut world, topic, b"second");
    let tail = world.producer.batch_tail(ticket.batch()).expect("it is as it was");
    world.producer.give_back(tail);
    let again = world.producer.batch_tail(ticket.batch()).expect("it is as it was");
    assert_eq!(again.first(), 2);
    assert_eq!(pages_and_records(&world).0, before.0);
    let mut aside = world.producer.set_aside(topic, 0).expect("room");
    let mut bytes = buffer(&aside);
    aside.append(&plain(b"apart"), &mut bytes).expect("room");
    assert_eq!(world.producer.extend(aside, &bytes), Err(StaleTail));
    assert_eq!(pages_and_records(&world).0, before.0, "it was given back");
}

#[test]
fn what_was_set_aside_is_given_back_where_there_is_no_such_partition_any_more() {
    let (mut world, topic) = world(&config(800));
    let before = pages_and_records(&world);
    let aside = |world: &mut World| {
        let mut aside = world.producer.set_aside(topic, 0).expect("room");
        let mut bytes = buffer(&aside);
        aside.append(&plain(b"apart"), &mut bytes).expect("room");
        (aside, bytes)
    };
    let (tail, bytes) = aside(&mut world);
    assert_eq!(world.producer.adopt(topic, 2, tail, &bytes), Err(StaleTail), "of two");
    let (tail, bytes) = aside(&mut world);
    assert_eq!(world.producer.adopt(topic, 0, tail, &bytes[..5]), Err(StaleTail), "too few bytes");
    let tail = world.producer.set_aside(topic, 0).expect("room");
    assert_eq!(world.producer.adopt(topic, 0, tail, &[]), Ok(()), "no record, no batch");
    assert_eq!(pages_and_records(&world), before);
    assert!(world.producer.set_aside(topic, 2).is_none());
    let (tail, bytes) = aside(&mut world);
    world.producer.release_topic(world.now, topic).expect("all is settled");
    assert_eq!(world.producer.adopt(topic, 0, tail, &bytes), Err(StaleTail));
    assert_eq!(pages_and_records(&world), before);
    assert!(world.producer.set_aside(topic, 0).is_none());
}

#[test]
fn what_another_producer_set_aside_or_has_is_not_taken() {
    let (mut world, topic) = world(&config(800));
    let (mut other, other_topic) = {
        let config = config(800);
        let limits = Limits { page_size: PAGE, pages: 64, ..Limits::for_config(&config) };
        let cluster = ClusterConfig::with_nodes(1);
        let mut other = World::with_memory(&config, cluster, Memory::heap(limits), 8);
        other.cluster.create_topic("t", 2).expect("a topic");
        let topic = other.topic("t");
        (other, topic)
    };
    produce(&mut world, topic, b"first");
    let (tail, bytes) = apart(&mut other, other_topic);
    let aside = other.producer.set_aside(other_topic, 0).expect("room");
    let before = pages_and_records(&world);
    assert_eq!(world.producer.extend(tail, &bytes), Err(StaleTail));
    world.producer.give_back(aside);
    let aside = other.producer.set_aside(other_topic, 0).expect("room");
    assert_eq!(world.producer.adopt(topic, 0, aside, &bytes), Err(StaleTail));
    assert_eq!(pages_and_records(&world), before);
}

#[test]
fn no_more_is_set_aside_than_there_is_memory_for() {
    let (mut world, topic) = world(&config(800));
    let mut aside = Vec::new();
    while let Some(tail) = world.producer.set_aside(topic, 0) {
        aside.push(tail);
        assert!(aside.len() <= 64);
    }
    assert!(aside.len() > 32, "{}", aside.len());
    let full = world.producer.produce(world.now, topic, &plain(b"one more"));
    assert_eq!(full, Err(ottla_core::ProduceError::Full));
    let count = aside.len();
    aside.into_iter().for_each(|tail| world.producer.give_back(tail));
    let again: Vec<_> = core::iter::from_fn(|| world.producer.set_aside(topic, 0)).collect();
    assert_eq!(again.len(), count);
    again.into_iter().for_each(|tail| world.producer.give_back(tail));
    produce(&mut world, topic, b"one more");
}
