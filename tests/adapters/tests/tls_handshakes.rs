//! A cluster that comes back: a hundred handshakes at once, of which each turn of the driver does a few steps, while
//! other connections go on.

use core::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    task::{Context, Poll, Waker},
};
use std::{
    io::{self, IoSlice},
    sync::Arc,
    task::Wake,
    time::Instant,
};

use ottla_adapter_tests::{
    BuildError, Config, Limits, Record, serve,
    tls::{Authority, Demands, front_to_cut},
};
use ottla_client::tasks::{Producer, Runtime};
use ottla_tokio::Tokio;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, NamedGroup, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{ActiveKeyExchange, SupportedKxGroup, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

const NODES: u16 = 100;
/// Steps that a turn does at most.
const MOST: u32 = 2;

/// Keys that were made, for a handshake's beginning.
static BEGUN: AtomicU32 = AtomicU32::new(0);
/// Certificates that were verified, at its end.
static VERIFIED: AtomicU32 = AtomicU32::new(0);
/// How many of both one turn of the driver did at most.
static IN_A_TURN: AtomicU32 = AtomicU32::new(0);
/// Turns that did any.
static TURNS: AtomicU32 = AtomicU32::new(0);
/// Turns that left some, with none that follows.
static LEFT: AtomicU32 = AtomicU32::new(0);
/// Looks for answers in such turns, though nobody said that there are any. (Where callers do not write, nobody else does.)
static LOOKS: AtomicU32 = AtomicU32::new(0);

fn steps() -> u32 {
    BEGUN.load(Ordering::Relaxed) + VERIFIED.load(Ordering::Relaxed)
}

/// Whether the driver's task was woken.
struct Woken {
    flag: AtomicBool,
    task: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}

/// tokio, and a look at each turn of the driver.
#[derive(Clone, Debug)]
struct Watched(Tokio);

impl Runtime for Watched {
    type Stream = <Tokio as Runtime>::Stream;
    type Timer = <Tokio as Runtime>::Timer;

    fn current() -> Result<Self, BuildError> {
        Tokio::current().map(Self)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut task = Box::pin(task);
        self.0.spawn(poll_fn(move |cx| {
            let before = steps();
            let woken = Arc::new(Woken { flag: AtomicBool::new(false), task: cx.waker().clone() });
            let waker = Waker::from(Arc::clone(&woken));
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            let did = steps() - before;
            // One was dialled to learn of the others, which were then all to be dialled.
            if did > 0 && (2..NODES.into()).contains(&BEGUN.load(Ordering::Relaxed)) {
                LEFT.fetch_add(u32::from(!woken.flag.load(Ordering::Relaxed)), Ordering::Relaxed);
            }
            IN_A_TURN.fetch_max(did, Ordering::Relaxed);
            TURNS.fetch_add(u32::from(did > 0), Ordering::Relaxed);
            polled
        }));
    }

    fn look_up(
        host: String,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        Tokio::look_up(host, port)
    }

    fn connect(to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static {
        Tokio::connect(to)
    }

    fn poll_read(
        stream: &mut Self::Stream,
        cx: &mut Context<'_>,
        window: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Tokio::poll_read(stream, cx, window)
    }

    fn poll_write(
        stream: &mut Self::Stream,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Tokio::poll_write(stream, cx, pieces)
    }

    fn try_read(stream: &mut Self::Stream, window: &mut [u8]) -> io::Result<usize> {
        LOOKS.fetch_add(1, Ordering::Relaxed);
        Tokio::try_read(stream, window)
    }

    fn timer(&self, at: Instant) -> Self::Timer {
        self.0.timer(at)
    }

    fn reset(timer: Pin<&mut Self::Timer>, at: Instant) {
        Tokio::reset(timer, at);
    }
}

/// Counts keys.
#[derive(Debug)]
struct Counted;

impl SupportedKxGroup for Counted {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        ring::kx_group::X25519.start()
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// Counts certificates.
#[derive(Debug)]
struct Counting(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Counting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        VERIFIED.fetch_add(1, Ordering::Relaxed);
        self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn config(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let mut provider = ring::default_provider();
    provider.kx_groups = vec![&Counted];
    let provider = Arc::new(provider);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Counting(verifier.build().unwrap())))
        .with_no_client_auth();
    // With a session nothing is verified.
    config.resumption = Resumption::disabled();
    config
}

fn to(partition: u16) -> Record<'static> {
    Record { partition: Some(partition.into()), value: Some(b"v"), ..Record::default() }
}

#[test]
fn a_turn_does_a_few_steps_of_a_hundred_handshakes_and_other_connections_go_on() {
    // One thread: what is sent without waiting is there for one turn of the driver.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // As a task: the outermost future is looked at now and then only.
    let storms = runtime.spawn(async {
        let server = serve(NODES, &[("t", NODES.into())]);
        let authority = Authority::new();
        let identity = authority.sign(&["127.0.0.1"]);
        let (bootstrap, open) = front_to_cut(&server, "127.0.0.1", &identity, &Demands::default());
        // No connection gives way to another.
        let limits = Limits::for_config(&Config::default());
        let producer = Producer::<Watched>::builder()
            .property("bootstrap.servers", bootstrap.split(',').next().unwrap())
            .property("linger.ms", "0")
            .property("reconnect.backoff.ms", "1")
            .property("reconnect.backoff.max.ms", "1")
            .tls(config(&authority))
            .limits(Limits { connections: 128, brokers: 256, ..limits })
            .build()
            .unwrap();
        let topic = producer.topic("t").unwrap();
        // All brokers have something to be sent at once, first without connections and then when those are lost.
        for storm in 0..2 {
            let (before, verified) = (steps(), VERIFIED.load(Ordering::Relaxed));
            // The connection to the first stays.
            open.cut(|node| node != 1);
            let mut sent = Vec::new();
            for partition in 0..NODES {
                sent.push(producer.send(&topic, &to(partition)).await.unwrap());
            }
            let mut beside = 0;
            while VERIFIED.load(Ordering::Relaxed) < verified + u32::from(NODES) - 1 {
                let delivery = producer.send(&topic, &to(0)).await.unwrap();
                assert!(delivery.await.is_delivered());
                beside += 1;
            }
            for delivery in sent {
                assert!(delivery.await.is_delivered(), "a handshake that never ends");
            }
            let most = IN_A_TURN.swap(0, Ordering::Relaxed);
            let (turns, looks) =
                (TURNS.swap(0, Ordering::Relaxed), LOOKS.swap(0, Ordering::Relaxed));
            println!("storm {storm}: {most} a turn, {turns} turns, {looks} looks, {beside} beside");
            assert!(steps() - before >= 2 * (u32::from(NODES) - 1), "no storm");
            assert!(most <= MOST, "{most} steps in a turn");
            assert_eq!(LEFT.load(Ordering::Relaxed), 0, "turns that none follows at once");
            // One thread that has always something to do hears of its sockets only now and then, unless it asks.
            assert!(looks >= turns / 2, "{looks} looks for answers in {turns} turns");
            assert!(beside > 4, "{beside} records to the first in the storm");
        }
    });
    runtime.block_on(storms).unwrap();
}
