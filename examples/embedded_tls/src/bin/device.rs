//! The example on a Cortex-M4F: 200 records over TLS over a UART, whose other end is a TCP connection to a broker's listener.
//!
//! Who it trusts and is, is in the image: see `build.rs`. The words of the semihosting command line are `broker=HOST:PORT`,
//! which is what the certificate is to be for, and `now=SECONDS` since 1970. A UART does not say that the connection ended,
//! so the example is for one connection: a device on a network takes `Nal`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::{
    cell::RefCell,
    convert::Infallible,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use board::{Board, Link};
use cortex_m_semihosting::hprintln;
use embassy_futures::{
    block_on,
    select::{Either3, select3},
    yield_now,
};
use embedded_io::{ErrorType, Read as _, ReadReady as _, Write as _, WriteReady as _};
use embedded_io_async::{Read, Write};
use ottla_core::{Config, Disconnect, Instant, Producer, Record, TopicStatus, static_memory};
use ottla_embedded::{
    Backlog, Buffers, Client, Clock, Connect, DropPolicy, Duplex, RecordOutcome, run,
};
use ottla_example_embedded_tls::{Failure, Identity, Records, Settings, Tls};
use p256::{SecretKey, pkcs8::DecodePrivateKey};
use rustls_pki_types::CertificateDer;
use static_cell::{ConstStaticCell, StaticCell};

const AUTHORITY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/authority.der"));
const CERTIFICATE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/certificate.der"));
const KEY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/key.der"));

const RECORDS: u32 = 200;
const WITHIN: Duration = Duration::from_secs(60);

type Readings = Backlog<u32, 16>;

type Lent = static_memory! {
    connections: 1,
    brokers: 2,
    topics: 1,
    partitions: 4,
    batches: 8,
    pages: 8,
    page_size: 512,
    rx_window: 512,
    tx_window: 256,
    name: 64,
};

// All zeros, so none of it is in the flash.
static MEMORY: ConstStaticCell<Lent> = ConstStaticCell::new(Lent::new());
static BUFFERS: ConstStaticCell<Buffers<1, 256>> = ConstStaticCell::new(Buffers::new());
static RECORDS_OF_TLS: ConstStaticCell<Records<1_024, 1_024>> =
    ConstStaticCell::new(Records::new());
static TRUSTED: StaticCell<CertificateDer<'static>> = StaticCell::new();

/// Seconds since 1970 at the start.
static START: AtomicU32 = AtomicU32::new(0);

/// As good as its start. A device asks a server of the time.
fn wall_clock() -> Option<Duration> {
    match START.load(Ordering::Relaxed) {
        0 => None,
        seconds => Some(Duration::from_secs(seconds.into())),
    }
}

struct BoardClock(RefCell<board::Clock>);

impl Clock for BoardClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.borrow_mut().micros())
    }

    async fn wait_until(&self, at: Instant) {
        while self.now() < at {
            yield_now().await;
        }
    }
}

/// The wire. It is always there.
struct Wire(RefCell<Link>);

struct Plugged<'a>(&'a RefCell<Link>);

impl Connect for Wire {
    type Stream<'a> = Plugged<'a>;

    async fn connect<'a>(&'a self, _: usize, _: &str, _: u16) -> Result<Plugged<'a>, Disconnect> {
        Ok(Plugged(&self.0))
    }
}

impl Duplex for Plugged<'_> {
    type Reader<'s>
        = Plugged<'s>
    where
        Self: 's;
    type Writer<'s>
        = Plugged<'s>
    where
        Self: 's;

    fn split(&mut self) -> (Plugged<'_>, Plugged<'_>) {
        (Plugged(self.0), Plugged(self.0))
    }
}

impl ErrorType for Plugged<'_> {
    type Error = Infallible;
}

impl Read for Plugged<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        while !self.0.borrow_mut().read_ready()? {
            yield_now().await;
        }
        self.0.borrow_mut().read(into)
    }
}

impl Write for Plugged<'_> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, Infallible> {
        while !self.0.borrow_mut().write_ready()? {
            yield_now().await;
        }
        self.0.borrow_mut().write(from)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

async fn send(client: &Client<'_, Readings>, clock: &BoardClock) -> bool {
    let topic = client.with(|producer, _| producer.topic(clock.now(), "readings"));
    let Ok(topic) = topic else { return false };
    let mut seen = 0;
    let ready = |producer: &mut Producer<'_>, _: &mut Readings| {
        matches!(producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
    };
    while !client.with(ready) {
        client.changed(&mut seen).await;
    }
    let (mut next, mut delivered, mut last) = (0, 0, 0);
    while last < RECORDS {
        if next < RECORDS {
            let value = next.to_le_bytes();
            // Its time is the broker's: the topic has `message.timestamp.type=LogAppendTime`.
            let record = Record { value: Some(&value), ..Record::default() };
            let taken = client.with(|producer, readings| {
                readings.produce(producer, clock.now(), topic, &record, next, Some(WITHIN))
            });
            next += u32::from(taken.is_ok());
        }
        yield_now().await;
        while let Some(report) = client.with(|_, readings| readings.poll_report()) {
            last += u32::from(report.last);
            delivered += u32::from(matches!(report.outcome, RecordOutcome::Delivered { .. }));
        }
    }
    hprintln!("delivered={} of {}", delivered, RECORDS);
    delivered == RECORDS
}

fn tell(failure: &Failure) {
    hprintln!("connection: {}", failure);
}

fn produce(board: Board) -> Option<bool> {
    let Board { link, clock, arguments } = board;
    let mut brokers = None;
    for word in arguments.skip(1) {
        match word.split_once('=')? {
            ("broker", value) => brokers = Some(value),
            ("now", value) => START.store(value.parse().ok()?, Ordering::Relaxed),
            _ => return None,
        }
    }
    let trusted = TRUSTED.init(CertificateDer::from(AUTHORITY));
    // A stand-in: a device takes its TRNG.
    let settings = Settings::new(trusted, board::stand_in_for_entropy, wall_clock);
    let settings = settings.inspect_err(tell).ok()?;
    let settings = match SecretKey::from_pkcs8_der(KEY) {
        Ok(key) => settings.with_identity(Identity { certificate: CERTIFICATE, key: key.into() }),
        Err(_) => settings,
    };
    let mut seed = [0; 8];
    board::stand_in_for_entropy(&mut seed);
    let config = Config { bootstrap_servers: brokers?, ..Config::default() };
    let config = Config { batch_size: 512, max_request_size: 2_048, ..config };
    let producer = Producer::new(&config, MEMORY.take().lend(), u64::from_le_bytes(seed)).ok()?;
    let client = Client::new(producer, Readings::new(DropPolicy::NewestFirst));
    let (tls, clock, wire) =
        (Tls::<1>::new(), BoardClock(RefCell::new(clock)), Wire(RefCell::new(link)));
    let all = select3(
        run(&client, &tls, &clock, BUFFERS.take()),
        tls.serve(0, &wire, &settings, RECORDS_OF_TLS.take(), tell),
        send(&client, &clock),
    );
    Some(matches!(block_on(all), Either3::Third(true)))
}

#[board::entry]
fn main() -> ! {
    let done = Board::take().and_then(produce);
    if done.is_none() {
        hprintln!("not begun: words are broker=HOST:PORT and now=SECONDS");
    }
    hprintln!("memory: {} bytes static, {} of stack", board::static_memory(), board::stack_used());
    board::exit(done == Some(true))
}
