//! Messages of `kafka-protocol` with any values that a version can express.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        ApiVersionsResponse, BrokerId, DescribeProducersRequest, DescribeProducersResponse,
        InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse,
        ProduceRequest, ProduceResponse, ProducerId, SaslAuthenticateRequest,
        SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse, TopicName,
        TransactionalId,
        api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey},
        describe_producers_request::TopicRequest,
        describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
        metadata_request::MetadataRequestTopic,
        metadata_response::{
            MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
        },
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::{
            BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
            TopicProduceResponse,
        },
    },
    protocol::StrBytes,
};
use ottla_wire_tests::Entropy;

/// The longest name of a topic.
const NAME: usize = 249;
/// The longest name of a host.
const HOST: usize = 255;
/// The longest name of a mechanism: as long as a string may be that is read in one piece.
const MECHANISM: usize = 510;

/// Makes messages for one version.
pub(crate) struct Generate<'a> {
    pub(crate) version: i16,
    /// Whether to put in tagged fields that nobody knows, larger than any window at times.
    pub(crate) unknown_tags: bool,
    pub(crate) entropy: Entropy<'a>,
}

type Tags = BTreeMap<i32, Bytes>;

impl Generate<'_> {
    pub(crate) fn tags(&mut self) -> Tags {
        if !self.unknown_tags || self.entropy.byte() % 4 != 1 {
            return Tags::new();
        }
        let max = if self.entropy.byte() % 8 == 1 { 2000 } else { 20 };
        let tags = self.entropy.list(3, |e| {
            let tag = i32::from(e.byte()) << (e.byte() % 20);
            // Those of the schema are below 10.
            (tag + 10, Bytes::from(e.bytes(max)))
        });
        tags.into_iter().collect()
    }

    fn list<T>(&mut self, max: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let len = self.entropy.up_to(max);
        (0..len).map(|_| one(self)).collect()
    }

    fn text(&mut self, max: usize) -> StrBytes {
        StrBytes::from_string(self.entropy.text(max))
    }

    fn maybe_text(&mut self, max: usize) -> Option<StrBytes> {
        self.entropy.maybe(|e| StrBytes::from_string(e.text(max)))
    }

    fn nodes(&mut self) -> Vec<BrokerId> {
        let max = if self.entropy.byte() % 16 == 1 { 300 } else { 3 };
        self.entropy.list(max, |e| BrokerId(e.int32()))
    }

    fn uuid(&mut self) -> uuid::Uuid {
        let bytes = [(); 16].map(|()| self.entropy.byte());
        uuid::Uuid::from_bytes(bytes)
    }

    pub(crate) fn metadata_response(&mut self) -> MetadataResponse {
        let version = self.version;
        let mut m = MetadataResponse::default();
        if version >= 3 {
            m.throttle_time_ms = self.entropy.int32();
        }
        m.brokers = self.list(3, |g| {
            let mut broker = MetadataResponseBroker::default();
            broker.node_id = BrokerId(g.entropy.int32());
            broker.host = g.text(HOST);
            broker.port = g.entropy.int32();
            broker.rack = g.maybe_text(1000);
            broker.unknown_tagged_fields = g.tags();
            broker
        });
        m.cluster_id = self.maybe_text(700);
        m.controller_id = BrokerId(self.entropy.int32());
        m.topics = self.list(3, |g| {
            let mut topic = MetadataResponseTopic::default();
            topic.error_code = g.entropy.int16();
            topic.name = Some(TopicName(g.text(NAME)));
            if version >= 12 && g.entropy.byte() % 8 == 1 {
                topic.name = None;
            }
            if version >= 10 {
                topic.topic_id = g.uuid();
            }
            topic.is_internal = g.entropy.flag();
            topic.partitions = g.list(4, |g| {
                let mut partition = MetadataResponsePartition::default();
                partition.error_code = g.entropy.int16();
                partition.partition_index = g.entropy.int32();
                partition.leader_id = BrokerId(g.entropy.int32());
                if version >= 7 {
                    partition.leader_epoch = g.entropy.int32();
                }
                partition.replica_nodes = g.nodes();
                partition.isr_nodes = g.nodes();
                if version >= 5 {
                    partition.offline_replicas = g.nodes();
                }
                partition.unknown_tagged_fields = g.tags();
                partition
            });
            if version >= 8 && g.unknown_tags {
                topic.topic_authorized_operations = g.entropy.int32();
            }
            topic.unknown_tagged_fields = g.tags();
            topic
        });
        if (8..=10).contains(&version) && self.unknown_tags {
            m.cluster_authorized_operations = self.entropy.int32();
        }
        if version >= 13 {
            m.error_code = self.entropy.int16();
        }
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn metadata_request(&mut self) -> MetadataRequest {
        let version = self.version;
        let mut m = MetadataRequest::default();
        let topics = self.list(3, |g| {
            let mut topic = MetadataRequestTopic::default();
            topic.name = Some(TopicName(g.text(NAME)));
            if version >= 10 {
                topic.topic_id = g.uuid();
                if g.entropy.flag() {
                    topic.name = None;
                }
            }
            topic.unknown_tagged_fields = g.tags();
            topic
        });
        m.topics = self.entropy.maybe(|_| topics);
        if version >= 4 {
            m.allow_auto_topic_creation = self.entropy.flag();
        }
        if self.unknown_tags && (8..=10).contains(&version) {
            m.include_cluster_authorized_operations = self.entropy.flag();
        }
        if self.unknown_tags && version >= 8 {
            m.include_topic_authorized_operations = self.entropy.flag();
        }
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn produce_request(&mut self) -> ProduceRequest {
        let version = self.version;
        let mut m = ProduceRequest::default();
        m.transactional_id = self.maybe_text(300).map(TransactionalId);
        m.acks = self.entropy.int16();
        m.timeout_ms = self.entropy.int32();
        m.topic_data = self.list(3, |g| {
            let mut topic = TopicProduceData::default();
            if version >= 13 {
                topic.topic_id = g.uuid();
            } else {
                topic.name = TopicName(g.text(NAME));
            }
            topic.partition_data = g.list(3, |g| {
                let mut partition = PartitionProduceData::default();
                partition.index = g.entropy.int32();
                // We never write null, but read it.
                let null = g.unknown_tags && g.entropy.byte() % 8 == 1;
                partition.records = (!null).then(|| Bytes::from(g.entropy.bytes(1000)));
                partition.unknown_tagged_fields = g.tags();
                partition
            });
            topic.unknown_tagged_fields = g.tags();
            topic
        });
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn produce_response(&mut self) -> ProduceResponse {
        let version = self.version;
        let mut m = ProduceResponse::default();
        m.responses = self.list(3, |g| {
            let mut topic = TopicProduceResponse::default();
            if version >= 13 {
                topic.topic_id = g.uuid();
            } else {
                topic.name = TopicName(g.text(NAME));
            }
            topic.partition_responses = g.list(3, Self::produce_partition);
            topic.unknown_tagged_fields = g.tags();
            topic
        });
        m.throttle_time_ms = self.entropy.int32();
        if version >= 10 {
            m.node_endpoints = self.list(3, |g| {
                let mut endpoint = NodeEndpoint::default();
                endpoint.node_id = BrokerId(g.entropy.int32());
                endpoint.host = g.text(HOST);
                endpoint.port = g.entropy.int32();
                endpoint.rack = g.maybe_text(1000);
                endpoint.unknown_tagged_fields = g.tags();
                endpoint
            });
        }
        m.unknown_tagged_fields = self.tags();
        m
    }

    fn produce_partition(&mut self) -> PartitionProduceResponse {
        let version = self.version;
        let mut partition = PartitionProduceResponse::default();
        partition.index = self.entropy.int32();
        partition.error_code = self.entropy.int16();
        partition.base_offset = self.entropy.int64();
        partition.log_append_time_ms = self.entropy.int64();
        if version >= 5 {
            partition.log_start_offset = self.entropy.int64();
        }
        if version >= 8 {
            partition.record_errors = self.list(3, |g| {
                let mut error = BatchIndexAndErrorMessage::default();
                error.batch_index = g.entropy.int32();
                error.batch_index_error_message = g.maybe_text(1000);
                error.unknown_tagged_fields = g.tags();
                error
            });
            partition.error_message = self.maybe_text(2000);
        }
        if version >= 10 && self.entropy.flag() {
            let mut leader = LeaderIdAndEpoch::default();
            leader.leader_id = BrokerId(self.entropy.int32());
            leader.leader_epoch = self.entropy.int32();
            leader.unknown_tagged_fields = self.tags();
            partition.current_leader = leader;
        }
        partition.unknown_tagged_fields = self.tags();
        partition
    }

    pub(crate) fn api_versions_response(&mut self) -> ApiVersionsResponse {
        let version = self.version;
        let mut m = ApiVersionsResponse::default();
        m.error_code = self.entropy.int16();
        m.api_keys = self.list(60, |g| {
            let mut api = ApiVersion::default();
            api.api_key = g.entropy.int16();
            api.min_version = g.entropy.int16();
            api.max_version = g.entropy.int16();
            api.unknown_tagged_fields = g.tags();
            api
        });
        if version >= 1 {
            m.throttle_time_ms = self.entropy.int32();
        }
        if version >= 3 && self.unknown_tags {
            m.supported_features = self.list(40, |g| {
                let mut feature = SupportedFeatureKey::default();
                feature.name = g.text(40);
                feature
            });
            m.finalized_features_epoch = self.entropy.int64();
            m.finalized_features = self.list(3, |g| {
                let mut feature = FinalizedFeatureKey::default();
                feature.name = g.text(40);
                feature
            });
            m.zk_migration_ready = self.entropy.flag();
        }
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn describe_producers_request(&mut self) -> DescribeProducersRequest {
        let mut m = DescribeProducersRequest::default();
        m.topics = self.list(3, |g| {
            let mut topic = TopicRequest::default();
            topic.name = TopicName(g.text(NAME));
            topic.partition_indexes = g.entropy.list(20, Entropy::int32);
            topic.unknown_tagged_fields = g.tags();
            topic
        });
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn describe_producers_response(&mut self) -> DescribeProducersResponse {
        let mut m = DescribeProducersResponse::default();
        m.throttle_time_ms = self.entropy.int32();
        m.topics = self.list(3, |g| {
            let mut topic = TopicResponse::default();
            topic.name = TopicName(g.text(NAME));
            topic.partitions = g.list(3, |g| {
                let mut partition = PartitionResponse::default();
                partition.partition_index = g.entropy.int32();
                partition.error_code = g.entropy.int16();
                partition.error_message = g.maybe_text(2000);
                // More than any window holds, at times.
                let max = if g.entropy.byte() % 8 == 1 { 300 } else { 3 };
                partition.active_producers = g.list(max, |g| {
                    let mut producer = ProducerState::default();
                    producer.producer_id = ProducerId(g.entropy.int64());
                    producer.producer_epoch = g.entropy.int32();
                    producer.last_sequence = g.entropy.int32();
                    producer.last_timestamp = g.entropy.int64();
                    producer.coordinator_epoch = g.entropy.int32();
                    producer.current_txn_start_offset = g.entropy.int64();
                    producer.unknown_tagged_fields = g.tags();
                    producer
                });
                partition.unknown_tagged_fields = g.tags();
                partition
            });
            topic.unknown_tagged_fields = g.tags();
            topic
        });
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn sasl_handshake_request(&mut self) -> SaslHandshakeRequest {
        let mut m = SaslHandshakeRequest::default();
        m.mechanism = self.text(300);
        m
    }

    pub(crate) fn sasl_handshake_response(&mut self) -> SaslHandshakeResponse {
        let mut m = SaslHandshakeResponse::default();
        m.error_code = self.entropy.int16();
        m.mechanisms = self.list(20, |g| g.text(MECHANISM));
        m
    }

    pub(crate) fn sasl_authenticate_request(&mut self) -> SaslAuthenticateRequest {
        let mut m = SaslAuthenticateRequest::default();
        m.auth_bytes = Bytes::from(self.entropy.bytes(3000));
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn sasl_authenticate_response(&mut self) -> SaslAuthenticateResponse {
        let mut m = SaslAuthenticateResponse::default();
        m.error_code = self.entropy.int16();
        m.error_message = self.maybe_text(1000);
        // More than is kept, at times.
        let max = if self.entropy.byte() % 4 == 1 { 2000 } else { 100 };
        m.auth_bytes = Bytes::from(self.entropy.bytes(max));
        if self.version >= 1 {
            m.session_lifetime_ms = self.entropy.int64();
        }
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn init_producer_id_request(&mut self) -> InitProducerIdRequest {
        let mut m = InitProducerIdRequest::default();
        m.transactional_id = self.maybe_text(300).map(TransactionalId);
        m.transaction_timeout_ms = self.entropy.int32();
        if self.version >= 3 {
            m.producer_id = ProducerId(self.entropy.int64());
            m.producer_epoch = self.entropy.int16();
        }
        m.unknown_tagged_fields = self.tags();
        m
    }

    pub(crate) fn init_producer_id_response(&mut self) -> InitProducerIdResponse {
        let mut m = InitProducerIdResponse::default();
        m.throttle_time_ms = self.entropy.int32();
        m.error_code = self.entropy.int16();
        m.producer_id = ProducerId(self.entropy.int64());
        m.producer_epoch = self.entropy.int16();
        m.unknown_tagged_fields = self.tags();
        m
    }
}
