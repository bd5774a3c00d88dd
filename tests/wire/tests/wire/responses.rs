//! Responses: what we read of their bytes, and that we write the same bytes.

use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeProducersResponse, InitProducerIdResponse, MetadataResponse,
    ProduceResponse, SaslAuthenticateResponse, SaslHandshakeResponse, describe_producers_response,
    produce_response::LeaderIdAndEpoch,
};
use ottla_core::wire::{
    ApiKey, ErrorCode, Uuid, Wire, Writer,
    api_versions::{self, Api, ApiVersionsItem},
    describe_producers::{self, DescribeProducersItem, ProducerState},
    dialect,
    init_producer_id::InitProducerIdItem,
    metadata::{self, MetadataItem, Replicas},
    produce::{self, CurrentLeader, Details, NodeEndpoint, ProduceResponseItem, Text},
    sasl_authenticate::{self, AuthBytes},
    sasl_handshake,
    sasl_response::SaslItem,
};
use ottla_wire_tests::{Entropy, drive, response, sasl_item};
use proptest::prelude::*;

use crate::{message_generator::Generate, ours, theirs, told, versions, with_header_rest};

/// A response of theirs: its bytes behind the correlation id, and its elements as we should tell
/// them.
pub(crate) struct Case {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) bytes: Vec<u8>,
    pub(crate) elements: Vec<String>,
}

/// Every response in every version, out of the same entropy.
pub(crate) fn cases(entropy: &[u8]) -> Vec<Case> {
    let mut cases = Vec::new();
    for api in ApiKey::SPOKEN {
        for version in versions(api) {
            let mut g = Generate { version, unknown_tags: true, entropy: Entropy::new(entropy) };
            let (body, elements) = match api {
                ApiKey::PRODUCE => {
                    let m = g.produce_response();
                    (theirs(&m, version), produce_elements(&m, version))
                }
                ApiKey::METADATA => {
                    let m = g.metadata_response();
                    (theirs(&m, version), metadata_elements(&m, version))
                }
                ApiKey::API_VERSIONS => {
                    let mut m = g.api_versions_response();
                    // Who says this does not speak the version.
                    if m.error_code == ErrorCode::UNSUPPORTED_VERSION.0 {
                        m.error_code = 0;
                    }
                    (theirs(&m, version), api_versions_elements(&m, version))
                }
                ApiKey::DESCRIBE_PRODUCERS => {
                    let m = g.describe_producers_response();
                    (theirs(&m, version), describe_producers_elements(&m))
                }
                ApiKey::SASL_HANDSHAKE => {
                    let m = g.sasl_handshake_response();
                    (theirs(&m, version), sasl_handshake_elements(&m))
                }
                ApiKey::SASL_AUTHENTICATE => {
                    let m = g.sasl_authenticate_response();
                    (theirs(&m, version), sasl_authenticate_elements(&m, version))
                }
                _ => {
                    let m = g.init_producer_id_response();
                    (theirs(&m, version), init_producer_id_elements(&m))
                }
            };
            cases.push(Case {
                api,
                version,
                bytes: with_header_rest(api, version, &body, &g.tags()),
                elements,
            });
        }
    }
    cases
}

fn metadata_elements(m: &MetadataResponse, version: i16) -> Vec<String> {
    let mut items = Vec::new();
    if version >= 3 {
        items.push(MetadataItem::Throttle(m.throttle_time_ms));
    }
    for broker in &m.brokers {
        items.push(MetadataItem::Broker(our_broker(broker)));
    }
    items.push(MetadataItem::Controller(m.controller_id.0));
    for topic in &m.topics {
        items.push(MetadataItem::Topic(our_topic(topic)));
        for partition in &topic.partitions {
            items.push(MetadataItem::Partition(our_partition(partition)));
        }
    }
    if version >= 13 {
        items.push(MetadataItem::Error(ErrorCode(m.error_code)));
    }
    told(&items)
}

fn our_broker(
    broker: &kafka_protocol::messages::metadata_response::MetadataResponseBroker,
) -> metadata::Broker<'_> {
    metadata::Broker { node_id: broker.node_id.0, host: &broker.host, port: broker.port }
}

fn our_topic(
    topic: &kafka_protocol::messages::metadata_response::MetadataResponseTopic,
) -> metadata::Topic<'_> {
    metadata::Topic {
        error: ErrorCode(topic.error_code),
        name: topic.name.as_ref().map(|name| name.0.as_str()),
        id: Uuid(*topic.topic_id.as_bytes()),
        internal: topic.is_internal,
        partitions: topic.partitions.len() as u32,
    }
}

fn our_partition(
    partition: &kafka_protocol::messages::metadata_response::MetadataResponsePartition,
) -> metadata::Partition {
    metadata::Partition {
        error: ErrorCode(partition.error_code),
        index: partition.partition_index,
        leader_id: partition.leader_id.0,
        leader_epoch: partition.leader_epoch,
    }
}

fn write_metadata(w: &mut Writer<'_>, m: &MetadataResponse, version: i16) {
    let d = dialect(ApiKey::METADATA, version);
    let ids = |nodes: &[kafka_protocol::messages::BrokerId]| -> Vec<i32> {
        nodes.iter().map(|node| node.0).collect()
    };
    metadata::write_response(w, d, m.throttle_time_ms, m.brokers.len() as u32);
    for broker in &m.brokers {
        metadata::write_response_broker(w, d, &our_broker(broker), broker.rack.as_deref());
    }
    let topics = m.topics.len() as u32;
    let cluster_id = m.cluster_id.as_deref();
    metadata::write_response_cluster(w, d, cluster_id, m.controller_id.0, topics);
    for topic in &m.topics {
        metadata::write_response_topic(w, d, &our_topic(topic));
        for partition in &topic.partitions {
            let replicas = Replicas {
                all: &ids(&partition.replica_nodes),
                in_sync: &ids(&partition.isr_nodes),
                offline: &ids(&partition.offline_replicas),
            };
            metadata::write_response_partition(w, d, &our_partition(partition), &replicas);
        }
        metadata::write_response_topic_end(w, d);
    }
    metadata::write_response_end(w, d, ErrorCode(m.error_code));
}

fn produce_elements(m: &ProduceResponse, version: i16) -> Vec<String> {
    let mut items = Vec::new();
    for topic in &m.responses {
        items.push(ProduceResponseItem::Topic(our_produce_topic(topic, version)));
        for partition in &topic.partition_responses {
            items.push(ProduceResponseItem::Partition(our_answer(partition)));
            for error in &partition.record_errors {
                let batch_index = error.batch_index;
                let message = error.batch_index_error_message.as_deref().map(our_text);
                items.push(ProduceResponseItem::RecordError { batch_index, message });
            }
            if version >= 8 && partition.error_code != 0 {
                let message = partition.error_message.as_deref().map(our_text);
                items.push(ProduceResponseItem::ErrorMessage(message));
            }
            if let Some(leader) = our_leader(&partition.current_leader) {
                items.push(ProduceResponseItem::CurrentLeader(leader));
            }
        }
    }
    items.push(ProduceResponseItem::Throttle(m.throttle_time_ms));
    for endpoint in &m.node_endpoints {
        items.push(ProduceResponseItem::NodeEndpoint(our_endpoint(endpoint)));
    }
    told(&items)
}

fn our_produce_topic(
    topic: &kafka_protocol::messages::produce_response::TopicProduceResponse,
    version: i16,
) -> produce::Topic<'_> {
    produce::Topic {
        name: (version <= 12).then(|| topic.name.0.as_str()),
        id: Uuid(*topic.topic_id.as_bytes()),
        partitions: topic.partition_responses.len() as u32,
    }
}

fn our_text(text: &str) -> Text<'_> {
    Text::new(text.as_bytes())
}

fn our_answer(
    partition: &kafka_protocol::messages::produce_response::PartitionProduceResponse,
) -> produce::Partition {
    produce::Partition {
        index: partition.index,
        error: ErrorCode(partition.error_code),
        base_offset: partition.base_offset,
        log_append_time_ms: partition.log_append_time_ms,
        log_start_offset: partition.log_start_offset,
    }
}

/// A default leader is not on the wire.
fn our_leader(leader: &LeaderIdAndEpoch) -> Option<CurrentLeader> {
    (leader != &LeaderIdAndEpoch::default()).then_some(CurrentLeader {
        leader_id: leader.leader_id.0,
        leader_epoch: leader.leader_epoch,
    })
}

fn our_endpoint(
    endpoint: &kafka_protocol::messages::produce_response::NodeEndpoint,
) -> NodeEndpoint<'_> {
    NodeEndpoint { node_id: endpoint.node_id.0, host: &endpoint.host, port: endpoint.port }
}

fn write_produce(w: &mut Writer<'_>, m: &ProduceResponse, version: i16) {
    let d = dialect(ApiKey::PRODUCE, version);
    produce::write_response(w, d, m.responses.len() as u32);
    for topic in &m.responses {
        produce::write_response_topic(w, d, &our_produce_topic(topic, version));
        for partition in &topic.partition_responses {
            let record_errors: Vec<_> = partition
                .record_errors
                .iter()
                .map(|error| {
                    let message = error.batch_index_error_message.as_deref();
                    (error.batch_index, message)
                })
                .collect();
            let details = Details {
                record_errors: &record_errors,
                error_message: partition.error_message.as_deref(),
                current_leader: our_leader(&partition.current_leader),
            };
            produce::write_response_partition(w, d, &our_answer(partition), &details);
        }
        produce::write_response_topic_end(w, d);
    }
    let endpoints: Vec<_> = m
        .node_endpoints
        .iter()
        .map(|endpoint| (our_endpoint(endpoint), endpoint.rack.as_deref()))
        .collect();
    produce::write_response_end(w, d, m.throttle_time_ms, &endpoints);
}

fn api_versions_elements(m: &ApiVersionsResponse, version: i16) -> Vec<String> {
    let mut items = vec![ApiVersionsItem::Error(ErrorCode(m.error_code))];
    items.extend(m.api_keys.iter().map(|api| ApiVersionsItem::Api(our_api(api))));
    if version >= 1 {
        items.push(ApiVersionsItem::Throttle(m.throttle_time_ms));
    }
    told(&items)
}

fn our_api(api: &kafka_protocol::messages::api_versions_response::ApiVersion) -> Api {
    Api { key: ApiKey(api.api_key), min: api.min_version, max: api.max_version }
}

fn write_api_versions(w: &mut Writer<'_>, m: &ApiVersionsResponse, version: i16) {
    let d = dialect(ApiKey::API_VERSIONS, version);
    api_versions::write_response(w, d, ErrorCode(m.error_code), m.api_keys.len() as u32);
    for api in &m.api_keys {
        api_versions::write_response_api(w, d, &our_api(api));
    }
    api_versions::write_response_end(w, d, m.throttle_time_ms);
}

fn describe_producers_elements(m: &DescribeProducersResponse) -> Vec<String> {
    let mut items = vec![DescribeProducersItem::Throttle(m.throttle_time_ms)];
    for topic in &m.topics {
        items.push(DescribeProducersItem::Topic(our_described(topic)));
        for partition in &topic.partitions {
            items.push(DescribeProducersItem::Partition(our_described_partition(partition)));
            let producers = partition.active_producers.iter().map(our_state);
            items.extend(producers.map(DescribeProducersItem::Producer));
            items.push(DescribeProducersItem::PartitionEnd);
        }
    }
    told(&items)
}

fn our_described(
    topic: &describe_producers_response::TopicResponse,
) -> describe_producers::Topic<'_> {
    let partitions = topic.partitions.len() as u32;
    describe_producers::Topic { name: &topic.name.0, partitions }
}

fn our_described_partition(
    partition: &describe_producers_response::PartitionResponse,
) -> describe_producers::Partition {
    describe_producers::Partition {
        index: partition.partition_index,
        error: ErrorCode(partition.error_code),
    }
}

fn our_state(producer: &describe_producers_response::ProducerState) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id.0,
        producer_epoch: producer.producer_epoch,
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.current_txn_start_offset,
    }
}

fn write_describe_producers(w: &mut Writer<'_>, m: &DescribeProducersResponse, version: i16) {
    let d = dialect(ApiKey::DESCRIBE_PRODUCERS, version);
    describe_producers::write_response(w, d, m.throttle_time_ms, m.topics.len() as u32);
    for topic in &m.topics {
        describe_producers::write_response_topic(w, d, &our_described(topic));
        for partition in &topic.partitions {
            let head = our_described_partition(partition);
            let message = partition.error_message.as_deref();
            let producers: Vec<_> = partition.active_producers.iter().map(our_state).collect();
            describe_producers::write_response_partition(w, d, &head, message, &producers);
        }
        describe_producers::write_response_topic_end(w, d);
    }
    describe_producers::write_response_end(w, d);
}

fn our_producer_id(m: &InitProducerIdResponse) -> InitProducerIdItem {
    InitProducerIdItem {
        throttle_ms: m.throttle_time_ms,
        error: ErrorCode(m.error_code),
        producer_id: m.producer_id.0,
        producer_epoch: m.producer_epoch,
    }
}

fn init_producer_id_elements(m: &InitProducerIdResponse) -> Vec<String> {
    told(&[our_producer_id(m)])
}

fn sasl_handshake_elements(m: &SaslHandshakeResponse) -> Vec<String> {
    let mut items = vec![SaslItem::Error(ErrorCode(m.error_code))];
    items.extend(m.mechanisms.iter().map(|name| SaslItem::Mechanism(our_text(name))));
    told(&items)
}

fn write_sasl_handshake(w: &mut Writer<'_>, m: &SaslHandshakeResponse, version: i16) {
    let d = dialect(ApiKey::SASL_HANDSHAKE, version);
    let mechanisms = m.mechanisms.iter().map(|name| name.as_str());
    sasl_handshake::write_response(w, d, ErrorCode(m.error_code), mechanisms);
}

fn sasl_authenticate_elements(m: &SaslAuthenticateResponse, version: i16) -> Vec<String> {
    let mut items = vec![
        SaslItem::Error(ErrorCode(m.error_code)),
        SaslItem::Message(m.error_message.as_deref().map(our_text)),
        SaslItem::Bytes(AuthBytes::new(&m.auth_bytes)),
    ];
    if version >= 1 {
        items.push(SaslItem::Lifetime(m.session_lifetime_ms));
    }
    items.iter().map(sasl_item).collect()
}

fn write_sasl_authenticate(w: &mut Writer<'_>, m: &SaslAuthenticateResponse, version: i16) {
    let d = dialect(ApiKey::SASL_AUTHENTICATE, version);
    let (error, message) = (ErrorCode(m.error_code), m.error_message.as_deref());
    let lifetime_ms = m.session_lifetime_ms;
    sasl_authenticate::write_response(w, d, error, message, &m.auth_bytes, lifetime_ms);
}

/// What is hidden is the bytes alone.
#[test]
fn the_messages_of_a_mechanism_are_not_shown() {
    let secret = AuthBytes::new(b"\0alice\0alice-secret");
    let item = SaslItem::Bytes(secret);
    assert_eq!(format!("{item:?}"), "Bytes([19 bytes hidden])");
    assert!(sasl_item(&item).contains(&format!("{:?}", secret.bytes)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever they write, we read, through a small window or at once, byte by byte or in any
    /// pieces. Byte by byte, every proper prefix waits: it neither ends nor fails.
    #[test]
    fn their_responses_are_read(
        entropy in prop::collection::vec(any::<u8>(), 0..800),
        pieces in prop::collection::vec(1_usize..300, 1..20),
    ) {
        for case in cases(&entropy) {
            let Case { api, version, bytes, elements } = case;
            let whole = drive(&bytes, usize::MAX, || usize::MAX, response(api, version));
            prop_assert_eq!(whole.as_ref(), Ok(&elements), "{} v{}", api, version);
            let mut pieces = pieces.iter().copied().cycle();
            let arrive = || pieces.next().unwrap_or(1);
            let windowed = drive(&bytes, 512, arrive, response(api, version));
            prop_assert_eq!(windowed.as_ref(), Ok(&elements), "{} v{}", api, version);
            let by_byte = drive(&bytes, 512, || 1, response(api, version));
            prop_assert_eq!(by_byte.as_ref(), Ok(&elements), "{} v{}", api, version);
        }
    }

    /// Our responses are theirs, byte for byte.
    #[test]
    fn our_responses_are_theirs(entropy in prop::collection::vec(any::<u8>(), 0..800)) {
        for api in ApiKey::SPOKEN {
            for version in versions(api) {
                let mut g = Generate {
                    version,
                    unknown_tags: false,
                    entropy: Entropy::new(&entropy),
                };
                let (theirs, ours) = match api {
                    ApiKey::PRODUCE => {
                        let m = g.produce_response();
                        (theirs(&m, version), ours(|w| write_produce(w, &m, version)))
                    }
                    ApiKey::METADATA => {
                        let m = g.metadata_response();
                        (theirs(&m, version), ours(|w| write_metadata(w, &m, version)))
                    }
                    ApiKey::API_VERSIONS => {
                        let m = g.api_versions_response();
                        (theirs(&m, version), ours(|w| write_api_versions(w, &m, version)))
                    }
                    ApiKey::DESCRIBE_PRODUCERS => {
                        let m = g.describe_producers_response();
                        (theirs(&m, version), ours(|w| write_describe_producers(w, &m, version)))
                    }
                    ApiKey::SASL_HANDSHAKE => {
                        let m = g.sasl_handshake_response();
                        (theirs(&m, version), ours(|w| write_sasl_handshake(w, &m, version)))
                    }
                    ApiKey::SASL_AUTHENTICATE => {
                        let m = g.sasl_authenticate_response();
                        (theirs(&m, version), ours(|w| write_sasl_authenticate(w, &m, version)))
                    }
                    _ => {
                        let m = g.init_producer_id_response();
                        let d = dialect(api, version);
                        (theirs(&m, version), ours(|w| our_producer_id(&m).write(w, d)))
                    }
                };
                prop_assert_eq!(theirs, ours, "{} v{}", api, version);
            }
        }
    }

    /// Who does not know the version that was asked for answers in version 0.
    #[test]
    fn an_unsupported_version_is_answered_in_version_0(
        entropy in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut g = Generate { version: 0, unknown_tags: false, entropy: Entropy::new(&entropy) };
        let mut m = g.api_versions_response();
        m.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
        let bytes = theirs(&m, 0);
        for version in versions(ApiKey::API_VERSIONS) {
            let read = drive(&bytes, 512, || 1, response(ApiKey::API_VERSIONS, version));
            prop_assert_eq!(read, Ok(api_versions_elements(&m, 0)));
        }
    }
}
