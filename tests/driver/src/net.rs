//! A network for the adapters' driver: the simulator's links, behind a socket's manners.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ottla_core::{ConnId, Disconnect, Instant};
use ottla_model::{Cluster, NodeId};
use ottla_scenario::{
    Dice, Weather,
    network::Link as Line,
    storm::{What, counted, name_of},
};
use ottla_shared::{Link, Lost, Network, Ready};

/// The topic of all storms.
pub const TOPIC: &str = "storm";

/// Which engine's connection.
type Key = (usize, ConnId);

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

/// Everything beyond the driver's links.
#[derive(Debug)]
pub struct Net {
    /// The time.
    pub now: Instant,
    /// The brokers.
    pub cluster: Cluster,
    /// How the network behaves.
    pub weather: Weather,
    /// Nodes that no connection reaches: dials hang.
    pub unreachable: Vec<NodeId>,
    /// How often each kind of trouble was made.
    pub faults: BTreeMap<&'static str, u64>,
    /// Links that may go on, with their engine.
    pub ready: Vec<(usize, Ready)>,
    dice: Dice,
    sockets: BTreeMap<Key, Socket>,
    ghosts: Vec<Line>,
}

/// The same, shared by all links.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Net>>);

impl Shared {
    /// A network to a cluster.
    #[must_use]
    pub fn new(cluster: Cluster, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Net {
            now: Instant::ZERO,
            cluster,
            weather: Weather::FAIR,
            unreachable: Vec::new(),
            faults: BTreeMap::new(),
            ready: Vec::new(),
            dice: Dice::new(seed),
            sockets: BTreeMap::new(),
            ghosts: Vec::new(),
        })))
    }

    /// To look at it, or to do something to it.
    pub fn lock(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net {
    /// Moves on what has arrived; true where something did.
    pub fn advance(&mut self) -> bool {
        let mut moved = false;
        let keys: Vec<Key> = self.sockets.keys().copied().collect();
        for key in keys {
            let (low, high) = self.weather.latency;
            let latency = self.dice.roll(low, high);
            let Some(socket) = self.sockets.get_mut(&key) else { continue };
            let index = key.1.index();
            let mut ready = Ready { index, readable: false, writable: false };
            match &mut socket.phase {
                Phase::Opening(at, _) => {
                    if *at <= self.now && core::mem::take(&mut socket.wants_open) {
                        (ready.readable, ready.writable) = (true, true);
                    }
                }
                Phase::Open(line) => {
                    line.advance(&mut self.cluster, self.now, latency);
                    let broken = socket.cut;
                    let comes = broken || line.eof || !line.inbox.is_empty();
                    let stalled = line.stalled(self.now).is_some();
                    let takes = broken || (!stalled && line.accepts(&self.weather) > 0);
                    if comes && core::mem::take(&mut socket.wants_read) {
                        ready.readable = true;
                    }
                    if takes && core::mem::take(&mut socket.wants_write) {
                        ready.writable = true;
                    }
                }
            }
            if ready.readable || ready.writable {
                moved = true;
                self.ready.push((key.0, ready));
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
    pub fn next(&self) -> Instant {
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

    /// How many links there are.
    #[must_use]
    pub fn links(&self) -> usize {
        self.sockets.len()
    }

    /// Notes that something was done.
    pub fn count(&mut self, what: &'static str) {
        if !what.is_empty() {
            *self.faults.entry(what).or_default() += 1;
        }
    }

    fn open_lines(&mut self) -> impl Iterator<Item = &mut Line> {
        self.sockets.values_mut().filter_map(|socket| match &mut socket.phase {
            Phase::Open(line) => Some(&mut **line),
            Phase::Opening(..) => None,
        })
    }

    fn open_socket(&mut self, conn: Key) -> io::Result<(&mut Socket, &Weather, &mut Dice)> {
        let Self { sockets, weather, dice, .. } = self;
        let socket = sockets.get_mut(&conn).ok_or(ErrorKind::NotConnected)?;
        if socket.cut {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok((socket, weather, dice))
    }

    /// Does what a storm's plan says of brokers and the network.
    pub fn act(&mut self, what: &What) {
        match what {
            What::Cut(_) | What::CutAfter(_) | What::Deafen if self.sockets.is_empty() => return,
            // Those are the callers'.
            What::Produce(_) | What::Cancel(_) | What::Flush => return,
            // What is about the truth alone is told in the core's own storms.
            What::Lag(..)
            | What::CatchUp(_)
            | What::Lose(..)
            | What::Forget(_)
            | What::Crash(..)
            | What::Date(_)
            | What::Quiet
            | What::GoOnAt { .. } => return,
            What::Fault(fault) => {
                self.count(name_of(fault));
                self.cluster.inject(fault.clone());
            }
            What::Weather(weather) => self.weather = weather.clone(),
            What::Cut(which) => {
                let at = *which as usize % self.sockets.len();
                if let Some(socket) = self.sockets.values_mut().nth(at) {
                    socket.cut = matches!(socket.phase, Phase::Open(_));
                }
            }
            What::CutAfter(bytes) => {
                self.open_lines().for_each(|line| line.cut_after = Some(*bytes));
            }
            What::Deafen => self.open_lines().for_each(|line| line.down.dead = true),
            What::Freeze(node) => self.cluster.freeze(*node).expect("a node"),
            What::Thaw(node) => self.cluster.thaw(*node).expect("a node"),
            What::Stop(node) => self.stop(*node),
            What::Start(node) => self.cluster.start(*node).expect("a node"),
            What::Lead(partition, node) => self.lead(*partition, *node),
            What::Throttle(node, time) => self.cluster.set_throttle(*node, *time).expect("a node"),
            What::Unreachable(node) => self.unreachable.push(*node),
            What::Reachable => self.unreachable.clear(),
            What::Recreate => drop(self.cluster.recreate_topic(TOPIC).expect("a topic")),
            What::Delete(partition, keep) => {
                let before = self.cluster.end_offset(TOPIC, *partition) - keep;
                self.cluster.delete_records(TOPIC, *partition, before).expect("a partition");
            }
        }
        self.count(counted(what));
    }

    fn lead(&mut self, partition: i32, node: NodeId) {
        if self.cluster.is_up(node) {
            self.cluster.move_leader(TOPIC, partition, node).expect("a leader");
            self.count("leader moved");
        }
    }

    fn stop(&mut self, node: NodeId) {
        self.cluster.stop(node).expect("a node");
        for partition in 0..self.cluster.partitions(TOPIC) as i32 {
            let led = self.cluster.leader(TOPIC, partition).is_some_and(|(l, _)| l == node);
            let heir = self.cluster.nodes().find(|other| self.cluster.is_up(*other));
            if let Some(heir) = heir.filter(|_| led) {
                self.lead(partition, heir);
            }
        }
    }

    /// All is well again.
    pub fn heal(&mut self) {
        self.cluster.clear_faults();
        self.weather = Weather::FAIR;
        self.unreachable.clear();
        for node in self.cluster.nodes().collect::<Vec<_>>() {
            self.cluster.start(node).expect("a node");
            self.cluster.thaw(node).expect("a node");
            self.cluster.set_throttle(node, Duration::ZERO).expect("a node");
        }
        for partition in 0..self.cluster.partitions(TOPIC) as i32 {
            if self.cluster.leader(TOPIC, partition).is_none() {
                self.cluster.move_leader(TOPIC, partition, 1).expect("a leader");
            }
        }
    }
}

/// Opens connections for one engine.
#[derive(Debug)]
pub struct SimNet {
    /// Which.
    pub engine: usize,
    /// To where.
    pub net: Shared,
}

/// A connection.
#[derive(Debug)]
pub struct SimLink {
    key: Key,
    net: Shared,
}

impl Network for SimNet {
    type Link = SimLink;

    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<SimLink, Lost> {
        let key = (self.engine, conn);
        let mut net = self.net.lock();
        let (low, high) = net.weather.latency;
        let wait = 2 * net.dice.roll(low, high);
        let mut nodes = net.cluster.nodes();
        let node = nodes.find(|node| net.cluster.address(*node) == Some((host, port)));
        drop(nodes);
        let node = node.ok_or(Disconnect::Refused)?;
        let at = net.now.after(Duration::from_micros(wait));
        let socket = Socket {
            phase: Phase::Opening(at, node),
            cut: false,
            wants_open: false,
            wants_read: false,
            wants_write: false,
        };
        let before = net.sockets.insert(key, socket);
        assert!(before.is_none(), "a connection is dialled twice");
        drop(net);
        Ok(SimLink { key, net: self.net.clone() })
    }
}

impl Link for SimLink {
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        let mut net = self.net.lock();
        let (socket, weather, _) = net.open_socket(self.key)?;
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

    fn open(&mut self) -> Result<bool, Lost> {
        let net = &mut *self.net.lock();
        let Some(socket) = net.sockets.get_mut(&self.key) else {
            return Err(Disconnect::Refused.into());
        };
        let Phase::Opening(at, node) = &mut socket.phase else {
            return Ok(true);
        };
        if *at > net.now {
            socket.wants_open = true;
            return Ok(false);
        }
        if net.unreachable.contains(node) {
            *at = Instant::NEVER;
            return Ok(false);
        }
        if !net.cluster.is_up(*node) {
            return Err(Disconnect::Refused.into());
        }
        socket.phase = Phase::Open(Box::new(Line::new(&net.cluster, *node, self.key.1)));
        Ok(true)
    }
}

impl Read for SimLink {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        let read = self.try_read(window);
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let mut net = self.net.lock();
            net.open_socket(self.key)?.0.wants_read = true;
        }
        read
    }
}

impl Write for SimLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut net = self.net.lock();
        let now = net.now;
        let (socket, weather, dice) = net.open_socket(self.key)?;
        let Phase::Open(line) = &mut socket.phase else {
            return Err(ErrorKind::NotConnected.into());
        };
        if line.stalled(now).is_none() && weather.stalls > 0 && dice.once_in(weather.stalls) {
            line.stalled_until = now.after(Duration::from_micros(dice.roll(100, 30_000)));
        }
        let mut room = line.accepts(weather);
        if line.stalled(now).is_some() || room == 0 {
            socket.wants_write = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        if weather.accepts != usize::MAX {
            room = dice.roll(1, room as u64) as usize;
        }
        if let Some(left) = line.cut_after {
            room = room.min(left);
        }
        let bytes: Vec<u8> =
            pieces.iter().flat_map(|piece| piece.iter().copied()).take(room).collect();
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

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        let mut net = self.net.lock();
        let now = net.now;
        if let Some(Socket { phase: Phase::Open(mut line), .. }) = net.sockets.remove(&self.key) {
            line.close_up(now);
            net.ghosts.push(*line);
        }
    }
}
