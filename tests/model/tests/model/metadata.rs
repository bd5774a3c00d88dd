//! What Metadata tells, and hints of leaders.

use ottla_core::wire::{
    ErrorCode, Uuid,
    metadata::{MetadataItem, RequestTopic},
};
use ottla_model::{AutoCreate, Cluster, ClusterConfig, LeaderHints};

use crate::wire_client::{
    Client, T0, batch, by_name, metadata_request, one_node, read_metadata, with_topic,
};

/// A topic as it is told: error, name, id, and for each partition its leader and epoch.
type Told = (ErrorCode, Option<String>, Uuid, Vec<(i32, i32)>);

fn ask(cluster: &mut Cluster, version: i16, topics: Option<&[RequestTopic<'_>]>) -> Vec<Told> {
    let mut client = Client::new(cluster, 1);
    let frame = metadata_request(version, topics, true);
    let answer = client.call(cluster, T0, &frame);
    let mut told: Vec<Told> = Vec::new();
    for item in read_metadata(version, &answer) {
        match item {
            MetadataItem::Topic(topic) => {
                let name = topic.name.map(str::to_owned);
                told.push((topic.error, name, topic.id, Vec::new()));
            }
            MetadataItem::Partition(partition) => {
                let (.., partitions) = told.last_mut().unwrap();
                assert_eq!(usize::try_from(partition.index).unwrap(), partitions.len());
                partitions.push((partition.leader_id, partition.leader_epoch));
            }
            MetadataItem::Throttle(_)
            | MetadataItem::Broker(_)
            | MetadataItem::Controller(_)
            | MetadataItem::Error(_) => {}
        }
    }
    told
}

fn brokers(cluster: &mut Cluster) -> Vec<(i32, String, i32)> {
    let mut client = Client::new(cluster, 1);
    let frame = metadata_request(12, Some(&[]), true);
    let answer = client.call(cluster, T0, &frame);
    let brokers = read_metadata(12, &answer).into_iter().filter_map(|item| {
        if let MetadataItem::Broker(broker) = item {
            Some((broker.node_id, broker.host.to_owned(), broker.port))
        } else {
            None
        }
    });
    brokers.collect()
}

#[test]
fn a_topic_is_told_in_every_version() {
    for version in 1..=13 {
        let mut cluster = with_topic(ClusterConfig::with_nodes(3));
        cluster.move_leader("t", 1, 1).unwrap();
        let id = cluster.topic_id("t").unwrap();
        for asked in [None, Some(&[by_name("t")][..])] {
            let told = ask(&mut cluster, version, asked);
            let id = if version >= 10 { id } else { Uuid::ZERO };
            let epoch = |epoch| if version >= 7 { epoch } else { -1 };
            let leaders = vec![(1, epoch(0)), (1, epoch(1)), (3, epoch(0))];
            let name = Some("t".to_owned());
            assert_eq!(told, [(ErrorCode::NONE, name, id, leaders)], "{version}");
        }
    }
}

#[test]
fn nodes_that_are_up_are_told_where_they_advertise() {
    let mut cluster = Cluster::new(ClusterConfig::with_nodes(3));
    cluster.set_address(2, "broker.example", 1234).unwrap();
    cluster.stop(3).unwrap();
    assert_eq!(
        brokers(&mut cluster),
        [(1, "127.0.0.1".to_owned(), 9092), (2, "broker.example".to_owned(), 1234)]
    );
}

#[test]
fn topics_are_created_as_kafka_does() {
    let mut cluster =
        Cluster::new(ClusterConfig { default_partitions: 2, ..ClusterConfig::default() });
    let told = ask(&mut cluster, 12, Some(&[by_name("new")]));
    assert_eq!(told[0].0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let told = ask(&mut cluster, 12, Some(&[by_name("new")]));
    assert_eq!((told[0].0, told[0].3.len()), (ErrorCode::NONE, 2));
    let told = ask(&mut cluster, 12, Some(&[by_name("not/legal")]));
    assert_eq!(told[0].0, ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(cluster.topics().collect::<Vec<_>>(), ["new"]);
}

#[test]
fn topics_may_be_created_at_once_or_never() {
    for (auto_create, expected) in [
        (AutoCreate::AtOnce, ErrorCode::NONE),
        (AutoCreate::Never, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ] {
        let mut cluster = Cluster::new(ClusterConfig { auto_create, ..ClusterConfig::default() });
        for _ in 0..2 {
            let told = ask(&mut cluster, 12, Some(&[by_name("new")]));
            assert_eq!(told[0].0, expected);
        }
    }
}

#[test]
fn a_client_may_forbid_creation() {
    let mut cluster = Cluster::new(ClusterConfig::default());
    let mut client = Client::new(&cluster, 1);
    let frame = metadata_request(12, Some(&[by_name("new")]), false);
    client.call(&mut cluster, T0, &frame);
    assert_eq!(cluster.topics().count(), 0);
}

#[test]
fn topics_are_asked_for_by_id() {
    let mut cluster = one_node();
    let id = cluster.topic_id("t").unwrap();
    let known = RequestTopic { id, name: None };
    let unknown = RequestTopic { id: Uuid([1; 16]), name: None };
    let told = ask(&mut cluster, 12, Some(&[known, unknown]));
    assert_eq!(told[0].0, ErrorCode::NONE);
    assert_eq!(told[0].1.as_deref(), Some("t"));
    let error = ErrorCode::UNKNOWN_TOPIC_ID;
    assert_eq!(told[1], (error, None, unknown.id, Vec::new()));
    // Versions 10 and 11 have the field and do not heed it.
    let named = RequestTopic { id, name: Some("t") };
    let told = ask(&mut cluster, 10, Some(&[named]));
    assert_eq!(told[0].0, ErrorCode::INVALID_REQUEST);
}

#[test]
fn a_topic_made_anew_has_another_id_and_an_empty_log() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 2));
    let old = cluster.topic_id("t").unwrap();
    let new = cluster.recreate_topic("t").unwrap();
    assert_ne!(old, new);
    assert_eq!(ask(&mut cluster, 12, Some(&[by_name("t")]))[0].2, new);
    assert_eq!(cluster.end_offset("t", 0), 0);
    assert_eq!(cluster.log_of(old, 0).count(), 2);
    let told = client.produce(&mut cluster, &batch(0, 0, 2));
    assert_eq!(told, (ErrorCode::NONE, 0), "no producer state");
}

#[test]
fn partitions_without_a_leader_are_told_so() {
    let mut cluster = with_topic(ClusterConfig::with_nodes(2));
    cluster.remove_leader("t", 0).unwrap();
    cluster.stop(2).unwrap();
    let told = ask(&mut cluster, 12, Some(&[by_name("t")]));
    assert_eq!(told[0].3, [(-1, 1), (-1, 0), (1, 0)]);
}

#[test]
fn metadata_may_lie() {
    let mut cluster = with_topic(ClusterConfig::with_nodes(2));
    cluster.claim_leader("t", 0, Some((2, 9))).unwrap();
    cluster.claim_partitions("t", Some(2)).unwrap();
    let told = ask(&mut cluster, 12, Some(&[by_name("t")]));
    assert_eq!(told[0].3, [(2, 9), (2, 0)]);
    cluster.claim_partitions("t", Some(0)).unwrap();
    let told = ask(&mut cluster, 12, Some(&[by_name("t")]));
    assert_eq!(told[0].0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    cluster.claim_partitions("t", None).unwrap();
    cluster.claim_leader("t", 0, None).unwrap();
    let told = ask(&mut cluster, 12, Some(&[by_name("t")]));
    assert_eq!(told[0].3, [(1, 0), (2, 0), (1, 0)]);
}

#[test]
fn who_is_not_the_leader_tells_who_is_from_version_10_on() {
    for (version, hints) in [
        (9, LeaderHints::WithEndpoints),
        (10, LeaderHints::WithEndpoints),
        (13, LeaderHints::WithEndpoints),
        (13, LeaderHints::WithoutEndpoints),
        (13, LeaderHints::None),
    ] {
        let mut cluster =
            with_topic(ClusterConfig { leader_hints: hints, ..ClusterConfig::with_nodes(2) });
        cluster.move_leader("t", 0, 2).unwrap();
        let mut client = Client::new(&cluster, 1).speaking(version);
        let produced = client.produce_bytes(&mut cluster, T0, 0, batch(0, 0, 1).bytes());
        let error = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        assert_eq!(produced.only(), (error, -1));
        let leaders: Vec<_> =
            produced.leaders.iter().map(|leader| (leader.leader_id, leader.leader_epoch)).collect();
        let told = version >= 10 && hints != LeaderHints::None;
        let leader = told.then_some((2, 1));
        assert_eq!(leaders, Vec::from_iter(leader));
        let with_endpoints = told && hints == LeaderHints::WithEndpoints;
        let endpoint = with_endpoints.then(|| (2, "127.0.0.1".to_owned(), 9093));
        assert_eq!(produced.endpoints, Vec::from_iter(endpoint));
    }
}
