//! What the table says.

use core::fmt;

use ottla_core::wire::ErrorCode;

/// Inclusive bounds of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionSpan {
    /// The first.
    pub min: i16,
    /// The last.
    pub max: i16,
}

impl VersionSpan {
    /// Every version that there may ever be.
    pub const ALL: Self = Self { min: 0, max: i16::MAX };
    /// None at all.
    pub const NONE: Self = Self { min: 1, max: 0 };

    /// Whether `version` is among them.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Those that both have; [`None`] where there are none.
    #[must_use]
    pub fn meet(self, other: Self) -> Option<Self> {
        let both = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        (both.min <= both.max).then_some(both)
    }
}

/// Question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client.
    Request,
    /// From the broker.
    Response,
}

impl Direction {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// An API: its two messages, in all versions.
#[derive(Clone)]
pub struct Api {
    /// Its key.
    pub key: i16,
    /// Kafka's name.
    pub name: &'static str,
    /// The versions that the table has.
    pub versions: VersionSpan,
    /// The first flexible version (KIP-482).
    pub flexible: Option<i16>,
    /// The codes that its answers may have.
    pub errors: Vec<ErrorCode>,
    /// The fields of the request.
    pub request: Vec<Field>,
    /// The fields of the answer.
    pub response: Vec<Field>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Api {
    /// The fields of one direction.
    #[must_use]
    pub fn fields(&self, direction: Direction) -> &[Field] {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    /// Whether a version has compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible.is_some_and(|first| version >= first)
    }

    /// Whether the header of a message has tagged fields. That of an answer to ApiVersions never has: who asks does
    /// not know yet what is spoken.
    #[must_use]
    pub fn has_flexible_header(&self, direction: Direction, version: i16) -> bool {
        self.is_flexible(version) && (direction == Direction::Request || self.key != 18)
    }
}

/// A field of a message.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The versions that have it.
    pub versions: VersionSpan,
    /// The versions in which it may be null.
    pub nullable: VersionSpan,
    /// Its tag, where it is a tagged field.
    pub tag: Option<u32>,
    /// What stands for it where it is not told; 0 for what has no number.
    pub default: i64,
    /// Whether null stands for it then.
    pub default_null: bool,
    /// What it means.
    pub meaning: Meaning,
}

/// The type of a field.
#[derive(Clone, Debug)]
pub enum Kind {
    /// One byte: 0 or 1.
    Bool,
    /// A signed number of so many bytes.
    Int(usize),
    /// Sixteen bytes.
    Uuid,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// Record batches; as bytes, but that null is of their own.
    Records,
    /// Several of one type.
    Array(Box<Self>),
    /// Fields.
    Struct(Vec<Field>),
}

macro_rules! meanings {
    ($($(#[$about:meta])* $name:ident $word:literal,)+) => {
        /// What a field means, for who makes values up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Meaning {
            $($(#[$about])* $name,)+
        }

        impl Meaning {
            /// By the table's word.
            pub(crate) fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

meanings! {
    /// Nothing in particular.
    Nothing "nothing",
    /// A topic's name.
    Topic "topic",
    /// A topic's id.
    TopicId "topic_id",
    /// The id that stands for none, where a name is told.
    NoTopicId "no_topic_id",
    /// A partition's index.
    Partition "partition",
    /// How many partitions a topic is to have.
    PartitionCount "partition_count",
    /// How many replicas.
    Replication "replication",
    /// A node's id.
    Node "node",
    /// A replica that asks; -1 is a client.
    Replica "replica",
    /// A host.
    Host "host",
    /// A port.
    Port "port",
    /// A consumer group, or a transactional id.
    Group "group",
    /// A producer id.
    ProducerId "producer_id",
    /// A producer epoch.
    Epoch "epoch",
    /// A leader epoch.
    LeaderEpoch "leader_epoch",
    /// An offset.
    Offset "offset",
    /// A timestamp to look an offset up by, or one of those that stand for something.
    ListTimestamp "list_timestamp",
    /// An error code.
    Error "error",
    /// An API key.
    ApiKey "api_key",
    /// A version.
    Version "version",
    /// acks.
    Acks "acks",
    /// A time.
    Milliseconds "milliseconds",
    /// A bound in bytes.
    Size "size",
    /// Record batches.
    Records "records",
    /// 0 or 1.
    Flag "flag",
    /// 0 asks for the least.
    Zero "zero",
    /// -1 asks for nothing.
    MinusOne "minus_one",
    /// Null asks for nothing.
    Null "null",
    /// True does no harm.
    True "true",
    /// Nothing in it does no harm.
    Empty "empty",
    /// A SASL mechanism.
    Mechanism "mechanism",
    /// What a mechanism says.
    Auth "auth",
    /// A program's name or version.
    Software "software",
}

impl Field {
    /// Whether it is one of a version's fields.
    #[must_use]
    pub const fn is_in(&self, version: i16) -> bool {
        self.versions.contains(version)
    }

    /// Whether it may be null in a version.
    #[must_use]
    pub const fn is_nullable(&self, version: i16) -> bool {
        self.nullable.contains(version)
    }
}
