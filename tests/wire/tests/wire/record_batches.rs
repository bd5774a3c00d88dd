//! Record batches: ours against theirs.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    protocol::StrBytes,
    records::{
        Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
        TimestampType,
    },
};
use ottla_core::{
    Header,
    wire::{
        crc32c,
        record::{
            Attributes, Batch, BatchHeader, RecordHead, headers_size, record_size, write_record,
        },
    },
};
use ottla_wire_tests::Entropy;
use proptest::prelude::*;

use crate::ours;

/// A batch of their records: in order, without gaps, and one in time, so that both sides choose
/// the same base.
fn records(entropy: &mut Entropy<'_>) -> Vec<Record> {
    let mut timestamp = entropy.int64() >> 8;
    let sequence = entropy.int32() & i32::MAX;
    let (transactional, control) = (entropy.flag(), entropy.flag());
    let (producer_id, producer_epoch) = (entropy.int64(), entropy.int16());
    let offset = entropy.int64() >> 8;
    let mut index = 0;
    let len = entropy.up_to(20) + 1;
    (0..len)
        .map(|_| {
            timestamp += i64::from(entropy.int32() & i32::MAX);
            let record = Record {
                transactional,
                control,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id,
                producer_epoch,
                timestamp_type: TimestampType::Creation,
                offset: offset + index,
                sequence: sequence.wrapping_add(index as i32),
                timestamp,
                key: entropy.maybe(|e| Bytes::from(e.bytes(300))),
                value: entropy.maybe(|e| Bytes::from(e.bytes(300))),
                headers: (0..entropy.up_to(3))
                    .map(|n| {
                        let key = StrBytes::from_string(format!("{n}{}", entropy.text(100)));
                        (key, entropy.maybe(|e| Bytes::from(e.bytes(100))))
                    })
                    .collect(),
            };
            index += 1;
            record
        })
        .collect()
}

fn headers(record: &Record) -> Vec<Header<'_>> {
    record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect()
}

/// Our batch of their records, its base timestamp at `base`.
fn our_batch(records: &[Record], base: i64, attributes: Attributes) -> Vec<u8> {
    let first = &records[0];
    let body = ours(|w| {
        for (at, record) in records.iter().enumerate() {
            let head = RecordHead {
                attributes: 0,
                timestamp_delta: record.timestamp - base,
                offset_delta: at as i32,
            };
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let headers = headers(record);
            let before = w.len();
            write_record(w, &head, key, value, &headers);
            let (key, value) = (key.map(<[u8]>::len), value.map(<[u8]>::len));
            let size = record_size(&head, key, value, headers_size(&headers));
            assert_eq!(w.len() - before, size);
        }
    });
    let mut header = BatchHeader {
        base_offset: first.offset,
        batch_length: BatchHeader::batch_length_for(body.len()).expect("is small"),
        partition_leader_epoch: -1,
        crc: 0,
        attributes,
        last_offset_delta: records.len() as i32 - 1,
        base_timestamp: base,
        max_timestamp: records.iter().map(|r| r.timestamp).max().unwrap_or(0),
        producer_id: first.producer_id,
        producer_epoch: first.producer_epoch,
        base_sequence: first.sequence,
        records_count: records.len() as i32,
    };
    header.crc = header.checksum(crc32c, crc32c(0, &body), body.len());
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

fn attributes(records: &[Record]) -> Attributes {
    let mut bits = 0;
    if records[0].transactional {
        bits |= Attributes::TRANSACTIONAL.0;
    }
    if records[0].control {
        bits |= Attributes::CONTROL.0;
    }
    Attributes(bits)
}

fn their_batch(records: &[Record]) -> Vec<u8> {
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, records, &options).expect("encodes");
    bytes.to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn our_batches_are_theirs(entropy in prop::collection::vec(any::<u8>(), 0..800)) {
        let records = records(&mut Entropy::new(&entropy));
        let ours = our_batch(&records, records[0].timestamp, attributes(&records));
        prop_assert_eq!(their_batch(&records), ours);
    }

    /// A base timestamp anywhere, and one that the broker gave: their reader finds our records.
    #[test]
    fn they_read_our_batches(
        entropy in prop::collection::vec(any::<u8>(), 0..800),
        base in -(1_i64 << 54)..1 << 54,
        log_append_time: bool,
    ) {
        let mut records = records(&mut Entropy::new(&entropy));
        let mut attributes = attributes(&records);
        if log_append_time {
            attributes.0 |= Attributes::LOG_APPEND_TIME.0;
            for record in &mut records {
                record.timestamp_type = TimestampType::LogAppend;
            }
        }
        let ours = our_batch(&records, base, attributes);
        let read = RecordBatchDecoder::decode(&mut Bytes::from(ours)).expect("decodes");
        prop_assert_eq!(read.records, records);
    }

    #[test]
    fn we_read_their_batches(entropy in prop::collection::vec(any::<u8>(), 0..800)) {
        let records = records(&mut Entropy::new(&entropy));
        let mut bytes = their_batch(&records);
        let len = bytes.len();
        bytes.extend_from_slice(b"what follows");
        let (batch, rest) = Batch::split(&bytes).expect("splits");
        prop_assert_eq!(rest, b"what follows");
        prop_assert!(batch.is_intact(crc32c));
        prop_assert_eq!(batch.header.attributes, attributes(&records));
        prop_assert_eq!(batch.header.records_count, records.len() as i32);
        prop_assert_eq!(batch.header.last_offset_delta, records.len() as i32 - 1);
        prop_assert_eq!(batch.header.base_sequence, records[0].sequence);
        prop_assert_eq!(batch.header.producer_id, records[0].producer_id);
        prop_assert_eq!(batch.header.producer_epoch, records[0].producer_epoch);
        prop_assert_eq!(&batch.header.to_bytes()[..], &bytes[..BatchHeader::LEN]);
        let read: Result<Vec<_>, _> = batch.iter().collect();
        let read = read.expect("reads");
        prop_assert_eq!(read.len(), records.len());
        for (ours, theirs) in read.iter().zip(&records) {
            let timestamp = batch.header.base_timestamp + ours.head.timestamp_delta;
            prop_assert_eq!(timestamp, theirs.timestamp);
            let offset = batch.header.base_offset + i64::from(ours.head.offset_delta);
            prop_assert_eq!(offset, theirs.offset);
            prop_assert_eq!(ours.key, theirs.key.as_deref());
            prop_assert_eq!(ours.value, theirs.value.as_deref());
            prop_assert_eq!(ours.headers.collect::<Vec<_>>(), headers(theirs));
        }
        for cut in 0..len {
            prop_assert!(Batch::split(&bytes[..cut]).is_err());
        }
    }

    /// A flipped bit is seen, wherever the checksum looks.
    #[test]
    fn a_flipped_bit_is_seen(
        entropy in prop::collection::vec(any::<u8>(), 0..200),
        at: prop::sample::Index,
        bit in 0..8_u32,
    ) {
        let mut bytes = their_batch(&records(&mut Entropy::new(&entropy)));
        let at = at.index(bytes.len() - BatchHeader::CHECKED_FROM) + BatchHeader::CHECKED_FROM;
        bytes[at] ^= 1_u8 << bit;
        let (batch, _) = Batch::split(&bytes).expect("splits");
        prop_assert!(!batch.is_intact(crc32c));
    }
}
