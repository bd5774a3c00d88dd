//! DescribeProducers: what a broker tells of the producers that it knows.

use ottla_core::wire::{
    ApiKey, ErrorCode, api_versions::ApiVersionsItem, describe_producers::ProducerState,
};
use ottla_model::{Action, BaseOffset, ClusterConfig, Describers, Fault};

use crate::wire_client::{
    Client, NOW_MS, T0, batch, describe_request, one_node, read_described, read_versions,
    versions_request, with_topic,
};

const OK: ErrorCode = ErrorCode::NONE;

#[test]
fn a_partition_tells_each_producer_that_it_knows() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(3, 0, 2));
    let mut last = batch(3, 2, 3);
    last.timestamps = vec![0, 20, 5];
    client.produce(&mut cluster, &last);
    let mut other = batch(0, 9, 1);
    other.header.producer_id = 8;
    client.produce(&mut cluster, &other);
    let known = |producer_id, producer_epoch, last_sequence, last_timestamp| ProducerState {
        producer_id,
        producer_epoch,
        last_sequence,
        last_timestamp,
        coordinator_epoch: -1,
        current_txn_start_offset: -1,
    };
    assert_eq!(
        client.describe(&mut cluster, T0, &[1, 0]),
        [(1, OK, vec![]), (0, OK, vec![known(7, 3, 4, NOW_MS + 20), known(8, 0, 9, NOW_MS)])]
    );
}

#[test]
fn what_is_not_committed_counts() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let action = Action::AppendThenError {
        error: ErrorCode::REQUEST_TIMED_OUT,
        base_offset: BaseOffset::Kept,
    };
    cluster.inject(Fault::produce(action));
    let (error, _) = client.produce(&mut cluster, &batch(0, 0, 2));
    assert_eq!(error, ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(client.knows(&mut cluster, T0), Some((0, 1)));
}

#[test]
fn what_is_not_there_is_unknown() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let described = client.describe(&mut cluster, T0, &[0, 3, -1]);
    assert_eq!(described, [(0, OK, vec![]), (3, unknown, vec![]), (-1, unknown, vec![])]);
    for (name, error) in [("u", unknown), ("not a name", ErrorCode::INVALID_TOPIC_EXCEPTION)] {
        let answer = client.call(&mut cluster, T0, &describe_request(name, &[0]));
        assert_eq!(read_described(&answer), [(0, error, vec![])]);
    }
}

#[test]
fn who_may_not_read_is_told_nothing_until_the_right_is_granted() {
    let mut cluster = with_topic(ClusterConfig { may_read: false, ..ClusterConfig::default() });
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    let refused = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    assert_eq!(
        client.describe(&mut cluster, T0, &[0, 1]),
        [(0, refused, vec![]), (1, refused, vec![])]
    );
    cluster.allow_read(true);
    assert_eq!(client.knows(&mut cluster, T0), Some((0, 0)));
    cluster.allow_read(false);
    assert_eq!(client.describe(&mut cluster, T0, &[0])[0].1, refused);
}

#[test]
fn a_follower_tells_what_its_own_log_knows() {
    let mut cluster = with_topic(ClusterConfig::with_nodes(2));
    cluster.move_leader("t", 0, 1).unwrap();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    let mut follower = Client::new(&cluster, 2);
    assert_eq!(follower.knows(&mut cluster, T0), Some((0, 0)));
    cluster.lag("t", 0, 2).unwrap();
    client.produce(&mut cluster, &batch(0, 1, 1));
    assert_eq!(client.knows(&mut cluster, T0), Some((0, 1)));
    assert_eq!(follower.knows(&mut cluster, T0), Some((0, 0)), "it stopped before the second");
    cluster.catch_up("t", 0).unwrap();
    assert_eq!(follower.knows(&mut cluster, T0), Some((0, 1)));
}

#[test]
fn a_follower_may_say_that_it_does_not_lead() {
    let mut cluster = with_topic(ClusterConfig {
        describers: Describers::LeaderAlone,
        ..ClusterConfig::with_nodes(2)
    });
    cluster.move_leader("t", 0, 1).unwrap();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    let mut follower = Client::new(&cluster, 2);
    let described = follower.describe(&mut cluster, T0, &[0]);
    assert_eq!(described, [(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, vec![])]);
    assert_eq!(client.knows(&mut cluster, T0), Some((0, 0)));
}

#[test]
fn faults_meet_the_question_as_well() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    let mut met = |action| {
        cluster.inject(Fault::new(ApiKey::DESCRIBE_PRODUCERS, action).on("t", 0));
        let described = client.describe(&mut cluster, T0, &[0, 1]);
        assert_eq!(cluster.pending_faults(), 0);
        described.into_iter().map(|(index, error, known)| (index, error, known.len())).collect()
    };
    let storage = ErrorCode::KAFKA_STORAGE_ERROR;
    let rows = [
        (Action::Reject(storage), vec![(0, storage, 0), (1, OK, 0)]),
        (Action::Omit, vec![(1, OK, 0)]),
        (Action::Twice, vec![(0, OK, 1), (0, OK, 1), (1, OK, 0)]),
        (Action::Stray, vec![(0, OK, 0), (0, OK, 1), (1, OK, 0)]),
    ];
    for (action, expected) in rows {
        let described: Vec<(i32, ErrorCode, usize)> = met(action.clone());
        assert_eq!(described, expected, "{action:?}");
    }
}

#[test]
fn a_broker_may_not_offer_the_question() {
    let mut cluster = one_node();
    let versions = cluster.config().nodes[0].versions.clone();
    cluster.set_versions(1, versions.without(ApiKey::DESCRIBE_PRODUCERS)).unwrap();
    let mut client = Client::new(&cluster, 1);
    let told = read_versions(0, &client.call(&mut cluster, T0, &versions_request(0)));
    let offered = |api: ApiKey| {
        told.iter().any(|item| matches!(item, ApiVersionsItem::Api(offer) if offer.key == api))
    };
    assert!(offered(ApiKey::PRODUCE) && !offered(ApiKey::DESCRIBE_PRODUCERS));
    assert!(client.call(&mut cluster, T0, &describe_request("t", &[0])).is_empty());
    assert!(client.connection.is_closed());
}
