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
    /// Serves odd and hostile answers to a client, and judges it.
    #[cfg(unix)]
    #[command(after_help = CLIENT_HELP)]
    Client(Client),
    /// Writes a dictionary and seed corpora for other fuzzers: AFL++, libFuzzer, Jazzer, Go's.
    Export(Export),
    /// A small producer, as `ottla-fuzz client` runs it.
    ExampleClient(ExampleClient),
}

#[cfg(unix)]
const CLIENT_HELP: &str = "\
COMMAND produces records, each with a value of its own, to the topic, until it gets SIGTERM. Where
{bootstrap} and {topic} stand in its words, the broker's address and the topic are filled in; they
are in OTTLA_FUZZ_BOOTSTRAP and OTTLA_FUZZ_TOPIC as well. For each record of which it was told that
it is in the log it prints a line, and nothing else that begins so:

    ack PARTITION OFFSET VALUE

OFFSET is - where it does not know it.

Exit status: 0 nothing was found that matters, 1 usage, or it could not be done, 2 a law is broken.";

/// `ottla-fuzz client`.
#[cfg(unix)]
#[derive(Debug, Args)]
pub(crate) struct Client {
    /// Address for the first broker; port 0 takes a free one. The others are beside it.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// The network is my own, and others may come to the address.
    #[arg(long)]
    pub(crate) it_is_mine: bool,
    /// Seed of the first episode; each one after it has the next.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Episodes; the command is started once for each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) episodes: u64,
    /// Seconds after which no further episode is begun.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// Seconds in which things go wrong, in each episode.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub(crate) storm_seconds: u64,
    /// Seconds until the first acknowledgement is due.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) begin_within: u64,
    /// Seconds until an acknowledgement is due when all is well again.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) recover_within: u64,
    /// Memory that the command's process group may have, in MiB (Linux).
    #[arg(long, default_value_t = 512)]
    pub(crate) rss_mib: u64,
    /// Requests and connections a second that may bring nothing into a log, over two seconds.
    #[arg(long, default_value_t = 200)]
    pub(crate) idle_per_second: u64,
    /// Brokers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub(crate) nodes: u16,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) partitions: u32,
    /// The topic.
    #[arg(long, default_value = "ottla-fuzz")]
    pub(crate) topic: String,
    /// File for the report as JSON; what is in it is overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Throws away what the command writes to standard error.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The client.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

/// `ottla-fuzz example-client`.
#[derive(Debug, Args)]
pub(crate) struct ExampleClient {
    /// A broker.
    #[arg(long, value_name = "HOST:PORT", env = "OTTLA_FUZZ_BOOTSTRAP")]
    pub(crate) bootstrap: String,
    /// The topic.
    #[arg(long, env = "OTTLA_FUZZ_TOPIC")]
    pub(crate) topic: String,
    /// A fault, for who tries the judge.
    #[arg(long, value_enum)]
    pub(crate) plant: Option<PlantInClient>,
}

/// Faults that the example client can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlantInClient {
    /// A record that may be in the log is sent under the next sequence number
    Resequence,
    /// A record of which nothing is known is told as acknowledged
    FalseAck,
    /// It does not wait before it tries again
    Spin,
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
