//! Why a producer was not built, and why a record was not taken.

use core::{error::Error, fmt, time::Duration};
use std::{io, sync::Arc};

use ottla_core::{ConfigError, Disconnect, ProduceError, PropertyError, wire::ErrorCode};

use crate::compression::CompressionType;

/// Why a producer was not built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no such property.
    UnknownProperty {
        /// The name as given.
        name: String,
        /// The known name that is spelt most like it, if one is near.
        nearest: Option<&'static str>,
    },
    /// Kafka knows the property or its value; this producer does not support it.
    UnsupportedProperty {
        /// The name as given.
        name: String,
        /// Why not, or what there is instead.
        reason: &'static str,
    },
    /// A property's value does not fit.
    PropertyValue {
        /// The name as given.
        name: String,
        /// The value as given.
        value: String,
        /// What is taken instead.
        expected: &'static str,
    },
    /// What the properties about security name cannot be used.
    Security {
        /// The property, by the name that it was given by.
        name: &'static str,
        /// What was expected there, what was found, and what to do.
        why: String,
    },
    /// Batches are not compressed with what would break them.
    Compressor {
        /// The type of the compressor, if it came so far.
        kind: Option<CompressionType>,
        /// What is wrong with it.
        why: String,
    },
    /// A property was refused for a reason that this version of the crate has no variant for.
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
            Self::UnknownProperty { name, nearest } => {
                PropertyError::Unknown { name, nearest: *nearest }.fmt(f)
            }
            Self::UnsupportedProperty { name, reason } => {
                PropertyError::Unsupported { name, reason }.fmt(f)
            }
            Self::PropertyValue { name, value, expected } => {
                PropertyError::Value { name, value, expected }.fmt(f)
            }
            Self::Security { name, why } => write!(f, "{name}: {why}"),
            Self::Compressor { kind: Some(kind), why } => {
                write!(f, "the compressor for {kind} is of no use: {why}")
            }
            Self::Compressor { kind: None, why } => {
                write!(f, "the compressor is of no use: {why}")
            }
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

impl From<PropertyError<'_>> for BuildError {
    fn from(error: PropertyError<'_>) -> Self {
        match error {
            PropertyError::Unknown { name, nearest } => {
                Self::UnknownProperty { name: name.to_owned(), nearest }
            }
            PropertyError::Unsupported { name, reason } => {
                Self::UnsupportedProperty { name: name.to_owned(), reason }
            }
            PropertyError::Value { name, value, expected } => {
                let (name, value) = (name.to_owned(), value.to_owned());
                Self::PropertyValue { name, value, expected }
            }
            _ => Self::Property(error.to_string()),
        }
    }
}

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
pub struct ConnectionError {
    /// The broker, as `host:port`.
    pub broker: Arc<str>,
    /// Why.
    pub cause: Disconnect,
    /// What the operating system said, if it was asked.
    pub error: Option<Arc<str>>,
}

impl fmt::Display for ConnectionError {
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
        failure: Option<ConnectionError>,
    },
    /// The topic's partitions were not known all the time that the call was allowed to wait.
    MetadataPending {
        /// The topic.
        topic: Arc<str>,
        /// How long that was.
        waited: Duration,
        /// What brokers last said about the topic.
        error: Option<ErrorCode>,
        /// What the last connection was lost for, if no broker was of use since, or which peer says nothing.
        failure: Option<ConnectionError>,
    },
    /// The core refused it, and waiting would not help.
    Refused(ProduceError),
    /// The topic is another producer's.
    WrongProducer,
    /// The record has a token, but there is no report callback.
    NoReportCallback,
}

impl SendError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::MetadataPending { .. })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failure, waited) = match self {
            Self::Full { waited, failure } => {
                f.write_str("record memory is full")?;
                (failure, waited)
            }
            Self::MetadataPending { topic, waited, error, failure } => {
                write!(f, "the partitions of topic {topic:?} are not known")?;
                if let Some(error) = error {
                    write!(f, " ({error})")?;
                }
                (failure, waited)
            }
            Self::Refused(error) => return write!(f, "{error}"),
            Self::WrongProducer => return f.write_str("the topic is another producer's"),
            Self::NoReportCallback => {
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

/// Why not all records of a call were taken, and how many were.
///
/// Those are the first ones, and each is under way as if it had been sent alone. Of the one behind them `error`
/// says why it was not taken. Nothing of it was queued, nor of any later one: they can be sent again from there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendAllError {
    /// How many records were taken: the place of the first that was not.
    pub taken: usize,
    /// Why that one was not taken.
    pub error: SendError,
}

impl SendAllError {
    /// Whether the rest may be taken later, as it is.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.error.is_temporary()
    }
}

impl fmt::Display for SendAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taken, error } = self;
        let records = if *taken == 1 { "record was" } else { "records were" };
        write!(f, "{error}; {taken} {records} taken before")
    }
}

/// Without a source: its words are in this one's.
impl Error for SendAllError {}

#[cfg(test)]
mod tests {
    use ottla_core::Config;

    use super::*;

    fn refused(name: &str, value: &str) -> BuildError {
        Config::default().set(name, value).unwrap_err().into()
    }

    #[test]
    fn a_refused_property_is_matched_by_its_name_and_shown() {
        let error = refused("linger.mss", "5");
        assert!(format!("{error:?}").contains("linger.mss"), "{error:?}");
        assert_eq!(
            error.to_string(),
            "unknown property \"linger.mss\": did you mean \"linger.ms\"?"
        );
        assert!(matches!(error, BuildError::UnknownProperty { name, nearest: Some("linger.ms") }
            if name == "linger.mss"));
        let error = refused("linger.ms", "soon");
        assert!(format!("{error:?}").contains("linger.ms"), "{error:?}");
        assert!(matches!(error, BuildError::PropertyValue { name, value, .. }
            if name == "linger.ms" && value == "soon"));
        let error = refused("transactional.id", "t");
        assert!(matches!(error, BuildError::UnsupportedProperty { name, .. }
            if name == "transactional.id"));
    }
}
