//! Kafka's property names as a table: what each is called, what it takes and what it sets.

use core::{
    fmt::{self, Write as _},
    time::Duration,
};

#[cfg(feature = "compression")]
use crate::Compression;
use crate::{Acks, Config, OnForgotten, OnUnknown, Partitioner};

/// A property that [`Config::set`] knows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// The name that it is another word for; librdkafka has its own names for some.
    pub alias_of: Option<&'static str>,
    /// What it takes, in words.
    pub expected: &'static str,
    kind: Kind,
}

/// Why a property was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PropertyError<'a> {
    /// There is no such property.
    Unknown {
        /// The name as given.
        name: &'a str,
        /// The known name that is spelt most like it, if one is near.
        nearest: Option<&'static str>,
    },
    /// Kafka knows the property or the value; this producer does not do it.
    Unsupported {
        /// The name as given.
        name: &'a str,
        /// Why not, or what there is instead.
        reason: &'static str,
    },
    /// The value does not fit.
    Value {
        /// The name as given.
        name: &'a str,
        /// The value as given.
        value: &'a str,
        /// What is taken instead.
        expected: &'static str,
    },
}

impl fmt::Display for PropertyError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "unknown property {}: did you mean \"{nearest}\"?", Quoted(name))
            }
            Self::Unknown { name, nearest: None } => write!(f, "unknown property {}", Quoted(name)),
            Self::Unsupported { name, reason } => {
                write!(f, "property {} is not supported: {reason}", Quoted(name))
            }
            Self::Value { name, value, expected } => {
                let (name, value) = (Quoted(name), Quoted(value));
                write!(f, "property {name} is {value}: expected {expected}")
            }
        }
    }
}

impl core::error::Error for PropertyError<'_> {}

/// Text in quotes, on one line whatever it holds. What `{:?}` does besides brings tables of Unicode
/// along, and panics.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for char in self.0.chars() {
            match char {
                '"' | '\\' => write!(f, "\\{char}")?,
                _ if char.is_control() => write!(f, "\\u{{{:x}}}", u32::from(char))?,
                _ => f.write_char(char)?,
            }
        }
        f.write_char('"')
    }
}

type Field<T> = for<'c> fn(&'c mut Config<'_>) -> &'c mut T;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text(for<'c, 'a> fn(&'c mut Config<'a>) -> &'c mut &'a str),
    Millis(Field<Duration>),
    /// As `Millis`, and -1 is for ever.
    MillisOrNever(Field<Duration>),
    Bool(Field<bool>),
    Small(Field<u8>),
    Bytes(Field<u32>),
    /// The field counts bytes, the property units of this many.
    Total(u64, Field<u64>),
    Acks,
    OnUnknown,
    OnForgotten,
    IgnoreKeys,
    #[cfg(feature = "compression")]
    Compression,
    /// Nothing to set: these values ask for what is done anyway, all others for what is not.
    Only(&'static [&'static str], &'static str),
}

const MILLIS: &str = "milliseconds, from 0";
const BYTES: &str = "a number of bytes";
const BOOL: &str = "true or false";
#[cfg(feature = "compression")]
const CODECS: &str = "none, gzip, snappy, lz4 or zstd";
#[cfg(not(feature = "compression"))]
const NO_COMPRESSION: &str = "the core was built without its feature `compression`";
const NO_TLS: &str = "TLS belongs to whoever owns the connections: here they are PLAINTEXT";
const NO_SASL: &str = "SASL is given with `Producer::set_sasl`";
const NO_TRANSACTIONS: &str = "there are no transactions in this version";
const NO_RETRIES: &str = "retries are bounded by delivery.timeout.ms and not by number";

const fn row(name: &'static str, expected: &'static str, kind: Kind) -> Property {
    Property { name, alias_of: None, expected, kind }
}

const fn alias(
    name: &'static str,
    of: &'static str,
    expected: &'static str,
    kind: Kind,
) -> Property {
    Property { name, alias_of: Some(of), expected, kind }
}

const fn only(
    name: &'static str,
    values: &'static [&'static str],
    expected: &'static str,
    reason: &'static str,
) -> Property {
    row(name, expected, Kind::Only(values, reason))
}

#[rustfmt::skip]
static TABLE: &[Property] = &[
    row("bootstrap.servers", "host:port, separated by commas", Kind::Text(|c| &mut c.bootstrap_servers)),
    alias("metadata.broker.list", "bootstrap.servers", "host:port, separated by commas", Kind::Text(|c| &mut c.bootstrap_servers)),
    row("client.id", "text", Kind::Text(|c| &mut c.client_id)),
    row("acks", "0, 1, all or -1", Kind::Acks),
    alias("request.required.acks", "acks", "0, 1, all or -1", Kind::Acks),
    row("enable.idempotence", BOOL, Kind::Bool(|c| &mut c.enable_idempotence)),
    row("linger.ms", MILLIS, Kind::Millis(|c| &mut c.linger)),
    alias("queue.buffering.max.ms", "linger.ms", MILLIS, Kind::Millis(|c| &mut c.linger)),
    row("batch.size", BYTES, Kind::Bytes(|c| &mut c.batch_size)),
    row("max.request.size", BYTES, Kind::Bytes(|c| &mut c.max_request_size)),
    alias("message.max.bytes", "max.request.size", BYTES, Kind::Bytes(|c| &mut c.max_request_size)),
    row("max.in.flight.requests.per.connection", "1 to 5", Kind::Small(|c| &mut c.max_in_flight)),
    alias("max.in.flight", "max.in.flight.requests.per.connection", "1 to 5", Kind::Small(|c| &mut c.max_in_flight)),
    row("delivery.timeout.ms", MILLIS, Kind::Millis(|c| &mut c.delivery_timeout)),
    alias("message.timeout.ms", "delivery.timeout.ms", MILLIS, Kind::Millis(|c| &mut c.delivery_timeout)),
    row("request.timeout.ms", MILLIS, Kind::Millis(|c| &mut c.request_timeout)),
    alias("socket.timeout.ms", "request.timeout.ms", MILLIS, Kind::Millis(|c| &mut c.request_timeout)),
    row("resolve.timeout.ms", MILLIS, Kind::Millis(|c| &mut c.resolve_timeout)),
    row("on.unknown", "resolve or abandon", Kind::OnUnknown),
    row("on.forgotten", "unknown or resend", Kind::OnForgotten),
    row("producer.id.expiration.ms", MILLIS, Kind::Millis(|c| &mut c.producer_id_expiration)),
    row("retry.backoff.ms", MILLIS, Kind::Millis(|c| &mut c.retry_backoff)),
    row("retry.backoff.max.ms", MILLIS, Kind::Millis(|c| &mut c.retry_backoff_max)),
    row("reconnect.backoff.ms", MILLIS, Kind::Millis(|c| &mut c.reconnect_backoff)),
    row("reconnect.backoff.max.ms", MILLIS, Kind::Millis(|c| &mut c.reconnect_backoff_max)),
    row("metadata.max.age.ms", MILLIS, Kind::Millis(|c| &mut c.metadata_max_age)),
    alias("topic.metadata.refresh.interval.ms", "metadata.max.age.ms", MILLIS, Kind::Millis(|c| &mut c.metadata_max_age)),
    row("metadata.recovery.rebootstrap.trigger.ms", MILLIS, Kind::Millis(|c| &mut c.rebootstrap_trigger)),
    row("connections.max.idle.ms", "milliseconds, or -1 for no limit", Kind::MillisOrNever(|c| &mut c.connections_max_idle)),
    row("socket.connection.setup.timeout.ms", MILLIS, Kind::Millis(|c| &mut c.connection_setup_timeout)),
    row("socket.connection.setup.timeout.max.ms", MILLIS, Kind::Millis(|c| &mut c.connection_setup_timeout_max)),
    row("allow.auto.create.topics", BOOL, Kind::Bool(|c| &mut c.allow_auto_create_topics)),
    row("partitioner.ignore.keys", BOOL, Kind::IgnoreKeys),
    row("buffer.memory", BYTES, Kind::Total(1, |c| &mut c.buffer_memory)),
    alias("queue.buffering.max.kbytes", "buffer.memory", "a number of KiB", Kind::Total(1024, |c| &mut c.buffer_memory)),
    row("max.block.ms", MILLIS, Kind::Millis(|c| &mut c.max_block)),
    #[cfg(feature = "alloc")]
    row("limits.topics", "1 to 65535", Kind::Bytes(|c| &mut c.limits_topics)),
    #[cfg(feature = "alloc")]
    row("limits.partitions", "a number, from 1", Kind::Bytes(|c| &mut c.limits_partitions)),

    #[cfg(feature = "compression")]
    row("compression.type", CODECS, Kind::Compression),
    #[cfg(feature = "compression")]
    alias("compression.codec", "compression.type", CODECS, Kind::Compression),
    #[cfg(not(feature = "compression"))]
    only("compression.type", &["none"], "none", NO_COMPRESSION),
    #[cfg(not(feature = "compression"))]
    only("compression.codec", &["none"], "none", NO_COMPRESSION),
    only("security.protocol", &["PLAINTEXT", "plaintext"], "PLAINTEXT", NO_TLS),
    only("transactional.id", &[], "nothing", NO_TRANSACTIONS),
    only("transaction.timeout.ms", &[], "nothing", NO_TRANSACTIONS),
    only("transaction.two.phase.commit.enable", &["false"], "false", NO_TRANSACTIONS),
    only("retries", &["2147483647"], "2147483647", NO_RETRIES),
    only("message.send.max.retries", &["2147483647"], "2147483647", NO_RETRIES),
    only("client.dns.lookup", &["use_all_dns_ips"], "use_all_dns_ips", "all addresses of a host are tried"),
    only("metadata.recovery.strategy", &["rebootstrap"], "rebootstrap", "the bootstrap servers are always asked again"),
    only("partitioner.adaptive.partitioning.enable", &["false"], "false", "partitions are chosen evenly"),
    only("partitioner.availability.timeout.ms", &["0"], "0", "partitions are chosen evenly"),
    only("partitioner.rack.aware", &["false"], "false", "racks are not looked at"),
    only("partitioner.class", &[], "nothing", "give Config a Partitioner::Custom instead"),
    only("partitioner", &["murmur2_random"], "murmur2_random", "give Config a Partitioner::Custom instead"),
    only("interceptor.classes", &[""], "nothing", "there are no interceptors"),
    only("key.serializer", &["org.apache.kafka.common.serialization.ByteArraySerializer"], "nothing", "keys are bytes"),
    only("value.serializer", &["org.apache.kafka.common.serialization.ByteArraySerializer"], "nothing", "values are bytes"),
    only("enable.metrics.push", &["false"], "false", "metrics are not pushed to the broker"),
    only("batch.num.messages", &[], "nothing", "batches are bounded by batch.size"),
    only("queue.buffering.max.messages", &["0"], "0", "memory is bounded by buffer.memory, in bytes"),
    only("sticky.partitioning.linger.ms", &[], "nothing", "the partition changes after batch.size bytes"),
    only("enable.gapless.guarantee", &["false"], "false", "a failed batch fences its own partition only"),
    only("socket.nagle.disable", &["true"], "true", "TCP_NODELAY is always on"),
    only("api.version.request", &["true"], "true", "versions are always asked for"),
    only("send.buffer.bytes", &["-1"], "-1", "the operating system chooses"),
    only("receive.buffer.bytes", &["-1"], "-1", "the operating system chooses"),
    only("statistics.interval.ms", &["0"], "0", "ask for stats() instead"),
];

/// Whole families of properties that are known and not supported.
static FAMILIES: &[(&str, &str)] =
    &[("sasl.", NO_SASL), ("ssl.", NO_TLS), ("enable.ssl.", NO_TLS), ("enable.sasl.", NO_SASL)];

/// The properties that [`Config::set`] knows, aliases and unsupported ones among them.
#[must_use]
pub fn properties() -> &'static [Property] {
    TABLE
}

impl<'a> Config<'a> {
    /// Sets one property by the name that Java's producer or librdkafka has for it.
    ///
    /// Only the value by itself is judged here; what must hold between properties is judged by
    /// [`Producer::new`](crate::Producer::new).
    ///
    /// # Errors
    ///
    /// Where the name is unknown or the value does not fit; nothing is set then.
    pub fn set(&mut self, name: &'a str, value: &'a str) -> Result<(), PropertyError<'a>> {
        let key = name.trim();
        let Some(property) = TABLE.iter().find(|property| property.name == key) else {
            return Err(match FAMILIES.iter().find(|(prefix, _)| key.starts_with(prefix)) {
                Some((_, reason)) => PropertyError::Unsupported { name, reason },
                None => PropertyError::Unknown {
                    name,
                    nearest: nearest(key, TABLE.iter().map(|it| it.name)),
                },
            });
        };
        let refused = PropertyError::Value { name, value, expected: property.expected };
        let value = value.trim();
        match property.kind {
            Kind::Text(field) => *field(self) = value,
            Kind::Millis(field) => *field(self) = millis(value).ok_or(refused)?,
            Kind::MillisOrNever(field) if value == "-1" => *field(self) = Duration::MAX,
            Kind::MillisOrNever(field) => *field(self) = millis(value).ok_or(refused)?,
            Kind::Bool(field) => *field(self) = boolean(value).ok_or(refused)?,
            Kind::Small(field) => *field(self) = value.parse().map_err(|_| refused)?,
            Kind::Bytes(field) => *field(self) = value.parse().map_err(|_| refused)?,
            Kind::Total(unit, field) => {
                let count: u64 = value.parse().map_err(|_| refused)?;
                *field(self) = count.checked_mul(unit).ok_or(refused)?;
            }
            Kind::Acks => {
                self.acks = match value {
                    "0" => Acks::None,
                    "1" => Acks::Leader,
                    "all" | "-1" => Acks::All,
                    _ => return Err(refused),
                }
            }
            Kind::OnUnknown => {
                self.on_unknown = match value {
                    "resolve" => OnUnknown::Resolve,
                    "abandon" => OnUnknown::Abandon,
                    _ => return Err(refused),
                }
            }
            Kind::OnForgotten => {
                self.on_forgotten = match value {
                    "unknown" => OnForgotten::Unknown,
                    "resend" => OnForgotten::Resend,
                    _ => return Err(refused),
                }
            }
            #[cfg(feature = "compression")]
            Kind::Compression => {
                self.compression = match value {
                    "none" => Compression::None,
                    "gzip" => Compression::Gzip,
                    "snappy" => Compression::Snappy,
                    "lz4" => Compression::Lz4,
                    #[cfg(feature = "zstd")]
                    "zstd" => Compression::Zstd,
                    _ => return Err(refused),
                }
            }
            Kind::IgnoreKeys => {
                self.partitioner = match (boolean(value).ok_or(refused)?, self.partitioner) {
                    (true, _) => Partitioner::IgnoreKeys,
                    (false, Partitioner::IgnoreKeys) => Partitioner::Default,
                    (false, chosen) => chosen,
                }
            }
            Kind::Only(values, _) if values.contains(&value) => {}
            Kind::Only(_, reason) => return Err(PropertyError::Unsupported { name, reason }),
        }
        Ok(())
    }
}

fn boolean(value: &str) -> Option<bool> {
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Whole milliseconds, or with up to three decimals, which librdkafka takes for `linger.ms`.
fn millis(value: &str) -> Option<Duration> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, "0"));
    if decimals.is_empty() || decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = match decimals.len() {
        1 => 100,
        2 => 10,
        _ => 1,
    };
    let whole = Duration::from_millis(whole.parse().ok()?);
    whole.checked_add(Duration::from_micros(decimals.parse::<u64>().ok()? * scale))
}

/// Longer names than this are not compared; the longest known one has 40 bytes.
const LONGEST: usize = 64;

/// The name with the fewest edits to `name`, unless that would be another word altogether: for who has properties
/// of its own beside these.
pub fn nearest(name: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let (edits, known) = known
        .into_iter()
        .filter_map(|known| Some((distance(name, known)?, known)))
        .min_by_key(|(edits, _)| *edits)?;
    (edits <= (name.len() / 4).clamp(1, 4)).then_some(known)
}

/// Levenshtein's distance in bytes, with one row of memory.
fn distance(left: &str, right: &str) -> Option<usize> {
    let mut row = [0_usize; LONGEST + 1];
    let row = row.get_mut(..=right.len())?;
    if left.len() > LONGEST {
        return None;
    }
    for (at, cell) in row.iter_mut().enumerate() {
        *cell = at;
    }
    for (line, l) in left.bytes().enumerate() {
        // `diagonal` is the cell above and to the left, `before` the one to the left.
        let mut diagonal = line;
        let mut before = line + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = before;
        }
        for (cell, r) in cells.zip(right.bytes()) {
            let here = (diagonal + usize::from(l != r)).min(*cell + 1).min(before + 1);
            diagonal = *cell;
            *cell = here;
            before = here;
        }
    }
    row.last().copied()
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString};

    use super::*;

    #[test]
    fn every_kind_of_value_is_set() {
        let mut config = Config::default();
        for (name, value) in [
            ("bootstrap.servers", " a:1,b:2 "),
            ("acks", "1"),
            ("enable.idempotence", "False"),
            ("linger.ms", "0.5"),
            ("batch.size", "1000"),
            ("max.in.flight", "3"),
            ("message.timeout.ms", "7"),
            ("queue.buffering.max.kbytes", "4"),
            ("connections.max.idle.ms", "-1"),
            ("partitioner.ignore.keys", "true"),
            ("compression.type", "none"),
            ("retries", "2147483647"),
        ] {
            assert_eq!(config.set(name, value), Ok(()), "{name}");
        }
        assert_eq!(config.bootstrap_servers, "a:1,b:2");
        assert_eq!(config.acks, Acks::Leader);
        assert!(!config.enable_idempotence);
        assert_eq!(config.linger, Duration::from_micros(500));
        assert_eq!(config.batch_size, 1000);
        assert_eq!(config.max_in_flight, 3);
        assert_eq!(config.delivery_timeout, Duration::from_millis(7));
        assert_eq!(config.buffer_memory, 4096);
        assert_eq!(config.connections_max_idle, Duration::MAX);
        assert!(matches!(config.partitioner, Partitioner::IgnoreKeys));
        assert_eq!(config.set("partitioner.ignore.keys", "false"), Ok(()));
        assert!(matches!(config.partitioner, Partitioner::Default));
    }

    #[test]
    fn acks_has_kafkas_four_spellings() {
        for (value, acks) in
            [("0", Acks::None), ("1", Acks::Leader), ("all", Acks::All), ("-1", Acks::All)]
        {
            let mut config = Config::default();
            assert_eq!(config.set("request.required.acks", value), Ok(()));
            assert_eq!(config.acks, acks);
        }
        assert!(Config::default().set("acks", "2").is_err());
    }

    #[cfg(feature = "compression")]
    #[test]
    fn each_codec_is_set_by_its_name_and_no_other_is() {
        for (code, name) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
            for property in ["compression.type", "compression.codec"] {
                let mut config = Config::default();
                assert_eq!(config.set(property, name), Ok(()));
                assert_eq!((config.compression.code(), config.compression.name()), (code, name));
            }
        }
        for name in ["brotli", "LZ4", "", "3"] {
            let error = Config::default().set("compression.type", name).unwrap_err();
            assert!(matches!(error, PropertyError::Value { .. }), "{error}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let told = |name| Config::default().set(name, "5").unwrap_err().to_string();
        assert_eq!(
            told("linger.msx"),
            r#"unknown property "linger.msx": did you mean "linger.ms"?"#
        );
        assert_eq!(
            told("bootstrap.server"),
            r#"unknown property "bootstrap.server": did you mean "bootstrap.servers"?"#
        );
        assert_eq!(told("completely.else"), r#"unknown property "completely.else""#);
        assert_eq!(told(""), r#"unknown property """#);
        assert_eq!(told("a\n\"é\\"), r#"unknown property "a\u{a}\"é\\""#);
        let long = format!("linger.ms{}", "x".repeat(100));
        assert_eq!(
            Config::default().set(&long, "5"),
            Err(PropertyError::Unknown { name: &long, nearest: None })
        );
    }

    #[test]
    fn a_bad_value_is_refused_and_sets_nothing() {
        for (name, value) in [
            ("linger.ms", "5ms"),
            ("linger.ms", "-1"),
            ("linger.ms", "1.2345"),
            ("linger.ms", "1."),
            ("linger.ms", ""),
            ("batch.size", "5000000000"),
            ("max.in.flight", "256"),
            ("enable.idempotence", "yes"),
            ("queue.buffering.max.kbytes", "18446744073709551615"),
        ] {
            let mut config = Config::default();
            let error = config.set(name, value).unwrap_err();
            assert!(matches!(error, PropertyError::Value { .. }), "{error}");
            assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
        }
        assert_eq!(
            Config::default().set("linger.ms", "5ms").unwrap_err().to_string(),
            r#"property "linger.ms" is "5ms": expected milliseconds, from 0"#
        );
    }

    #[test]
    fn what_is_not_done_is_said_so_and_no_secret_is_repeated() {
        for name in [
            #[cfg(not(feature = "compression"))]
            "compression.type",
            "security.protocol",
            "transactional.id",
            "sasl.password",
            "ssl.keystore.location",
        ] {
            let error = Config::default().set(name, "hunter2").unwrap_err();
            assert!(matches!(error, PropertyError::Unsupported { .. }), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn the_table_names_each_property_once_and_aliases_lead_somewhere() {
        for (at, property) in TABLE.iter().enumerate() {
            assert!(property.name.len() <= LONGEST);
            assert!(TABLE.iter().skip(at + 1).all(|p| p.name != property.name));
            if let Some(of) = property.alias_of {
                assert!(TABLE.iter().any(|p| p.name == of && p.alias_of.is_none()));
            }
        }
    }
}
