//! Records arrive, in order, once.

use core::time::Duration;

use ottla_core::Config;
use ottla_model::ClusterConfig;
use ottla_scenario::{Said, World};

#[test]
fn a_record_is_delivered_at_its_offset() {
    let mut world = World::new(&Config::default(), ClusterConfig::default(), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    let first = world.produce(topic, None, 20).expect("room");
    let second = world.produce(topic, None, 20).expect("room");
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.ledger.entry(first).last, Some(Said::Delivered(Some(0))));
    assert_eq!(world.ledger.entry(second).last, Some(Said::Delivered(Some(1))));
    world.close(Duration::from_secs(1));
    world.ledger.check(&world.cluster, true);
}
