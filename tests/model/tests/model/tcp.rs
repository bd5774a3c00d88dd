//! Over TCP.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Instant,
};

use ottla_core::wire::{ErrorCode, metadata::MetadataItem};
use ottla_model::{Action, AutoCreate, ClusterConfig, Fault, serve::Server};

use crate::wire_client::{
    Named, batch, by_name, init_request, metadata_request, produce_request, read_init,
    read_metadata, read_produced, read_versions, versions_request,
};

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn start(nodes: usize) -> Server {
    let config = ClusterConfig { auto_create: AutoCreate::AtOnce, ..ClusterConfig::default() };
    Server::start(&vec![any_port(); nodes], config).unwrap()
}

struct Socket(TcpStream);

impl Socket {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    fn send(&mut self, frame: &[u8]) {
        self.0.write_all(frame).unwrap();
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; 4];
        self.0.read_exact(&mut frame)?;
        let size = u32::from_be_bytes(frame[..4].try_into().unwrap());
        frame.resize(4 + usize::try_from(size).unwrap(), 0);
        self.0.read_exact(&mut frame[4..])?;
        Ok(frame)
    }

    fn call(&mut self, frame: &[u8]) -> Vec<u8> {
        self.send(frame);
        self.receive().unwrap()
    }
}

fn named(server: &Server) -> Named<'static> {
    Named { name: "t", id: server.with_cluster(|c| c.topic_id("t").unwrap()) }
}

#[test]
fn a_client_is_served_from_bootstrap_to_append() {
    let server = start(1);
    let mut socket = Socket::connect(server.addresses()[0]);
    assert_eq!(read_versions(3, &socket.call(&versions_request(3))).len(), 10);

    let answer = socket.call(&metadata_request(12, Some(&[by_name("t")]), true));
    let told = read_metadata(12, &answer);
    let advertised = told.iter().find_map(|item| {
        if let MetadataItem::Broker(broker) = item {
            Some((broker.host, broker.port))
        } else {
            None
        }
    });
    let port = i32::from(server.addresses()[0].port());
    assert_eq!(advertised, Some(("127.0.0.1", port)));
    assert_eq!(server.bootstrap_servers(), format!("127.0.0.1:{port}"));

    let init = read_init(4, &socket.call(&init_request(4, None)));
    let mut sent = batch(init.producer_epoch, 0, 3);
    sent.header.producer_id = init.producer_id;
    let frame = produce_request(13, -1, named(&server), &[(0, sent.bytes())]);
    for _ in 0..2 {
        let produced = read_produced(13, &socket.call(&frame));
        assert_eq!(produced.only(), (ErrorCode::NONE, 0));
    }
    server.with_cluster(|cluster| {
        let offsets: Vec<_> = cluster.log("t", 0).map(|r| r.offset).collect();
        assert_eq!(offsets, [0, 1, 2]);
        assert_eq!(cluster.counts("t", 0).duplicates, 1);
    });
}

#[test]
fn many_requests_at_once_are_answered_in_order() {
    let server = start(1);
    server.with_cluster(|c| c.create_topic("t", 1).unwrap());
    let mut socket = Socket::connect(server.addresses()[0]);
    let mut bytes = Vec::new();
    for sequence in 0..100 {
        let batch = batch(0, sequence, 1).bytes();
        bytes.extend(produce_request(13, -1, named(&server), &[(0, batch)]));
    }
    socket.send(&bytes);
    for offset in 0..100 {
        let produced = read_produced(13, &socket.receive().unwrap());
        assert_eq!(produced.only(), (ErrorCode::NONE, offset));
    }
}

#[test]
fn a_large_batch_comes_through() {
    let server = start(1);
    server.with_cluster(|c| c.create_topic("t", 1).unwrap());
    let mut socket = Socket::connect(server.addresses()[0]);
    for sequence in 0..5 {
        let mut large = batch(0, sequence, 1);
        large.values = vec![vec![b'x'; 1_000_000]];
        let frame = produce_request(13, -1, named(&server), &[(0, large.bytes())]);
        let produced = read_produced(13, &socket.call(&frame));
        assert_eq!(produced.only(), (ErrorCode::NONE, i64::from(sequence)));
    }
}

#[test]
fn each_node_has_its_listener() {
    let server = start(3);
    server.with_cluster(|c| c.create_topic("t", 3).unwrap());
    for (partition, address) in (0..).zip(server.addresses()) {
        let mut socket = Socket::connect(*address);
        let frame = produce_request(13, -1, named(&server), &[(partition, batch(0, 0, 1).bytes())]);
        let produced = read_produced(13, &socket.call(&frame));
        assert_eq!(produced.only(), (ErrorCode::NONE, 0));
        let frame = produce_request(13, -1, named(&server), &[(9, batch(0, 0, 1).bytes())]);
        let produced = read_produced(13, &socket.call(&frame));
        assert_eq!(produced.only().0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
}

#[test]
fn a_frozen_node_goes_on_when_it_is_thawed() {
    let server = start(1);
    server.with_cluster(|c| c.create_topic("t", 1).unwrap());
    let mut socket = Socket::connect(server.addresses()[0]);
    socket.call(&versions_request(3));
    server.with_cluster(|c| c.freeze(1).unwrap());
    let frame = produce_request(13, -1, named(&server), &[(0, batch(0, 0, 1).bytes())]);
    socket.send(&frame);
    let soon = Some(Duration::from_millis(50));
    socket.0.set_read_timeout(soon).unwrap();
    assert!(socket.receive().is_err(), "silence");
    socket.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    server.with_cluster(|c| c.thaw(1).unwrap());
    let produced = read_produced(13, &socket.receive().unwrap());
    assert_eq!(produced.only(), (ErrorCode::NONE, 0));
}

#[test]
fn a_held_answer_comes_in_time() {
    let server = start(1);
    server.with_cluster(|c| {
        c.create_topic("t", 1).unwrap();
        c.inject(Fault::produce(Action::Hold(Duration::from_millis(60))));
    });
    let mut socket = Socket::connect(server.addresses()[0]);
    let frame = produce_request(13, -1, named(&server), &[(0, batch(0, 0, 1).bytes())]);
    let began = server.now();
    let produced = read_produced(13, &socket.call(&frame));
    assert_eq!(produced.only(), (ErrorCode::NONE, 0));
    assert!(server.now() - began >= Duration::from_millis(60));
}

#[test]
fn what_was_sent_is_handled_after_the_client_has_gone() {
    let server = start(1);
    server.with_cluster(|c| {
        c.create_topic("t", 1).unwrap();
        c.freeze(1).unwrap();
    });
    let frame = produce_request(13, -1, named(&server), &[(0, batch(0, 0, 1).bytes())]);
    let mut socket = Socket::connect(server.addresses()[0]);
    socket.send(&frame);
    drop(socket);
    server.with_cluster(|c| c.thaw(1).unwrap());
    wait_until(&server, |cluster| cluster.end_offset("t", 0) == 1);
}

#[test]
fn a_stopped_node_closes_its_connections() {
    let server = start(1);
    let mut socket = Socket::connect(server.addresses()[0]);
    socket.call(&versions_request(3));
    server.with_cluster(|c| c.stop(1).unwrap());
    assert!(socket.receive().is_err());
    server.with_cluster(|c| c.start(1).unwrap());
    let mut socket = Socket::connect(server.addresses()[0]);
    socket.call(&versions_request(3));
}

#[test]
fn it_stops_at_once_with_clients_connected() {
    let server = start(2);
    let sockets: Vec<_> =
        server.addresses().iter().map(|address| Socket::connect(*address)).collect();
    server.with_cluster(|c| c.freeze(1).unwrap());
    let began = clock();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(5));
    for mut socket in sockets {
        assert!(socket.receive().is_err(), "closed");
    }
}

#[test]
fn a_negative_size_ends_the_connection() {
    let server = start(1);
    let mut socket = Socket::connect(server.addresses()[0]);
    assert_eq!(read_versions(3, &socket.call(&versions_request(3))).len(), 10);
    socket.send(&[0xff; 4]);
    assert_eq!(socket.receive().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn it_does_not_start_without_an_address_or_on_one_that_is_taken() {
    assert!(Server::start(&[], ClusterConfig::default()).is_err());
    let server = start(1);
    let taken = [server.addresses()[0]];
    assert!(Server::start(&taken, ClusterConfig::default()).is_err());
}

#[allow(clippy::disallowed_methods)] // a test of real time
fn clock() -> Instant {
    Instant::now()
}

/// Waits for something that has no signal, for as long as a slow machine may take.
fn wait_until(server: &Server, done: impl Fn(&ottla_model::Cluster) -> bool) {
    let began = clock();
    while !server.with_cluster(|cluster| done(cluster)) {
        assert!(began.elapsed() < Duration::from_secs(20), "never");
        std::thread::yield_now();
    }
}
