//! The whole client on a third runtime, smol: what it supplies, and a program that sends its arguments.
//!
//! `cargo run -p ottla-examples --example smol -- localhost:9092 readings 21.5 21.6`

use core::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{
    error::Error,
    io::{self, IoSlice, Read as _},
    net::TcpStream,
    time::Instant,
};

use ottla_client::{
    api::{BuildError, CloseReport, Record},
    tasks::{self, Runtime},
};
use smol::{
    Async, Timer,
    io::{AsyncRead as _, AsyncWrite as _},
};

/// smol, whose executor and reactor start by themselves.
#[derive(Clone, Debug)]
pub struct Smol;

/// A producer on smol.
pub type Producer = tasks::Producer<Smol>;

impl Runtime for Smol {
    type Stream = Async<TcpStream>;
    type Timer = Timer;

    fn current() -> Result<Self, BuildError> {
        Ok(Self)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }

    async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::net::resolve((host, port)).await
    }

    async fn connect(to: SocketAddr) -> io::Result<Self::Stream> {
        let stream = Async::<TcpStream>::connect(to).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    fn poll_read(
        stream: &mut Self::Stream,
        cx: &mut Context<'_>,
        window: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_read(cx, window)
    }

    fn poll_write(
        stream: &mut Self::Stream,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write_vectored(cx, pieces)
    }

    fn try_read(stream: &mut Self::Stream, window: &mut [u8]) -> io::Result<usize> {
        // The socket does not block.
        stream.get_ref().read(window)
    }

    fn timer(&self, at: Instant) -> Timer {
        Timer::at(at)
    }

    fn reset(timer: Pin<&mut Timer>, at: Instant) {
        timer.get_mut().set_at(at);
    }
}

/// Sends values one after the other, says the outcome of each, and closes the producer.
pub async fn send_all(
    producer: &Producer,
    topic: &str,
    values: impl IntoIterator<Item = String>,
) -> Result<CloseReport, Box<dyn Error>> {
    let topic = producer.topic(topic)?;
    let mut sent = Vec::new();
    for value in values {
        let record = Record {
            value: Some(value.as_bytes()),
            timeout: Some(Duration::from_secs(10)),
            ..Record::default()
        };
        sent.push(producer.send(&topic, &record).await?);
    }
    for delivery in sent {
        println!("{}", delivery.await);
    }
    Ok(producer.close(Duration::from_secs(5)).await)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(brokers), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("usage: smol BROKERS TOPIC VALUE…".into());
    };
    let producer = Producer::from_properties([("bootstrap.servers", brokers.as_str())])?;
    println!("{}", smol::block_on(send_all(&producer, &topic, arguments))?);
    Ok(())
}
