//! From a broker's name to the addresses to try.

use core::net::{IpAddr, SocketAddr};
use std::{io, net::ToSocketAddrs, sync::Arc};

/// The address of a host that is written as one, and needs no look-up.
#[must_use]
pub fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

/// Looks a host up. Blocks, for as long as the operating system's resolver likes.
///
/// # Errors
///
/// Where the host has no address.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// Which of a host's addresses to try first.
///
/// All addresses are tried in turn, but one that swallows packets uses up the whole time that a
/// connection may take. So each attempt at a host begins with the next address.
#[derive(Debug, Default)]
pub struct Rotation {
    attempts: Vec<(Arc<str>, u16, usize)>,
}

/// Hosts whose turn is remembered; beyond it all turns are forgotten.
const HOSTS: usize = 1024;

impl Rotation {
    /// Counts an attempt at a host. The number is for [`Rotation::order`].
    pub fn attempt(&mut self, host: &str, port: u16) -> usize {
        let known = self.attempts.iter_mut();
        for (name, at, count) in known {
            if **name == *host && *at == port {
                *count = count.wrapping_add(1);
                return *count;
            }
        }
        if self.attempts.len() == HOSTS {
            self.attempts.clear();
        }
        self.attempts.push((Arc::from(host), port, 0));
        0
    }

    /// Puts the address whose turn it is first.
    pub fn order(addresses: &mut [SocketAddr], attempt: usize) {
        if !addresses.is_empty() {
            addresses.rotate_left(attempt % addresses.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_begins_with_the_next_address() {
        let mut rotation = Rotation::default();
        let all: Vec<SocketAddr> = (1..=3).map(|n| SocketAddr::from(([10, 0, 0, n], 9))).collect();
        let firsts = (0..4).map(|_| {
            let mut addresses = all.clone();
            Rotation::order(&mut addresses, rotation.attempt("broker", 9));
            addresses[0]
        });
        assert_eq!(firsts.collect::<Vec<_>>(), [all[0], all[1], all[2], all[0]]);
        assert_eq!(rotation.attempt("other", 9), 0);
        assert_eq!(literal("::1", 9), Some("[::1]:9".parse().unwrap()));
        assert_eq!(literal("localhost", 9), None);
    }
}
