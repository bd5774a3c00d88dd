//! SASL: what is said of a conversation, step by step, until the connection ends.

mod scripts;
mod talk;

use core::time::Duration;
use std::{
    net::TcpStream,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ottla_kafka::{Cluster, Config, NEWEST};
use ottla_model::{
    ClusterConfig, Connection,
    sasl::{Mechanism, SaslConfig, Token, User},
};

use scripts::{again, between, script, strangers};
use talk::{Line, Talk};

const TOPIC: &str = "t";
/// So long a session lasts.
const SESSION_MS: u64 = 4_000;
const PLAIN: &[u8] = b"\0alice\0alice-secret";

/// A token that nobody has signed: of a user, until so many seconds after 1970.
fn token(user: &str, until: u64) -> String {
    let claims = format!(r#"{{"sub":"{user}","iat":{},"exp":{until}}}"#, until - 100_000);
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims))
}

fn bearer(token: &str) -> Vec<u8> {
    format!("n,,\x01auth=Bearer {token}\x01\x01").into_bytes()
}

#[test]
#[ignore = "needs Java and Maven"]
fn the_model_asks_who_it_is_as_kafka_does() {
    let version = std::env::var("OTTLA_KAFKA_VERSION").unwrap_or_else(|_| NEWEST.to_owned());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let tokens = [("alice", now + 3_600), ("bob", now + 3_600), ("alice", now - 1_000)];
    let tokens = tokens.map(|(user, until)| token(user, until));
    let cluster = kafka(&version);
    let sasl = model(&tokens);
    let with_sasl = [strangers(&tokens), between(), again()].into_iter().flatten();
    let scripts = with_sasl.map(|script| (script, Some(sasl.clone())));
    let plaintext = script("no SASL", |t| {
        t.versions(4);
        t.plain();
        t.metadata(9);
    });
    let (mut steps, mut differences) = (0, Vec::new());
    for ((name, script), sasl) in scripts.chain([(plaintext, None)]) {
        let address = match sasl {
            Some(_) => cluster.proxied_bootstrap(),
            None => cluster.bootstrap(),
        };
        let talk = |line| {
            let mut talk = Talk { line, said: Vec::new(), last: Vec::new() };
            script(&mut talk);
            talk.said
        };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let by_kafka = talk(Line::Kafka(stream));
        let mut model = ottla_model::Cluster::new(ClusterConfig { sasl, ..Default::default() });
        model.create_topic(TOPIC, 2).unwrap();
        let connection = Box::new(Connection::new(&model, 1));
        let by_model = talk(Line::Model(Box::new(model), connection, Instant::now()));
        steps += by_kafka.len();
        assert_eq!(by_kafka.len(), by_model.len(), "{name}");
        // From where they part, the rest tells nothing.
        let mut both = by_kafka.iter().zip(&by_model);
        if let Some((kafka, model)) = both.find(|(kafka, model)| kafka != model) {
            differences.push(format!("{name}\n  Kafka {kafka}\n  model {model}"));
        }
    }
    println!("Kafka {version}: {steps} steps");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

fn kafka(version: &str) -> Cluster {
    let mut config = Config::new(version, 1).unwrap();
    let map = "PLAINTEXT:PLAINTEXT,PROXIED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT";
    let users = r#"user_alice="alice-secret" user_bob="bob-secret""#;
    let modules = [
        ("plain", "plain.PlainLoginModule", users),
        ("scram-sha-256", "scram.ScramLoginModule", ""),
        ("scram-sha-512", "scram.ScramLoginModule", ""),
        (
            "oauthbearer",
            "oauthbearer.OAuthBearerLoginModule",
            r#"unsecuredLoginStringClaim_sub="broker""#,
        ),
    ];
    let of_all = [
        ("listener.security.protocol.map", map.to_owned()),
        ("connection.failed.authentication.delay.ms", "0".to_owned()),
    ];
    let mechanisms = Mechanism::ALL.map(Mechanism::name).join(",");
    let own = [
        ("sasl.enabled.mechanisms".to_owned(), mechanisms),
        ("connections.max.reauth.ms".to_owned(), SESSION_MS.to_string()),
    ];
    let own = own.into_iter().chain(modules.map(|(mechanism, module, options)| {
        let module = format!("org.apache.kafka.common.security.{module} required {options};");
        (format!("{mechanism}.sasl.jaas.config"), module)
    }));
    for (name, value) in &of_all {
        config = config.with(name, value);
    }
    for (name, value) in own {
        config = config.with(&format!("listener.name.proxied.{name}"), &value);
    }
    let cluster = Cluster::start(&config).unwrap();
    cluster.set_scram_password("alice", "alice-secret", 4_096).unwrap();
    cluster.create_topic(TOPIC, 2, 1, &[]).unwrap();
    cluster
}

fn model(tokens: &[String; 3]) -> SaslConfig {
    let hour = Duration::from_secs(3_600);
    let token = |text: &str, principal: &str, until| Token {
        text: text.to_owned(),
        principal: principal.to_owned(),
        until,
    };
    let [alices, bobs, over] = tokens;
    let mut config = SaslConfig::with(&Mechanism::ALL)
        .token(token(alices, "alice", hour))
        .token(token(bobs, "bob", hour))
        .token(token(over, "alice", Duration::ZERO))
        .max_reauth(Duration::from_millis(SESSION_MS));
    config.users = vec![User::new("alice", "alice-secret"), User::new("bob", "bob-secret")];
    config
}
