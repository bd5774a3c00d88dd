//! The example on a machine with an operating system: sends records to a topic, and prints what became of each, a line of
//! JSON for a verdict.
//!
//! `host [--roomy] BROKERS TOPIC RECORDS AUTHORITY [CERTIFICATE KEY]`. The last three are PEM files; the key is PKCS#8 of
//! P-256. The buffer for what is received has 1 KiB, and with `--roomy` 2 KiB. Why a connection was not made or has ended
//! goes to standard error.

use core::{net::SocketAddr, time::Duration};
use std::time::{Instant as Wall, SystemTime, UNIX_EPOCH};

use embassy_futures::select::{Either3, select3};
use embedded_io_adapters::tokio_1::FromTokio;
use ottla_core::{Config, Disconnect, Instant, Producer, Record, TopicStatus, static_memory};
use ottla_embedded::{
    Backlog, Buffers, Client, Clock, Connect, DropPolicy, Duplex, RecordOutcome, Report, run,
};
use ottla_example_embedded_tls::{Identity, Records, Settings, Tls};
use p256::{SecretKey, pkcs8::DecodePrivateKey};
use rand_core::{OsRng, RngCore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::{
    TcpStream,
    tcp::{OwnedReadHalf, OwnedWriteHalf},
};

/// How long it may take until the topic is known.
const READY: Duration = Duration::from_secs(8);
/// Between two records.
const PACE: Duration = Duration::from_millis(2);
/// How long a record may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How long all of them may.
const LIMIT: Duration = Duration::from_secs(60);

type Failed = Box<dyn core::error::Error>;

/// tokio's clock.
struct HostClock(Wall);

impl Clock for HostClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }

    async fn wait_until(&self, at: Instant) {
        let at = self.0 + Duration::from_micros(at.as_micros());
        tokio::time::sleep_until(at.into()).await;
    }
}

/// tokio's sockets. In firmware: `Nal`, or embassy-net's.
struct Host;

struct Socket(FromTokio<OwnedReadHalf>, FromTokio<OwnedWriteHalf>);

impl Connect for Host {
    type Stream<'a> = Socket;

    async fn connect(&self, _: usize, host: &str, port: u16) -> Result<Socket, Disconnect> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found.map_err(|_| Disconnect::Unresolved)?.collect();
        let stream = TcpStream::connect(&*found).await.map_err(|_| Disconnect::Refused)?;
        stream.set_nodelay(true).map_err(|_| Disconnect::Io)?;
        let (reader, writer) = stream.into_split();
        Ok(Socket(FromTokio::new(reader), FromTokio::new(writer)))
    }
}

impl Duplex for Socket {
    type Reader<'s> = &'s mut FromTokio<OwnedReadHalf>;
    type Writer<'s> = &'s mut FromTokio<OwnedWriteHalf>;

    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>) {
        (&mut self.0, &mut self.1)
    }
}

fn entropy(into: &mut [u8]) -> bool {
    OsRng.try_fill_bytes(into).is_ok()
}

fn wall_clock() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

/// For records, by whose times brokers forget a producer.
fn unix_ms() -> Option<i64> {
    wall_clock().and_then(|since| i64::try_from(since.as_millis()).ok())
}

type Readings = Backlog<u32, 64>;

type Lent = static_memory! {
    connections: 1,
    brokers: 2,
    topics: 1,
    partitions: 4,
    batches: 16,
    pages: 16,
    page_size: 512,
    rx_window: 512,
    tx_window: 256,
    name: 64,
};

/// Sends `count` records, and prints what is told of each.
async fn send(
    client: &Client<'_, Readings>,
    clock: &HostClock,
    topic: &str,
    count: u32,
) -> Result<(), Failed> {
    let topic = client.with(|producer, _| producer.topic(clock.now(), topic))?;
    let ready = |producer: &mut Producer<'_>, _: &mut Readings| {
        matches!(producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
    };
    let mut seen = 0;
    let known = async {
        while !client.with(ready) {
            client.changed(&mut seen).await;
        }
    };
    tokio::time::timeout(READY, known).await.map_err(|_| "the topic is not known in time")?;
    let (mut next, mut tally) = (0, [0_u32; 3]);
    while next < count || !client.with(|_, readings| readings.is_empty()) {
        if next < count {
            let value = next.to_string();
            let timestamp = unix_ms().unwrap_or(-1);
            let record = Record { value: Some(value.as_bytes()), timestamp, ..Record::default() };
            let taken = client.with(|producer, readings| {
                readings.produce(producer, clock.now(), topic, &record, next, Some(WITHIN))
            });
            next += u32::from(taken.is_ok());
            tokio::time::sleep(PACE).await;
        } else {
            client.changed(&mut seen).await;
        }
        while let Some(report) = client.with(|_, readings| readings.poll_report()) {
            say(&report, clock.now(), &mut tally);
        }
    }
    let [delivered, not_delivered, unknown] = tally;
    eprintln!("delivered={delivered} not_delivered={not_delivered} unknown={unknown}");
    Ok(())
}

/// Prints a report as `ottla produce --outcomes` writes it.
fn say(report: &Report<u32>, now: Instant, tally: &mut [u32; 3]) {
    let (line, late, elapsed) = (report.token + 1, report.late, now.as_micros());
    let (kind, verdict) = match &report.outcome {
        RecordOutcome::Delivered { partition, offset, .. } => {
            let offset = offset.map_or("null".to_owned(), |offset| offset.to_string());
            (0, format!(r#""delivered","partition":{partition},"offset":{offset}"#))
        }
        RecordOutcome::NotDelivered(why) => (1, format!(r#""not_delivered","cause":"{why}""#)),
        unknown @ (RecordOutcome::Unknown(_) | _) => {
            let why = unknown.why().map_or_else(String::new, ToString::to_string);
            (2, format!(r#""unknown","cause":"{why}""#))
        }
    };
    println!(r#"{{"line":{line},"late":{late},"elapsed_us":{elapsed},"verdict":{verdict}}}"#);
    if report.last {
        tally[kind] += 1;
    }
}

async fn produce<const RECEIVED: usize>(arguments: &[String]) -> Result<(), Failed> {
    let [brokers, topic, count, authority, own @ ..] = arguments else {
        return Err("host [--roomy] BROKERS TOPIC RECORDS AUTHORITY [CERTIFICATE KEY]".into());
    };
    let authority = CertificateDer::from_pem_file(authority)?;
    let certificate;
    let settings = Settings::new(&authority, entropy, wall_clock)?;
    let settings = match own {
        [own, key] => {
            certificate = CertificateDer::from_pem_file(own)?;
            let PrivateKeyDer::Pkcs8(key) = PrivateKeyDer::from_pem_file(key)? else {
                return Err("the key is not PKCS#8".into());
            };
            let key = SecretKey::from_pkcs8_der(key.secret_pkcs8_der())
                .map_err(|error| format!("the key is not of P-256: {error}"))?;
            settings.with_identity(Identity { certificate: &certificate, key: key.into() })
        }
        _ => settings,
    };
    let clock = HostClock(Wall::now());
    let mut memory = Lent::new();
    let config = Config { bootstrap_servers: brokers, ..Config::default() };
    let config = Config { batch_size: 512, max_request_size: 2_048, ..config };
    let mut producer = Producer::new(&config, memory.lend(), OsRng.next_u64())?;
    producer.set_wall_clock(clock.now(), unix_ms());
    let client = Client::new(producer, Readings::new(DropPolicy::NewestFirst));
    let tls = Tls::<1>::new();
    let (mut buffers, mut records) = (Buffers::<1, 256>::new(), Records::<RECEIVED, 1_024>::new());
    let tell = |failure: &_| eprintln!("connection: {failure}");
    let all = select3(
        run(&client, &tls, &clock, &mut buffers),
        tls.serve(0, &Host, &settings, &mut records, tell),
        send(&client, &clock, topic, count.parse()?),
    );
    match tokio::time::timeout(LIMIT, all).await? {
        Either3::Third(sent) => sent,
        Either3::First(()) | Either3::Second(_) => Err("the producer ended".into()),
    }
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.split_first() {
        Some((word, rest)) if word == "--roomy" => runtime.block_on(produce::<2_048>(rest)),
        _ => runtime.block_on(produce::<1_024>(&arguments)),
    }
}
