//! The faults a link has at the moment, and its counters.

use core::{
    ops::{Add, Index, IndexMut},
    sync::atomic::AtomicU64,
    time::Duration,
};

use tokio::sync::watch;

use super::recording::Tap;

/// A direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker: requests.
    ToBroker,
    /// From the broker to the client: responses.
    ToClient,
}

impl Direction {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::ToBroker => Self::ToClient,
            Self::ToClient => Self::ToBroker,
        }
    }
}

/// How a connection is cut, at both its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// In good order (FIN): the end reads what came before, then the end of the stream.
    Fin,
    /// Abruptly (RST): the end gets "connection reset".
    Reset,
}

/// What a proxy has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Bytes forwarded to brokers.
    pub bytes_to_broker: u64,
    /// Bytes forwarded to clients.
    pub bytes_to_client: u64,
    /// Bytes swallowed by a black hole, in either direction.
    pub bytes_swallowed: u64,
    /// Connections cut, for whatever reason.
    pub cuts: u64,
    /// Of these, those cut at a byte position while data flowed.
    pub cuts_in_data: u64,
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            open: self.open + other.open,
            bytes_to_broker: self.bytes_to_broker + other.bytes_to_broker,
            bytes_to_client: self.bytes_to_client + other.bytes_to_client,
            bytes_swallowed: self.bytes_swallowed + other.bytes_swallowed,
            cuts: self.cuts + other.cuts,
            cuts_in_data: self.cuts_in_data + other.cuts_in_data,
        }
    }
}

/// One value for each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Both<T>([T; 2]);

impl<T> Index<Direction> for Both<T> {
    type Output = T;

    fn index(&self, direction: Direction) -> &T {
        &self.0[direction as usize]
    }
}

impl<T> IndexMut<Direction> for Both<T> {
    fn index_mut(&mut self, direction: Direction) -> &mut T {
        &mut self.0[direction as usize]
    }
}

/// After how many bytes each connection is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutAfter {
    /// Tells one order from the next: each counts anew.
    pub(crate) order: u64,
    pub(crate) bytes: u64,
    pub(crate) hangup: Hangup,
}

/// The faults of a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) refuse: bool,
    pub(crate) frozen: Both<bool>,
    /// Connections with a smaller number are frozen.
    pub(crate) frozen_before: Both<u64>,
    pub(crate) blackhole: Both<bool>,
    pub(crate) delay: Both<Duration>,
    pub(crate) cut_after: Both<Option<CutAfter>>,
    /// The number of orders to cut everything so far, and how the last was to be done. A
    /// connection goes when the number is no longer what it was when the connection came.
    pub(crate) cut_now: (u64, Option<Hangup>),
}

/// One listener with its upstream.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) faults: watch::Sender<Faults>,
    pub(crate) connections: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) bytes: Both<AtomicU64>,
    pub(crate) swallowed: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) cuts_in_data: AtomicU64,
    pub(crate) tap: Tap,
}
