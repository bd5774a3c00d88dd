//! What is to happen, as data: all dice are thrown here, before the run.

use core::{fmt, time::Duration};

use ottla_core::{Acks, Config, OnUnknown};
use ottla_model::{
    Action, ClusterConfig, Duplicates, Fault, FirstSequence, ProducerWindow, Storage, TopicConfig,
};

use super::{
    compressed::Codecs,
    faults,
    secured::Login,
    wide::{Misuse, Odd},
};
use crate::{
    dice::{Dice, Random},
    ledger::Laws,
    network::Weather,
    world::Dated,
};

/// The topic of all storms.
pub(super) const TOPIC: &str = "storm";
/// How many brokers there are.
pub(super) const NODES: u16 = 3;

/// A storm: what the world is like, and what happens in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it came from. Also throws the dice of the network and of the core.
    pub seed: u64,
    /// The producer's configuration.
    pub config: Config<'static>,
    /// How many connections it has room for.
    pub connections: u32,
    /// The brokers.
    pub cluster: ClusterConfig,
    /// The topic.
    pub topic: TopicConfig,
    /// Who leads each of its partitions at first.
    pub leaders: Vec<i32>,
    /// What goes wrong before the topic is known.
    pub first: Vec<Fault>,
    /// What happens then.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: End,
    /// By which laws it is judged.
    pub laws: Laws,
    /// Brokers lose what the client is not told of.
    pub losing: bool,
    /// Which timestamps records have at first.
    pub dated: Dated,
    /// The broker that is hostile.
    pub hostile: Option<i32>,
    /// Who the client says it is, where brokers ask.
    pub login: Option<Login>,
    /// What is unlike other storms of the client, its memory and what it is called with.
    pub odd: Option<Odd>,
    /// How batches are compressed, where they are.
    pub compression: Option<Codecs>,
    /// By how many milliseconds the client's wall clock is ahead of the brokers'; `None` is no clock.
    pub wall: Option<i64>,
}

/// Something that happens, and for how long there is peace after it.
#[derive(Clone, Debug)]
pub struct Step {
    /// What.
    pub what: What,
    /// How long until the next step.
    pub pause: Duration,
}

/// How a storm ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is well again, and everything is waited for.
    Healed,
    /// The producer is closed in the middle of it all, within this time.
    Closed(Duration),
}

/// A thing that happens.
#[derive(Clone, Debug)]
pub enum What {
    /// Records are produced: for a partition or for any, and so long.
    Produce(Vec<(Option<i32>, usize)>),
    /// A record is cancelled, so many before the newest.
    Cancel(u64),
    /// The producer is called as it should not be.
    Misuse(Misuse),
    /// Nothing lingers any more.
    Flush,
    /// From now on the network is like this.
    Weather(Weather),
    /// A connection is cut; which of those that are open.
    Cut(u64),
    /// Every open connection is cut after so many more bytes from the client.
    CutAfter(usize),
    /// Everything that brokers say from now on is lost, on the open connections.
    Deafen,
    /// A broker freezes.
    Freeze(i32),
    /// A broker thaws.
    Thaw(i32),
    /// A broker stops, and others lead its partitions.
    Stop(i32),
    /// A broker starts.
    Start(i32),
    /// A broker leads a partition, if it is up. Where it lags, what it lacks is lost.
    Lead(i32, i32),
    /// A broker's replica of a partition stops to follow.
    Lag(i32, i32),
    /// All replicas of a partition follow again.
    CatchUp(i32),
    /// Requests to come are met by something.
    Fault(Fault),
    /// A broker throttles.
    Throttle(i32, Duration),
    /// No new connection reaches a broker.
    Unreachable(i32),
    /// Connections reach all brokers.
    Reachable,
    /// Of a partition only so many of the newest records are left.
    Delete(i32, i64),
    /// The topic is deleted and made anew.
    Recreate,
    /// A partition's log loses so many of its newest records, and the producers' state with them:
    /// leadership goes to a replica that lags, and back at once.
    Lose(i32, u32),
    /// A partition's brokers forget all producers, though their records stay.
    Forget(i32),
    /// A broker restarts at once, and the partitions that it leads lose so many records each.
    Crash(i32, u32),
    /// From now on records have such timestamps.
    Date(Dated),
    /// The user has another password, and the client is told of it, or not.
    Password {
        /// Whether it is.
        told: bool,
    },
    /// Sessions that begin from now on last so long at most.
    Sessions(Option<Duration>),
    /// All brokers run, and for so long that they forget the producer nothing is written.
    Quiet,
    /// The chain of a partition goes on elsewhere: far on, or as if another writer had come.
    GoOnAt {
        /// The partition.
        partition: i32,
        /// The epoch.
        epoch: i16,
        /// The next sequence.
        sequence: i32,
    },
}

impl Plan {
    /// The storm of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let dice = &mut Random::new(seed);
        let partitions = dice.roll(1, 4) as i32;
        let mut config = configuration(dice);
        let connections = dice.roll(1, 5) as u32;
        let cluster = brokers(dice, seed, &config);
        let narrow = if dice.once_in(3) { dice.roll(300, 2_000) as usize } else { 1 << 20 };
        let topic = TopicConfig {
            max_message_bytes: narrow,
            min_in_sync_replicas: if dice.once_in(6) { 2 } else { 1 },
            ..TopicConfig::default()
        };
        let leaders = (0..partitions).map(|_| node(dice)).collect();
        let first = (0..dice.roll(0, 5).saturating_sub(3)).map(|_| faults::first_fault(dice));
        let first = first.collect();
        let mut steps = beginning(dice, partitions, config.enable_idempotence);
        let unclean = dice.once_in(5);
        let deletes = dice.once_in(6);
        for _ in 0..dice.roll(20, 120) {
            let what = action(dice, partitions, unclean, deletes);
            steps.push(Step { what, pause: Duration::from_micros(dice.roll(0, 40_000)) });
        }
        if dice.once_in(10) {
            put(dice, &mut steps, What::Recreate);
        }
        if dice.once_in(25) {
            // Who is away for long asks for metadata often.
            config.metadata_max_age = config.metadata_max_age.max(Duration::from_secs(2));
            put(dice, &mut steps, What::Quiet);
        }
        let end = match dice.once_in(10) {
            true => End::Closed(Duration::from_millis(dice.roll(0, 300))),
            false => End::Healed,
        };
        let laws = Laws::of(config.enable_idempotence, cluster.duplicates);
        Self {
            seed,
            config,
            connections,
            cluster,
            topic,
            leaders,
            first,
            steps,
            end,
            laws,
            losing: false,
            dated: Dated::Now,
            hostile: None,
            login: None,
            odd: None,
            compression: None,
            wall: Some(0),
        }
    }
}

fn node(dice: &mut dyn Dice) -> i32 {
    dice.roll(1, u64::from(NODES)) as i32
}

fn partition(dice: &mut dyn Dice, partitions: i32) -> i32 {
    dice.roll(0, partitions as u64 - 1) as i32
}

/// Puts a rare thing somewhere into a storm.
fn put(dice: &mut dyn Dice, steps: &mut Vec<Step>, what: What) {
    let at = dice.roll(0, steps.len() as u64 - 1) as usize;
    steps.insert(at, Step { what, pause: Duration::from_micros(dice.roll(0, 40_000)) });
}

fn configuration(dice: &mut dyn Dice) -> Config<'static> {
    let ms = |dice: &mut dyn Dice, low, high| Duration::from_millis(dice.roll(low, high));
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

fn brokers(dice: &mut dyn Dice, seed: u64, config: &Config<'_>) -> ClusterConfig {
    let restart_window =
        if dice.once_in(2) { ProducerWindow::LastBatch } else { ProducerWindow::Everything };
    let first_sequence =
        if dice.once_in(2) { FirstSequence::Any } else { FirstSequence::ZeroOnNewLog };
    let duplicates = match dice.roll(0, 19) {
        0 => Duplicates::AnErrorOfItsOwn,
        1 => Duplicates::OutOfOrder,
        2 => Duplicates::AppendedAgain,
        _ => Duplicates::Acknowledged,
    };
    // Brokers forget a producer long after it would have sent anything again: Kafka's own 24 hours
    // against five minutes of resolve.timeout.ms.
    let longest = config.delivery_timeout + config.resolve_timeout;
    ClusterConfig {
        seed,
        restart_window,
        first_sequence,
        duplicates,
        producer_id_expiration: longest + Duration::from_secs(60),
        producer_id_expiration_check: Duration::from_secs(1),
        storage: Storage::Everything,
        ..ClusterConfig::with_nodes(NODES)
    }
}

fn weather(dice: &mut dyn Dice) -> Weather {
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

/// How far the chains are when the storm breaks.
fn beginning(dice: &mut dyn Dice, partitions: i32, idempotent: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut push = |what, pause| steps.push(Step { what, pause });
    if dice.once_in(8) {
        // Near the last sequence or the last epoch.
        for partition in 0..partitions {
            let epoch = if dice.once_in(2) { dice.roll(31_990, 32_001) } else { dice.roll(0, 5) };
            let sequence = i32::MAX - dice.roll(0, 60) as i32;
            let what = What::GoOnAt { partition, epoch: epoch as i16, sequence };
            push(what, Duration::ZERO);
        }
    }
    if idempotent && dice.once_in(20) {
        // Records at a later epoch than those that follow, and later than they will come to: as if
        // another writer had come.
        let at = |epoch| What::GoOnAt { partition: 0, epoch, sequence: 0 };
        push(at(20_000), Duration::ZERO);
        push(records(dice, 0), Duration::from_millis(100));
        push(at(3), Duration::ZERO);
    }
    push(What::Weather(weather(dice)), Duration::ZERO);
    steps
}

fn records(dice: &mut dyn Dice, partition: i32) -> What {
    let count = dice.roll(1, 12);
    let record = |dice: &mut dyn Dice| {
        let partition = (!dice.once_in(4)).then_some(partition);
        (partition, dice.roll(8, 300) as usize)
    };
    What::Produce((0..count).map(|_| record(dice)).collect())
}

pub(super) fn action(dice: &mut dyn Dice, partitions: i32, unclean: bool, deletes: bool) -> What {
    let (node, partition) = (node(dice), partition(dice, partitions));
    match dice.roll(0, 32) {
        0 => What::Cut(dice.roll(0, 4)),
        1 => What::CutAfter(dice.roll(0, 2_000) as usize),
        2 if dice.once_in(3) => What::Deafen,
        3 => What::Freeze(node),
        4 | 5 => What::Thaw(node),
        6 if dice.once_in(2) => What::Stop(node),
        7 => What::Start(node),
        8 => What::Lead(partition, node),
        9..=11 => What::Fault(faults::fault(dice, partition)),
        12 => What::Throttle(node, Duration::from_millis(dice.roll(0, 50))),
        13..=15 => {
            let back = if dice.once_in(2) { 12 } else { 120 };
            What::Cancel(dice.roll(0, back))
        }
        16 => What::Flush,
        17 if dice.once_in(3) => What::Unreachable(node),
        18 => What::Reachable,
        19 if unclean => What::Lag(partition, node),
        20 if unclean && dice.once_in(3) => What::CatchUp(partition),
        21 if deletes => What::Delete(partition, dice.roll(0, 6) as i64),
        _ => records(dice, partition),
    }
}

impl What {
    /// How many records are produced.
    #[must_use]
    pub fn records(&self) -> usize {
        if let Self::Produce(records) = self { records.len() } else { 0 }
    }

    /// How many requests are met.
    #[must_use]
    pub const fn times(&self) -> u32 {
        if let Self::Fault(fault) = self { fault.times } else { 0 }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        match self.pause {
            Duration::ZERO => Ok(()),
            pause => write!(f, "; then {pause:?} pass"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Produce(records) => {
                f.write_str("produce")?;
                for (place, (partition, len)) in records.iter().enumerate() {
                    f.write_str(if place > 0 { ", " } else { " " })?;
                    write!(f, "{len} bytes for ")?;
                    match partition {
                        Some(partition) => write!(f, "partition {partition}")?,
                        None => f.write_str("any partition")?,
                    }
                }
                Ok(())
            }
            Self::Cancel(0) => f.write_str("cancel the newest record"),
            Self::Cancel(back) => write!(f, "cancel the record {back} before the newest"),
            Self::Misuse(misuse) => write!(f, "{}", misuse.name()),
            Self::Flush => f.write_str("flush"),
            Self::Weather(weather) => write!(f, "the network becomes {weather}"),
            Self::Cut(_) => f.write_str("cut a connection"),
            Self::CutAfter(bytes) => write!(f, "cut each connection after {bytes} more bytes"),
            Self::Deafen => f.write_str("lose all that brokers say on the open connections"),
            Self::Freeze(node) => write!(f, "freeze broker {node}"),
            Self::Thaw(node) => write!(f, "thaw broker {node}"),
            Self::Stop(node) => write!(f, "stop broker {node}"),
            Self::Start(node) => write!(f, "start broker {node}"),
            Self::Lead(partition, node) => write!(f, "broker {node} leads partition {partition}"),
            Self::Lag(partition, node) => {
                write!(f, "broker {node} stops to follow partition {partition}")
            }
            Self::CatchUp(partition) => write!(f, "all follow partition {partition} again"),
            Self::Fault(fault) => {
                let api = match fault.api {
                    ottla_core::wire::ApiKey::PRODUCE => "Produce",
                    ottla_core::wire::ApiKey::METADATA => "Metadata",
                    ottla_core::wire::ApiKey::DESCRIBE_PRODUCERS => "DescribeProducers",
                    _ => "InitProducerId",
                };
                match fault.times {
                    1 => write!(f, "the next {api}")?,
                    times => write!(f, "each of the next {times} {api}")?,
                }
                if let Some((_, partition)) = &fault.partition {
                    write!(f, " to partition {partition}")?;
                }
                match &fault.action {
                    Action::Reject(error) => write!(f, " is refused with {error}"),
                    Action::Blame(numbers) => write!(f, " is refused for its records {numbers:?}"),
                    Action::AppendThenError { error, .. } => {
                        write!(f, " is appended and answered {error}")
                    }
                    Action::Swallow => f.write_str(" has its answer lost"),
                    Action::Hold(time) => write!(f, " is answered {time:?} late"),
                    Action::CloseBefore => f.write_str(" is not handled: the connection closes"),
                    Action::CloseAfter => f.write_str(" is handled, and the connection closes"),
                    Action::Garbage(_) => f.write_str(" is answered with garbage"),
                    Action::WrongCorrelation(_) => f.write_str(" is answered by a wrong number"),
                    Action::Omit => f.write_str(" is left out of its answer"),
                    Action::Twice => f.write_str(" is answered twice over"),
                    Action::Stray => f.write_str(" is answered with more than was asked"),
                    Action::Lose { records, state } => {
                        write!(f, " finds {records} records lost")?;
                        f.write_str(if *state { ", and producers forgotten" } else { "" })
                    }
                    Action::Freeze => f.write_str(" freezes its broker"),
                }
            }
            Self::Throttle(node, time) => write!(f, "broker {node} throttles for {time:?}"),
            Self::Unreachable(node) => write!(f, "broker {node} is unreachable"),
            Self::Reachable => f.write_str("all brokers are reachable"),
            Self::Delete(partition, keep) => {
                write!(f, "delete all records of partition {partition} but {keep}")
            }
            Self::Recreate => f.write_str("delete the topic and make it anew"),
            Self::Lose(partition, records) => {
                write!(f, "partition {partition} loses {records} records, unnoticed")
            }
            Self::Forget(partition) => write!(f, "partition {partition} forgets producers"),
            Self::Crash(node, records) => {
                write!(f, "broker {node} restarts and loses {records} records of each partition")
            }
            Self::Date(dated) => write!(f, "records are dated {dated:?}"),
            Self::Password { told: true } => {
                f.write_str("change the password, and tell the client")
            }
            Self::Password { told: false } => f.write_str("change the password, and tell nobody"),
            Self::Sessions(Some(length)) => write!(f, "sessions last {length:?} from now on"),
            Self::Sessions(None) => f.write_str("sessions last for ever from now on"),
            Self::Quiet => f.write_str("nothing happens until brokers forget the producer"),
            Self::GoOnAt { partition, epoch, sequence } => {
                write!(f, "partition {partition} goes on at epoch {epoch}, sequence {sequence}")
            }
        }
    }
}
