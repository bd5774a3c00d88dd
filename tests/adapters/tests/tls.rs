//! Connections with TLS: records arrive through it, and what is wrong with it is told with what was expected, what
//! came, and which property to look at.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::{fs, path::PathBuf};

use ottla_adapter_tests::{
    Adapter, BuildError, Builder, Producer, Record, RecordOutcome, SendError, on_each, serve,
    tls::{Authority, Demands, Identity, front},
};
use rustls::version::{TLS12, TLS13};

on_each!([Tokio, TokioAlone, Threads]: records_arrive_through_tls);
on_each!(
    records_arrive_through_tls_by_pem_files,
    clients_show_their_certificate_where_one_is_asked_for,
    each_version_is_spoken,
    what_is_wrong_with_a_certificate_is_told,
    a_listener_without_tls_is_told,
    a_plain_client_of_a_listener_with_tls_is_told,
    who_hangs_up_after_the_handshake_is_asked_what_it_speaks,
    properties_that_are_of_no_use_are_refused,
    what_is_wrong_with_a_pem_is_told_by_the_name_that_was_given,
    stores_of_java_and_of_windows_are_told_with_what_makes_pem_of_them,
);

const TEST: Duration = Duration::from_secs(60);

fn value(number: u32) -> Vec<u8> {
    // Of all sizes up to more than a record of TLS, and than a batch.
    vec![number as u8; (number as usize * 997) % 70_000]
}

fn secured(on: Adapter, bootstrap: &str, trusted: &Authority) -> Builder {
    Producer::builder(on)
        .property("bootstrap.servers", bootstrap)
        .property("security.protocol", "SSL")
        .property("ssl.ca.pem", &trusted.certificate())
        .property("max.request.size", "200000")
}

/// Sends records and holds what is told against the model's log.
async fn arrive(on: Adapter, server: &ottla_model::serve::Server, builder: Builder) {
    let producer = builder.build().unwrap();
    let topic = producer.topic("t").unwrap();
    let mut sent = Vec::new();
    for number in 0..200 {
        let value = value(number);
        let record = Record { value: Some(&value), partition: Some(0), ..Record::default() };
        sent.push(producer.send(&topic, &record).await.unwrap());
    }
    for (number, delivery) in sent.into_iter().enumerate() {
        let RecordOutcome::Delivered { offset, .. } = delivery.outcome().await else {
            panic!("{:?}: record {number} is not delivered", on);
        };
        assert_eq!(offset, Some(number as i64));
    }
    assert!(producer.close(TEST).await.complete);
    server.with_cluster(|cluster| {
        let log: Vec<_> = cluster.log("t", 0).map(|it| it.value.unwrap().to_vec()).collect();
        assert_eq!(log.len(), 200);
        for (number, found) in (0..).zip(&log) {
            assert!(*found == value(number), "record {number}");
        }
    });
}

async fn records_arrive_through_tls(on: Adapter) {
    let (server, authority) = (serve(2, &[("t", 1)]), Authority::new());
    let bootstrap =
        front(&server, "localhost", &authority.sign(&["localhost"]), &Demands::default());
    arrive(on, &server, secured(on, &bootstrap, &authority)).await;
}

struct Files {
    _dir: tempfile::TempDir,
    trusted: PathBuf,
    both: PathBuf,
}

fn files(authority: &Authority, identity: &Identity) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let (trusted, both) = (dir.path().join("ca.pem"), dir.path().join("client.pem"));
    fs::write(&trusted, authority.certificate()).unwrap();
    fs::write(&both, format!("{}{}", identity.key, identity.certificate)).unwrap();
    Files { _dir: dir, trusted, both }
}

/// By address, too, which the certificate names.
async fn records_arrive_through_tls_by_pem_files(on: Adapter) {
    let (server, authority) = (serve(1, &[("t", 1)]), Authority::new());
    let identity = authority.sign(&["127.0.0.1"]);
    let bootstrap = front(&server, "127.0.0.1", &identity, &Demands::default());
    let files = files(&authority, &identity);
    let builder = Producer::builder(on)
        .property("bootstrap.servers", &bootstrap)
        .property("security.protocol", "ssl")
        .property("ssl.truststore.type", "PEM")
        .property("ssl.truststore.location", files.trusted.to_str().unwrap())
        .property("max.request.size", "200000");
    arrive(on, &server, builder).await;
}

async fn clients_show_their_certificate_where_one_is_asked_for(on: Adapter) {
    let (server, authority) = (serve(1, &[("t", 1)]), Authority::new());
    let clients = Authority::new();
    let demands = Demands { clients_of: Some(&clients), ..Demands::default() };
    let bootstrap = front(&server, "localhost", &authority.sign(&["localhost"]), &demands);
    // Without one, and with one of somebody else's: TLS 1.3 tells of it with what is read first.
    let words = refusal(on, secured(on, &bootstrap, &authority)).await;
    assert!(words.contains("wants one (CertificateRequired): ssl.certificate.location"), "{words}");
    let stranger = Authority::new().sign(&["client"]);
    let builder = secured(on, &bootstrap, &authority)
        .property("ssl.certificate.pem", &stranger.certificate)
        .property("ssl.key.pem", &stranger.key);
    let words = refusal(on, builder).await;
    assert!(words.contains("the broker refuses this client's certificate"), "{words}");
    let files = files(&clients, &clients.sign(&["client"]));
    let builder = secured(on, &bootstrap, &authority)
        .property("ssl.keystore.type", "PEM")
        .property("ssl.keystore.location", files.both.to_str().unwrap());
    arrive(on, &server, builder).await;
}

async fn each_version_is_spoken(on: Adapter) {
    for (version, name, other) in [(&TLS12, "TLSv1.2", "TLSv1.3"), (&TLS13, "TLSv1.3", "TLSv1.2")] {
        let (server, authority) = (serve(1, &[("t", 1)]), Authority::new());
        let versions = [version];
        let demands = Demands { versions: &versions, ..Demands::default() };
        let bootstrap = front(&server, "localhost", &authority.sign(&["localhost"]), &demands);
        let builder = secured(on, &bootstrap, &authority);
        let words = refusal(on, builder.property("ssl.enabled.protocols", other)).await;
        assert!(words.contains("ssl.enabled.protocols"), "{words}");
        let builder = secured(on, &bootstrap, &authority);
        arrive(on, &server, builder.property("ssl.enabled.protocols", name)).await;
    }
}

/// What is told of why nothing can be sent.
async fn refusal(on: Adapter, builder: Builder) -> String {
    let builder = builder.property("max.block.ms", "1500").property("delivery.timeout.ms", "3000");
    let producer =
        builder.property("request.timeout.ms", "1000").property("linger.ms", "0").build().unwrap();
    let topic = producer.topic("t").unwrap();
    let record = Record { value: Some(b"v"), partition: Some(0), ..Record::default() };
    let error = match producer.send(&topic, &record).await {
        Err(error) => error,
        Ok(delivery) => panic!("{on:?}: {:?}", delivery.outcome().await),
    };
    drop(producer.close(Duration::from_millis(100)).await);
    let SendError::MetadataPending { .. } = &error else { panic!("{error:?}") };
    error.to_string()
}

async fn what_is_wrong_with_a_certificate_is_told(on: Adapter) {
    let (server, authority) = (serve(1, &[("t", 1)]), Authority::new());
    let bootstrap =
        front(&server, "localhost", &authority.sign(&["localhost"]), &Demands::default());
    let words = refusal(on, secured(on, &bootstrap, &Authority::new())).await;
    let stranger = "the certificate of \"localhost\" is refused: nobody who is trusted has signed it: ssl.ca.location";
    assert!(words.contains(stranger), "{words}");

    let server = serve(1, &[("t", 1)]);
    let other = front(&server, "localhost", &authority.sign(&["elsewhere"]), &Demands::default());
    let words = refusal(on, secured(on, &other, &authority)).await;
    assert!(words.contains("elsewhere"), "it says for whom it is: {words}");
    assert!(words.contains("ssl.endpoint.identification.algorithm"), "{words}");
    // Which can be left out, and nothing else with it.
    let anyone = |trusted| {
        secured(on, &other, trusted).property("ssl.endpoint.identification.algorithm", "none")
    };
    arrive(on, &server, anyone(&authority)).await;
    let words = refusal(on, anyone(&Authority::new())).await;
    assert!(words.contains("nobody who is trusted has signed it"), "{words}");

    let server = serve(1, &[("t", 1)]);
    let expired = authority.sign_expired(&["localhost"]);
    let bootstrap = front(&server, "localhost", &expired, &Demands::default());
    let words = refusal(on, secured(on, &bootstrap, &authority)).await;
    assert!(words.contains("expired"), "{words}");
    assert!(words.contains("renew it, or set this machine's clock"), "{words}");
}

async fn a_listener_without_tls_is_told(on: Adapter) {
    let (server, authority) = (serve(1, &[("t", 1)]), Authority::new());
    let words = refusal(on, secured(on, &server.bootstrap_servers(), &authority)).await;
    assert!(words.contains("TLS"), "{words}");
    assert!(words.contains("security.protocol is SSL"), "{words}");
}

async fn a_plain_client_of_a_listener_with_tls_is_told(on: Adapter) {
    let (server, authority) = (serve(1, &[("t", 1)]), Authority::new());
    let bootstrap =
        front(&server, "localhost", &authority.sign(&["localhost"]), &Demands::default());
    let builder = Producer::builder(on).property("bootstrap.servers", &bootstrap);
    let words = refusal(on, builder).await;
    assert!(words.contains("look at security.protocol"), "{words}");
}

/// As a listener with SASL does.
async fn who_hangs_up_after_the_handshake_is_asked_what_it_speaks(on: Adapter) {
    let (server, authority) = (serve(1, &[("t", 1)]), Authority::new());
    let bootstrap =
        front(&server, "localhost", &authority.sign(&["localhost"]), &Demands::default());
    server.with_cluster(|cluster| cluster.stop(1)).unwrap();
    let words = refusal(on, secured(on, &bootstrap, &authority)).await;
    assert!(words.contains("the peer closed the connection rather than answer"), "{words}");
    assert!(words.contains("SASL? look at security.protocol"), "{words}");
}

/// How the adapter's own builder is shown.
fn own_debug(on: Adapter, properties: &[(&str, &str)]) -> String {
    match on {
        Adapter::Tokio | Adapter::TokioAlone => {
            format!("{:?}", ottla_tokio::Producer::builder().properties(properties.iter().copied()))
        }
        Adapter::Threads => {
            format!(
                "{:?}",
                ottla_blocking::Producer::builder().properties(properties.iter().copied())
            )
        }
    }
}

async fn properties_that_are_of_no_use_are_refused(on: Adapter) {
    let authority = Authority::new();
    let identity = authority.sign(&["client"]);
    let build = |more: &[(&str, &str)]| -> String {
        let builder = Producer::builder(on)
            .property("bootstrap.servers", "localhost:1")
            .properties(more.iter().copied());
        for debug in [format!("{builder:?}"), own_debug(on, more)] {
            assert!(!debug.contains("PRIVATE KEY-----") && !debug.contains("swordfish"), "{debug}");
        }
        let error: BuildError = builder.build().expect_err("it is refused");
        let words = error.to_string();
        assert!(!words.contains("PRIVATE KEY-----"), "no key is told: {words}");
        assert!(!words.contains("swordfish"), "no password is told: {words}");
        assert!(!format!("{error:?}").contains("PRIVATE KEY-----"));
        words
    };
    let (ssl, ca) = (("security.protocol", "SSL"), authority.certificate());
    for (properties, words) in [
        (vec![("ssl.ca.location", "ca.pem")], "without security.protocol=SSL"),
        (vec![("security.protocol", "SASL_SSL")], "sasl.mechanism: expected PLAIN"),
        (vec![("security.protocol", "TLS")], "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        (vec![ssl, ("ssl.ca.location", "/nowhere/ca.pem")], "/nowhere/ca.pem: No such file"),
        (vec![ssl, ("ssl.ca.pem", &*identity.key)], "expected a PEM CERTIFICATE, found none"),
        (
            vec![ssl, ("ssl.certificate.pem", &*identity.certificate)],
            "expected ssl.key.pem as well",
        ),
        (vec![ssl, ("ssl.key.pem", &*identity.key)], "expected ssl.certificate.pem as well"),
        (
            vec![ssl, ("ssl.keystore.key", &*identity.key)],
            "ssl.keystore.key: a key without its certificate: expected ssl.keystore.certificate.chain",
        ),
        (
            vec![ssl, ("ssl.key.location", "a"), ("ssl.keystore.key", &*identity.key)],
            "ssl.keystore.key: it contradicts ssl.key.location: expected one of the two",
        ),
        (
            vec![("ssl.truststore.certificates", "a"), ("ssl.truststore.location", "b")],
            "ssl.truststore.location: it contradicts ssl.truststore.certificates",
        ),
        (
            vec![("ssl.keystore.location", "a"), ("ssl.certificate.pem", "b")],
            "ssl.certificate.pem: it contradicts ssl.keystore.location",
        ),
        (
            vec![("ssl.key.location", "a"), ("ssl.keystore.location", "b")],
            "ssl.keystore.location: it contradicts ssl.key.location",
        ),
        (
            vec![ssl, ("ssl.ca.pem", &*ca), ("bootstrap.servers", "localhost:1,kafka-:9092")],
            "bootstrap.servers: \"kafka-\" is no name that a certificate can be for",
        ),
        (vec![ssl, ("ssl.key.location", &*identity.key)], "found a PEM text"),
        (vec![ssl, ("ssl.keystore.location", &*identity.key)], "found a PEM text"),
        (vec![ssl, ("ssl.keystore.type", "JKS")], "openssl pkcs12"),
        (vec![ssl, ("ssl.key.password", "swordfish")], "encrypted keys are not read"),
        (vec![ssl, ("enable.ssl.certificate.verification", "false")], "always verified"),
        (
            vec![ssl, ("ssl.cipher.suites", "TLS_NULL")],
            "unknown: TLS_NULL; expected some of TLS_AES_256_GCM_SHA384",
        ),
        (vec![ssl, ("ssl.ca.locatoin", "x")], "did you mean \"ssl.ca.location\""),
        (vec![ssl, ("ssl.enabled.protocols", "SSLv3")], "TLSv1.2, TLSv1.3"),
    ] {
        let told = build(&properties);
        assert!(told.contains(words), "{told}");
    }
}

/// Why a producer with TLS and these properties is not built.
fn unbuilt(on: Adapter, properties: &[(&str, &str)]) -> String {
    let builder = Producer::builder(on).property("bootstrap.servers", "localhost:1");
    let builder =
        builder.property("security.protocol", "SSL").properties(properties.iter().copied());
    builder.build().expect_err("it is refused").to_string()
}

async fn what_is_wrong_with_a_pem_is_told_by_the_name_that_was_given(on: Adapter) {
    let authority = Authority::new();
    let (ours, other) = (authority.sign(&["client"]), authority.sign(&["client"]));
    let (ca, dir) = (("ssl.ca.pem", &*authority.certificate()), tempfile::tempdir().unwrap());
    let file = dir.path().join("empty.pem");
    fs::write(&file, "nothing").unwrap();
    let file = file.to_str().unwrap();
    let begins = |properties: &[(&str, &str)], words: &str| {
        let told = unbuilt(on, properties);
        assert!(told.starts_with(words), "{told}");
    };
    for name in ["ssl.ca.location", "ssl.truststore.location"] {
        begins(&[(name, file)], &format!("{name}: {file}: expected a PEM CERTIFICATE"));
        begins(&[(name, "/nowhere")], &format!("{name}: /nowhere: No such file"));
        // Of two names of one property the later one counts.
        let more = [("ssl.ca.location", "/a"), ("ssl.truststore.location", "/b"), (name, file)];
        begins(&more, &format!("{name}: {file}"));
    }
    for name in ["ssl.ca.pem", "ssl.truststore.certificates"] {
        begins(&[(name, "nothing")], &format!("{name}: the text: expected a PEM CERTIFICATE"));
    }
    begins(&[ca, ("ssl.keystore.location", file)], "ssl.keystore.location: ");
    let pairs = [
        ("ssl.certificate.pem", "ssl.key.pem"),
        ("ssl.keystore.certificate.chain", "ssl.keystore.key"),
    ];
    for (chain, key) in pairs {
        begins(&[ca, (chain, "nothing"), (key, &ours.key)], &format!("{chain}: the text: "));
        begins(&[ca, (chain, &ours.certificate), (key, "")], &format!("{key}: the text: "));
        // The key of another certificate.
        begins(&[ca, (chain, &ours.certificate), (key, &other.key)], &format!("{key}: "));
        begins(&[ca, (chain, &ours.certificate)], &format!("{chain}: a certificate without"));
    }
    let by_file = [ca, ("ssl.certificate.pem", &ours.certificate), ("ssl.key.location", file)];
    begins(&by_file, &format!("ssl.key.location: {file}: expected a PEM PRIVATE KEY"));
}

async fn stores_of_java_and_of_windows_are_told_with_what_makes_pem_of_them(on: Adapter) {
    let dir = tempfile::tempdir().unwrap();
    let jks: [&[u8]; 2] = [&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2], &[0xCE, 0xCE, 0xCE, 0xCE, 0, 0]];
    // Of a few bytes, of some hundred, of thousands, and of a length that is not told.
    let pkcs12: [&[u8]; 4] = [
        &[0x30, 0x40, 2, 1, 3, 0x30],
        &[0x30, 0x81, 0xF0, 2, 1, 3, 0x30],
        &[0x30, 0x82, 0x0A, 0x4C, 2, 1, 3, 0x30, 0x82],
        &[0x30, 0x80, 2, 1, 3, 0x30, 0x80],
    ];
    let path = dir.path().join("store");
    let store = path.to_str().unwrap();
    let openssl = |from: &str, name: &str| {
        format!("`openssl pkcs12 -in {from} -nodes -out store.pem`, then {name}=store.pem")
    };
    let authority = Authority::new();
    let ca = ("ssl.ca.pem", &*authority.certificate());
    for (name, more) in [
        ("ssl.truststore.location", None),
        ("ssl.ca.location", None),
        ("ssl.keystore.location", Some(ca)),
    ] {
        let properties: Vec<_> = more.into_iter().chain([(name, store)]).collect();
        for bytes in jks {
            fs::write(&path, bytes).unwrap();
            let told = unbuilt(on, &properties);
            let found = "expected PEM, found a Java keystore (JKS): `keytool -importkeystore";
            assert!(told.starts_with(&format!("{name}: {store}: {found}")), "{told}");
            assert!(told.contains(&format!("-srckeystore {store}")), "{told}");
            assert!(told.ends_with(&openssl("store.p12", name)), "{told}");
        }
        for bytes in pkcs12 {
            fs::write(&path, bytes).unwrap();
            let told = unbuilt(on, &properties);
            let found = "expected PEM, found a PKCS#12 store: ";
            let words = format!("{name}: {store}: {found}{}", openssl(store, name));
            assert_eq!(told, words);
        }
        // A certificate as DER is neither.
        fs::write(&path, [0x30, 0x82, 1, 0x0A, 0x30, 0x81, 0xB1, 0xA0, 3, 2, 1, 2]).unwrap();
        let told = unbuilt(on, &properties);
        assert!(told.contains("expected a PEM CERTIFICATE, found none"), "{told}");
    }
}
