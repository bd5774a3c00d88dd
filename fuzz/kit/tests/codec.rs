//! The table of messages, and what is made of it, against `kafka-protocol`, which is generated from Kafka's own schemas,
//! and against the core's codecs.
#![allow(unused_crate_dependencies, reason = "those of the library")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{self as theirs, RequestHeader},
    protocol::{Decodable, Encodable, HeaderVersion, Message},
};
use ottla_core::wire::{ApiKey, frame};
use ottla_fuzz::{
    choice::{Choices, Fed, Seeded},
    generate::{World, generate},
    messages::{
        Api, Direction, Encoded, Frame, Struct, api_of, apis, canonical, decode_request,
        decode_response, read_struct,
    },
};
use proptest::prelude::*;

/// The versions that `kafka-protocol` has of a message, and its codec, there and back.
struct Theirs {
    versions: (i16, i16),
    there_and_back: fn(&[u8], i16) -> Vec<u8>,
}

fn theirs_of<T: Encodable + Decodable + Message>() -> Theirs {
    fn there_and_back<T: Encodable + Decodable>(bytes: &[u8], version: i16) -> Vec<u8> {
        let mut read = Bytes::copy_from_slice(bytes);
        let message = T::decode(&mut read, version).expect("kafka-protocol reads it");
        assert!(read.is_empty(), "kafka-protocol leaves {} bytes over", read.len());
        let mut written = BytesMut::new();
        message.encode(&mut written, version).expect("kafka-protocol writes it");
        written.to_vec()
    }
    let versions = (T::VERSIONS.min, T::VERSIONS.max);
    Theirs { versions, there_and_back: there_and_back::<T> }
}

fn peer(key: i16, direction: Direction) -> Theirs {
    macro_rules! of {
        ($($key:literal: $request:ident $response:ident,)+) => {
            match (key, direction) {
                $(
                    ($key, Direction::Request) => theirs_of::<theirs::$request>(),
                    ($key, Direction::Response) => theirs_of::<theirs::$response>(),
                )+
                _ => panic!("API {key} is checked against nothing"),
            }
        };
    }
    of! {
        0: ProduceRequest ProduceResponse,
        1: FetchRequest FetchResponse,
        2: ListOffsetsRequest ListOffsetsResponse,
        3: MetadataRequest MetadataResponse,
        10: FindCoordinatorRequest FindCoordinatorResponse,
        17: SaslHandshakeRequest SaslHandshakeResponse,
        18: ApiVersionsRequest ApiVersionsResponse,
        19: CreateTopicsRequest CreateTopicsResponse,
        20: DeleteTopicsRequest DeleteTopicsResponse,
        22: InitProducerIdRequest InitProducerIdResponse,
        36: SaslAuthenticateRequest SaslAuthenticateResponse,
        61: DescribeProducersRequest DescribeProducersResponse,
    }
}

/// Every message in every version, made up by `choices`: (API, direction, version, body).
fn each(choices: &mut dyn Choices, mut check: impl FnMut(&'static Api, Direction, i16, &Struct)) {
    let world = World { topic_ids: vec![[7; 16]], ..World::default() };
    for api in apis() {
        for version in api.versions.min..=api.versions.max {
            for direction in [Direction::Request, Direction::Response] {
                let body = generate(api.fields(direction), version, &world, choices);
                check(api, direction, version, &body);
            }
        }
    }
}

fn encode(api: &Api, direction: Direction, version: i16, body: &Struct) -> Vec<u8> {
    Encoded::of(api.fields(direction), version, api.is_flexible(version), body).bytes
}

fn decode(api: &Api, direction: Direction, version: i16, bytes: &[u8]) -> Struct {
    let read = read_struct(api.fields(direction), version, api.is_flexible(version), bytes);
    let read = read.unwrap_or_else(|error| {
        panic!("{} {} v{version}: {error}", api.name, direction.name());
    });
    canonical(api.fields(direction), version, &read)
}

fn both_ways(choices: &mut dyn Choices) {
    each(choices, |api, direction, version, body| {
        let what = format!("{} {} v{version}: {body:?}", api.name, direction.name());
        let meant = canonical(api.fields(direction), version, body);
        let bytes = encode(api, direction, version, body);
        assert_eq!(decode(api, direction, version, &bytes), meant, "{what}");
        let peer = peer(api.key, direction);
        if (peer.versions.0..=peer.versions.1).contains(&version) {
            let back = (peer.there_and_back)(&bytes, version);
            assert_eq!(decode(api, direction, version, &back), meant, "{what}");
        }
    });
}

#[test]
fn kafka_protocol_has_every_version_of_the_table() {
    for api in apis() {
        for direction in [Direction::Request, Direction::Response] {
            let (min, max) = peer(api.key, direction).versions;
            let all = min <= api.versions.min && api.versions.max <= max;
            assert!(all, "{} {}: {min}-{max}", api.name, direction.name());
        }
    }
}

#[test]
fn every_message_means_the_same_to_kafka_protocol() {
    for seed in 0..100 {
        both_ways(&mut Seeded::new(seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn whatever_a_fuzzer_feeds(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        both_ways(&mut Fed::new(&bytes));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_request(&bytes);
        for api in apis() {
            for version in api.versions.min..=api.versions.max {
                let _ = decode_response(api, version, &bytes);
            }
        }
    }
}

#[test]
fn the_core_reads_every_message_that_it_knows() {
    for seed in 0..50 {
        each(&mut Seeded::new(seed), |api, direction, version, body| {
            let key = ApiKey(api.key);
            if !key.versions().is_some_and(|known| known.contains(version)) {
                return;
            }
            let walk = match direction {
                Direction::Request => ottla_wire_tests::request(key, version),
                Direction::Response => Some(ottla_wire_tests::response(key, version)),
            };
            let Some(walk) = walk else { return };
            let mut body = body.clone();
            if api.key == 18 {
                // With UNSUPPORTED_VERSION the answer is of version 0, whatever was asked.
                body.set("error_code", 0.into());
            }
            let client_id = Some("c".to_owned());
            let frame = Frame { api, direction, version, correlation_id: 5, client_id, body };
            let bytes = frame.encode().bytes;
            let body = match direction {
                Direction::Request => frame::RequestHeader::read(&bytes[4..]).expect("a header").0,
                Direction::Response => &bytes[8..],
            };
            let read = ottla_wire_tests::drive_whole(body, walk);
            assert!(read.is_ok(), "{} v{version}: {read:?} {frame:?}", api.name);
        });
    }
}

#[test]
fn headers_are_those_of_kafka_protocol() {
    each(&mut Seeded::new(1), |api, direction, version, body| {
        if direction == Direction::Response {
            return;
        }
        let frame = Frame {
            api,
            direction,
            version,
            correlation_id: -7,
            client_id: Some("me".to_owned()),
            body: body.clone(),
        };
        let bytes = frame.encode().bytes;
        let flexible = api.is_flexible(version);
        let mut read = Bytes::copy_from_slice(&bytes[4..]);
        let header = RequestHeader::decode(&mut read, if flexible { 2 } else { 1 }).expect("reads");
        assert_eq!((header.request_api_key, header.request_api_version), (api.key, version));
        assert_eq!(header.correlation_id, -7);
        let read = decode_request(&bytes[4..]).expect("it is read");
        assert_eq!((read.api.key, read.version, read.correlation_id), (api.key, version, -7));
        assert_eq!(read.client_id.as_deref(), Some("me"));
    });
    let api = api_of(18).expect("ApiVersions");
    assert_eq!(theirs::ApiVersionsRequest::header_version(3), 2);
    assert!(!api.has_flexible_header(Direction::Response, 3));
}
