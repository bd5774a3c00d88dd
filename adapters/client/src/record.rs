//! A record as an application sends it.

use core::time::Duration;

use ottla_core::Header;

/// A record to send, and all options of sending it. All parts are borrowed: they are copied once, when the
/// record is taken.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // built by literal, as `Record { value, ..Record::default() }`
pub struct Record<'a> {
    /// The key; `None` is Kafka's null key, which differs from an empty one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers, in order; names may repeat.
    pub headers: &'a [Header<'a>],
    /// The partition to write to; `None` lets the configured [`Partitioner`](ottla_core::Partitioner) choose.
    pub partition: Option<i32>,
    /// Create time in milliseconds since the Unix epoch; `None` is the time at which the record is taken.
    pub timestamp: Option<i64>,
    /// After how long the record is cancelled if it has no answer. That includes the wait for memory, or for
    /// the topic to be known. `None` leaves it to `delivery.timeout.ms`.
    pub timeout: Option<Duration>,
    /// The caller's own number for the record, under which `on_report` is told of it; `None`: it is not.
    pub token: Option<u64>,
}

impl<'a> Record<'a> {
    /// What the core is given.
    #[inline]
    pub(crate) fn for_core(&self, now_ms: impl FnOnce() -> i64) -> ottla_core::Record<'a> {
        ottla_core::Record {
            partition: self.partition,
            key: self.key,
            value: self.value,
            headers: self.headers,
            timestamp: self.timestamp.unwrap_or_else(now_ms),
        }
    }
}
