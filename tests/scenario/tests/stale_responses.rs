//! Answers of a former connection that arrive on the next one, as over a serial line that outlives both.

use core::time::Duration;

use ottla_core::{Config, Disconnect, Event};
use ottla_model::ClusterConfig;
use ottla_scenario::{Said, World};

const SECOND: Duration = Duration::from_secs(1);

fn is_delivered(world: &World<'_>, id: u64) -> bool {
    matches!(world.ledger.entry(id).last, Some(Said::Delivered(_)))
}

fn unexpected(world: &World<'_>) -> usize {
    let of = |event: &Event| {
        matches!(event, Event::Disconnected { cause: Disconnect::Unexpected { .. }, .. })
    };
    world.events.iter().filter(|(_, event)| of(event)).count()
}

#[test]
fn an_answer_of_the_former_connection_is_not_believed_on_the_next_one() {
    // After so many more records, so that whatever numbers requests have, two of them would meet.
    for later in 0..8 {
        let config =
            Config { linger: Duration::ZERO, request_timeout: 2 * SECOND, ..Config::default() };
        let mut world = World::new(&config, ClusterConfig::default(), 3);
        world.cluster.create_topic("t", 1).expect("a topic");
        let topic = world.topic("t");
        for _ in 0..3 {
            let id = world.produce(topic, Some(0), 50).expect("room");
            assert!(world.run_until(SECOND, |world| is_delivered(world, id)));
        }
        world.hold_answers();
        let id = world.produce(topic, Some(0), 50).expect("room");
        // The request is given up, and the record is found to be there already.
        assert!(world.run_until(5 * SECOND, |world| is_delivered(world, id)));
        for _ in 0..later {
            let id = world.produce(topic, Some(0), 50).expect("room");
            assert!(world.run_until(SECOND, |world| is_delivered(world, id)));
        }
        // The next one is out, and on its way; what was said to the former connection arrives.
        world.hold_up();
        let id = world.produce(topic, Some(0), 50).expect("room");
        world.run_for(Duration::from_millis(10));
        assert!(world.misdirect() > 0, "there was an answer");
        world.run_for(Duration::from_millis(10));
        assert_eq!(world.ledger.entry(id).first, None, "after {later} others");
        assert_eq!(unexpected(&world), 1, "after {later} others");
        world.release();
        assert!(world.run_until(5 * SECOND, |world| is_delivered(world, id)));
        world.close(SECOND);
        world.ledger.check(&world.cluster, true);
    }
}
