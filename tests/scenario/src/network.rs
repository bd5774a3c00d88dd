//! A network between the core and the model: bytes on their way, in order, on a virtual clock.

use core::fmt;
use std::collections::VecDeque;

use ottla_core::{ConnId, Instant};
use ottla_model::{Cluster, Connection, NodeId};

/// How the network behaves.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Least and greatest time that a chunk takes one way, in microseconds.
    pub latency: (u64, u64),
    /// The most bytes that a socket accepts at a time.
    pub accepts: usize,
    /// The most bytes that arrive at a time.
    pub arrives: usize,
    /// Bytes that fit a socket that the other end does not read.
    pub socket_buffer: usize,
    /// A socket takes nothing for a while, once in so many writes; 0 is never.
    pub stalls: u64,
}

impl Weather {
    /// Fast and even: 100 µs one way, everything at once.
    pub const FAIR: Self = Self {
        latency: (100, 100),
        accepts: usize::MAX,
        arrives: usize::MAX,
        socket_buffer: usize::MAX,
        stalls: 0,
    };
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.latency;
        write!(f, "{low} to {high} µs long")?;
        let bounds = [
            (self.accepts, "taken at a time"),
            (self.arrives, "read at a time"),
            (self.socket_buffer, "in a socket"),
        ];
        for (bytes, what) in bounds.into_iter().filter(|(bytes, _)| *bytes != usize::MAX) {
            write!(f, ", {bytes} bytes {what}")?;
        }
        match self.stalls {
            0 => Ok(()),
            stalls => write!(f, ", stalled once in {stalls} writes"),
        }
    }
}

/// Something on its way.
#[derive(Debug)]
enum Parcel {
    Bytes(Vec<u8>),
    End,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Lane {
    parcels: VecDeque<(Instant, Parcel)>,
    /// Nothing arrives before what was sent before it.
    last: Instant,
    /// What is sent from now on is lost, and nobody is told.
    pub dead: bool,
    /// Nothing arrives before this is taken back, and then everything at once.
    pub held: bool,
}

impl Lane {
    fn send(&mut self, at: Instant, parcel: Parcel) {
        if !self.dead {
            self.last = self.last.max(at);
            self.parcels.push_back((self.last, parcel));
        }
    }

    fn waiting(&self) -> usize {
        let len = |parcel: &Parcel| match parcel {
            Parcel::Bytes(bytes) => bytes.len(),
            Parcel::End => 0,
        };
        self.parcels.iter().map(|(_, parcel)| len(parcel)).sum()
    }

    fn next(&self) -> Instant {
        if self.held {
            return Instant::NEVER;
        }
        self.parcels.front().map_or(Instant::NEVER, |(at, _)| *at)
    }

    /// Takes everything that is on its way.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        let bytes = self.parcels.drain(..).map(|(_, parcel)| match parcel {
            Parcel::Bytes(bytes) => bytes,
            Parcel::End => Vec::new(),
        });
        bytes.flatten().collect()
    }

    fn take(&mut self, now: Instant) -> Option<Parcel> {
        (self.next() <= now).then(|| self.parcels.pop_front().map(|(_, parcel)| parcel))?
    }
}

/// A connection between the core and a node.
#[derive(Debug)]
pub struct Link {
    /// What the core calls it, where that is known.
    pub id: Option<ConnId>,
    /// The node's end.
    pub server: Connection,
    /// From the core to the node.
    pub up: Lane,
    /// From the node to the core.
    pub down: Lane,
    /// What arrived for the core and was not read yet.
    pub inbox: VecDeque<u8>,
    /// The node closed its end, and the core has not been told yet.
    pub eof: bool,
    /// The core has closed its end: what is on its way up still arrives.
    pub ghost: bool,
    /// The core closes its end after it has sent so many more bytes.
    pub cut_after: Option<usize>,
    /// The node's end closes after it has said so many more bytes.
    pub hush_after: Option<usize>,
    /// What the node says after it has said so many more bytes is held up.
    pub pause_after: Option<usize>,
    held_up: Vec<u8>,
    /// What a link of TLS has encrypted, and its socket has not accepted.
    staged: VecDeque<u8>,
    /// How much of it the core was not told of, where the link is one that errs.
    pub untold: usize,
    /// When the socket accepts more of it.
    flush_at: Instant,
    /// The core's socket takes nothing before this.
    pub stalled_until: Instant,
    /// The largest response so far.
    pub largest_response: usize,
    told_end: bool,
}

impl Link {
    /// A new connection to a node.
    pub fn new(cluster: &Cluster, node: NodeId, id: Option<ConnId>) -> Self {
        Self {
            id,
            server: Connection::new(cluster, node),
            up: Lane::default(),
            down: Lane::default(),
            inbox: VecDeque::new(),
            eof: false,
            ghost: false,
            cut_after: None,
            hush_after: None,
            pause_after: None,
            held_up: Vec::new(),
            staged: VecDeque::new(),
            untold: 0,
            flush_at: Instant::ZERO,
            stalled_until: Instant::ZERO,
            largest_response: 0,
            told_end: false,
        }
    }

    /// How many bytes the core's socket accepts now.
    pub fn accepts(&self, weather: &Weather) -> usize {
        weather.socket_buffer.saturating_sub(self.up.waiting()).min(weather.accepts)
    }

    /// The core wrote.
    pub fn send_up(&mut self, at: Instant, bytes: Vec<u8>) {
        self.up.send(at, Parcel::Bytes(bytes));
    }

    /// What the core wrote is encrypted: it goes out as the socket accepts it, and can no more be taken back.
    pub fn stage(&mut self, at: Instant, bytes: Vec<u8>) {
        self.staged.extend(bytes);
        self.flush_at = at;
    }

    /// Whether something that is encrypted waits.
    pub fn is_staging(&self) -> bool {
        !self.staged.is_empty()
    }

    /// When the socket accepts more of what is encrypted.
    pub fn flush_at(&self) -> Instant {
        if self.staged.is_empty() { Instant::NEVER } else { self.flush_at }
    }

    /// The socket accepts so many bytes of what is encrypted; more of them later, if there are.
    pub fn flush(&mut self, arrives: Instant, bytes: usize, again: Instant) {
        let bytes = self.staged.drain(..bytes.min(self.staged.len())).collect();
        self.send_up(arrives, bytes);
        self.flush_at = again;
    }

    /// How many bytes are encrypted, and wait.
    pub fn staged(&self) -> usize {
        self.staged.len()
    }

    /// The core closed its end.
    pub fn close_up(&mut self, at: Instant) {
        self.ghost = true;
        self.up.send(at, Parcel::End);
    }

    /// When something arrives or is due, at the earliest.
    pub fn next(&self, cluster: &Cluster) -> Instant {
        let up = if self.may_arrive(cluster) { self.up.next() } else { Instant::NEVER };
        let held = self.server.poll_timeout(cluster).map_or(Instant::NEVER, |at| {
            Instant::from_micros(u64::try_from(at.as_micros()).unwrap_or(u64::MAX))
        });
        up.min(self.down.next()).min(held)
    }

    /// When the core's socket takes something again, if it does not now.
    pub fn stalled(&self, now: Instant) -> Option<Instant> {
        (self.stalled_until > now).then_some(self.stalled_until)
    }

    /// A frozen node reads nothing: what is on its way stays there, and fills the core's socket.
    fn may_arrive(&self, cluster: &Cluster) -> bool {
        !cluster.is_frozen(self.server.node())
    }

    /// Moves on what has arrived; true where the core has something to read, or room to write.
    pub fn advance(&mut self, cluster: &mut Cluster, now: Instant, latency: u64) -> bool {
        let time = core::time::Duration::from_micros(now.as_micros());
        let mut roomier = false;
        while self.may_arrive(cluster)
            && let Some(parcel) = self.up.take(now)
        {
            roomier = true;
            match parcel {
                Parcel::Bytes(bytes) => self.server.receive(cluster, time, &bytes),
                Parcel::End => self.server.handle_eof(),
            }
        }
        loop {
            self.server.advance(cluster, time);
            let mut bytes = self.server.take_transmit();
            if bytes.is_empty() {
                break;
            }
            if let Some(left) = &mut self.hush_after {
                bytes.truncate(*left);
                *left -= bytes.len();
            }
            if let Some(left) = &mut self.pause_after {
                self.held_up.extend(bytes.split_off(bytes.len().min(*left)));
                *left -= bytes.len();
            }
            self.largest_response = self.largest_response.max(bytes.len());
            self.down.send(Instant::from_micros(now.as_micros() + latency), Parcel::Bytes(bytes));
        }
        if (self.server.is_closed() || self.hush_after == Some(0)) && !self.told_end {
            self.told_end = true;
            self.down.send(Instant::from_micros(now.as_micros() + latency), Parcel::End);
            self.down.dead = true;
        }
        let before = self.inbox.len();
        while let Some(parcel) = self.down.take(now) {
            match parcel {
                Parcel::Bytes(bytes) => self.inbox.extend(bytes),
                Parcel::End => self.eof = true,
            }
        }
        roomier || self.inbox.len() > before || self.eof
    }

    /// Lets go what was held up.
    pub fn release(&mut self) {
        self.up.held = false;
        self.pause_after = None;
        self.inbox.extend(core::mem::take(&mut self.held_up));
    }

    /// Whether nothing more can come of the connection.
    pub fn is_over(&self) -> bool {
        self.ghost && self.server.is_closed() && !self.down.held
    }
}
