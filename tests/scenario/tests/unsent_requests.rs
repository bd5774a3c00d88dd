//! Requests that are made and of which no byte is out: they can be taken back, and are. Each of these
//! fails where the line that it is about is changed (`docs/mutants.md`).

use core::time::Duration;

use ottla_core::{
    Cause, Config, Disconnect, Instant, Limits, Memory, Output, Producer, TopicId, TopicStatus,
    Verdict,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault, TopicConfig};
use ottla_scenario::{BOOTSTRAP, Said, Weather, World, quick};

const MS: Duration = Duration::from_millis(1);

/// Sockets that take nothing.
const FULL: Weather = Weather { socket_buffer: 0, ..Weather::FAIR };

#[test]
fn a_record_in_a_request_that_no_socket_took_is_not_delivered() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.weather = FULL;
    let a = world.send(topic, 0);
    let requests = world.producer.stats().requests;
    assert_eq!(world.cancel(a), Verdict::NotDelivered);
    world.weather = Weather::FAIR;
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![b])]);
    assert!(world.producer.stats().requests > requests);
    assert_eq!((requests, world.tap.attempts(a).count()), (2, 0), "made, and not sent");
    world.finish();
}

/// What is taken back when its topic is gone must not go to the topic that was made in its place: it
/// may have been in the log of the old one.
#[test]
fn a_request_that_no_socket_took_does_not_go_to_a_topic_made_anew() {
    let config = Config { metadata_max_age: 50 * MS, delivery_timeout: 300 * MS, ..quick() };
    for cancels in [false, true] {
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
        let appended = Action::AppendThenError {
            error: ErrorCode::KAFKA_STORAGE_ERROR,
            base_offset: BaseOffset::Kept,
        };
        world.cluster.inject(Fault::produce(appended));
        let a = world.send(topic, 0);
        world.run_for(10 * MS);
        // The news is late; the second attempt is made meanwhile, and no socket takes it.
        world.cluster.recreate_topic("t").expect("a topic");
        world.cluster.inject(Fault::new(ApiKey::METADATA, Action::Hold(100 * MS)));
        world.run_for(80 * MS);
        world.weather = FULL;
        world.run_for(100 * MS);
        assert_eq!(world.tap.attempts(a).count(), 1, "the second was made, and not sent");
        let unknown = Said::Unknown(Cause::Recreated);
        if cancels {
            assert_eq!(world.cancel(a), Verdict::AlreadySettled);
        }
        world.run_for(120 * MS);
        world.weather = Weather::FAIR;
        assert_eq!(world.conclude(a), unknown);
        let b = world.send(topic, 0);
        assert_eq!(world.conclude(b), Said::Delivered(Some(0)));
        assert_eq!(world.rows(0), [(1, 0, vec![b])]);
        world.finish();
    }
}

#[test]
fn after_an_error_a_successor_that_no_socket_took_waits_for_its_turn() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS)));
    let a = world.send(topic, 0);
    world.weather = FULL;
    let b = world.send(topic, 0);
    assert_eq!(world.producer.stats().requests, 3);
    world.run_for(MS);
    assert!(world.tap.attempts(a).all(|sent| sent.answer.is_some()), "refused");
    world.weather = Weather::FAIR;
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.last(a), Some(Said::Delivered(Some(1))));
    let order: Vec<u64> = world.tap.to("t", 0).map(|sent| sent.ids[0]).collect();
    assert_eq!(order, [0, a, a, b]);
    world.finish();
}

#[test]
fn what_a_lost_connection_did_not_take_is_asked_on_the_next() {
    // The producer id and a new topic's metadata are asked for as soon as a connection is open.
    let mut world = World::new(&quick(), ClusterConfig::default(), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.producer.topic(world.now, "t").expect("room");
    for made in 1..=3 {
        // Lets one more request through than the last time, and takes nothing after that.
        let written = world.sent;
        for _ in 1..made {
            let before = world.sent;
            world.weather = Weather::FAIR;
            assert!(world.run_until(100 * MS, |world| world.sent > before));
        }
        world.weather = FULL;
        world.run_for(40 * MS);
        assert!(made == 1 || world.sent > written);
        world.cut_all();
        world.run_for(100 * MS);
    }
    world.weather = Weather::FAIR;
    let ready = |world: &World<'_>| {
        matches!(world.producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
    };
    assert!(world.run_until(Duration::from_secs(2), ready));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(0)));
    world.finish();
}

#[test]
fn a_producer_id_whose_answer_is_lost_is_asked_for_again() {
    for lost in [Action::CloseBefore, Action::CloseAfter] {
        let mut world = World::new(&quick(), ClusterConfig::default(), 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, lost));
        let topic = world.topic("t");
        let a = world.send(topic, 0);
        assert_eq!(world.conclude(a), Said::Delivered(Some(0)));
        assert_eq!(world.cluster.pending_faults(), 0);
        world.finish();
    }
}

#[test]
fn a_record_lingers() {
    let config = Config { linger: 50 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    let flushed = world.send(topic, 0);
    world.producer.flush(world.now);
    world.run_for(Duration::ZERO);
    // An answer about another batch is no reason to leave.
    let ids = [0; 3].map(|_| {
        let id = world.send(topic, 0);
        world.run_for(15 * MS);
        id
    });
    assert_eq!(world.last(flushed), Some(Said::Delivered(Some(1))));
    assert_eq!(world.tap.sent.len(), 2);
    assert_eq!(world.conclude(ids[2]), Said::Delivered(Some(4)));
    assert_eq!(world.rows(0)[2..], [(0, 2, ids.to_vec())]);
    assert_eq!(world.first(ids[0]).map(|(_, after)| after.as_millis()), Some(50));
    world.finish();
}

#[test]
fn without_idempotence_a_batch_has_no_sequence() {
    let config = Config { enable_idempotence: false, ..quick() };
    let (mut world, topic) = World::cold(&config, ClusterConfig::default(), 1);
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(0)));
    let header = world.tap.sent[0].header;
    let identity = (header.producer_id, header.producer_epoch, header.base_sequence);
    assert_eq!(identity, (-1, -1, -1));
    world.finish();
}

/// How many of 400 records that name no partition go to partition 0 of two, where that was at work
/// before.
fn share_of_partition_0(limit: usize, work: impl Fn(&mut World<'_>, TopicId)) -> usize {
    let config = Config { linger: 2 * MS, batch_size: 260, ..quick() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    let topic_config = TopicConfig { max_message_bytes: limit, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 2, topic_config).expect("a topic");
    let topic = world.topic("t");
    for _ in 0..4 {
        work(&mut world, topic);
        world.run_for(10 * MS);
    }
    let count = |world: &World<'_>, partition| {
        world.rows(partition).iter().map(|row| row.2.len()).sum::<usize>()
    };
    let before = count(&world, 0);
    for _ in 0..400 {
        world.produce(topic, None, 90).expect("room");
        world.run_for(5 * MS);
    }
    let share = count(&world, 0) - before;
    assert_eq!(share + count(&world, 1), 400);
    world.finish();
    share
}

#[test]
fn bytes_that_are_gone_weigh_nothing_when_a_partition_is_chosen() {
    let withdrawn = share_of_partition_0(10_000, |world, topic| {
        let [a, b] = [0; 2].map(|_| world.produce(topic, Some(0), 20).expect("room"));
        assert_eq!(world.cancel(a), Verdict::NotDelivered);
        assert!(matches!(world.conclude(b), Said::Delivered(_)));
    });
    let apart = share_of_partition_0(200, |world, topic| {
        let ids = [0; 2].map(|_| world.produce(topic, Some(0), 80).expect("room"));
        assert!(matches!(world.conclude(ids[1]), Said::Delivered(_)));
        assert_eq!(world.tap.attempts(ids[0]).count(), 2);
    });
    for share in [withdrawn, apart] {
        assert!((160..240).contains(&share), "{share} of 400");
    }
}

#[test]
fn metadata_that_a_lost_connection_did_not_take_is_asked_for_on_the_next() {
    let (mut world, _) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.create_topic("u", 1).expect("a topic");
    world.run_for(Duration::from_secs(1));
    world.weather = FULL;
    let topic = world.producer.topic(world.now, "u").expect("room");
    world.run_for(MS);
    world.cut_all();
    world.weather = Weather::FAIR;
    let ready = |world: &World<'_>| {
        matches!(world.producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
    };
    assert!(world.run_until(Duration::from_secs(2), ready));
    world.finish();
}

#[test]
fn a_half_that_no_socket_took_keeps_its_sequence() {
    // Two records that are too large together, and one behind them that has its sequence as well.
    let config = Config { linger: 5 * MS, ..quick() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    let narrow = TopicConfig { max_message_bytes: 500, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
    let topic = world.topic("t");
    let warm = world.produce(topic, Some(0), 20).expect("room");
    assert_eq!(world.conclude(warm), Said::Delivered(Some(0)));
    let [a, b] = [0; 2].map(|_| world.produce(topic, Some(0), 300).expect("room"));
    world.producer.flush(world.now);
    world.run_for(Duration::ZERO);
    let c = world.produce(topic, Some(0), 20).expect("room");
    world.producer.flush(world.now);
    assert!(world.run_until(MS, |world| world.tap.attempts(a).count() == 2));
    world.weather = FULL;
    assert!(world.run_until(MS, |world| world.last(a).is_some()));
    world.run_for(200 * MS);
    assert_eq!(world.tap.attempts(b).count(), 1, "made, and not sent");
    world.cut_all();
    world.weather = Weather::FAIR;
    for (id, offset) in [(a, 1), (b, 2), (c, 3)] {
        assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
    }
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn a_half_has_as_much_time_as_the_whole() {
    let config = Config { linger: 5 * MS, delivery_timeout: 300 * MS, ..quick() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    let narrow = TopicConfig { max_message_bytes: 500, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
    let topic = world.topic("t");
    world.run_for(Duration::from_secs(1));
    let ids = [0; 2].map(|_| world.produce(topic, Some(0), 300).expect("room"));
    assert!(world.run_until(20 * MS, |world| world.tap.attempts(ids[0]).count() == 2));
    // The first half is on its way, the second waits until its time is over.
    world.weather = FULL;
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.last(ids[0]), Some(Said::Delivered(Some(0))));
    let late = Said::NotDelivered(Cause::DeliveryTimeout);
    assert_eq!(world.first(ids[1]), Some((late, 300 * MS)));
    world.weather = Weather::FAIR;
    world.finish();
}

#[test]
fn a_connection_is_not_taken_for_the_one_before_it() {
    let config = Config { bootstrap_servers: BOOTSTRAP, ..quick() };
    let limits = Limits { connections: 1, ..Limits::for_config(&config) };
    let mut producer = Producer::new(&config, Memory::heap(limits), 1).expect("a producer");
    let now = Instant::from_micros(1_000);
    producer.topic(now, "t").expect("room");
    let Some(Output::Connect(first)) = producer.poll_output() else { panic!("a core dials") };
    producer.handle_disconnected(now, first, Disconnect::Refused);
    while producer.poll_output().is_some() {}
    let now = now.after(Duration::from_secs(5));
    producer.handle_timeout(now);
    let Some(Output::Connect(second)) = producer.poll_output() else { panic!("it dials again") };
    assert_ne!(first, second);
}
