//! The core in little memory, and what its memory has to do with the wire.

use core::time::Duration;

use ottla_core::{
    Config, Instant, Limits, Memory, Output, ProduceError, Producer, Record, StaticMemory, presets,
};
use ottla_model::{ClusterConfig, NodeConfig};
use ottla_scenario::{BOOTSTRAP, Said, World};

/// 2 connections, 6 brokers, 1 topic, 4 partitions, 14 batches, 16 pages of 512 bytes, windows of
/// 512 and 384 bytes, names of up to 48 bytes.
type Small = StaticMemory<2, 6, 1, 4, 14, 16, 512, 512, 384, 48>;

fn small_config() -> Config<'static> {
    Config { batch_size: 512, max_request_size: 2_048, ..Config::default() }
}

#[test]
fn sixteen_kibibytes_produce_to_a_cluster_whose_metadata_is_a_hundred_windows() {
    assert!(size_of::<Small>() <= 16 * 1024, "{} bytes", size_of::<Small>());
    // 3,000 brokers of some 20 bytes each: far more than there are slots for, too.
    let mut memory = Small::new();
    let cluster = ClusterConfig::with_nodes(3_000);
    let mut world = World::with_memory(&small_config(), cluster, memory.lend(), 5);
    world.cluster.create_topic("readings", 4).expect("a topic");
    for (partition, node) in [(0, 900), (1, 2_999), (2, 7), (3, 1_201)] {
        world.cluster.move_leader("readings", partition, node).expect("a leader");
    }
    let topic = world.topic("readings");
    for round in 0..200 {
        for partition in 0..4 {
            let produced = world.produce(topic, Some(partition), 60);
            assert!(
                matches!(produced, Ok(_) | Err(ProduceError::Full)),
                "round {round}: {produced:?}"
            );
        }
        world.run_for(Duration::from_millis(3));
    }
    let largest = world.largest_response;
    assert!(largest >= 100 * 512, "the largest answer had {largest} bytes");
    world.close(Duration::from_secs(60));
    world.ledger.check(&world.cluster, true);
    let delivered =
        world.ledger.entries().filter(|entry| matches!(entry.last, Some(Said::Delivered(Some(_)))));
    let (delivered, produced) = (delivered.count(), world.ledger.entries().count());
    assert_eq!(delivered, produced);
    assert!(delivered > 100, "{delivered} records");
}

#[test]
fn pending_write_lends_the_pages_that_the_record_was_copied_into() {
    let mut memory = Small::new();
    let start = (&raw const memory).addr();
    let lent = start..start + size_of::<Small>();
    let config = Config { linger: Duration::ZERO, ..small_config() };
    let cluster = ClusterConfig { nodes: vec![NodeConfig::new(1)], ..ClusterConfig::default() };
    let mut world = World::with_memory(&config, cluster, memory.lend(), 5);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    let value: Vec<u8> = (0..1_200_u32).map(|number| number as u8).collect();
    let record = Record { value: Some(&value), ..Record::default() };
    world.producer.produce(world.now, topic, &record).expect("room");
    let conn = world.producer.poll_writable(world.now).expect("something to write");
    let pieces: Vec<(usize, Vec<u8>)> = world
        .producer
        .pending_write(conn)
        .map(|piece| (piece.as_ptr().addr(), piece.to_vec()))
        .collect();
    // Head with batch header, three pages of records, the request's tail.
    assert_eq!(pieces.len(), 5, "{:?}", pieces.iter().map(|(_, p)| p.len()).collect::<Vec<_>>());
    assert_eq!(pieces[1].1.len(), 512);
    for (address, piece) in &pieces {
        assert!(lent.contains(address), "a piece of {} bytes was copied", piece.len());
    }
    // The same bytes at the same place again, as long as nothing was accepted.
    let again: Vec<usize> =
        world.producer.pending_write(conn).map(|piece| piece.as_ptr().addr()).collect();
    assert_eq!(again, pieces.iter().map(|(address, _)| *address).collect::<Vec<_>>());
    let all: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.clone()).collect();
    assert!(all.windows(value.len()).any(|window| window == value), "the value, in one piece");
    // After a partial write, exactly the rest.
    world.producer.handle_written(world.now, conn, 700);
    let rest: Vec<u8> = world.producer.pending_write(conn).flatten().copied().collect();
    assert_eq!(rest, all[700..]);
}

#[test]
fn each_profile_serves_a_cluster_whose_connections_break() {
    fn serves(memory: Memory<'_>, config: &Config<'_>) {
        let mut world = World::with_memory(config, ClusterConfig::with_nodes(3), memory, 5);
        world.cluster.create_topic("readings", 4).expect("a topic");
        let topic = world.topic("readings");
        for round in 0..300 {
            for partition in 0..4 {
                let produced = world.produce(topic, Some(partition), 40);
                assert!(matches!(produced, Ok(_) | Err(ProduceError::Full)), "{produced:?}");
            }
            if round % 50 == 20 {
                world.cluster.restart(1 + round / 50 % 3).expect("a node");
            }
            world.run_for(Duration::from_millis(5));
        }
        world.close(Duration::from_secs(60));
        world.ledger.check(&world.cluster, true);
        let delivered = |said: Option<Said>| matches!(said, Some(Said::Delivered(_)));
        let count = world.ledger.entries().filter(|entry| delivered(entry.last)).count();
        assert_eq!(count, world.ledger.entries().count());
        assert!(count > 400, "{count} records");
    }
    serves(presets::Small::new().lend(), &presets::Small::config(BOOTSTRAP));
    serves(presets::Medium::new().lend(), &presets::Medium::config(BOOTSTRAP));
    serves(presets::Large::new().lend(), &presets::Large::config(BOOTSTRAP));
}

#[test]
fn a_profile_takes_the_records_that_it_says() {
    fn largest(memory: Memory<'_>, config: &Config<'_>) -> u32 {
        let mut world = World::with_memory(config, ClusterConfig::with_nodes(1), memory, 5);
        world.cluster.create_topic("t", 1).expect("a topic");
        let topic = world.topic("t");
        match world.produce(topic, Some(0), 100_000) {
            Err(ProduceError::RecordTooLarge { max, .. }) => max,
            other => panic!("{other:?}"),
        }
    }
    let config = presets::Small::config(BOOTSTRAP);
    assert_eq!((config.batch_size, config.max_request_size), (573, 4_536));
    assert_eq!(largest(presets::Small::new().lend(), &config), 3_963);
    let config = presets::Medium::config(BOOTSTRAP);
    assert_eq!((config.batch_size, config.max_request_size), (573, 8_704));
    assert_eq!(largest(presets::Medium::new().lend(), &config), 8_131);
    let config = presets::Large::config(BOOTSTRAP);
    assert_eq!((config.batch_size, config.max_request_size), (573, 33_792));
    assert_eq!(largest(presets::Large::new().lend(), &config), 32_768);
}

#[test]
fn memory_that_cannot_work_is_refused_by_name() {
    let config = Config { bootstrap_servers: BOOTSTRAP, ..small_config() };
    let limits = Limits {
        connections: 1,
        brokers: 2,
        topics: 1,
        partitions: 1,
        batches: 1,
        page_size: 512,
        pages: 2,
        rx_window: 512,
        tx_window: 384,
        name: 48,
    };
    let refused = |limits| {
        let made = Producer::new(&config, Memory::heap(limits), 0);
        made.expect_err("too small").to_string()
    };
    assert!(Producer::new(&config, Memory::heap(limits), 0).is_ok());
    let said = refused(Limits { page_size: 64, ..limits });
    assert_eq!(said, "the lent memory has 128 bytes of pages for batch.size, and needs 512");
    let said = refused(Limits { rx_window: 256, ..limits });
    assert_eq!(said, "the lent memory has 256 bytes of receive window, and needs 512");
    let said = refused(Limits { brokers: 1, ..limits });
    assert_eq!(said, "the lent memory has 1 brokers, and needs 2");
    let said = refused(Limits { tx_window: 100, ..limits });
    assert!(said.contains("bytes of request head"), "{said}");
}

#[test]
fn a_silent_cluster_makes_full_and_not_growth() {
    // 10,000 partitions and 8 MiB: every page is taken by the partition that came first.
    let config = Config {
        buffer_memory: 8 << 20,
        delivery_timeout: Duration::from_secs(600),
        request_timeout: Duration::from_secs(5),
        ..Config::default()
    };
    let mut world = World::new(&config, ClusterConfig::with_nodes(3), 11);
    world.cluster.create_topic("wide", 10_000).expect("a topic");
    let topic = world.topic("wide");
    for node in 1..=3 {
        world.cluster.freeze(node).expect("a node");
    }
    let mut full = 0;
    for number in 0..40_000_u32 {
        match world.produce(topic, Some((number % 10_000) as i32), 100) {
            Ok(_) => {}
            Err(ProduceError::Full) => full += 1,
            Err(error) => panic!("{error}"),
        }
        if number % 1_000 == 0 {
            world.run_for(Duration::from_millis(20));
        }
    }
    let stats = world.producer.stats();
    assert_eq!(stats.pages_used, stats.pages, "{stats:?}");
    assert!(full > 30_000, "{full} records were refused");
    for node in 1..=3 {
        world.cluster.thaw(node).expect("a node");
    }
    assert!(
        world.run_until(Duration::from_secs(30), |world| world.producer.stats().batches == 0),
        "{:?}",
        world.producer
    );
    // Full speed again: everything that fits is taken and delivered within its linger.
    let before = world.ledger.next_id();
    for number in 0..400 {
        world.produce(topic, Some(number), 100).expect("room");
    }
    world.run_for(Duration::from_millis(50));
    for id in before..world.ledger.next_id() {
        assert!(matches!(world.ledger.entry(id).last, Some(Said::Delivered(_))), "record {id}");
    }
    world.close(Duration::from_secs(10));
    world.ledger.check(&world.cluster, true);
}

#[test]
fn a_closed_core_says_so_last() {
    let config = Config { bootstrap_servers: BOOTSTRAP, ..small_config() };
    let mut memory = Small::new();
    let mut producer = Producer::new(&config, memory.lend(), 0).expect("memory");
    producer.close(Instant::ZERO, Instant::ZERO);
    assert_eq!(producer.poll_output(), Some(Output::Closed));
    assert_eq!(producer.poll_output(), None);
    assert_eq!(producer.poll_timeout(), None);
}
