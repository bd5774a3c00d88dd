//! Record batches of format v2 (KIP-98): a header of 61 bytes, and records.

use super::{
    BufferTooSmall, DecodeError, Writer, combine,
    reader::{self, Read},
};

mod records;

pub use records::{
    Headers, RecordHead, RecordView, Records, headers_size, record_body_size, record_size,
    write_record,
};

/// Attributes of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // an open newtype
pub struct Attributes(pub i16);

impl Attributes {
    /// The timestamps are those of the append rather than of the creation.
    pub const LOG_APPEND_TIME: Self = Self(1 << 3);
    /// The batch belongs to a transaction.
    pub const TRANSACTIONAL: Self = Self(1 << 4);
    /// The batch ends a transaction, and is none of the application's.
    pub const CONTROL: Self = Self(1 << 5);

    /// How the records are compressed: 0 not at all, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    #[must_use]
    pub const fn compression(self) -> u8 {
        (self.0 & 7) as u8
    }

    /// Whether all of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The header of a batch, without its magic, which is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the format's fields, built by literal
pub struct BatchHeader {
    /// Offset of the first record; a producer writes 0.
    pub base_offset: i64,
    /// How many bytes of the batch follow the length: the batch's size less 12.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; a producer writes -1.
    pub partition_leader_epoch: i32,
    /// CRC-32C of all that follows the checksum.
    pub crc: u32,
    /// How to read the records.
    pub attributes: Attributes,
    /// Offset of the last record less that of the first.
    pub last_offset_delta: i32,
    /// Time of the first record, in milliseconds since the Unix epoch. Records count from here.
    pub base_timestamp: i64,
    /// The latest time of a record.
    pub max_timestamp: i64,
    /// The producer's id, -1 for one that is not idempotent.
    pub producer_id: i64,
    /// The producer's epoch, -1 likewise.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 likewise.
    pub base_sequence: i32,
    /// How many records there are.
    pub records_count: i32,
}

impl BatchHeader {
    /// Bytes that the header takes.
    pub const LEN: usize = 61;
    /// Bytes at the head of a batch that its length does not count: base offset and length.
    pub const UNCOUNTED: usize = 12;
    /// Where the checksum is.
    pub const CRC_AT: usize = 17;
    /// Where the bytes begin that the checksum is of.
    pub const CHECKED_FROM: usize = 21;
    /// The magic byte.
    pub const MAGIC: i8 = 2;

    /// The batch length for this many bytes of records; `None` where it has no such number.
    #[must_use]
    pub fn batch_length_for(records_len: usize) -> Option<i32> {
        const COUNTED: usize = BatchHeader::LEN - BatchHeader::UNCOUNTED;
        i32::try_from(records_len.checked_add(COUNTED)?).ok()
    }

    /// How many bytes of records follow the header.
    ///
    /// # Errors
    /// [`DecodeError::BatchLength`] where the batch would be smaller than its header.
    pub fn records_len(&self) -> Result<usize, DecodeError> {
        const COUNTED: usize = BatchHeader::LEN - BatchHeader::UNCOUNTED;
        usize::try_from(self.batch_length)
            .ok()
            .and_then(|len| len.checked_sub(COUNTED))
            .ok_or(DecodeError::BatchLength(self.batch_length))
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`DecodeError::Magic`].
    pub fn read(input: &[u8]) -> Read<'_, Self> {
        let (rest, base_offset) = reader::int64(input)?;
        let (rest, batch_length) = reader::int32(rest)?;
        let (rest, partition_leader_epoch) = reader::int32(rest)?;
        let (rest, magic) = reader::int8(rest)?;
        if magic != Self::MAGIC {
            return reader::fail(DecodeError::Magic(magic));
        }
        let (rest, crc) = reader::uint32(rest)?;
        let (rest, attributes) = reader::int16(rest)?;
        let (rest, last_offset_delta) = reader::int32(rest)?;
        let (rest, base_timestamp) = reader::int64(rest)?;
        let (rest, max_timestamp) = reader::int64(rest)?;
        let (rest, producer_id) = reader::int64(rest)?;
        let (rest, producer_epoch) = reader::int16(rest)?;
        let (rest, base_sequence) = reader::int32(rest)?;
        let (rest, records_count) = reader::int32(rest)?;
        let header = Self {
            base_offset,
            batch_length,
            partition_leader_epoch,
            crc,
            attributes: Attributes(attributes),
            last_offset_delta,
            base_timestamp,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            records_count,
        };
        Ok((rest, header))
    }

    /// Writes the header as it stands.
    pub fn write(&self, w: &mut Writer<'_>) {
        w.int64(self.base_offset);
        w.int32(self.batch_length);
        w.int32(self.partition_leader_epoch);
        w.int8(Self::MAGIC);
        w.uint32(self.crc);
        w.int16(self.attributes.0);
        w.int32(self.last_offset_delta);
        w.int64(self.base_timestamp);
        w.int64(self.max_timestamp);
        w.int64(self.producer_id);
        w.int16(self.producer_epoch);
        w.int32(self.base_sequence);
        w.int32(self.records_count);
    }

    /// The header's bytes as it stands.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut w = Writer::new(&mut bytes);
        self.write(&mut w);
        debug_assert_eq!(w.finish(), Ok::<_, BufferTooSmall>(Self::LEN));
        bytes
    }

    /// Computes the checksum of a batch with this header, from the checksum and the length of its
    /// records, which are not read again.
    #[must_use]
    pub fn checksum(
        &self,
        crc32c: fn(u32, &[u8]) -> u32,
        records_crc: u32,
        records_len: usize,
    ) -> u32 {
        let bytes = self.to_bytes();
        let checked = bytes.get(Self::CHECKED_FROM..).unwrap_or_default();
        combine(crc32c(0, checked), records_crc, records_len as u64)
    }
}

/// A batch in a contiguous slice, whose header and length agree with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// Its records, compressed where the attributes say so.
    pub records: &'a [u8],
    /// The bytes that the checksum is of.
    checked: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Splits the first batch off `input`: the batch, and the bytes behind it.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] where a header's bytes are missing, [`DecodeError::BatchLength`]
    /// where its length disagrees with the bytes, [`DecodeError::Magic`].
    pub fn split(input: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let (rest, header) = match BatchHeader::read(input) {
            Ok(read) => read,
            Err(nom::Err::Incomplete(_)) => return Err(DecodeError::Truncated),
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => return Err(error),
        };
        let (records, rest) = rest
            .split_at_checked(header.records_len()?)
            .ok_or(DecodeError::BatchLength(header.batch_length))?;
        let end = input.len().saturating_sub(rest.len());
        let checked = input.get(BatchHeader::CHECKED_FROM..end).unwrap_or_default();
        let batch = Self { header, records, checked };
        Ok((batch, rest))
    }

    /// Whether the checksum in the header is that of the bytes.
    #[must_use]
    pub fn is_intact(&self, crc32c: fn(u32, &[u8]) -> u32) -> bool {
        crc32c(0, self.checked) == self.header.crc
    }

    /// Reads the records of a batch that is not compressed.
    #[must_use]
    pub const fn iter(&self) -> Records<'a> {
        Records::new(self.records)
    }
}
