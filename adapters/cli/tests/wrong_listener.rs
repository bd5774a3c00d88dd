//! What is told of an address where something else listens than a broker's PLAINTEXT listener.

mod common;

use core::net::SocketAddr;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use common::{DRIVERS, Ran, ottla, server};
use ottla_core::wire::ApiKey;
use ottla_model::{Action, Fault};

/// What it does with each connection, and no more.
#[derive(Clone, Copy, Debug)]
enum Peer {
    /// Answers the first bytes with these, and closes.
    Answers(&'static [u8]),
    /// Answers the first bytes with these, and waits.
    AnswersAndWaits(&'static [u8]),
    /// Says this first, as servers of some protocols do, and waits.
    Greets(&'static [u8]),
    /// Closes once it was asked.
    Closes,
    /// Closes at once.
    ClosesUnasked,
    /// Takes what comes, and says nothing.
    Silent,
}

/// Listens until the test's process ends.
fn listen(peer: Peer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            kept.extend(serve(peer, stream));
        }
    });
    address
}

/// What is to stay open.
fn serve(peer: Peer, mut stream: TcpStream) -> Option<TcpStream> {
    let mut some = [0; 4096];
    if !matches!(peer, Peer::Greets(_) | Peer::ClosesUnasked | Peer::Silent) {
        drop(stream.read(&mut some));
    }
    match peer {
        Peer::Answers(bytes) | Peer::AnswersAndWaits(bytes) | Peer::Greets(bytes) => {
            drop(stream.write_all(bytes));
            (!matches!(peer, Peer::Answers(_))).then_some(stream)
        }
        Peer::Closes | Peer::ClosesUnasked => None,
        Peer::Silent => Some(stream),
    }
}

fn produce(driver: &str, bootstrap: &str, properties: &[&str]) -> Ran {
    let mut args = vec!["produce", "--topic", "t", "--driver", driver, "--bootstrap", bootstrap];
    args.extend(properties.iter().flat_map(|property| ["--property", property]));
    ottla(&args, b"a\n")
}

/// The one line on why the record was not sent.
fn told(ran: &Ran) -> &str {
    let told = ran.stderr.lines().find(|line| line.starts_with("ottla: line 1: not delivered: "));
    told.unwrap_or_else(|| panic!("{ran:?}"))
}

const TLS_ALERT: &[u8] = &[0x15, 3, 3, 0, 2, 2, 0x32];
const SECURED: &str = "is that a listener with TLS or SASL? look at security.protocol";
const PLAIN: &str = "is that the PLAINTEXT port of a Kafka broker?";

#[test]
fn a_listener_of_another_kind_is_asked_about() {
    let hung_up = "the peer closed the connection rather than answer";
    let text = |four: &str| format!("the bytes are text that begins with \"{four}\"");
    let cases = [
        (Peer::Answers(TLS_ALERT), "the bytes are those of TLS".to_owned(), SECURED),
        (Peer::AnswersAndWaits(TLS_ALERT), "the bytes are those of TLS".to_owned(), SECURED),
        (Peer::Greets(&[0x16, 3, 1, 2, 0]), "the bytes are those of TLS".to_owned(), SECURED),
        (Peer::Closes, hung_up.to_owned(), SECURED),
        (Peer::ClosesUnasked, hung_up.to_owned(), SECURED),
        (Peer::Silent, "the peer says nothing".to_owned(), SECURED),
        (Peer::Answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), text("HTTP"), PLAIN),
        (Peer::Greets(b"SSH-2.0-OpenSSH_9.2\r\n"), text("SSH-"), PLAIN),
        (Peer::Greets(b"220 mail.example.org ESMTP\r\n"), text("220 "), PLAIN),
        (Peer::Answers(b"-ERR unknown command\r\n"), text("-ERR"), PLAIN),
    ];
    // All at once: each takes the time that it is given.
    thread::scope(|scope| {
        for (driver, case) in DRIVERS.iter().flat_map(|d| cases.iter().map(move |case| (d, case))) {
            scope.spawn(move || {
                let (peer, what, question) = case;
                let address = listen(*peer).to_string();
                let ran = produce(driver, &address, &["max.block.ms=1500"]);
                assert_eq!((ran.status, ran.counts()), (2, [0, 1, 0]), "{ran:?}");
                let want = format!("; last connection: {address}: ");
                assert!(told(&ran).contains(&want), "{peer:?}: {want}: {ran:?}");
                let want = format!("{what}: {question}");
                assert!(told(&ran).contains(&want), "{peer:?}: {want}: {ran:?}");
            });
        }
    });
}

#[test]
fn a_peer_that_says_nothing_is_told_before_and_after_its_time_is_over() {
    for driver in DRIVERS {
        let address = listen(Peer::Silent).to_string();
        let properties = ["max.block.ms=1500", "request.timeout.ms=300"];
        let ran = produce(driver, &address, &properties);
        assert!(told(&ran).contains(&format!("the peer says nothing: {SECURED}")), "{ran:?}");
        // Sooner than a broker that is well would answer, nobody is suspected of anything.
        let ran = produce(driver, &address, &["max.block.ms=300"]);
        assert!(!told(&ran).contains("last connection"), "{ran:?}");
    }
}

#[test]
fn a_listener_that_wants_sasl_answers_api_versions_and_then_hangs_up() {
    for driver in DRIVERS {
        let server = server();
        let hang_up = Fault::new(ApiKey::METADATA, Action::CloseBefore).times(u32::MAX);
        server.with_cluster(|cluster| cluster.inject(hang_up));
        let ran = produce(driver, &server.bootstrap_servers(), &["max.block.ms=1500"]);
        assert_eq!((ran.status, ran.counts()), (2, [0, 1, 0]), "{ran:?}");
        let want = format!("the peer closed the connection rather than answer: {SECURED}");
        assert!(told(&ran).contains(&want), "{ran:?}");
    }
}

#[test]
fn a_broker_that_has_answered_is_not_suspected_of_tls() {
    for driver in DRIVERS {
        for (action, says) in [
            (Action::CloseBefore, "the peer closed the connection"),
            (Action::Swallow, "a request was not answered in time"),
        ] {
            let server = server();
            let fault = Fault::produce(action.clone()).times(u32::MAX);
            server.with_cluster(|cluster| cluster.inject(fault));
            let args = ["produce", "--topic", "t", "--driver", driver];
            let bootstrap = server.bootstrap_servers();
            let times = ["delivery.timeout.ms=900", "request.timeout.ms=300", "linger.ms=0"];
            let mut args = [&args[..], &["--bootstrap", &bootstrap]].concat();
            args.extend(times.iter().flat_map(|property| ["--property", property]));
            let ran = ottla(&[&args[..], &["--settle", "500"]].concat(), b"a\n");
            assert_eq!(ran.counts(), [0, 0, 1], "{ran:?}");
            assert!(ran.stderr.contains(says), "{action:?}: {ran:?}");
            assert!(!ran.stderr.contains("TLS"), "{action:?}: {ran:?}");
        }
    }
}
