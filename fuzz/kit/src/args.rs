//! What the command takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ottla_model::Planted;

const EXITS: &str = "\
Exit status: 0 nothing was found that matters, 1 usage, or it could not be done, 2 a law is broken,
3 no law is broken, and two brokers differ.";

/// Fuzzes a Kafka broker or client of one's own.
#[derive(Debug, Parser)]
#[command(name = "ottla-fuzz", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Puts sequences of sound and spoilt requests to a broker, and judges it.
    #[command(after_help = EXITS)]
    Broker(Broker),
    /// Writes a dictionary and seed corpora for other fuzzers: AFL++, libFuzzer, Jazzer, Go's.
    Export(Export),
}

/// `ottla-fuzz export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Folder to write to; what is in it is overwritten.
    pub(crate) folder: PathBuf,
    /// Writes requests with one thing wrong each as well.
    #[arg(long)]
    pub(crate) spoilt: bool,
}

/// `ottla-fuzz broker`.
#[derive(Debug, Args)]
pub(crate) struct Broker {
    /// Broker to fuzz, over plain TCP, without SASL: host:port; or `model`, a broker inside this
    /// program
    #[arg(long, value_name = "HOST:PORT|model")]
    pub(crate) bootstrap: String,
    /// Broker to compare it with, which gets the same requests.
    #[arg(long, value_name = "HOST:PORT|model")]
    pub(crate) against: Option<String>,
    /// A broker on another machine is my own, and I may break it.
    #[arg(long)]
    pub(crate) it_is_mine: bool,
    /// Seed of the first sequence; each one after it has the next.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Sequences to put.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sequences: u64,
    /// Seconds after which no further sequence is begun.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// Requests in a sequence.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) steps: u16,
    /// What to send; may be given several times [default: all]
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Kind>,
    /// Partitions of each topic that is made.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub(crate) partitions: i32,
    /// What the names of topics begin with that are made, and deleted again.
    #[arg(long, default_value = "ottla-fuzz")]
    pub(crate) topic_prefix: String,
    /// Leaves the topics where they are.
    #[arg(long)]
    pub(crate) keep_topics: bool,
    /// Milliseconds within which each answer is due.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) answer_within: u64,
    /// Runs to make one finding small.
    #[arg(long, default_value_t = 200)]
    pub(crate) shrink_runs: usize,
    /// Seconds for the same.
    #[arg(long, default_value_t = 20)]
    pub(crate) shrink_seconds: u64,
    /// Findings after which it ends.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) findings: u16,
    /// File for the report as JSON; what is in it is overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Puts what a report has found once more, and nothing else.
    #[arg(long, value_name = "REPORT")]
    pub(crate) replay: Option<PathBuf>,
    /// Fault to give to `--bootstrap model`, to see what a finding looks like.
    #[arg(long, value_enum)]
    pub(crate) plant: Option<Plant>,
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Batches of idempotent producers, right and wrong, in chains
    Chains,
    /// Requests of all other APIs that are as they should be
    Valid,
    /// Requests with one thing wrong
    Spoilt,
}

/// Faults that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// A batch that is in the log already is appended once more
    Duplicate,
    /// A batch behind a gap is appended
    Gap,
    /// A batch of several records is acknowledged with the offset of its last one
    Offset,
}

impl From<Plant> for Planted {
    fn from(plant: Plant) -> Self {
        match plant {
            Plant::Duplicate => Self::DuplicateAppended,
            Plant::Gap => Self::GapAppended,
            Plant::Offset => Self::WrongOffset,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }
}
