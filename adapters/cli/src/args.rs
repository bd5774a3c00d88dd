//! What the command takes.

use core::{fmt, time::Duration};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ottla_core::OnUnknown;
use ottla_model::sasl::{Mechanism, Token, User};

#[cfg(feature = "sasl")]
use crate::secret::Whereabouts;
use crate::{hidden::Hidden, properties_file::may_be_name};

/// For how many seconds a token holds of which nothing is said.
const AN_HOUR: u32 = 3_600;

/// More threads than that only wait for one another.
const MAX_BENCH_THREADS: i64 = 1_000;

/// Produces to Kafka, and reports the outcome of every record.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Produces one record a line.
    #[command(after_help = PRODUCE_HELP)]
    Produce(Produce),
    /// Measures the producer; prints one JSON object.
    Bench(Bench),
    /// Runs the model broker alone, until SIGINT or SIGTERM.
    Broker(Broker),
    /// Shows in some seconds, against a model broker inside, what becomes of a record whose outcome is
    /// unknown for a while, and checks it.
    Demo,
}

const PRODUCE_HELP: &str = "\
Lines end at \\n; a \\r before it belongs to the record. An empty line is an empty value.

Ends with `delivered=N not_delivered=N unknown=N elapsed_s=S rate=R` on standard error, counting
the final outcome of each line. Exit status: 0 all delivered, 1 usage or configuration, or something
could not be read or written, 2 some not delivered, 3 some unknown. A pipe that nobody reads any more
is no error, and all lines are sent all the same. Ctrl-C stops reading and gives what is on its way
five seconds; a second one ends the program at once.";

/// Which adapter drives the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DriverKind {
    /// ottla-tokio.
    Tokio,
    /// ottla-blocking: threads and no runtime.
    Blocking,
}

/// What becomes of a record that is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnUnknownKind {
    /// It is sent on, the same bytes with the same sequence, until a broker answers for it
    Resolve,
    /// It is not sent again
    Abandon,
}

impl From<OnUnknownKind> for OnUnknown {
    fn from(kind: OnUnknownKind) -> Self {
        match kind {
            OnUnknownKind::Resolve => Self::Resolve,
            OnUnknownKind::Abandon => Self::Abandon,
        }
    }
}

/// What all producers take.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connect {
    /// Brokers to begin with, as host:port, separated by commas [default: a model broker inside
    /// this program]
    #[arg(long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap: Option<String>,
    /// Topic to produce to.
    #[arg(long)]
    pub(crate) topic: String,
    /// Sets a property of Kafka's producer, such as linger.ms=0. For secrets and sasl.username the
    /// value may be env:NAME or file:PATH, which says where it is.
    #[arg(long = "property", value_name = "K=V", value_parser = Hidden(property))]
    pub(crate) properties: Vec<Property>,
    /// File with properties, as Kafka's own tools take it, in UTF-8; --property counts before it,
    /// and its secrets may be elsewhere as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Compresses batches: gzip, snappy, lz4 or zstd, with a level if it has levels, such as zstd:3
    /// (properties compression.type and compression.zstd.level). It counts before --property.
    #[arg(long, value_name = "TYPE[:LEVEL]", value_parser = compression)]
    pub(crate) compression: Option<Compression>,
    #[cfg(feature = "sasl")]
    #[command(flatten)]
    pub(crate) token: TokenOptions,
    /// Adapter that drives the core.
    #[arg(long, value_enum, default_value_t = DriverKind::Tokio)]
    pub(crate) driver: DriverKind,
    /// Cores that share the work, each with partitions of its own: a power of two.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) shards: u16,
}

/// Where tokens for OAUTHBEARER are.
#[cfg(feature = "sasl")]
#[derive(Clone, Debug, Args)]
pub(crate) struct TokenOptions {
    /// Where the token for sasl.mechanism=OAUTHBEARER is. It is read anew each time one is wanted.
    #[arg(long, value_name = "env:NAME|file:PATH", value_parser = Hidden(whereabouts))]
    pub(crate) token: Option<Whereabouts>,
    /// For how many seconds a token is good that does not say so itself by the claim exp of a JWT.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "token")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) token_lifetime: u64,
    /// Extension that goes with the token, such as logicalCluster=lkc-12345.
    #[arg(long = "token-extension", value_name = "NAME=VALUE", requires = "token")]
    #[arg(value_parser = extension)]
    pub(crate) token_extensions: Vec<(String, String)>,
}

/// `NAME=VALUE`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Without the value, which may be a secret.
impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Property").field(&self.name).finish()
    }
}

/// `TYPE`, or `TYPE:LEVEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compression {
    pub(crate) kind: String,
    pub(crate) level: Option<String>,
}

/// `ottla produce`.
#[derive(Debug, Args)]
pub(crate) struct Produce {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// File to read [default: standard input]
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// Splits each line into key and value where it first occurs; a line without it has no key.
    #[arg(long, value_name = "S", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) key_separator: Option<String>,
    /// Cancels a record that has no answer after this many milliseconds, and tells at once what is
    /// true of it; a later truth is told too.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) deadline: Option<u64>,
    /// What the producer does once it has told `unknown` (property on.unknown) [default: resolve]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) on_unknown: Option<OnUnknownKind>,
    /// Once each line has an answer, waits so many milliseconds for late ones, and tells what is
    /// still unknown then [default: delivery.timeout.ms and a second, for all answers together]
    #[arg(long, value_name = "MS")]
    pub(crate) settle: Option<u64>,
    /// File for one JSON object for each outcome; - is standard output. What is in it is
    /// overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) outcomes: Option<PathBuf>,
    /// Reads at most this many lines a second.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Prints nothing but errors and the summary.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `ottla bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Number of records.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Bytes in each value.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
    /// File whose lines are the values, again and again [default: bytes that cannot be compressed, or
    /// readings in JSON where batches are compressed]
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    pub(crate) payload: Option<PathBuf>,
    /// Threads that send, all of them with one producer.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=MAX_BENCH_THREADS))]
    pub(crate) threads: u16,
    /// Records that are sent by one call.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: u16,
    /// Waits for each record before the next; linger.ms is 0 unless it is set.
    #[arg(long, conflicts_with_all = ["threads", "batch"])]
    pub(crate) sync: bool,
}

/// `ottla broker`.
#[derive(Debug, Args)]
pub(crate) struct Broker {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub(crate) listen: String,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) partitions: u32,
    /// Topic to create now; any other is created when it is first asked for.
    #[arg(long = "topic", value_name = "NAME")]
    pub(crate) topics: Vec<String>,
    /// Prints each record that comes into a log, and each batch that is recognised as a duplicate
    /// and does not, with the producer's id, its epoch and the sequence number.
    #[arg(long)]
    pub(crate) dump: bool,
    /// Lets in only who authenticates by this mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or
    /// OAUTHBEARER; may be given several times.
    #[arg(long = "sasl-mechanism", value_name = "NAME", value_parser = mechanism)]
    pub(crate) mechanisms: Vec<Mechanism>,
    /// User for PLAIN and SCRAM. It is for trying only: others on this machine see the password.
    #[arg(long = "sasl-user", value_name = "NAME:PASSWORD", value_parser = Hidden(user))]
    #[arg(requires = "mechanisms")]
    pub(crate) users: Vec<User>,
    /// Token for OAUTHBEARER, whose it is, and for how many seconds from now it holds [default: an
    /// hour]
    #[arg(long = "sasl-token", value_name = "NAME:TOKEN[:SECONDS]", value_parser = Hidden(token))]
    #[arg(requires = "mechanisms")]
    pub(crate) tokens: Vec<Token>,
    /// Milliseconds after which a connection has to authenticate again (connections.max.reauth.ms).
    #[arg(long = "max-reauth-ms", value_name = "MS", requires = "mechanisms")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_reauth: Option<u64>,
    /// Speaks TLS alone, with a certificate that is made now, and writes the certificate of who signed
    /// it to this file; what is in it is overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
}

/// No more of it is repeated than what may be a name.
fn property(text: &str) -> Result<Property, String> {
    let expected = "expected NAME=VALUE, such as linger.ms=0";
    match text.split_once('=') {
        Some((name, value)) if may_be_name(name.trim()) => {
            Ok(Property { name: name.trim().to_owned(), value: value.to_owned() })
        }
        Some(_) => Err(expected.to_owned()),
        None => {
            let name = text.split(|char: char| !may_be_name(char.encode_utf8(&mut [0; 4]))).next();
            Err(format!("'{}': {expected}", name.unwrap_or_default()))
        }
    }
}

/// What fits to what is judged with the properties.
fn compression(text: &str) -> Result<Compression, String> {
    let (kind, level) = match text.split_once(':') {
        Some((kind, level)) => (kind, Some(level)),
        None => (text, None),
    };
    match (kind, level) {
        ("none" | "gzip" | "snappy" | "lz4" | "zstd", None)
        | ("gzip" | "lz4" | "zstd", Some(_)) => {
            Ok(Compression { kind: kind.to_owned(), level: level.map(str::to_owned) })
        }
        ("none" | "snappy", Some(_)) => Err(format!("{kind} has no levels")),
        _ => Err("expected none, gzip, snappy, lz4 or zstd".to_owned()),
    }
}

#[cfg(feature = "sasl")]
fn whereabouts(text: &str) -> Result<Whereabouts, String> {
    let why =
        "expected env:NAME or file:PATH: others on this machine see what is on a command line";
    Whereabouts::of(text).ok_or_else(|| why.to_owned())
}

#[cfg(feature = "sasl")]
fn extension(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn mechanism(text: &str) -> Result<Mechanism, String> {
    let names = Mechanism::ALL.map(Mechanism::name).join(", ");
    Mechanism::of(text).ok_or_else(|| format!("expected one of {names}"))
}

fn user(text: &str) -> Result<User, String> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => {
            Ok(User::new(name, password))
        }
        _ => Err("expected NAME:PASSWORD".to_owned()),
    }
}

fn token(text: &str) -> Result<Token, String> {
    let mut fields = text.split(':');
    let seconds = |text: &str| text.parse().ok().filter(|seconds: &u32| *seconds > 0);
    let (name, text) = (fields.next(), fields.next());
    let holds = fields.next().map_or(Some(AN_HOUR), seconds);
    match (name, text, holds, fields.next()) {
        (Some(name), Some(text), Some(holds), None) if !name.is_empty() && !text.is_empty() => {
            Ok(Token {
                text: text.to_owned(),
                principal: name.to_owned(),
                until: Duration::from_secs(holds.into()),
            })
        }
        _ => Err("expected NAME:TOKEN or NAME:TOKEN:SECONDS".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn properties_are_split_at_the_first_equals_sign() {
        let split = |text| property(text).map(|Property { name, value }| (name, value));
        assert_eq!(split("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(split(" acks =all"), Ok(("acks".to_owned(), "all".to_owned())));
        assert!(split("acks").unwrap_err().starts_with("'acks': "));
        assert!(split("=all").is_err());
    }

    #[test]
    fn compression_has_a_level_where_its_type_has_levels() {
        let read = |text| compression(text).map(|Compression { kind, level }| (kind, level));
        assert_eq!(read("lz4"), Ok(("lz4".to_owned(), None)));
        assert_eq!(read("zstd:-7"), Ok(("zstd".to_owned(), Some("-7".to_owned()))));
        assert!(read("snappy:1").unwrap_err().contains("no levels"));
        for broken in ["", ":1", "brotli", "LZ4"] {
            assert!(read(broken).unwrap_err().contains("zstd"), "{broken}");
        }
    }

    #[test]
    fn what_may_be_a_password_is_not_repeated() {
        for text in
            ["sasl.password:hunter2", "sasl.password hunter2", "=hunter2", "pass word=hunter2"]
        {
            let told = property(text).unwrap_err();
            assert!(!told.contains("hunter2") && told.contains("NAME=VALUE"), "{told}");
        }
        let property = property("sasl.password=hunter2").unwrap();
        assert_eq!(format!("{property:?}"), "Property(\"sasl.password\")");
    }

    #[test]
    fn users_and_tokens_are_split_at_their_colons() {
        let read = user("alice:a:b").unwrap();
        assert_eq!((&*read.name, &*read.password), ("alice", "a:b"));
        for broken in ["alice", ":secret", "alice:"] {
            assert!(user(broken).is_err(), "{broken}");
        }
        let read = |text| token(text).map(|token| (token.principal, token.text, token.until));
        let expected = |seconds| ("a".to_owned(), "t".to_owned(), Duration::from_secs(seconds));
        assert_eq!(read("a:t"), Ok(expected(3_600)));
        assert_eq!(read("a:t:7"), Ok(expected(7)));
        for broken in ["a", "a:", ":t", "a:t:", "a:t:0", "a:t:-1", "a:t:x", "a:t:7:8"] {
            assert!(token(broken).is_err(), "{broken}");
        }
        assert_eq!(mechanism("SCRAM-SHA-512"), Ok(Mechanism::ScramSha512));
        assert!(mechanism("GSSAPI").unwrap_err().contains("OAUTHBEARER"));
    }
}
