//! Why a producer was not built, and why a record was not taken.

use core::{error::Error, fmt, time::Duration};
use std::{io, sync::Arc};

use ottla_core::{ConfigError, Disconnect, ProduceError, wire::ErrorCode};

/// Why a producer was not built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A property was refused; the text names it.
    Property(String),
    /// The configuration as a whole was refused.
    Config(ConfigError),
    /// The operating system did not give what a driver needs.
    Io(io::Error),
    /// There is no runtime to run the driver on.
    NoRuntime,
    /// The runtime was built without this driver of its own, `io` or `time`.
    RuntimeWithout(&'static str),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(text) => f.write_str(text),
            Self::Config(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "the driver could not be started: {error}"),
            Self::RuntimeWithout(what) => {
                write!(f, "the runtime has no {what} driver: build it with `enable_all`")
            }
            Self::NoRuntime => f.write_str("no runtime: build the producer within one"),
        }
    }
}

/// Without a source: its words are in this one's, and whoever prints the chain would have them twice.
impl Error for BuildError {}

impl From<ConfigError> for BuildError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<io::Error> for BuildError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How the last connection that was lost, or not had, came to its end; or that the peer of one that is open
/// says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The broker, as `host:port`.
    pub broker: Arc<str>,
    /// Why.
    pub cause: Disconnect,
    /// What the operating system said, if it was asked.
    pub error: Option<Arc<str>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.broker, self.cause)?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
    }
}

/// Why a record was not taken. Nothing was queued, so it is safe to send it again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// Record memory was full all the time that the call was allowed to wait.
    Full {
        /// How long that was.
        waited: Duration,
        /// What the last connection was lost for, if no broker was of use since, or which peer says nothing.
        failure: Option<Failure>,
    },
    /// The topic's partitions were not known all the time that the call was allowed to wait.
    TopicPending {
        /// The topic.
        topic: Arc<str>,
        /// How long that was.
        waited: Duration,
        /// What brokers last said about the topic.
        error: Option<ErrorCode>,
        /// What the last connection was lost for, if no broker was of use since, or which peer says nothing.
        failure: Option<Failure>,
    },
    /// The core refused it, and waiting would not help.
    Refused(ProduceError),
    /// The topic is another producer's.
    ForeignTopic,
    /// The record has a token, but nobody was named whom to report to.
    NobodyToReportTo,
}

impl SendError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::TopicPending { .. })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failure, waited) = match self {
            Self::Full { waited, failure } => {
                f.write_str("record memory is full")?;
                (failure, waited)
            }
            Self::TopicPending { topic, waited, error, failure } => {
                write!(f, "the partitions of topic {topic:?} are not known")?;
                if let Some(error) = error {
                    write!(f, " ({error})")?;
                }
                (failure, waited)
            }
            Self::Refused(error) => return write!(f, "{error}"),
            Self::ForeignTopic => return f.write_str("the topic is another producer's"),
            Self::NobodyToReportTo => {
                return f.write_str("a record with a token needs `on_report`");
            }
        };
        if !waited.is_zero() {
            write!(f, " after {waited:?}")?;
        }
        match failure {
            Some(failure) => write!(f, "; last connection: {failure}"),
            None => Ok(()),
        }
    }
}

/// Without a source: the core's words are in this one's.
impl Error for SendError {}
