//! Certificates, and a network whose streams fail where they are told to.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use core::{
    cell::{Cell, RefCell},
    future::pending,
    time::Duration,
};
use std::{
    sync::Arc,
    time::{Instant as Wall, SystemTime, UNIX_EPOCH},
};

use embassy_futures::select::{Either, select};
use embedded_io::ErrorKind;
use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::{ErrorType, Read, Write};
use ottla_core::{Disconnect, Instant};
use ottla_embedded::{Clock, Connect, Duplex};
use ottla_example_embedded_tls::{Failure, Identity, Records, Settings, Tls};
use p256::{SecretKey, pkcs8::DecodePrivateKey};
use rand_core::{OsRng, RngCore};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio::net::{
    TcpStream,
    tcp::{OwnedReadHalf, OwnedWriteHalf},
};

/// Whoever signs certificates.
pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key.
pub struct Signed {
    pub certificate: CertificateDer<'static>,
    pub key: KeyPair,
}

impl Signed {
    pub fn identity(&self) -> Identity<'_> {
        let key = SecretKey::from_pkcs8_der(&self.key.serialize_der()).unwrap();
        Identity { certificate: &self.certificate, key: key.into() }
    }

    fn der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

pub fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub fn sign(by: &Authority, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Signed {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap().der().clone();
    Signed { certificate, key }
}

/// A listener that shows a chain of certificates, and asks for some of this authority's.
pub fn listener(
    shows: &Signed,
    between: &[&Signed],
    asks: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let builder = match asks {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let mut chain = vec![shows.certificate.clone()];
    chain.extend(between.iter().map(|signed| signed.certificate.clone()));
    Arc::new(builder.with_single_cert(chain, shows.der()).unwrap())
}

pub fn entropy(into: &mut [u8]) -> bool {
    OsRng.try_fill_bytes(into).is_ok()
}

pub fn wall_clock() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

pub struct TestClock(pub Wall);

impl Clock for TestClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }

    async fn wait_until(&self, at: Instant) {
        let at = self.0 + Duration::from_micros(at.as_micros());
        tokio::time::sleep_until(at.into()).await;
    }
}

/// What happens after so many bytes of ciphertext were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next write fails.
    Write(usize),
    /// What is left of the write is taken, and its flush fails.
    Flush(usize),
    /// The next write never ends.
    Hang(usize),
}

/// Sockets to loopback.
#[derive(Default)]
pub struct Network {
    /// Of the stream that is open. Once it has come, nobody can be dialled.
    pub fault: Cell<Option<Fault>>,
    pub is_down: Cell<bool>,
    /// Bytes of ciphertext that were taken.
    pub taken: Cell<usize>,
}

pub struct Socket<'n>(FromTokio<OwnedReadHalf>, Sender<'n>);

pub struct Sender<'n> {
    socket: FromTokio<OwnedWriteHalf>,
    network: &'n Network,
}

impl Connect for Network {
    type Stream<'a> = Socket<'a>;

    async fn connect<'a>(
        &'a self,
        _: usize,
        host: &str,
        port: u16,
    ) -> Result<Socket<'a>, Disconnect> {
        if self.is_down.get() {
            return Err(Disconnect::Refused);
        }
        let stream = TcpStream::connect((host, port)).await.map_err(|_| Disconnect::Refused)?;
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Ok(Socket(FromTokio::new(reader), Sender { socket: FromTokio::new(writer), network: self }))
    }
}

impl<'n> Duplex for Socket<'n> {
    type Reader<'s>
        = &'s mut FromTokio<OwnedReadHalf>
    where
        Self: 's;
    type Writer<'s>
        = &'s mut Sender<'n>
    where
        Self: 's;

    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>) {
        (&mut self.0, &mut self.1)
    }
}

impl ErrorType for Sender<'_> {
    type Error = ErrorKind;
}

impl Sender<'_> {
    fn fail(&self) -> ErrorKind {
        self.network.is_down.set(true);
        ErrorKind::BrokenPipe
    }

    async fn take(&mut self, from: &[u8]) -> Result<usize, ErrorKind> {
        let len = self.socket.write(from).await.map_err(|_| ErrorKind::Other)?;
        self.network.taken.set(self.network.taken.get() + len);
        Ok(len)
    }
}

impl Write for Sender<'_> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, ErrorKind> {
        let fault = self.network.fault.get();
        match fault {
            None | Some(Fault::Flush(0)) => self.take(from).await,
            Some(Fault::Write(0)) => Err(self.fail()),
            Some(Fault::Hang(0)) => {
                self.network.is_down.set(true);
                pending().await
            }
            Some(Fault::Write(left) | Fault::Flush(left) | Fault::Hang(left)) => {
                let some = from.get(..left).unwrap_or(from);
                let len = self.take(some).await?;
                self.network.fault.set(fault.map(|fault| match fault {
                    Fault::Write(_) => Fault::Write(left - len),
                    Fault::Flush(_) => Fault::Flush(left - len),
                    Fault::Hang(_) => Fault::Hang(left - len),
                }));
                Ok(len)
            }
        }
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        match self.network.fault.get() {
            Some(Fault::Flush(0)) => Err(self.fail()),
            _ => self.socket.flush().await.map_err(|_| ErrorKind::Other),
        }
    }
}

/// Dials one address over TLS, and tells why that fails; `None` where there is a connection.
pub async fn dial(host: &str, port: u16, settings: &Settings<'_>) -> Option<Failure> {
    let (tls, network, told) = (Tls::<1>::new(), Network::default(), RefCell::new(None));
    let mut records = Records::<2_048, 1_024>::new();
    let tell = |failure: &Failure| drop(told.replace(Some(failure.clone())));
    let serve = tls.serve(0, &network, settings, &mut records, tell);
    let dialled = async {
        match tls.connect(0, host, port).await {
            // Something of the application's, so that it is known that it is not only the handshake.
            Ok(mut stream) => {
                let (mut reader, _writer) = stream.split();
                let mut word = [0; 16];
                let alert = reader.read(&mut word);
                let alert = tokio::time::timeout(Duration::from_millis(200), alert);
                alert.await.is_err()
            }
            Err(_) => false,
        }
    };
    match select(serve, dialled).await {
        Either::First(never) => match never {},
        Either::Second(true) => None,
        Either::Second(false) => told.take(),
    }
}
