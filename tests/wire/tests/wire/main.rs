//! The codecs of `ottla_core::wire` against those of `kafka-protocol`, which are generated from
//! Kafka's own schemas, and against broken bytes.

mod headers;
mod message_generator;
mod record_batches;
mod requests;
mod responses;
mod robustness;

use core::fmt;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};
use ottla_core::wire::{ApiKey, BufferTooSmall, Writer};

/// The bytes that `kafka-protocol` makes of a message.
fn theirs(message: &impl Encodable, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("encodes");
    bytes.to_vec()
}

/// The message that `kafka-protocol` reads, with nothing behind it.
fn read_theirs<T: Decodable>(bytes: &[u8], version: i16) -> T {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let message = T::decode(&mut bytes, version).expect("decodes");
    assert!(bytes.is_empty(), "bytes are left over");
    message
}

/// The bytes that we write. A buffer of the measured size holds them, and a smaller one says what
/// it should have been.
fn ours(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let needed = Writer::measure(&write);
    let mut bytes = vec![0; needed];
    let mut w = Writer::new(&mut bytes);
    write(&mut w);
    assert_eq!(w.finish(), Ok(needed));
    if let Some(short) = needed.checked_sub(1) {
        let mut buffer = vec![0xAA; needed];
        let mut w = Writer::new(&mut buffer[..short]);
        write(&mut w);
        assert_eq!(w.finish(), Err(BufferTooSmall { needed }));
        assert_eq!(buffer[short], 0xAA);
    }
    bytes
}

/// What stands between the correlation id and the body of a response.
fn with_header_rest(
    api: ApiKey,
    version: i16,
    body: &[u8],
    tags: &BTreeMap<i32, Bytes>,
) -> Vec<u8> {
    let mut header = kafka_protocol::messages::ResponseHeader::default();
    header.unknown_tagged_fields = tags.clone();
    let flexible = api.flexible_from().is_some_and(|from| version >= from);
    let flexible = flexible && api != ApiKey::API_VERSIONS;
    let mut bytes = theirs(&header, i16::from(flexible)).split_off(4);
    bytes.extend_from_slice(body);
    bytes
}

/// Every version of an API that we speak.
fn versions(api: ApiKey) -> impl Iterator<Item = i16> {
    let versions = api.versions().expect("an API that we speak");
    versions.min..=versions.max
}

/// Elements as the walks of [`ottla_wire_tests`] tell them.
fn told(items: &[impl fmt::Debug]) -> Vec<String> {
    items.iter().map(|item| format!("{item:?}")).collect()
}
