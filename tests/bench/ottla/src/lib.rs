//! What ottla's contestants have in common.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bench_contestant::{Arguments, Compression, Shape};
use clap::{Parser, ValueEnum};
use ottla_blocking::{Config, Limits, Report, Stats};

/// The version of what takes part.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a record may take, and a close.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What all contestants are told, and how ottla is to be told of outcomes.
#[derive(Clone, Debug, Parser)]
pub struct Entry {
    /// What all contestants are told.
    #[command(flatten)]
    pub arguments: Arguments,
    /// How to learn what became of the records.
    #[arg(long, value_enum, default_value_t = Outcomes::Report)]
    pub outcomes: Outcomes,
    /// Cores that share the work.
    #[arg(long, default_value_t = 1)]
    pub shards: usize,
    /// `compression.zstd.level`. The default here is not that of the producer, but the one that leaves as many bytes of
    /// readings in batches of 64 KiB as level 1 of C zstd does.
    #[arg(long, default_value = "-3", allow_hyphen_values = true)]
    pub zstd_level: String,
}

/// How to learn what became of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(clippy::exhaustive_enums, reason = "it is matched here alone")]
pub enum Outcomes {
    /// A callback for each record.
    Report,
    /// The counts that a flush returns; each record's own could be asked of its delivery.
    Tally,
}

impl Entry {
    /// The configuration that the arguments ask for; all else is as it is by default.
    #[must_use]
    pub fn config(&self) -> Config<'_> {
        let arguments = &self.arguments;
        Config {
            bootstrap_servers: &arguments.bootstrap,
            linger: match arguments.shape {
                Shape::Lone => Duration::ZERO,
                Shape::Load | Shape::Overload => Duration::from_millis(arguments.linger_ms),
            },
            batch_size: arguments.batch_size,
            buffer_memory: arguments.buffer_memory,
            max_block: PATIENCE,
            ..Config::default()
        }
    }

    /// The properties that are no part of a configuration.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        let compression = self.arguments.compression;
        let level = (compression == Some(Compression::Zstd))
            .then_some(("compression.zstd.level", self.zstd_level.as_str()));
        compression.map(|it| ("compression.type", it.name())).into_iter().chain(level)
    }

    /// Whether outcomes are learned from reports: a lone record's is waited for.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.outcomes == Outcomes::Report && self.arguments.shape != Shape::Lone
    }

    /// What there is room for: as it is by default, and for the idle brokers.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = Limits::for_config(&self.config());
        match self.arguments.idle {
            0 => limits,
            idle => Limits { connections: idle + 8, brokers: 2 * idle + 8, ..limits },
        }
    }
}

/// Places to count in: more than there are threads that report.
const PLACES: usize = 64;

/// What the callback has heard: of every record its own outcome.
#[derive(Debug)]
pub struct Heard {
    /// Whether several threads report at a time.
    several: bool,
    delivered: Box<[Place]>,
}

/// A counter with cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(AtomicU64);

impl Heard {
    /// What so many shards will report.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let delivered = (0..PLACES).map(|_| Place::default()).collect();
        Self { several: shards > 1, delivered }
    }

    /// A callback that counts.
    pub fn callback(self: &Arc<Self>) -> impl Fn(&Report) + Send + Sync + 'static {
        let heard = Arc::clone(self);
        move |report| {
            if report.outcome.is_delivered() {
                heard.count();
            }
        }
    }

    fn count(&self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        let place = if self.several { NUMBER.with(|number| number % PLACES) } else { 0 };
        let Some(Place(delivered)) = self.delivered.get(place) else {
            return;
        };
        if self.several {
            delivered.fetch_add(1, Ordering::Release);
        } else {
            // Only the one that moves the bytes calls this.
            delivered.store(delivered.load(Ordering::Relaxed) + 1, Ordering::Release);
        }
    }

    /// How many were delivered, by the callback, or else by the producer's counters.
    #[must_use]
    pub fn delivered(&self, outcomes: Outcomes, stats: &Stats) -> u64 {
        match outcomes {
            Outcomes::Report => {
                self.delivered.iter().map(|Place(count)| count.load(Ordering::Acquire)).sum()
            }
            Outcomes::Tally => stats.answers.delivered,
        }
    }
}
