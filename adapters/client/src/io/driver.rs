//! Moves bytes and time for one engine, and sleeps when there is nothing to move.

use core::{mem, task::Waker, time::Duration};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    sync::{Arc, Mutex, Weak},
    time::Instant as StdInstant,
};

use ottla_core::{ConnId, Instant};

use crate::{
    delivery::notifications::News,
    engine::locked_core::Engine,
    engine::state::{Action, Peer},
    io::link_error::Lost,
    io::links::Wires,
    io::pacing::Pace,
};

/// Rounds before others on the same thread get their turn.
const ROUNDS: usize = 16;
/// The shortest sleep, should a time never cease to be due; and the longest nap.
const SHORTEST: Duration = Duration::from_millis(1);

/// Opens connections.
pub trait Network {
    /// A connection, from the first attempt on. Callers write to it from their threads.
    type Link: Link + Send + 'static;

    /// Begins to open a connection. Must not block.
    ///
    /// # Errors
    ///
    /// Where it is clear at once that there will be none.
    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<Self::Link, Lost>;
}

/// A non-blocking connection that sees to it that the driver runs again, with a [`Ready`] for it,
/// when what it answered `WouldBlock` to may go on.
pub trait Link: Read + Write {
    /// Reads what is there, though nobody was told of it. Here `WouldBlock` promises nothing.
    ///
    /// # Errors
    ///
    /// As [`Read::read`].
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize>;

    /// Goes on with opening it: true once it is open.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened.
    fn open(&mut self) -> Result<bool, Lost>;
}

/// A connection slot whose link may go on.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // adapters make it
pub struct Ready {
    /// The slot's number.
    pub index: usize,
    /// Reading, or opening, may go on.
    pub readable: bool,
    /// Writing, or opening, may go on.
    pub writable: bool,
}

/// What is to follow a turn.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums)] // a driver's driver must know them all
pub enum Turn {
    /// Another turn, soon.
    Again,
    /// Another turn when a link is ready, the waker was woken, or this time has come.
    Sleep(Option<StdInstant>),
    /// Another turn when the waker was woken or this time has come: until then callers look after the links,
    /// and those that are ready need not be looked at.
    Nap(StdInstant),
    /// Nothing: the producer is closed.
    Closed,
}

/// Everything about running a producer but sockets and sleep.
#[derive(Debug)]
pub struct Driver<N: Network> {
    engine: Arc<Engine>,
    network: N,
    wires: Arc<Mutex<Wires<N::Link>>>,
    /// Kept for the room they have.
    actions: VecDeque<Action>,
    news: News,
    pace: Pace,
    /// Until when it naps.
    nap: Option<Instant>,
}

impl<N: Network> Driver<N> {
    /// A driver for `engine`, which must have only one.
    #[must_use]
    pub fn new(engine: Arc<Engine>, network: N) -> Self {
        let wires = Arc::new(Mutex::new(Wires::new()));
        let for_callers: Weak<Mutex<Wires<N::Link>>> = Arc::downgrade(&wires);
        engine.set_wires(for_callers);
        Self {
            engine,
            network,
            wires,
            actions: VecDeque::new(),
            news: News::default(),
            pace: Pace::new(),
            nap: None,
        }
    }

    /// Does something with the link in a slot.
    pub fn with_link(&mut self, index: usize, act: impl FnOnce(&mut N::Link)) {
        if let Some(link) = Wires::lock(&self.wires).link_mut(index) {
            act(link);
        }
    }

    /// Whether a nap goes on: its time may not have come, and nobody has woken the driver.
    #[must_use]
    pub fn naps(&self) -> bool {
        self.engine.lock_busy().naps()
    }

    /// A caller that waits for an answer begins to drive. False where the driver does not nap.
    #[must_use]
    pub fn take_over(&mut self) -> bool {
        let naps = self.naps();
        if naps {
            self.nap = None;
            self.engine.count_wait();
        }
        naps
    }

    /// The caller has its answer: the driver naps on. False where somebody else waits for something, so that
    /// it is to be woken.
    #[must_use]
    pub fn hand_back(&mut self, waker: &Waker) -> bool {
        self.engine.end_waiting();
        let now = self.engine.clock().now();
        let mut state = self.engine.lock_busy();
        let naps = self.engine.nobody_waits() && state.may_nap();
        if naps {
            state.rest(waker, true, now.after(SHORTEST));
        } else {
            state.awake();
        }
        drop(state);
        self.engine.set_naps(naps);
        naps
    }

    /// Serves the links that are ready and whatever follows, then says what is to be waited for.
    /// `waker` is to bring about another turn.
    pub fn turn(&mut self, ready: &mut Vec<Ready>, waker: &Waker) -> Turn {
        if self.nap.take().is_some_and(|until| self.engine.clock().now() < until) {
            self.pace.cool();
        }
        self.engine.lock_busy().awake();
        self.engine.set_naps(false);
        let wires = Arc::clone(&self.wires);
        let mut wires = Wires::lock(&wires);
        for ready in ready.drain(..) {
            wires.serve(&self.engine, ready);
        }
        for _ in 0..ROUNDS {
            if let Some(turn) = self.gather(&mut wires, waker) {
                return turn;
            }
            self.engine.tell(&mut self.news);
            self.act(&mut wires);
            let mut writes = mem::take(&mut wires.writes);
            for conn in writes.drain(..) {
                wires.write_to(&self.engine, conn);
            }
            wires.writes = writes;
            let mut again = mem::take(&mut wires.again);
            for ready in again.drain(..) {
                wires.serve(&self.engine, ready);
            }
            // `serve` may have added to the list in the meantime.
            again.append(&mut wires.again);
            wires.again = again;
        }
        Turn::Again
    }

    /// Takes from the engine what there is to do; `Some` if there is nothing.
    fn gather(&mut self, wires: &mut Wires<N::Link>, waker: &Waker) -> Option<Turn> {
        let now = self.engine.clock().now();
        let clock = self.engine.clock();
        let wall = clock.anchor(now).then(|| clock.trusted_wall_ms(now));
        let mut state = self.engine.lock_busy();
        if let Some(wall) = wall {
            state.core.set_wall_clock(now, wall);
        }
        state.tick(now);
        state.collect(now);
        let calm = self.pace.lets_nap(now, &self.engine, &state);
        let nap = calm && state.may_nap() && wires.may_be_left();
        if !nap {
            state.collect_writes(now, &mut wires.writes);
        }
        mem::swap(&mut state.actions, &mut self.actions);
        state.take_news(&mut self.news);
        let idle = self.actions.is_empty()
            && wires.writes.is_empty()
            && wires.again.is_empty()
            && self.news.is_empty()
            && !state.core.has_output();
        if !idle {
            return None;
        }
        if state.closed {
            return Some(Turn::Closed);
        }
        let soon = now.after(SHORTEST);
        let until = state.rest(waker, nap, if nap { soon } else { Instant::NEVER });
        drop(state);
        self.engine.set_naps(nap);
        let until = if until <= now { soon } else { until };
        self.nap = nap.then_some(until);
        let known = (until != Instant::NEVER).then_some(until);
        let until = known.and_then(|at| self.engine.clock().std(at));
        Some(until.filter(|_| nap).map_or(Turn::Sleep(until), Turn::Nap))
    }

    fn act(&mut self, wires: &mut Wires<N::Link>) {
        while let Some(action) = self.actions.pop_front() {
            match action {
                Action::Connect(conn) => self.connect(wires, conn),
                Action::Disconnect(conn) => wires.remove(conn),
            }
        }
    }

    fn connect(&mut self, wires: &mut Wires<N::Link>, conn: ConnId) {
        let index = conn.index();
        let mut state = self.engine.lock_busy();
        // Without an address the core thought better of it.
        let Some(address) = state.core.address(conn) else {
            return;
        };
        let (host, port) = (address.host.to_owned(), address.port);
        let name: Arc<str> = match host.contains(':') {
            true => format!("[{host}]:{port}").into(),
            false => format!("{host}:{port}").into(),
        };
        let broker = Arc::clone(&name);
        state.news.note(move || tracing::debug!(%broker, "connecting"));
        if state.peers.len() <= index {
            state.peers.resize_with(index + 1, Peer::default);
        }
        if let Some(peer) = state.peers.get_mut(index) {
            *peer = Peer { name, ..Peer::default() };
        }
        drop(state);
        match self.network.dial(conn, &host, port) {
            Ok(link) => {
                wires.insert(conn, link);
                wires.serve(&self.engine, Ready { index, readable: true, writable: true });
            }
            Err(lost) => wires.lose_unopened(&self.engine, conn, lost),
        }
    }
}

impl<N: Network> Drop for Driver<N> {
    fn drop(&mut self) {
        self.engine.end(&mut self.news);
    }
}
