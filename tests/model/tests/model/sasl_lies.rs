//! Faults of authentication, and nodes that lie about it.

use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_model::{
    Action, Cluster, Fault, Lie,
    sasl::{Mechanism, SaslLie},
};

use crate::{
    sasl_client::{
        PASSWORD, Said, ScramClient, USER, authenticate_request, cluster, handshake_request, plain,
        read_authenticate, read_handshake, sasl,
    },
    wire_client::{Client, T0, at_ms, batch, by_name, metadata_request, read_produced},
};

const SHA_256: Mechanism = Mechanism::ScramSha256;

/// A client of a node that lies once.
fn liar(lie: SaslLie) -> (Cluster, Client) {
    let mut cluster = cluster(sasl());
    cluster.lie_once(1, Lie::Sasl(lie)).unwrap();
    let client = Client::greeted(&mut cluster);
    (cluster, client)
}

/// What the node says to the first message and to the last one, and to nothing: whether the client, had
/// it believed all that, would get an answer to its next request.
fn believes(lie: SaslLie) -> (Said, ScramClient, Option<Said>) {
    let kind = lie.kind();
    let must_be_refused = !matches!(lie, SaslLie::Salt(1..) | SaslLie::LongNonce(_));
    let (mut cluster, mut client) = liar(lie);
    let mut scram = ScramClient::new(SHA_256);
    let message = scram.first(USER);
    let first = client.begins(&mut cluster, T0, SHA_256, message.as_bytes());
    let mut last = None;
    if !first.bytes.is_empty() {
        let message = scram.last(PASSWORD, first.text());
        last = Some(client.says(&mut cluster, T0, message.as_bytes()));
    }
    assert_eq!(cluster.lies_told()[kind], 1);
    let is_in = last.as_ref().is_none_or(|last| last.error.is_none());
    if is_in {
        let frame = metadata_request(12, Some(&[by_name("t")]), false);
        let answered = !client.call(&mut cluster, T0, &frame).is_empty();
        assert_eq!(answered, !must_be_refused, "{kind}");
        let believed = cluster.sasl_tally().believed.get(kind).copied();
        assert_eq!(believed, must_be_refused.then_some(1));
    }
    (first, scram, last)
}

#[test]
fn a_lie_about_the_challenge_is_all_that_is_wrong() {
    let fields = |said: &Said| -> Vec<String> {
        said.text().split(',').map(|field| field[2..].to_owned()).collect()
    };
    let nonce = "fyko+d2lbbFgONRv9qkxdawL";
    let (first, scram, last) = believes(SaslLie::Iterations(1));
    assert_eq!(fields(&first)[2], "1");
    assert_eq!(last.unwrap().text(), scram.server_last);
    let (first, scram, last) = believes(SaslLie::NonceNotExtended);
    assert_eq!(fields(&first)[0], nonce);
    assert_eq!(last.unwrap().text(), scram.server_last);
    let (first, scram, last) = believes(SaslLie::OtherNonce);
    assert!(!fields(&first)[0].starts_with(nonce));
    assert_eq!(last.unwrap().text(), scram.server_last);
    let (first, scram, last) = believes(SaslLie::Salt(0));
    assert_eq!(fields(&first)[1], "");
    assert_eq!(last.unwrap().text(), scram.server_last);
    // These are no more than odd.
    let (first, scram, last) = believes(SaslLie::Salt(150));
    assert_eq!(fields(&first)[1].len(), 200);
    assert_eq!(last.unwrap().text(), scram.server_last);
    let (first, scram, last) = believes(SaslLie::LongNonce(150));
    assert_eq!(fields(&first)[0].len(), nonce.len() + 150);
    assert_eq!(last.unwrap().text(), scram.server_last);
}

#[test]
fn a_lie_that_cannot_be_followed_up_ends_in_a_refusal() {
    let (first, _, last) = believes(SaslLie::Iterations(1_000_000_000));
    assert!(first.text().ends_with(",i=1000000000"));
    last.unwrap().refusal();
    let (first, _, last) = believes(SaslLie::SaltNotBase64);
    assert!(first.text().contains(",s=%%%%,"));
    last.unwrap().refusal();
}

#[test]
fn a_lie_about_the_signature_lets_the_client_in() {
    let (_, scram, last) = believes(SaslLie::WrongSignature);
    let last = last.unwrap();
    assert!(last.text().starts_with("v=") && last.text() != scram.server_last);
    let (_, _, last) = believes(SaslLie::NoSignature);
    assert!(last.unwrap().bytes.is_empty());
    let (_, _, last) = believes(SaslLie::SignatureNotBase64);
    assert_eq!(last.unwrap().text(), "v=%%%%");
    let (_, _, last) = believes(SaslLie::ServerError);
    assert_eq!(last.unwrap().text(), "e=other-error");
    let (first, _, last) = believes(SaslLie::AtOnce);
    assert_eq!((first.bytes.len(), last), (0, None));
}

#[test]
fn lies_about_the_rest() {
    for told in [i64::MAX, i64::MIN, -1, 1] {
        let (mut cluster, mut client) = liar(SaslLie::Lifetime(told));
        assert_eq!(client.authenticates(&mut cluster, T0, SHA_256), told);
        let frame = metadata_request(12, None, false);
        assert!(!client.call(&mut cluster, T0, &frame).is_empty());
    }
    let (mut cluster, mut client) = liar(SaslLie::Mechanisms(ErrorCode(33), 1_000));
    let answer = client.call(&mut cluster, T0, &handshake_request("PLAIN"));
    let (error, names) = read_handshake(&answer);
    assert_eq!((error, names.len()), (ErrorCode(33), 1_000));
    assert!(client.is_cut_off(&mut cluster, T0));
    let (mut cluster, mut client) = liar(SaslLie::Refuse(ErrorCode(58), 20_000));
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    let frame = authenticate_request(2, &plain(USER, PASSWORD));
    assert!(client.call(&mut cluster, T0, &frame).len() > 20_000);
    assert!(client.is_cut_off(&mut cluster, T0));
    let (mut cluster, mut client) = liar(SaslLie::Noise(300));
    let first = ScramClient::new(SHA_256).first(USER);
    assert_eq!(client.begins(&mut cluster, T0, SHA_256, first.as_bytes()).bytes.len(), 300);
    let (mut cluster, mut client) = liar(SaslLie::Noise(1_000));
    let said = client.begins(&mut cluster, T0, Mechanism::Plain, &plain(USER, PASSWORD));
    assert_eq!(said.error, ErrorCode::NONE);
    assert!(!client.call(&mut cluster, T0, &metadata_request(12, None, false)).is_empty());
}

#[test]
fn dice_lie_about_sasl_too() {
    let mut cluster = cluster(sasl());
    for seed in 0..40 {
        cluster.make_hostile(1, seed).unwrap();
        for _ in 0..10 {
            let mut client = Client::new(&cluster, 1);
            client.call(&mut cluster, T0, &handshake_request(SHA_256.name()));
            let first = ScramClient::new(SHA_256).first(USER);
            client.call(&mut cluster, T0, &authenticate_request(2, first.as_bytes()));
        }
    }
    let told = cluster.lies_told();
    let missing: Vec<_> = SaslLie::KINDS.iter().filter(|kind| !told.contains_key(*kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn faults_meet_authentication_too() {
    let mut cluster = cluster(sasl());
    let reject = Action::Reject(ErrorCode::UNSUPPORTED_SASL_MECHANISM);
    cluster.inject(Fault::new(ApiKey::SASL_HANDSHAKE, reject));
    cluster.inject(Fault::new(ApiKey::SASL_AUTHENTICATE, Action::Hold(at_ms(7))));
    cluster.inject(Fault::new(ApiKey::SASL_AUTHENTICATE, Action::CloseBefore));
    let mut client = Client::greeted(&mut cluster);
    let error = client.handshake(&mut cluster, T0, Mechanism::Plain);
    assert_eq!(error, ErrorCode::UNSUPPORTED_SASL_MECHANISM);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    let frame = authenticate_request(2, &plain(USER, PASSWORD));
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    client.connection.advance(&mut cluster, at_ms(7));
    assert_eq!(read_authenticate(2, &client.connection.take_transmit()).error, ErrorCode::NONE);
    // What is frozen over a message has not taken it.
    cluster.clear_faults();
    cluster.inject(Fault::new(ApiKey::SASL_AUTHENTICATE, Action::Freeze));
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    cluster.thaw(1).unwrap();
    client.connection.advance(&mut cluster, T0);
    assert_eq!(read_authenticate(2, &client.connection.take_transmit()).error, ErrorCode::NONE);
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    let answer = client.call(&mut cluster, T0, &frame);
    assert_eq!(read_produced(13, &answer).only(), (ErrorCode::NONE, 0));
}
