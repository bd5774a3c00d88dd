//! The headers of requests and of responses, and the frame around them.

use kafka_protocol::{
    messages,
    protocol::{HeaderVersion, StrBytes},
};
use ottla_core::wire::{
    ApiKey,
    frame::{self, RequestHeader, ResponseHead},
};
use ottla_wire_tests::Entropy;
use proptest::prelude::*;

use crate::{message_generator::Generate, ours, read_theirs, theirs, versions};

/// The versions of the request's and of the response's header.
fn header_versions(api: ApiKey, version: i16) -> (i16, i16) {
    use messages::{
        ApiVersionsRequest, ApiVersionsResponse, DescribeProducersRequest,
        DescribeProducersResponse, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest,
        MetadataResponse, ProduceRequest, ProduceResponse, SaslAuthenticateRequest,
        SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    };
    match api {
        ApiKey::PRODUCE => {
            (ProduceRequest::header_version(version), ProduceResponse::header_version(version))
        }
        ApiKey::METADATA => {
            (MetadataRequest::header_version(version), MetadataResponse::header_version(version))
        }
        ApiKey::API_VERSIONS => (
            ApiVersionsRequest::header_version(version),
            ApiVersionsResponse::header_version(version),
        ),
        ApiKey::DESCRIBE_PRODUCERS => (
            DescribeProducersRequest::header_version(version),
            DescribeProducersResponse::header_version(version),
        ),
        ApiKey::SASL_HANDSHAKE => (
            SaslHandshakeRequest::header_version(version),
            SaslHandshakeResponse::header_version(version),
        ),
        ApiKey::SASL_AUTHENTICATE => (
            SaslAuthenticateRequest::header_version(version),
            SaslAuthenticateResponse::header_version(version),
        ),
        _ => (
            InitProducerIdRequest::header_version(version),
            InitProducerIdResponse::header_version(version),
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn request_headers_are_theirs(
        correlation_id: i32,
        client_id in prop::option::of("[a-z]{0,300}"),
        entropy in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        for api in ApiKey::SPOKEN {
            for version in versions(api) {
                let mut m = messages::RequestHeader::default();
                m.request_api_key = api.0;
                m.request_api_version = version;
                m.correlation_id = correlation_id;
                m.client_id = client_id.clone().map(StrBytes::from_string);
                let header_version = header_versions(api, version).0;
                let written = ours(|w| {
                    frame::write_request_header(w, api, version, correlation_id, client_id.as_deref());
                });
                prop_assert_eq!(&theirs(&m, header_version), &written);

                let mut g = Generate { version, unknown_tags: true, entropy: Entropy::new(&entropy) };
                m.unknown_tagged_fields = g.tags();
                let header = RequestHeader {
                    api_key: api,
                    api_version: version,
                    correlation_id,
                    client_id: client_id.as_deref(),
                };
                let bytes = theirs(&m, header_version);
                prop_assert_eq!(RequestHeader::read(&bytes), Ok((&[][..], header)));
                for cut in 0..bytes.len() {
                    let cut = RequestHeader::read(&bytes[..cut]);
                    prop_assert!(matches!(cut, Err(error) if error.is_incomplete()));
                }
            }
        }
    }

    #[test]
    fn response_headers_are_theirs(correlation_id: i32) {
        for api in ApiKey::SPOKEN {
            for version in versions(api) {
                let header_version = header_versions(api, version).1;
                let bytes = ours(|w| {
                    let size = frame::begin(w);
                    frame::write_response_header(w, api, version, correlation_id);
                    frame::end(w, size, 100);
                });
                let m: messages::ResponseHeader = read_theirs(&bytes[4..], header_version);
                prop_assert_eq!(m.correlation_id, correlation_id);
                let (rest, head) = ResponseHead::read(&bytes).expect("is all there");
                prop_assert_eq!(head.correlation_id, correlation_id);
                prop_assert_eq!(head.remaining(), rest.len() + 100);
            }
        }
    }
}
