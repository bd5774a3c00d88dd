//! A peer that accepts and never says a word. Alone in its process, whose time it measures.
#![allow(clippy::disallowed_methods)] // tests look at the time
#![cfg(target_os = "linux")]

use core::time::Duration;
use std::{net::TcpListener, time::Instant};

use ottla_adapter_tests::{Adapter, Producer, Record, SendError, on_each};

on_each!(a_silent_peer_is_neither_waited_for_nor_spun_on,);

/// The processor time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

async fn a_silent_peer_is_neither_waited_for_nor_spun_on(on: Adapter) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = silent.local_addr().unwrap().to_string();
    let properties = [
        ("bootstrap.servers", servers.as_str()),
        ("max.block.ms", "1500"),
        ("request.timeout.ms", "400"),
    ];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let (start, before) = (Instant::now(), processor_time());
    let record = Record { value: Some(b"a"), ..Record::default() };
    let block = Duration::from_millis(1500);
    let mut waits = 0;
    // Where the machine is busy, the first wait may be over before the first request has timed out.
    loop {
        waits += 1;
        let error = producer.send(&topic, &record).await.unwrap_err();
        let SendError::MetadataPending { failure, .. } = error else { panic!("{error:?}") };
        if failure.is_some() {
            break;
        }
        assert!(waits < 20, "{waits} waits");
    }
    let (took, used) = (start.elapsed(), processor_time() - before);
    assert!(took >= block * waits && took < block * (waits + 5), "{took:?} for {waits} waits");
    assert!(used <= took / 10, "{used:?} of {took:?}");
    let report = producer.close(Duration::from_millis(100)).await;
    assert!(report.complete);
}
