//! SASL with real brokers: who is let in, for how long, and what is told to who is not.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::{
    slice::from_ref,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::{sync::Arc, time::Instant};

use ottla_client::RecordOutcome;
use ottla_core::wire::ApiKey;
use ottla_interop::{
    Adapter, Client, Fetch, MECHANISMS, Message, PASSWORD, Protocol, Secured, USER, assert_refused,
    correlation_ids, requests, token, version,
};
use ottla_kafka::{Direction, Heard, Links};
use ottla_tokio::OAuthToken;

const LIMIT: Duration = Duration::from_secs(30);
const LOCAL: [&str; 2] = ["localhost", "127.0.0.1"];

/// Who has tokens for [`USER`] that are good for so long, and how many were fetched.
fn tokens(lifetime: Duration) -> (Fetch, Arc<AtomicU32>) {
    let fetched = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&fetched);
    let fetch = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(OAuthToken::new(token(USER, lifetime), lifetime))
    };
    (Box::new(fetch), fetched)
}

/// For how long sessions are watched: `OTTLA_SESSION_SECONDS`, 20 by itself.
fn watched() -> Duration {
    let seconds = std::env::var("OTTLA_SESSION_SECONDS").ok();
    Duration::from_secs(seconds.map_or(20, |text| text.parse().unwrap()))
}

/// Sends records for so long at least, a hundred at least, and holds what is told against what Kafka's own consumer reads.
fn arrives(
    what: &str,
    secured: &Secured,
    adapter: Adapter,
    properties: &[(&str, &str)],
    fetch: Option<Fetch>,
    lasts: Duration,
) {
    let cluster = &secured.cluster;
    let name = format!("{}-{adapter}", what.replace([' ', '.', ','], "-"));
    cluster.create_topic(&name, 1, 1, &[]).unwrap();
    let bootstrap = cluster.proxied_bootstrap();
    let common = [("bootstrap.servers", &*bootstrap), ("linger.ms", "0")];
    let client = Client::with_tokens(adapter, &[&common, properties].concat(), fetch).unwrap();
    let topic = client.topic(&name).unwrap();
    let begun = Instant::now();
    let mut sent = Vec::new();
    while sent.len() < 100 || begun.elapsed() < lasts {
        let text = sent.len().to_string();
        sent.push(client.send(&topic, &Message::text(&text), None).unwrap());
        if !lasts.is_zero() {
            std::thread::sleep(Duration::from_millis(2));
        }
        // Now and then nothing comes that would wake a driver by chance.
        if sent.len() % 64 == 0 {
            let last = sent.last().and_then(|receipt| receipt.last(LIMIT));
            let wire = || on_the_wire(&cluster.proxy().all());
            assert!(last.is_some(), "{what}, {adapter}: record {}\n{}", sent.len(), wire());
        }
    }
    for (number, receipt) in sent.iter().enumerate() {
        let outcome = receipt.last(LIMIT);
        let Some(RecordOutcome::Delivered { offset, .. }) = outcome else {
            let wire = on_the_wire(&cluster.proxy().all());
            panic!("{what}, {adapter}: record {number}: {outcome:?}\n{wire}");
        };
        assert_eq!(offset, Some(number as i64), "{what}, {adapter}");
    }
    let count = sent.len();
    drop(sent);
    assert!(client.close(LIMIT).complete);
    let log = cluster.read(&name).unwrap();
    assert_eq!(log.len(), count, "{what}, {adapter}");
    for (number, record) in log.iter().enumerate() {
        assert!(record.has_value(number.to_string().as_bytes()), "record {number}");
    }
    println!("Kafka {}, {what}, {adapter}: {count} records at their offsets", version());
}

/// The last requests of each connection that the proxy recorded, and whether they were answered.
fn on_the_wire(links: &Links<'_>) -> String {
    let [sent, answered] = [Direction::ToBroker, Direction::ToClient].map(|way| links.heard(way));
    let mut text = String::new();
    for sent in &sent {
        let one = sent.connection;
        let answers = answered.iter().find(|heard| heard.connection == one);
        let got = answers.map_or(Vec::new(), |heard| correlation_ids(heard).unwrap());
        for request in requests(from_ref(sent)).unwrap().iter().rev().take(16).rev() {
            let answered = got.contains(&request.correlation_id);
            text += &format!("connection {one}: {request:?} answered: {answered}\n");
        }
        let last = |heard: &Heard| heard.times.last().map(|(_, time)| time.elapsed());
        let (left, came) = (last(sent), answers.and_then(last));
        text +=
            &format!("connection {one}: last byte sent {left:?} ago, last one back {came:?} ago\n");
    }
    text
}

/// What is told where nobody is let in.
fn says(
    what: &str,
    bootstrap: &str,
    properties: &[(&str, &str)],
    fetch: Option<Fetch>,
    words: &[&str],
) {
    let mut fetch = fetch.map(Arc::new);
    for adapter in Adapter::ALL {
        let common = [("bootstrap.servers", bootstrap), ("max.block.ms", "2000")];
        let fetch = fetch.as_mut().map(|fetch| {
            let fetch = Arc::clone(fetch);
            Box::new(move || fetch()) as Fetch
        });
        let client = Client::with_tokens(adapter, &[&common, properties].concat(), fetch).unwrap();
        let said = assert_refused(&format!("{what}, {adapter}"), &client, words);
        assert!(!said.contains("secret"), "{said}");
    }
}

/// How often connections were authenticated anew, and that nothing was said in the middle of it.
fn renewals(what: &str, links: &Links<'_>) -> usize {
    let sent = requests(&links.heard(Direction::ToBroker)).unwrap();
    let mut connections: Vec<u64> = sent.iter().map(|request| request.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    let mut renewed = 0;
    for connection in connections {
        let said: Vec<ApiKey> =
            sent.iter().filter(|it| it.connection == connection).map(|it| it.api).collect();
        let begun = |api: &ApiKey| *api == ApiKey::SASL_HANDSHAKE;
        for rest in said.split(begun).skip(1) {
            let wire = || on_the_wire(links);
            // None where the connection ended there: a broker hangs up at a request that comes to it late.
            let next = rest.first();
            assert!(next.is_none_or(|api| *api == ApiKey::SASL_AUTHENTICATE), "{what}: {}", wire());
            let over = rest.iter().skip_while(|api| **api == ApiKey::SASL_AUTHENTICATE);
            let late = over.filter(|api| **api == ApiKey::SASL_AUTHENTICATE).count();
            assert_eq!(late, 0, "{what}: {}", wire());
        }
        renewed += said.iter().filter(|api| begun(api)).count().saturating_sub(1);
    }
    renewed
}

fn everybody_is_let_in(protocol: Protocol) {
    let secured = Secured::start_as(&LOCAL, protocol, 1, &[]).unwrap();
    for mechanism in MECHANISMS {
        for adapter in Adapter::ALL {
            let fetch = (mechanism == "OAUTHBEARER").then(|| tokens(LIMIT * 10).0);
            let properties = secured.logged_in_by(mechanism);
            let what = format!("{} {mechanism}", protocol.name());
            arrives(&what, &secured, adapter, &properties, fetch, Duration::ZERO);
        }
    }
}

#[test]
#[ignore = "needs Java and Maven"]
fn every_mechanism_is_let_in() {
    everybody_is_let_in(Protocol::SaslPlaintext);
}

#[test]
#[ignore = "needs Java and Maven"]
fn every_mechanism_is_let_in_over_tls() {
    everybody_is_let_in(Protocol::SaslSsl);
}

#[test]
#[ignore = "needs Java and Maven"]
fn who_is_not_let_in_is_told_why() {
    let protocol = Protocol::SaslPlaintext;
    let only = [("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512,OAUTHBEARER")];
    let secured = Secured::start_as(&LOCAL, protocol, 1, &only).unwrap();
    let bootstrap = secured.cluster.proxied_bootstrap();
    let as_user = |mechanism, name, password| {
        [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", name),
            ("sasl.password", password),
        ]
    };
    let refused = ["SASL_AUTHENTICATION_FAILED (58)", "sasl.username and sasl.password"];
    says(
        "PLAIN, wrong password",
        &bootstrap,
        &as_user("PLAIN", USER, "wrong-secret"),
        None,
        &refused,
    );
    says("PLAIN, unknown user", &bootstrap, &as_user("PLAIN", "mallory", PASSWORD), None, &refused);
    says(
        "SCRAM, wrong password",
        &bootstrap,
        &as_user("SCRAM-SHA-512", USER, "wrong-secret"),
        None,
        &refused,
    );
    says(
        "SCRAM, unknown user",
        &bootstrap,
        &as_user("SCRAM-SHA-512", "mallory", PASSWORD),
        None,
        &refused,
    );
    let offered = [
        "has not the mechanism that sasl.mechanism names",
        "it has PLAIN, SCRAM-SHA-512, OAUTHBEARER",
    ];
    says(
        "SCRAM-SHA-256 is not offered",
        &bootstrap,
        &as_user("SCRAM-SHA-256", USER, PASSWORD),
        None,
        &offered,
    );
    let bearer = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "OAUTHBEARER")];
    let expired = || Ok(OAuthToken::new(token(USER, Duration::ZERO), LIMIT));
    says(
        "an expired token",
        &bootstrap,
        &bearer,
        Some(Box::new(expired)),
        &["SASL_AUTHENTICATION_FAILED (58)", "token"],
    );
    let garbage = || Ok(OAuthToken::new("garbage", LIMIT));
    says(
        "no token at all",
        &bootstrap,
        &bearer,
        Some(Box::new(garbage)),
        &["SASL_AUTHENTICATION_FAILED (58)", "token"],
    );
    let none = || Err("the token service is away".into());
    let properties = [&bearer[..], &[("socket.connection.setup.timeout.ms", "1000")]].concat();
    says(
        "nobody has a token",
        &bootstrap,
        &properties,
        Some(Box::new(none)),
        &["no token was given in time", "the token service is away"],
    );
    says(
        "no SASL",
        &bootstrap,
        &[],
        None,
        &["is that a listener with TLS or SASL? look at security.protocol"],
    );
    let plain = secured.cluster.bootstrap();
    says(
        "SASL to a plain listener",
        &plain,
        &as_user("PLAIN", USER, PASSWORD),
        None,
        &["the listener has no SASL", "security.protocol"],
    );
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_session_is_renewed_under_load_and_nothing_is_said_between() {
    let lifetime = std::env::var("OTTLA_SESSION_LIFETIME_MS").unwrap_or_else(|_| "8000".into());
    let lifetime = [("connections.max.reauth.ms", &*lifetime)];
    let secured = Secured::start_as(&LOCAL, Protocol::SaslPlaintext, 1, &lifetime).unwrap();
    let cluster = &secured.cluster;
    for (place, mechanism) in MECHANISMS.into_iter().enumerate() {
        let adapter = Adapter::ALL[place % 2];
        let (fetch, fetched) = tokens(watched() * 3);
        let fetch = (mechanism == "OAUTHBEARER").then_some(fetch);
        let what = format!("8 s of {mechanism}");
        let properties = secured.logged_in_by(mechanism);
        cluster.proxy().all().tap();
        arrives(&what, &secured, adapter, &properties, fetch, watched());
        let renewed = renewals(&what, &secured.cluster.proxy().all());
        let least = watched().as_secs() as usize / 9;
        assert!(renewed >= least, "{what}: {renewed} renewals in {:?}", watched());
        if mechanism == "OAUTHBEARER" {
            assert_eq!(fetched.load(Ordering::Relaxed), 1, "one is good for all sessions");
        }
    }
    // A token of 6 s makes sessions of as much, and each needs a newer one.
    let (fetch, fetched) = tokens(Duration::from_secs(6));
    let properties = secured.logged_in_by("OAUTHBEARER");
    let lasts = watched();
    arrives("tokens of 6 s", &secured, Adapter::Tokio, &properties, Some(fetch), lasts);
    let least = watched().as_secs() as u32 / 6;
    assert!(fetched.load(Ordering::Relaxed) >= least, "{fetched:?}");
}
