//! Whose a ticket or a topic is, and which life of a slot it means (decision 36).

use core::time::Duration;

use ottla_core::{
    Config, Instant, Limits, Memory, Output, ProduceError, Producer, Record, ReleaseError,
    TopicError, TopicId, TopicStatus, Verdict,
};
use ottla_model::ClusterConfig;
use ottla_scenario::{BOOTSTRAP, Dice, Random, Said, Weather, World, quick};

const SECOND: Duration = Duration::from_secs(1);

fn lingering() -> Config<'static> {
    Config { linger: 10 * SECOND, ..quick() }
}

/// A world with few slots and these topics in its cluster, none of them registered.
fn world(limits: Limits, topics: &[(&str, u32)]) -> World<'static> {
    let mut world =
        World::with_memory(&quick(), ClusterConfig::with_nodes(2), Memory::heap(limits), 7);
    for (name, partitions) in topics {
        world.cluster.create_topic(name, *partitions).expect("a topic");
    }
    world
}

fn few(topics: u32, partitions: u32) -> Limits {
    let config = Config { buffer_memory: 1 << 20, ..quick() };
    Limits { topics, partitions, ..Limits::for_config(&config) }
}

/// Writes a record to each of a topic's partitions, which are so many.
fn write_to_all(world: &mut World<'_>, topic: TopicId, partitions: u32) {
    for partition in 0..partitions as i32 {
        let id = world.send(topic, partition);
        assert!(matches!(world.conclude(id), Said::Delivered(Some(_))), "partition {partition}");
    }
}

#[test]
fn a_ticket_of_another_producer_is_not_believed() {
    let mut worlds = [1, 2].map(|seed| {
        let mut world = World::new(&lingering(), ClusterConfig::default(), seed);
        world.cluster.create_topic("t", 1).expect("a topic");
        let topic = world.topic("t");
        let id = world.produce(topic, Some(0), 20).expect("room");
        (world, topic, id)
    });
    let [(one, topic, id), (other, ..)] = &mut worlds;
    let ticket = one.ledger.ticket(*id);
    assert_eq!(other.producer.cancel(other.now, ticket), Verdict::Foreign);
    assert_eq!(other.producer.topic_status(*topic), None);
    let record = Record { partition: Some(0), ..Record::default() };
    let refused = other.producer.produce(other.now, *topic, &record);
    assert_eq!(refused, Err(ProduceError::UnknownTopic));
    // Each record is as it was.
    for (world, _, id) in &mut worlds {
        world.producer.flush(world.now);
        assert_eq!(world.conclude(*id), Said::Delivered(Some(0)));
    }
}

#[test]
fn a_slot_rests_after_its_last_life_so_that_no_stale_ticket_is_believed() {
    let limits = Limits { batches: 2, ..few(2, 4) };
    let mut world = world(limits, &[("t", 1), ("u", 1), ("v", 1)]);
    let topic = world.topic("t");
    world.producer.internal_wear_out();
    let tickets = [(); 2].map(|()| {
        let id = world.send(topic, 0);
        assert!(matches!(world.conclude(id), Said::Delivered(_)));
        world.ledger.ticket(id)
    });
    // That was the last life of both slots, so there is none left to be taken for one of these.
    assert_ne!(tickets[0].batch(), tickets[1].batch());
    assert_eq!(world.produce(topic, Some(0), 20), Err(ProduceError::Full));
    for ticket in tickets {
        assert_eq!(world.producer.cancel(world.now, ticket), Verdict::AlreadySettled);
    }
    // The same with topics; the first one's slot was not worn out.
    let worn = world.topic("u");
    world.producer.release_topic(world.now, worn).expect("nothing is open");
    let full = Err(TopicError::TooManyTopics { max: 2 });
    assert_eq!(world.producer.topic(world.now, "v"), full);
    world.producer.release_topic(world.now, topic).expect("nothing is open");
    assert!(world.producer.topic(world.now, "v").is_ok());
}

#[test]
fn a_released_topic_gives_its_slots_back_and_its_id_is_dead() {
    let mut world = world(few(2, 4), &[("a", 2), ("b", 2), ("c", 2)]);
    let (a, b) = (world.topic("a"), world.topic("b"));
    write_to_all(&mut world, a, 2);
    let full = Err(TopicError::TooManyTopics { max: 2 });
    assert_eq!(world.producer.topic(world.now, "c"), full);
    assert_eq!(world.producer.release_topic(world.now, a), Ok(()));
    let c = world.topic("c");
    assert_eq!(c.index(), a.index());
    assert_ne!(c, a);
    write_to_all(&mut world, c, 2);
    write_to_all(&mut world, b, 2);
    // The id of old is not taken for the topic that has its slot.
    let record = Record { partition: Some(0), ..Record::default() };
    let refused = world.producer.produce(world.now, a, &record);
    assert_eq!(refused, Err(ProduceError::UnknownTopic));
    assert_eq!((world.producer.topic_status(a), world.producer.topic_name(a)), (None, None));
    let again = world.producer.release_topic(world.now, a);
    assert_eq!(again, Err(ReleaseError::UnknownTopic));
    assert_eq!(world.cluster.end_offset("c", 0), 1);
    world.finish();
}

#[test]
fn a_topic_of_which_something_is_open_is_not_released() {
    let mut world = World::new(&lingering(), ClusterConfig::default(), 3);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    let release = |world: &mut World<'_>| world.producer.release_topic(world.now, topic);
    let open = world.produce(topic, Some(0), 20).expect("room");
    assert_eq!(release(&mut world), Err(ReleaseError::Busy));
    world.producer.flush(world.now);
    world.conclude(open);
    // Settled, and its outcome was not taken.
    let gone = world.produce(topic, Some(0), 20).expect("room");
    assert_eq!(world.cancel(gone), Verdict::NotDelivered);
    assert_eq!(release(&mut world), Err(ReleaseError::Busy));
    world.run_for(Duration::ZERO);
    assert_eq!(release(&mut world), Ok(()));
    // Nothing is asked for any more, for nobody's sake.
    let requests = world.sent;
    world.run_for(Duration::from_secs(400));
    assert_eq!(world.sent, requests);
    let topic = world.topic("t");
    let id = world.produce(topic, Some(0), 20).expect("room");
    world.producer.flush(world.now);
    assert_eq!(world.conclude(id), Said::Delivered(Some(1)));
}

#[test]
fn a_topic_that_is_too_large_has_words_of_its_own_and_fits_once_others_are_released() {
    let mut world = world(few(4, 8), &[("a", 6), ("large", 7)]);
    let a = world.topic("a");
    let large = world.producer.topic(world.now, "large").expect("room");
    world.run_for(2 * SECOND);
    let status = TopicStatus::TooManyPartitions { partitions: 7 };
    assert_eq!(world.producer.topic_status(large), Some(status));
    let refused = world.produce(large, Some(0), 20);
    assert_eq!(refused, Err(ProduceError::TooManyPartitions { partitions: 7 }));
    world.producer.release_topic(world.now, a).expect("nothing is open");
    world.run_for(2 * SECOND);
    write_to_all(&mut world, large, 7);
    world.finish();
}

#[test]
fn slots_that_come_back_in_pieces_serve_a_topic_in_pieces() {
    let names = [("a", 2), ("b", 1), ("c", 2), ("d", 3), ("e", 5), ("f", 8)];
    let mut world = world(few(6, 8), &names);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| world.topic(name));
    for topic in [c, a] {
        world.producer.release_topic(world.now, topic).expect("nothing is open");
    }
    // Slots 0, 1, 3 and 4.
    world.cluster.create_topic("g", 4).expect("a topic");
    let g = world.topic("g");
    write_to_all(&mut world, g, 4);
    write_to_all(&mut world, b, 1);
    write_to_all(&mut world, d, 3);
    for topic in [b, g] {
        world.producer.release_topic(world.now, topic).expect("nothing is open");
    }
    let e = world.topic("e");
    write_to_all(&mut world, e, 5);
    for topic in [d, e] {
        world.producer.release_topic(world.now, topic).expect("nothing is open");
    }
    // All of them, in one piece again.
    let f = world.topic("f");
    write_to_all(&mut world, f, 8);
    world.finish();
}

/// To a broker, a chain that began once more at sequence 0 would be batches that it has.
#[test]
fn a_topic_that_comes_back_begins_another_chain() {
    let (mut world, mut topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    let mut offset = 1;
    for epoch in [1, 2, 3] {
        world.producer.release_topic(world.now, topic).expect("nothing is open");
        topic = world.topic("t");
        let id = world.send(topic, 0);
        assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
        assert_eq!(world.rows(0).last().expect("a batch"), &(epoch, 0, vec![id]));
        offset += 1;
    }
    // From the last epoch on it is another producer id's.
    assert!(world.go_on_at(topic, 0, 32_000, 9));
    world.cluster.forget_producer("t", 0, world.tap.sent[0].header.producer_id).expect("it");
    world.producer.release_topic(world.now, topic).expect("nothing is open");
    topic = world.topic("t");
    let id = world.send(topic, 0);
    assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
    let ids = |at: usize| world.tap.sent[at].header.producer_id;
    assert_ne!(ids(world.tap.sent.len() - 1), ids(0));
    world.finish();
}

#[test]
fn topics_come_and_go_while_answers_are_read_in_pieces() {
    for seed in 0..60 {
        let memory = Memory::heap(few(3, 12));
        let mut world = World::with_memory(&quick(), ClusterConfig::with_nodes(2), memory, seed);
        world.weather = Weather { arrives: 30, latency: (50, 3_000), ..Weather::FAIR };
        let mut dice = Random::new(seed);
        for (name, partitions) in [("a", 1), ("b", 2), ("c", 4), ("d", 8)] {
            world.cluster.create_topic(name, partitions).expect("a topic");
        }
        let mut known: Vec<TopicId> = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..300 {
            let name = ["a", "b", "c", "d"][dice.roll(0, 3) as usize];
            match dice.roll(0, 4) {
                0 => known.extend(world.producer.topic(world.now, name).ok()),
                1 if !known.is_empty() => {
                    let at = dice.roll(0, known.len() as u64 - 1) as usize;
                    if world.producer.release_topic(world.now, known[at]).is_ok() {
                        let gone = known.swap_remove(at);
                        known.retain(|id| *id != gone);
                    }
                }
                2 if !known.is_empty() => {
                    let topic = known[dice.roll(0, known.len() as u64 - 1) as usize];
                    ids.extend(world.produce(topic, None, 20).ok());
                }
                _ => world.run_for(Duration::from_micros(dice.roll(1, 3_000))),
            }
        }
        for id in ids {
            assert!(matches!(world.conclude(id), Said::Delivered(_)), "seed {seed}");
        }
        for topic in known {
            // Twice where it was registered twice.
            let released = world.producer.release_topic(world.now, topic);
            assert!(matches!(released, Ok(()) | Err(ReleaseError::UnknownTopic)), "{released:?}");
        }
        world.cluster.create_topic("all", 12).expect("a topic");
        let all = world.topic("all");
        write_to_all(&mut world, all, 12);
        let leads: u32 = world.producer.brokers().map(|broker| broker.leads).sum();
        assert_eq!(leads, 12, "seed {seed}");
        world.finish();
    }
}

#[test]
fn a_topic_is_found_by_its_name_among_many_and_after_others_are_gone() {
    let config = Config { bootstrap_servers: BOOTSTRAP, ..Config::default() };
    let mut producer = Producer::new(&config, Memory::heap(few(500, 1)), 5).expect("a producer");
    let now = Instant::ZERO;
    let name = |number: usize| format!("topic-{number}");
    let ids: Vec<_> =
        (0..500).map(|number| producer.topic(now, &name(number)).expect("room")).collect();
    assert!(ids.iter().enumerate().all(|(number, id)| id.index() == number));
    for id in ids.iter().step_by(2) {
        producer.release_topic(now, *id).expect("nothing is open");
    }
    for (number, id) in ids.iter().enumerate() {
        let again = producer.topic(now, &name(number)).expect("room");
        assert_eq!(again == *id, number % 2 == 1);
        assert_eq!(producer.topic_name(again), Some(&*name(number)));
    }
    assert!(matches!(producer.poll_output(), None | Some(Output::Connect(_))));
}
