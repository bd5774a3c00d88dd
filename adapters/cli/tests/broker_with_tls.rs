//! `ottla broker` that speaks TLS.

mod common;

#[cfg(not(feature = "tls"))]
#[test]
fn a_program_without_tls_says_so() {
    let ran = common::ottla(&["broker", "--tls-ca", "ca.pem"], b"");
    ran.refused(&["--tls-ca", "built without TLS", "--features tls"]);
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpStream,
        process::{Child, Command},
        sync::Arc,
    };

    use ottla_core::wire::{
        ApiKey, Dialect, Wire, Writer, dialect, frame, metadata, sasl_authenticate,
        sasl_handshake::SaslHandshakeRequest,
    };
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    };

    use crate::common::{DRIVERS, PATIENCE, Ran, Scratch, ended, ottla, spawn};

    /// A broker, and where it listens.
    fn start(options: &[&str]) -> (Child, String) {
        let args = ["broker", "--listen", "127.0.0.1:0", "--topic", "t"];
        let mut child = spawn(&[&args[..], options].concat());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.strip_prefix("listening on ").unwrap().trim().to_owned())
    }

    fn stop(child: Child) -> Ran {
        let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        let ran = ended(child.wait_with_output().unwrap());
        assert_eq!(ran.status, 0, "{ran:?}");
        ran
    }

    fn connect(
        address: &str,
        name: &str,
        roots: RootCertStore,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(session, socket)
    }

    fn roots(ca: &Scratch) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca.path()).unwrap()).unwrap();
        roots
    }

    /// A request in version 1.
    fn request(api: ApiKey, body: impl Fn(&mut Writer<'_>, Dialect)) -> Vec<u8> {
        let write = |w: &mut Writer<'_>| {
            let size = frame::begin(w);
            frame::write_request_header(w, api, 1, 7, Some("test"));
            body(w, dialect(api, 1));
            frame::end(w, size, 0);
        };
        let mut bytes = vec![0; Writer::measure(write)];
        write(&mut Writer::new(&mut bytes));
        bytes
    }

    /// Asks for all topics.
    fn ask() -> Vec<u8> {
        request(ApiKey::METADATA, |w, d| {
            metadata::write_request(w, d, None);
            metadata::write_request_end(w, d, false);
        })
    }

    fn hear(stream: &mut impl Read) -> Vec<u8> {
        let mut size = [0; 4];
        stream.read_exact(&mut size).unwrap();
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
        stream.read_exact(&mut frame).unwrap();
        frame
    }

    #[test]
    fn a_client_that_trusts_the_authority_is_served() {
        let ca = Scratch::new("served-ca");
        let (child, address) = start(&["--tls-ca", ca.path()]);
        for name in ["localhost", "127.0.0.1"] {
            let mut stream = connect(&address, name, roots(&ca));
            stream.write_all(&ask()).unwrap();
            assert_eq!(hear(&mut stream)[..4], 7_i32.to_be_bytes());
            // As much as takes many records of TLS, in both directions, and is answered in order.
            let many = 3_000;
            let (mut asking, bytes) = (0, ask().repeat(many));
            while asking < bytes.len() {
                asking += stream.write(&bytes[asking..]).unwrap();
            }
            for _ in 0..many {
                assert_eq!(hear(&mut stream)[..4], 7_i32.to_be_bytes());
            }
        }
        let ran = stop(child);
        let said = "the certificate is self-made, for trying only; clients need ssl.ca.location=";
        assert!(ran.stderr.contains(said) && ran.stderr.contains(ca.path()), "{ran:?}");
    }

    #[test]
    fn nobody_else_trusts_it_and_nobody_is_served_without() {
        let ca = Scratch::new("trusted-ca");
        let other = Scratch::new("other-ca");
        let (child, address) = start(&["--tls-ca", ca.path()]);
        let (another, _) = start(&["--tls-ca", other.path()]);
        for (name, roots) in [("localhost", roots(&other)), ("broker.example", roots(&ca))] {
            let refused = connect(&address, name, roots).write_all(&ask()).unwrap_err();
            assert!(refused.to_string().contains("invalid peer certificate"), "{refused}");
        }
        let mut plain = TcpStream::connect(&address).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.write_all(&ask()).unwrap();
        let mut heard = Vec::new();
        // What was left unread may end it otherwise than at its end.
        drop(plain.read_to_end(&mut heard));
        assert!(heard.is_empty() || heard.starts_with(&[0x15, 3, 3]), "{heard:?}");
        stop(child);
        stop(another);
    }

    #[test]
    fn clients_are_asked_who_they_are_behind_it() {
        let ca = Scratch::new("asked-ca");
        let sasl = ["--sasl-mechanism", "PLAIN", "--sasl-user", "alice:alice-secret"];
        let (child, address) = start(&[&sasl[..], &["--tls-ca", ca.path()]].concat());
        let message = b"\0alice\0alice-secret";
        let handshake = request(ApiKey::SASL_HANDSHAKE, |w, d| {
            SaslHandshakeRequest { mechanism: "PLAIN" }.write(w, d);
        });
        let authenticate = request(ApiKey::SASL_AUTHENTICATE, |w, d| {
            sasl_authenticate::write_request_head(w, d, message.len());
            w.bytes(message);
            sasl_authenticate::write_request_end(w, d);
        });
        let mut stream = connect(&address, "localhost", roots(&ca));
        stream.write_all(&[handshake, authenticate, ask()].concat()).unwrap();
        for _ in 0..2 {
            assert_eq!(hear(&mut stream)[4..6], [0, 0], "no error");
        }
        hear(&mut stream);
        // Who does not say it hears a goodbye and nothing else.
        let mut stream = connect(&address, "localhost", roots(&ca));
        stream.write_all(&ask()).unwrap();
        assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
        stop(child);
    }

    #[test]
    fn ottla_produces_to_it() {
        let ca = Scratch::new("produced-ca");
        let (child, address) = start(&["--tls-ca", ca.path()]);
        let location = format!("ssl.ca.location={}", ca.path());
        for driver in DRIVERS {
            let args = ["produce", "--topic", "t", "--bootstrap", &address, "--driver", driver];
            let tls = ["--property", "security.protocol=SSL", "--property", &location];
            let lines = "a line\n".repeat(20_000);
            let ran = ottla(&[&args[..], &tls].concat(), lines.as_bytes());
            assert_eq!((ran.status, ran.counts()), (0, [20_000, 0, 0]), "{ran:?}");
        }
        stop(child);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let args = ["broker", "--listen", "127.0.0.1:0", "--tls-ca", "/nowhere/at/all/ca.pem"];
        ottla(&args, b"").refused(&["--tls-ca /nowhere/at/all/ca.pem", "it cannot be written"]);
    }
}
