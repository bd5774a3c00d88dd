//! How long a batch that is settled keeps its records, and for whom.

use core::time::Duration;

use ottla_core::{
    BatchOutcome, Cause, Config, Event, Limits, Memory, Outcome, Output, Payload, Verdict,
    wire::record::Records,
};
use ottla_model::ClusterConfig;
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);

/// The next output, which is what the core has to tell of a batch.
fn settled(world: &mut World<'_>) -> BatchOutcome {
    match world.producer.poll_output() {
        Some(Output::Event(Event::BatchOutcome(settled))) => {
            world.ledger.settled(world.now, &settled, &world.cluster);
            settled
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_that_are_not_delivered_can_be_had_back_until_the_next_output() {
    // The batch's time is over while it lingers.
    let config = Config { linger: 100 * MS, delivery_timeout: 50 * MS, ..quick() };
    // Records of 200 bytes lie across pages.
    let memory = Memory::heap(Limits { page_size: 512, ..Limits::for_config(&config) });
    let mut world = World::with_memory(&config, ClusterConfig::default(), memory, 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    world.run_for(500 * MS);
    let ids: Vec<u64> =
        (0..40).map(|_| world.produce(topic, Some(0), 200).expect("room")).collect();
    assert_eq!(world.cancel(ids[1]), Verdict::NotDelivered);
    world.now = world.now.after(50 * MS);
    world.producer.handle_timeout(world.now);
    let settled = settled(&mut world);
    assert_eq!(settled.outcome, Outcome::NotDelivered(Cause::DeliveryTimeout));
    assert_eq!(settled.records, 39);
    assert!(world.producer.stats().pages_used > 10);
    let payload = world.producer.payload(settled.batch).expect("the records");
    let bytes: Vec<u8> = payload.flatten().copied().collect();
    let records: Vec<_> = Records::new(&bytes).map(|record| record.expect("a record")).collect();
    let values = records.iter().filter_map(|record| record.value?.first_chunk());
    assert!(values.map(|number| u64::from_be_bytes(*number)).eq(ids), "in order");
    let withdrawn = records.iter().map(|r| r.head.attributes & Payload::WITHDRAWN != 0);
    assert!(withdrawn.eq((0..40).map(|place| place == 1)), "marked as taken out");
    assert_eq!(world.producer.poll_output(), None);
    assert!(world.producer.payload(settled.batch).is_none());
    assert_eq!(world.producer.stats().pages_used, 0);
    world.finish();
}

#[test]
fn a_batch_whose_records_were_all_cancelled_frees_its_pages_before_its_event_is_taken() {
    let config = Config { linger: 100 * MS, ..quick() };
    let (mut world, topic) = World::cold(&config, ClusterConfig::default(), 1);
    let ids = [0; 2].map(|_| world.produce(topic, Some(0), 20).expect("room"));
    assert_eq!(world.cancel(ids[0]), Verdict::NotDelivered);
    assert_eq!(world.producer.stats().pages_used, 1);
    assert_eq!(world.cancel(ids[1]), Verdict::NotDelivered);
    assert_eq!(world.producer.stats().pages_used, 0);
    let settled = settled(&mut world);
    assert_eq!((settled.records, settled.last), (0, true));
    assert!(world.producer.payload(settled.batch).is_none());
    for id in ids {
        assert_eq!(world.last(id), Some(Said::NotDelivered(Cause::Cancelled)));
    }
    world.finish();
}

#[test]
fn a_record_can_be_had_back_as_long_as_a_cancel_would_take_it_out() {
    let config = Config { linger: 100 * MS, ..quick() };
    // Records begin anywhere on a page, and go over its end.
    let memory = Memory::heap(Limits { page_size: 512, ..Limits::for_config(&config) });
    let mut world = World::with_memory(&config, ClusterConfig::default(), memory, 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    world.run_for(500 * MS);
    let ids: Vec<u64> = (0..200)
        .map(|len| world.produce(topic, Some(0), 8 + len as usize).expect("room"))
        .collect();
    let read = |world: &World<'_>, id: u64| {
        let payload = world.producer.record(world.ledger.ticket(id))?;
        assert_eq!(payload.topic_partition(), (topic, 0));
        let bytes: Vec<u8> = payload.flatten().copied().collect();
        let mut records = Records::new(&bytes);
        let value = records.next()?.expect("a record").value?.to_vec();
        assert!(records.next().is_none(), "one record and nothing else");
        Some(value)
    };
    for (place, id) in ids.iter().enumerate() {
        let value = read(&world, *id).expect("not cancelled");
        assert_eq!(value.len(), 8 + place);
        assert_eq!(value.first_chunk().map(|number| u64::from_be_bytes(*number)), Some(*id));
    }
    for id in ids.iter().step_by(3) {
        assert_eq!(world.cancel(*id), Verdict::NotDelivered);
        assert_eq!(read(&world, *id), None, "record {id} was taken out");
    }
    assert!(read(&world, ids[1]).is_some());
    // Sent, its bytes have closed ranks.
    world.run_for(150 * MS);
    assert_eq!(read(&world, ids[1]), None);
    world.finish();
}
