//! The proxy before an upstream that echoes, seen from blocking clients.

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    time::Instant,
};

use super::{Direction, FaultProxy, Hangup};

const LIMIT: Duration = Duration::from_secs(10);

/// An upstream that sends back all it gets, until the test ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn proxy() -> FaultProxy {
    FaultProxy::to(&[echo()]).unwrap()
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn round_trip(mut stream: &TcpStream, bytes: usize) {
    let sent: Vec<u8> = (0..bytes).map(|i| u8::try_from(i % 251).unwrap()).collect();
    stream.write_all(&sent).unwrap();
    let mut got = vec![0; bytes];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(sent, got);
}

/// Reads to the end, and returns how many bytes came, and whether the end was a reset.
fn drain(mut stream: &TcpStream) -> (usize, bool) {
    let mut got = 0;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (got, false),
            Ok(read) => got += read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (got, true),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Nothing comes for a while.
fn silent(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    let read = stream.read(&mut [0; 1]);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn eventually(holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn it_forwards_and_counts() {
    let proxy = proxy();
    let stream = connect(&proxy);
    round_trip(&stream, 100_000);
    let counters = proxy.all().counters();
    assert_eq!((counters.connections, counters.open, counters.cuts), (1, 1, 0));
    assert_eq!((counters.bytes_to_broker, counters.bytes_to_client), (100_000, 100_000));
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(drain(&stream), (0, false), "the end of the stream passes through");
    eventually(|| proxy.all().counters().open == 0);
    assert_eq!(proxy.all().counters().cuts, 0);
}

#[test]
fn cut_closes_what_is_open() {
    let proxy = proxy();
    for (hangup, reset) in [(Hangup::Fin, false), (Hangup::Reset, true)] {
        let streams = [connect(&proxy), connect(&proxy)];
        streams.iter().for_each(|stream| round_trip(stream, 10));
        assert_eq!(proxy.all().cut(hangup), 2);
        for stream in &streams {
            assert_eq!(drain(stream), (0, reset), "{hangup:?}");
        }
        eventually(|| proxy.all().counters().open == 0);
    }
    assert_eq!(proxy.all().counters().cuts, 4);
    assert_eq!(proxy.all().counters().cuts_in_data, 0);
    round_trip(&connect(&proxy), 10);
}

#[test]
fn each_connection_is_cut_after_its_bytes() {
    let proxy = proxy();
    let early = connect(&proxy);
    round_trip(&early, 1000);
    proxy.all().cut_each_after(Direction::ToClient, Some((777, Hangup::Fin)));
    for mut stream in [early, connect(&proxy)] {
        stream.write_all(&[1; 50_000]).unwrap();
        assert_eq!(drain(&stream).0, 777);
    }
    eventually(|| proxy.all().counters().cuts_in_data == 2);
    proxy.all().cut_each_after(Direction::ToClient, None);
    round_trip(&connect(&proxy), 50_000);
}

#[test]
fn random_cuts_are_as_many_as_ordered() {
    let proxy = proxy();
    proxy.all().cut_at_random(42, 25, 1..=5000);
    let mut lost = 0;
    while proxy.all().cuts_left() > 0 {
        let mut stream = connect(&proxy);
        let mut got = [0; 500];
        while stream.write_all(&[7; 500]).is_ok() && stream.read_exact(&mut got).is_ok() {
            if proxy.all().cuts_left() == 0 {
                break;
            }
        }
        lost += 1;
        assert!(lost < 100, "{} cuts left", proxy.all().cuts_left());
    }
    eventually(|| proxy.all().counters().cuts_in_data == 25);
    assert_eq!(proxy.all().counters().cuts, 25);
    round_trip(&connect(&proxy), 100_000);
}

#[test]
fn a_black_hole_swallows_and_never_recovers() {
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let proxy = proxy();
        let mut stream = connect(&proxy);
        round_trip(&stream, 10);
        proxy.all().blackhole(direction, true);
        stream.write_all(&[1; 100]).unwrap();
        assert!(silent(&stream));
        eventually(|| proxy.all().counters().bytes_swallowed == 100);
        proxy.all().heal();
        stream.write_all(&[2; 100]).unwrap();
        assert!(silent(&stream), "no gap in the stream");
        round_trip(&connect(&proxy), 10);
    }
}

#[test]
fn a_black_hole_hides_the_end_of_the_broker() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = FaultProxy::to(&[listener.local_addr().unwrap()]).unwrap();
    let mut stream = connect(&proxy);
    let (broker, _) = listener.accept().unwrap();
    proxy.all().blackhole(Direction::ToClient, true);
    drop((broker, listener));
    for _ in 0..3 {
        stream.write_all(&[1; 100]).unwrap();
        assert!(silent(&stream));
    }
    assert_eq!(proxy.all().cut(Hangup::Reset), 1);
    assert_eq!(drain(&stream), (0, true));
}

#[test]
fn frozen_bytes_come_later() {
    for direction in [Direction::ToBroker, Direction::ToClient] {
        let proxy = proxy();
        let mut stream = connect(&proxy);
        round_trip(&stream, 10);
        proxy.all().freeze(direction, true);
        stream.write_all(&[1; 100]).unwrap();
        assert!(silent(&stream));
        proxy.all().freeze(direction, false);
        stream.read_exact(&mut [0; 100]).unwrap();
    }
}

#[test]
fn what_an_open_connection_holds_is_overtaken_and_outlives_its_client() {
    let proxy = proxy();
    let mut early = connect(&proxy);
    round_trip(&early, 10);
    proxy.all().freeze_open(Direction::ToBroker, true);
    early.write_all(&[1; 100]).unwrap();
    assert!(silent(&early));
    round_trip(&connect(&proxy), 10);
    assert_eq!(proxy.all().counters().bytes_to_broker, 20);
    drop(early);
    proxy.all().freeze_open(Direction::ToBroker, false);
    eventually(|| proxy.all().counters().bytes_to_broker == 120);
}

#[test]
fn a_tap_keeps_what_arrives_whatever_becomes_of_it() {
    let proxy = proxy();
    round_trip(&connect(&proxy), 10);
    assert_eq!(proxy.all().heard(Direction::ToBroker), []);
    proxy.all().tap();
    let begin = Instant::now();
    let mut streams = [connect(&proxy), connect(&proxy)];
    round_trip(&streams[1], 10);
    proxy.all().blackhole(Direction::ToBroker, true);
    streams[0].write_all(b"swallowed").unwrap();
    eventually(|| proxy.all().counters().bytes_swallowed == 9);
    let heard = proxy.all().heard(Direction::ToBroker);
    assert_eq!(heard.iter().map(|heard| heard.connection).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((heard[0].bytes.as_slice(), heard[1].bytes.len()), (b"swallowed".as_slice(), 10));
    assert!(heard[0].first(b"wallow").is_some_and(|time| time >= begin));
    assert_eq!((heard[0].first(b"swallows"), heard[1].first(b"s")), (None, None));
    let heard = proxy.all().heard(Direction::ToClient);
    assert_eq!((heard.len(), heard[0].connection, heard[0].bytes.len()), (1, 2, 10));
}

#[test]
fn frozen_connections_press_back_and_can_be_cut() {
    let proxy = proxy();
    let mut stream = connect(&proxy);
    proxy.all().freeze(Direction::ToBroker, true);
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let error = stream.write_all(&vec![0; 64 << 20]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    proxy.all().cut(Hangup::Reset);
    assert_eq!(drain(&stream), (0, true));
}

#[test]
fn delays_add_up() {
    let proxy = proxy();
    let stream = connect(&proxy);
    for direction in [Direction::ToBroker, Direction::ToClient] {
        proxy.all().delay(direction, Duration::from_millis(60));
    }
    let begin = Instant::now();
    round_trip(&stream, 10);
    assert!(begin.elapsed() >= Duration::from_millis(120));
}

#[test]
fn new_connections_are_refused_and_open_ones_stay() {
    let proxy = proxy();
    let stream = connect(&proxy);
    round_trip(&stream, 10);
    proxy.all().refuse(true);
    let refused = || {
        TcpStream::connect(proxy.addresses()[0])
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    eventually(refused);
    round_trip(&stream, 10);
    proxy.all().refuse(false);
    eventually(|| TcpStream::connect(proxy.addresses()[0]).is_ok());
    round_trip(&connect(&proxy), 10);
}

#[test]
fn links_are_apart() {
    let proxy = FaultProxy::to(&[echo(), echo()]).unwrap();
    let streams: Vec<TcpStream> =
        proxy.addresses().iter().map(|address| TcpStream::connect(address).unwrap()).collect();
    streams.iter().for_each(|stream| round_trip(stream, 10));
    assert_eq!(proxy.link(1).cut(Hangup::Reset), 1);
    assert_eq!(drain(&streams[1]), (0, true));
    round_trip(&streams[0], 10);
    assert_eq!(proxy.link(0).counters().cuts, 0);
}

#[test]
fn a_dead_upstream_is_a_dead_connection_and_dropping_closes() {
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let proxy = FaultProxy::to(&[dead, echo()]).unwrap();
    let (got, _) = drain(&TcpStream::connect(proxy.addresses()[0]).unwrap());
    assert_eq!(got, 0);
    let stream = TcpStream::connect(proxy.addresses()[1]).unwrap();
    round_trip(&stream, 10);
    drop(proxy);
    assert_eq!(drain(&stream).0, 0);
}
