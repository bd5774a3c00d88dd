//! Free ports on loopback.

use core::net::{Ipv4Addr, SocketAddr};
use std::net::TcpListener;

use anyhow::{Result, ensure};

/// Where Linux says which ports it gives to outgoing connections.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// `count` listeners on distinct ports of 127.0.0.1.
///
/// The ports lie below those that outgoing connections are given. Otherwise, while a broker is
/// down, another connection could take its port, and a client that keeps trying to connect to a
/// port of that range can even end up connected to itself.
pub(crate) fn reserve(count: usize) -> Result<Vec<TcpListener>> {
    let lowest_ephemeral = std::fs::read_to_string(EPHEMERAL)
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32768_u16);
    let top = lowest_ephemeral.max(12_000);
    let mut held = Vec::with_capacity(count);
    for _ in 0..10_000 {
        if held.len() == count {
            break;
        }
        let port = fastrand::u16(10_000..top);
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    }
    ensure!(held.len() == count, "no {count} free ports between 10000 and {top}");
    Ok(held)
}

/// Gives the ports up: what is started next can bind them.
pub(crate) fn release(held: Vec<TcpListener>) -> Result<Vec<SocketAddr>> {
    held.into_iter().map(|listener| Ok(listener.local_addr()?)).collect()
}
