//! Re-authentication (KIP-368), as it was seen of Kafka 4.4.

use ottla_core::wire::{ApiKey, ErrorCode, metadata::MetadataItem};
use ottla_model::{Cluster, sasl::Mechanism};

use crate::{
    sasl_client::{
        PASSWORD, TOKEN, USER, authenticate_request, bearer, cluster, handshake_request, plain,
        read_authenticate, read_handshake, sasl, session_of,
    },
    wire_client::{
        Client, T0, at_ms, batch, by_name, describe_request, init_request, metadata_request,
        read_described, read_init, read_metadata, read_produced, values, versions_request,
    },
};

/// A client that is in since the start, for eight seconds.
fn eight_seconds(mechanism: Mechanism) -> (Cluster, Client) {
    let mut cluster = session_of(8_000);
    let mut client = Client::greeted(&mut cluster);
    assert_eq!(client.authenticates(&mut cluster, T0, mechanism), 8_000);
    (cluster, client)
}

fn metadata() -> Vec<u8> {
    metadata_request(12, Some(&[by_name("t")]), false)
}

#[test]
fn a_session_goes_on_where_it_is_renewed() {
    for mechanism in Mechanism::ALL {
        let (mut cluster, mut client) = eight_seconds(mechanism);
        let mut now = T0;
        for sequence in 0..2 {
            now += at_ms(7_000);
            assert!(client.authenticates(&mut cluster, now, mechanism) > 0);
            let bytes = batch(0, sequence, 1).bytes();
            let told = client.produce_bytes(&mut cluster, now, 0, bytes).only();
            assert_eq!(told, (ErrorCode::NONE, i64::from(sequence)));
        }
        let tally = cluster.sasl_tally();
        assert_eq!((tally.authenticated, tally.reauthenticated, tally.late), (1, 2, 0));
        assert_eq!(tally.violations(), 0);
    }
}

#[test]
fn a_token_that_ends_first_ends_the_session() {
    let mut cluster = session_of(8_000);
    let mut client = Client::greeted(&mut cluster);
    for (at, told) in [(0, 8_000), (7_000, 8_000), (14_000, 6_000)] {
        let lifetime = client.authenticates(&mut cluster, at_ms(at), Mechanism::OAuthBearer);
        assert_eq!(lifetime, told);
    }
    let said = client.begins(&mut cluster, at_ms(20_000), Mechanism::OAuthBearer, &bearer(TOKEN));
    assert_eq!(said.text(), r#"{"status":"invalid_token"}"#);
    let said = client.says(&mut cluster, at_ms(20_000), &[1]);
    said.refusal();
    assert!(client.is_cut_off(&mut cluster, at_ms(20_000)));
}

#[test]
fn version_0_is_told_of_no_end_and_meets_it() {
    let mut cluster = session_of(8_000);
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    for version in [0, 1] {
        let now = at_ms(2_000 * version);
        let version = i16::try_from(version).unwrap();
        if version > 0 {
            client.handshake(&mut cluster, now, Mechanism::Plain);
        }
        let frame = authenticate_request(version, &plain(USER, PASSWORD));
        let said = read_authenticate(version, &client.call(&mut cluster, now, &frame));
        assert_eq!(said.lifetime, (version > 0).then_some(8_000));
    }
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    client.call(&mut cluster, T0, &authenticate_request(0, &plain(USER, PASSWORD)));
    assert!(client.call(&mut cluster, at_ms(8_001), &metadata()).is_empty());
    assert!(client.connection.is_closed());
}

#[test]
fn requests_before_and_after_may_be_under_way_with_it() {
    let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
    let now = at_ms(100);
    let all = [
        metadata(),
        versions_request(4),
        handshake_request("PLAIN"),
        authenticate_request(2, &plain(USER, PASSWORD)),
        metadata(),
    ];
    client.connection.receive(&mut cluster, now, &all.concat());
    let mut answers = Vec::new();
    for _ in 0..all.len() {
        answers.push(client.connection.take_transmit());
        client.connection.advance(&mut cluster, now);
    }
    for at in [0, 4] {
        let told = read_metadata(12, &answers[at]);
        assert!(told.iter().any(|item| matches!(item, MetadataItem::Broker(_))));
    }
    assert_eq!(read_handshake(&answers[2]).0, ErrorCode::NONE);
    assert_eq!(read_authenticate(2, &answers[3]).lifetime, Some(8_000));
    assert_eq!(cluster.sasl_tally().violations(), 0);
}

/// A client between handshake and authenticate.
fn between() -> (Cluster, Client) {
    let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
    assert_eq!(client.handshake(&mut cluster, T0, Mechanism::Plain), ErrorCode::NONE);
    (cluster, client)
}

#[test]
fn a_batch_between_is_refused_and_not_appended() {
    for version in [3, 8, 9, 12, 13] {
        let (mut cluster, client) = between();
        let mut client = client.speaking(version);
        let bytes = batch(0, 0, 2).bytes();
        let told = client.produce_bytes(&mut cluster, T0, 0, bytes);
        assert_eq!(told.only(), (ErrorCode::ILLEGAL_SASL_STATE, -1));
        if version >= 8 {
            let words = "Unexpected Kafka request of type PRODUCE during SASL authentication.";
            assert_eq!(told.words, [words]);
        }
        assert!(client.is_cut_off(&mut cluster, T0));
        assert_eq!(cluster.log("t", 0).count(), 0);
        assert_eq!(cluster.sasl_tally().between[&ApiKey::PRODUCE], 1);
        assert_eq!(cluster.sasl_tally().violations(), 1);
    }
    // Who wants no answer gets none.
    let (mut cluster, mut client) = between();
    client.acks = 0;
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    assert!(client.call(&mut cluster, T0, &frame).is_empty() && client.connection.is_closed());
    assert_eq!(cluster.log("t", 0).count(), 0);
}

#[test]
fn other_requests_between_are_refused_too() {
    let error = ErrorCode::ILLEGAL_SASL_STATE;
    for version in [1, 7, 12, 13] {
        let (mut cluster, mut client) = between();
        let frame = metadata_request(version, Some(&[by_name("t")]), false);
        let answer = client.call(&mut cluster, T0, &frame);
        let told = read_metadata(version, &answer);
        assert!(told.iter().all(|item| match item {
            MetadataItem::Broker(_) | MetadataItem::Partition(_) => false,
            MetadataItem::Topic(topic) => topic.error == error,
            MetadataItem::Error(told) => *told == error,
            MetadataItem::Controller(id) => *id == -1,
            MetadataItem::Throttle(_) => true,
        }));
        assert!(client.is_cut_off(&mut cluster, T0));
    }
    let (mut cluster, mut client) = between();
    let answer = client.call(&mut cluster, T0, &init_request(4, None));
    let told = read_init(4, &answer);
    assert_eq!((told.error, told.producer_id, told.producer_epoch), (error, -1, -1));
    assert!(client.is_cut_off(&mut cluster, T0));
    let (mut cluster, mut client) = between();
    let answer = client.call(&mut cluster, T0, &describe_request("t", &[0, 2]));
    assert_eq!(read_described(&answer), [(0, error, Vec::new()), (2, error, Vec::new())]);
    assert!(client.is_cut_off(&mut cluster, T0));
}

#[test]
fn when_a_session_is_over_nothing_but_a_new_one_is_let_pass() {
    let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
    // To the last millisecond it is not over.
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    let answer = client.call(&mut cluster, at_ms(8_000), &frame);
    assert_eq!(read_produced(13, &answer).only(), (ErrorCode::NONE, 0));
    let frame = client.request(&cluster, 0, batch(0, 1, 1).bytes());
    assert!(client.call(&mut cluster, at_ms(8_001), &frame).is_empty());
    assert!(client.connection.is_closed());
    assert_eq!(values(&cluster, 0), ["0/0"]);
    assert_eq!(cluster.sasl_tally().expired[&ApiKey::PRODUCE], 1);
    for frame in [metadata(), versions_request(4), authenticate_request(2, b"")] {
        let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
        assert!(client.call(&mut cluster, at_ms(8_001), &frame).is_empty());
        assert!(client.connection.is_closed());
        assert_eq!(cluster.sasl_tally().violations(), 1);
    }
}

#[test]
fn who_is_late_is_let_pass_and_who_is_idle_is_left_alone() {
    let (mut cluster, mut client) = eight_seconds(Mechanism::ScramSha256);
    let now = at_ms(60_000);
    assert_eq!(client.connection.poll_timeout(&cluster), None);
    client.connection.advance(&mut cluster, now);
    assert!(!client.connection.is_closed());
    assert_eq!(client.authenticates(&mut cluster, now, Mechanism::ScramSha256), 8_000);
    let bytes = batch(0, 0, 1).bytes();
    assert_eq!(client.produce_bytes(&mut cluster, now, 0, bytes).only(), (ErrorCode::NONE, 0));
    let tally = cluster.sasl_tally();
    assert_eq!((tally.late, tally.violations()), (1, 0));
}

#[test]
fn another_mechanism_ends_the_connection_with_its_first_message() {
    let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
    let first = client.handshake(&mut cluster, T0, Mechanism::ScramSha256);
    assert_eq!(first, ErrorCode::NONE);
    let frame = authenticate_request(2, b"n,,n=alice,r=abc");
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    assert!(client.connection.is_closed());
    assert_eq!(cluster.sasl_tally().refused["other mechanism"], 1);
    // One that the listener does not have is not even told so.
    let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
    assert!(client.call(&mut cluster, T0, &handshake_request("GSSAPI")).is_empty());
    assert!(client.connection.is_closed());
    assert_eq!(cluster.sasl_tally().refused["mechanism"], 1);
}

#[test]
fn another_principal_is_refused() {
    let words = "Cannot change principals during re-authentication from User.alice: User.bob";
    let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
    let said = client.begins(&mut cluster, T0, Mechanism::Plain, &plain("bob", "bob-secret"));
    assert_eq!(said.refusal(), words);
    assert!(client.is_cut_off(&mut cluster, T0));
    let (mut cluster, mut client) = eight_seconds(Mechanism::ScramSha512);
    let mechanism = Mechanism::ScramSha512;
    let (_, said) = client.scram(&mut cluster, T0, mechanism, "bob", "bob-secret");
    assert_eq!(said.refusal(), words);
    assert!(client.is_cut_off(&mut cluster, T0));
    let (mut cluster, mut client) = eight_seconds(Mechanism::OAuthBearer);
    let said = client.begins(&mut cluster, T0, Mechanism::OAuthBearer, &bearer("bobs-token"));
    assert_eq!(said.refusal(), words);
    assert!(client.is_cut_off(&mut cluster, T0));
}

#[test]
fn a_password_that_is_wrong_now_ends_the_session() {
    let (mut cluster, mut client) = eight_seconds(Mechanism::ScramSha256);
    cluster.set_password(USER, "another").unwrap();
    let bytes = batch(0, 0, 1).bytes();
    assert_eq!(client.produce_bytes(&mut cluster, T0, 0, bytes).only(), (ErrorCode::NONE, 0));
    let mechanism = Mechanism::ScramSha256;
    let (_, said) = client.scram(&mut cluster, T0, mechanism, USER, PASSWORD);
    assert!(said.refusal().contains("during re-authentication"), "{said:?}");
    assert!(client.is_cut_off(&mut cluster, T0));
}

#[test]
fn the_second_within_a_second_is_refused_and_the_session_goes_on() {
    let (mut cluster, mut client) = eight_seconds(Mechanism::Plain);
    client.authenticates(&mut cluster, at_ms(1), Mechanism::Plain);
    let soon = at_ms(1_000);
    let error = ErrorCode::ILLEGAL_SASL_STATE;
    assert_eq!(client.handshake(&mut cluster, soon, Mechanism::Plain), error);
    assert_eq!(client.says(&mut cluster, soon, &plain(USER, PASSWORD)).error, error);
    assert_eq!(cluster.sasl_tally().too_soon, 1);
    let bytes = batch(0, 0, 1).bytes();
    assert_eq!(client.produce_bytes(&mut cluster, soon, 0, bytes).only(), (ErrorCode::NONE, 0));
    client.authenticates(&mut cluster, at_ms(1_001), Mechanism::Plain);
}

#[test]
fn who_was_in_for_ever_is_in_for_ever() {
    let mut cluster = cluster(sasl());
    let mut client = Client::greeted(&mut cluster);
    assert_eq!(client.authenticates(&mut cluster, T0, Mechanism::Plain), 0);
    cluster.set_max_reauth(Some(at_ms(5))).unwrap();
    let later = at_ms(1_000_000);
    assert!(!client.call(&mut cluster, later, &metadata()).is_empty());
    let mut client = Client::greeted(&mut cluster);
    assert_eq!(client.authenticates(&mut cluster, later, Mechanism::Plain), 5);
}
