//! A record that owns its parts.

use ottla_client::Record;
use ottla_core::Header;
use sha2::{Digest as _, Sha256};

/// A record that owns its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The partition that it must go to.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The create time; none is for the adapter to set.
    pub timestamp: Option<i64>,
}

impl Message {
    /// A message of a value alone.
    #[must_use]
    pub fn text(value: &str) -> Self {
        Self { value: Some(value.as_bytes().to_vec()), ..Self::default() }
    }

    /// Calls `with` with it as the producer takes it.
    pub fn lend<T>(&self, with: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers: Vec<Header<'_>> = self
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        with(&Record {
            partition: self.partition,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
            timestamp: self.timestamp,
            ..Record::default()
        })
    }

    /// The SHA-256 of its value, all zeros for a null value, as in [`ottla_kafka::Record`].
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.value.as_ref().map_or([0; 32], |value| Sha256::digest(value).into())
    }

    /// What differs in `record`, read back, in words.
    #[must_use]
    pub fn differs(&self, record: &ottla_kafka::Record) -> Option<String> {
        if self.partition.is_some_and(|partition| partition != record.partition) {
            return Some(format!("partition {:?} was asked for", self.partition));
        }
        if self.key != record.key {
            return Some(format!("key {:?}, sent {:?}", record.key, self.key));
        }
        let length = self.value.as_ref().map(Vec::len);
        if length != record.value_len {
            return Some(format!("value of {:?} bytes, sent {length:?}", record.value_len));
        }
        if self.digest() != record.value_sha256 {
            return Some(format!("other bytes in a value of {length:?}"));
        }
        if self.headers != record.headers {
            return Some(format!("headers {:?}, sent {:?}", record.headers, self.headers));
        }
        if self.timestamp.is_some_and(|timestamp| timestamp != record.timestamp) {
            return Some(format!("time {}, sent {:?}", record.timestamp, self.timestamp));
        }
        None
    }
}

/// A message of every kind that lines of text are not: tombstones, keys and headers that are null,
/// empty or binary, explicit partitions, create times. Follows from `index` alone.
#[must_use]
pub fn rich(index: u32, partitions: u32) -> Message {
    let mut random = fastrand::Rng::with_seed(u64::from(index) + 77);
    let mut bytes = |most: usize| {
        let mut bytes = vec![0; random.usize(0..=most)];
        random.fill(&mut bytes);
        bytes
    };
    let name = |n: u32| match n % 4 {
        0 => String::new(),
        1 => "name".to_owned(),
        2 => "größe-🜁".to_owned(),
        _ => "n".repeat(300),
    };
    let headers = (0..index % 6)
        .map(|n| {
            let value = match (index + n) % 3 {
                0 => None,
                1 => Some(Vec::new()),
                _ => Some(bytes(500)),
            };
            (name(index / 6 + n / 2), value)
        })
        .collect();
    Message {
        partition: (index % 4 == 1).then(|| ((index / 4) % partitions).cast_signed()),
        key: match index % 5 {
            0 | 1 => None,
            2 => Some(Vec::new()),
            _ => Some(bytes(40)),
        },
        value: match index % 7 {
            0 => None,
            1 => Some(Vec::new()),
            6 => Some(bytes(40_000)),
            _ => Some(bytes(200)),
        },
        headers,
        timestamp: match index % 3 {
            0 => None,
            // Not in order, so that a batch has later records with earlier times.
            _ => Some(1_600_000_000_000 + i64::from(index.wrapping_mul(7919) % 1_000_000)),
        },
    }
}
