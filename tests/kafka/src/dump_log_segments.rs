//! Record batches as Kafka's own `DumpLogSegments` shows them.

use anyhow::{Context as _, Result};

/// A record batch in a partition's log, as `DumpLogSegments` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The offset of its last record.
    pub last_offset: i64,
    /// How many records it holds.
    pub count: i32,
    /// The producer's sequence number of its first record, -1 without a producer id.
    pub base_sequence: i32,
    /// The producer's sequence number of its last record, -1 without a producer id.
    pub last_sequence: i32,
    /// The producer id, -1 for none.
    pub producer_id: i64,
    /// The producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Its size in bytes.
    pub size: i32,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: String,
    /// Whether its checksum is right.
    pub is_valid: bool,
}

impl Batch {
    /// Reads all batches out of what `DumpLogSegments` printed.
    pub(crate) fn parse_all(printed: &str) -> Result<Vec<Self>> {
        printed
            .lines()
            .filter(|line| line.starts_with("baseOffset: "))
            .map(|line| Self::parse(line).with_context(|| format!("no batch: {line:?}")))
            .collect()
    }

    fn parse(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let text = |name: &str| {
            words
                .windows(2)
                .find(|pair| {
                    pair[0].strip_suffix(':').is_some_and(|n| n.eq_ignore_ascii_case(name))
                })
                .map(|pair| pair[1])
                .with_context(|| format!("no {name}"))
        };
        Ok(Self {
            base_offset: text("baseOffset")?.parse()?,
            last_offset: text("lastOffset")?.parse()?,
            count: text("count")?.parse()?,
            base_sequence: text("baseSequence")?.parse()?,
            last_sequence: text("lastSequence")?.parse()?,
            producer_id: text("producerId")?.parse()?,
            producer_epoch: text("producerEpoch")?.parse()?,
            size: text("size")?.parse()?,
            compression: text("compresscodec")?.to_ascii_lowercase(),
            is_valid: text("isvalid")?.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_read_among_other_lines() {
        let printed = "Dumping t-0/00000000000000000000.log\nLog starting offset: 0\n\
            baseOffset: 3 lastOffset: 4 count: 2 baseSequence: 0 lastSequence: 1 producerId: 1000 \
            producerEpoch: 0 partitionLeaderEpoch: 0 isTransactional: false isControl: false \
            deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 17 size: 111 magic: 2 \
            compresscodec: NONE crc: 2550 isvalid: true\n";
        let batches = Batch::parse_all(printed).unwrap();
        assert_eq!(batches.len(), 1);
        assert_eq!((batches[0].base_offset, batches[0].last_sequence), (3, 1));
        assert_eq!((batches[0].producer_id, batches[0].compression.as_str()), (1000, "none"));
        assert!(batches[0].is_valid);
        assert!(Batch::parse_all("baseOffset: 3").is_err());
    }
}
