//! The configuration as the producer keeps it, checked once, and the names that it keeps.

use core::time::Duration;

use heapless::String;

#[cfg(feature = "compression")]
use crate::batch::Form;
use crate::{
    Acks, Checksum, Config, ConfigError, OnForgotten, OnUnknown, PartitionShard, Partitioner,
    random::Random, slots::Slots, time::Micros, wire::put,
};

/// Every property that is looked at after the start.
#[derive(Debug)]
pub(super) struct Settings {
    client_id: String<64>,
    pub(super) acks: Acks,
    pub(super) linger: Micros,
    pub(super) batch_size: u32,
    pub(super) max_request_size: u32,
    /// The most bytes that a record may take in its batch: what the memory lets it, which is not known from the
    /// beginning.
    pub(super) largest_record: u32,
    #[cfg(feature = "compression")]
    pub(super) compression: crate::Compression,
    /// Pages that records leave to what comes from a codec; as many as the memory has, which is not known from
    /// the beginning.
    #[cfg(feature = "compression")]
    pub(super) reserved_pages: u32,
    pub(super) max_in_flight: u8,
    pub(super) delivery_timeout: Micros,
    pub(super) request_timeout: Micros,
    /// How long a broker may take over a produce request; less than the client waits, so that the
    /// broker's own answer wins.
    pub(super) broker_timeout_ms: i32,
    pub(super) resolve_timeout: Micros,
    pub(super) on_unknown: OnUnknown,
    pub(super) on_forgotten: OnForgotten,
    /// How long a broker is sure to remember a producer after the timestamp of its last batch.
    pub(super) remembered: Micros,
    retry_backoff: Micros,
    retry_backoff_max: Micros,
    reconnect_backoff: Micros,
    reconnect_backoff_max: Micros,
    pub(super) metadata_max_age: Micros,
    pub(super) rebootstrap_trigger: Micros,
    pub(super) connections_max_idle: Micros,
    setup_timeout: Micros,
    setup_timeout_max: Micros,
    pub(super) allow_auto_create_topics: bool,
    pub(super) partitioner: Partitioner,
    pub(super) checksum: Checksum,
    #[cfg(feature = "alloc")]
    secured: bool,
    #[cfg(feature = "alloc")]
    share: PartitionShard,
}

impl Settings {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, ConfigError> {
        let bounds = [
            (
                "max.in.flight.requests.per.connection",
                "1 to 5",
                (1..=5).contains(&config.max_in_flight),
            ),
            (
                "acks",
                "all, because enable.idempotence=true",
                !config.enable_idempotence || config.acks == Acks::All,
            ),
            (
                "max.request.size",
                "512 to 1073741824",
                (512..=1 << 30).contains(&config.max_request_size),
            ),
            ("batch.size", "at most 1073741824", config.batch_size <= 1 << 30),
            ("request.timeout.ms", "at least 1", !config.request_timeout.is_zero()),
            ("client.id", "at most 64 bytes", config.client_id.len() <= 64),
            #[cfg(feature = "alloc")]
            ("limits.topics", "1 to 65535", (1..=65_535).contains(&config.limits_topics)),
            #[cfg(feature = "alloc")]
            ("limits.partitions", "at least 1", config.limits_partitions > 0),
        ];
        for (property, expected, holds) in bounds {
            if !holds {
                return Err(ConfigError::OutOfRange { property, expected });
            }
        }
        Ok(Self {
            client_id: String::try_from(config.client_id).unwrap_or_default(),
            acks: config.acks,
            linger: Micros::of(config.linger),
            batch_size: config.batch_size,
            max_request_size: config.max_request_size,
            largest_record: 0,
            #[cfg(feature = "compression")]
            compression: config.compression,
            #[cfg(feature = "compression")]
            reserved_pages: 0,
            max_in_flight: config.max_in_flight,
            delivery_timeout: Micros::of(config.delivery_timeout),
            request_timeout: not_at_once(config.request_timeout),
            broker_timeout_ms: two_thirds_in_millis(config.request_timeout),
            resolve_timeout: Micros::of(config.resolve_timeout),
            on_unknown: config.on_unknown,
            on_forgotten: config.on_forgotten,
            remembered: super::in_doubt_batches::sure_part(Micros::of(
                config.producer_id_expiration,
            )),
            retry_backoff: not_at_once(config.retry_backoff),
            retry_backoff_max: not_at_once(config.retry_backoff_max),
            reconnect_backoff: not_at_once(config.reconnect_backoff),
            reconnect_backoff_max: not_at_once(config.reconnect_backoff_max),
            metadata_max_age: Micros::of(config.metadata_max_age),
            rebootstrap_trigger: not_at_once(config.rebootstrap_trigger),
            connections_max_idle: not_at_once(config.connections_max_idle),
            setup_timeout: not_at_once(config.connection_setup_timeout),
            setup_timeout_max: not_at_once(config.connection_setup_timeout_max),
            allow_auto_create_topics: config.allow_auto_create_topics,
            partitioner: config.partitioner,
            checksum: config.checksum,
            #[cfg(feature = "alloc")]
            secured: config.secured,
            #[cfg(feature = "alloc")]
            share: config.share.check()?,
        })
    }

    /// Whether whoever owns the connections secures them.
    #[cfg_attr(not(feature = "alloc"), expect(clippy::unused_self, reason = "a constant there"))]
    pub(super) const fn secured(&self) -> bool {
        #[cfg(feature = "alloc")]
        return self.secured;
        #[cfg(not(feature = "alloc"))]
        false
    }

    /// Small machines have one producer, which is a constant that costs them nothing.
    #[cfg_attr(not(feature = "alloc"), expect(clippy::unused_self, reason = "a constant there"))]
    pub(super) const fn share(&self) -> PartitionShard {
        #[cfg(feature = "alloc")]
        return self.share;
        #[cfg(not(feature = "alloc"))]
        return PartitionShard::ALL;
    }

    /// Pages that records leave to what comes from a codec.
    #[cfg_attr(not(feature = "compression"), expect(clippy::unused_self, reason = "a constant"))]
    #[inline(always)]
    pub(super) const fn reserved_pages(&self) -> u32 {
        #[cfg(feature = "compression")]
        return self.reserved_pages;
        #[cfg(not(feature = "compression"))]
        0
    }

    /// How a batch begins.
    #[cfg(feature = "compression")]
    pub(super) const fn first_form(&self) -> Form {
        if self.compression.is_none() { Form::Plain } else { Form::Undecided }
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(super) fn retry_backoff(&self, random: &mut Random, failures: u8) -> Micros {
        random.backoff(self.retry_backoff, self.retry_backoff_max, failures)
    }

    pub(super) const fn least_retry_backoff(&self) -> Micros {
        self.retry_backoff
    }

    #[cfg(feature = "oauthbearer")]
    pub(super) const fn longest_retry_backoff(&self) -> Micros {
        self.retry_backoff_max
    }

    pub(super) fn reconnect_backoff(&self, random: &mut Random, failures: u8) -> Micros {
        random.backoff(self.reconnect_backoff, self.reconnect_backoff_max, failures)
    }

    /// How long a connection may take to be set up, after so many failures (KIP-601).
    pub(super) fn setup_timeout(&self, random: &mut Random, failures: u8) -> Micros {
        random.backoff(self.setup_timeout, self.setup_timeout_max, failures.saturating_add(1))
    }
}

/// Names of equal greatest length, one a slot.
#[derive(Debug)]
pub(super) struct Names<'m> {
    bytes: Slots<'m, u8>,
    longest: usize,
}

impl<'m> Names<'m> {
    pub(super) fn new(bytes: Slots<'m, u8>, slots: usize) -> Self {
        let longest = bytes.all().len().checked_div(slots).unwrap_or(0);
        Self { bytes, longest }
    }

    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    pub(super) fn get(&self, slot: u32, len: u16) -> &str {
        let start = slot as usize * self.longest;
        let bytes = self.bytes.all().get(start..start + usize::from(len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Makes room for as many names as that; false where there may not be as many.
    #[cfg(feature = "alloc")]
    pub(super) fn grow(&mut self, slots: u32) -> bool {
        let len = (slots as usize).saturating_mul(self.longest);
        len <= self.bytes.all().len() || self.bytes.grow(len, || 0)
    }

    /// False, and nothing kept, where the name is too long.
    pub(super) fn set(&mut self, slot: u32, name: &str) -> bool {
        if name.len() > self.longest {
            return false;
        }
        let start = slot as usize * self.longest;
        match self.bytes.all_mut().get_mut(start..start + name.len()) {
            Some(room) => {
                put(room, name.as_bytes());
                true
            }
            None => false,
        }
    }
}

/// What is waited for takes a millisecond at least, and comes before the end of time. What is tried again
/// after no time at all, or given up as it begins, is tried again and again at one instant; what is tried
/// again at no time cannot be told from what is forgotten.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn not_at_once(duration: Duration) -> Micros {
    const LONGEST: Micros = Micros(1 << 50);
    Micros::of(duration).clamp(Micros(1_000), LONGEST)
}

/// Two thirds of a duration in milliseconds, at least 1.
fn two_thirds_in_millis(duration: Duration) -> i32 {
    let millis = duration.as_secs().saturating_mul(1_000);
    let millis = millis.saturating_add(u64::from(duration.subsec_millis()));
    let millis = u32::try_from(millis).unwrap_or(u32::MAX);
    i32::try_from(millis / 3 * 2 + millis % 3 * 2 / 3).unwrap_or(i32::MAX).max(1)
}

/// The entries of `bootstrap.servers` that are not empty. Bytes, because the standard library's
/// search in text brings panics along.
pub(super) fn entries(servers: &str) -> impl Iterator<Item = &[u8]> {
    let entries = servers.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    entries.filter(|entry| !entry.is_empty())
}

/// Takes `host:port` or `[ipv6]:port` apart.
pub(super) fn host_and_port(entry: &[u8]) -> Option<(&str, u16)> {
    // A prefix such as PLAINTEXT:// is what broker configurations have, and is copied from there.
    let prefix = entry.windows(3).position(|three| three == b"://");
    let entry = prefix.map_or(Some(entry), |at| entry.get(at + 3..))?;
    let colon = entry.iter().rposition(|byte| *byte == b':')?;
    let (host, port) = (entry.get(..colon)?, entry.get(colon + 1..)?);
    let host = match host.split_first()? {
        (b'[', rest) => rest.strip_suffix(b"]")?,
        _ if host.contains(&b':') => return None,
        _ => host,
    };
    let port = core::str::from_utf8(port).ok()?.parse().ok().filter(|port| *port > 0)?;
    let host = core::str::from_utf8(host).ok()?;
    (!host.is_empty()).then_some((host, port))
}
