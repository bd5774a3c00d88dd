//! SASL on a new connection, as it was seen of Kafka 4.4.

use ottla_core::wire::{ApiKey, ErrorCode, api_versions::ApiVersionsItem, metadata::MetadataItem};
use ottla_model::{
    AdminError, Cluster,
    sasl::{Mechanism, SaslConfig, Token},
};

use crate::{
    sasl_client::{
        PASSWORD, ScramClient, TOKEN, TOKEN_ENDS, USER, authenticate_request, bearer, cluster,
        handshake_request, iterations, plain, read_authenticate, read_handshake, sasl,
    },
    wire_client::{
        Client, T0, at_ms, batch, by_name, metadata_request, one_node, read_metadata,
        read_versions, values, versions_request,
    },
};

const SCRAM: [Mechanism; 2] = [Mechanism::ScramSha256, Mechanism::ScramSha512];

fn open() -> Cluster {
    cluster(sasl())
}

#[test]
fn every_mechanism_lets_in_who_is_right() {
    for mechanism in Mechanism::ALL {
        let mut cluster = open();
        let mut client = Client::greeted(&mut cluster);
        let lifetime = client.authenticates(&mut cluster, T0, mechanism);
        // Sessions do not end, but with the token.
        let expected = if mechanism == Mechanism::OAuthBearer { 20_000 } else { 0 };
        assert_eq!(lifetime, expected, "{mechanism}");
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (ErrorCode::NONE, 0));
        assert_eq!(values(&cluster, 0), ["0/0"]);
        let tally = cluster.sasl_tally();
        assert_eq!((tally.authenticated, tally.violations()), (1, 0), "{tally:?}");
    }
}

#[test]
fn the_answers_are_as_long_as_kafkas() {
    let mut cluster = open();
    let mut client = Client::greeted(&mut cluster);
    let answer = client.call(&mut cluster, T0, &handshake_request("PLAIN"));
    let names = Mechanism::ALL.map(|mechanism| mechanism.name().to_owned()).to_vec();
    assert_eq!((answer.len(), read_handshake(&answer)), (64, (ErrorCode::NONE, names)));
    let answer = client.call(&mut cluster, T0, &authenticate_request(2, &plain(USER, PASSWORD)));
    assert_eq!(answer.len(), 22);
}

#[test]
fn versions_need_not_be_asked_for() {
    let mut cluster = open();
    let mut client = Client::new(&cluster, 1);
    client.authenticates(&mut cluster, T0, Mechanism::Plain);
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (ErrorCode::NONE, 0));
}

#[test]
fn all_may_be_sent_at_once() {
    let mut cluster = open();
    let mut client = Client::new(&cluster, 1);
    let topics = [by_name("t")];
    let all = [
        versions_request(4),
        handshake_request("PLAIN"),
        authenticate_request(2, &plain(USER, PASSWORD)),
        metadata_request(12, Some(&topics), false),
    ];
    client.connection.receive(&mut cluster, T0, &all.concat());
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(client.connection.take_transmit());
        client.connection.advance(&mut cluster, T0);
    }
    assert_eq!(read_versions(4, &answers[0])[0], ApiVersionsItem::Error(ErrorCode::NONE));
    assert_eq!(read_handshake(&answers[1]).0, ErrorCode::NONE);
    assert_eq!(read_authenticate(2, &answers[2]).error, ErrorCode::NONE);
    let brokers = read_metadata(12, &answers[3]);
    assert!(brokers.iter().any(|item| matches!(item, MetadataItem::Broker(_))));
}

#[test]
fn versions_may_be_asked_for_again_only_where_the_first_were_not_spoken() {
    let mut cluster = open();
    let mut client = Client::new(&cluster, 1);
    for _ in 0..2 {
        let answer = client.call(&mut cluster, T0, &versions_request(99));
        let error = ErrorCode::UNSUPPORTED_VERSION;
        assert_eq!(read_versions(0, &answer)[0], ApiVersionsItem::Error(error));
    }
    assert!(!client.call(&mut cluster, T0, &versions_request(4)).is_empty());
    assert_eq!(cluster.sasl_tally().violations(), 0);
    for version in [4, 99] {
        let mut client = Client::greeted(&mut cluster);
        assert!(client.call(&mut cluster, T0, &versions_request(version)).is_empty());
        assert!(client.connection.is_closed());
    }
    assert_eq!(cluster.sasl_tally().before[&ApiKey::API_VERSIONS], 2);
    // Once the client is in, as often as it likes.
    let mut client = Client::greeted(&mut cluster);
    client.authenticates(&mut cluster, T0, Mechanism::Plain);
    for _ in 0..2 {
        assert!(!client.call(&mut cluster, T0, &versions_request(4)).is_empty());
    }
}

#[test]
fn nothing_else_is_answered_before() {
    let mut cluster = open();
    let topics = [by_name("t")];
    let produce = Client::new(&cluster, 1).request(&cluster, 0, batch(0, 0, 1).bytes());
    let requests = [
        (ApiKey::METADATA, metadata_request(12, Some(&topics), false)),
        (ApiKey::PRODUCE, produce),
        (ApiKey::SASL_AUTHENTICATE, authenticate_request(2, &plain(USER, PASSWORD))),
    ];
    for (api, frame) in requests {
        for greet in [false, true] {
            let mut client =
                if greet { Client::greeted(&mut cluster) } else { Client::new(&cluster, 1) };
            assert!(client.call(&mut cluster, T0, &frame).is_empty(), "{api}");
            assert!(client.connection.is_closed(), "{api}");
        }
        assert_eq!(cluster.sasl_tally().before[&api], 2);
    }
    assert_eq!(cluster.log("t", 0).count(), 0);
}

#[test]
fn what_comes_into_an_exchange_is_refused_and_ruins_it() {
    let mut cluster = open();
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    let answer = client.call(&mut cluster, T0, &versions_request(4));
    let error = ErrorCode::ILLEGAL_SASL_STATE;
    assert_eq!(read_versions(4, &answer)[0], ApiVersionsItem::Error(error));
    assert!(client.is_cut_off(&mut cluster, T0));
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    let answer = client.call(&mut cluster, T0, &versions_request(99));
    assert_eq!(read_versions(0, &answer), [ApiVersionsItem::Error(error)]);
    assert!(client.is_cut_off(&mut cluster, T0));
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    assert_eq!(client.handshake(&mut cluster, T0, Mechanism::Plain), error);
    assert!(client.is_cut_off(&mut cluster, T0));
    let tally = cluster.sasl_tally();
    assert_eq!(tally.between[&ApiKey::API_VERSIONS], 2);
    assert_eq!(tally.between[&ApiKey::SASL_HANDSHAKE], 1);
}

#[test]
fn a_mechanism_that_is_not_there_is_answered_with_those_that_are() {
    for asked in ["GSSAPI", "PLAIN", "plain", ""] {
        let offered = [Mechanism::ScramSha512, Mechanism::OAuthBearer];
        let mut cluster = cluster(SaslConfig::with(&offered));
        let mut client = Client::greeted(&mut cluster);
        let answer = client.call(&mut cluster, T0, &handshake_request(asked));
        let (error, told) = read_handshake(&answer);
        assert_eq!(error, ErrorCode::UNSUPPORTED_SASL_MECHANISM);
        assert_eq!(told, ["SCRAM-SHA-512", "OAUTHBEARER"]);
        assert!(client.is_cut_off(&mut cluster, T0));
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let mut cluster = open();
    for (user, password) in [(USER, "bob-secret"), ("bob", PASSWORD), ("carol", PASSWORD)] {
        let mut client = Client::greeted(&mut cluster);
        let message = plain(user, password);
        let said = client.begins(&mut cluster, T0, Mechanism::Plain, &message);
        assert_eq!(said.refusal(), "Authentication failed: Invalid username or password");
        assert!(client.is_cut_off(&mut cluster, T0));
    }
    for mechanism in SCRAM {
        let mut client = Client::greeted(&mut cluster);
        let (_, said) = client.scram(&mut cluster, T0, mechanism, USER, "bob-secret");
        let words = "Authentication failed during authentication due to invalid credentials with \
                     SASL mechanism";
        assert_eq!(said.refusal(), format!("{words} {mechanism}"));
        assert!(client.is_cut_off(&mut cluster, T0));
    }
    assert_eq!(cluster.sasl_tally().refused["user or password"], 5);
}

#[test]
fn a_user_that_there_is_not_is_refused_at_scrams_first_message() {
    for mechanism in SCRAM {
        let mut cluster = open();
        let mut client = Client::greeted(&mut cluster);
        let first = ScramClient::new(mechanism).first("carol");
        let said = client.begins(&mut cluster, T0, mechanism, first.as_bytes());
        assert!(said.refusal().ends_with(mechanism.name()));
        assert!(client.is_cut_off(&mut cluster, T0));
    }
}

#[test]
fn a_scram_message_with_something_wrong_in_it_is_refused() {
    for mechanism in SCRAM {
        let mut cluster = open();
        // The first message.
        for (from, to) in [("r=", "tokenauth=true,r="), (",r=", ",m=x,r="), ("n,,", "y,,")] {
            let mut client = Client::greeted(&mut cluster);
            let mut scram = ScramClient::new(mechanism);
            let first = scram.first(USER).replacen(from, to, 1);
            let said = client.begins(&mut cluster, T0, mechanism, first.as_bytes());
            assert!(said.refusal().ends_with(mechanism.name()), "{first}");
        }
        let mut client = Client::greeted(&mut cluster);
        let first = format!("{},tokenauth=true", ScramClient::new(mechanism).first(USER));
        client.begins(&mut cluster, T0, mechanism, first.as_bytes()).refusal();
        assert!(client.is_cut_off(&mut cluster, T0));
        // The last one: with another nonce or header, of which the proof is right.
        for (nonce, header) in
            [(Some("fyko+d2lbbFgONRv9qkxdawL".to_owned()), "biws"), (None, "eSws")]
        {
            let mut client = Client::greeted(&mut cluster);
            let mut scram = ScramClient::new(mechanism);
            (scram.nonce, scram.header) = (nonce, header);
            let first = scram.first(USER);
            let said = client.begins(&mut cluster, T0, mechanism, first.as_bytes());
            let last = scram.last(PASSWORD, said.text());
            client.says(&mut cluster, T0, last.as_bytes()).refusal();
            assert!(client.is_cut_off(&mut cluster, T0), "{last}");
        }
        // A proof of another length ends the connection without a word.
        let mut client = Client::greeted(&mut cluster);
        let mut scram = ScramClient::new(mechanism);
        let first = scram.first(USER);
        let said = client.begins(&mut cluster, T0, mechanism, first.as_bytes());
        let last = scram.last(PASSWORD, said.text()).replacen("p=", "p=AAAA", 1);
        let frame = authenticate_request(2, last.as_bytes());
        assert!(client.call(&mut cluster, T0, &frame).is_empty());
        assert!(client.connection.is_closed());
    }
}

#[test]
fn extensions_of_scram_that_nobody_knows_are_ignored() {
    let mut cluster = open();
    let mut client = Client::greeted(&mut cluster);
    let mut scram = ScramClient::new(Mechanism::ScramSha256);
    let first = format!("{},x=y", scram.first(USER));
    scram.client_first = first["n,,".len()..].to_owned();
    let said = client.begins(&mut cluster, T0, Mechanism::ScramSha256, first.as_bytes());
    let last = scram.last(PASSWORD, said.text());
    assert_eq!(client.says(&mut cluster, T0, last.as_bytes()).text(), scram.server_last);
}

#[test]
fn a_user_with_few_iterations_is_refused_and_others_are_told_theirs() {
    for mechanism in SCRAM {
        let mut cluster = iterations(4_095);
        let mut client = Client::greeted(&mut cluster);
        let first = ScramClient::new(mechanism).first(USER);
        client.begins(&mut cluster, T0, mechanism, first.as_bytes()).refusal();
    }
    let mut cluster = iterations(5_000);
    let mut client = Client::greeted(&mut cluster);
    let mechanism = Mechanism::ScramSha256;
    let first = ScramClient::new(mechanism).first(USER);
    let said = client.begins(&mut cluster, T0, mechanism, first.as_bytes());
    assert!(said.text().ends_with(",i=5000"), "{}", said.text());
    Client::greeted(&mut cluster).authenticates(&mut cluster, T0, mechanism);
}

#[test]
fn a_salt_is_the_users_and_a_nonce_the_connections() {
    let mechanism = Mechanism::ScramSha256;
    let told = |cluster: &mut Cluster, mechanism| {
        let mut client = Client::greeted(cluster);
        let first = ScramClient::new(mechanism).first(USER);
        let said = client.begins(cluster, T0, mechanism, first.as_bytes());
        let (nonce, salt) = said.text().split_once(",s=").unwrap();
        (nonce.to_owned(), salt.to_owned())
    };
    let mut cluster = open();
    let [one, two] = [(); 2].map(|()| told(&mut cluster, mechanism));
    assert_eq!(one.1, two.1);
    assert_ne!(one.0, two.0);
    assert_ne!(told(&mut cluster, Mechanism::ScramSha512).1, one.1);
    // All follows from the seed.
    assert_eq!(told(&mut open(), mechanism), one);
    // With a new password comes a new salt.
    cluster.set_password(USER, "another").unwrap();
    assert_ne!(told(&mut cluster, mechanism).1, one.1);
    let mut client = Client::greeted(&mut cluster);
    let (scram, said) = client.scram(&mut cluster, T0, mechanism, USER, "another");
    assert_eq!(said.text(), scram.server_last);
}

#[test]
fn an_authorization_id_must_be_the_users() {
    let mut cluster = open();
    let words = "Authentication failed: Client requested an authorization id that is different \
                 from username";
    for (id, right) in [("alice", true), ("bob", false)] {
        let mut client = Client::greeted(&mut cluster);
        let message = format!("{id}\0{USER}\0{PASSWORD}");
        let said = client.begins(&mut cluster, T0, Mechanism::Plain, message.as_bytes());
        if right {
            assert_eq!(said.error, ErrorCode::NONE);
        } else {
            assert_eq!(said.refusal(), words);
            assert!(client.is_cut_off(&mut cluster, T0));
        }
        let mut client = Client::greeted(&mut cluster);
        let message = format!("n,a={id},n={USER},r=abc");
        let said = client.begins(&mut cluster, T0, Mechanism::ScramSha256, message.as_bytes());
        if right {
            assert!(said.text().starts_with("r=abc"));
        } else {
            assert_eq!(said.refusal(), words);
        }
    }
    let mut client = Client::greeted(&mut cluster);
    let message = format!("n,a=bob,\x01auth=Bearer {TOKEN}\x01\x01");
    let said = client.begins(&mut cluster, T0, Mechanism::OAuthBearer, message.as_bytes());
    assert!(said.refusal().contains("authorization id (bob)"), "{said:?}");
}

#[test]
fn a_token_that_does_not_hold_is_told_so_and_refused_when_that_is_acknowledged() {
    let mut cluster = open();
    let over = Token { text: "over".into(), principal: USER.into(), until: T0 };
    cluster.add_token(over).unwrap();
    for (token, now) in [("nobodys", T0), ("over", T0), (TOKEN, TOKEN_ENDS)] {
        let mut client = Client::greeted(&mut cluster);
        let said = client.begins(&mut cluster, now, Mechanism::OAuthBearer, &bearer(token));
        assert_eq!((said.error, said.lifetime), (ErrorCode::NONE, Some(0)));
        assert_eq!(said.text(), r#"{"status":"invalid_token"}"#);
        assert!(!client.is_cut_off(&mut cluster, now));
        let said = client.says(&mut cluster, now, &[1]);
        assert_eq!(said.refusal(), r#"{"status":"invalid_token"}"#);
        assert!(client.is_cut_off(&mut cluster, now));
    }
    cluster.revoke_token(TOKEN).unwrap();
    let mut client = Client::greeted(&mut cluster);
    let said = client.begins(&mut cluster, T0, Mechanism::OAuthBearer, &bearer(TOKEN));
    assert_eq!(said.text(), r#"{"status":"invalid_token"}"#);
    // Who comes with a right one then is let in.
    let said = client.says(&mut cluster, T0, &bearer("bobs-token"));
    assert_eq!((said.error, said.lifetime), (ErrorCode::NONE, Some(20_000)));
}

#[test]
fn messages_that_are_none_are_refused() {
    for mechanism in Mechanism::ALL {
        let noise = [&b""[..], b"\0", b"\x01", b"\xff\xfe", b"\0alice\0alice-secret\0", b"n,,"];
        for message in noise {
            let mut cluster = open();
            let mut client = Client::greeted(&mut cluster);
            client.begins(&mut cluster, T0, mechanism, message).refusal();
            assert!(client.is_cut_off(&mut cluster, T0));
        }
    }
}

#[test]
fn failures_are_kept_back_for_a_while() {
    let mut config = sasl();
    config.failed_authentication_delay = at_ms(100);
    let mut cluster = cluster(config);
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    let frame = authenticate_request(2, &plain(USER, "wrong"));
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    assert_eq!(client.connection.poll_timeout(&cluster), Some(at_ms(100)));
    assert!(!client.is_cut_off(&mut cluster, at_ms(99)));
    assert!(!client.connection.wants_read());
    client.connection.advance(&mut cluster, at_ms(100));
    let answer = client.connection.take_transmit();
    read_authenticate(2, &answer).refusal();
    assert!(client.is_cut_off(&mut cluster, at_ms(100)));
    // Success is not.
    Client::greeted(&mut cluster).authenticates(&mut cluster, T0, Mechanism::Plain);
}

#[test]
fn sasl_on_a_listener_without_it_is_refused_and_the_connection_stays() {
    let mut cluster = one_node();
    let mut client = Client::greeted(&mut cluster);
    let answer = client.call(&mut cluster, T0, &handshake_request("PLAIN"));
    assert_eq!(read_handshake(&answer), (ErrorCode::ILLEGAL_SASL_STATE, Vec::new()));
    let said = client.says(&mut cluster, T0, &plain(USER, PASSWORD));
    assert_eq!(said.error, ErrorCode::ILLEGAL_SASL_STATE);
    let words = "SaslAuthenticate request received after successful authentication";
    assert_eq!(said.words.as_deref(), Some(words));
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (ErrorCode::NONE, 0));
    assert_eq!(cluster.set_password(USER, PASSWORD), Err(AdminError::NoSasl));
}

#[test]
fn who_is_in_and_authenticates_again_where_sessions_do_not_end_is_refused_and_stays() {
    let mut cluster = open();
    let mut client = Client::greeted(&mut cluster);
    client.authenticates(&mut cluster, T0, Mechanism::Plain);
    let error = ErrorCode::ILLEGAL_SASL_STATE;
    assert_eq!(client.handshake(&mut cluster, T0, Mechanism::Plain), error);
    assert_eq!(client.says(&mut cluster, T0, &plain(USER, PASSWORD)).error, error);
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (ErrorCode::NONE, 0));
}

#[test]
fn the_old_handshake_and_large_frames_of_strangers_are_not_answered() {
    let mut cluster = open();
    let mut client = Client::greeted(&mut cluster);
    let mut old = handshake_request("PLAIN");
    old[7] = 0;
    assert!(client.call(&mut cluster, T0, &old).is_empty() && client.connection.is_closed());
    let mut client = Client::greeted(&mut cluster);
    client.handshake(&mut cluster, T0, Mechanism::Plain);
    let huge = authenticate_request(2, &vec![b'x'; 600_000]);
    assert!(client.call(&mut cluster, T0, &huge).is_empty() && client.connection.is_closed());
}

#[test]
fn no_password_is_shown() {
    let shown = format!("{:?} {:?}", sasl(), open());
    for secret in [PASSWORD, "bob-secret", TOKEN] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
