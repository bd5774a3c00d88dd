//! What is refused, and in which words.

mod common;

use std::{io::Write, net::TcpListener, thread};

use common::{DRIVERS, ottla, server};
use ottla_core::wire::ApiKey;
use ottla_model::Versions;

/// `ottla produce --topic t` with these arguments.
fn produce(args: &[&str]) -> common::Ran {
    ottla(&[&["produce", "--topic", "t"], args].concat(), b"a\nb\n")
}

#[test]
fn usage_is_status_1() {
    ottla(&["produce"], b"").refused(&["--topic"]);
    ottla(&["nonsense"], b"").refused(&["nonsense"]);
    produce(&["--driver", "smoke-signals"]).refused(&["smoke-signals", "tokio", "blocking"]);
    produce(&["--rate", "0"]).refused(&["--rate"]);
    produce(&["--key-separator", ""]).refused(&["--key-separator"]);
    produce(&["--property", "acks"]).refused(&["'acks'", "NAME=VALUE"]);
    let help = ottla(&["produce", "--help"], b"");
    assert!(help.status == 0 && help.stdout.contains("Exit status"), "{help:?}");
}

#[test]
fn properties_are_refused_by_name() {
    for driver in DRIVERS {
        let with = |property: &str| produce(&["--driver", driver, "--property", property]);
        with("lingr.ms=5").refused(&["unknown property \"lingr.ms\"", "\"linger.ms\""]);
        with("linger.ms=soon").refused(&["\"linger.ms\" is \"soon\"", "milliseconds"]);
        with("compression.type=brotli").refused(&["\"compression.type\"", "snappy, lz4 or zstd"]);
        with("hold.bytes=many").refused(&["\"hold.bytes\" is \"many\"", "0 to hold nobody"]);
        with("max.in.flight.requests.per.connection=9")
            .refused(&["max.in.flight.requests.per.connection: expected 1 to 5"]);
        let three = produce(&["--driver", driver, "--shards", "3"]);
        three.refused(&["shards: expected a power of two"]);
        let nowhere = produce(&["--driver", driver, "--bootstrap", "nowhere"]);
        nowhere.refused(&["bootstrap.servers: entry 1 is not host:port"]);
        produce(&["--driver", driver, "--bootstrap", ""]).refused(&["bootstrap.servers is empty"]);
    }
}

#[test]
fn files_and_names_are_refused_by_name() {
    produce(&["--file", "no-such-file"]).refused(&["--file no-such-file: "]);
    produce(&["--file", "."]).refused(&["--file .: ", "directory"]);
    produce(&["--outcomes", "no/such/file"]).refused(&["--outcomes no/such/file: "]);
    ottla(&["produce", "--topic", "a topic"], b"").refused(&["\"a topic\"", "a-z A-Z 0-9"]);
    ottla(&["broker", "--listen", "nowhere"], b"").refused(&["--listen nowhere: "]);
    let topic = ["broker", "--listen", "127.0.0.1:0", "--topic", "a topic"];
    ottla(&topic, b"").refused(&["--topic \"a topic\": "]);
}

/// Two lines that are refused, after 400 ms for both together, for a cause that holds all of `says`.
fn cannot_be_sent(driver: &str, topic: &str, bootstrap: &str, says: &[&str]) {
    let args = ["produce", "--driver", driver, "--topic", topic, "--bootstrap", bootstrap];
    let ran = ottla(&[&args[..], &["--property", "max.block.ms=400"]].concat(), b"a\nb\n");
    assert_eq!((ran.status, ran.counts()), (2, [0, 2, 0]), "{ran:?}");
    let told: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("ottla: line")).collect();
    assert_eq!(told.len(), 1, "{ran:?}");
    says.iter().for_each(|says| assert!(told[0].contains(says), "{says}: {told:?}"));
    assert!((0.4..0.8).contains(&ran.seconds()), "{ran:?}");
}

#[test]
fn a_cluster_that_is_not_there_is_named_once_and_waited_for_once() {
    // Bound and dropped: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let speaks_http = web.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in web.incoming().flatten() {
            drop((&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
        }
    });
    let cluster = server();
    let bootstrap = cluster.bootstrap_servers();
    for driver in DRIVERS {
        let refused = [free.as_str(), "could not be set up"];
        cannot_be_sent(driver, "t", &free, &refused);
        let unresolved = ["nowhere.invalid:9092", "does not resolve"];
        cannot_be_sent(driver, "t", "nowhere.invalid:9092", &unresolved);
        let no_kafka = [speaks_http.as_str(), "is that the PLAINTEXT port of a Kafka broker?"];
        cannot_be_sent(driver, "t", &speaks_http, &no_kafka);
        let unknown = ["\"nobody\"", "UNKNOWN_TOPIC_OR_PARTITION"];
        cannot_be_sent(driver, "nobody", &bootstrap, &unknown);
    }
}

#[test]
fn brokers_that_offer_no_producer_ids_are_told_of_at_once_and_with_the_remedy() {
    for driver in DRIVERS {
        let cluster = server();
        let without = Versions::kafka_4().without(ApiKey::INIT_PRODUCER_ID);
        cluster.with_cluster(|cluster| cluster.set_versions(1, without)).unwrap();
        let bootstrap = cluster.bootstrap_servers();
        let args = ["produce", "--driver", driver, "--topic", "t", "--bootstrap", &bootstrap];
        let ran = ottla(&args, b"a\nb\n");
        assert_eq!((ran.status, ran.counts()), (2, [0, 2, 0]), "{ran:?}");
        let remedy = "offer no producer ids (InitProducerId): set enable.idempotence=false";
        assert!(ran.stderr.contains(remedy), "{ran:?}");
        assert!(ran.seconds() < 2.0, "{ran:?}");
        // Which is one.
        let ran =
            ottla(&[&args[..], &["--property", "enable.idempotence=false"]].concat(), b"a\nb\n");
        assert_eq!((ran.status, ran.counts()), (0, [2, 0, 0]), "{ran:?}");
    }
}

#[test]
fn a_broker_with_no_version_in_common_is_told_of_with_the_api_and_both_ranges() {
    for driver in DRIVERS {
        let cluster = server();
        let old = Versions::kafka_4().with(ApiKey::PRODUCE, 0, 2);
        cluster.with_cluster(|cluster| cluster.set_versions(1, old)).unwrap();
        let bootstrap = cluster.bootstrap_servers();
        let ranges = "of PRODUCE (0) this client has 3 to 13, the broker 0 to 2";
        let words = [bootstrap.as_str(), "no version in common with the broker", ranges];
        cannot_be_sent(driver, "t", &bootstrap, &words);
    }
}
