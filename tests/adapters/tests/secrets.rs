//! No secret is shown: not by what is made of one, not by a refusal, and not by an event, however much of them is
//! listened to.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Write},
    panic::catch_unwind,
    sync::{Arc, Mutex},
};

use ottla_adapter_tests::{BuildError, OAuthToken, Record, SendError, TokenError};
use ottla_client::{Builder, Place};
use ottla_model::{
    ClusterConfig,
    sasl::{Mechanism, SaslConfig},
    serve::Server,
};
use tracing_subscriber::filter::LevelFilter;

/// All passwords, keys and tokens here have it in them.
const SECRET: &str = "hunter2-secret";
/// The same in base64, wherever in the text it begins: what is the same whatever stands around it.
const IN_BASE64: [&str; 3] = ["aHVudGVyMi1zZWNy", "h1bnRlcjItc2VjcmV0", "odW50ZXIyLXNlY3Jl"];

/// # Panics
///
/// Where the text has the secret, be it as bytes or in base64.
#[track_caller]
fn holds_none(text: &str) {
    let bytes = format!("{:?}", SECRET.as_bytes());
    let all = IN_BASE64.into_iter().chain([SECRET, bytes.trim_matches(['[', ']'])]);
    for secret in all {
        // With what is around it, or there is no finding it.
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let shown = [
        format!("{:?}", format!("a\0{SECRET}\0")),
        format!("{:?}", [b"a\0", SECRET.as_bytes()].concat()),
        "eA==aHVudGVyMi1zZWNyZXQ=".to_owned(),
        "AGFsaWNlAGh1bnRlcjItc2VjcmV0".to_owned(),
        "eHhodW50ZXIyLXNlY3JldA==".to_owned(),
    ];
    for text in shown {
        let found = catch_unwind(|| holds_none(&text));
        assert!(found.is_err(), "{text}");
    }
}

/// All properties that may have a secret for their value, and some that nobody knows.
const SECRETS: [&str; 20] = [
    "enable.sasl.oauthbearer.unsecure.jwt",
    "sasl.client.secret",
    "sasl.jaas.config",
    "sasl.kerberos.keytab",
    "sasl.login.callback.handler.class",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.passwd",
    "sasl.password",
    "sasl.pasword",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.key.pen",
    "ssl.keystore.key",
    "ssl.keystore.password",
    "ssl.truststore.password",
    "ssl.keypassword",
];

/// The secret as different properties may have it.
fn values() -> Vec<String> {
    let module = "org.apache.kafka.common.security";
    vec![
        SECRET.to_owned(),
        format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"),
        format!(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n{SECRET}\n-----END ENCRYPTED PRIVATE KEY-----"
        ),
        format!(
            "{module}.plain.PlainLoginModule required username=\"alice\" password=\"{SECRET}\";"
        ),
        format!(
            "{module}.plain.PlainLoginModule required username=\"alice\" password=\"{SECRET}\""
        ),
        format!("{module}.scram.ScramLoginModule required username=\"é\" password=\"{SECRET}é\";"),
        format!("{SECRET}\0"),
        format!("{SECRET}é"),
        SECRET.repeat(6_000),
    ]
}

/// What a builder with these properties shows, and its refusal.
fn shown<P: Place>(
    builder: Builder<P>,
    properties: &[(&str, &str)],
) -> (String, Option<BuildError>) {
    let builder = builder.property("bootstrap.servers", "127.0.0.1:1");
    let builder = builder.properties(properties.iter().copied());
    (format!("{builder:?} {builder:#?}"), builder.build().err())
}

#[test]
fn builders_and_refusals_show_none() {
    let mut refusals = 0;
    for name in SECRETS {
        for value in values() {
            // A path is none.
            let is_path = name.ends_with(".location") && !value.contains("-----");
            if is_path {
                continue;
            }
            for protocol in ["PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL"] {
                for mechanism in
                    ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"]
                {
                    let mut properties = vec![("security.protocol", protocol), (name, &*value)];
                    if protocol.starts_with("SASL") {
                        properties.push(("sasl.mechanism", mechanism));
                        if name == "sasl.password" {
                            properties.push(("sasl.username", "alice"));
                        }
                    }
                    let (builder, error) = shown(ottla_blocking::Producer::builder(), &properties);
                    assert!(builder.contains("[hidden]"), "{name}: {builder}");
                    holds_none(&builder);
                    let Some(error) = error else { continue };
                    refusals += 1;
                    holds_none(&format!("{error} {error:?} {error:#?}"));
                }
            }
        }
    }
    assert!(refusals > 1_000, "{refusals}");
}

/// What is told to `tracing`.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Fetch = fn() -> Result<OAuthToken, TokenError>;

/// Where tokens come from that are refused by the broker, or by the client already.
const TOKENS: [Fetch; 4] = [
    || Ok(OAuthToken::new(SECRET, Duration::from_secs(60))),
    || Ok(OAuthToken::new(format!("{SECRET}é"), Duration::from_secs(60))),
    || Ok(OAuthToken::new(SECRET.repeat(6_000), Duration::from_secs(60))),
    || Ok(OAuthToken::new("a.b", Duration::from_secs(60)).extension("1", SECRET)),
];

fn equip<P: Place>(
    builder: Builder<P>,
    server: &Server,
    mechanism: &str,
    token: Option<Fetch>,
) -> Builder<P> {
    let builder = builder
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("security.protocol", "SASL_PLAINTEXT")
        .property("max.block.ms", "300")
        .property("socket.connection.setup.timeout.ms", "2000")
        .property("sasl.mechanism", mechanism);
    match token {
        Some(token) => builder.token(token),
        None => builder.property("sasl.username", "alice").property("sasl.password", SECRET),
    }
}

/// So often a record is sent for 300 ms, until the broker has answered.
const TRIES: u32 = 100;

/// The error, if it is that the broker lets nobody in.
fn refusal<T: core::fmt::Debug>(sent: Result<T, SendError>) -> Option<SendError> {
    let error = sent.unwrap_err();
    format!("{error:?}").contains("Authentication(").then_some(error)
}

/// All that a producer of threads shows that is not let in.
fn refused_on_threads(server: &Server, mechanism: &str, token: Option<Fetch>) -> String {
    let builder = equip(ottla_blocking::Producer::builder(), server, mechanism, token);
    let producer = builder.build().unwrap();
    let topic = producer.topic("t").unwrap();
    let record = Record { value: Some(b"v"), ..Record::default() };
    let error = (0..TRIES).find_map(|_| refusal(producer.send(&topic, &record)));
    let error = error.expect("it is told why");
    let shown = format!("{producer:?} {topic:?} {error} {error:?} {:?}", producer.stats());
    format!("{shown} {:?}", producer.close(Duration::from_millis(100)))
}

/// As [`refused_on_threads`], on tokio.
async fn refused_on_tokio(server: &Server, mechanism: &str, token: Option<Fetch>) -> String {
    let builder = equip(ottla_tokio::Producer::builder(), server, mechanism, token);
    let producer = builder.build().unwrap();
    let topic = producer.topic("t").unwrap();
    let record = Record { value: Some(b"v"), ..Record::default() };
    let mut error = None;
    for _ in 0..TRIES {
        error = refusal(producer.send(&topic, &record).await);
        if error.is_some() {
            break;
        }
    }
    let error = error.expect("it is told why");
    let shown = format!("{producer:?} {topic:?} {error} {error:?} {:?}", producer.stats());
    format!("{shown} {:?}", producer.close(Duration::from_millis(100)).await)
}

#[test]
fn a_producer_that_is_not_let_in_shows_none_and_neither_do_its_events() {
    let heard = Heard::default();
    let writer = heard.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let sasl = Some(SaslConfig::with(&Mechanism::ALL).user("alice", "another"));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any], ClusterConfig { sasl, ..ClusterConfig::default() }).unwrap();
    let passwords = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| (mechanism, None));
    let tokens = TOKENS.map(|token| ("OAUTHBEARER", Some(token)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (mechanism, token) in passwords.into_iter().chain(tokens) {
        let on_tokio = runtime.block_on(refused_on_tokio(&server, mechanism, token));
        holds_none(&refused_on_threads(&server, mechanism, token));
        holds_none(&on_tokio);
    }
    for token in TOKENS {
        holds_none(&format!("{:?} {:#?}", token(), token()));
    }
    let heard = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    for told in ["connection lost", "not authenticated", "no token", "SASL_PLAINTEXT", "DEBUG"] {
        assert!(heard.contains(told), "{told}: {heard}");
    }
    holds_none(&heard);
}
