//! A compressor of one's own in the place of those that are built in: here the reference implementation of zstd, which is in C,
//! is faster, and has all levels.
//!
//! `cargo run -p ottla-examples --features c-zstd --example own_compressor -- localhost:9092 events 19 < lines`

use std::{
    env,
    error::Error,
    io::{self, BufRead},
    time::Duration,
};

use ottla_blocking::{BuildError, CompressionType, Compressor, NotCompressed, Producer, Record};

/// zstd by its reference implementation.
pub struct CZstd(zstd::bulk::Compressor<'static>);

impl CZstd {
    /// At a level from -131072 to 22.
    pub fn new(level: i32) -> io::Result<Self> {
        Ok(Self(zstd::bulk::Compressor::new(level)?))
    }
}

impl Compressor for CZstd {
    fn compression_type(&self) -> CompressionType {
        CompressionType::Zstd
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        // It says in words alone why it could not; where nothing is wrong with it, there was no room.
        self.0.compress_to_buffer(plain, out).map_err(|_| NotCompressed::NotSmaller)
    }
}

/// A producer that compresses with it. It is tested here, before anything is sent.
pub fn producer(servers: &str, level: i32) -> Result<Producer, BuildError> {
    // What cannot be made is found out now: each shard makes one, and another one after a panic.
    drop(CZstd::new(level)?);
    Producer::builder()
        .property("bootstrap.servers", servers)
        .property("batch.size", "65536")
        .property("linger.ms", "50")
        .compressor(move || CZstd::new(level).expect("one was made before"))
        .build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (servers, topic, level) = (next("localhost:9092"), next("events"), next("3"));
    let producer = producer(&servers, level.parse()?)?;
    let topic = producer.topic(&topic)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        drop(producer.send(&topic, &Record { value: Some(line.as_bytes()), ..Record::default() })?);
    }
    let report = producer.close(Duration::from_secs(30));
    println!("{report:?}");
    Ok(())
}
