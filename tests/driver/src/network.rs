//! A network for the adapters: the simulator's links, behind a socket's manners.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ottla_core::{Disconnect, Instant};
use ottla_model::{Cluster, NodeId, Versions};
use ottla_scenario::{BOOTSTRAP, Dice, Random, Weather, network::Link as Line, storm::Plan};

/// The topic of all storms.
pub(crate) const TOPIC: &str = "storm";

/// Which socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Whose, where there are several producers.
    pub(crate) producer: usize,
    /// For which connection slot.
    pub(crate) slot: usize,
    /// In which of its lives.
    life: u64,
}

#[derive(Debug)]
enum Phase {
    /// Until then; it opens if the node is up by then and takes connections.
    Opening(Instant, NodeId),
    Open(Box<Line>),
}

/// A socket. It says that something may go on once, after it answered `WouldBlock` to that.
#[derive(Debug)]
struct Socket {
    phase: Phase,
    /// The client's end broke.
    cut: bool,
    wants_open: bool,
    wants_read: bool,
    wants_write: bool,
}

/// A socket that may go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Woken {
    /// Which.
    pub(crate) key: Key,
    /// Reading, or opening, may go on.
    pub(crate) readable: bool,
    /// Writing, or opening, may go on.
    pub(crate) writable: bool,
}

/// Everything beyond the producers' sockets.
#[derive(Debug)]
pub(crate) struct Net {
    /// The time.
    pub(crate) now: Instant,
    /// The brokers.
    pub(crate) cluster: Cluster,
    /// How the network behaves.
    pub(crate) weather: Weather,
    /// Nodes that no connection reaches: dials hang.
    pub(crate) unreachable: Vec<NodeId>,
    /// The broker that is hostile.
    pub(crate) hostile: Option<NodeId>,
    /// How often each kind of trouble was made.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Nodes that hold something back, with all that they speak otherwise.
    pub(crate) withheld: Vec<(NodeId, Versions)>,
    /// Sockets that may go on.
    pub(crate) ready: Vec<Woken>,
    /// Whose driver comes to a bad end at its next read or write.
    pub(crate) doomed: Option<usize>,
    /// It is a driver that reads and writes now, and not a caller.
    pub(crate) driving: bool,
    dice: Random,
    sockets: BTreeMap<Key, Socket>,
    lives: u64,
    ghosts: Vec<Line>,
}

/// Where a producer begins: with a hostile broker it must know more than one.
pub(crate) fn bootstrap_servers(plan: &Plan) -> &'static str {
    if plan.hostile.is_some() { plan.config.bootstrap_servers } else { BOOTSTRAP }
}

/// The same, shared by all sockets.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Net>>);

impl Shared {
    /// A network to a cluster.
    #[must_use]
    pub(crate) fn new(cluster: Cluster, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Net {
            now: Instant::ZERO,
            cluster,
            weather: Weather::FAIR,
            unreachable: Vec::new(),
            hostile: None,
            faults: BTreeMap::new(),
            withheld: Vec::new(),
            ready: Vec::new(),
            doomed: None,
            driving: false,
            dice: Random::new(seed),
            sockets: BTreeMap::new(),
            lives: 0,
            ghosts: Vec::new(),
        })))
    }

    /// To look at it, or to do something to it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net {
    /// Moves on what has arrived; true where something did.
    pub(crate) fn advance(&mut self) -> bool {
        let mut moved = false;
        let keys: Vec<Key> = self.sockets.keys().copied().collect();
        for key in keys {
            let (low, high) = self.weather.latency;
            let latency = self.dice.roll(low, high);
            let Some(socket) = self.sockets.get_mut(&key) else { continue };
            if let Phase::Open(line) = &mut socket.phase {
                line.advance(&mut self.cluster, self.now, latency);
            }
            let (opens, comes, takes) = socket.may(&self.weather, self.now);
            let opens = opens && core::mem::take(&mut socket.wants_open);
            let readable = opens || (comes && core::mem::take(&mut socket.wants_read));
            let writable = opens || (takes && core::mem::take(&mut socket.wants_write));
            if readable || writable {
                moved = true;
                self.ready.push(Woken { key, readable, writable });
            }
        }
        for line in &mut self.ghosts {
            line.advance(&mut self.cluster, self.now, 0);
        }
        self.ghosts.retain(|line| !line.is_over());
        moved
    }

    /// When something is due next.
    #[must_use]
    pub(crate) fn next(&self) -> Instant {
        let sockets = self.sockets.values().map(|socket| match &socket.phase {
            Phase::Opening(at, _) => *at,
            Phase::Open(line) => {
                let stalled = line.stalled(self.now).unwrap_or(Instant::NEVER);
                line.next(&self.cluster).min(stalled)
            }
        });
        let ghosts = self.ghosts.iter().map(|line| line.next(&self.cluster));
        sockets.chain(ghosts).filter(|at| *at > self.now).fold(Instant::NEVER, Instant::min)
    }

    /// How many sockets there are.
    #[must_use]
    pub(crate) fn links(&self) -> usize {
        self.sockets.len()
    }

    /// A socket that may go on, of which nobody will hear, since nobody has asked it in vain: `wants` tells
    /// whether its producer would read and write.
    pub(crate) fn overslept(
        &self,
        producer: usize,
        wants: impl Fn(usize) -> (bool, bool),
    ) -> Option<&'static str> {
        let own = self.sockets.iter().filter(|(key, _)| key.producer == producer);
        own.filter_map(|(key, socket)| {
            let (opens, comes, takes) = socket.may(&self.weather, self.now);
            let (reads, writes) = wants(key.slot);
            if opens && !socket.wants_open {
                Some("a connection that may be opened")
            } else if comes && reads && !socket.wants_read {
                Some("bytes that have come")
            } else if takes && writes && !socket.wants_write {
                Some("bytes that are to leave")
            } else {
                None
            }
        })
        .next()
    }

    /// Notes that something was done.
    pub(crate) fn count(&mut self, what: &'static str) {
        if !what.is_empty() {
            *self.faults.entry(what).or_default() += 1;
        }
    }

    /// All connections that are open.
    pub(crate) fn open_lines(&mut self) -> impl Iterator<Item = &mut Line> {
        self.sockets.values_mut().filter_map(|socket| match &mut socket.phase {
            Phase::Open(line) => Some(&mut **line),
            Phase::Opening(..) => None,
        })
    }

    /// The client's end of one of the sockets breaks, if it is open.
    pub(crate) fn cut(&mut self, which: u64) {
        let at = which as usize % self.sockets.len().max(1);
        if let Some(socket) = self.sockets.values_mut().nth(at) {
            socket.cut = matches!(socket.phase, Phase::Open(_));
        }
    }

    /// Begins to open a connection.
    ///
    /// # Errors
    ///
    /// Where nobody has this address.
    pub(crate) fn dial(
        &mut self,
        producer: usize,
        slot: usize,
        host: &str,
        port: u16,
    ) -> Result<Key, Disconnect> {
        let (low, high) = self.weather.latency;
        let wait = 2 * self.dice.roll(low, high);
        let mut nodes = self.cluster.nodes();
        let node = nodes.find(|node| self.cluster.address(*node) == Some((host, port)));
        drop(nodes);
        let node = node.ok_or(Disconnect::Refused)?;
        let at = self.now.after(Duration::from_micros(wait));
        let socket = Socket {
            phase: Phase::Opening(at, node),
            cut: false,
            wants_open: false,
            wants_read: false,
            wants_write: false,
        };
        self.lives += 1;
        let key = Key { producer, slot, life: self.lives };
        self.sockets.insert(key, socket);
        Ok(key)
    }

    /// Goes on with opening it: true once it is open.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened.
    pub(crate) fn open(&mut self, key: Key) -> Result<bool, Disconnect> {
        let socket = self.sockets.get_mut(&key).ok_or(Disconnect::Refused)?;
        let Phase::Opening(at, node) = &mut socket.phase else {
            return Ok(true);
        };
        if *at > self.now {
            socket.wants_open = true;
            return Ok(false);
        }
        if self.unreachable.contains(node) {
            *at = Instant::NEVER;
            return Ok(false);
        }
        if !self.cluster.is_up(*node) {
            return Err(Disconnect::Refused);
        }
        socket.phase = Phase::Open(Box::new(Line::new(&self.cluster, *node, None)));
        Ok(true)
    }

    fn open_socket(&mut self, key: Key) -> io::Result<(&mut Socket, &Weather, &mut Random)> {
        let Self { sockets, weather, dice, .. } = self;
        let socket = sockets.get_mut(&key).ok_or(ErrorKind::NotConnected)?;
        if socket.cut {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok((socket, weather, dice))
    }

    /// Reads what is there; `WouldBlock` promises nothing.
    ///
    /// # Errors
    ///
    /// As sockets do.
    pub(crate) fn try_read(&mut self, key: Key, window: &mut [u8]) -> io::Result<usize> {
        let (socket, weather, _) = self.open_socket(key)?;
        let Phase::Open(line) = &mut socket.phase else {
            return Err(ErrorKind::NotConnected.into());
        };
        if line.inbox.is_empty() {
            return if line.eof { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let len = weather.arrives.min(window.len()).min(line.inbox.len());
        for (slot, byte) in window.iter_mut().zip(line.inbox.drain(..len)) {
            *slot = byte;
        }
        Ok(len)
    }

    /// The same; after `WouldBlock` the socket tells when there is more.
    ///
    /// # Errors
    ///
    /// As sockets do.
    pub(crate) fn read(&mut self, key: Key, window: &mut [u8]) -> io::Result<usize> {
        let read = self.try_read(key, window);
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.open_socket(key)?.0.wants_read = true;
        }
        read
    }

    /// Whether [`read`](Self::read) would find something, or an error; asked in vain, the socket tells
    /// when it does.
    pub(crate) fn read_ready(&mut self, key: Key) -> bool {
        let (weather, now) = (self.weather.clone(), self.now);
        self.sockets.get_mut(&key).is_none_or(|socket| {
            let (_, comes, _) = socket.may(&weather, now);
            socket.wants_read |= !comes;
            comes
        })
    }

    /// Writes what the socket takes; after `WouldBlock` it tells when it takes more.
    ///
    /// # Errors
    ///
    /// As sockets do.
    pub(crate) fn write<'b>(
        &mut self,
        key: Key,
        pieces: impl Iterator<Item = &'b [u8]>,
    ) -> io::Result<usize> {
        let now = self.now;
        let mut room = self.room(key)?;
        let (socket, weather, dice) = self.open_socket(key)?;
        let Phase::Open(line) = &mut socket.phase else {
            return Err(ErrorKind::NotConnected.into());
        };
        if room == 0 {
            socket.wants_write = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        if weather.accepts != usize::MAX {
            room = dice.roll(1, room as u64) as usize;
        }
        if let Some(left) = line.cut_after {
            room = room.min(left);
        }
        let bytes: Vec<u8> = pieces.flat_map(|piece| piece.iter().copied()).take(room).collect();
        if let Some(left) = &mut line.cut_after {
            *left -= bytes.len();
            socket.cut = *left == 0;
        }
        if bytes.is_empty() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let len = bytes.len();
        let (low, high) = weather.latency;
        line.send_up(now.after(Duration::from_micros(dice.roll(low, high))), bytes);
        Ok(len)
    }

    /// How much a socket takes now, which may begin to stall.
    fn room(&mut self, key: Key) -> io::Result<usize> {
        let now = self.now;
        let (socket, weather, dice) = self.open_socket(key)?;
        let Phase::Open(line) = &mut socket.phase else {
            return Err(ErrorKind::NotConnected.into());
        };
        if line.stalled(now).is_none() && weather.stalls > 0 && dice.once_in(weather.stalls) {
            line.stalled_until = now.after(Duration::from_micros(dice.roll(100, 30_000)));
        }
        Ok(if line.stalled(now).is_some() { 0 } else { line.accepts(weather) })
    }

    /// Whether [`write`](Self::write) would take something, or fail; asked in vain, the socket tells when
    /// it does.
    pub(crate) fn write_ready(&mut self, key: Key) -> bool {
        let (weather, now) = (self.weather.clone(), self.now);
        self.sockets.get_mut(&key).is_none_or(|socket| {
            let (_, _, takes) = socket.may(&weather, now);
            socket.wants_write |= !takes;
            takes
        })
    }

    /// The client's end is closed. What it sent is still handled.
    pub(crate) fn close(&mut self, key: Key) {
        if let Some(Socket { phase: Phase::Open(mut line), .. }) = self.sockets.remove(&key) {
            line.close_up(self.now);
            self.ghosts.push(*line);
        }
    }
}

impl Socket {
    /// Whether it may be opened, has something to read, and takes something, be it to fail.
    fn may(&self, weather: &Weather, now: Instant) -> (bool, bool, bool) {
        match &self.phase {
            Phase::Opening(at, _) => (*at <= now, false, false),
            Phase::Open(line) => {
                let comes = self.cut || line.eof || !line.inbox.is_empty();
                let stalled = line.stalled(now).is_some();
                (false, comes, self.cut || (!stalled && line.accepts(weather) > 0))
            }
        }
    }
}
