//! What is told of trouble that operators know, in the words of both adapters, and by the command.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_client::RecordOutcome;
use ottla_interop::{Adapter, Client, Message, oldest_timestamp, version};
use ottla_kafka::{Cluster, Config};

const LIMIT: Duration = Duration::from_secs(30);

/// What becomes of a message, in the words of its outcome or of the refusal to take it.
fn told(
    what: &str,
    bootstrap: &str,
    adapter: Adapter,
    topic: &str,
    message: &Message,
    properties: &[(&str, &str)],
) -> String {
    let properties = [&[("bootstrap.servers", bootstrap)], properties].concat();
    let client = Client::new(adapter, &properties).unwrap();
    let topic = client.topic(topic).unwrap();
    let said = match client.send(&topic, message, None) {
        Ok(receipt) => match receipt.last(LIMIT) {
            Some(outcome @ RecordOutcome::NotDelivered(_)) => outcome.to_string(),
            other => panic!("{what}, {adapter}: {other:?}"),
        },
        Err(error) => error.to_string(),
    };
    println!("Kafka {}, {what}, {adapter}: {said}", version());
    drop(client.close(Duration::ZERO));
    said
}

/// Says all of that to both adapters.
fn says(
    what: &str,
    bootstrap: &str,
    topic: &str,
    message: &Message,
    properties: &[(&str, &str)],
    words: &[&str],
) {
    for adapter in Adapter::ALL {
        let said = told(what, bootstrap, adapter, topic, message, properties);
        for word in words {
            assert!(said.contains(word), "{what}, {adapter}: {said:?} does not say {word:?}");
        }
    }
}

/// A keystore of Java's, made by its own tool.
fn keystore(dir: &std::path::Path) -> String {
    let path = dir.join("keystore.p12").display().to_string();
    let made = std::process::Command::new("keytool")
        .args(["-genkeypair", "-alias", "broker", "-keyalg", "RSA", "-validity", "2"])
        .args(["-dname", "CN=localhost", "-storetype", "PKCS12", "-storepass", "secret"])
        .args(["-keystore", &path])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    path
}

const PROTOCOLS: &str = "listener.security.protocol.map";
const JAAS: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                    username=\"u\" password=\"p\" user_u=\"p\";";

#[test]
#[ignore = "needs Java and Maven"]
fn a_listener_with_tls_or_sasl_is_asked_about() {
    let files = tempfile::TempDir::new().unwrap();
    let keystore = keystore(files.path());
    let tls = Config::new(&version(), 1)
        .unwrap()
        .with(PROTOCOLS, "PLAINTEXT:PLAINTEXT,PROXIED:SSL,CONTROLLER:PLAINTEXT")
        .with("ssl.keystore.location", &keystore)
        .with("ssl.keystore.type", "PKCS12")
        .with("ssl.keystore.password", "secret")
        .with("ssl.key.password", "secret");
    let sasl = Config::new(&version(), 1)
        .unwrap()
        .with(PROTOCOLS, "PLAINTEXT:PLAINTEXT,PROXIED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT")
        .with("listener.name.proxied.sasl.enabled.mechanisms", "PLAIN")
        .with("listener.name.proxied.plain.sasl.jaas.config", JAAS);
    for (what, config) in [("a listener with TLS", tls), ("a listener with SASL_PLAINTEXT", sasl)] {
        let cluster = Cluster::start(&config).unwrap();
        cluster.create_topic("t", 1, 1, &[]).unwrap();
        let block = [("max.block.ms", "3000")];
        let words = ["TLS", "SASL", "security.protocol"];
        says(what, &cluster.proxied_bootstrap(), "t", &Message::text("x"), &block, &words);
    }
}

#[test]
#[ignore = "needs Java and Maven"]
fn what_a_broker_refuses_is_told_with_its_reason() {
    let cluster = Cluster::start(&Config::new(&version(), 3).unwrap()).unwrap();
    let bootstrap = cluster.bootstrap();

    cluster.create_topic("compacted", 1, 1, &[("cleanup.policy", "compact")]).unwrap();
    let words = ["INVALID_RECORD"];
    let no_key = Message::text("no key");
    says("a compacted topic, without a key", &bootstrap, "compacted", &no_key, &[], &words);

    let before = oldest_timestamp();
    cluster.create_topic("recent", 1, 1, &[(before, "3600000")]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let old = i64::try_from(now).unwrap() - 2 * 3_600_000;
    let old = Message { timestamp: Some(old), ..Message::text("two hours old") };
    says(before, &bootstrap, "recent", &old, &[], &["INVALID_TIMESTAMP"]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn replicas_that_are_missing_are_told_beside_the_timeout() {
    let cluster = Cluster::start(&Config::new(&version(), 3).unwrap()).unwrap();
    let bootstrap = cluster.bootstrap();
    let property = [("min.insync.replicas", "3")];
    cluster.create_topic("replicated", 1, 3, &property).unwrap();
    let leader = cluster.leader("replicated", 0).unwrap();
    let node = cluster.node_ids().into_iter().find(|node| *node != leader).unwrap();
    cluster.kill(node).unwrap();
    // The producer is to meet a broker that knows already.
    let begin = std::time::Instant::now();
    while cluster.partitions("replicated").unwrap()[0].isr.len() > 2 {
        assert!(begin.elapsed() < LIMIT, "the dead replica stays in sync");
        std::thread::sleep(Duration::from_millis(100));
    }
    let times =
        [("delivery.timeout.ms", "4000"), ("request.timeout.ms", "2000"), ("linger.ms", "0")];
    let words = ["delivery timeout", "NOT_ENOUGH_REPLICAS"];
    let text = Message::text("x");
    says("min.insync.replicas not met", &bootstrap, "replicated", &text, &times, &words);
}
