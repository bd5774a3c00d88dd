//! Compressed batches: what a broker reads, refuses and rewrites.

use ottla_core::wire::{
    ErrorCode, crc32c,
    record::{Attributes, BatchHeader},
};
use ottla_model::{
    Cluster, ClusterConfig, CompressionType, TimestampType, TopicConfig, compression::Codec,
};

use crate::wire_client::{Batch, Client, T0, batch, one_node, plain, values, with_topic};

const OK: ErrorCode = ErrorCode::NONE;
/// How Kafka answers what its codecs cannot read.
const UNREADABLE: ErrorCode = ErrorCode::UNKNOWN_SERVER_ERROR;

/// A batch with other bytes behind its header, and attributes that say so; its checksum is right.
fn with_body(batch: &Batch, codec: i16, body: &[u8]) -> Vec<u8> {
    let mut header = batch.header;
    header.attributes = Attributes(header.attributes.0 | codec);
    header.batch_length = BatchHeader::batch_length_for(body.len()).unwrap();
    header.crc = header.checksum(crc32c, crc32c(0, body), body.len());
    [&header.to_bytes(), body].concat()
}

fn packed(batch: &Batch, codec: Codec) -> Vec<u8> {
    let body = codec.pack(&batch.bytes()[BatchHeader::LEN..]);
    with_body(batch, codec.number().into(), &body)
}

fn many() -> Batch {
    batch(0, 0, 40)
}

fn error_of(bytes: Vec<u8>) -> ErrorCode {
    let mut cluster = one_node();
    let (error, _) = Client::new(&cluster, 1).produce_bytes(&mut cluster, T0, 0, bytes).only();
    assert_eq!(cluster.end_offset("t", 0) > 0, error.is_none());
    error
}

fn topic(topic: TopicConfig) -> Cluster {
    with_topic(ClusterConfig { topic, ..ClusterConfig::default() })
}

#[test]
fn what_every_codec_packed_is_in_the_log_as_it_was() {
    let whole: Vec<String> = (0..40).map(|n| format!("0/{n}")).collect();
    for codec in Codec::ALL {
        let mut cluster = one_node();
        let bytes = packed(&many(), codec);
        let produced = Client::new(&cluster, 1).produce_bytes(&mut cluster, T0, 0, bytes.clone());
        assert_eq!(produced.only(), (OK, 0), "{codec:?}");
        assert_eq!(values(&cluster, 0), whole);
        let logged = cluster.batches("t", 0).next().unwrap();
        assert_eq!(logged.bytes[61..], bytes[61..], "it lies there as it came");
        // What is in the log is known again.
        let produced = Client::new(&cluster, 1).produce_bytes(&mut cluster, T0, 0, bytes);
        assert_eq!(produced.only(), (OK, 0));
        assert_eq!(values(&cluster, 0).len(), 40);
    }
}

#[test]
fn zstd_needs_version_7() {
    let bytes = packed(&many(), Codec::Zstd);
    for (version, expected) in [(6, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE), (7, OK), (13, OK)] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1).speaking(version);
        assert_eq!(client.produce_bytes(&mut cluster, T0, 0, bytes.clone()).only().0, expected);
    }
}

#[test]
fn a_codec_that_breaks_its_output_is_an_unknown_error() {
    for codec in Codec::ALL {
        let whole = codec.pack(&many().bytes()[BatchHeader::LEN..]);
        let cut = &whole[..whole.len() - 3];
        assert_eq!(error_of(with_body(&many(), codec.number().into(), cut)), UNREADABLE);
        let plain = &many().bytes()[BatchHeader::LEN..];
        assert_eq!(error_of(with_body(&many(), codec.number().into(), plain)), UNREADABLE);
    }
    let plain = &many().bytes()[BatchHeader::LEN..];
    for nobody in 5..8 {
        assert_eq!(error_of(with_body(&many(), nobody, plain)), UNREADABLE);
    }
}

#[test]
fn packed_bytes_that_are_no_records_are_invalid() {
    for codec in Codec::ALL {
        let body = codec.pack(&many().bytes()[BatchHeader::LEN..]);
        assert_eq!(error_of(with_body(&many(), 0, &body)), ErrorCode::INVALID_RECORD, "{codec:?}");
        let mut fewer = many();
        fewer.header.records_count = 39;
        fewer.header.last_offset_delta = 38;
        assert_eq!(error_of(packed(&fewer, codec)), ErrorCode::INVALID_RECORD);
        let garbage = with_body(&many(), codec.number().into(), &codec.pack(&[0xff; 300]));
        assert_eq!(error_of(garbage), ErrorCode::INVALID_RECORD);
    }
}

#[test]
fn the_checksum_is_of_what_is_sent() {
    let mut bytes = packed(&many(), Codec::Lz4);
    let whole = many().header;
    let unpacked = &many().bytes()[BatchHeader::LEN..];
    let mut header = whole;
    header.attributes = Attributes(3);
    let crc = header.checksum(crc32c, crc32c(0, unpacked), unpacked.len());
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(error_of(bytes), ErrorCode::CORRUPT_MESSAGE);
}

#[test]
fn the_bound_is_on_what_is_sent() {
    let bytes = packed(&many(), Codec::Lz4);
    assert!(bytes.len() < many().bytes().len());
    let narrow = |max_message_bytes| TopicConfig { max_message_bytes, ..TopicConfig::default() };
    for (bound, expected) in [(bytes.len(), OK), (bytes.len() - 1, ErrorCode::MESSAGE_TOO_LARGE)] {
        let mut cluster = topic(narrow(bound));
        let mut client = Client::new(&cluster, 1);
        assert_eq!(client.produce_bytes(&mut cluster, T0, 0, bytes.clone()).only().0, expected);
    }
    // And on what is kept.
    let compression = CompressionType::Uncompressed;
    let mut cluster = topic(TopicConfig { compression, ..narrow(bytes.len()) });
    let produced = Client::new(&cluster, 1).produce_bytes(&mut cluster, T0, 0, bytes);
    assert_eq!(produced.only().0, ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn a_topic_keeps_what_it_is_told_to() {
    let all = Codec::ALL.map(CompressionType::By);
    let kinds = [CompressionType::Producer, CompressionType::Uncompressed].into_iter().chain(all);
    for compression in kinds {
        for sent in Codec::ALL.map(Some).into_iter().chain([None]) {
            for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
                let mut cluster =
                    topic(TopicConfig { compression, timestamp_type, ..TopicConfig::default() });
                let bytes = sent.map_or_else(|| many().bytes(), |codec| packed(&many(), codec));
                let produced = Client::new(&cluster, 1).produce_bytes(&mut cluster, T0, 0, bytes);
                assert_eq!(produced.only(), (OK, 0));
                let logged = cluster.batches("t", 0).next().unwrap();
                let kept = Codec::of(logged.header.attributes.compression());
                let expected = match compression {
                    CompressionType::Producer => sent,
                    CompressionType::Uncompressed => None,
                    CompressionType::By(codec) => Some(codec),
                };
                assert_eq!(kept, expected);
                let (whole, rest) = ottla_core::wire::record::Batch::split(logged.bytes).unwrap();
                assert!(whole.is_intact(crc32c) && rest.is_empty());
                assert_eq!(values(&cluster, 0).len(), 40);
                assert_eq!(logged.records().count(), 40);
            }
        }
    }
}

#[test]
fn packed_records_are_looked_at_one_by_one() {
    let mut cluster = topic(TopicConfig { compacted: true, ..TopicConfig::default() });
    let produced =
        Client::new(&cluster, 1).produce_bytes(&mut cluster, T0, 0, packed(&plain(3), Codec::Gzip));
    assert_eq!(produced.only().0, ErrorCode::INVALID_RECORD);
    let mut keyed = plain(3);
    keyed.keys = true;
    let produced =
        Client::new(&cluster, 1).produce_bytes(&mut cluster, T0, 0, packed(&keyed, Codec::Gzip));
    assert_eq!(produced.only(), (OK, 0));
}
