use core::cell::RefCell;
use std::{collections::VecDeque, rc::Rc};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::*;

/// A socket's two directions, of which the outgoing one takes no more than it is allowed to.
#[derive(Debug, Default)]
struct Wire {
    allowed: usize,
    to_server: Vec<u8>,
    to_client: VecDeque<u8>,
}

#[derive(Clone, Debug, Default)]
struct Socket(Rc<RefCell<Wire>>);

impl Link for Socket {
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.read(window)
    }

    fn open(&mut self) -> Result<bool, LinkError> {
        Ok(true)
    }
}

impl Read for Socket {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        match self.0.borrow_mut().to_client.read(window) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            read => read,
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        let len = bytes.len().min(wire.allowed);
        if len == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        wire.allowed -= len;
        wire.to_server.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection after its handshake, with the other end of it.
struct Rig {
    socket: Socket,
    link: TlsLink<Socket>,
    server: ServerConnection,
    plain: Vec<u8>,
}

impl Rig {
    fn new() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let socket = Socket::default();
        let link = TlsLink::new(&Arc::new(client), "localhost", || Ok(socket.clone())).unwrap();
        let server = ServerConnection::new(Arc::new(server)).unwrap();
        let mut rig = Self { socket, link, server, plain: Vec::new() };
        rig.socket.0.borrow_mut().allowed = usize::MAX;
        while !rig.link.open().unwrap() || rig.server.is_handshaking() {
            rig.serve();
        }
        rig.serve();
        rig
    }

    /// The server takes all that has left, and says what it has to.
    fn serve(&mut self) {
        let mut wire = self.socket.0.borrow_mut();
        let sent = core::mem::take(&mut wire.to_server);
        let mut sent = &sent[..];
        while !sent.is_empty() {
            self.server.read_tls(&mut sent).unwrap();
            self.server.process_new_packets().unwrap();
            let mut plain = [0; 4_096];
            while let Ok(len @ 1..) = self.server.reader().read(&mut plain) {
                self.plain.extend_from_slice(&plain[..len]);
            }
        }
        while self.server.wants_write() {
            self.server.write_tls(&mut wire.to_client).unwrap();
        }
    }
}

/// To count fewer bytes than can be read at the other end is to say `NotDelivered` of what is in the log.
#[test]
fn what_was_not_counted_never_arrives() {
    let mut rig = Rig::new();
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    let mut stop = 0;
    for round in 0..120_usize {
        // Around the borders of TLS's records, and anywhere.
        stop = (stop * 7 + round * 2_731 + 1) % 70_000;
        let whole = &bytes[..1 + stop * 3 % bytes.len()];
        let before = rig.plain.len();
        let mut counted = 0;
        rig.socket.0.borrow_mut().allowed = stop;
        while counted < whole.len() {
            let (head, tail) = whole[counted..].split_at((whole.len() - counted) / 3);
            match rig.link.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]) {
                Ok(0) => panic!("it takes something or blocks"),
                Ok(len) => counted += len,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            // What has left can be read; and nothing of what was never counted.
            rig.serve();
            let arrived = rig.plain.len() - before;
            assert!(arrived <= counted, "{arrived} bytes arrived of {counted} that were counted");
            // What is kept back is a portion at most: that many bytes, and what makes records of them.
            assert!(counted - arrived <= PORTION + 2_000, "{counted} counted, {arrived} arrived");
            rig.socket.0.borrow_mut().allowed += 5_000;
        }
        rig.socket.0.borrow_mut().allowed = usize::MAX;
        rig.link.flush().unwrap();
        rig.serve();
        assert_eq!(rig.plain.len() - before, whole.len(), "all that was counted arrives");
        assert!(rig.plain[before..] == *whole, "in order");
    }
}

#[test]
fn nothing_is_encrypted_while_earlier_bytes_wait() {
    let mut rig = Rig::new();
    rig.socket.0.borrow_mut().allowed = 10;
    assert_eq!(rig.link.write(&[1; 100]).unwrap(), 100, "it is encrypted, and so it is sent");
    let blocked = rig.link.write(&[2; 100]).unwrap_err();
    assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
    assert_eq!(rig.link.flush().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody must go on");
    rig.socket.0.borrow_mut().allowed = usize::MAX;
    rig.link.flush().unwrap();
    rig.serve();
    assert_eq!(rig.plain, [1; 100], "nothing of the second");
}

#[test]
fn what_one_read_brought_is_read_to_its_end() {
    let mut rig = Rig::new();
    rig.server.writer().write_all(&[7; 10_000]).unwrap();
    rig.serve();
    let mut window = [0; 512];
    let mut found = 0;
    loop {
        match rig.link.read(&mut window) {
            Ok(len) => found += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(found, 10_000, "the poller says nothing of what rustls has already");
}

#[test]
fn keys_are_updated_whenever_the_broker_wants() {
    let mut rig = Rig::new();
    rig.server.refresh_traffic_keys().unwrap();
    rig.server.writer().write_all(b"under new keys").unwrap();
    rig.serve();
    let mut window = [0; 64];
    assert_eq!(rig.link.read(&mut window).unwrap(), 14);
    assert_eq!(rig.link.write(b"as it wants").unwrap(), 11);
    rig.link.flush().unwrap();
    rig.serve();
    assert_eq!(rig.plain, b"as it wants");
}

/// An attacker can withhold bytes, and no more than that.
#[test]
fn the_end_of_the_stream_is_an_end_with_close_notify_or_without() {
    for farewell in [true, false] {
        let mut rig = Rig::new();
        rig.server.writer().write_all(b"whole").unwrap();
        if farewell {
            rig.server.send_close_notify();
        }
        rig.serve();
        let mut window = [0; 64];
        assert_eq!(rig.link.read(&mut window).unwrap(), 5);
        let end = rig.link.read_with(&mut window, |_, _| Ok(0)).unwrap();
        assert_eq!(end, 0);
    }
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection() {
    let mut rig = Rig::new();
    rig.server.writer().write_all(b"genuine").unwrap();
    rig.serve();
    if let Some(last) = rig.socket.0.borrow_mut().to_client.back_mut() {
        *last ^= 1;
    }
    let error = rig.link.read(&mut [0; 64]).unwrap_err();
    let lost = LinkError::broken(error);
    assert_eq!(lost.cause, ottla_core::Disconnect::Tls, "{lost:?}");
}

/// Whoever has the lock meanwhile has it no longer than for a read.
#[test]
fn a_peer_that_says_nothing_of_the_applications_costs_one_read_at_a_time() {
    let mut rig = Rig::new();
    let mut endless = 0;
    for _ in 0..5 {
        rig.server.refresh_traffic_keys().unwrap();
        rig.serve();
        match rig.link.read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => endless += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(endless, 5);
}

#[test]
fn what_came_before_a_broken_record_is_read_first() {
    let mut rig = Rig::new();
    rig.server.writer().write_all(b"whole").unwrap();
    rig.serve();
    rig.server.writer().write_all(b"broken").unwrap();
    rig.serve();
    *rig.socket.0.borrow_mut().to_client.back_mut().unwrap() ^= 1;
    let mut window = [0; 64];
    assert_eq!(rig.link.read(&mut window).unwrap(), 5);
    assert!(rig.link.read(&mut window).unwrap_err().kind() != ErrorKind::WouldBlock);
}

#[test]
fn the_peer_is_told_of_the_end() {
    let Rig { socket, link, mut server, .. } = Rig::new();
    drop(link);
    let sent = core::mem::take(&mut socket.0.borrow_mut().to_server);
    server.read_tls(&mut &sent[..]).unwrap();
    assert!(server.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn a_host_that_no_certificate_can_be_for_is_not_dialled() {
    let config =
        ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
    let dial = || -> Result<Socket, LinkError> { unreachable!("it is not dialled") };
    let refused = TlsLink::new(&Arc::new(config), "kafka-", dial).unwrap_err();
    assert_eq!(refused.cause, ottla_core::Disconnect::Tls);
    let words = refused.words().unwrap();
    assert!(words.contains("\"kafka-\" is no name that a certificate can be for"), "{words}");
    assert!(words.contains("bootstrap.servers"), "{words}");
}
