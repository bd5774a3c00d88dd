//! Batches that are compressed by whoever drives the core: once, before they have a sequence, and as if nothing else
//! had changed.

use core::time::Duration;

use ottla_core::{
    Cause, Compressed, Compression, CompressionStats, Config, Limits, Memory, Outcome, TopicId,
    Verdict,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{
    Action, ClusterConfig, CompressionType, Fault, NodeConfig, TopicConfig, Versions,
    compression::Codec,
};
use ottla_scenario::{Said, World, codec_of, quick};

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Batches linger for a while, so that records have company.
fn packing(compression: Compression) -> Config<'static> {
    Config { compression, linger: ms(5), batch_size: 4_000, ..quick() }
}

fn fault(action: Action) -> Fault {
    Fault::produce(action).on("t", 0)
}

/// Produces records for a partition, and returns their numbers.
fn records(world: &mut World<'_>, topic: TopicId, partition: i32, count: usize) -> Vec<u64> {
    (0..count).map(|_| world.produce(topic, Some(partition), 60).expect("room")).collect()
}

fn stats(world: &World<'_>) -> CompressionStats {
    world.producer.stats().compression
}

/// The codecs of the batches in the log, behind the record that warmed the partition.
fn codecs(world: &World<'_>, partition: i32) -> Vec<u8> {
    let batches = world.cluster.batches("t", partition).skip(1);
    batches.map(|batch| batch.header.attributes.compression()).collect()
}

#[test]
fn a_batch_is_compressed_by_each_codec_and_arrives_as_it_was() {
    for compression in CODECS {
        let (mut world, topic) =
            World::warm(&packing(compression), ClusterConfig::with_nodes(1), 1);
        let before = (stats(&world), world.sent);
        let ids = records(&mut world, topic, 0, 40);
        world.run_for(ms(100));
        for (offset, id) in (1..).zip(&ids) {
            assert_eq!(world.last(*id), Some(Said::Delivered(Some(offset))));
        }
        assert_eq!(codecs(&world, 0), [compression.code()]);
        let (after, was) = (stats(&world), before.0);
        assert_eq!(after.compressed - was.compressed, 1);
        let plain = after.plain_bytes - was.plain_bytes;
        let wire = after.wire_bytes - was.wire_bytes;
        assert!(plain > 40 * 60 && wire < plain / 4, "{plain} became {wire}");
        assert!(world.sent - before.1 < plain / 2, "fewer bytes left, too");
        world.finish();
    }
}

#[test]
fn nothing_is_lent_where_nothing_is_to_be_compressed() {
    let (mut world, topic) =
        World::warm(&packing(Compression::None), ClusterConfig::with_nodes(1), 1);
    records(&mut world, topic, 0, 40);
    world.run_for(ms(100));
    assert_eq!((world.codec.lent.len(), stats(&world)), (0, CompressionStats::default()));
    assert_eq!(codecs(&world, 0), [0]);
    world.finish();
}

#[test]
fn every_attempt_sends_the_bytes_that_the_codec_made_once() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    let lent = world.codec.lent.len();
    for _ in 0..3 {
        world.cluster.inject(fault(Action::AppendThenError {
            error: ErrorCode::REQUEST_TIMED_OUT,
            base_offset: ottla_model::BaseOffset::Kept,
        }));
    }
    let ids = records(&mut world, topic, 0, 20);
    assert_eq!(world.conclude(ids[0]), Said::Delivered(Some(1)));
    let attempts: Vec<_> = world.tap.attempts(ids[0]).map(|sent| sent.header).collect();
    assert_eq!(attempts.len(), 4);
    assert!(attempts.iter().all(|header| *header == attempts[0]), "{attempts:?}");
    assert_eq!(world.codec.lent.len(), lent + 1, "the codec was asked once");
    world.finish();
}

#[test]
fn a_record_is_taken_out_before_while_and_after_its_batch_is_compressed() {
    // When a record is cancelled: before the batch is lent, while it is, or when it is back.
    for (when, rounds) in [(0, 1), (1, 2), (2, 2)] {
        let (mut world, topic) =
            World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
        world.codec.delay = (20_000, 20_000);
        let lent = world.codec.lent.len();
        // Nothing leaves meanwhile.
        world.cluster.stop(1).expect("a node");
        world.run_for(ms(1));
        let ids = records(&mut world, topic, 0, 20);
        world.run_for(ms([1, 10, 60][when]));
        assert_eq!(world.codec.busy(), usize::from(when == 1));
        for id in [ids[3], ids[19], ids[0]] {
            assert_eq!(world.cancel(id), Verdict::NotDelivered);
        }
        world.run_for(ms(100));
        // Where it was compressed already, one more is taken out of what was compressed anew.
        assert_eq!(world.codec.lent.len() - lent, rounds);
        assert_eq!(world.cancel(ids[7]), Verdict::NotDelivered);
        assert_eq!(world.cancel(ids[7]), Verdict::NotDelivered);
        world.cluster.start(1).expect("a node");
        world.run_for(ms(1_000));
        let gone = [0, 3, 7, 19];
        let kept = (0..20).filter(|place| !gone.contains(place));
        for (offset, place) in (1..).zip(kept) {
            assert_eq!(world.last(ids[place]), Some(Said::Delivered(Some(offset))), "{when}");
        }
        assert_eq!(codecs(&world, 0), [Compression::Lz4.code()]);
        assert_eq!(world.cluster.end_offset("t", 0), 17);
        assert_eq!(world.codec.lent.len() - lent, rounds + 1);
        world.finish();
    }
}

#[test]
fn an_answer_to_what_was_lent_before_is_ignored() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    world.codec.rests = true;
    let ids = records(&mut world, topic, 0, 20);
    world.run_for(ms(10));
    let now = world.now;
    let lend = |world: &mut World<'_>| {
        let batch = world.producer.poll_compress(now).expect("a batch");
        let (id, codec) = (batch.id(), codec_of(batch.compression()).expect("a codec"));
        let plain: Vec<u8> = batch.flatten().copied().collect();
        assert!(world.producer.poll_compress(now).is_none(), "it is lent once");
        (id, codec.pack(&plain))
    };
    let (old, stale) = lend(&mut world);
    assert_eq!(world.cancel(ids[4]), Verdict::NotDelivered);
    let (new, fresh) = lend(&mut world);
    assert!(old != new && old.batch() == new.batch());
    world.producer.handle_compressed(now, old, Compressed::Bytes(&stale));
    world.run_for(ms(50));
    assert_eq!(world.last(ids[0]), None, "the second answer is waited for");
    world.producer.handle_compressed(world.now, new, Compressed::Bytes(&fresh));
    // Whatever is said of it from now on is too late.
    for answer in [Compressed::Bytes(&stale), Compressed::Failed, Compressed::NotSmaller] {
        world.producer.handle_compressed(world.now, new, answer);
    }
    world.codec.rests = false;
    world.run_for(ms(50));
    world.producer.handle_compressed(world.now, new, Compressed::Bytes(&stale));
    assert_eq!(world.last(ids[19]), Some(Said::Delivered(Some(19))));
    assert_eq!(codecs(&world, 0), [Compression::Lz4.code()]);
    world.finish();
}

#[test]
fn a_codec_that_never_answers_holds_up_its_own_partition_until_the_deadline() {
    let config = Config { delivery_timeout: ms(500), ..packing(Compression::Lz4) };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(1), 2);
    world.codec.loses = 1;
    let lost = records(&mut world, topic, 0, 5);
    world.run_for(ms(10));
    let (id, _) = *world.codec.lent.last().expect("a batch");
    world.codec.loses = 0;
    let behind = records(&mut world, topic, 0, 5);
    let beside = records(&mut world, topic, 1, 5);
    world.run_for(ms(50));
    assert_eq!(world.last(beside[4]), Some(Said::Delivered(Some(5))), "another partition");
    assert_eq!((world.last(lost[0]), world.last(behind[0])), (None, None));
    let why = Said::NotDelivered(Cause::DeliveryTimeout);
    assert_eq!(world.conclude(lost[0]), why);
    assert_eq!(world.first(lost[4]), Some((why, ms(500))));
    world.producer.handle_compressed(world.now, id, Compressed::Bytes(b"too late"));
    assert_eq!(world.conclude(behind[4]), Said::Delivered(Some(5)));
    assert_eq!(world.producer.stats().epoch_bumps, 0, "it had no sequence");
    world.finish();
}

#[test]
fn a_batch_that_waits_for_its_codec_is_not_overtaken() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    let mut ids = Vec::new();
    for round in 0..12 {
        // Ever shorter, so that what is lent later would be back earlier.
        let wait = 50_000 / (round + 1);
        world.codec.delay = (wait, wait);
        ids.extend(records(&mut world, topic, 0, 5));
        world.run_for(ms(6));
    }
    world.run_for(ms(1_000));
    for (offset, id) in (1..).zip(&ids) {
        assert_eq!(world.last(*id), Some(Said::Delivered(Some(offset))));
    }
    world.finish();
}

#[test]
fn one_batch_is_compressed_while_another_is_on_its_way() {
    let config = Config { max_in_flight: 1, ..packing(Compression::Lz4) };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(1), 1);
    let lent = world.codec.lent.len();
    world.cluster.inject(fault(Action::Hold(ms(300))));
    records(&mut world, topic, 0, 10);
    world.run_for(ms(10));
    records(&mut world, topic, 0, 10);
    world.run_for(ms(10));
    let more = records(&mut world, topic, 0, 10);
    world.run_for(ms(10));
    assert_eq!(world.codec.lent.len() - lent, 2, "the next one, and not those behind it");
    world.run_for(ms(500));
    assert_eq!(world.last(more[9]), Some(Said::Delivered(Some(30))));
    world.finish();
}

#[test]
fn records_join_a_batch_until_its_codec_takes_it() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    let lent = world.codec.lent.len();
    world.codec.rests = true;
    records(&mut world, topic, 0, 5);
    world.run_for(ms(10));
    assert!(world.producer.wants_compression() && world.producer.needs_service());
    assert_eq!(world.producer.internal_overlooked(), Some("a batch to be compressed"));
    let last = records(&mut world, topic, 0, 5);
    world.codec.rests = false;
    world.run_for(ms(50));
    assert_eq!(world.codec.lent.len() - lent, 1);
    assert_eq!(world.last(last[4]), Some(Said::Delivered(Some(10))));
    assert!(!world.producer.wants_compression());
    world.finish();
}

#[test]
fn what_a_codec_makes_no_smaller_goes_out_plain() {
    let config = packing(Compression::Lz4);
    type Case = (fn(&mut World<'_>), fn(CompressionStats) -> u64);
    let cases: [Case; 3] = [
        (|world| world.noisy = |_| true, |stats| stats.not_smaller),
        (|world| world.codec.swells = 1, |stats| stats.not_smaller),
        (|world| world.codec.fails = 1, |stats| stats.failed),
    ];
    for (spoil, counted) in cases {
        let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(1), 1);
        let before = stats(&world);
        spoil(&mut world);
        // Long ones, since there is some order even in records of noise.
        let long = |_| world.produce(topic, Some(0), 700).expect("room");
        let ids: Vec<u64> = (0..5).map(long).collect();
        world.run_for(ms(50));
        assert_eq!(world.last(ids[4]), Some(Said::Delivered(Some(5))));
        assert_eq!(codecs(&world, 0), [0]);
        let after = stats(&world);
        assert_eq!(counted(after), counted(before) + 1);
        assert_eq!(
            after.wire_bytes - before.wire_bytes,
            after.plain_bytes - before.plain_bytes,
            "what goes out plain has as many bytes"
        );
        world.finish();
    }
}

#[test]
fn five_percent_are_worth_it_and_less_is_not() {
    for (saved, expected) in [(50, 1), (49, 0)] {
        let (mut world, topic) =
            World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
        world.codec.rests = true;
        let compressed = stats(&world).compressed;
        // A batch of 1,000 bytes: its first record takes some for its own numbers.
        world.produce(topic, Some(0), 991).expect("room");
        world.run_for(ms(10));
        let batch = world.producer.poll_compress(world.now).expect("a batch");
        let (id, size) = (batch.id(), batch.size());
        assert_eq!(size, 1_000);
        let bytes = vec![7; size - saved];
        world.producer.handle_compressed(world.now, id, Compressed::Bytes(&bytes));
        assert_eq!(stats(&world).compressed - compressed, expected, "{saved} saved");
        // What would leave is nothing that a codec has made.
        world.producer.close(world.now, world.now);
    }
}

#[test]
fn what_is_no_answer_is_a_failure() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    world.codec.rests = true;
    let ids = records(&mut world, topic, 0, 20);
    world.run_for(ms(10));
    let id = world.producer.poll_compress(world.now).expect("a batch").id();
    world.producer.handle_compressed(world.now, id, Compressed::Bytes(&[]));
    world.run_for(ms(10));
    assert_eq!((stats(&world).failed, codecs(&world, 0)), (1, vec![0]));
    assert_eq!(world.last(ids[19]), Some(Said::Delivered(Some(20))));
    world.codec.rests = false;
    world.finish();
}

#[test]
fn a_compressed_batch_that_is_too_large_is_split_and_compressed_anew() {
    for compression in CODECS {
        let mut world = World::new(
            &Config { batch_size: 20_000, ..packing(compression) },
            ClusterConfig::with_nodes(1),
            4,
        );
        let limit = 900;
        let narrow = TopicConfig { max_message_bytes: limit, ..TopicConfig::default() };
        world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
        let topic = world.topic("t");
        world.noisy = |id| id % 9 == 0;
        let ids = records(&mut world, topic, 0, 200);
        // Others wait behind it.
        world.run_for(ms(6));
        let more = records(&mut world, topic, 0, 100);
        world.run_for(Duration::from_secs(10));
        for (offset, id) in (0..).zip(ids.iter().chain(&more)) {
            assert_eq!(world.last(*id), Some(Said::Delivered(Some(offset))), "{compression:?}");
        }
        let mut next = 0;
        for batch in world.cluster.batches("t", 0) {
            assert!(batch.bytes.len() <= limit);
            assert_eq!(batch.header.attributes.compression(), compression.code());
            assert_eq!((batch.header.base_sequence, batch.header.producer_epoch), (next, 0));
            next += batch.header.records_count;
        }
        world.finish();
    }
}

#[test]
fn the_bound_of_a_request_is_on_what_is_sent() {
    // Five partitions whose batches fit one request only compressed.
    let config = Config { max_request_size: 4_500, ..packing(Compression::Lz4) };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(1), 5);
    let requests = world.producer.stats().requests;
    for partition in 0..5 {
        records(&mut world, topic, partition, 50);
    }
    world.producer.flush(world.now);
    world.run_for(ms(50));
    assert_eq!(world.producer.stats().requests - requests, 1);
    world.finish();
}

#[test]
fn a_topic_may_keep_its_batches_in_another_way() {
    let all = Codec::ALL.map(CompressionType::By);
    for compression in [CompressionType::Uncompressed].into_iter().chain(all) {
        let mut world = World::new(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 4);
        let config = TopicConfig { compression, ..TopicConfig::default() };
        world.cluster.create_topic_with("t", 1, config).expect("a topic");
        let topic = world.topic("t");
        let ids = records(&mut world, topic, 0, 40);
        world.run_for(ms(500));
        assert_eq!(world.last(ids[39]), Some(Said::Delivered(Some(39))));
        world.finish();
    }
}

#[test]
fn the_records_of_a_compressed_batch_are_handed_back_plain() {
    let config = Config { delivery_timeout: ms(400), ..packing(Compression::Zstd) };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(1), 1);
    world.cluster.stop(1).expect("a node");
    world.run_for(ms(1));
    let ids = records(&mut world, topic, 0, 30);
    let out = world.cancel(ids[9]);
    assert_eq!(out, Verdict::NotDelivered);
    world.run_for(ms(600));
    assert_eq!(stats(&world).compressed, 1);
    // The world has held what came back against what went in.
    let back: Vec<u64> = world.returned.iter().map(|(id, _)| *id).collect();
    assert_eq!(back, [&ids[..9], &ids[10..]].concat());
    let why = Outcome::NotDelivered(Cause::DeliveryTimeout);
    assert!(world.returned.iter().all(|(_, outcome)| *outcome == why));
    world.finish();
}

#[test]
fn a_producer_closes_in_time_though_a_codec_is_busy() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 2);
    world.codec.delay = (100_000, 100_000);
    let ids = records(&mut world, topic, 0, 5);
    world.run_for(ms(10));
    let late = records(&mut world, topic, 1, 5);
    world.close(ms(120));
    assert_eq!(world.last(ids[4]), Some(Said::Delivered(Some(5))), "it was done in time");
    let other = world.last(late[4]).expect("a word");
    assert!(matches!(other, Said::Delivered(_)), "so was what `close` flushed: {other:?}");
    world.ledger.check(&world.cluster, true);

    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    world.codec.loses = 1;
    let ids = records(&mut world, topic, 0, 5);
    world.run_for(ms(10));
    world.close(ms(20));
    assert_eq!(world.last(ids[4]), Some(Said::NotDelivered(Cause::Closed)));
    assert_eq!(world.producer.stats().pages_used, 0);
    world.ledger.check(&world.cluster, true);
}

/// Memory of so many pages of 256 bytes.
fn small(config: &Config<'_>, pages: u32) -> Memory<'static> {
    Memory::heap(Limits { page_size: 256, pages, batches: 64, ..Limits::for_config(config) })
}

#[test]
fn where_there_is_no_memory_for_it_a_batch_goes_out_plain() {
    let config = Config { batch_size: 1_000, ..packing(Compression::Lz4) };
    let memory = small(&config, 7);
    let mut world = World::with_memory(&config, ClusterConfig::with_nodes(1), memory, 1);
    world.cluster.create_topic("t", 4).expect("a topic");
    let topic = world.topic("t");
    world.run_for(ms(500));
    let mut ids = Vec::new();
    for partition in (0..4).cycle() {
        match world.produce(topic, Some(partition), 60) {
            Ok(id) => ids.push(id),
            Err(error) => {
                assert_eq!(error, ottla_core::ProduceError::Full);
                break;
            }
        }
    }
    world.run_for(ms(500));
    for id in ids {
        assert!(matches!(world.last(id), Some(Said::Delivered(_))));
    }
    let stats = stats(&world);
    assert!(stats.no_memory > 0, "{stats:?}");
    world.finish();
}

#[test]
fn records_leave_room_for_what_comes_from_a_codec() {
    let config = Config { batch_size: 1_000, ..packing(Compression::Lz4) };
    let memory = small(&config, 64);
    let mut world = World::with_memory(&config, ClusterConfig::with_nodes(1), memory, 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    world.run_for(ms(500));
    // An outage: memory is full of records when it is over, and is filled again as it comes free.
    world.cluster.stop(1).expect("a node");
    world.run_for(ms(1));
    while world.produce(topic, Some(0), 60).is_ok() {}
    let full = world.producer.stats();
    assert_eq!(full.pages_reserved, 8, "an eighth is kept");
    assert!(full.pages - full.pages_used >= 8 && full.pages - full.pages_used < 10, "{full:?}");
    world.run_for(ms(100));
    world.cluster.start(1).expect("a node");
    for _ in 0..15 {
        world.run_for(ms(1));
        while world.produce(topic, Some(0), 60).is_ok() {}
    }
    let stats = stats(&world);
    assert!(stats.compressed > 30, "{stats:?}");
    assert_eq!(stats.no_memory, 0, "{stats:?}");
    world.finish();
}

#[test]
fn the_largest_record_fits_beside_what_is_kept_for_a_codec() {
    let config = Config { batch_size: 1_000, ..packing(Compression::Lz4) };
    let memory = small(&config, 16);
    let mut world = World::with_memory(&config, ClusterConfig::with_nodes(1), memory, 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    let refused = world.produce(topic, Some(0), 100_000).expect_err("too large");
    let ottla_core::ProduceError::RecordTooLarge { max, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(max, 14 * 256);
    let id = world.produce(topic, Some(0), max as usize - 16).expect("room");
    assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
    world.finish();
}

/// Nodes of which those named speak Produce up to 6, which has no zstd.
fn old(nodes: u16, olds: &[i32]) -> ClusterConfig {
    let mut config = ClusterConfig::with_nodes(nodes);
    for node in &mut config.nodes {
        if olds.contains(&node.id) {
            let versions = Versions::kafka_2_8().with(ApiKey::PRODUCE, 0, 6);
            *node = NodeConfig::new(node.id).speaking(versions);
        }
    }
    config
}

#[test]
fn zstd_is_not_sent_to_a_broker_that_is_older() {
    let (mut world, topic) = World::warm(&packing(Compression::Zstd), old(1, &[1]), 1);
    let ids = records(&mut world, topic, 0, 20);
    world.run_for(ms(100));
    assert_eq!(world.last(ids[19]), Some(Said::Delivered(Some(20))));
    assert_eq!((codecs(&world, 0), stats(&world).refused), (vec![0], 1));
    assert!(world.tap.sent.iter().all(|sent| sent.version == 6));
    world.finish();
    // Any other codec is.
    let (mut world, topic) = World::warm(&packing(Compression::Lz4), old(1, &[1]), 1);
    records(&mut world, topic, 0, 20);
    world.run_for(ms(100));
    assert_eq!((codecs(&world, 0), stats(&world).refused), (vec![3], 0));
    world.finish();
}

#[test]
fn zstd_that_may_be_in_the_log_waits_for_a_broker_that_takes_it() {
    let config = Config { delivery_timeout: ms(300), ..packing(Compression::Zstd) };
    let (mut world, topic) = World::warm(&config, old(2, &[2]), 1);
    // It is appended, and nobody hears of it; then an older broker leads.
    world.cluster.inject(fault(Action::Swallow));
    let ids = records(&mut world, topic, 0, 20);
    world.run_for(ms(20));
    world.cut_all();
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    world.run_for(ms(600));
    assert_eq!(world.first(ids[0]).expect("a word").0, Said::Unknown(Cause::DeliveryTimeout));
    let to = |world: &World<'_>, node| {
        world.tap.attempts(ids[0]).filter(|sent| sent.node == node).count()
    };
    assert_eq!((to(&world, 1), to(&world, 2)), (1, 0));
    world.cluster.move_leader("t", 0, 1).expect("a leader");
    assert!(matches!(world.conclude(ids[0]), Said::Delivered(Some(1))));
    assert_eq!(to(&world, 2), 0);
    assert_eq!(codecs(&world, 0), [Compression::Zstd.code()]);
}

#[test]
fn zstd_that_is_certainly_not_in_the_log_goes_plain_to_an_older_broker() {
    // Of the new leader it hears before it tries again: the old one's word would prove nothing.
    let config = Config {
        metadata_max_age: ms(150),
        retry_backoff: ms(400),
        retry_backoff_max: ms(400),
        ..packing(Compression::Zstd)
    };
    let (mut world, topic) = World::warm(&config, old(2, &[2]), 1);
    world.cluster.inject(fault(Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS)));
    let ids = records(&mut world, topic, 0, 20);
    world.run_for(ms(20));
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    world.run_for(ms(1_000));
    assert_eq!(world.last(ids[19]), Some(Said::Delivered(Some(20))));
    assert_eq!((codecs(&world, 0), stats(&world).refused), (vec![0], 1));
    assert_eq!(world.producer.stats().epoch_bumps, 0, "it keeps its sequences");
    world.finish();
}

#[test]
fn a_codec_that_a_broker_does_not_take_is_left_for_plain() {
    for compression in CODECS {
        let (mut world, topic) =
            World::warm(&packing(compression), ClusterConfig::with_nodes(1), 1);
        let refuses = Action::Reject(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
        world.cluster.inject(fault(refuses));
        let ids = records(&mut world, topic, 0, 20);
        world.run_for(ms(50));
        assert_eq!(world.last(ids[19]), Some(Said::Delivered(Some(20))), "{compression:?}");
        assert_eq!((codecs(&world, 0), stats(&world).refused), (vec![0], 1));
        assert_eq!(world.producer.stats().epoch_bumps, 0, "it keeps its sequences");
        world.finish();
    }
    // One that refuses what is plain as well has the last word.
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    let refuses = Action::Reject(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    world.cluster.inject(fault(refuses).times(2));
    let ids = records(&mut world, topic, 0, 20);
    let why = Cause::Broker(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    assert_eq!(world.conclude(ids[0]), Said::NotDelivered(why));
    world.finish();
}

#[test]
fn what_may_be_in_the_log_compressed_is_not_sent_plain() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Lz4), ClusterConfig::with_nodes(1), 1);
    world.cluster.inject(fault(Action::Swallow));
    let ids = records(&mut world, topic, 0, 20);
    world.run_for(ms(20));
    world.cut_all();
    let refuses = Action::Reject(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    world.cluster.inject(fault(refuses));
    world.run_for(ms(1_000));
    assert_eq!(world.last(ids[0]), Some(Said::Delivered(Some(1))));
    let codecs = world.tap.attempts(ids[0]).map(|sent| sent.header.attributes.compression());
    assert!(codecs.eq([3, 3, 3]), "the same each time");
    world.finish();
}

#[test]
fn a_service_that_answers_twice_and_late_and_not_at_all_changes_no_outcome() {
    let (mut world, topic) =
        World::warm(&packing(Compression::Gzip), ClusterConfig::with_nodes(1), 3);
    world.codec.delay = (0, 30_000);
    world.codec.repeats = 2;
    world.codec.fails = 3;
    world.codec.swells = 3;
    let mut ids = Vec::new();
    for _ in 0..30 {
        for partition in 0..3 {
            ids.extend(records(&mut world, topic, partition, 4));
        }
        world.run_for(ms(7));
    }
    world.run_for(ms(2_000));
    assert!(ids.iter().all(|id| matches!(world.last(*id), Some(Said::Delivered(_)))));
    let stats = stats(&world);
    assert!(stats.compressed > 10 && stats.failed > 3 && stats.not_smaller > 3, "{stats:?}");
    world.finish();
}
