//! Several cores that have a topic's partitions together: with [`PartitionShard`]s, over one cluster.

use core::{mem::swap, time::Duration};

use ottla_core::{
    Config, ConfigError, Event, Memory, PartitionShard, Producer, TopicId, TopicStatus,
};
use ottla_model::{Action, Cluster, ClusterConfig, Fault};
use ottla_scenario::{BOOTSTRAP, Laws, Ledger, World, quick};

const SECOND: Duration = Duration::from_secs(1);
/// How long a core runs before the next one does.
const SLICE: Duration = Duration::from_micros(500);

/// Worlds with a core each. The cluster, and the ledger with what was said of all their records, goes from
/// one to the next: batches of different cores never have one id, so it knows whose each is.
struct Cores {
    worlds: Vec<World<'static>>,
    /// Each core's.
    topics: Vec<TopicId>,
    cluster: Cluster,
    ledger: Ledger,
}

impl Cores {
    fn new(config: &Config<'_>, of: u16, partitions: u32, seed: u64) -> Self {
        let nodes = ClusterConfig::with_nodes(3);
        let mut cluster = Cluster::new(nodes.clone());
        cluster.create_topic("t", partitions).expect("a topic");
        let world = |index| {
            let config = Config { share: PartitionShard { index, of }, ..*config };
            World::new(&config, nodes.clone(), seed + u64::from(index))
        };
        let mut worlds: Vec<_> = (0..of).map(world).collect();
        let topic = |world: &mut World<'_>| world.producer.topic(world.now, "t").expect("a topic");
        let topics = worlds.iter_mut().map(topic).collect();
        let mut cores = Self { worlds, topics, cluster, ledger: Ledger::default() };
        cores.run_for(SECOND, 4 * SLICE);
        cores
    }

    fn with<T>(&mut self, index: usize, act: impl FnOnce(&mut World<'static>) -> T) -> T {
        let world = &mut self.worlds[index];
        swap(&mut world.cluster, &mut self.cluster);
        swap(&mut world.ledger, &mut self.ledger);
        let result = act(world);
        swap(&mut world.cluster, &mut self.cluster);
        swap(&mut world.ledger, &mut self.ledger);
        result
    }

    fn run_for(&mut self, time: Duration, slice: Duration) {
        for _ in 0..time.as_micros() / slice.as_micros() {
            for index in 0..self.worlds.len() {
                self.with(index, |world| world.run_for(slice));
            }
        }
    }
}

#[test]
fn cores_that_share_a_topic_keep_all_laws_under_faults() {
    for seed in 0..4 {
        let mut cores = Cores::new(&Config { linger: Duration::ZERO, ..quick() }, 4, 10, seed);
        for round in 0..400_u64 {
            let index = (round % 4) as usize;
            let topic = cores.topics[index];
            let id = cores.with(index, |world| world.produce(topic, None, 100)).expect("room");
            let ticket = cores.ledger.ticket(id);
            assert_eq!(ticket.batch().owner(), cores.worlds[index].producer.owner());
            match round {
                20 | 120 => cores.cluster.inject(Fault::produce(Action::Hold(SECOND))),
                60 => cores.with(1, World::cut_all),
                100 => cores.with(2, World::hold_up),
                140 => cores.with(2, World::cut_all),
                160 => cores.cluster.move_leader("t", 6, 1 + (seed % 3) as i32).unwrap_or(()),
                200 => cores.with(3, |world| world.cut_after(300)),
                240 => cores.with(2, World::release),
                280 => cores.cluster.restart(2).expect("a node"),
                _ => {}
            }
            if round % 37 == 0 {
                cores.with(index, |world| world.cancel(id));
            }
            cores.run_for(4 * SLICE, SLICE);
        }
        cores.run_for(30 * SECOND, 40 * SLICE);
        let open = cores.ledger.entries().filter(|entry| !entry.closed).count();
        assert_eq!(open, 0, "seed {seed}: records without a last word");
        cores.ledger.hold(&cores.cluster, Laws::ALL);
        let retries = cores.worlds.iter().map(|world| world.producer.stats().retries);
        assert!(retries.sum::<u64>() > 0, "seed {seed}: nothing went wrong");
        // Each partition has one producer, whatever did.
        for (index, world) in cores.worlds.iter().enumerate() {
            assert!(!world.tap.sent.is_empty());
            let own = |partition: i32| partition as usize % 4 == index;
            assert!(world.tap.sent.iter().all(|sent| own(sent.partition)), "seed {seed}");
        }
    }
}

#[test]
fn a_core_without_a_partition_of_its_own_chooses_from_all_until_the_topic_grows() {
    let config = Config { share: PartitionShard { index: 3, of: 4 }, ..quick() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(1), 5);
    world.cluster.create_topic("t", 2).expect("a topic");
    let topic = world.topic("t");
    for _ in 0..100 {
        world.produce(topic, None, 400).expect("room");
    }
    // What has a partition goes there.
    world.produce(topic, Some(0), 100).expect("room");
    world.producer.flush(world.now);
    world.run_for(SECOND);
    assert_eq!(world.cluster.end_offset("t", 0) + world.cluster.end_offset("t", 1), 101);
    world.events.clear();
    world.cluster.grow_topic("t", 8).expect("more partitions");
    world.run_for(config.metadata_max_age + SECOND);
    let told = world.events.iter().filter(|(_, event)| matches!(event, Event::Topic(_))).count();
    assert_eq!(told, 1, "growth is told once: {:?}", world.events);
    let status = world.producer.topic_status(topic);
    assert_eq!(status, Some(TopicStatus::Ready { partitions: 8 }));
    for _ in 0..400 {
        world.produce(topic, None, 400).expect("room");
    }
    world.close(SECOND);
    let ends: Vec<_> = (2..8).map(|partition| world.cluster.end_offset("t", partition)).collect();
    assert!(ends[1] > 0 && ends[5] > 0, "{ends:?}");
    assert_eq!(ends[1] + ends[5], 400, "{ends:?}");
}

#[test]
fn a_share_that_is_none_is_refused() {
    for (index, of) in [(0, 0), (0, 3), (4, 4), (1, 1)] {
        let share = PartitionShard { index, of };
        let config = Config { bootstrap_servers: BOOTSTRAP, share, ..Config::default() };
        let refused = Producer::new(&config, Memory::heap(ottla_core::Limits::default()), 1);
        assert!(matches!(refused, Err(ConfigError::OutOfRange { property: "share", .. })));
    }
}
