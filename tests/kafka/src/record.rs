//! Records as Kafka's own consumer read them.

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

/// A record as Kafka's own consumer read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The timestamp, in milliseconds since 1970.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value's length in bytes; none for a null value.
    pub value_len: Option<usize>,
    /// The value's SHA-256; all zeros for a null value.
    pub value_sha256: [u8; 32],
    /// The value itself where it has at most 256 bytes.
    pub value: Option<Vec<u8>>,
    /// The headers in their order; a value can be null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// Whether its value is `value`.
    #[must_use]
    pub fn has_value(&self, value: &[u8]) -> bool {
        self.value_len == Some(value.len())
            && self.value_sha256.as_slice() == Sha256::digest(value).as_slice()
    }

    /// Reads a line that `Tool.java` printed.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        ensure!(fields.len() == 8, "no record: {line:?}");
        let length: i64 = fields[4].parse()?;
        let mut value_sha256 = [0; 32];
        if fields[5] != "-" {
            hex::decode_to_slice(fields[5], &mut value_sha256)?;
        }
        let headers = fields[7].split(',').filter(|header| !header.is_empty()).map(|header| {
            let (name, value) = header.split_once('=').context("a header without '='")?;
            Ok((String::from_utf8(hex::decode(name)?)?, bytes(value)?))
        });
        Ok(Self {
            partition: fields[0].parse()?,
            offset: fields[1].parse()?,
            timestamp: fields[2].parse()?,
            key: bytes(fields[3])?,
            value_len: usize::try_from(length).ok(),
            value_sha256,
            value: bytes(fields[6])?,
            headers: headers.collect::<Result<_>>()?,
        })
    }
}

/// Hexadecimal digits, or "-" for null.
fn bytes(field: &str) -> Result<Option<Vec<u8>>> {
    Ok(if field == "-" { None } else { Some(hex::decode(field)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read() {
        let sha = hex::encode(Sha256::digest(b"hi"));
        let record = Record::parse(&format!("1\t7\t99\t\t2\t{sha}\t6869\t61=-,62=0a")).unwrap();
        assert_eq!((record.partition, record.offset, record.timestamp), (1, 7, 99));
        assert_eq!(record.key, Some(vec![]));
        assert_eq!(record.value.as_deref(), Some(b"hi".as_slice()));
        assert!(record.has_value(b"hi") && !record.has_value(b"ho"));
        assert_eq!(record.headers, [("a".to_owned(), None), ("b".to_owned(), Some(vec![10]))]);
    }

    #[test]
    fn a_record_of_nulls_is_read() {
        let record = Record::parse("0\t0\t0\t-\t-1\t-\t-\t").unwrap();
        assert_eq!((record.key, record.value_len, record.value), (None, None, None));
        assert!(record.headers.is_empty());
    }
}
