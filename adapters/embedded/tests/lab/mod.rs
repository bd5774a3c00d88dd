//! A model cluster and streams to it, in memory and on a virtual clock.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod both_apis;
pub mod port;
pub mod stream;
pub mod uart;

use core::{
    cell::{Cell, RefCell},
    task::Waker,
    time::Duration,
};
use std::{collections::VecDeque, rc::Rc};

use ottla_core::{Config, Instant, Producer, StaticMemory};
use ottla_model::{Cluster, ClusterConfig, Connection, NodeId};

/// 2 connections, 4 brokers, 1 topic, 4 partitions, 12 batches, 8 pages of 256 bytes, windows of 512
/// and 256 bytes, names of up to 32 bytes.
pub type Small = StaticMemory<2, 4, 1, 4, 12, 8, 256, 512, 256, 32>;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn config() -> Config<'static> {
    Config {
        bootstrap_servers: "127.0.0.1:9092",
        client_id: "lab",
        batch_size: 256,
        max_request_size: 1_024,
        request_timeout: 3 * SECOND,
        ..Config::default()
    }
}

/// What wall clocks show at the beginning, in milliseconds since 1970.
pub const START_MS: i64 = 1_700_000_000_000;

pub fn producer<'m>(config: &Config<'_>, memory: &'m mut Small) -> Producer<'m> {
    let mut core = Producer::new(config, memory.lend(), 7).expect("a sound configuration");
    core.set_wall_clock(Instant::ZERO, Some(START_MS));
    core
}

thread_local! {
    /// Whether what runs is the adapter or the core, and not the lab.
    pub static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn as_counted<R>(counted: bool, f: impl FnOnce() -> R) -> R {
    let before = COUNTED.replace(counted);
    let result = f();
    COUNTED.set(before);
    result
}

/// Runs what is the adapter's or the core's.
pub fn ours<R>(f: impl FnOnce() -> R) -> R {
    as_counted(true, f)
}

/// Runs what is the lab's.
pub fn theirs<R>(f: impl FnOnce() -> R) -> R {
    as_counted(false, f)
}

/// How a stream behaves.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub write: Split,
    pub read: Split,
    /// The stream is ready once in so many times that it is asked.
    pub ready: u32,
    /// Bytes that a stream takes which a frozen node does not read.
    pub room: usize,
    /// The stream breaks after it took so many bytes, once.
    pub breaks: Option<usize>,
    /// The stream breaks after it gave so many bytes, once.
    pub deafens: Option<usize>,
    /// The write that takes the byte after so many never says so, and nothing arrives any more,
    /// once; for the async API.
    pub hangs: Option<usize>,
}

/// How many bytes pass at a time.
#[derive(Clone, Copy, Debug)]
pub enum Split {
    All,
    Bytes(usize),
    /// Each frame in two parts, of which the first has so many bytes.
    At(usize),
}

impl Weather {
    pub const FAIR: Self = Self {
        write: Split::All,
        read: Split::All,
        ready: 1,
        room: usize::MAX,
        breaks: None,
        deafens: None,
        hangs: None,
    };
}

/// Where a stream is in its frames.
#[derive(Clone, Debug, Default)]
struct Framing {
    size: Vec<u8>,
    at: usize,
}

impl Framing {
    /// How many of `len` bytes may pass now.
    fn allows(&self, split: Split, len: usize) -> usize {
        match split {
            Split::All => len,
            Split::Bytes(most) => len.min(most),
            Split::At(cut) if self.at < cut => len.min(cut - self.at).min(self.left()),
            Split::At(_) => len.min(self.left()),
        }
    }

    fn left(&self) -> usize {
        match <[u8; 4]>::try_from(self.size.as_slice()) {
            Ok(size) => (4 + u64::from(u32::from_be_bytes(size))) as usize - self.at,
            Err(_) => 4 - self.at,
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.size.len() < 4 {
                self.size.push(*byte);
            }
            self.at += 1;
            if self.size.len() == 4 && self.left() == 0 {
                *self = Self::default();
            }
        }
    }
}

/// One connection to a node, with what is on its way.
#[derive(Debug)]
pub struct Wire {
    server: Connection,
    node: NodeId,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    wrote: Framing,
    read: Framing,
    asked: [u32; 2],
    /// Nothing arrives any more.
    dead: bool,
}

impl Wire {
    pub fn open(cluster: &Cluster, node: NodeId) -> Self {
        Self {
            server: Connection::new(cluster, node),
            node,
            up: VecDeque::new(),
            down: VecDeque::new(),
            wrote: Framing::default(),
            read: Framing::default(),
            asked: [0; 2],
            dead: false,
        }
    }

    /// Moves what is on its way.
    pub fn advance(&mut self, lab: &mut State) {
        let now = Duration::from_micros(lab.now.as_micros());
        if !lab.cluster.is_frozen(self.node) {
            let up: Vec<u8> = self.up.drain(..).collect();
            self.server.receive(&mut lab.cluster, now, &up);
        }
        self.server.advance(&mut lab.cluster, now);
        loop {
            let said = self.server.take_transmit();
            if said.is_empty() {
                break;
            }
            self.down.extend(said);
            self.server.advance(&mut lab.cluster, now);
        }
    }

    /// The client has gone; what it sent is still handled.
    pub fn close(mut self, lab: &mut State) {
        self.advance(lab);
        self.server.handle_eof();
        self.advance(lab);
        // A frozen node handles it later.
        if !self.server.is_closed() {
            lab.ghosts.push(self);
        }
    }

    pub fn is_closed(&self) -> bool {
        self.server.is_closed()
    }

    /// Whether the stream lets anything pass at all this time.
    fn is_ready(&mut self, weather: &Weather, direction: usize) -> bool {
        self.asked[direction] += 1;
        self.asked[direction].is_multiple_of(weather.ready)
    }

    pub fn writable(&mut self, lab: &mut State, weather: &Weather) -> bool {
        self.advance(lab);
        (self.up.len() < weather.room || self.is_closed()) && self.is_ready(weather, 0)
    }

    pub fn readable(&mut self, lab: &mut State, weather: &Weather) -> bool {
        self.advance(lab);
        (!self.down.is_empty() || self.is_closed()) && !self.dead && self.is_ready(weather, 1)
    }

    /// Takes what the weather lets pass; an error where the stream is broken.
    pub fn write(&mut self, lab: &mut State, weather: &mut Weather, bytes: &[u8]) -> Option<usize> {
        self.advance(lab);
        let mut len =
            self.wrote.allows(weather.write, bytes.len()).min(weather.room - self.up.len());
        if let Some(left) = &mut weather.breaks {
            if *left == 0 {
                weather.breaks = None;
                return None;
            }
            len = len.min(*left);
            *left -= len;
        }
        if self.is_closed() {
            return None;
        }
        self.wrote.pass(&bytes[..len]);
        self.up.extend(&bytes[..len]);
        self.advance(lab);
        lab.wake();
        Some(len)
    }

    /// Gives what the weather lets pass; nothing is the end, and `None` a broken stream.
    pub fn read(
        &mut self,
        lab: &mut State,
        weather: &mut Weather,
        into: &mut [u8],
    ) -> Option<usize> {
        self.advance(lab);
        let mut len = self.read.allows(weather.read, self.down.len()).min(into.len());
        if let Some(left) = &mut weather.deafens {
            if *left == 0 {
                weather.deafens = None;
                return None;
            }
            len = len.min(*left);
            *left -= len;
        }
        for (to, from) in into.iter_mut().zip(self.down.drain(..len)) {
            *to = from;
        }
        self.read.pass(&into[..len]);
        Some(len)
    }
}

/// Everything but the producer.
#[derive(Debug)]
pub struct State {
    pub now: Instant,
    pub cluster: Cluster,
    /// Connections whose client has gone.
    ghosts: Vec<Wire>,
    wakers: Vec<Waker>,
    timers: Vec<(Instant, Waker)>,
}

impl State {
    /// Wakes all that wait for a stream.
    pub fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// The node that listens there.
    pub fn node_at(&self, host: &str, port: u16) -> Option<NodeId> {
        let mut nodes = self.cluster.nodes();
        nodes.find(|node| self.cluster.address(*node) == Some((host, port)))
    }
}

/// Shared by all that live in it.
#[derive(Clone, Debug)]
pub struct Lab(pub Rc<RefCell<State>>);

impl Lab {
    pub fn new(nodes: u16, partitions: u32) -> Self {
        Self::of(ClusterConfig::with_nodes(nodes), nodes, partitions)
    }

    /// One node with one partition, which asks who comes.
    pub fn with_sasl(sasl: ottla_model::sasl::SaslConfig) -> Self {
        Self::of(ClusterConfig { sasl: Some(sasl), ..ClusterConfig::with_nodes(1) }, 1, 1)
    }

    fn of(config: ClusterConfig, nodes: u16, partitions: u32) -> Self {
        let mut cluster = Cluster::new(config);
        cluster.create_topic("t", partitions).expect("a topic");
        for partition in 0..partitions as i32 {
            let node = 1 + partition % i32::from(nodes);
            cluster.move_leader("t", partition, node).expect("a leader");
        }
        Self(Rc::new(RefCell::new(State {
            now: Instant::from_micros(1_000),
            cluster,
            ghosts: Vec::new(),
            wakers: Vec::new(),
            timers: Vec::new(),
        })))
    }

    pub fn now(&self) -> Instant {
        self.0.borrow().now
    }

    pub fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        theirs(|| f(&mut self.0.borrow_mut()))
    }

    /// When somebody is to be woken next.
    pub fn next_timer(&self) -> Option<Instant> {
        self.0.borrow().timers.iter().map(|(at, _)| *at).min()
    }

    /// Moves time on, and wakes whom that concerns.
    pub fn pass(&self, until: Instant) {
        let state = &mut *self.0.borrow_mut();
        state.now = state.now.max(until);
        let mut ghosts = core::mem::take(&mut state.ghosts);
        ghosts.iter_mut().for_each(|ghost| ghost.advance(state));
        ghosts.retain(|ghost| !ghost.is_closed());
        state.ghosts.append(&mut ghosts);
        let now = state.now;
        state.timers.retain(|(at, waker)| {
            let due = *at <= now;
            if due {
                waker.wake_by_ref();
            }
            !due
        });
        state.wake();
    }

    /// The values in a partition's log, which are numbers here.
    pub fn log(&self, partition: i32) -> Vec<u32> {
        let state = self.0.borrow();
        let values = state.cluster.log("t", partition).map(|record| {
            let value = record.value.expect("a value");
            u32::from_be_bytes(value[..4].try_into().expect("a number"))
        });
        values.collect()
    }
}
