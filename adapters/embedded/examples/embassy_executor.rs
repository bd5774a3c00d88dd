//! The async API with embassy's executor and clock, on a host: a sensor whose readings go to a broker.
//!
//! `cargo run -p ottla-embedded --example embassy -- 127.0.0.1:9092`. Without an address a model broker
//! runs inside.

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use embassy_executor::{Executor, Spawner};
use embassy_futures::select::select;
use embassy_time::{Duration, Timer};
use embedded_io_async::{ErrorType, Read, Write};
use ottla_core::{Config, Disconnect, Instant, Producer, Record, TopicStatus, static_memory};
use ottla_embedded::{Backlog, Buffers, Client, Clock, Connect, DropPolicy, Duplex, run};
use ottla_model::{ClusterConfig, serve::Server};

const READINGS: u32 = 20;

struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        Instant::from_micros(embassy_time::Instant::now().as_micros())
    }

    async fn wait_until(&self, at: Instant) {
        Timer::at(embassy_time::Instant::from_micros(at.as_micros())).await;
    }
}

/// The host's sockets, looked at each millisecond. In firmware: `Nal`, or embassy-net's sockets.
struct Host;

struct Socket(TcpStream);

struct Half<'s>(&'s TcpStream);

impl Connect for Host {
    type Stream<'a> = Socket;

    async fn connect(&self, _: usize, host: &str, port: u16) -> Result<Socket, Disconnect> {
        let ip = host.parse().map_err(|_| Disconnect::Unresolved)?;
        let stream = TcpStream::connect(SocketAddr::new(ip, port));
        let stream = stream.map_err(|_| Disconnect::Refused)?;
        stream.set_nonblocking(true).map_err(|_| Disconnect::Io)?;
        Ok(Socket(stream))
    }
}

impl Duplex for Socket {
    type Reader<'s> = Half<'s>;
    type Writer<'s> = Half<'s>;

    fn split(&mut self) -> (Half<'_>, Half<'_>) {
        (Half(&self.0), Half(&self.0))
    }
}

impl ErrorType for Half<'_> {
    type Error = std::io::Error;
}

impl Read for Half<'_> {
    async fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Timer::after_millis(1).await,
                done => return done,
            }
        }
    }
}

impl Write for Half<'_> {
    async fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        loop {
            match self.0.write(from) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Timer::after_millis(1).await,
                done => return done,
            }
        }
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

type Readings = Backlog<u32, 64>;

type Lent = static_memory! {
    connections: 1,
    brokers: 2,
    topics: 1,
    partitions: 8,
    batches: 16,
    pages: 16,
    page_size: 512,
    rx_window: 512,
    tx_window: 256,
    name: 48,
};

static DONE: AtomicBool = AtomicBool::new(false);

#[embassy_executor::task]
async fn produce(brokers: String) {
    let mut memory = Lent::new();
    let config = Config { bootstrap_servers: &brokers, ..Config::default() };
    let config = Config { batch_size: 512, max_request_size: 2_048, ..config };
    let producer = Producer::new(&config, memory.lend(), 42).expect("a sound configuration");
    let client = Client::new(producer, Readings::new(DropPolicy::OldestFirst));
    let mut buffers = Buffers::<1, 256>::new();
    select(run(&client, &Host, &EmbassyClock, &mut buffers), sensor(&client)).await;
    DONE.store(true, Ordering::Relaxed);
}

/// In firmware this may be a task of its own, with the client in a `static`.
async fn sensor(client: &Client<'_, Readings>) {
    let topic = client.with(|producer, _| producer.topic(EmbassyClock.now(), "readings"));
    let topic = topic.expect("a topic's name");
    let mut seen = 0;
    let ready = |producer: &mut Producer<'_>, _: &mut Readings| {
        matches!(producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
    };
    while !client.with(ready) {
        client.changed(&mut seen).await;
    }
    for number in 0..READINGS {
        let reading = format!("21.{number}");
        let record = Record { value: Some(reading.as_bytes()), ..Record::default() };
        let within = Some(core::time::Duration::from_secs(2));
        let taken = client.with(|producer, backlog| {
            backlog.produce(producer, EmbassyClock.now(), topic, &record, number, within)
        });
        println!("reading {number}: {taken:?}");
        Timer::after(Duration::from_millis(20)).await;
    }
    while client.with(|_, backlog| {
        core::iter::from_fn(|| backlog.poll_report()).for_each(|report| println!("{report:?}"));
        !backlog.is_empty()
    }) {
        client.changed(&mut seen).await;
    }
}

fn main() {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let inside = match std::env::args().nth(1) {
        Some(_) => None,
        None => Some(Server::start(&[listen], ClusterConfig::to_serve()).expect("a free port")),
    };
    let brokers = std::env::args().nth(1).unwrap_or_else(|| {
        inside.as_ref().map(Server::bootstrap_servers).expect("it runs inside").to_string()
    });
    let executor = Box::leak(Box::new(Executor::new()));
    let begin = |spawner: Spawner| spawner.spawn(produce(brokers).expect("room for the task"));
    executor.run_until(begin, || DONE.load(Ordering::Relaxed));
}
