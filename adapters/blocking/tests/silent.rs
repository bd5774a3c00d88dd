//! A peer that accepts and never says a word. Alone in its process, whose time it measures.
#![allow(clippy::disallowed_methods)] // tests look at the time
#![cfg(target_os = "linux")]

use core::time::Duration;
use std::{net::TcpListener, time::Instant};

use ottla_blocking::{Producer, Record, SendError};

/// The processor time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_silent_peer_is_neither_waited_for_nor_spun_on() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = silent.local_addr().unwrap().to_string();
    let properties = [
        ("bootstrap.servers", servers.as_str()),
        ("max.block.ms", "1500"),
        ("request.timeout.ms", "400"),
    ];
    let producer = Producer::from_properties(properties).unwrap();
    let topic = producer.topic("t").unwrap();
    let (start, before) = (Instant::now(), processor_time());
    let record = Record { value: Some(b"a"), ..Record::default() };
    let error = producer.send(&topic, &record).unwrap_err();
    let (took, used) = (start.elapsed(), processor_time() - before);
    assert!(matches!(error, SendError::TopicPending { failure: Some(_), .. }), "{error:?}");
    assert!(took >= Duration::from_millis(1500) && took < Duration::from_millis(2900), "{took:?}");
    assert!(used <= Duration::from_millis(50), "{used:?}");
    let report = producer.close(Duration::from_millis(100));
    assert!(report.complete);
}
