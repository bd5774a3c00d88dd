//! The oracle must be able to fail: published bugs of other clients, rebuilt, and caught.

use core::time::Duration;

use ottla_core::wire::ErrorCode;
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault};
use ottla_scenario::{Said, Tap, Weather, World, quick, raw_client::RawClient};

/// How a client goes on after a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The sequence belongs to the cancelled batch for ever.
    Ours,
    /// franz-go #1217 and #1484: the sequence goes back, because the batch was cancelled.
    Rewind,
}

/// A is appended, the answer is REQUEST_TIMED_OUT, the caller cancels, and B has as many records.
fn cancel_and_go_on(rule: Rule, tap: Option<Tap>) {
    let mut client = RawClient::new(tap);
    let warm = client.want();
    assert_eq!(client.produce(0, 0, 0, &[warm]), Some((ErrorCode::NONE, 0)));
    client.claim(warm, 0, Said::Delivered(Some(0)));
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let fault = Action::AppendThenError { error, base_offset: BaseOffset::Kept };
    client.cluster.inject(Fault::produce(fault));
    let (mut next, a, b) = (1, client.want(), client.want());
    assert_eq!(client.produce(0, 0, next, &[a]), Some((error, 1)));
    if rule == Rule::Ours {
        next += 1;
    }
    let answer = client.produce(0, 0, next, &[b]);
    let Some((ErrorCode::NONE, offset)) = answer else { panic!("B was answered {answer:?}") };
    client.claim(b, 0, Said::Delivered(Some(offset)));
    client.ledger.check(&client.cluster, true);
}

#[test]
fn a_cancelled_batch_that_keeps_its_sequence_is_right() {
    cancel_and_go_on(Rule::Ours, Some(Tap::default()));
}

#[test]
#[should_panic(expected = "record 2 should lie at offset 1, where Some(1) lies")]
fn a_false_acknowledgement_after_a_cancelled_batch_of_equal_size_is_caught() {
    cancel_and_go_on(Rule::Rewind, None);
}

#[test]
#[should_panic(expected = "I1: sequence 1 of")]
fn a_sequence_that_is_bound_again_is_caught_on_the_wire() {
    cancel_and_go_on(Rule::Rewind, Some(Tap::default()));
}

/// Which partitions begin a new epoch when one of them is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bump {
    /// The one that is.
    Its,
    /// librdkafka #4953: all of them.
    All,
}

/// Partition 1 has a batch in the log whose answer was lost when partition 0 is out of order.
fn bump(bump: Bump, tap: Option<Tap>) {
    let mut client = RawClient::new(tap);
    let [a, b, c] = [0; 3].map(|_| client.want());
    client.cluster.inject(Fault::produce(Action::CloseAfter));
    assert_eq!(client.produce(1, 0, 0, &[a]), None);
    client.reconnect();
    assert_eq!(client.produce(0, 0, 0, &[b]), Some((ErrorCode::NONE, 0)));
    client.claim(b, 0, Said::Delivered(Some(0)));
    let error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    client.cluster.inject(Fault::produce(Action::Reject(error)));
    assert_eq!(client.produce(0, 0, 1, &[c]), Some((error, -1)));
    // The new epoch begins.
    assert_eq!(client.produce(0, 1, 0, &[c]), Some((ErrorCode::NONE, 1)));
    client.claim(c, 0, Said::Delivered(Some(1)));
    let epoch = if bump == Bump::All { 1 } else { 0 };
    let answer = client.produce(1, epoch, 0, &[a]);
    let Some((ErrorCode::NONE, offset)) = answer else { panic!("A was answered {answer:?}") };
    client.claim(a, 1, Said::Delivered(Some(offset)));
    client.ledger.check(&client.cluster, true);
}

#[test]
fn an_epoch_of_one_partition_is_right() {
    bump(Bump::Its, Some(Tap::default()));
}

#[test]
#[should_panic(expected = "record 0 is in the log at [(1, 0), (1, 1)]")]
fn an_epoch_of_all_partitions_that_writes_a_record_twice_is_caught() {
    bump(Bump::All, None);
}

#[test]
#[should_panic(expected = "I3: ")]
fn a_new_epoch_before_the_old_one_is_resolved_is_caught_on_the_wire() {
    bump(Bump::All, Some(Tap::default()));
}

#[test]
#[should_panic(expected = "I2: a retry differs from what was sent")]
fn a_retry_that_was_put_together_anew_is_caught_on_the_wire() {
    // librdkafka #4736: a record joins the batch between two attempts.
    let mut client = RawClient::new(Some(Tap::default()));
    let [a, b] = [0; 2].map(|_| client.want());
    client.cluster.inject(Fault::produce(Action::CloseAfter));
    assert_eq!(client.produce(0, 0, 0, &[a]), None);
    client.reconnect();
    client.produce(0, 0, 0, &[a, b]);
}

#[test]
#[should_panic(expected = "I4: 6 batches in doubt")]
fn a_sixth_batch_in_doubt_is_caught_on_the_wire() {
    let mut client = RawClient::new(Some(Tap::default()));
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let fault = Action::AppendThenError { error, base_offset: BaseOffset::Kept };
    client.cluster.inject(Fault::produce(fault).times(6));
    for sequence in 0..6 {
        let id = client.want();
        assert_eq!(client.produce(0, 0, sequence, &[id]).map(|(error, _)| error), Some(error));
    }
}

#[test]
#[should_panic(expected = "I5: 2 in flight, and nothing is proven")]
fn a_second_batch_before_the_first_acknowledgement_is_caught_on_the_wire() {
    let mut client = RawClient::new(Some(Tap::default()));
    client.cluster.freeze(1).expect("a node");
    for sequence in 0..2 {
        let id = client.want();
        client.produce(0, 0, sequence, &[id]);
    }
}

#[test]
#[should_panic(expected = "I7: record 0 may be in the log")]
fn a_denial_of_what_may_be_in_the_log_is_caught() {
    let mut client = RawClient::new(Some(Tap::default()));
    let a = client.want();
    client.cluster.inject(Fault::produce(Action::CloseBefore));
    assert_eq!(client.produce(0, 0, 0, &[a]), None);
    client.reconnect();
    client.tap.as_ref().expect("a tap").denied(&[a]);
}

/// A record is cancelled while its bytes are encrypted, and wait for a socket that is slow.
fn cancel_what_is_encrypted(counts_accepted: bool) {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::with_nodes(1), 1);
    world.portion = Some(4_096);
    world.counts_accepted = counts_accepted;
    world.weather = Weather { accepts: 20, ..Weather::FAIR };
    let id = world.produce(topic, Some(0), 500).expect("room");
    world.run_for(Duration::from_millis(1));
    world.cancel(id);
    world.weather = Weather::FAIR;
    world.run_for(Duration::from_secs(1));
    world.finish();
}

#[test]
fn what_is_encrypted_counts_as_sent() {
    cancel_what_is_encrypted(false);
}

/// A link that reports what its socket accepted: what it has encrypted goes out all the same.
#[test]
#[should_panic(expected = "record 1 was not delivered (cancelled), and is at")]
fn what_is_encrypted_and_not_counted_is_caught() {
    cancel_what_is_encrypted(true);
}
