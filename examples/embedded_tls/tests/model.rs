//! Over TLS to the model broker: records arrive, who is not the broker is refused, and what embedded-tls has taken counts
//! as sent, whatever becomes of it.

mod common;

use core::{net::SocketAddr, time::Duration};
use std::{sync::Arc, time::Instant as Wall};

use common::{Authority, Fault, Network, TestClock, authority, dial, listener, sign};
use embassy_futures::select::{Either, Either3, select, select3};
use ottla_core::{Config, Producer, Record, TopicStatus, static_memory};
use ottla_embedded::{
    Backlog, Buffers, Client, Clock as _, Connect as _, DropPolicy, RecordOutcome, Report, run,
};
use ottla_example_embedded_tls::{Failure, Records, Settings, Tls};
use ottla_model::{ClusterConfig, serve::Server};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::ServerConfig;

const WITHIN: Duration = Duration::from_millis(150);
const LIMIT: Duration = Duration::from_secs(20);

type Readings = Backlog<u32, 16>;

type Lent = static_memory! {
    connections: 1,
    brokers: 2,
    topics: 1,
    partitions: 1,
    batches: 8,
    pages: 8,
    page_size: 512,
    rx_window: 512,
    tx_window: 256,
    name: 64,
};

fn server(config: Arc<ServerConfig>) -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start_tls(&[any], ClusterConfig::with_nodes(1), config).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("readings", 1)).unwrap();
    server
}

fn in_log(server: &Server) -> Vec<u32> {
    let number = |value: Option<&[u8]>| str::from_utf8(value.unwrap()).unwrap().parse().unwrap();
    server.with_cluster(|cluster| {
        cluster.log("readings", 0).map(|record| number(record.value)).collect()
    })
}

/// Sends record 0, then 1 while the network has a fault, and then mends the network. Returns what was told of record 1, and
/// how many bytes of ciphertext left for it.
async fn send(
    server: &Server,
    settings: &Settings<'_>,
    fault: Option<Fault>,
) -> (Vec<Report<u32>>, usize) {
    let (clock, mut memory) = (TestClock(Wall::now()), Lent::new());
    let brokers = server.bootstrap_servers();
    let config = Config { bootstrap_servers: &brokers, ..Config::default() };
    let config = Config { batch_size: 512, max_request_size: 2_048, ..config };
    let config = Config { reconnect_backoff: WITHIN / 10, reconnect_backoff_max: WITHIN, ..config };
    let config = Config { request_timeout: 4 * WITHIN, linger: Duration::ZERO, ..config };
    let producer = Producer::new(&config, memory.lend(), 42).unwrap();
    let client = Client::new(producer, Readings::new(DropPolicy::NewestFirst));
    let (tls, network) = (Tls::<1>::new(), Network::default());
    let (mut buffers, mut records) = (Buffers::<1, 256>::new(), Records::<1_024, 1_024>::new());
    let mut told = Vec::new();
    let application = async {
        let topic = client.with(|producer, _| producer.topic(clock.now(), "readings")).unwrap();
        let mut seen = 0;
        let ready = |producer: &mut Producer<'_>, _: &mut Readings| {
            matches!(producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
        };
        while !client.with(ready) {
            client.changed(&mut seen).await;
        }
        for number in 0..2 {
            if number == 1 {
                network.fault.set(fault);
                network.taken.set(0);
            }
            let value = number.to_string();
            let record = Record { value: Some(value.as_bytes()), ..Record::default() };
            let taken = client.with(|producer, readings| {
                readings.produce(producer, clock.now(), topic, &record, number, Some(WITHIN))
            });
            taken.unwrap();
            while !client.with(|_, readings| readings.is_empty()) {
                client.changed(&mut seen).await;
                while let Some(report) = client.with(|_, readings| readings.poll_report()) {
                    told.push(report);
                    if report.token == 1 {
                        // It has had its deadline.
                        network.fault.set(None);
                        network.is_down.set(false);
                    }
                }
            }
        }
    };
    let all = select3(
        run(&client, &tls, &clock, &mut buffers),
        tls.serve(0, &network, settings, &mut records, |failure| println!("{failure}")),
        application,
    );
    let ended = tokio::time::timeout(LIMIT, all).await;
    assert!(matches!(ended, Ok(Either3::Third(()))), "{fault:?}: no end, but {told:?}");
    // Record 0 meets no fault.
    told.retain(|report: &Report<u32>| report.token == 1);
    (told, network.taken.get())
}

#[tokio::test]
async fn records_arrive_over_mutual_tls() {
    let authority = authority();
    let broker = sign(&authority, &["localhost", "127.0.0.1"], |_| {});
    let server = server(listener(&broker, &[], Some(&authority)));
    let own = sign(&authority, &[], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let settings = Settings::new(authority.der(), common::entropy, common::wall_clock).unwrap();
    let (told, _) = send(&server, &settings.with_identity(own.identity()), None).await;
    assert!(matches!(told[..], [Report { outcome: RecordOutcome::Delivered { .. }, .. }]));
    assert_eq!(in_log(&server), [0, 1]);
}

/// What embedded-tls has taken is told to be sent before it is tried: where the stream then fails in a write, in a flush or
/// not at all, after any number of bytes, the record may be in the log, and nobody may say that it is not.
#[tokio::test]
async fn what_was_taken_for_encryption_is_never_said_not_to_be_delivered() {
    let authority = authority();
    let broker = sign(&authority, &["127.0.0.1"], |_| {});
    let settings = Settings::new(authority.der(), common::entropy, common::wall_clock).unwrap();
    let (_, size) = send(&server(listener(&broker, &[], None)), &settings, None).await;
    let cuts = [0, 1, 5, size / 2, size - 17, size - 1];
    let writes = cuts.iter().flat_map(|&bytes| [Fault::Write(bytes), Fault::Hang(bytes)]);
    for fault in writes.chain([Fault::Flush(0), Fault::Flush(size)]) {
        let server = server(listener(&broker, &[], None));
        let (told, _) = send(&server, &settings, Some(fault)).await;
        let [first, last] = told[..] else { panic!("{fault:?}: {told:?}") };
        assert!(matches!(first.outcome, RecordOutcome::Unknown(_)), "{fault:?}: {told:?}");
        // Once there is a network again, it is found out.
        assert!(matches!(last.outcome, RecordOutcome::Delivered { .. }), "{fault:?}: {told:?}");
        assert!(last.late, "{fault:?}: {told:?}");
        assert_eq!(in_log(&server), [0, 1], "{fault:?}");
    }
}

async fn refused(trusted: &Authority, listener: Arc<ServerConfig>, host: &str) -> Option<Failure> {
    let server = server(listener);
    let settings = Settings::new(trusted.der(), common::entropy, common::wall_clock).unwrap();
    let port = server.addresses()[0].port();
    dial(host, port, &settings).await
}

#[tokio::test]
async fn who_is_not_the_broker_is_refused() {
    let (own, other) = (authority(), authority());
    let names = ["localhost", "127.0.0.1"];
    let good = sign(&own, &names, |_| {});
    for name in names {
        let failure = refused(&own, listener(&good, &[], None), name).await;
        assert!(failure.is_none(), "{name}: {failure:?}");
    }

    let failure = refused(&other, listener(&good, &[], None), "localhost").await;
    let words = failure.unwrap().to_string();
    assert!(
        words.contains("nobody who is trusted") || words.contains("InvalidSignature"),
        "{words}"
    );

    let failure =
        refused(&own, listener(&sign(&own, &["elsewhere"], |_| {}), &[], None), "localhost");
    assert!(matches!(
        failure.await,
        Some(Failure::Certificate(webpki::Error::CertNotValidForName(_)))
    ));

    // A name that is the common name alone is none.
    let common = sign(&own, &["elsewhere"], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    });
    let failure = refused(&own, listener(&common, &[], None), "localhost").await;
    assert!(matches!(failure, Some(Failure::Certificate(webpki::Error::CertNotValidForName(_)))));

    let over = sign(&own, &names, |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let failure = refused(&own, listener(&over, &[], None), "localhost").await;
    assert!(matches!(failure, Some(Failure::Certificate(webpki::Error::CertExpired { .. }))));

    // Another client of the authority's plays the broker.
    let client = sign(&own, &names, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let failure = refused(&own, listener(&client, &[], None), "localhost").await;
    assert!(matches!(
        failure,
        Some(Failure::Certificate(webpki::Error::RequiredEkuNotFoundContext(_)))
    ));
}

/// Whoever has any certificate of the authority's cannot sign others.
#[tokio::test]
async fn who_is_no_authority_signs_no_broker() {
    let own = authority();
    for (is_ca, expected) in [
        (IsCa::Ca(BasicConstraints::Unconstrained), None),
        (IsCa::NoCa, Some(webpki::Error::EndEntityUsedAsCa)),
        (IsCa::ExplicitNoCa, Some(webpki::Error::EndEntityUsedAsCa)),
    ] {
        let mut params = CertificateParams::new(vec!["a-client".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "between");
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &own).unwrap().der().clone();
        // The same name and key as an issuer, whatever its certificate says.
        let issuer = rcgen::Issuer::new(params, KeyPair::try_from(&*key.serialize_der()).unwrap());
        let broker_key = KeyPair::generate().unwrap();
        let mut broker = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        broker.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let broker = broker.signed_by(&broker_key, &issuer).unwrap().der().clone();
        let broker = common::Signed { certificate: broker, key: broker_key };
        let between = common::Signed { certificate, key };
        let failure = refused(&own, listener(&broker, &[&between], None), "localhost").await;
        match (failure, expected) {
            (None, None) => {}
            (Some(Failure::Certificate(why)), Some(expected)) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn without_the_time_or_entropy_there_is_no_connection() {
    let own = authority();
    let server = server(listener(&sign(&own, &["localhost"], |_| {}), &[], None));
    let settings = Settings::new(own.der(), common::entropy, || None).unwrap();
    let port = server.addresses()[0].port();
    let failure = dial("localhost", port, &settings).await;
    assert!(matches!(failure, Some(Failure::NoTime)), "{failure:?}");
    let settings = Settings::new(own.der(), |_| false, common::wall_clock).unwrap();
    let failure = dial("localhost", port, &settings).await;
    assert!(matches!(failure, Some(Failure::NoEntropy)), "{failure:?}");
}

/// As with `socket.connection.setup.timeout.ms`: the future that dials is dropped, and the slot dials somebody else.
#[tokio::test]
async fn a_handshake_that_never_ends_gives_way_to_another() {
    let own = authority();
    let server = server(listener(&sign(&own, &["127.0.0.1"], |_| {}), &[], None));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [silent.local_addr().unwrap().port(), server.addresses()[0].port()];
    let settings = Settings::new(own.der(), common::entropy, common::wall_clock).unwrap();
    let (tls, network) = (Tls::<1>::new(), Network::default());
    let mut records = Records::<1_024, 1_024>::new();
    let dial = async {
        let mut connected = [false; 2];
        for (port, connected) in ports.iter().zip(&mut connected) {
            let dialled = tls.connect(0, "127.0.0.1", *port);
            let dialled = tokio::time::timeout(Duration::from_secs(1), dialled).await;
            *connected = matches!(dialled, Ok(Ok(_)));
        }
        connected
    };
    let serve = tls.serve(0, &network, &settings, &mut records, |_| {});
    match select(serve, dial).await {
        Either::First(never) => match never {},
        Either::Second(connected) => assert_eq!(connected, [false, true]),
    }
}
