//! Requests: that we write their bytes, and what we read of them.

use kafka_protocol::{
    messages::{self, TransactionalId},
    protocol::StrBytes,
};
use ottla_core::wire::{
    ApiKey, DecodeError, Uuid, Wire, Writer,
    api_versions::ApiVersionsRequest,
    describe_producers::{self, DescribeProducersRequestItem},
    dialect,
    init_producer_id::InitProducerIdRequest,
    metadata::{self, End, MetadataRequestItem, RequestTopic},
    produce::{self, Head, ProduceRequestItem, Topic},
    read_whole,
    sasl_authenticate::{self, read_request},
    sasl_handshake::SaslHandshakeRequest,
};
use ottla_wire_tests::{Entropy, drive, drive_whole, request};
use proptest::prelude::*;

use crate::{message_generator::Generate, ours, read_theirs, theirs, told, versions};

fn transactional_id(id: &Option<TransactionalId>) -> Option<&str> {
    id.as_ref().map(|id| id.0.as_str())
}

fn write_produce(w: &mut Writer<'_>, m: &messages::ProduceRequest, version: i16) {
    let d = dialect(ApiKey::PRODUCE, version);
    let topics = m.topic_data.len() as u32;
    let id = transactional_id(&m.transactional_id);
    produce::write_head(w, d, id, m.acks, m.timeout_ms, topics);
    for topic in &m.topic_data {
        let partitions = topic.partition_data.len() as u32;
        let id = Uuid(*topic.topic_id.as_bytes());
        produce::write_topic(w, d, &topic.name.0, id, partitions);
        for partition in &topic.partition_data {
            let records = partition.records.as_deref().expect("we write no null");
            produce::write_partition(w, d, partition.index, records.len() as u32);
            w.bytes(records);
            produce::write_partition_end(w, d);
        }
        produce::write_topic_end(w, d);
    }
    produce::write_end(w, d);
}

fn produce_elements(m: &messages::ProduceRequest, version: i16) -> Vec<String> {
    let mut items = vec![ProduceRequestItem::Head(Head {
        transactional_id: transactional_id(&m.transactional_id),
        acks: m.acks,
        timeout_ms: m.timeout_ms,
        topics: m.topic_data.len() as u32,
    })];
    for topic in &m.topic_data {
        items.push(ProduceRequestItem::Topic(Topic {
            name: (version <= 12).then(|| topic.name.0.as_str()),
            id: Uuid(*topic.topic_id.as_bytes()),
            partitions: topic.partition_data.len() as u32,
        }));
        for partition in &topic.partition_data {
            items.push(ProduceRequestItem::Partition {
                index: partition.index,
                records: partition.records.as_deref(),
            });
        }
    }
    told(&items)
}

fn our_topic(topic: &messages::metadata_request::MetadataRequestTopic) -> RequestTopic<'_> {
    RequestTopic {
        id: Uuid(*topic.topic_id.as_bytes()),
        name: topic.name.as_ref().map(|name| name.0.as_str()),
    }
}

fn write_metadata(w: &mut Writer<'_>, m: &messages::MetadataRequest, version: i16) {
    let d = dialect(ApiKey::METADATA, version);
    let topics = m.topics.as_ref().map(|topics| topics.len() as u32);
    metadata::write_request(w, d, topics);
    for topic in m.topics.iter().flatten() {
        metadata::write_request_topic(w, d, &our_topic(topic));
    }
    metadata::write_request_end(w, d, m.allow_auto_topic_creation);
}

fn metadata_elements(m: &messages::MetadataRequest, version: i16) -> Vec<String> {
    let topics = m.topics.as_ref().map(|topics| topics.len() as u32);
    let mut items = vec![MetadataRequestItem::Topics(topics)];
    for topic in m.topics.iter().flatten() {
        items.push(MetadataRequestItem::Topic(our_topic(topic)));
    }
    if version >= 4 {
        items.push(MetadataRequestItem::End(End {
            allow_auto_topic_creation: m.allow_auto_topic_creation,
            include_cluster_authorized_operations: m.include_cluster_authorized_operations,
            include_topic_authorized_operations: m.include_topic_authorized_operations,
        }));
    }
    told(&items)
}

fn write_describe_producers(
    w: &mut Writer<'_>,
    m: &messages::DescribeProducersRequest,
    version: i16,
) {
    let d = dialect(ApiKey::DESCRIBE_PRODUCERS, version);
    describe_producers::write_request(w, d, m.topics.len() as u32);
    for topic in &m.topics {
        describe_producers::write_request_topic(w, d, &our_described(topic));
        for index in &topic.partition_indexes {
            w.int32(*index);
        }
        describe_producers::write_request_topic_end(w, d);
    }
    describe_producers::write_request_end(w, d);
}

fn our_described(
    topic: &messages::describe_producers_request::TopicRequest,
) -> describe_producers::Topic<'_> {
    let partitions = topic.partition_indexes.len() as u32;
    describe_producers::Topic { name: &topic.name.0, partitions }
}

fn describe_producers_elements(m: &messages::DescribeProducersRequest) -> Vec<String> {
    let mut items = Vec::new();
    for topic in &m.topics {
        items.push(DescribeProducersRequestItem::Topic(our_described(topic)));
        let partitions = topic.partition_indexes.iter();
        items.extend(partitions.map(|index| DescribeProducersRequestItem::Partition(*index)));
    }
    told(&items)
}

fn our_init_producer_id(m: &messages::InitProducerIdRequest) -> InitProducerIdRequest<'_> {
    InitProducerIdRequest {
        transactional_id: transactional_id(&m.transactional_id),
        transaction_timeout_ms: m.transaction_timeout_ms,
        producer_id: m.producer_id.0,
        producer_epoch: m.producer_epoch,
    }
}

fn api_versions(g: &mut Generate<'_>) -> messages::ApiVersionsRequest {
    let mut m = messages::ApiVersionsRequest::default();
    if g.version >= 3 {
        m.client_software_name = StrBytes::from_string(g.entropy.text(300));
        m.client_software_version = StrBytes::from_string(g.entropy.text(300));
    }
    m.unknown_tagged_fields = g.tags();
    m
}

fn our_api_versions(m: &messages::ApiVersionsRequest) -> ApiVersionsRequest<'_> {
    ApiVersionsRequest {
        client_software_name: &m.client_software_name,
        client_software_version: &m.client_software_version,
    }
}

fn write_sasl_authenticate(
    w: &mut Writer<'_>,
    m: &messages::SaslAuthenticateRequest,
    version: i16,
) {
    let d = dialect(ApiKey::SASL_AUTHENTICATE, version);
    sasl_authenticate::write_request_head(w, d, m.auth_bytes.len());
    w.bytes(&m.auth_bytes);
    sasl_authenticate::write_request_end(w, d);
}

fn our_sasl_handshake(m: &messages::SaslHandshakeRequest) -> SaslHandshakeRequest<'_> {
    SaslHandshakeRequest { mechanism: &m.mechanism }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Our requests are theirs, byte for byte, and they read in them what was meant.
    #[test]
    fn our_requests_are_theirs(entropy in prop::collection::vec(any::<u8>(), 0..400)) {
        for api in ApiKey::SPOKEN {
            for version in versions(api) {
                let d = dialect(api, version);
                let mut g = Generate {
                    version,
                    unknown_tags: false,
                    entropy: Entropy::new(&entropy),
                };
                let (theirs, ours) = match api {
                    ApiKey::PRODUCE => {
                        let m = g.produce_request();
                        let ours = ours(|w| write_produce(w, &m, version));
                        prop_assert_eq!(&read_theirs::<messages::ProduceRequest>(&ours, version), &m);
                        (theirs(&m, version), ours)
                    }
                    ApiKey::METADATA => {
                        let m = g.metadata_request();
                        let ours = ours(|w| write_metadata(w, &m, version));
                        prop_assert_eq!(&read_theirs::<messages::MetadataRequest>(&ours, version), &m);
                        (theirs(&m, version), ours)
                    }
                    ApiKey::API_VERSIONS => {
                        let m = api_versions(&mut g);
                        let ours = ours(|w| our_api_versions(&m).write(w, d));
                        prop_assert_eq!(&read_theirs::<messages::ApiVersionsRequest>(&ours, version), &m);
                        (theirs(&m, version), ours)
                    }
                    ApiKey::DESCRIBE_PRODUCERS => {
                        let m = g.describe_producers_request();
                        let ours = ours(|w| write_describe_producers(w, &m, version));
                        prop_assert_eq!(&read_theirs::<messages::DescribeProducersRequest>(&ours, version), &m);
                        (theirs(&m, version), ours)
                    }
                    ApiKey::SASL_HANDSHAKE => {
                        let m = g.sasl_handshake_request();
                        let ours = ours(|w| our_sasl_handshake(&m).write(w, d));
                        prop_assert_eq!(&read_theirs::<messages::SaslHandshakeRequest>(&ours, version), &m);
                        (theirs(&m, version), ours)
                    }
                    ApiKey::SASL_AUTHENTICATE => {
                        let m = g.sasl_authenticate_request();
                        let ours = ours(|w| write_sasl_authenticate(w, &m, version));
                        prop_assert_eq!(&read_theirs::<messages::SaslAuthenticateRequest>(&ours, version), &m);
                        (theirs(&m, version), ours)
                    }
                    _ => {
                        let m = g.init_producer_id_request();
                        let ours = ours(|w| our_init_producer_id(&m).write(w, d));
                        prop_assert_eq!(&read_theirs::<messages::InitProducerIdRequest>(&ours, version), &m);
                        (theirs(&m, version), ours)
                    }
                };
                prop_assert_eq!(theirs, ours, "{} v{}", api, version);
            }
        }
    }

    /// Whatever they ask, we read, at once and byte by byte.
    #[test]
    fn their_requests_are_read(entropy in prop::collection::vec(any::<u8>(), 0..400)) {
        for api in ApiKey::SPOKEN {
            for version in versions(api) {
                let d = dialect(api, version);
                let mut g = Generate {
                    version,
                    unknown_tags: true,
                    entropy: Entropy::new(&entropy),
                };
                let (bytes, elements) = match api {
                    ApiKey::PRODUCE => {
                        let m = g.produce_request();
                        (theirs(&m, version), produce_elements(&m, version))
                    }
                    ApiKey::METADATA => {
                        let m = g.metadata_request();
                        (theirs(&m, version), metadata_elements(&m, version))
                    }
                    ApiKey::DESCRIBE_PRODUCERS => {
                        let m = g.describe_producers_request();
                        (theirs(&m, version), describe_producers_elements(&m))
                    }
                    ApiKey::API_VERSIONS => {
                        let m = api_versions(&mut g);
                        let bytes = theirs(&m, version);
                        prop_assert_eq!(read_whole(&bytes, d), Ok(our_api_versions(&m)));
                        continue;
                    }
                    ApiKey::SASL_HANDSHAKE => {
                        let m = g.sasl_handshake_request();
                        let bytes = theirs(&m, version);
                        prop_assert_eq!(read_whole(&bytes, d), Ok(our_sasl_handshake(&m)));
                        continue;
                    }
                    ApiKey::SASL_AUTHENTICATE => {
                        let m = g.sasl_authenticate_request();
                        let bytes = theirs(&m, version);
                        prop_assert_eq!(read_request(&bytes, d), Ok(&m.auth_bytes[..]));
                        for cut in 0..bytes.len() {
                            let cut = read_request(&bytes[..cut], d);
                            prop_assert_eq!(cut, Err(DecodeError::Truncated));
                        }
                        continue;
                    }
                    _ => {
                        let m = g.init_producer_id_request();
                        let bytes = theirs(&m, version);
                        prop_assert_eq!(read_whole(&bytes, d), Ok(our_init_producer_id(&m)));
                        continue;
                    }
                };
                let walk = || request(api, version).expect("requests of this API are walked");
                let whole = drive_whole(&bytes, walk());
                prop_assert_eq!(whole.as_ref(), Ok(&elements), "{} v{}", api, version);
                let by_byte = drive(&bytes, usize::MAX, || 1, walk());
                prop_assert_eq!(by_byte.as_ref(), Ok(&elements), "{} v{}", api, version);
            }
        }
    }
}
