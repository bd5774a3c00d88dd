//! A run of everything that can go wrong, by chance, from one seed.

use core::time::Duration;
use std::collections::BTreeMap;

use ottla_core::{
    Acks, Config, Limits, Memory, OnUnknown, ProduceError, Seen, TopicId, wire::ErrorCode,
};
use ottla_model::{
    Action, BaseOffset, ClusterConfig, Fault, FirstSequence, ProducerWindow, TopicConfig,
};

use crate::{
    ledger::Said,
    network::Weather,
    world::{Dice, World},
};

/// What a run saw, to know that nothing is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each case of semantics §6 was come through.
    pub cases: BTreeMap<Seen, u64>,
    /// How often each kind of fault struck.
    pub faults: BTreeMap<&'static str, u64>,
    /// Records produced.
    pub records: u64,
    /// Records whose last word was `Delivered`.
    pub delivered: u64,
    /// Records whose last word was `NotDelivered`.
    pub not_delivered: u64,
    /// Records whose last word was `Unknown`.
    pub unknown: u64,
    /// Records that were `Unknown` first and something else in the end.
    pub refined: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Epochs begun because of a gap.
    pub epoch_bumps: u64,
    /// Brokers that had lost their record of the producer.
    pub desyncs: u64,
}

impl Tally {
    /// Adds what another run saw of records.
    pub const fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.delivered += other.delivered;
        self.not_delivered += other.not_delivered;
        self.unknown += other.unknown;
        self.refined += other.refined;
        self.retries += other.retries;
        self.epoch_bumps += other.epoch_bumps;
        self.desyncs += other.desyncs;
    }
}

const TOPIC: &str = "storm";

/// Runs a storm.
///
/// # Panics
///
/// Where a law is broken; the message has the seed.
pub fn run(seed: u64) -> Tally {
    let mut dice = Dice::new(seed);
    let partitions = dice.roll(1, 4) as u32;
    let config = configuration(&mut dice);
    let limits = Limits { connections: dice.roll(1, 5) as u32, ..Limits::for_config(&config) };
    let memory = Memory::heap(limits);
    let mut world = World::with_memory(&config, brokers(&mut dice, seed), memory, seed);
    let narrow = if dice.once_in(3) { dice.roll(300, 2_000) as usize } else { 1 << 20 };
    let narrow = TopicConfig { max_message_bytes: narrow, ..TopicConfig::default() };
    world.cluster.create_topic_with(TOPIC, partitions, narrow).expect("a topic");
    for partition in 0..partitions as i32 {
        let node = dice.roll(1, 3) as i32;
        world.cluster.move_leader(TOPIC, partition, node).expect("a leader");
    }
    let topic = world.topic(TOPIC);
    let idempotent = config.enable_idempotence;
    if dice.once_in(8) {
        begin_far_on(&mut world, &mut dice, topic, partitions);
    }
    if idempotent && dice.once_in(20) {
        // A record at a later epoch than the one that follows: as if another writer had come.
        world.go_on_at(topic, 0, 7, 0);
        produce(&mut world, &mut dice, topic, 0);
        world.run_for(Duration::from_millis(100));
        world.go_on_at(topic, 0, 3, 0);
    }
    world.weather = weather(&mut dice);
    for _ in 0..dice.roll(20, 120) {
        act(&mut world, &mut dice, topic, partitions);
        world.run_for(Duration::from_micros(dice.roll(0, 40_000)));
        check_prompt(&world, &config);
    }
    if dice.once_in(10) {
        // Closed in the middle of it all.
        world.close(Duration::from_millis(dice.roll(0, 300)));
        heal(&mut world);
        world.run_for(Duration::from_secs(20));
        world.ledger.check(&world.cluster, idempotent);
        return tally(&world);
    }
    heal(&mut world);
    let patience = config.delivery_timeout + config.resolve_timeout + Duration::from_secs(60);
    let settled = world.run_until(patience, |world| world.producer.stats().batches == 0);
    assert!(settled, "seed {seed}: not settled: {:?}", world.producer);
    check_prompt(&world, &config);
    world.close(Duration::from_secs(5));
    world.ledger.check(&world.cluster, idempotent);
    assert_eq!(world.producer.stats().pages_used, 0, "pages are lost");
    tally(&world)
}

/// Has the chains go on near the last sequence or the last epoch.
fn begin_far_on(world: &mut World<'_>, dice: &mut Dice, topic: TopicId, partitions: u32) {
    for partition in 0..partitions {
        let epoch = if dice.once_in(2) { dice.roll(31_990, 32_001) } else { dice.roll(0, 5) };
        let sequence = i32::MAX - dice.roll(0, 60) as i32;
        world.go_on_at(topic, partition as i32, epoch as i16, sequence);
    }
}

fn configuration(dice: &mut Dice) -> Config<'static> {
    let ms = |dice: &mut Dice, low, high| Duration::from_millis(dice.roll(low, high));
    let enable_idempotence = !dice.once_in(10);
    let acks = match dice.roll(0, 3) {
        0 if !enable_idempotence => Acks::None,
        1 if !enable_idempotence => Acks::Leader,
        _ => Acks::All,
    };
    Config {
        enable_idempotence,
        acks,
        linger: ms(dice, 0, 8),
        batch_size: dice.roll(100, 2_000) as u32,
        max_request_size: 8_192,
        max_in_flight: dice.roll(1, 5) as u8,
        delivery_timeout: ms(dice, 100, 4_000),
        request_timeout: ms(dice, 60, 600),
        resolve_timeout: ms(dice, 200, 30_000),
        on_unknown: if dice.once_in(4) { OnUnknown::Abandon } else { OnUnknown::Resolve },
        retry_backoff: ms(dice, 1, 30),
        retry_backoff_max: ms(dice, 30, 200),
        reconnect_backoff: ms(dice, 1, 30),
        reconnect_backoff_max: ms(dice, 30, 200),
        metadata_max_age: ms(dice, 50, 5_000),
        connection_setup_timeout: ms(dice, 20, 200),
        connection_setup_timeout_max: ms(dice, 200, 400),
        connections_max_idle: ms(dice, 100, 10_000),
        buffer_memory: dice.roll(16_384, 200_000),
        ..Config::default()
    }
}

fn brokers(dice: &mut Dice, seed: u64) -> ClusterConfig {
    let restart_window =
        if dice.once_in(2) { ProducerWindow::LastBatch } else { ProducerWindow::Everything };
    let first_sequence =
        if dice.once_in(2) { FirstSequence::Any } else { FirstSequence::ZeroOnNewLog };
    ClusterConfig { seed, restart_window, first_sequence, ..ClusterConfig::with_nodes(3) }
}

fn weather(dice: &mut Dice) -> Weather {
    let low = dice.roll(10, 3_000);
    Weather {
        latency: (low, low + dice.roll(0, 20_000)),
        accepts: if dice.once_in(2) { usize::MAX } else { dice.roll(1, 3_000) as usize },
        arrives: if dice.once_in(2) { usize::MAX } else { dice.roll(1, 600) as usize },
        stalls: if dice.once_in(2) { 0 } else { dice.roll(2, 8) },
        socket_buffer: match dice.roll(0, 3) {
            0 => dice.roll(50, 400) as usize,
            1 => dice.roll(400, 10_000) as usize,
            _ => usize::MAX,
        },
    }
}

fn act(world: &mut World<'_>, dice: &mut Dice, topic: TopicId, partitions: u32) {
    let node = dice.roll(1, 3) as i32;
    let partition = dice.roll(0, u64::from(partitions) - 1) as i32;
    let roll = dice.roll(0, 30);
    let what = match roll {
        0 => "cut",
        1 => "cut at a byte",
        2 => "deaf",
        3 => "freeze",
        6 => "stop",
        8 => "leader moved",
        12 => "throttle",
        13..=15 => "cancel",
        17 => "unreachable",
        _ => "",
    };
    world.count(what);
    match roll {
        0 => drop(world.cut_one()),
        1 => world.cut_after(dice.roll(0, 2_000) as usize),
        2 if dice.once_in(3) => world.deafen(),
        3 => world.cluster.freeze(node).expect("a node"),
        4 | 5 => world.cluster.thaw(node).expect("a node"),
        6 if dice.once_in(2) => stop(world, node, partitions),
        7 => world.cluster.start(node).expect("a node"),
        8 if world.cluster.is_up(node) => {
            world.cluster.move_leader(TOPIC, partition, node).expect("a leader");
        }
        9..=11 => {
            let fault = fault(dice, partition);
            world.count(name_of(&fault.action));
            world.cluster.inject(fault);
        }
        12 => {
            let throttle = Duration::from_millis(dice.roll(0, 50));
            world.cluster.set_throttle(node, throttle).expect("a node");
        }
        13..=15 => {
            let last = world.ledger.next_id();
            if last > 0 {
                let back = if dice.once_in(2) { 12 } else { 120 };
                world.cancel(dice.roll(last.saturating_sub(back), last - 1));
            }
        }
        16 => world.producer.flush(world.now),
        17 if dice.once_in(3) => {
            if !world.unreachable.contains(&node) {
                world.unreachable.push(node);
            }
        }
        18 => world.unreachable.clear(),
        _ => produce(world, dice, topic, partition),
    }
}

fn produce(world: &mut World<'_>, dice: &mut Dice, topic: TopicId, partition: i32) {
    for _ in 0..dice.roll(1, 12) {
        let partition = (!dice.once_in(4)).then_some(partition);
        let len = dice.roll(8, 300) as usize;
        match world.produce(topic, partition, len) {
            Ok(_) | Err(ProduceError::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Stops a node; its partitions go to another that is up, if there is one.
fn stop(world: &mut World<'_>, node: i32, partitions: u32) {
    world.cluster.stop(node).expect("a node");
    let other = (1..=3).find(|other| *other != node && world.cluster.is_up(*other));
    for partition in 0..partitions as i32 {
        let led = world.cluster.leader(TOPIC, partition).is_some_and(|(leader, _)| leader == node);
        if let Some(other) = other.filter(|_| led) {
            world.cluster.move_leader(TOPIC, partition, other).expect("a leader");
        }
    }
}

fn fault(dice: &mut Dice, partition: i32) -> Fault {
    const REFUSALS: [ErrorCode; 10] = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::MESSAGE_TOO_LARGE,
        ErrorCode::INVALID_RECORD,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ErrorCode::CORRUPT_MESSAGE,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode(999),
    ];
    const AFTER_APPEND: [ErrorCode; 6] = [
        ErrorCode::REQUEST_TIMED_OUT,
        ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode(998),
    ];
    let action = match dice.roll(0, 10) {
        0 | 1 => Action::Reject(REFUSALS[dice.roll(0, 9) as usize]),
        2 | 3 => Action::AppendThenError {
            error: AFTER_APPEND[dice.roll(0, 5) as usize],
            base_offset: [BaseOffset::Kept, BaseOffset::Unknown][dice.roll(0, 1) as usize],
        },
        4 => Action::Swallow,
        5 => Action::Hold(Duration::from_millis(dice.roll(1, 800))),
        6 => Action::CloseBefore,
        7 => Action::CloseAfter,
        8 => Action::Garbage((0..dice.roll(1, 60)).map(|_| dice.roll(0, 255) as u8).collect()),
        9 => match dice.roll(0, 3) {
            0 => Action::Omit,
            1 => Action::Twice,
            2 => Action::Stray,
            _ => Action::WrongCorrelation(1),
        },
        _ => Action::Freeze,
    };
    let fault = Fault::produce(action).times(dice.roll(1, 3) as u32);
    if dice.once_in(2) { fault.on(TOPIC, partition) } else { fault }
}

fn name_of(action: &Action) -> &'static str {
    match action {
        Action::Reject(_) => "reject",
        Action::AppendThenError { .. } => "append, then error",
        Action::Swallow => "swallow",
        Action::Hold(_) => "hold",
        Action::CloseBefore => "close before",
        Action::CloseAfter => "close after",
        Action::Garbage(_) => "garbage",
        Action::WrongCorrelation(_) => "wrong correlation",
        Action::Omit => "omit",
        Action::Twice => "twice",
        Action::Stray => "stray",
        Action::Freeze => "freeze at a request",
    }
}

fn heal(world: &mut World<'_>) {
    // What was ordered and never struck does not count.
    let left: Vec<&str> = world.cluster.faults().map(|fault| name_of(&fault.action)).collect();
    for name in left {
        if let Some(count) = world.faults.get_mut(name) {
            *count -= 1;
        }
    }
    world.weather = Weather::FAIR;
    world.cluster.clear_faults();
    world.unreachable.clear();
    for node in 1..=3 {
        world.cluster.start(node).expect("a node");
        world.cluster.thaw(node).expect("a node");
        world.cluster.set_throttle(node, Duration::ZERO).expect("a node");
    }
    let partitions = world.cluster.partitions(TOPIC) as i32;
    for partition in 0..partitions {
        if world.cluster.leader(TOPIC, partition).is_none() {
            world.cluster.move_leader(TOPIC, partition, 1).expect("a leader");
        }
    }
}

/// Law 1: whatever happens, a record is answered by its deadline.
fn check_prompt(world: &World<'_>, config: &Config<'_>) {
    for entry in world.ledger.entries() {
        let deadline = entry.produced.after(config.delivery_timeout);
        match entry.first {
            Some((_, at)) => assert!(at <= deadline, "late: {entry:?}"),
            None => assert!(world.now <= deadline, "no answer at {:?}: {entry:?}", world.now),
        }
    }
}

fn tally(world: &World<'_>) -> Tally {
    let stats = world.producer.stats();
    let mut tally = Tally {
        retries: stats.retries,
        epoch_bumps: stats.epoch_bumps,
        desyncs: stats.desyncs,
        ..Tally::default()
    };
    for case in Seen::ALL {
        tally.cases.insert(*case, u64::from(world.producer.internal_seen(*case)));
    }
    tally.faults.clone_from(&world.faults);
    for entry in world.ledger.entries() {
        tally.records += 1;
        match entry.last {
            Some(Said::Delivered(_)) => tally.delivered += 1,
            Some(Said::NotDelivered(_)) => tally.not_delivered += 1,
            Some(Said::Unknown(_)) => tally.unknown += 1,
            None => panic!("no last word: {entry:?}"),
        }
        if let (Some((Said::Unknown(_), _)), Some(Said::Delivered(_) | Said::NotDelivered(_))) =
            (entry.first, entry.last)
        {
            tally.refined += 1;
        }
    }
    tally
}
