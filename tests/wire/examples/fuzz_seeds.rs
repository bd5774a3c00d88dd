//! Writes seeds for the fuzz targets: each message that our encoders make, in each version.
//!
//! Usage: `cargo run -p ottla-wire-tests --example seeds -- fuzz/corpus`

use std::{env, fs, io, path::Path};

use ottla_core::{
    Header,
    wire::{
        ApiKey, Dialect, ErrorCode, Uuid, Wire, Writer,
        api_versions::{self, Api, ApiVersionsRequest},
        crc32c,
        describe_producers::{self, ProducerState},
        dialect, frame,
        init_producer_id::{InitProducerIdItem, InitProducerIdRequest},
        metadata::{self, Broker, Replicas, RequestTopic},
        produce::{self, CurrentLeader, Details, NodeEndpoint},
        record::{Attributes, BatchHeader, RecordHead, write_record},
        sasl_authenticate,
        sasl_handshake::{self, SaslHandshakeRequest},
    },
};

const ID: Uuid = Uuid(*b"0123456789abcdef");

fn main() -> io::Result<()> {
    let corpus = env::args().nth(1).unwrap_or_else(|| "fuzz/corpus".into());
    let corpus = Path::new(&corpus);
    for target in ["responses", "requests", "record_batch"] {
        fs::create_dir_all(corpus.join(target))?;
    }
    for (index, api) in ApiKey::SPOKEN.into_iter().enumerate() {
        let versions = api.versions().expect("an API that we speak");
        for version in versions.min..=versions.max {
            let d = dialect(api, version);
            let name = format!("{}-v{version}", api.name().unwrap_or_default()).to_lowercase();

            let response = written(|w| {
                frame::write_response_header(w, api, version, 0);
                write_response(w, api, d);
            });
            let mut seed = vec![index as u8, version as u8, 0, 7];
            seed.extend_from_slice(&response[4..]); // without the correlation id
            fs::write(corpus.join("responses").join(&name), seed)?;

            let request = written(|w| {
                frame::write_request_header(w, api, version, 7, Some("seed"));
                write_request(w, api, d);
            });
            fs::write(corpus.join("requests").join(&name), request)?;
        }
    }
    fs::write(corpus.join("record_batch").join("two-records"), batch())
}

fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; Writer::measure(&write)];
    write(&mut Writer::new(&mut bytes));
    bytes
}

fn write_response(w: &mut Writer<'_>, api: ApiKey, d: Dialect) {
    match api {
        ApiKey::PRODUCE => {
            produce::write_response(w, d, 1);
            let topic = produce::Topic { name: Some("topic"), id: ID, partitions: 1 };
            produce::write_response_topic(w, d, &topic);
            let partition = produce::Partition {
                index: 3,
                error: ErrorCode::NOT_LEADER_OR_FOLLOWER,
                base_offset: -1,
                log_append_time_ms: -1,
                log_start_offset: 5,
            };
            let details = Details {
                record_errors: &[(1, Some("bad"))],
                error_message: Some("worse"),
                current_leader: Some(CurrentLeader { leader_id: 2, leader_epoch: 9 }),
            };
            produce::write_response_partition(w, d, &partition, &details);
            produce::write_response_topic_end(w, d);
            let endpoint = NodeEndpoint { node_id: 2, host: "broker", port: 9092 };
            produce::write_response_end(w, d, 10, &[(endpoint, Some("rack"))]);
        }
        ApiKey::METADATA => {
            metadata::write_response(w, d, 10, 1);
            let broker = Broker { node_id: 2, host: "broker", port: 9092 };
            metadata::write_response_broker(w, d, &broker, Some("rack"));
            metadata::write_response_cluster(w, d, Some("cluster"), 2, 1);
            let topic = metadata::Topic {
                error: ErrorCode::NONE,
                name: Some("topic"),
                id: ID,
                internal: false,
                partitions: 1,
            };
            metadata::write_response_topic(w, d, &topic);
            let partition = metadata::Partition {
                error: ErrorCode::NONE,
                index: 3,
                leader_id: 2,
                leader_epoch: 9,
            };
            let replicas = Replicas { all: &[2, 1], in_sync: &[2], offline: &[1] };
            metadata::write_response_partition(w, d, &partition, &replicas);
            metadata::write_response_topic_end(w, d);
            metadata::write_response_end(w, d, ErrorCode::NONE);
        }
        ApiKey::API_VERSIONS => {
            api_versions::write_response(w, d, ErrorCode::NONE, 1);
            let api = Api { key: ApiKey::PRODUCE, min: 0, max: 13 };
            api_versions::write_response_api(w, d, &api);
            api_versions::write_response_end(w, d, 10);
        }
        ApiKey::DESCRIBE_PRODUCERS => {
            describe_producers::write_response(w, d, 10, 1);
            let topic = describe_producers::Topic { name: "topic", partitions: 2 };
            describe_producers::write_response_topic(w, d, &topic);
            let partition = describe_producers::Partition { index: 3, error: ErrorCode::NONE };
            let producer = ProducerState {
                producer_id: 1000,
                producer_epoch: 1,
                last_sequence: 6,
                last_timestamp: 1_700_000_001_000,
                coordinator_epoch: -1,
                current_txn_start_offset: -1,
            };
            let producers = [producer, ProducerState { producer_id: 1001, ..producer }];
            describe_producers::write_response_partition(w, d, &partition, None, &producers);
            let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            let partition = describe_producers::Partition { index: 4, error };
            describe_producers::write_response_partition(w, d, &partition, Some("bad"), &[]);
            describe_producers::write_response_topic_end(w, d);
            describe_producers::write_response_end(w, d);
        }
        ApiKey::SASL_HANDSHAKE => {
            let mechanisms = ["PLAIN", "SCRAM-SHA-256"].into_iter();
            sasl_handshake::write_response(w, d, ErrorCode(33), mechanisms);
        }
        ApiKey::SASL_AUTHENTICATE => {
            let message = b"r=noncenonce,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
            sasl_authenticate::write_response(w, d, ErrorCode(58), Some("bad"), message, 8_000);
        }
        _ => {
            let item = InitProducerIdItem {
                throttle_ms: 10,
                error: ErrorCode::NONE,
                producer_id: 1000,
                producer_epoch: 1,
            };
            item.write(w, d);
        }
    }
}

fn write_request(w: &mut Writer<'_>, api: ApiKey, d: Dialect) {
    match api {
        ApiKey::PRODUCE => {
            let batch = batch();
            produce::write_head(w, d, None, -1, 20_000, 1);
            produce::write_topic(w, d, "topic", ID, 1);
            produce::write_partition(w, d, 3, batch.len() as u32);
            w.bytes(&batch);
            produce::write_partition_end(w, d);
            produce::write_topic_end(w, d);
            produce::write_end(w, d);
        }
        ApiKey::METADATA => {
            metadata::write_request(w, d, Some(1));
            let topic = RequestTopic { id: Uuid::ZERO, name: Some("topic") };
            metadata::write_request_topic(w, d, &topic);
            metadata::write_request_end(w, d, true);
        }
        ApiKey::API_VERSIONS => {
            let request = ApiVersionsRequest {
                client_software_name: "ottla",
                client_software_version: "0.1.0",
            };
            request.write(w, d);
        }
        ApiKey::DESCRIBE_PRODUCERS => {
            describe_producers::write_request(w, d, 1);
            let topic = describe_producers::Topic { name: "topic", partitions: 2 };
            describe_producers::write_request_topic(w, d, &topic);
            w.int32(3);
            w.int32(4);
            describe_producers::write_request_topic_end(w, d);
            describe_producers::write_request_end(w, d);
        }
        ApiKey::SASL_HANDSHAKE => SaslHandshakeRequest { mechanism: "SCRAM-SHA-256" }.write(w, d),
        ApiKey::SASL_AUTHENTICATE => {
            let message = b"n,,n=user,r=nonce";
            sasl_authenticate::write_request_head(w, d, message.len());
            w.bytes(message);
            sasl_authenticate::write_request_end(w, d);
        }
        _ => {
            let request = InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                producer_id: -1,
                producer_epoch: -1,
            };
            request.write(w, d);
        }
    }
}

fn batch() -> Vec<u8> {
    let headers = [Header { key: "header", value: Some(b"value") }];
    let records = written(|w| {
        write_record(w, &RecordHead::default(), Some(b"key"), Some(b"value"), &headers);
        let head = RecordHead { attributes: 0, timestamp_delta: 1000, offset_delta: 1 };
        write_record(w, &head, None, None, &[]);
    });
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: BatchHeader::batch_length_for(records.len()).expect("is small"),
        partition_leader_epoch: -1,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: 1,
        base_timestamp: 1_700_000_000_000,
        max_timestamp: 1_700_000_001_000,
        producer_id: 1000,
        producer_epoch: 1,
        base_sequence: 5,
        records_count: 2,
    };
    header.crc = header.checksum(crc32c, crc32c(0, &records), records.len());
    [&header.to_bytes()[..], &records].concat()
}
