//! The links of a driver, which callers may use while it sleeps.

use core::mem;
use std::{
    io::{self, Read as _},
    sync::{Arc, PoisonError, TryLockError},
};

use ottla_core::{ConnId, Instant};

use crate::{
    engine::{
        locked_core::{Engine, InlineWriter},
        state::State,
    },
    io::{
        handshakes::{Handshakes, Step},
        link_error::LinkError,
        network::{Link, Ready},
        transfer::{self, Moved},
        transport::Transport,
    },
    sync::{Mutex, MutexGuard},
};

/// The links, by the connection's slot. Whoever holds their lock may take the engine's, and never the
/// other way round.
#[derive(Debug)]
pub(crate) struct Links<L: Link> {
    pub(crate) links: Vec<Option<Slot<L>>>,
    pub(crate) handshakes: Handshakes,
    /// Slots whose turn was over before they were done.
    pub(crate) again: Vec<Ready>,
    /// Kept for the room that it has.
    pub(crate) writes: Vec<ConnId>,
}

#[derive(Debug)]
pub(crate) struct Slot<L: Link> {
    conn: ConnId,
    link: Transport<L>,
    open: bool,
    /// Not open, and to go on in another turn.
    deferred: bool,
    /// The link took no more; it will say when it does.
    blocked: bool,
}

impl<L: Link + Send> InlineWriter for Mutex<Links<L>> {
    fn write_now(&self, engine: &Engine) -> bool {
        let mut links = match self.try_lock() {
            Ok(links) => links,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        let now = engine.clock().now();
        let mut state = engine.lock_busy();
        let naps = state.naps();
        if naps {
            links.read_answers(&mut state, now);
            state.collect(now);
        }
        if state.is_crowded() {
            // Others open their lanes anew, and so need not wait until all is written.
            drop(state);
            state = engine.lock_beside();
        }
        let mut stuck = false;
        while let Some(conn) = state.core.poll_writable(now) {
            stuck |= links.write(engine, &mut state, now, conn);
        }
        // Whoever waits has woken the driver, which tells what was found here.
        drop(state);
        for ready in mem::take(&mut links.again) {
            links.serve(engine, ready);
        }
        !links.again.is_empty() || (naps && stuck)
    }
}

impl<L: Link> Slot<L> {
    /// What was read may have made something that is to be written, as an answer to an update of keys is.
    fn flush_after(&mut self, moved: Result<Moved, LinkError>) -> Result<Moved, LinkError> {
        let moved = moved?;
        if let Moved::Blocked = transfer::flush(&mut self.link, Moved::CoreDone)? {
            self.blocked = true;
        }
        Ok(moved)
    }
}

impl<L: Link> Links<L> {
    pub(crate) const fn new() -> Self {
        let handshakes = Handshakes::new();
        Self { links: Vec::new(), handshakes, again: Vec::new(), writes: Vec::new() }
    }

    /// Locks them: no caller holds them for long.
    pub(crate) fn lock(links: &Mutex<Self>) -> MutexGuard<'_, Self> {
        links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn link_mut(&mut self, index: usize) -> Option<&mut L> {
        Some(self.links.get_mut(index)?.as_mut()?.link.link_mut())
    }

    /// Puts a new link into its slot.
    pub(crate) fn insert(&mut self, conn: ConnId, link: Transport<L>) {
        let index = conn.index();
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        if let Some(place) = self.links.get_mut(index) {
            *place = Some(Slot { conn, link, open: false, deferred: false, blocked: false });
        }
    }

    /// Drops the link of a connection, if it is there.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        if let Some(place) = self.links.get_mut(conn.index()) {
            place.take_if(|slot| slot.conn == conn);
        }
    }

    /// Goes on with a link that had to wait for another turn, if it is still there.
    pub(crate) fn go_on_opening(&mut self, engine: &Engine, conn: ConnId) {
        let index = conn.index();
        if let Some(Some(slot)) = self.links.get_mut(index)
            && slot.conn == conn
        {
            slot.deferred = false;
            self.serve(engine, Ready { index, readable: true, writable: true });
        }
    }

    pub(crate) fn serve(&mut self, engine: &Engine, ready: Ready) {
        let Some(Some(slot)) = self.links.get_mut(ready.index) else {
            return;
        };
        let conn = slot.conn;
        if !slot.open {
            if slot.link.has_handshake() && !self.handshakes.take() {
                if !mem::replace(&mut slot.deferred, true) {
                    self.handshakes.defer(Step::Open(conn));
                }
                return;
            }
            match slot.link.open() {
                Ok(false) => return,
                Ok(true) => {
                    slot.open = true;
                    let mut state = engine.lock_busy();
                    let now = engine.clock().now();
                    if let Some(peer) = state.peers.get_mut(ready.index) {
                        peer.opened = Some(now);
                        let broker = Arc::clone(&peer.name);
                        state.news.note(move || tracing::debug!(%broker, "connected"));
                    }
                    state.core.handle_connected(now, conn);
                }
                Err(lost) => return self.lose_unopened(engine, conn, lost),
            }
        }
        if ready.readable {
            let mut state = engine.lock_busy();
            let now = engine.clock().now();
            let moved = read(&mut state, now, conn, |window| slot.link.read(window));
            let moved = slot.flush_after(moved);
            self.note_read(&mut state, now, conn, moved);
        }
        if ready.writable {
            self.go_on_writing(engine, conn);
        }
    }

    /// Reads the answers that have come, though nobody said so.
    pub(crate) fn read_answers(&mut self, state: &mut State, now: Instant) {
        for index in 0..self.links.len() {
            let Some(Some(slot)) = self.links.get_mut(index) else {
                continue;
            };
            let conn = slot.conn;
            if slot.open && state.core.has_pending_response(conn) {
                let moved = read(state, now, conn, |window| slot.link.try_read(window));
                let moved = slot.flush_after(moved);
                self.note_read(state, now, conn, moved);
            }
        }
    }

    fn note_read(
        &mut self,
        state: &mut State,
        now: Instant,
        conn: ConnId,
        moved: Result<Moved, LinkError>,
    ) {
        match moved {
            Ok(Moved::TurnOver) => {
                let index = conn.index();
                self.again.push(Ready { index, readable: true, writable: false });
            }
            Ok(Moved::CoreDone | Moved::Blocked) => {}
            Err(lost) => self.lose(state, now, conn, lost),
        }
    }

    /// Writes to a link that may take more now.
    fn go_on_writing(&mut self, engine: &Engine, conn: ConnId) {
        let Some(Some(slot)) = self.links.get_mut(conn.index()) else {
            return;
        };
        if slot.conn == conn && mem::take(&mut slot.blocked) {
            self.write_to(engine, conn);
        }
    }

    pub(crate) fn write_to(&mut self, engine: &Engine, conn: ConnId) {
        let mut state = engine.lock_beside();
        let now = engine.clock().now();
        self.write(engine, &mut state, now, conn);
    }

    /// Writes what there is for a connection. True where its link did not take all.
    fn write(&mut self, engine: &Engine, state: &mut State, now: Instant, conn: ConnId) -> bool {
        let Some(Some(slot)) = self.links.get_mut(conn.index()) else {
            return false;
        };
        if slot.conn != conn || !slot.open || slot.blocked {
            return false;
        }
        let moved = transfer::write(&mut state.core, now, conn, &mut slot.link);
        let moved = moved.and_then(|moved| transfer::flush(&mut slot.link, moved));
        let over = matches!(moved, Ok(Moved::TurnOver));
        slot.blocked = over || matches!(moved, Ok(Moved::Blocked));
        let stuck = matches!(moved, Ok(Moved::Blocked));
        if over {
            self.again.push(Ready { index: conn.index(), readable: false, writable: true });
        }
        if let Err(lost) = moved {
            engine.close_lanes(state);
            self.lose(state, now, conn, lost);
        }
        stuck
    }

    /// Loses a link that was never open.
    pub(crate) fn lose_unopened(&mut self, engine: &Engine, conn: ConnId, lost: LinkError) {
        let mut state = engine.lock_busy();
        let now = engine.clock().now();
        self.lose(&mut state, now, conn, lost);
    }

    fn lose(&mut self, state: &mut State, now: Instant, conn: ConnId, lost: LinkError) {
        self.remove(conn);
        if let Some(peer) = state.peers.get_mut(conn.index()) {
            peer.error = lost.words();
        }
        state.core.handle_disconnected(now, conn, lost.cause);
    }

    /// Whether all links are open and take what is written to them: then callers can do all that there is
    /// to do.
    pub(crate) fn may_be_left(&self) -> bool {
        let mut links = self.links.iter().flatten();
        let idle = self.again.is_empty() && self.handshakes.nobody_waits();
        idle && links.all(|slot| slot.open && !slot.blocked)
    }
}

/// Reads what there is for a connection.
fn read(
    state: &mut State,
    now: Instant,
    conn: ConnId,
    read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> Result<Moved, LinkError> {
    let State { core, table, .. } = state;
    transfer::read(core, now, conn, read, &mut |remark| table.remark(remark))
}
