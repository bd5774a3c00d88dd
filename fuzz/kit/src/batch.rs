//! Record batches of format 2, right or wrong, and reading them back.

use crate::messages::varint;

/// Bytes of a batch before its records.
pub const HEADER: usize = 61;
/// Where in a batch its checksum is, and from where on it is made.
const CRC: usize = 17;
const CHECKED_FROM: usize = 21;

/// A record batch as it is to be written. What is [`None`] is written as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The first offset; 0 from a producer.
    pub base_offset: i64,
    /// How many bytes follow the field.
    pub length: Option<i32>,
    /// The leader's epoch; -1 from a producer.
    pub leader_epoch: i32,
    /// The format.
    pub magic: i8,
    /// Compression and flags.
    pub attributes: i16,
    /// The last record's offset, counted from the first.
    pub last_offset_delta: Option<i32>,
    /// The first record's time, in milliseconds since 1970.
    pub base_timestamp: i64,
    /// The largest time.
    pub max_timestamp: i64,
    /// The producer's id; -1 is none.
    pub producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// The first record's sequence number.
    pub sequence: i32,
    /// How many records are said to follow.
    pub count: Option<i32>,
    /// What the checksum is changed by; 0 leaves it right.
    pub crc: u32,
    /// The records.
    pub records: Vec<Record>,
}

/// A record as it is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its offset, counted from the batch's.
    pub offset_delta: Option<i32>,
    /// How many bytes it is said to have.
    pub length: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl Batch {
    /// Records of no producer in particular, with these values.
    #[must_use]
    pub fn new(values: Vec<Vec<u8>>, timestamp: i64) -> Self {
        let records =
            values.into_iter().map(|value| Record { value: Some(value), ..Record::default() });
        Self {
            base_offset: 0,
            length: None,
            leader_epoch: -1,
            magic: 2,
            attributes: 0,
            last_offset_delta: None,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id: -1,
            epoch: -1,
            sequence: -1,
            count: None,
            crc: 0,
            records: records.collect(),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let records = i32::try_from(self.records.len()).unwrap_or(i32::MAX);
        let mut out = Vec::new();
        out.extend(self.base_offset.to_be_bytes());
        out.extend([0; 4]);
        out.extend(self.leader_epoch.to_be_bytes());
        out.extend(self.magic.to_be_bytes());
        out.extend([0; 4]);
        out.extend(self.attributes.to_be_bytes());
        let last = self.last_offset_delta.unwrap_or_else(|| records.saturating_sub(1));
        out.extend(last.to_be_bytes());
        out.extend(self.base_timestamp.to_be_bytes());
        out.extend(self.max_timestamp.to_be_bytes());
        out.extend(self.producer_id.to_be_bytes());
        out.extend(self.epoch.to_be_bytes());
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.count.unwrap_or(records).to_be_bytes());
        for (index, record) in (0..).zip(&self.records) {
            record.write(index, &mut out);
        }
        let length = i32::try_from(out.len().saturating_sub(12)).unwrap_or(i32::MAX);
        put(&mut out, 8, &self.length.unwrap_or(length).to_be_bytes());
        fix_crc(&mut out);
        let crc = crc_of(&out) ^ self.crc;
        put(&mut out, CRC, &crc.to_be_bytes());
        out
    }
}

impl Record {
    fn write(&self, index: i32, out: &mut Vec<u8>) {
        let mut body = vec![0];
        zigzag(0, &mut body);
        zigzag(i64::from(self.offset_delta.unwrap_or(index)), &mut body);
        for part in [&self.key, &self.value] {
            let len =
                part.as_ref().map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
            zigzag(len, &mut body);
            body.extend(part.iter().flatten());
        }
        zigzag(0, &mut body);
        let length = i64::try_from(body.len()).unwrap_or(i64::MAX);
        zigzag(self.length.unwrap_or(length), out);
        out.extend(body);
    }
}

fn zigzag(number: i64, out: &mut Vec<u8>) {
    out.extend(varint(((number << 1) ^ (number >> 63)).cast_unsigned()));
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(room) = out.get_mut(at..at.saturating_add(bytes.len())) {
        room.copy_from_slice(bytes);
    }
}

/// The checksum that a batch says it has.
fn crc_of(batch: &[u8]) -> u32 {
    let bytes = batch.get(CRC..CHECKED_FROM).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_be_bytes)
}

/// Makes the checksum of a batch right, whatever is in it.
pub fn fix_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(batch.get(CHECKED_FROM..).unwrap_or_default());
    put(batch, CRC, &crc.to_be_bytes());
}

/// A batch as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The first offset.
    pub base_offset: i64,
    /// The last offset, counted from the first.
    pub last_offset_delta: i32,
    /// Compression and flags.
    pub attributes: i16,
    /// The producer's id; -1 is none.
    pub producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// The first record's sequence number.
    pub sequence: i32,
    /// How many records it says it has.
    pub count: i32,
    /// Whether its checksum is right.
    pub is_intact: bool,
    /// The checksum of its records alone, which no broker changes where they are not compressed anew.
    pub records_crc: u32,
    /// The values of its records, as far as they can be read; none where it is compressed.
    pub values: Vec<Option<Vec<u8>>>,
}

impl ReadBatch {
    /// The offset after its last one.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta)).saturating_add(1)
    }

    /// The last record's sequence number; after 2^31 - 1 comes 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        advance(self.sequence, self.last_offset_delta)
    }
}

/// The sequence number so many after `first`; after 2^31 - 1 comes 0.
#[must_use]
pub fn advance(first: i32, by: i32) -> i32 {
    let sum = i64::from(first).saturating_add(i64::from(by));
    i32::try_from(sum.rem_euclid(1 << 31)).unwrap_or(0)
}

/// Reads batches one after the other, and stops where one is cut off, as the last one of an answer to Fetch may be, or is
/// not of format 2. Tells how many bytes it has read as well.
#[must_use]
pub fn read_batches(bytes: &[u8]) -> (Vec<ReadBatch>, usize) {
    let mut batches = Vec::new();
    let mut used = 0_usize;
    while let Some((batch, len)) = bytes.get(used..).and_then(read_batch) {
        batches.push(batch);
        used = used.saturating_add(len);
    }
    (batches, used)
}

fn read_batch(bytes: &[u8]) -> Option<(ReadBatch, usize)> {
    let length = i32::from_be_bytes(field(bytes, 8)?);
    let len = usize::try_from(length).ok()?.checked_add(12)?;
    let bytes = bytes.get(..len)?;
    let records = bytes.get(HEADER..)?;
    if bytes.get(16) != Some(&2) {
        return None;
    }
    let attributes = i16::from_be_bytes(field(bytes, 21)?);
    let count = i32::from_be_bytes(field(bytes, 57)?);
    let plain = if attributes & 7 == 0 { records } else { &[] };
    let batch = ReadBatch {
        base_offset: i64::from_be_bytes(field(bytes, 0)?),
        last_offset_delta: i32::from_be_bytes(field(bytes, 23)?),
        attributes,
        producer_id: i64::from_be_bytes(field(bytes, 43)?),
        epoch: i16::from_be_bytes(field(bytes, 51)?),
        sequence: i32::from_be_bytes(field(bytes, 53)?),
        count,
        is_intact: crc_of(bytes) == crc32c::crc32c(bytes.get(CHECKED_FROM..)?),
        records_crc: crc32c::crc32c(records),
        values: values(plain),
    };
    Some((batch, len))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn values(mut records: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut values = Vec::new();
    while let Some(value) = value(&mut records) {
        values.push(value);
    }
    values
}

/// The value of the next record.
fn value(records: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let length = usize::try_from(read_zigzag(records)?).ok()?;
    let (mut record, rest) = records.split_at_checked(length)?;
    *records = rest;
    record = record.get(1..)?;
    read_zigzag(&mut record)?;
    read_zigzag(&mut record)?;
    if let Ok(key) = usize::try_from(read_zigzag(&mut record)?) {
        record = record.get(key..)?;
    }
    match usize::try_from(read_zigzag(&mut record)?) {
        Ok(len) => record.get(..len).map(|value| Some(value.to_vec())),
        Err(_) => Some(None),
    }
}

fn read_zigzag(input: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use ottla_core::wire::record::Batch as CoreBatch;

    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_written_by_this_and_by_the_core() {
        let values = vec![b"a".to_vec(), vec![b'x'; 300], Vec::new()];
        let batch =
            Batch { producer_id: 7, epoch: 1, sequence: 5, ..Batch::new(values.clone(), 1_000) };
        let bytes = batch.encode();
        let (read, used) = read_batches(&bytes);
        assert_eq!((used, read.len()), (bytes.len(), 1));
        assert!(read[0].is_intact);
        assert_eq!((read[0].producer_id, read[0].sequence, read[0].last_sequence()), (7, 5, 7));
        assert_eq!(read[0].values, values.iter().cloned().map(Some).collect::<Vec<_>>());
        let (core, rest) = CoreBatch::split(&bytes).unwrap();
        assert!(rest.is_empty() && core.is_intact(crc32c::crc32c_append));
        let read: Vec<_> =
            core.iter().map(|record| record.unwrap().value.unwrap().to_vec()).collect();
        assert_eq!(read, values);
    }

    #[test]
    fn a_wrong_checksum_is_wrong_and_can_be_made_right() {
        let mut bytes = Batch { crc: 1, ..Batch::new(vec![b"a".to_vec()], 0) }.encode();
        assert!(!read_batches(&bytes).0[0].is_intact);
        fix_crc(&mut bytes);
        assert!(read_batches(&bytes).0[0].is_intact);
    }

    #[test]
    fn sequences_wrap() {
        assert_eq!(advance(i32::MAX, 1), 0);
        assert_eq!(advance(i32::MAX - 1, 1), i32::MAX);
    }
}
