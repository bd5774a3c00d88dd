//! A million records of 100 bytes from `produce` to `transmit`, against a broker that is a few lines
//! long. To be run under `valgrind --tool=callgrind`, which counts instructions: those are the same
//! on a busy machine.

use ottla_core::{
    Config, ConnId, Instant, Output, Producer, Record, StaticMemory, TopicId,
    wire::{
        ApiKey, ErrorCode, Uuid, Wire, Writer,
        api_versions::{self, Api},
        dialect,
        frame::{self, RequestHeader},
        init_producer_id::InitProducerIdItem,
        metadata, produce,
    },
};

const TOPIC: &str = "readings";

fn main() {
    let records: u32 =
        std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let mut memory = Box::new(StaticMemory::<1, 2, 1, 1, 16, 32, 4096, 512, 512, 64>::new());
    let config =
        Config { bootstrap_servers: "broker:9092", max_request_size: 65_536, ..Config::default() };
    let mut producer = Producer::new(&config, memory.lend(), 42).expect("a sound configuration");
    let now = Instant::from_micros(1_000_000);
    let topic = producer.topic(now, TOPIC).expect("a topic's name");
    let value = [7; 100];
    let record = Record { value: Some(&value), timestamp: 1_700_000_000_000, ..Record::default() };
    let (mut taken, mut bytes) = (0, 0);
    while taken < records {
        while taken < records && producer.produce(now, topic, &record).is_ok() {
            taken += 1;
        }
        producer.flush(now);
        bytes += serve(&mut producer, now, topic);
    }
    while producer.stats().batches > 0 {
        producer.flush(now);
        bytes += serve(&mut producer, now, topic);
    }
    println!("{} records delivered, {bytes} bytes", producer.stats().delivered);
    assert_eq!(producer.stats().delivered, u64::from(records));
}

/// Does what is to be done, and answers each request as it is written.
fn serve(producer: &mut Producer<'_>, now: Instant, _topic: TopicId) -> usize {
    let mut total = 0;
    while let Some(output) = producer.poll_output() {
        if let Output::Connect(conn) = output {
            producer.handle_connected(now, conn);
        }
    }
    while let Some(conn) = producer.poll_writable(now) {
        let head: Vec<u8> = producer.pending_write(conn).next().unwrap_or_default().to_vec();
        let len = producer.pending_write(conn).map(<[u8]>::len).sum();
        producer.handle_written(now, conn, len);
        total += len;
        answer(producer, now, conn, &head);
    }
    total
}

fn answer(producer: &mut Producer<'_>, now: Instant, conn: ConnId, head: &[u8]) {
    let (_, request) = RequestHeader::read(&head[frame::SIZE_LEN..]).expect("a request's header");
    let mut bytes = [0; 512];
    let mut w = Writer::new(&mut bytes);
    let (api, version) = (request.api_key, request.api_version);
    let d = dialect(api, version);
    let size = frame::begin(&mut w);
    frame::write_response_header(&mut w, api, version, request.correlation_id);
    match api {
        ApiKey::API_VERSIONS => {
            api_versions::write_response(&mut w, d, ErrorCode::NONE, 3);
            for key in [ApiKey::PRODUCE, ApiKey::METADATA, ApiKey::INIT_PRODUCER_ID] {
                api_versions::write_response_api(&mut w, d, &Api { key, min: 0, max: 9 });
            }
            api_versions::write_response_end(&mut w, d, 0);
        }
        ApiKey::METADATA => {
            metadata::write_response(&mut w, d, 0, 1);
            let broker = metadata::Broker { node_id: 1, host: "broker", port: 9092 };
            metadata::write_response_broker(&mut w, d, &broker, None);
            metadata::write_response_cluster(&mut w, d, None, 1, 1);
            let topic = metadata::Topic {
                error: ErrorCode::NONE,
                name: Some(TOPIC),
                id: Uuid::ZERO,
                internal: false,
                partitions: 1,
            };
            metadata::write_response_topic(&mut w, d, &topic);
            let partition = metadata::Partition {
                error: ErrorCode::NONE,
                index: 0,
                leader_id: 1,
                leader_epoch: 0,
            };
            metadata::write_response_partition(
                &mut w,
                d,
                &partition,
                &metadata::Replicas::default(),
            );
            metadata::write_response_topic_end(&mut w, d);
            metadata::write_response_end(&mut w, d, ErrorCode::NONE);
        }
        ApiKey::INIT_PRODUCER_ID => {
            w.no_tagged_fields(d);
            let item = InitProducerIdItem {
                throttle_ms: 0,
                error: ErrorCode::NONE,
                producer_id: 7,
                producer_epoch: 0,
            };
            item.write(&mut w, d);
        }
        _ => {
            produce::write_response(&mut w, d, 1);
            let topic = produce::Topic { name: Some(TOPIC), id: Uuid::ZERO, partitions: 1 };
            produce::write_response_topic(&mut w, d, &topic);
            let partition = produce::Partition {
                index: 0,
                error: ErrorCode::NONE,
                base_offset: 0,
                log_append_time_ms: -1,
                log_start_offset: 0,
            };
            produce::write_response_partition(&mut w, d, &partition, &produce::Details::default());
            produce::write_response_topic_end(&mut w, d);
            produce::write_response_end(&mut w, d, 0, &[]);
        }
    }
    frame::end(&mut w, size, 0);
    let len = w.finish().expect("the answer is small");
    let window = producer.rx_buffer(conn);
    window[..len].copy_from_slice(&bytes[..len]);
    producer.handle_received(now, conn, len);
}
