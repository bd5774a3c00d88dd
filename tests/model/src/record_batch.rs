//! Record batches as a broker looks at them.
//!
//! The broker reads batches by its own code and not by the core's: a fault in the one is then not
//! also in the other, and the model stays a judge.

use ottla_core::wire::{
    ErrorCode,
    record::{Attributes, BatchHeader},
};

#[cfg(feature = "compression")]
use crate::compression::Codec;
use crate::{CompressionType, TimestampType, TopicConfig};

/// Bytes before what the batch length counts.
const LOG_OVERHEAD: usize = 12;
/// Bytes up to and with the magic byte.
const UP_TO_MAGIC: usize = 17;
/// `LegacyRecord.RECORD_OVERHEAD_V0`: no batch is shorter.
const SHORTEST: usize = 14;

/// Why one record of a batch was refused (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordError {
    /// The record's number in the batch, from 0.
    pub(crate) batch_index: i32,
    /// Why.
    pub(crate) message: String,
}

/// Why a batch was refused before the producer's state was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) error: ErrorCode,
    pub(crate) record_errors: Vec<RecordError>,
    pub(crate) message: Option<String>,
}

impl From<ErrorCode> for Invalid {
    fn from(error: ErrorCode) -> Self {
        Self { error, record_errors: Vec::new(), message: None }
    }
}

/// The one batch in a partition's records, with what follows it cut off: `ProduceRequest.
/// validateRecords`, which comes before the partition's leader is asked for. The batch may be
/// shorter than its header.
pub(crate) fn only_batch(records: &[u8], version: i16) -> Result<&[u8], ErrorCode> {
    let len = next_batch(records)?.ok_or(ErrorCode::INVALID_RECORD)?;
    let (batch, rest) = records.split_at_checked(len).unwrap_or((records, &[]));
    let magic = batch.get(UP_TO_MAGIC - 1).copied();
    if magic != Some(2) {
        return Err(ErrorCode::INVALID_RECORD);
    }
    let zstd = batch.get(22).is_some_and(|attributes| attributes & 7 == 4);
    if version < 7 && zstd {
        return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    }
    match next_batch(rest)? {
        None => Ok(batch),
        Some(_) => Err(ErrorCode::INVALID_RECORD),
    }
}

/// Whether there is a batch, as far as its size and magic tell.
pub(crate) fn has_batch(records: &[u8]) -> Result<bool, ErrorCode> {
    next_batch(records).map(|len| len.is_some())
}

/// Whether a batch is too short for its producer id to be asked for.
pub(crate) const fn is_cut_short(batch: &[u8]) -> bool {
    batch.len() < 51
}

/// How long the next batch is; `None` where not all of one is there (`ByteBufferLogInputStream`).
fn next_batch(input: &[u8]) -> Result<Option<usize>, ErrorCode> {
    let Some(size) = input.get(8..LOG_OVERHEAD) else {
        return Ok(None);
    };
    let size = usize::try_from(i32::from_be_bytes(array(size)))
        .ok()
        .filter(|&size| size >= SHORTEST)
        .ok_or(ErrorCode::CORRUPT_MESSAGE)?;
    let Some(magic) = input.get(UP_TO_MAGIC - 1) else {
        return Ok(None);
    };
    if *magic > 2 {
        return Err(ErrorCode::CORRUPT_MESSAGE);
    }
    let len = size.saturating_add(LOG_OVERHEAD);
    Ok((len <= input.len()).then_some(len))
}

/// Reads the header of a batch; `None` where there are fewer bytes.
pub(crate) fn header(batch: &[u8]) -> Option<BatchHeader> {
    let head = batch.get(..BatchHeader::LEN)?;
    let int16 = |at: usize| i16::from_be_bytes(field(head, at));
    let int32 = |at: usize| i32::from_be_bytes(field(head, at));
    let int64 = |at: usize| i64::from_be_bytes(field(head, at));
    Some(BatchHeader {
        base_offset: int64(0),
        batch_length: int32(8),
        partition_leader_epoch: int32(12),
        crc: u32::from_be_bytes(field(head, 17)),
        attributes: Attributes(int16(21)),
        last_offset_delta: int32(23),
        base_timestamp: int64(27),
        max_timestamp: int64(35),
        producer_id: int64(43),
        producer_epoch: int16(51),
        base_sequence: int32(53),
        records_count: int32(57),
    })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    array(bytes.get(at..at.saturating_add(N)).unwrap_or_default())
}

/// The bytes as an array; zeros where there are not as many, which callers have made sure of.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

/// Whether the checksum is that of the bytes.
pub(crate) fn is_intact(batch: &[u8], header: &BatchHeader) -> bool {
    crc32c::crc32c(batch.get(BatchHeader::CHECKED_FROM..).unwrap_or_default()) == header.crc
}

/// The batch with its records unpacked behind its header; `None` where they are not packed, or nobody can read them.
pub(crate) fn unpacked(batch: &[u8], header: &BatchHeader) -> Result<Option<Box<[u8]>>, ErrorCode> {
    let number = header.attributes.compression();
    if number == 0 {
        return Ok(None);
    }
    #[cfg(feature = "compression")]
    {
        let codec = Codec::of(number).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let (head, records) = batch.split_at_checked(BatchHeader::LEN).unwrap_or_default();
        let plain = codec.unpack(records).map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        Ok(Some([head, &plain].concat().into()))
    }
    #[cfg(not(feature = "compression"))]
    {
        let _ = batch;
        Ok(None)
    }
}

/// A batch in the way in which its topic keeps it, where that is not the way in which it came. `plain` is it
/// [unpacked](unpacked), if it came packed.
pub(crate) fn converted(
    header: &BatchHeader,
    batch: &[u8],
    plain: Option<&[u8]>,
    topic: &TopicConfig,
) -> Option<(Box<[u8]>, BatchHeader)> {
    let wanted = match topic.compression {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => 0,
        #[cfg(feature = "compression")]
        CompressionType::By(codec) => codec.number(),
    };
    let came = header.attributes.compression();
    if wanted == came || (came != 0 && plain.is_none()) {
        return None;
    }
    let records = plain.unwrap_or(batch).get(BatchHeader::LEN..)?;
    #[cfg(feature = "compression")]
    let packed = Codec::of(wanted).map(|codec| codec.pack(records));
    #[cfg(feature = "compression")]
    let records = packed.as_deref().unwrap_or(records);
    let mut header = *header;
    header.attributes.0 = header.attributes.0 & !7 | i16::from(wanted);
    header.batch_length = BatchHeader::batch_length_for(records.len())?;
    let mut bytes = [&header.to_bytes(), records].concat();
    header.crc = crc32c::crc32c(bytes.get(BatchHeader::CHECKED_FROM..)?);
    bytes.get_mut(..BatchHeader::LEN)?.copy_from_slice(&header.to_bytes());
    Some((bytes.into(), header))
}

/// Checks the records of a batch in the order of `LogValidator`, and finds their latest time.
///
/// `plain` is the batch, or what it is [unpacked].
pub(crate) fn validate(
    plain: &[u8],
    header: &BatchHeader,
    topic: &TopicConfig,
    check_offset_deltas: bool,
    now_ms: i64,
    partition: &str,
) -> Result<i64, Invalid> {
    let invalid = Err(Invalid::from(ErrorCode::INVALID_RECORD));
    let count = i64::from(header.records_count);
    if count <= 0 || i64::from(header.last_offset_delta) + 1 != count {
        return invalid;
    }
    if header.attributes.contains(Attributes::CONTROL) {
        return invalid;
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return invalid;
    }
    if !cfg!(feature = "compression") && header.attributes.compression() != 0 {
        // Not unpacked: the header is believed.
        return match log_append_time_set(header, topic) {
            true => Err(rejected(ErrorCode::INVALID_TIMESTAMP, Vec::new())),
            false => Ok(header.max_timestamp),
        };
    }
    let mut errors = Vec::new();
    let mut error = ErrorCode::INVALID_RECORD;
    let mut max_timestamp = -1;
    let mut seen = 0_i32;
    for record in Records::new(plain, header) {
        let Ok(record) = record else { return invalid };
        if check_offset_deltas && record.offset_delta != seen {
            return invalid;
        }
        max_timestamp = max_timestamp.max(record.timestamp);
        if topic.compacted && record.key.is_none() {
            errors.push(RecordError {
                batch_index: seen,
                message: format!(
                    "Compacted topic cannot accept message without key in topic partition {partition}"
                ),
            });
        } else if let Some(message) = wrong_timestamp(&record, header, topic, now_ms) {
            error = ErrorCode::INVALID_TIMESTAMP;
            errors.push(RecordError { batch_index: seen, message });
        }
        seen = seen.saturating_add(1);
    }
    if seen != header.records_count {
        return invalid;
    }
    if errors.is_empty() { Ok(max_timestamp) } else { Err(rejected(error, errors)) }
}

/// `LogValidator.processRecordErrors`.
fn rejected(error: ErrorCode, record_errors: Vec<RecordError>) -> Invalid {
    let message = if error == ErrorCode::INVALID_TIMESTAMP {
        "One or more records have been rejected due to invalid timestamp".to_owned()
    } else {
        let shown = record_errors.iter().take(3).map(|RecordError { batch_index, message }| {
            format!("RecordError(batchIndex={batch_index}, message='{message}')")
        });
        format!(
            "One or more records have been rejected due to {} record errors in total, and only \
             showing the first three errors at most: [{}]",
            record_errors.len(),
            shown.collect::<Vec<_>>().join(", ")
        )
    };
    Invalid { error, record_errors, message: Some(message) }
}

fn log_append_time_set(header: &BatchHeader, topic: &TopicConfig) -> bool {
    let by_broker = header.attributes.contains(Attributes::LOG_APPEND_TIME);
    by_broker && topic.timestamp_type == TimestampType::LogAppendTime
}

/// `LogValidator.validateTimestamp`, odd order and all: a record with a create time is judged by
/// its distance alone.
fn wrong_timestamp(
    record: &RawRecord<'_>,
    header: &BatchHeader,
    topic: &TopicConfig,
    now_ms: i64,
) -> Option<String> {
    if topic.timestamp_type == TimestampType::CreateTime && record.timestamp != -1 {
        let age = now_ms.saturating_sub(record.timestamp);
        let too_old = topic.timestamp_before_max_ms.is_some_and(|max| age > max);
        let ahead = age.saturating_neg();
        let too_new = topic.timestamp_after_max_ms.is_some_and(|max| ahead > max);
        let max = |max: Option<i64>| max.unwrap_or(i64::MAX);
        (too_old || too_new).then(|| {
            format!(
                "Timestamp {} of message with offset {} is out of range. The timestamp should be \
                 within [{}, {}]",
                record.timestamp,
                record.offset_delta,
                now_ms.saturating_sub(max(topic.timestamp_before_max_ms)),
                now_ms.saturating_add(max(topic.timestamp_after_max_ms)),
            )
        })
    } else {
        let by_broker = header.attributes.contains(Attributes::LOG_APPEND_TIME);
        by_broker.then(|| "Producer should not set timestamp type to LogAppendTime".to_owned())
    }
}

/// One record, as it lies in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord<'a> {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// The headers, and how many there are.
    pub(crate) headers: (&'a [u8], u32),
}

/// The records of a batch that is not compressed.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    base_timestamp: i64,
    /// The time of all records, where the broker gave it.
    append_time: Option<i64>,
}

/// The bytes are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Records<'a> {
    pub(crate) fn new(batch: &'a [u8], header: &BatchHeader) -> Self {
        let by_broker = header.attributes.contains(Attributes::LOG_APPEND_TIME);
        Self {
            rest: batch.get(BatchHeader::LEN..).unwrap_or_default(),
            base_timestamp: header.base_timestamp,
            append_time: by_broker.then_some(header.max_timestamp),
        }
    }

    fn record(&mut self) -> Result<RawRecord<'a>, Malformed> {
        let len = varint(&mut self.rest)?;
        let mut body = take(&mut self.rest, len)?;
        take(&mut body, 1)?;
        let timestamp_delta = varlong(&mut body)?;
        let offset_delta = varint(&mut body)?;
        let key = bytes(&mut body)?;
        let value = bytes(&mut body)?;
        let count = u32::try_from(varint(&mut body)?).map_err(|_| Malformed)?;
        let headers = Headers { rest: body, left: count };
        if !headers.are_well_formed() {
            return Err(Malformed);
        }
        let timestamp = self.base_timestamp.wrapping_add(timestamp_delta);
        Ok(RawRecord {
            offset_delta,
            timestamp: self.append_time.unwrap_or(timestamp),
            key,
            value,
            headers: (body, count),
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RawRecord<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

/// The headers of a record.
#[derive(Clone, Debug)]
pub(crate) struct Headers<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) left: u32,
}

impl<'a> Headers<'a> {
    fn header(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), Malformed> {
        let key = bytes(&mut self.rest)?.ok_or(Malformed)?;
        Ok((key, bytes(&mut self.rest)?))
    }

    /// Whether the bytes are as many headers as announced, and nothing more.
    fn are_well_formed(mut self) -> bool {
        while self.left > 0 {
            // A count larger than the bytes allow ends here too: a header takes two at least.
            if self.header().is_err() {
                return false;
            }
            self.left -= 1;
        }
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.header().ok()
    }
}

/// A length and as many bytes; -1 is null.
fn bytes<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    match varint(input)? {
        -1 => Ok(None),
        len => take(input, len).map(Some),
    }
}

fn take<'a>(input: &mut &'a [u8], len: i32) -> Result<&'a [u8], Malformed> {
    let len = usize::try_from(len).map_err(|_| Malformed)?;
    let (taken, rest) = input.split_at_checked(len).ok_or(Malformed)?;
    *input = rest;
    Ok(taken)
}

fn varint(input: &mut &[u8]) -> Result<i32, Malformed> {
    i32::try_from(varlong(input)?).map_err(|_| Malformed)
}

fn varlong(input: &mut &[u8]) -> Result<i64, Malformed> {
    let mut bits = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first().ok_or(Malformed)?;
        *input = rest;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()));
        }
    }
    Err(Malformed)
}
