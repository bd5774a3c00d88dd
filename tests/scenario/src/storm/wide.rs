//! Storms in little memory, over nodes of unlike versions, with odd records and a careless caller.

use core::time::Duration;

use ottla_core::{
    ConnId, Disconnect, Instant, Limits, Memory, ProduceError, StaticMemory, TopicId, Verdict,
};
use ottla_model::Versions;

use super::plan::{NODES, Plan, Step, What};
use crate::{
    dice::{Dice, Random},
    world::{Shape, World},
};

/// Memory of a fixed size: three brokers beside the bootstrap server, few batches and small pages.
type Fixed = StaticMemory<2, 4, 2, 8, 12, 40, 128, 600, 400, 32>;

/// How much memory there is.
#[derive(Clone, Copy, Debug)]
pub enum Room {
    /// As much as the configuration wants.
    Ample,
    /// Tables of the heap of these sizes.
    Tables(Limits),
    /// A fixed size.
    Fixed,
}

/// What is unlike other storms.
#[derive(Clone, Copy, Debug)]
pub struct Odd {
    /// Its memory.
    pub room: Room,
    /// Of which shape records are.
    pub shape: fn(u64) -> Shape,
    /// Which of them have a key.
    pub keyed: fn(u64) -> bool,
    /// Nodes speak unlike versions.
    pub unlike: bool,
}

/// What no careful caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// A record is cancelled twice, so many before the newest.
    CancelTwice(u64),
    /// The time is told as it was so long before.
    ClockBack(Duration),
    /// Ids that are dead are used: of connections, topics and records.
    StaleIds,
    /// Another topic comes, has a record if it is known, and goes if nothing of it is open.
    Aside,
}

impl Misuse {
    /// Its name in the tally.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CancelTwice(_) => "cancelled twice",
            Self::ClockBack(_) => "clock back",
            Self::StaleIds => "stale ids",
            Self::Aside => "topic aside",
        }
    }
}

/// What such storms come to.
pub(super) const SEEN: [&str; 15] = [
    "all broker slots taken",
    "called after close",
    "cancelled twice",
    "clock back",
    "fixed memory",
    "full",
    "headers",
    "keys",
    "null values",
    "small tables",
    "stale ids",
    "throttled for long",
    "topic aside",
    "topic made anew again",
    "unlike versions",
];

impl Plan {
    /// The storm of a seed of a careless caller in little memory. One in four has brokers that lose what nobody
    /// is told of, or that ask who the client is.
    #[must_use]
    pub fn wide(seed: u64) -> Self {
        let dice = &mut Random::new(seed ^ 0x1d_0e);
        let mut plan = match dice.roll(0, 7) {
            0 => Self::losing(seed),
            1 => Self::secured(seed),
            _ => Self::of(seed),
        };
        let room = match dice.roll(0, 2) {
            0 => Room::Ample,
            // To say who it is takes more room than that has.
            1 if plan.login.is_none() => Room::Fixed,
            _ => Room::Tables(tables(dice, &plan)),
        };
        if matches!(room, Room::Fixed) {
            let fixed = Fixed::config("");
            plan.config.batch_size = plan.config.batch_size.min(fixed.batch_size);
            plan.config.max_request_size = fixed.max_request_size;
        }
        let shape: fn(u64) -> Shape = match dice.roll(0, 2) {
            0 => |_| Shape::Value,
            1 => |id| if id % 3 == 0 { Shape::Tombstone } else { Shape::Value },
            _ => |id| [Shape::Value, Shape::Tombstone, Shape::Headers][(id % 3) as usize],
        };
        let keyed: fn(u64) -> bool = if dice.once_in(2) { |id| id % 4 == 1 } else { |_| false };
        // Old nodes know topics by their names, and so take what was sent to one that is no more.
        let unlike = dice.once_in(2);
        if unlike {
            plan.steps.retain(|step| !matches!(step.what, What::Recreate));
            for node in &mut plan.cluster.nodes {
                node.versions = match dice.roll(0, 2) {
                    0 => Versions::kafka_2_8(),
                    1 => Versions::kafka_3_9(),
                    _ => continue,
                };
            }
        } else if plan.allows(&What::Recreate) {
            for _ in 0..dice.roll(0, 4) {
                insert(dice, &mut plan.steps, What::Recreate);
            }
        }
        plan.odd = Some(Odd { room, shape, keyed, unlike });
        for _ in 0..dice.roll(0, 2) {
            let node = dice.roll(1, u64::from(NODES)) as i32;
            let long = Duration::from_secs(dice.roll(1, 3_600));
            insert(dice, &mut plan.steps, What::Throttle(node, long));
        }
        for _ in 0..dice.roll(2, 12) {
            let misuse = match dice.roll(0, 4) {
                0 | 1 => Misuse::CancelTwice(dice.roll(0, 40)),
                2 => Misuse::ClockBack(Duration::from_millis(dice.roll(0, 2_000))),
                3 => Misuse::StaleIds,
                _ => Misuse::Aside,
            };
            insert(dice, &mut plan.steps, What::Misuse(misuse));
        }
        plan
    }
}

fn tables(dice: &mut dyn Dice, plan: &Plan) -> Limits {
    let config = &plan.config;
    let page_size = dice.roll(48, 600) as u32;
    let least = config.batch_size.min(config.max_request_size) / page_size + 2;
    Limits {
        // The bootstrap servers', and one that is to spare at least. Who is to recover has room for all leaders.
        brokers: config.bootstrap_servers.matches(',').count() as u32
            + if plan.hostile.is_some() { 4 } else { dice.roll(2, 5) as u32 },
        topics: dice.roll(1, 3) as u32,
        partitions: dice.roll(6, 12) as u32,
        batches: dice.roll(3, 30) as u32,
        page_size,
        pages: least + dice.roll(2, 60) as u32,
        rx_window: 512 + dice.roll(0, 200) as u32,
        tx_window: if plan.login.is_some() { 1_024 } else { 200 + dice.roll(0, 400) as u32 },
        name: dice.roll(12, 40) as u32,
        ..Limits::for_config(config)
    }
}

fn insert(dice: &mut dyn Dice, steps: &mut Vec<Step>, what: What) {
    let at = dice.roll(0, steps.len() as u64) as usize;
    let pause = Duration::from_micros(dice.roll(0, 40_000));
    steps.insert(at, Step { what, pause });
}

/// A storm's memory.
#[derive(Debug)]
pub(super) enum Lent {
    Heap(Limits),
    Fixed(Box<Fixed>),
}

impl Lent {
    pub(super) fn of(plan: &Plan) -> Self {
        let ample = Limits { connections: plan.connections, ..Limits::for_config(&plan.config) };
        let ample = plan.compression.as_ref().map_or(ample, |codecs| codecs.limit(ample));
        match plan.odd.map_or(Room::Ample, |odd| odd.room) {
            Room::Ample => Self::Heap(ample),
            Room::Tables(limits) => Self::Heap(Limits { connections: plan.connections, ..limits }),
            Room::Fixed => Self::Fixed(Box::new(Fixed::new())),
        }
    }

    pub(super) fn memory(&mut self) -> Memory<'_> {
        match self {
            Self::Heap(limits) => Memory::heap(*limits),
            Self::Fixed(memory) => memory.lend(),
        }
    }

    /// How many brokers there is room for.
    pub(super) fn brokers(&self) -> usize {
        match self {
            Self::Heap(limits) => limits.brokers as usize,
            Self::Fixed(_) => 4,
        }
    }
}

/// The name of the topic that comes and goes.
const ASIDE: &str = "aside";

/// Makes a world one of such a storm.
pub(super) fn begin(world: &mut World<'_>, odd: &Odd) {
    world.shape = odd.shape;
    world.keyed = odd.keyed;
    world.cluster.create_topic(ASIDE, 2).expect("a topic");
}

/// The producer is called as it should not be.
pub(super) fn misuse(world: &mut World<'_>, misuse: Misuse, topic: TopicId) {
    match misuse {
        Misuse::CancelTwice(back) => {
            let Some(id) = world.ledger.next_id().checked_sub(back + 1) else { return };
            let first = world.cancel(id);
            let second = world.cancel(id);
            assert!(
                first != Verdict::NotDelivered || second != Verdict::Unknown,
                "record {id} was {first:?}, and then {second:?}"
            );
        }
        Misuse::ClockBack(by) => {
            let before = world.now.as_micros().saturating_sub(by.as_micros() as u64);
            world.producer.handle_timeout(Instant::from_micros(before));
            world.producer.flush(Instant::from_micros(before));
        }
        Misuse::StaleIds => {
            let open: Vec<ConnId> = world.open_connections().collect();
            let stale: Vec<ConnId> =
                world.dialled.iter().copied().filter(|id| !open.contains(id)).collect();
            for id in stale.into_iter().rev().take(4) {
                world.producer.handle_connected(world.now, id);
                world.producer.handle_written(world.now, id, 100);
                world.producer.handle_received(world.now, id, 100);
                world.producer.handle_disconnected(world.now, id, Disconnect::Io);
                assert!(world.producer.pending_write(id).next().is_none());
                assert!(world.producer.rx_buffer(id).is_empty() && !world.producer.wants_read(id));
            }
            if let Some(dead) = world.released {
                assert_eq!(world.producer.topic_status(dead), None);
                let taken = world.produce(dead, None, 20);
                assert_eq!(taken, Err(ProduceError::UnknownTopic));
            }
        }
        Misuse::Aside => {
            let Ok(aside) = world.producer.topic(world.now, ASIDE) else { return };
            let _ = world.produce(aside, None, 30);
            if world.producer.release_topic(world.now, aside).is_ok() {
                world.released = Some(aside);
            }
            assert!(aside != topic, "another topic");
        }
    }
}

/// What is said after the last output.
pub(super) fn call_after_close(world: &mut World<'_>, topic: TopicId) {
    assert_eq!(world.produce(topic, None, 20), Err(ProduceError::Closing));
    for id in 0..world.ledger.next_id() {
        let verdict = world.producer.cancel(world.now, world.ledger.ticket(id));
        assert_eq!(verdict, Verdict::AlreadySettled, "record {id}");
    }
    world.producer.flush(world.now);
    world.producer.handle_timeout(world.now);
    let _ = world.producer.topic(world.now, "another");
    world.producer.close(world.now, Instant::ZERO);
    assert!(!world.producer.has_output() && world.producer.poll_timeout().is_none());
    world.count("called after close");
}

/// What the run came to.
pub(super) fn seen(world: &World<'_>, plan: &Plan, odd: &Odd) -> Vec<(&'static str, u64)> {
    let shape = |shape| (0..world.ledger.next_id()).any(|id| (odd.shape)(id) == shape);
    let records = world.ledger.next_id();
    let made = world.faults.get("topic made anew").copied().unwrap_or(0);
    let long = |step: &Step| matches!(step.what, What::Throttle(_, time) if time >= Duration::from_secs(1));
    [
        ("fixed memory", matches!(odd.room, Room::Fixed)),
        ("small tables", matches!(odd.room, Room::Tables(_))),
        ("unlike versions", odd.unlike),
        ("keys", (0..records).any(odd.keyed)),
        ("headers", shape(Shape::Headers)),
        ("null values", shape(Shape::Tombstone)),
        ("topic made anew again", made > 1),
        ("throttled for long", plan.steps.iter().any(long)),
    ]
    .map(|(name, seen)| (name, u64::from(seen)))
    .to_vec()
}
