//! Batches are compressed, and what is in the log is what was sent.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::{
    io::Write as _,
    sync::{Arc, Barrier},
    time::Instant,
};

use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
use ottla_adapter_tests::{
    Adapter, BuildError, Compression, CompressionType, Compressor, Config, NotCompressed, Producer,
    Record, Verdict, on_each, serve,
};
use ottla_model::{LoggedBatch, serve::Server};

on_each!(
    each_type_and_level_arrives_as_it_was_sent,
    a_lone_record_is_compressed_and_need_not_linger,
    those_who_wait_are_told_whoever_compresses,
    noise_goes_as_it_is,
    a_compressor_that_panics_or_fails_loses_nothing,
    who_compresses_holds_up_no_other_caller,
    the_driver_compresses_what_lingered_while_callers_go_on,
    each_shard_compresses,
    a_compressor_that_breaks_its_output_is_refused,
    a_cancelled_record_is_not_in_what_was_compressed,
);

const RECORDS: usize = 5_000;

/// Each type by name and number, with the ends of its levels.
const LEVELS: [(&str, u8, &[Property]); 8] = [
    ("gzip", 1, &[]),
    ("gzip", 1, &[("compression.gzip.level", "1")]),
    ("gzip", 1, &[("compression.gzip.level", "9")]),
    ("snappy", 2, &[]),
    ("lz4", 3, &[]),
    ("zstd", 4, &[]),
    ("zstd", 4, &[("compression.zstd.level", "-7")]),
    ("zstd", 4, &[("compression.zstd.level", "4")]),
];

type Property = (&'static str, &'static str);

fn reading(number: usize) -> String {
    let (sensor, value) = (number % 17, number * 7_919 % 1_000);
    format!(
        "{{\"sensor\":\"s-{sensor}\",\"unit\":\"celsius\",\"value\":{value},\"number\":{number}}}"
    )
}

fn value(bytes: &[u8]) -> Record<'_> {
    Record { value: Some(bytes), ..Record::default() }
}

/// The values in a partition's log, and the codes of its batches of more than a few records: the less there is, the less
/// can be spared.
fn log(server: &Server, partition: i32) -> (Vec<Vec<u8>>, Vec<u8>) {
    server.with_cluster(|cluster| {
        let values = cluster.log("t", partition).map(|record| record.value.unwrap().to_vec());
        let len = |batch: &LoggedBatch<'_>| {
            batch.records().map(|record| record.value.map_or(0, <[u8]>::len)).sum::<usize>()
        };
        let batches = cluster.batches("t", partition).filter(|batch| len(batch) > 300);
        (values.collect(), batches.map(|batch| batch.header.attributes.compression()).collect())
    })
}

async fn each_type_and_level_arrives_as_it_was_sent(on: Adapter) {
    for (kind, code, level) in LEVELS {
        let server = serve(1, &[("t", 1)]);
        let builder = Producer::builder(on)
            .property("bootstrap.servers", &server.bootstrap_servers())
            .property("compression.type", kind)
            .property("batch.size", "65536")
            .properties(level.iter().copied());
        let producer = builder.build().unwrap();
        let topic = producer.topic("t").unwrap();
        for number in 0..RECORDS {
            producer.send_detached(&topic, &value(reading(number).as_bytes())).await.unwrap();
        }
        producer.flush().await;
        assert_eq!(producer.stats().answers.delivered, RECORDS as u64, "{kind} {level:?}");
        let (values, codes) = log(&server, 0);
        let sent = (0..RECORDS).map(|number| reading(number).into_bytes());
        assert!(values.into_iter().eq(sent), "{kind} {level:?}");
        let stats = producer.stats();
        let told = stats.core.compression;
        assert!(codes.iter().all(|of| *of == code), "{kind} {level:?}: {codes:?} {told:?}");
        assert!(told.compressed >= codes.len() as u64, "{kind}: {told:?}");
        assert!(stats.compression_ratio().unwrap() > 2.0, "{kind} {level:?}: {told:?}");
        assert!(stats.compressing > Duration::ZERO, "{kind}");
        assert!(producer.close(Duration::from_secs(5)).await.complete);
    }
}

#[test]
fn a_configuration_says_it_as_well_as_a_property_and_counts_less() {
    let server = serve(1, &[("t", 1)]);
    let bootstrap = server.bootstrap_servers();
    let config = Config {
        bootstrap_servers: &bootstrap,
        compression: Compression::Lz4,
        linger: Duration::ZERO,
        ..Config::default()
    };
    let builder = ottla_blocking::Producer::builder;
    let zstd = builder().property("compression.type", "zstd");
    let none = builder().property("compression.type", "none");
    for (builder, code) in [(builder(), 3), (zstd, 4), (none, 0)] {
        let producer = builder.build_on(&config).unwrap();
        let topic = producer.topic("t").unwrap();
        assert!(producer.send(&topic, &value(&[b'a'; 400])).unwrap().wait().is_delivered());
        assert_eq!(log(&server, 0).1.last(), Some(&code));
        assert_eq!(producer.stats().compression_ratio().is_some(), code > 0);
    }
}

async fn a_lone_record_is_compressed_and_need_not_linger(on: Adapter) {
    let server = serve(1, &[("t", 1)]);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("compression.type", "lz4")
        .property("linger.ms", "0")
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    let long = [b'a'; 2_000];
    let start = Instant::now();
    for _ in 0..200 {
        let sent = producer.send(&topic, &value(&long)).await.unwrap();
        assert!(sent.outcome().await.is_delivered());
    }
    // Where nobody saw to a batch that waits for a codec, the driver would have, once its timer wakes it.
    assert!(start.elapsed() < Duration::from_secs(20));
    let (values, codes) = log(&server, 0);
    assert_eq!((values.len(), codes), (200, vec![3; 200]));
    assert!(values.iter().all(|value| *value == long));
    producer.close(Duration::from_secs(5)).await;
}

/// Threads that do nothing but wait drive, and so compress as well.
async fn those_who_wait_are_told_whoever_compresses(on: Adapter) {
    let server = serve(1, &[("t", 4)]);
    for linger in ["0", "1"] {
        let producer = Producer::builder(on)
            .property("bootstrap.servers", &server.bootstrap_servers())
            .property("compression.type", "snappy")
            .property("linger.ms", linger)
            .build()
            .unwrap();
        let topic = producer.topic("t").unwrap();
        let start = Instant::now();
        let one = |partition| {
            let (producer, topic) = (producer.clone(), topic.clone());
            on.spawn(async move {
                let text = reading(1).repeat(10);
                for _ in 0..200 {
                    let record = to(partition, text.as_bytes());
                    let sent = producer.send(&topic, &record).await.unwrap();
                    assert!(sent.outcome().await.is_delivered());
                }
            })
        };
        let tasks: Vec<_> = (0..4).map(one).collect();
        for task in tasks {
            task.join().await;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "linger.ms={linger}");
        assert_eq!(producer.stats().core.compression.compressed, 800);
        assert!(producer.close(Duration::from_secs(5)).await.complete);
    }
}

async fn noise_goes_as_it_is(on: Adapter) {
    let server = serve(1, &[("t", 1)]);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("compression.type", "zstd")
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    let mut state = 1_u64;
    let noise: Vec<u8> = core::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(10_000)
    .collect();
    producer.send_detached(&topic, &value(&noise)).await.unwrap();
    assert_eq!(producer.flush().await.delivered, 1);
    let stats = producer.stats();
    assert_eq!((stats.core.compression.not_smaller, stats.core.compression.compressed), (1, 0));
    assert_eq!(stats.compression_ratio(), Some(1.0));
    assert_eq!(log(&server, 0), (vec![noise], vec![0]));
    producer.close(Duration::from_secs(5)).await;
}

/// LZ4 by a crate that is not the built-in way, with something done before each batch.
struct Own<F>(F);

impl<F: FnMut(&[u8]) -> Result<(), NotCompressed> + Send> Compressor for Own<F> {
    fn compression_type(&self) -> CompressionType {
        CompressionType::Lz4
    }

    fn compress(&mut self, plain: &[u8], mut out: &mut [u8]) -> Result<usize, NotCompressed> {
        self.0(plain)?;
        let room = out.len();
        let how = FrameInfo::new().block_mode(BlockMode::Independent);
        let mut encoder = FrameEncoder::with_frame_info(how, &mut out);
        encoder.write_all(plain).map_err(|_| NotCompressed::NotSmaller)?;
        encoder.finish().map_err(|_| NotCompressed::NotSmaller)?;
        Ok(room - out.len())
    }
}

fn to(partition: i32, bytes: &[u8]) -> Record<'_> {
    Record { partition: Some(partition), ..value(bytes) }
}

fn has(plain: &[u8], word: &[u8]) -> bool {
    plain.windows(word.len()).any(|part| part == word)
}

async fn a_compressor_that_panics_or_fails_loses_nothing(on: Adapter) {
    let server = serve(1, &[("t", 1)]);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("linger.ms", "0")
        .compressor(|| {
            Own(|plain: &[u8]| {
                assert!(!has(plain, b"panic"), "as it was told");
                if has(plain, b"fail") { Err(NotCompressed::Failed) } else { Ok(()) }
            })
        })
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    for number in 0..30 {
        let word = ["panic ", "fail ", "well "][number % 3].repeat(100);
        let sent = producer.send(&topic, &value(word.as_bytes())).await.unwrap();
        assert!(sent.outcome().await.is_delivered(), "record {number}");
    }
    let told = producer.stats().core.compression;
    assert_eq!((told.failed, told.compressed), (20, 10), "{told:?}");
    assert_eq!(log(&server, 0).1, [0, 0, 3].repeat(10));
    assert!(producer.close(Duration::from_secs(5)).await.complete);
}

async fn who_compresses_holds_up_no_other_caller(on: Adapter) {
    holds_up_nobody(on, "0").await;
}

async fn the_driver_compresses_what_lingered_while_callers_go_on(on: Adapter) {
    holds_up_nobody(on, "1").await;
}

async fn holds_up_nobody(on: Adapter, linger: &str) {
    let server = serve(1, &[("t", 2)]);
    // The one that compresses and the test meet when it begins and before it ends.
    let (begun, over) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let meet = (Arc::clone(&begun), Arc::clone(&over));
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("linger.ms", linger)
        .compressor(move || {
            let (begun, over) = (Arc::clone(&meet.0), Arc::clone(&meet.1));
            Own(move |plain: &[u8]| {
                if has(plain, b"slow") {
                    begun.wait();
                    over.wait();
                }
                Ok(())
            })
        })
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    assert!(producer.send(&topic, &to(0, b"known")).await.unwrap().outcome().await.is_delivered());
    let sends = {
        let (producer, topic) = (producer.clone(), topic.clone());
        on.spawn(async move {
            let slow = b"slow ".repeat(100);
            producer.send(&topic, &to(0, &slow)).await.unwrap().outcome().await
        })
    };
    begun.wait();
    let start = Instant::now();
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.push(producer.try_send(&topic, &to(1, b"others go on")).unwrap());
    }
    assert_eq!(producer.stats().queue_depth, 101);
    assert!(start.elapsed() < Duration::from_secs(5));
    over.wait();
    for sent in sent {
        assert!(sent.outcome().await.is_delivered());
    }
    assert!(sends.join().await.is_delivered());
    assert!(producer.close(Duration::from_secs(5)).await.complete);
}

async fn each_shard_compresses(on: Adapter) {
    let server = serve(1, &[("t", 8)]);
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .shards(4)
        .compressor(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Own(|_: &[u8]| Ok(()))
        })
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    for number in 0..RECORDS {
        let text = reading(number);
        let record = Record { partition: Some((number % 8) as i32), ..value(text.as_bytes()) };
        producer.send_detached(&topic, &record).await.unwrap();
    }
    producer.flush().await;
    assert_eq!(producer.stats().answers.delivered, RECORDS as u64);
    for partition in 0..8 {
        let (values, codes) = log(&server, partition);
        assert_eq!(values.len(), RECORDS / 8);
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == 3), "{codes:?}");
    }
    assert_eq!(made.load(Ordering::Relaxed), 4);
    assert!(producer.stats().compression_ratio().unwrap() > 2.0);
    assert!(producer.close(Duration::from_secs(5)).await.complete);
}

/// Flips a bit of what another one makes.
struct OneBit<C>(C);

impl<C: Compressor> Compressor for OneBit<C> {
    fn compression_type(&self) -> CompressionType {
        self.0.compression_type()
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        let len = self.0.compress(plain, out)?;
        out[len / 2] ^= 1;
        Ok(len)
    }
}

async fn a_compressor_that_breaks_its_output_is_refused(on: Adapter) {
    let builder = Producer::builder(on).property("bootstrap.servers", "127.0.0.1:1");
    let built = builder.compressor(|| OneBit(Own(|_: &[u8]| Ok(())))).build();
    let error = built.expect_err("it is tested before it is used");
    assert!(
        matches!(error, BuildError::Compressor { kind: Some(CompressionType::Lz4), .. }),
        "{error}"
    );
}

async fn a_cancelled_record_is_not_in_what_was_compressed(on: Adapter) {
    let server = serve(1, &[("t", 1)]);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("linger.ms", "10000")
        .property("compression.type", "zstd")
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    producer.send(&topic, &value(b"first")).await.unwrap();
    producer.flush().await;
    let mut tickets = Vec::new();
    for number in 0..100 {
        tickets.push(producer.send_detached(&topic, &value(reading(number).as_bytes())).await);
    }
    for ticket in tickets.into_iter().step_by(2) {
        assert_eq!(producer.cancel(&ticket.unwrap()), Verdict::NotDelivered);
    }
    producer.flush().await;
    let (values, codes) = log(&server, 0);
    let odd = (0..100).filter(|number| number % 2 == 1).map(|number| reading(number).into_bytes());
    assert!(values[1..].iter().cloned().eq(odd));
    assert_eq!(codes, [4]);
    assert!(producer.close(Duration::from_secs(5)).await.complete);
}
