//! Which Kafka is tested, and with what.

use core::fmt;

use anyhow::Result;
use ottla_kafka::{Cluster, Config, NEWEST, Version};

/// The largest batch that the tests' brokers take, in bytes.
const MESSAGE_MAX_BYTES: u32 = 2 << 20;

/// What drives the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// ottla-tokio.
    Tokio,
    /// ottla-blocking.
    Blocking,
}

impl Adapter {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Tokio, Self::Blocking];

    /// Its name for `--driver`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Blocking => "blocking",
        }
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version to test: `OTTLA_KAFKA_VERSION`, else the newest.
#[must_use]
pub fn version() -> String {
    std::env::var("OTTLA_KAFKA_VERSION").unwrap_or_else(|_| NEWEST.to_owned())
}

/// The topic's property that bounds how old a record's timestamp may be, as [`version`] calls it.
///
/// # Panics
/// Where that is no version.
#[must_use]
pub fn oldest_timestamp() -> &'static str {
    let is_newer = version().parse::<Version>().unwrap() >= "3.6.0".parse().unwrap();
    if is_newer { "message.timestamp.before.max.ms" } else { "message.timestamp.difference.max.ms" }
}

/// Starts a cluster of [`version`].
///
/// # Errors
/// When it does not start.
pub fn cluster(nodes: usize) -> Result<Cluster> {
    let mut config = Config::new(&version(), nodes)?;
    config.message_max_bytes = MESSAGE_MAX_BYTES;
    Cluster::start(&config)
}
