//! Moves bytes and time for one engine, and sleeps when there is nothing to move.

use core::{mem, task::Waker, time::Duration};
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Instant as StdInstant,
};

#[cfg(feature = "sasl")]
use ottla_core::TimerKind;
use ottla_core::{ConnId, Instant};

use crate::{
    delivery::{calls_to_engine::EngineCalls as _, notifications::Notifications},
    engine::{
        locked_core::Engine,
        state::{Action, Peer},
    },
    gap::{self, Gap},
    io::{
        handshakes::Step,
        links::Links,
        nap_decision::Pace,
        network::{Network, Ready},
        transport::Transport,
    },
    security::Security,
    sync::Mutex,
};

/// Rounds before others on the same thread get their turn.
const ROUNDS: usize = 16;
/// The shortest sleep, should a time never cease to be due; and the longest nap.
const SHORTEST: Duration = Duration::from_millis(1);

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
    security: Security,
    links: Arc<Mutex<Links<N::Link>>>,
    /// Kept for the room they have.
    actions: VecDeque<Action>,
    news: Notifications,
    pace: Pace,
    /// Until when it naps.
    nap: Option<Instant>,
    /// There is a batch to be compressed.
    to_compress: bool,
}

impl<N: Network> Driver<N> {
    /// A driver for `engine`, which must have only one. Connections are plain.
    #[must_use]
    pub fn new(engine: Arc<Engine>, network: N) -> Self {
        Self::secured(engine, network, Security::default())
    }

    /// As [`Driver::new`], with connections that are secured like that.
    pub(crate) fn secured(engine: Arc<Engine>, network: N, security: Security) -> Self {
        let links = Arc::new(Mutex::new(Links::new()));
        let for_callers: Weak<Mutex<Links<N::Link>>> = Arc::downgrade(&links);
        engine.set_inline_writer(for_callers);
        Self {
            engine,
            network,
            security,
            links,
            actions: VecDeque::new(),
            news: Notifications::default(),
            pace: Pace::new(),
            nap: None,
            to_compress: false,
        }
    }

    /// Does something with the link in a slot.
    pub fn with_link(&mut self, index: usize, act: impl FnOnce(&mut N::Link)) {
        if let Some(link) = Links::lock(&self.links).link_mut(index) {
            act(link);
        }
    }

    /// Whether a nap goes on: its time may not have come, and nobody has woken the driver.
    #[must_use]
    pub fn naps(&self) -> bool {
        self.engine.lock_beside().naps()
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
        let naps = self.engine.nobody_waits_yet() && state.may_nap() && !state.is_to_compress();
        if naps {
            state.rest(waker, true, now.after(SHORTEST));
        } else {
            state.awake();
        }
        self.engine.set_naps(naps);
        drop(state);
        naps
    }

    /// Serves the links that are ready and whatever follows, then says what is to be waited for.
    /// `waker` is to bring about another turn.
    pub fn turn(&mut self, ready: &mut Vec<Ready>, waker: &Waker) -> Turn {
        if self.nap.take().is_some_and(|until| self.engine.clock().now() < until) {
            self.pace.cool();
        }
        self.engine.begin_turn();
        let links = Arc::clone(&self.links);
        let mut links = Links::lock(&links);
        links.handshakes.begin_turn();
        while let Some(step) = links.handshakes.next() {
            match step {
                Step::Dial(conn) => self.connect(&mut links, conn),
                Step::Open(conn) => links.go_on_opening(&self.engine, conn),
            }
        }
        if !links.handshakes.nobody_waits() {
            // While a task has always something to do, a runtime looks at its sockets only now and then.
            let now = self.engine.clock().now();
            links.read_answers(&mut self.engine.lock_busy(), now);
        }
        for ready in ready.drain(..) {
            links.serve(&self.engine, ready);
        }
        let mut has_compressed = false;
        for _ in 0..ROUNDS {
            if let Some(turn) = self.gather(&mut links, waker, has_compressed) {
                return turn;
            }
            self.engine.tell(&mut self.news);
            self.act(&mut links);
            let mut writes = mem::take(&mut links.writes);
            for conn in writes.drain(..) {
                links.write_to(&self.engine, conn);
            }
            links.writes = writes;
            let mut again = mem::take(&mut links.again);
            for ready in again.drain(..) {
                links.serve(&self.engine, ready);
            }
            // `serve` may have added to the list in the meantime.
            again.append(&mut links.again);
            links.again = again;
            // Last, so that nothing waits for it that need not.
            if self.to_compress && !has_compressed {
                self.engine.compress_next();
                has_compressed = true;
            }
        }
        Turn::Again
    }

    /// Takes from the engine what there is to do; `Some` if there is nothing for this turn.
    fn gather(
        &mut self,
        links: &mut Links<N::Link>,
        waker: &Waker,
        has_compressed: bool,
    ) -> Option<Turn> {
        let now = self.engine.clock().now();
        let clock = self.engine.clock();
        let wall = clock.anchor(now).then(|| clock.trusted_wall_ms(now));
        let mut state = self.engine.lock_busy();
        if let Some(wall) = wall {
            state.core.set_wall_clock(now, wall);
        }
        state.let_pass(now);
        state.collect(now);
        let busy = self.pace.busy(now, state.records, self.engine.waits());
        // Callers look after the links in passing, as they send, if nobody waits; or because they wait, if
        // that is all that they do.
        let attended = || self.engine.inline_driver().is_some() && state.table.pending() == 0;
        let calm = (busy.sending && state.lingers() && self.engine.nobody_waits_yet())
            || (busy.waiting && attended());
        self.to_compress = state.is_to_compress();
        let compresses = self.to_compress || has_compressed;
        let nap = calm && !compresses && state.may_nap() && links.may_be_left();
        if !nap {
            state.collect_writes(now, &mut links.writes);
        }
        mem::swap(&mut state.actions, &mut self.actions);
        state.take_news(&mut self.news);
        let idle = self.actions.is_empty()
            && links.writes.is_empty()
            && links.again.is_empty()
            && self.news.is_empty()
            && (has_compressed || !self.to_compress)
            && !state.core.has_output();
        if !idle {
            return None;
        }
        if state.closed {
            return Some(Turn::Closed);
        }
        #[cfg(feature = "sasl")]
        if matches!(state.core.poll_timeout(), Some((_, TimerKind::KeyDerivation))) {
            // Others get the lock, and the thread, in between.
            return Some(Turn::Again);
        }
        if !links.handshakes.nobody_waits() {
            return Some(Turn::Again);
        }
        if self.to_compress {
            // One batch a turn: sockets, and others on the same thread, have theirs in between.
            return Some(Turn::Again);
        }
        let soon = now.after(SHORTEST);
        let at_last = if nap || state.is_crowded() { soon } else { Instant::NEVER };
        let until = state.rest(waker, nap, at_last);
        self.engine.set_naps(nap);
        drop(state);
        gap::pass(Gap::Asleep);
        let until = if until <= now { soon } else { until };
        self.nap = nap.then_some(until);
        let known = (until != Instant::NEVER).then_some(until);
        let until = known.and_then(|at| self.engine.clock().std(at));
        Some(until.filter(|_| nap).map_or(Turn::Sleep(until), Turn::Nap))
    }

    fn act(&mut self, links: &mut Links<N::Link>) {
        while let Some(action) = self.actions.pop_front() {
            match action {
                Action::Connect(conn) => self.connect(links, conn),
                Action::Disconnect(conn) => links.remove(conn),
                #[cfg(feature = "sasl")]
                Action::WantToken => self.engine.want_token(),
            }
        }
    }

    fn connect(&mut self, links: &mut Links<N::Link>, conn: ConnId) {
        if self.security.is_on() && !links.handshakes.take() {
            return links.handshakes.defer(Step::Dial(conn));
        }
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
        let dial = || self.network.dial(conn, &host, port);
        match Transport::new(&self.security, &host, dial) {
            Ok(link) => {
                links.insert(conn, link);
                links.serve(&self.engine, Ready { index, readable: true, writable: true });
            }
            Err(lost) => links.lose_unopened(&self.engine, conn, lost),
        }
    }
}

impl<N: Network> Drop for Driver<N> {
    fn drop(&mut self) {
        self.engine.end(&mut self.news);
    }
}
