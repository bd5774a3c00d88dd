//! A record as the application gives it.

/// One record to produce. All parts are borrowed: `produce` copies them once, into the batch.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // built by literal, as `Record { value, ..Record::default() }`
pub struct Record<'a> {
    /// The partition to write to; `None` lets the configured [`Partitioner`](crate::Partitioner) choose.
    pub partition: Option<i32>,
    /// The key; `None` is Kafka's null key, which differs from an empty one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers, in order; names may repeat.
    pub headers: &'a [Header<'a>],
    /// Create time in milliseconds since the Unix epoch; -1, the default, where it is not known. What is
    /// below that is refused, as by Java's client.
    pub timestamp: i64,
}

/// Null and empty parts, and no create time. (Zero would be a time, and one so long ago that brokers
/// delete the record by `retention.ms`.)
impl Default for Record<'_> {
    fn default() -> Self {
        Self { partition: None, key: None, value: None, headers: &[], timestamp: -1 }
    }
}

/// A record header (KIP-82).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the wire format has these two parts
pub struct Header<'a> {
    /// The header's name.
    pub key: &'a str,
    /// The header's value; `None` is null.
    pub value: Option<&'a [u8]>,
}
