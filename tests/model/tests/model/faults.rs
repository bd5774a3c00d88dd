//! Faults to order.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_model::{Action, BaseOffset, Fault};

use crate::wire_client::{
    Client, T0, at_ms, batch, by_name, init_request, metadata_request, one_node, read_init,
    read_metadata, read_produced, values, versions_request,
};

const OK: ErrorCode = ErrorCode::NONE;

#[test]
fn a_rejected_batch_is_not_appended() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let error = ErrorCode::NOT_ENOUGH_REPLICAS;
    cluster.inject(Fault::produce(Action::Reject(error)).times(2));
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (error, -1));
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (error, -1));
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
    assert_eq!(cluster.pending_faults(), 0);
}

#[test]
fn errors_after_an_append_have_any_base_offset() {
    for (kind, expected) in
        [(BaseOffset::Kept, 0), (BaseOffset::Unknown, -1), (BaseOffset::Min, i64::MIN)]
    {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        let error = ErrorCode::REQUEST_TIMED_OUT;
        cluster.inject(Fault::produce(Action::AppendThenError { error, base_offset: kind }));
        let told = client.produce(&mut cluster, &batch(0, 0, 1));
        assert_eq!(told, (error, expected));
        assert_eq!(values(&cluster, 0), ["0/0"]);
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
    }
}

#[test]
fn faults_are_picked_by_node_partition_and_count() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let error = ErrorCode::KAFKA_STORAGE_ERROR;
    cluster.inject(Fault::produce(Action::Reject(error)).at(2));
    cluster.inject(Fault::produce(Action::Reject(error)).on("t", 1).after(1));
    cluster.inject(Fault::produce(Action::Reject(error)).on("u", 0));
    assert_eq!(client.produce_to(&mut cluster, 0, &batch(0, 0, 1)), (OK, 0));
    assert_eq!(client.produce_to(&mut cluster, 1, &batch(0, 0, 1)), (OK, 0));
    let told = client.produce_to(&mut cluster, 1, &batch(0, 1, 1));
    assert_eq!(told, (error, -1));
    assert_eq!(client.produce_to(&mut cluster, 1, &batch(0, 1, 1)), (OK, 1));
    assert_eq!(cluster.pending_faults(), 2);
    cluster.clear_faults();
    assert_eq!(cluster.pending_faults(), 0);
}

#[test]
fn a_swallowed_answer_leaves_the_way_back_dead() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    cluster.inject(Fault::produce(Action::Swallow));
    for sequence in 0..2 {
        let frame = client.request(&cluster, 0, batch(0, sequence, 1).bytes());
        assert!(client.call(&mut cluster, T0, &frame).is_empty());
    }
    assert!(!client.connection.is_closed());
    assert_eq!(values(&cluster, 0), ["0/0", "0/1"]);
    // T1: an identical retry from another connection is a duplicate.
    let mut again = Client::new(&cluster, 1);
    assert_eq!(again.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
}

#[test]
fn an_answer_may_be_held_back() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    cluster.inject(Fault::produce(Action::Hold(Duration::from_millis(100))));
    let mut frames = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    frames.extend(client.request(&cluster, 0, batch(0, 1, 1).bytes()));
    assert!(client.call(&mut cluster, at_ms(5), &frames).is_empty());
    assert_eq!(cluster.end_offset("t", 0), 1, "the next one waits");
    assert_eq!(client.connection.poll_timeout(&cluster), Some(at_ms(105)));
    client.connection.advance(&mut cluster, at_ms(104));
    assert!(client.connection.transmit().is_empty());
    client.connection.advance(&mut cluster, at_ms(105));
    let answer = client.connection.take_transmit();
    assert_eq!(read_produced(13, &answer).only(), (OK, 0));
    client.connection.advance(&mut cluster, at_ms(105));
    let answer = client.connection.take_transmit();
    assert_eq!(read_produced(13, &answer).only(), (OK, 1));
    assert_eq!(client.connection.poll_timeout(&cluster), None);
}

#[test]
fn a_connection_may_close_before_or_after_the_append() {
    for (action, appended) in [(Action::CloseBefore, 0), (Action::CloseAfter, 1)] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        cluster.inject(Fault::produce(action));
        let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
        assert!(client.call(&mut cluster, T0, &frame).is_empty());
        assert!(client.connection.is_closed());
        assert_eq!(cluster.end_offset("t", 0), appended);
    }
}

#[test]
fn an_answer_may_be_garbage_or_another_one() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    cluster.inject(Fault::produce(Action::Garbage(vec![1, 2, 3])));
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    assert_eq!(client.call(&mut cluster, T0, &frame), [1, 2, 3]);
    assert_eq!(cluster.end_offset("t", 0), 1);
    cluster.inject(Fault::produce(Action::WrongCorrelation(1)));
    let answer = client.call(&mut cluster, T0, &frame);
    assert_eq!(&answer[4..8], 43_i32.to_be_bytes());
}

#[test]
fn an_answer_may_leave_partitions_out_or_tell_them_twice() {
    for (action, times) in [(Action::Omit, 0), (Action::Twice, 2)] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        cluster.inject(Fault::produce(action).on("t", 0));
        let produced = client.produce_bytes(&mut cluster, T0, 0, batch(0, 0, 1).bytes());
        assert_eq!(produced.partitions.len(), times);
        assert_eq!(cluster.end_offset("t", 0), 1);
    }
}

#[test]
fn a_frozen_node_handles_everything_when_it_thaws() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let mut gone = Client::new(&cluster, 1);
    cluster.freeze(1).unwrap();
    assert!(cluster.is_up(1), "its port takes connections");
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    let frame = gone.request(&cluster, 1, batch(0, 0, 1).bytes());
    assert!(gone.call(&mut cluster, T0, &frame).is_empty());
    gone.connection.handle_eof();
    gone.connection.advance(&mut cluster, T0);
    assert!(!gone.connection.is_closed(), "it does not know");
    assert_eq!(cluster.total_counts().batches, 0);
    cluster.thaw(1).unwrap();
    client.connection.advance(&mut cluster, at_ms(60_000));
    gone.connection.advance(&mut cluster, at_ms(60_000));
    let answer = client.connection.take_transmit();
    assert_eq!(read_produced(13, &answer).only(), (OK, 0));
    assert_eq!(cluster.end_offset("t", 1), 1, "a straggler");
    assert!(gone.connection.is_closed());
}

#[test]
fn a_node_may_freeze_over_a_request() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    cluster.inject(Fault::produce(Action::Freeze));
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    assert!(cluster.is_frozen(1));
    assert_eq!(cluster.end_offset("t", 0), 0);
    cluster.thaw(1).unwrap();
    client.connection.advance(&mut cluster, at_ms(10));
    let answer = client.connection.take_transmit();
    assert_eq!(read_produced(13, &answer).only(), (OK, 0));
}

#[test]
fn a_node_may_freeze_over_a_straggler() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    cluster.inject(Fault::produce(Action::Freeze).after(1));
    for sequence in 0..2 {
        let frame = client.request(&cluster, 0, batch(0, sequence, 1).bytes());
        client.connection.receive(&mut cluster, T0, &frame);
    }
    client.connection.handle_eof();
    client.connection.advance(&mut cluster, T0);
    assert!(cluster.is_frozen(1) && !client.connection.is_closed());
    cluster.thaw(1).unwrap();
    client.connection.advance(&mut cluster, at_ms(10));
    assert_eq!(cluster.end_offset("t", 0), 2);
    assert!(client.connection.is_closed());
}

#[test]
fn other_apis_fail_to_order_too() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let error = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    let init = ApiKey::INIT_PRODUCER_ID;
    cluster.inject(Fault::new(init, Action::Reject(error)));
    let answer = client.call(&mut cluster, T0, &init_request(4, None));
    let item = read_init(4, &answer);
    assert_eq!((item.error, item.producer_id), (error, -1));

    let error = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    cluster.inject(Fault::new(ApiKey::METADATA, Action::Reject(error)).on("t", 0));
    let frame = metadata_request(12, Some(&[by_name("t")]), true);
    let answer = client.call(&mut cluster, T0, &frame);
    let told = format!("{:?}", read_metadata(12, &answer));
    assert!(told.contains("ErrorCode(29)"), "{told}");

    let error = ErrorCode::REBOOTSTRAP_REQUIRED;
    cluster.inject(Fault::new(ApiKey::METADATA, Action::Reject(error)));
    let frame = metadata_request(13, Some(&[by_name("t")]), true);
    let answer = client.call(&mut cluster, T0, &frame);
    let told = format!("{:?}", read_metadata(13, &answer));
    assert!(told.contains("Error(ErrorCode(129))"), "{told}");

    cluster.inject(Fault::new(ApiKey::API_VERSIONS, Action::CloseAfter));
    let answer = client.call(&mut cluster, T0, &versions_request(3));
    assert!(answer.is_empty() && client.connection.is_closed());
}
