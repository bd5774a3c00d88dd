//! Moves bytes and time for one engine, and sleeps when there is nothing to move.

use core::{mem, task::Waker};
use std::{
    collections::VecDeque,
    io::{Read, Write},
    sync::Arc,
    time::Instant as StdInstant,
};

use ottla_core::{ConnId, Instant};

use crate::{
    engine::Engine,
    lost::Lost,
    pump::{self, Moved},
    state::{Action, Peer},
    table::News,
};

/// Rounds before others on the same thread get their turn.
const ROUNDS: usize = 16;
/// The shortest sleep, in microseconds, should a time never cease to be due.
const SHORTEST: u64 = 1_000;

/// Opens connections.
pub trait Network {
    /// A connection, from the first attempt on.
    type Link: Link;

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
    /// Nothing: the producer is closed.
    Closed,
}

/// Everything about running a producer but sockets and sleep.
#[derive(Debug)]
pub struct Driver<N: Network> {
    engine: Arc<Engine>,
    network: N,
    links: Vec<Option<Slot<N::Link>>>,
    /// Slots whose turn was over before they were done.
    again: Vec<Ready>,
    /// Kept for the room they have.
    actions: VecDeque<Action>,
    writes: Vec<ConnId>,
    news: News,
}

#[derive(Debug)]
struct Slot<L> {
    conn: ConnId,
    link: L,
    open: bool,
    /// The link took no more; it will say when it does.
    blocked: bool,
    /// The core had no room when there was something to read.
    unread: bool,
}

impl<N: Network> Driver<N> {
    /// A driver for `engine`, which must have only one.
    #[must_use]
    pub fn new(engine: Arc<Engine>, network: N) -> Self {
        Self {
            engine,
            network,
            links: Vec::new(),
            again: Vec::new(),
            actions: VecDeque::new(),
            writes: Vec::new(),
            news: News::default(),
        }
    }

    /// The link in a slot.
    pub fn link_mut(&mut self, index: usize) -> Option<&mut N::Link> {
        self.links.get_mut(index)?.as_mut().map(|slot| &mut slot.link)
    }

    /// Serves the links that are ready and whatever follows, then says what is to be waited for.
    /// `waker` is to bring about another turn.
    pub fn turn(&mut self, ready: &mut Vec<Ready>, waker: &Waker) -> Turn {
        for ready in ready.drain(..) {
            self.serve(ready);
        }
        for _ in 0..ROUNDS {
            if let Some(turn) = self.gather(waker) {
                return turn;
            }
            self.engine.tell(&mut self.news);
            self.act();
            let mut writes = mem::take(&mut self.writes);
            for conn in writes.drain(..) {
                self.write(conn);
            }
            self.writes = writes;
            let mut again = mem::take(&mut self.again);
            for ready in again.drain(..) {
                self.serve(ready);
            }
            // `serve` may have added to the list in the meantime.
            again.append(&mut self.again);
            self.again = again;
        }
        Turn::Again
    }

    /// Takes from the engine what there is to do; `Some` if there is nothing.
    fn gather(&mut self, waker: &Waker) -> Option<Turn> {
        let now = self.engine.clock().now();
        self.engine.clock().anchor(now);
        let mut state = self.engine.lock_busy();
        state.tick(now);
        state.collect(now);
        mem::swap(&mut state.actions, &mut self.actions);
        mem::swap(&mut state.writes, &mut self.writes);
        state.take_news(&mut self.news);
        let idle = self.actions.is_empty()
            && self.writes.is_empty()
            && self.again.is_empty()
            && self.news.is_empty();
        if !idle {
            return None;
        }
        if state.closed {
            return Some(Turn::Closed);
        }
        let until = state.rest(waker);
        drop(state);
        let soonest = Instant::from_micros(now.as_micros() + SHORTEST);
        let until = if until <= now { soonest } else { until };
        let known = (until != Instant::NEVER).then_some(until);
        Some(Turn::Sleep(known.and_then(|at| self.engine.clock().std(at))))
    }

    fn act(&mut self) {
        while let Some(action) = self.actions.pop_front() {
            match action {
                Action::Connect(conn) => self.connect(conn),
                Action::Disconnect(conn) => {
                    if let Some(place) = self.links.get_mut(conn.index()) {
                        place.take_if(|slot| slot.conn == conn);
                    }
                }
            }
        }
    }

    fn connect(&mut self, conn: ConnId) {
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
        tracing::debug!(broker = %name, "connecting");
        if state.peers.len() <= index {
            state.peers.resize_with(index + 1, Peer::default);
        }
        if let Some(peer) = state.peers.get_mut(index) {
            *peer = Peer { name, ..Peer::default() };
        }
        drop(state);
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        let link = self.network.dial(conn, &host, port);
        let Some(place) = self.links.get_mut(index) else {
            return;
        };
        match link {
            Ok(link) => {
                *place = Some(Slot { conn, link, open: false, blocked: false, unread: false });
                self.serve(Ready { index, readable: true, writable: true });
            }
            Err(lost) => self.lose(conn, lost),
        }
    }

    fn serve(&mut self, ready: Ready) {
        let Some(Some(slot)) = self.links.get_mut(ready.index) else {
            return;
        };
        let conn = slot.conn;
        if !slot.open {
            match slot.link.open() {
                Ok(false) => return,
                Ok(true) => {
                    slot.open = true;
                    let mut state = self.engine.lock_busy();
                    let now = self.engine.clock().now();
                    if let Some(peer) = state.peers.get_mut(ready.index) {
                        tracing::debug!(broker = %peer.name, "connected");
                        peer.opened = Some(now);
                    }
                    state.core.handle_connected(now, conn);
                }
                Err(lost) => return self.lose(conn, lost),
            }
        }
        if ready.readable {
            let now = self.engine.clock().now();
            let moved = pump::read(&mut self.engine.lock_busy().core, now, conn, &mut slot.link);
            slot.unread = matches!(moved, Ok(Moved::CoreDone));
            match moved {
                Ok(Moved::TurnOver) => {
                    self.again.push(Ready { index: ready.index, readable: true, writable: false })
                }
                Ok(_) => {}
                Err(lost) => return self.lose(conn, lost),
            }
        }
        if ready.writable && slot.blocked {
            slot.blocked = false;
            self.write(conn);
        }
    }

    fn write(&mut self, conn: ConnId) {
        let Some(Some(slot)) = self.links.get_mut(conn.index()) else {
            return;
        };
        if slot.conn != conn || !slot.open || slot.blocked {
            return;
        }
        let now = self.engine.clock().now();
        let mut state = self.engine.lock_busy();
        let moved = pump::write(&mut state.core, now, conn, &mut slot.link);
        let roomy = slot.unread && state.core.wants_read(conn);
        drop(state);
        let over = matches!(moved, Ok(Moved::TurnOver));
        slot.blocked = over || matches!(moved, Ok(Moved::Blocked));
        if over || roomy {
            self.again.push(Ready { index: conn.index(), readable: roomy, writable: over });
        }
        if let Err(lost) = moved {
            self.lose(conn, lost);
        }
    }

    fn lose(&mut self, conn: ConnId, lost: Lost) {
        if let Some(place) = self.links.get_mut(conn.index()) {
            place.take_if(|slot| slot.conn == conn);
        }
        let now = self.engine.clock().now();
        let mut state = self.engine.lock_busy();
        if let Some(peer) = state.peers.get_mut(conn.index()) {
            peer.error = lost.words();
        }
        state.core.handle_disconnected(now, conn, lost.cause);
    }
}

impl<N: Network> Drop for Driver<N> {
    fn drop(&mut self) {
        let now = self.engine.clock().now();
        let mut news = News::default();
        let mut state = self.engine.lock_busy();
        state.end(now);
        state.take_news(&mut news);
        drop(state);
        self.engine.tell(&mut news);
    }
}
