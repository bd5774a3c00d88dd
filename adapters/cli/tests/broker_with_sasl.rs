//! `ottla broker` that lets in only who authenticates, by raw sockets.

mod common;

use core::time::Duration;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command},
    thread,
};

#[cfg(feature = "sasl")]
use common::DRIVERS;
use common::{PATIENCE, ended, ottla, spawn};
use ottla_core::wire::{
    ApiKey, Dialect, ErrorCode, Wire, Writer, dialect, frame, metadata, sasl_authenticate,
    sasl_handshake::SaslHandshakeRequest,
};

/// A broker that ends with its test.
struct Broker {
    child: Option<Child>,
    address: String,
}

impl Broker {
    fn start(options: &[&str]) -> Self {
        let args = ["broker", "--listen", "127.0.0.1:0", "--topic", "t"];
        let mut child = spawn(&[&args[..], options].concat());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").unwrap().trim().to_owned();
        Self { child: Some(child), address }
    }

    fn connect(&self) -> Socket {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Socket(stream)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        let ran = ended(child.wait_with_output().unwrap());
        assert!(thread::panicking() || ran.status == 0, "{ran:?}");
    }
}

struct Socket(TcpStream);

impl Socket {
    fn send(&mut self, api: ApiKey, version: i16, body: impl Fn(&mut Writer<'_>, Dialect)) {
        let write = |w: &mut Writer<'_>| {
            let size = frame::begin(w);
            frame::write_request_header(w, api, version, 1, Some("test"));
            body(w, dialect(api, version));
            frame::end(w, size, 0);
        };
        let mut bytes = vec![0; Writer::measure(write)];
        write(&mut Writer::new(&mut bytes));
        self.0.write_all(&bytes).unwrap();
    }

    /// What follows the size and the correlation id; nothing where the connection has ended.
    fn hear(&mut self) -> Vec<u8> {
        let mut size = [0; 4];
        match self.0.read_exact(&mut size) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Vec::new(),
            // Where something was left unread, the end is told so.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Vec::new(),
            read => read.unwrap(),
        }
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
        self.0.read_exact(&mut frame).unwrap();
        frame.split_off(4)
    }

    fn handshake(&mut self, mechanism: &str) -> ErrorCode {
        self.send(ApiKey::SASL_HANDSHAKE, 1, |w, d| SaslHandshakeRequest { mechanism }.write(w, d));
        code(&self.hear())
    }

    /// Says this; the answer, in version 1.
    fn say(&mut self, message: &[u8]) -> Vec<u8> {
        self.send(ApiKey::SASL_AUTHENTICATE, 1, |w, d| {
            sasl_authenticate::write_request_head(w, d, message.len());
            w.bytes(message);
            sasl_authenticate::write_request_end(w, d);
        });
        self.hear()
    }

    fn metadata(&mut self) -> Vec<u8> {
        self.send(ApiKey::METADATA, 1, |w, d| {
            metadata::write_request(w, d, Some(0));
            metadata::write_request_end(w, d, false);
        });
        self.hear()
    }
}

fn code(answer: &[u8]) -> ErrorCode {
    ErrorCode(i16::from_be_bytes(*answer.first_chunk().unwrap()))
}

/// The lifetime, at the end of an answer without an error.
fn lifetime(answer: &[u8]) -> i64 {
    assert_eq!(code(answer), ErrorCode::NONE);
    i64::from_be_bytes(*answer.last_chunk().unwrap())
}

#[test]
fn who_has_the_password_or_the_token_is_let_in() {
    let all = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
    let mut options: Vec<&str> = all.iter().flat_map(|name| ["--sasl-mechanism", *name]).collect();
    options.extend(["--sasl-user", "alice:alice-secret", "--sasl-user", "bob:bob:secret"]);
    options.extend(["--sasl-token", "alice:a-token:60"]);
    let broker = Broker::start(&options);

    let mut socket = broker.connect();
    assert_eq!(socket.handshake("PLAIN"), ErrorCode::NONE);
    assert_eq!(lifetime(&socket.say(b"\0bob\0bob:secret")), 0);
    assert!(!socket.metadata().is_empty());

    let mut socket = broker.connect();
    assert_eq!(socket.handshake("OAUTHBEARER"), ErrorCode::NONE);
    let lifetime = lifetime(&socket.say(b"n,,\x01auth=Bearer a-token\x01\x01"));
    assert!((1..=60_000).contains(&lifetime), "{lifetime}");
    assert!(!socket.metadata().is_empty());

    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut socket = broker.connect();
        assert_eq!(socket.handshake(mechanism), ErrorCode::NONE);
        let answer = socket.say(b"n,,n=alice,r=nonce");
        assert_eq!(code(&answer), ErrorCode::NONE);
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.contains("r=nonce") && text.contains(",i=4096"), "{text}");
    }
}

#[test]
fn nobody_else_is() {
    let options = ["--sasl-mechanism", "SCRAM-SHA-256", "--sasl-mechanism", "PLAIN"];
    let broker = Broker::start(&[&options[..], &["--sasl-user", "alice:alice-secret"]].concat());
    let refused = ErrorCode::SASL_AUTHENTICATION_FAILED;

    let mut socket = broker.connect();
    assert_eq!(socket.handshake("PLAIN"), ErrorCode::NONE);
    assert_eq!(code(&socket.say(b"\0alice\0wrong")), refused);
    assert!(socket.hear().is_empty());

    let mut socket = broker.connect();
    assert_eq!(socket.handshake("SCRAM-SHA-256"), ErrorCode::NONE);
    assert_eq!(code(&socket.say(b"n,,n=bob,r=nonce")), refused);
    assert!(socket.hear().is_empty());

    let mut socket = broker.connect();
    assert_eq!(socket.handshake("OAUTHBEARER"), ErrorCode::UNSUPPORTED_SASL_MECHANISM);
    assert!(socket.hear().is_empty());

    assert!(broker.connect().metadata().is_empty());
}

#[test]
fn who_is_in_has_to_say_so_again() {
    let options = ["--sasl-mechanism", "PLAIN", "--sasl-user", "alice:alice-secret"];
    let broker = Broker::start(&[&options[..], &["--max-reauth-ms", "1500"]].concat());
    let mut socket = broker.connect();
    for _ in 0..2 {
        assert_eq!(socket.handshake("PLAIN"), ErrorCode::NONE);
        assert_eq!(lifetime(&socket.say(b"\0alice\0alice-secret")), 1_500);
    }
    assert!(!socket.metadata().is_empty());
    thread::sleep(Duration::from_millis(1_600));
    assert!(socket.metadata().is_empty());
}

#[test]
fn what_lets_nobody_in_is_refused() {
    let broker = |options: &[&str]| ottla(&[&["broker"], options].concat(), b"");
    let plain = ["--sasl-mechanism", "PLAIN"];
    broker(&plain).refused(&["PLAIN", "--sasl-user NAME:PASSWORD"]);
    let token = ["--sasl-mechanism", "OAUTHBEARER", "--sasl-user", "a:b"];
    broker(&token).refused(&["OAUTHBEARER", "--sasl-token NAME:TOKEN"]);
    broker(&["--sasl-mechanism", "GSSAPI"]).refused(&["GSSAPI", "SCRAM-SHA-256"]);
    broker(&["--sasl-user", "a:b"]).refused(&["--sasl-mechanism"]);
    broker(&[&plain[..], &["--sasl-user", "alice"]].concat()).refused(&["NAME:PASSWORD"]);
    broker(&["--max-reauth-ms", "5"]).refused(&["--sasl-mechanism"]);
}

#[cfg(feature = "sasl")]
#[test]
fn ottla_produces_to_it() {
    let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
    let mut options: Vec<_> = mechanisms.iter().flat_map(|m| ["--sasl-mechanism", *m]).collect();
    options.extend(["--sasl-user", "alice:alice-secret", "--max-reauth-ms", "1100"]);
    let broker = Broker::start(&options);
    let produce = |driver: &str, mechanism: &str, password: &str, rate: &str, lines: usize| {
        let mut args = vec!["produce", "--topic", "t", "--bootstrap", &broker.address];
        args.extend(["--driver", driver, "--rate", rate]);
        let properties = [
            "security.protocol=SASL_PLAINTEXT".to_owned(),
            format!("sasl.mechanism={mechanism}"),
            "sasl.username=alice".to_owned(),
            format!("sasl.password={password}"),
            "max.block.ms=1000".to_owned(),
        ];
        args.extend(properties.iter().flat_map(|property| ["--property", property]));
        ottla(&args, &b"a line\n".repeat(lines))
    };
    for driver in DRIVERS {
        for mechanism in mechanisms {
            let ran = produce(driver, mechanism, "alice-secret", "1000000", 1_000);
            assert_eq!((ran.status, ran.counts()), (0, [1_000, 0, 0]), "{ran:?}");
            let ran = produce(driver, mechanism, "not-alices", "1000000", 1);
            assert_eq!(ran.counts()[0], 0, "{ran:?}");
            assert!(!ran.stderr.contains("not-alices"), "{ran:?}");
        }
        // Through the ends of some sessions.
        let ran = produce(driver, "SCRAM-SHA-256", "alice-secret", "40", 140);
        assert_eq!((ran.status, ran.counts()), (0, [140, 0, 0]), "{ran:?}");
    }
}
