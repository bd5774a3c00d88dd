//! Why a wait was in vain: what is told beside a cause that says no more than that time was over.

use core::time::Duration;

use ottla_core::{
    Cause, Config, Disconnect, Event, LastError, Loss, Outcome, TopicId,
    wire::{ApiKey, ErrorCode, VersionRange},
};
use ottla_model::{Action, ClusterConfig, Fault, Versions};
use ottla_scenario::{World, quick};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn impatient() -> Config<'static> {
    Config {
        delivery_timeout: 5 * SECOND,
        request_timeout: 2 * SECOND,
        resolve_timeout: SECOND,
        ..quick()
    }
}

/// Two nodes, of which the second leads the topic's only partition, and has acknowledged a record.
fn led_by_the_second() -> (World<'static>, TopicId) {
    let (mut world, topic) = World::warm(&impatient(), ClusterConfig::with_nodes(2), 1);
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    let id = world.send(topic, 0);
    world.conclude(id);
    world.last_failed = None;
    (world, topic)
}

/// Sends a record; returns why it got no answer by `delivery.timeout.ms`.
fn last_error(world: &mut World<'_>, topic: TopicId) -> Option<LastError> {
    let id = world.produce(topic, Some(0), 20).expect("room");
    assert!(
        world.run_until(10 * SECOND, |world| world.last_failed.is_some()),
        "{id} has an answer"
    );
    let (told, last_error) = world.last_failed.take()?;
    let (Outcome::NotDelivered(cause) | Outcome::Unknown(cause)) = told.outcome else {
        panic!("{told:?}");
    };
    assert_eq!(cause, Cause::DeliveryTimeout);
    assert!(!cause.is_whole());
    last_error
}

#[test]
fn a_timeout_names_the_error_that_the_leader_answered_with() {
    for code in [ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::NOT_ENOUGH_REPLICAS] {
        let (mut world, topic) = led_by_the_second();
        world.cluster.inject(Fault::produce(Action::Reject(code)).times(u32::MAX));
        assert_eq!(last_error(&mut world, topic), Some(LastError::Answer(code)));
        let broker = world.producer.brokers().find(|broker| broker.node_id == Some(2));
        assert_eq!(broker.and_then(|broker| broker.last_error), Some(LastError::Answer(code)));
        assert_eq!(LastError::Answer(code).to_string(), code.to_string());
    }
}

#[test]
fn an_error_that_was_made_good_is_not_told() {
    let (mut world, topic) = led_by_the_second();
    let full = Action::Reject(ErrorCode::KAFKA_STORAGE_ERROR);
    world.cluster.inject(Fault::produce(full));
    let id = world.send(topic, 0);
    world.conclude(id);
    world.cluster.freeze(2).expect("a node");
    assert_eq!(last_error(&mut world, topic), Some(LastError::Connection(Loss::RequestTimedOut)));
}

#[test]
fn a_timeout_says_that_the_partition_has_no_leader() {
    let (mut world, topic) = led_by_the_second();
    world.cluster.remove_leader("t", 0).expect("a partition");
    let told = last_error(&mut world, topic);
    assert_eq!(told, Some(LastError::NoLeader(ErrorCode::LEADER_NOT_AVAILABLE)));
    let words = "the partition has no leader: LEADER_NOT_AVAILABLE (5)";
    assert_eq!(told.expect("an error").to_string(), words);
}

#[test]
fn a_timeout_names_the_address_that_nobody_can_dial() {
    for (host, port, flaw) in [
        ("127.0.0.1", 0, LastError::Port(0)),
        ("127.0.0.1", 70_000, LastError::Port(70_000)),
        ("127.0.0.1", -1, LastError::Port(-1)),
        ("", 9093, LastError::Host),
    ] {
        let config = impatient();
        let mut world = World::new(&config, ClusterConfig::with_nodes(2), 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        world.cluster.move_leader("t", 0, 2).expect("a leader");
        world.cluster.set_address(2, host, port).expect("a node");
        let topic = world.topic("t");
        world.run_for(SECOND);
        assert_eq!(last_error(&mut world, topic), Some(flaw));
        let broker = world.producer.brokers().find(|broker| broker.node_id == Some(2));
        assert_eq!(broker.and_then(|broker| broker.last_error), Some(flaw));
        // Once it is mended, so is all.
        world.cluster.set_address(2, "127.0.0.1", 9093).expect("a node");
        let id = world.send(topic, 0);
        world.conclude(id);
        assert!(world.producer.brokers().all(|broker| broker.last_error.is_none()));
    }
}

#[test]
fn a_timeout_says_how_the_leaders_connection_is_lost() {
    let (mut world, topic) = led_by_the_second();
    let lost = Fault::produce(Action::CloseBefore).times(u32::MAX);
    world.cluster.inject(lost);
    assert_eq!(last_error(&mut world, topic), Some(LastError::Connection(Loss::Eof)));
}

#[test]
fn a_timeout_says_that_the_leader_throttles() {
    let config = Config { request_timeout: 60 * SECOND, ..impatient() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.set_throttle(1, 30 * SECOND).expect("a node");
    let first = world.send(topic, 0);
    world.run_for(SECOND);
    assert!(world.ledger.is_closed(first));
    assert_eq!(last_error(&mut world, topic), Some(LastError::Throttled));
}

#[test]
fn a_timeout_says_that_there_is_no_producer_id_yet() {
    let mut world = World::new(&impatient(), ClusterConfig::with_nodes(1), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    let refusal = Fault::new(ApiKey::INIT_PRODUCER_ID, Action::Reject(code));
    world.cluster.inject(refusal.times(u32::MAX));
    let topic = world.topic("t");
    world.run_for(SECOND);
    assert_eq!(last_error(&mut world, topic), Some(LastError::NoProducerId(code)));
}

/// Sends a record and closes the producer; returns why the record was not delivered.
fn last_error_at_the_end(
    mut world: World<'_>,
    topic: TopicId,
    within: Duration,
) -> (Cause, Option<LastError>) {
    let _ = world.produce(topic, Some(0), 20).expect("room");
    world.run_for(10 * MS);
    world.close(within);
    let (told, last_error) = world.last_failed.expect("an answer");
    let Outcome::NotDelivered(cause) = told.outcome else { panic!("{told:?}") };
    (cause, last_error)
}

#[test]
fn the_last_record_of_a_producer_that_closes_has_its_last_error() {
    // Its outcome is what the end waits for, or the end is what it gets.
    for (within, cause) in [(10 * SECOND, Cause::DeliveryTimeout), (100 * MS, Cause::Closed)] {
        let config = Config { request_timeout: 60 * SECOND, ..impatient() };
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
        world.cluster.set_throttle(1, 30 * SECOND).expect("a node");
        let first = world.send(topic, 0);
        world.run_for(SECOND);
        assert!(world.ledger.is_closed(first));
        let told = last_error_at_the_end(world, topic, within);
        assert_eq!(told, (cause, Some(LastError::Throttled)));

        let mut world = World::new(&impatient(), ClusterConfig::with_nodes(1), 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        let code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
        let refusal = Fault::new(ApiKey::INIT_PRODUCER_ID, Action::Reject(code));
        world.cluster.inject(refusal.times(u32::MAX));
        let topic = world.topic("t");
        world.run_for(SECOND);
        let told = last_error_at_the_end(world, topic, within);
        assert_eq!(told, (cause, Some(LastError::NoProducerId(code))));
    }
}

#[test]
fn a_refusal_says_all_itself() {
    let (mut world, topic) = led_by_the_second();
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    world.cluster.inject(Fault::produce(Action::Reject(code)));
    let id = world.send(topic, 0);
    world.conclude(id);
    let (told, _) = world.last_failed.expect("a refusal");
    assert_eq!(told.outcome, Outcome::NotDelivered(Cause::Broker(code)));
    assert!(Cause::Broker(code).is_whole());
}

#[test]
fn a_record_that_is_given_up_has_its_last_error() {
    let (mut world, topic) = led_by_the_second();
    let code = ErrorCode::NOT_ENOUGH_REPLICAS;
    world.cluster.inject(Fault::produce(Action::Reject(code)).times(u32::MAX));
    let record = ottla_core::Record { partition: Some(0), value: Some(b"v"), ..Default::default() };
    world.ignore_verdicts = true;
    let ticket = world.producer.produce(world.now, topic, &record).expect("room");
    assert_eq!(world.producer.last_error(ticket.batch()), None);
    world.run_for(SECOND);
    assert_eq!(world.producer.last_error(ticket.batch()), Some(LastError::Answer(code)));
    let _ = world.producer.cancel(world.now, ticket);
    world.run_for(10 * SECOND);
    assert_eq!(world.producer.last_error(ticket.batch()), None, "it is settled");
}

#[test]
fn no_version_in_common_is_told_with_the_api_and_both_ranges() {
    let versions = Versions::kafka_4().with(ApiKey::PRODUCE, 0, 2);
    let mut world = World::new(&impatient(), ClusterConfig::with_nodes(1), 1);
    world.cluster.set_versions(1, versions).expect("a node");
    world.cluster.create_topic("t", 1).expect("a topic");
    world.producer.topic(world.now, "t").expect("a name");
    world.run_for(SECOND);
    let cause = world.events.iter().find_map(|(_, event)| {
        if let Event::Disconnected { cause, .. } = event { Some(*cause) } else { None }
    });
    let theirs = Some(VersionRange { min: 0, max: 2 });
    let lacks = Disconnect::UnsupportedVersion { api: ApiKey::PRODUCE, theirs };
    assert_eq!(cause, Some(lacks));
    let words = "no version in common with the broker: of PRODUCE (0) this client has 3 to 13, the \
                 broker 0 to 2";
    assert_eq!(lacks.to_string(), words);
}

#[test]
fn what_is_no_answer_of_a_broker_is_not_told_as_one() {
    let (mut world, topic) = World::warm(&impatient(), ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::Swallow));
    let id = world.send(topic, 0);
    world.cluster.recreate_topic("t").expect("a topic");
    world.conclude(id);
    let (told, _) = world.last_failed.expect("a verdict");
    assert_eq!(told.outcome, Outcome::Unknown(Cause::Recreated), "{told:?}");
}
