//! The example with embedded-tls against listeners of real brokers.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use ottla_adapter_tests::tls::{Authority, Identity};
use ottla_interop::{Device, EmbeddedTls, Message, Protocol, Secured, verify, version};

const RECORDS: u32 = 200;

/// The broker by its name, so that both a name and an address are verified: it advertises the address.
fn by_name(secured: &Secured) -> String {
    secured.cluster.proxied_bootstrap().replace("127.0.0.1", "localhost")
}

/// Sends records, and holds what is told against what Kafka's own consumer reads. Returns what went to standard error.
fn arrives(what: &str, secured: &Secured, example: &EmbeddedTls) -> String {
    let cluster = &secured.cluster;
    let topic = what.replace(' ', "-");
    cluster.create_topic(&topic, 2, 1, &[]).unwrap();
    let said = example.run(&by_name(secured), &topic, RECORDS).unwrap();
    assert_eq!(said.status, Some(0), "{what}: {}", said.stderr);
    let log = cluster.read(&topic).unwrap();
    let message = |number: u32| Message::text(&number.to_string());
    let count = verify(RECORDS, message, &said.fates, &log).unwrap();
    assert_eq!(count.delivered, RECORDS, "{what}: {count}: {}", said.stderr);
    println!("Kafka {}, {what}: {count}", version());
    said.stderr
}

/// What is told where no connection comes about.
fn says(what: &str, brokers: &str, trusted: &Authority, own: Option<&Identity>, words: &[&str]) {
    let said = EmbeddedTls::new(trusted, own).unwrap().run(brokers, "nowhere", 1).unwrap();
    assert_eq!(said.status, Some(1), "{what}: {}", said.stderr);
    assert_eq!(said.fates.answered(), 0, "{what}");
    for word in words {
        assert!(said.stderr.contains(word), "{what}: no \"{word}\" in: {}", said.stderr);
    }
    println!("Kafka {}, {what}: {}", version(), said.stderr.lines().next().unwrap_or_default());
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_client_with_embedded_tls_shows_its_certificate_and_delivers() {
    let secured = Secured::start(1, &[("ssl.client.auth", "required")]).unwrap();
    // The broker's session ticket has the certificate in it, and is one record.
    let own = secured.authority.sign(&[]);
    let example = |own| EmbeddedTls::new(&secured.authority, Some(own)).unwrap();
    let stderr = arrives("mutual TLS in 1 KiB", &secured, &example(&own));
    assert!(!stderr.contains("connection:"), "nothing was lost: {stderr}");
    let longer = secured.authority.sign(&["a-client-with-a-longer-name.example.org"]);
    let stderr = arrives("mutual TLS in 2 KiB", &secured, &example(&longer).roomy());
    assert!(!stderr.contains("connection:"), "nothing was lost: {stderr}");

    let proxy = secured.cluster.proxy();
    proxy.all().cut_at_random(7, 12, 3_000..=6_000);
    let stderr = arrives("mutual TLS that is cut", &secured, &example(&own));
    let lost = stderr.matches("connection:").count();
    let left = proxy.all().cuts_left();
    println!("{lost} connections were lost, {left} cuts were left");
    assert!(lost >= 5, "{stderr}");
    proxy.all().cut_at_random(7, 0, 1..=1);

    let (brokers, stranger) = (by_name(&secured), Authority::new());
    let (trusted, nobody) = (&secured.authority, stranger.sign(&["client"]));
    let refused = "the broker's certificate is refused: nobody who is trusted has signed it";
    says("another authority", &brokers, &stranger, Some(&own), &[refused]);
    let refused = "it refuses this client's certificate, or wants one";
    says("no certificate", &brokers, trusted, None, &[refused]);
    says("a stranger's certificate", &brokers, trusted, Some(&nobody), &[refused]);
    let refused = "what the broker sends does not fit the buffer";
    says("a certificate for more than 1 KiB", &brokers, trusted, Some(&longer), &[refused]);
    let plain = secured.cluster.bootstrap();
    says("a listener without TLS", &plain, trusted, None, &["is that a listener with TLS?"]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_client_with_embedded_tls_refuses_another_name_and_tls_1_2() {
    let secured = Secured::start_as(&["elsewhere"], Protocol::Ssl, 1, &[]).unwrap();
    let refused = "the broker's certificate is refused: it is not for the host that was dialled";
    for brokers in [by_name(&secured), secured.cluster.proxied_bootstrap()] {
        says("another name", &brokers, &secured.authority, None, &[refused]);
    }
    drop(secured);
    let old = [("ssl.enabled.protocols", "TLSv1.2"), ("ssl.protocol", "TLSv1.2")];
    let secured = Secured::start(1, &old).unwrap();
    let refused = "the broker has no TLS 1.3";
    says("TLS 1.2", &by_name(&secured), &secured.authority, None, &[refused]);
}

/// The same as firmware, for a Cortex-M4F with 64 KiB of RAM: QEMU wires its UART to the listener.
#[test]
#[ignore = "needs Java and Maven, QEMU, and Rust's target thumbv7em-none-eabihf"]
fn a_microcontroller_shows_its_certificate_and_delivers() {
    let secured = Secured::start(1, &[("ssl.client.auth", "required")]).unwrap();
    let by_broker = [("message.timestamp.type", "LogAppendTime")];
    secured.cluster.create_topic("readings", 1, 1, &by_broker).unwrap();
    let device = Device::build(&secured.authority, &secured.authority.sign(&[])).unwrap();
    let brokers = secured.cluster.proxied_bootstrap();
    let said = device.run(&brokers).unwrap();
    println!("Kafka {}: {said}", version());
    let log = secured.cluster.read("readings").unwrap();
    assert_eq!(log.len(), RECORDS as usize, "{said}");
    for (number, record) in (0..RECORDS).zip(&log) {
        assert!(record.has_value(&number.to_le_bytes()), "record {number}: {record:?}");
    }
}
