//! Which configuration the producer is given, and which cluster is there.

use core::time::Duration;
use std::sync::OnceLock;

use ottla_core::{
    Acks, Compression, Config, OnForgotten, OnUnknown, PartitionShard, Partitioner, wire::ApiKey,
};
use ottla_model::{
    AutoCreate, ClusterConfig, Duplicates, ProducerWindow, TimestampType, TopicConfig, Versions,
    sasl::{Mechanism, SaslConfig},
};
use ottla_scenario::{Dice, PASSWORD, Tape, USER};

/// Names of topics: those that there are first, then those that there are not, and those that are none.
pub(super) const NAMES: [&str; 8] = [
    "t",
    "readings",
    "other",
    "missing",
    "",
    "..",
    "no name",
    "of.a.length-that-no_small-memory.has.room-for",
];
/// How many of them there are.
pub(super) const TOPICS: usize = 3;

/// The scene.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) config: Config<'static>,
    pub(super) cluster: ClusterConfig,
    /// How many partitions each topic has.
    pub(super) partitions: [u32; TOPICS],
    pub(super) topic: TopicConfig,
    pub(super) seed: u64,
    /// The client says who it is.
    pub(super) logs_in: bool,
}

impl Scene {
    pub(super) fn of(dice: &mut Tape) -> Self {
        let seed = dice.roll(0, 255);
        let mut cluster = ClusterConfig::with_nodes(dice.roll(1, 6) as u16);
        cluster.seed = seed;
        // Most runs are of a plain scene, which takes a byte, so that little is left to be wrong by chance.
        let kind = dice.roll(0, 255);
        let mut config = plain(kind);
        config.bootstrap_servers = "127.0.0.1:9092,127.0.0.1:9093";
        let mut topic = TopicConfig::default();
        let mut logs_in = false;
        if kind & 0x10 != 0 {
            configure(dice, &mut config);
        }
        if kind & 0x20 != 0 {
            (logs_in, topic) = govern(dice, &mut cluster);
        }
        let mut count = || dice.roll(1, 5) as u32;
        Self { partitions: [count(), count(), count()], config, cluster, topic, seed, logs_in }
    }
}

/// A configuration that works, of short times.
fn plain(kind: u64) -> Config<'static> {
    let ms = Duration::from_millis;
    let idempotent = kind & 0xc != 0xc;
    Config {
        enable_idempotence: idempotent,
        acks: if idempotent || kind & 1 == 0 { Acks::All } else { Acks::None },
        linger: if kind & 1 == 0 { Duration::ZERO } else { ms(5) },
        max_in_flight: if kind & 2 == 0 { 5 } else { 1 },
        batch_size: 200,
        max_request_size: 1_024,
        delivery_timeout: ms(500),
        request_timeout: ms(100),
        resolve_timeout: ms(1_000),
        retry_backoff: ms(5),
        retry_backoff_max: ms(40),
        reconnect_backoff: ms(5),
        reconnect_backoff_max: ms(40),
        metadata_max_age: ms(2_000),
        connection_setup_timeout: ms(50),
        connection_setup_timeout_max: ms(100),
        compression: match kind >> 6 {
            1 => Compression::Lz4,
            2 => Compression::Snappy,
            _ => Compression::None,
        },
        limits_topics: 8,
        limits_partitions: 64,
        ..Config::default()
    }
}

/// Any duration, the ends among them.
pub(super) fn duration(dice: &mut Tape) -> Duration {
    match dice.roll(0, 7) {
        0 => Duration::ZERO,
        1 => Duration::MAX,
        2 => Duration::from_nanos(dice.roll(1, 256)),
        3 => Duration::from_micros(dice.roll(1, 65_536)),
        4 => Duration::from_secs(dice.roll(1, 65_536)),
        5 => Duration::from_micros(u64::MAX - dice.roll(0, 255)),
        _ => Duration::from_millis(dice.roll(1, 256)),
    }
}

/// Changes some properties, to any values.
fn configure(dice: &mut Tape, config: &mut Config<'static>) {
    for _ in 0..dice.roll(1, 8) {
        match dice.roll(0, 29) {
            0 => config.linger = duration(dice),
            1 => config.delivery_timeout = duration(dice),
            2 => config.request_timeout = duration(dice),
            3 => config.resolve_timeout = duration(dice),
            4 => config.retry_backoff = duration(dice),
            5 => config.retry_backoff_max = duration(dice),
            6 => config.reconnect_backoff = duration(dice),
            7 => config.reconnect_backoff_max = duration(dice),
            8 => config.metadata_max_age = duration(dice),
            9 => config.rebootstrap_trigger = duration(dice),
            10 => config.connections_max_idle = duration(dice),
            11 => config.connection_setup_timeout = duration(dice),
            12 => config.connection_setup_timeout_max = duration(dice),
            13 => config.producer_id_expiration = duration(dice),
            14 => config.max_block = duration(dice),
            15 => config.batch_size = dice.roll(0, 65_535) as u32,
            16 => config.batch_size = (1 << 30) + 1 - dice.roll(0, 2) as u32,
            17 => config.max_request_size = 512 + dice.roll(0, 65_535) as u32,
            18 => config.max_request_size = if dice.once_in(2) { 1 << 30 } else { 511 },
            19 => config.max_in_flight = dice.roll(0, 6) as u8,
            20 => config.on_unknown = OnUnknown::Abandon,
            21 => config.on_forgotten = OnForgotten::Resend,
            22 => config.allow_auto_create_topics = dice.once_in(2),
            23 => {
                config.partitioner = match dice.roll(0, 2) {
                    0 => Partitioner::IgnoreKeys,
                    1 => Partitioner::Custom(|_, _, _| u32::MAX),
                    _ => Partitioner::Custom(|_, value, _| value.map_or(7, <[u8]>::len) as u32),
                };
            }
            24 => {
                config.share =
                    PartitionShard { index: dice.roll(0, 4) as u16, of: 1 << dice.roll(0, 3) };
            }
            25 => config.secured = true,
            26 => {
                let ids =
                    ["", "of.sixty-four.bytes.of.which.the.last.one.fits.and.no.more.than.it"];
                config.client_id = ids[dice.roll(0, 1) as usize];
            }
            27 => {
                config.bootstrap_servers = [
                    "",
                    ",, ,",
                    "127.0.0.1:9092",
                    "PLAINTEXT://127.0.0.1:9093,nobody:1",
                    "[::1]:9092,127.0.0.1:9092",
                    "127.0.0.1",
                    "a.name.that.is.too.long.for.small.memory.and.for.others:9092,127.0.0.1:9092",
                    "127.0.0.1:65536",
                ][dice.roll(0, 7) as usize];
            }
            28 => config.limits_topics = dice.roll(0, 4) as u32,
            _ => {
                (config.enable_idempotence, config.acks) =
                    (dice.once_in(2), if dice.once_in(2) { Acks::Leader } else { Acks::All });
            }
        }
    }
}

/// Who brokers know: made once, since keys are derived for it.
fn accounts() -> SaslConfig {
    static ACCOUNTS: OnceLock<SaslConfig> = OnceLock::new();
    let make = || SaslConfig::with(&Mechanism::ALL).user(USER, PASSWORD);
    ACCOUNTS.get_or_init(make).clone()
}

/// Makes the cluster another one. Tells whether it asks who the client is, and what its topics are like.
fn govern(dice: &mut Tape, cluster: &mut ClusterConfig) -> (bool, TopicConfig) {
    let mut topic = TopicConfig::default();
    let mut logs_in = false;
    for _ in 0..dice.roll(1, 6) {
        match dice.roll(0, 9) {
            0 => {
                let node = dice.roll(0, cluster.nodes.len() as u64 - 1) as usize;
                let versions = &mut cluster.nodes[node].versions;
                *versions = match dice.roll(0, 4) {
                    0 => Versions::kafka_2_8(),
                    1 => Versions::kafka_3_9(),
                    2 => Versions::none().with(ApiKey::API_VERSIONS, 0, 3),
                    3 => Versions::kafka_4().without(ApiKey::DESCRIBE_PRODUCERS),
                    _ => Versions::kafka_2_8().with(ApiKey::PRODUCE, 0, dice.roll(0, 13) as i16),
                };
            }
            1 => {
                cluster.duplicates = match dice.roll(0, 3) {
                    0 => Duplicates::AnErrorOfItsOwn,
                    1 => Duplicates::OutOfOrder,
                    2 => Duplicates::AppendedAgain,
                    _ => Duplicates::Acknowledged,
                };
            }
            2 => cluster.restart_window = ProducerWindow::Everything,
            3 => cluster.may_read = false,
            4 => topic.max_message_bytes = dice.roll(70, 325) as usize,
            5 => topic.timestamp_type = TimestampType::LogAppendTime,
            6 => topic.min_in_sync_replicas = dice.roll(1, 4) as u32,
            7 => cluster.auto_create = AutoCreate::AtOnce,
            8 => cluster.max_request_bytes = dice.roll(100, 355) as usize,
            _ => {
                let mut asks = accounts();
                let reauth = dice.roll(0, 255);
                asks.max_reauth = (reauth > 0).then(|| Duration::from_millis(reauth * 20));
                cluster.sasl = Some(asks);
                logs_in = !dice.once_in(8);
            }
        }
    }
    (logs_in, topic)
}
