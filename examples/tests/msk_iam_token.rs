//! Tokens for MSK: the signature against another implementation's, and a producer that uses one.
#![allow(dead_code, reason = "the example is a program of its own")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ottla_blocking::Record;
use ottla_model::{
    ClusterConfig,
    sasl::{Mechanism, SaslConfig, Token},
    serve::Server,
};

#[path = "../msk_iam_token.rs"]
mod example;

use example::{Credentials, producer};

/// 2026-02-03T04:05:06Z.
const NOW: Duration = Duration::from_secs(1_770_091_506);
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What botocore 1.43.11 makes of the same, as AWS's own signer for MSK calls it:
/// `SigV4QueryAuth(Credentials("AKIDEXAMPLE", SECRET, token), "kafka-cluster", region, expires=900)` for
/// `GET https://kafka.REGION.amazonaws.com/?Action=kafka-cluster:Connect` at that time.
const WITHOUT_SESSION: &str = "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect\
    &X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIDEXAMPLE%2F20260203%2Feu-central-1%2Fkafka-cluster%2Faws4_request\
    &X-Amz-Date=20260203T040506Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
    &X-Amz-Signature=59980508d2ea3b4cbf47e4ddc9fd113250daeffc698d9cb76d9509f0b694353c";
const WITH_SESSION: &str = "https://kafka.us-east-1.amazonaws.com/?Action=kafka-cluster%3AConnect\
    &X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIDEXAMPLE%2F20260203%2Fus-east-1%2Fkafka-cluster%2Faws4_request\
    &X-Amz-Date=20260203T040506Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
    &X-Amz-Security-Token=FwoG%2Fsession%2Btoken%3D%3D\
    &X-Amz-Signature=8ef505717f7b64df224223ade5f63359f3a7f2759be32d036cd3de773238d570";

fn credentials(session_token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: session_token.map(str::to_owned),
    }
}

/// A URL's host and query, in whatever order.
fn parts(url: &str) -> (&str, BTreeMap<&str, &str>) {
    let (host, query) = url.split_once('?').unwrap();
    (host, query.split('&').map(|part| part.split_once('=').unwrap()).collect())
}

#[test]
fn the_signature_is_that_of_another_implementation() {
    for (region, session, expected) in [
        ("eu-central-1", None, WITHOUT_SESSION),
        ("us-east-1", Some("FwoG/session+token=="), WITH_SESSION),
    ] {
        let signed = credentials(session).presigned(region, SystemTime::UNIX_EPOCH + NOW).unwrap();
        assert_eq!(parts(&signed), parts(expected));
    }
}

#[test]
fn a_token_is_the_signed_url_and_who_asks() {
    let now = SystemTime::UNIX_EPOCH + NOW;
    let token = credentials(None).token("eu-central-1", now).unwrap();
    assert_eq!(token.lifetime, Duration::from_secs(900));
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(&token.text).unwrap()).unwrap();
    let (signed, agent) = url.split_once("&User-Agent=").unwrap();
    assert_eq!(signed, credentials(None).presigned("eu-central-1", now).unwrap());
    assert!(agent.starts_with("ottla-example%2F"), "{agent}");
    let shown = format!("{:?} {token:?}", credentials(Some(SECRET)));
    assert!(!shown.contains(SECRET) && !shown.contains(&token.text), "{shown}");
}

#[test]
fn a_producer_is_let_in_with_it() {
    let session = "s".repeat(1_000);
    let fetch =
        move || credentials(Some(&session)).token("eu-central-1", SystemTime::UNIX_EPOCH + NOW);
    let text = fetch().unwrap().text.clone();
    assert!(text.len() > 1_500, "as long as real ones");
    let until = Duration::from_secs(900);
    let token = Token { text, principal: "an-iam-role".to_owned(), until };
    let sasl = Some(SaslConfig::with(&[Mechanism::OAuthBearer]).token(token));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any], ClusterConfig { sasl, ..ClusterConfig::default() }).unwrap();
    let brokers = server.bootstrap_servers();
    let properties = [("bootstrap.servers", &*brokers), ("security.protocol", "SASL_PLAINTEXT")];
    let producer = producer(&properties, fetch).unwrap();
    let topic = producer.topic("readings").unwrap();
    let record = Record { value: Some(b"21.5"), ..Record::default() };
    let outcome = producer.send(&topic, &record).unwrap().wait();
    assert!(outcome.is_delivered(), "{outcome}");
    assert!(producer.close(Duration::from_secs(5)).complete);
}
