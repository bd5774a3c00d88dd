//! Frames, versions, and one request at a time.

use core::time::Duration;

use ottla_core::wire::{
    ApiKey, ErrorCode, Uuid, VersionRange, api_versions::ApiVersionsItem, produce,
};
use ottla_model::{ClusterConfig, Connection, NodeConfig, Versions};

use crate::wire_client::{
    Client, Named, T0, at_ms, batch, by_name, init_request, metadata_request, one_node,
    produce_request, read_init, read_metadata, read_produced, read_versions, request,
    versions_request, with_topic,
};

/// The ranges that an answer tells.
fn ranges(items: &[ApiVersionsItem]) -> Vec<(ApiKey, VersionRange)> {
    let apis = items.iter().filter_map(|item| match item {
        ApiVersionsItem::Api(api) => Some((api.key, api.versions())),
        ApiVersionsItem::Error(_) | ApiVersionsItem::Throttle(_) => None,
    });
    apis.collect()
}

#[test]
fn versions_are_told_in_every_version() {
    for version in 0..=4 {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        let answer = client.call(&mut cluster, T0, &versions_request(version));
        let items = read_versions(version, &answer);
        assert_eq!(items[0], ApiVersionsItem::Error(ErrorCode::NONE));
        let told = ranges(&items);
        assert_eq!(told.len(), 8);
        assert!(told.contains(&(ApiKey::PRODUCE, VersionRange { min: 0, max: 13 })));
    }
}

#[test]
fn an_unknown_version_is_answered_in_version_0_with_the_range() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    for version in [5, 99, i16::MAX, -1] {
        let answer = client.call(&mut cluster, T0, &versions_request(version));
        assert_eq!(&answer[4..8], 44_i32.to_be_bytes(), "correlation id");
        let items = read_versions(0, &answer);
        let error = ErrorCode::UNSUPPORTED_VERSION;
        assert_eq!(items[0], ApiVersionsItem::Error(error));
        let range = VersionRange { min: 0, max: 4 };
        assert_eq!(ranges(&items), [(ApiKey::API_VERSIONS, range)]);
        assert!(!client.connection.is_closed());
    }
}

#[test]
fn a_node_may_be_of_another_age() {
    let config = ClusterConfig {
        nodes: vec![NodeConfig::new(1).speaking(Versions::kafka_2_8())],
        ..ClusterConfig::default()
    };
    let mut cluster = with_topic(config);
    let mut client = Client::new(&cluster, 1);
    let answer = client.call(&mut cluster, T0, &versions_request(3));
    let told = ranges(&read_versions(3, &answer));
    assert!(told.contains(&(ApiKey::PRODUCE, VersionRange { min: 0, max: 9 })));
    // Kafka says 0, which the model does not speak.
    assert!(told.contains(&(ApiKey::METADATA, VersionRange { min: 1, max: 11 })));
    // A version above the range closes the connection.
    let mut client = Client::new(&cluster, 1).speaking(10);
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    assert!(client.connection.is_closed());
    assert_eq!(cluster.end_offset("t", 0), 0);
}

#[test]
fn unknown_apis_and_versions_close() {
    for (api, version) in [
        (ApiKey(1), 3),
        (ApiKey(1), 12),
        (ApiKey(2), 4),
        (ApiKey(-1), 0),
        (ApiKey(999), 0),
        (ApiKey::PRODUCE, 2),
        (ApiKey::PRODUCE, 14),
        (ApiKey::METADATA, -1),
        (ApiKey::INIT_PRODUCER_ID, 6),
    ] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        let frame = request(api, version, 1, |w, _| w.bytes(&[0; 64]));
        assert!(client.call(&mut cluster, T0, &frame).is_empty());
        assert!(client.connection.is_closed(), "{api} {version}");
    }
}

#[test]
fn malformed_and_oversized_frames_close() {
    let negative = (-1_i32).to_be_bytes().to_vec();
    let empty = 0_i32.to_be_bytes().to_vec();
    let large = (100 * 1024 * 1024 + 1_i32).to_be_bytes().to_vec();
    let cut = request(ApiKey::METADATA, 12, 1, |w, _| w.bytes(&[5, 1]));
    for frame in [negative, empty, large, cut] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        assert!(client.call(&mut cluster, T0, &frame).is_empty());
        assert!(client.connection.is_closed(), "{frame:?}");
        assert!(client.call(&mut cluster, T0, &versions_request(0)).is_empty());
    }
    // The largest frame is waited for.
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let largest = (100 * 1024 * 1024_i32).to_be_bytes();
    assert!(client.call(&mut cluster, T0, &largest).is_empty());
    assert!(!client.connection.is_closed());
}

/// How many batches are appended of a request for two partitions that is filled with 0xFF from some
/// byte on, and whether the connection is closed.
fn filled(version: i16, from: usize) -> (usize, bool) {
    let mut cluster = one_node();
    let named = Named { name: "t", id: cluster.topic_id("t").unwrap() };
    let batches = [(0, batch(0, 0, 2).bytes()), (1, batch(0, 0, 2).bytes())];
    let mut frame = produce_request(version, -1, named, &batches);
    frame.get_mut(from.max(4)..).unwrap_or_default().fill(0xff);
    let mut client = Client::new(&cluster, 1);
    client.call(&mut cluster, T0, &frame);
    let appended = (0..2).map(|partition| cluster.batches("t", partition).count()).sum();
    (appended, client.connection.is_closed())
}

#[test]
fn a_request_that_is_filled_up_is_acted_on_in_old_versions_only() {
    for version in 9..=13 {
        let mut from = 4;
        while filled(version, from) != (2, false) {
            assert_eq!(filled(version, from), (0, true), "version {version} from byte {from}");
            from += 1;
        }
        assert!(from > 200, "nothing was filled any more from byte {from} on");
    }
    // Its records end the request, and those of its first partition are whole.
    assert!((4..400).any(|from| filled(8, from).0 == 1));
}

#[test]
fn nothing_is_appended_from_a_request_that_is_malformed_at_its_end() {
    let bytes = batch(0, 0, 1).bytes();
    for (topics, appended) in [(1, 1), (2, 0)] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        // Only one topic is there, however many are announced.
        let frame = request(ApiKey::PRODUCE, 8, 1, |w, d| {
            produce::write_head(w, d, None, -1, 1_000, topics);
            produce::write_topic(w, d, "t", Uuid::ZERO, 1);
            produce::write_partition(w, d, 0, u32::try_from(bytes.len()).unwrap());
            w.bytes(&bytes);
        });
        client.call(&mut cluster, T0, &frame);
        assert_eq!(client.connection.is_closed(), appended == 0);
        assert_eq!(cluster.end_offset("t", 0), appended);
    }
}

#[test]
fn frames_may_be_split_at_every_byte() {
    let whole = |cluster: &ottla_model::Cluster, client: &Client| {
        let mut bytes = versions_request(3);
        bytes.extend(init_request(4, None));
        bytes.extend(client.request(cluster, 0, batch(0, 0, 2).bytes()));
        bytes
    };
    let answers = |split: usize| {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        let bytes = whole(&cluster, &client);
        let (head, tail) = bytes.split_at(split.min(bytes.len()));
        let mut out = Vec::new();
        for part in [head, tail, &[], &[]] {
            out.extend(client.call(&mut cluster, T0, part));
        }
        assert_eq!(cluster.end_offset("t", 0), 2);
        (out, bytes.len())
    };
    let (expected, len) = answers(0);
    assert!(!expected.is_empty());
    for split in 1..len {
        assert_eq!(answers(split).0, expected, "{split}");
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let frame = client.request(&cluster, 0, batch(0, 0, 2).bytes());
    let (last, head) = frame.split_last().unwrap();
    for byte in head {
        assert!(client.call(&mut cluster, T0, &[*byte]).is_empty());
    }
    assert_eq!(cluster.end_offset("t", 0), 0, "never processed in part");
    let answer = client.call(&mut cluster, T0, &[*last]);
    assert_eq!(read_produced(13, &answer).only(), (ErrorCode::NONE, 0));
}

#[test]
fn the_next_request_waits_until_the_answer_was_taken() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let mut frames = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    frames.extend(client.request(&cluster, 0, batch(0, 1, 1).bytes()));
    client.connection.receive(&mut cluster, T0, &frames);
    assert_eq!(cluster.end_offset("t", 0), 1);
    assert!(!client.connection.wants_read(), "a whole request waits");
    let len = client.connection.transmit().len();
    client.connection.handle_transmitted(len - 1);
    client.connection.advance(&mut cluster, T0);
    assert_eq!(cluster.end_offset("t", 0), 1);
    client.connection.handle_transmitted(1);
    client.connection.advance(&mut cluster, T0);
    assert_eq!(cluster.end_offset("t", 0), 2);
    assert!(client.connection.wants_read());
}

#[test]
fn requests_are_handled_after_the_client_has_gone() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let mut bytes = Vec::new();
    for sequence in 0..3 {
        bytes.extend(client.request(&cluster, 0, batch(0, sequence, 1).bytes()));
    }
    // The fourth one is cut: it can never be handled.
    let cut = client.request(&cluster, 0, batch(0, 3, 1).bytes());
    bytes.extend(&cut[..cut.len() - 1]);
    client.connection.receive(&mut cluster, T0, &bytes);
    assert_eq!(cluster.end_offset("t", 0), 1);
    client.connection.handle_eof();
    client.connection.advance(&mut cluster, T0);
    assert_eq!(cluster.end_offset("t", 0), 3);
    assert!(client.connection.is_closed());
}

#[test]
fn throttling_is_told_and_mutes_the_connection() {
    let mut cluster = one_node();
    cluster.set_throttle(1, Duration::from_millis(500)).unwrap();
    let mut client = Client::new(&cluster, 1);
    let produced = client.produce_bytes(&mut cluster, T0, 0, batch(0, 0, 1).bytes());
    assert_eq!(produced.throttle, 500);
    let frame = client.request(&cluster, 0, batch(0, 1, 1).bytes());
    assert!(client.call(&mut cluster, at_ms(499), &frame).is_empty());
    assert_eq!(client.connection.poll_timeout(&cluster), Some(at_ms(500)));
    client.connection.advance(&mut cluster, at_ms(500));
    let answer = client.connection.take_transmit();
    assert_eq!(read_produced(13, &answer).only(), (ErrorCode::NONE, 1));
    // Another connection is not muted.
    let mut other = Client::new(&cluster, 1);
    assert_eq!(other.produce(&mut cluster, &batch(0, 2, 1)).0, ErrorCode::NONE);
}

#[test]
fn producer_ids_are_new_each_time() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let mut ids = Vec::new();
    for version in 0..=5 {
        let answer = client.call(&mut cluster, T0, &init_request(version, None));
        let item = read_init(version, &answer);
        assert_eq!((item.error, item.producer_epoch), (ErrorCode::NONE, 0));
        ids.push(item.producer_id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let answer = client.call(&mut cluster, T0, &init_request(4, Some("tx")));
    let item = read_init(4, &answer);
    let error = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    assert_eq!((item.error, item.producer_id), (error, -1));
}

#[test]
fn a_run_follows_from_its_seed() {
    let run = |seed| {
        let mut cluster = with_topic(ClusterConfig { seed, ..ClusterConfig::default() });
        let mut client = Client::new(&cluster, 1);
        let topics = [by_name("t"), by_name("new")];
        let mut bytes = client.call(&mut cluster, T0, &metadata_request(12, Some(&topics), true));
        bytes.extend(client.call(&mut cluster, T0, &init_request(4, None)));
        bytes
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_connection_to_a_node_that_is_down_is_closed() {
    let mut cluster = one_node();
    cluster.stop(1).unwrap();
    assert!(Connection::new(&cluster, 1).is_closed());
    assert!(Connection::new(&cluster, 99).is_closed());
    cluster.start(1).unwrap();
    let mut client = Client::new(&cluster, 1);
    assert!(!client.connection.is_closed());
    cluster.restart(1).unwrap();
    let answer = client.call(&mut cluster, T0, &metadata_request(12, None, false));
    assert!(answer.is_empty() && client.connection.is_closed());
    let mut client = Client::new(&cluster, 1);
    let answer = client.call(&mut cluster, T0, &metadata_request(12, None, false));
    assert!(!read_metadata(12, &answer).is_empty());
}
