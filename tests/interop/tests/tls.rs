//! TLS with real brokers: what they take, and what is told where they or the client do not.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;

use ottla_adapter_tests::tls::Authority;
use ottla_client::RecordOutcome;
use ottla_interop::{Adapter, Client, Message, Protocol, Secured, assert_refused, version};

const LIMIT: Duration = Duration::from_secs(30);
const RECORDS: u32 = 2_000;

/// Sends records, and holds what is told against what Kafka's own consumer reads.
fn arrives(what: &str, secured: &Secured, properties: &[(&str, &str)]) {
    let cluster = &secured.cluster;
    let bootstrap = cluster.proxied_bootstrap();
    for adapter in Adapter::ALL {
        let name = format!("{}-{adapter}", what.replace([' ', '.'], "-"));
        cluster.create_topic(&name, 1, 1, &[]).unwrap();
        let properties = [&[("bootstrap.servers", &*bootstrap)], properties].concat();
        let client = Client::new(adapter, &properties).unwrap();
        let topic = client.topic(&name).unwrap();
        let sent: Vec<_> = (0..RECORDS)
            .map(|number| client.send(&topic, &Message::text(&format!("{number}")), None).unwrap())
            .collect();
        for (number, receipt) in sent.iter().enumerate() {
            let outcome = receipt.last(LIMIT);
            let Some(RecordOutcome::Delivered { offset, .. }) = outcome else {
                panic!("{what}, {adapter}: record {number}: {outcome:?}");
            };
            assert_eq!(offset, Some(number as i64));
        }
        assert!(client.close(LIMIT).complete);
        let log = cluster.read(&name).unwrap();
        assert_eq!(log.len(), RECORDS as usize);
        for (number, record) in log.iter().enumerate() {
            assert!(record.has_value(format!("{number}").as_bytes()), "record {number}");
        }
        println!("Kafka {}, {what}, {adapter}: {RECORDS} records at their offsets", version());
    }
}

/// What is told where nothing can be sent.
fn says(what: &str, bootstrap: &str, properties: &[(&str, &str)], words: &[&str]) {
    for adapter in Adapter::ALL {
        let common = [("bootstrap.servers", bootstrap), ("max.block.ms", "3000")];
        let client = Client::new(adapter, &[&common, properties].concat()).unwrap();
        assert_refused(&format!("{what}, {adapter}"), &client, words);
    }
}

#[test]
#[ignore = "needs Java and Maven"]
fn records_arrive_at_a_listener_with_tls() {
    let secured = Secured::start(1, &[]).unwrap();
    let cluster = &secured.cluster;
    arrives("TLS", &secured, &secured.properties());
    let more = |more| [&secured.properties()[..], &[more]].concat();
    arrives("TLS 1.2 alone", &secured, &more(("ssl.enabled.protocols", "TLSv1.2")));
    arrives("one cipher suite", &secured, &more(("ssl.cipher.suites", "TLS_AES_128_GCM_SHA256")));
    let client = secured.authority.sign(&["client"]);
    let shown = [
        &secured.properties()[..],
        &[("ssl.certificate.pem", &*client.certificate), ("ssl.key.pem", &*client.key)],
    ];
    arrives("a certificate that nobody asks for", &secured, &shown.concat());

    let stranger = Authority::new().certificate();
    let wrong = [("security.protocol", "SSL"), ("ssl.ca.pem", &*stranger)];
    let bootstrap = cluster.proxied_bootstrap();
    says(
        "a stranger's certificate",
        &bootstrap,
        &wrong,
        &["nobody who is trusted", "ssl.ca.location"],
    );
    let plain = cluster.bootstrap();
    says(
        "TLS to a plain listener",
        &plain,
        &secured.properties(),
        &["TLS", "security.protocol is SSL"],
    );
    says("plain to TLS", &bootstrap, &[], &["TLS", "look at security.protocol"]);
}

/// A key and a certificate of RSA, as Java's own tool makes them: the store of them, and the certificate as PEM.
fn rsa(dir: &std::path::Path) -> (String, String) {
    let keytool = |arguments: &[&str]| {
        let made = std::process::Command::new("keytool").args(arguments).output().unwrap();
        assert!(made.status.success(), "keytool: {}", String::from_utf8_lossy(&made.stdout));
        String::from_utf8(made.stdout).unwrap()
    };
    let store = dir.join("rsa.p12").display().to_string();
    let common = ["-keystore", &*store, "-storepass", "test-password", "-alias", "broker"];
    let key = ["-genkeypair", "-keyalg", "RSA", "-keysize", "2048", "-storetype", "PKCS12"];
    let names = ["-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1"];
    keytool(&[&key[..], &names, &common].concat());
    let certificate = keytool(&[&["-exportcert", "-rfc"][..], &common].concat());
    (store, certificate)
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_listener_with_an_rsa_key_is_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let (store, certificate) = rsa(dir.path());
    let own = [
        ("ssl.keystore.type", "PKCS12"),
        ("ssl.keystore.location", &*store),
        ("ssl.keystore.password", "test-password"),
    ];
    let secured = Secured::start(1, &own).unwrap();
    arrives("RSA", &secured, &[("security.protocol", "SSL"), ("ssl.ca.pem", &certificate)]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_listener_for_names_alone_is_reached_by_its_name() {
    let only = [("ssl.enabled.protocols", "TLSv1.2"), ("ssl.protocol", "TLSv1.2")];
    let secured = Secured::start_as(&["localhost"], Protocol::Ssl, 1, &only).unwrap();
    let bootstrap = secured.cluster.proxied_bootstrap();
    let words = ["localhost", "127.0.0.1", "ssl.endpoint.identification.algorithm"];
    says("by its address", &bootstrap, &secured.properties(), &words[1..]);
    let unchecked = [("ssl.endpoint.identification.algorithm", "none")];
    arrives("a broker of TLS 1.2", &secured, &[&secured.properties()[..], &unchecked].concat());
}

#[test]
#[ignore = "needs Java and Maven"]
fn clients_show_their_certificate_to_a_listener_that_asks() {
    let secured = Secured::start(1, &[("ssl.client.auth", "required")]).unwrap();
    let bootstrap = secured.cluster.proxied_bootstrap();
    let as_client = |client: &ottla_adapter_tests::tls::Identity| {
        [("ssl.certificate.pem", client.certificate.clone()), ("ssl.key.pem", client.key.clone())]
    };
    let own = as_client(&secured.authority.sign(&["client"]));
    let own = own.each_ref().map(|(name, value)| (*name, &**value));
    arrives("mTLS", &secured, &[&secured.properties()[..], &own].concat());
    let words =
        ["the broker refuses this client's certificate, or wants one", "ssl.certificate.location"];
    says("no certificate", &bootstrap, &secured.properties(), &words);
    let stranger = as_client(&Authority::new().sign(&["client"]));
    let stranger = stranger.each_ref().map(|(name, value)| (*name, &**value));
    let shown = [&secured.properties()[..], &stranger].concat();
    says(
        "a stranger's certificate",
        &bootstrap,
        &shown,
        &["the broker refuses this client's certificate"],
    );
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_certificate_for_other_names_is_refused() {
    let only = [("ssl.enabled.protocols", "TLSv1.2"), ("ssl.protocol", "TLSv1.2")];
    let secured = Secured::start_as(&["elsewhere"], Protocol::Ssl, 1, &only).unwrap();
    let bootstrap = secured.cluster.proxied_bootstrap();
    let words = ["elsewhere", "ssl.endpoint.identification.algorithm"];
    says("another name", &bootstrap, &secured.properties(), &words);
    let anyone = ("ssl.endpoint.identification.algorithm", "none");
    arrives("another name unchecked", &secured, &[&secured.properties()[..], &[anyone]].concat());
    let newer = ("ssl.enabled.protocols", "TLSv1.3");
    let words = ["no version or cipher suite in common", "ssl.enabled.protocols"];
    says(
        "a broker of TLS 1.2",
        &bootstrap,
        &[&secured.properties()[..], &[newer]].concat(),
        &words,
    );
}
