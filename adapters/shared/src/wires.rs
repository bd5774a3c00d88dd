//! The links of a driver, which callers may write to while it sleeps.

use core::mem;
use std::sync::{Mutex, PoisonError, TryLockError};

use ottla_core::ConnId;

use crate::{
    driver::{Link, Ready},
    engine::Engine,
    lost::Lost,
    pump::{self, Moved},
};

/// The links, by the connection's slot. Whoever holds their lock may take the engine's, and never the
/// other way round.
#[derive(Debug)]
pub(crate) struct Wires<L> {
    pub(crate) links: Vec<Option<Slot<L>>>,
    /// Slots whose turn was over before they were done.
    pub(crate) again: Vec<Ready>,
    /// Kept for the room that it has.
    pub(crate) writes: Vec<ConnId>,
    /// Records that had been taken when something was read last.
    pub(crate) records: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Slot<L> {
    conn: ConnId,
    link: L,
    open: bool,
    /// The link took no more; it will say when it does.
    blocked: bool,
    /// The core had no room when there was something to read.
    unread: bool,
}

/// Writes in the driver's stead.
pub(crate) trait WriteNow: Send + Sync {
    /// Writes what is to leave. True where the driver has to see to the rest, or is at work and will.
    fn write_now(&self, engine: &Engine) -> bool;
}

impl<L: Link + Send> WriteNow for Mutex<Wires<L>> {
    fn write_now(&self, engine: &Engine) -> bool {
        let mut wires = match self.try_lock() {
            Ok(wires) => wires,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        let now = engine.clock().now();
        let mut writes = mem::take(&mut wires.writes);
        engine.lock_busy().collect_writes(now, &mut writes);
        for conn in writes.drain(..) {
            wires.write(engine, conn);
        }
        wires.writes = writes;
        !wires.again.is_empty()
    }
}

impl<L> Slot<L> {
    pub(crate) const fn new(conn: ConnId, link: L) -> Self {
        Self { conn, link, open: false, blocked: false, unread: false }
    }
}

impl<L: Link> Wires<L> {
    pub(crate) const fn new() -> Self {
        Self { links: Vec::new(), again: Vec::new(), writes: Vec::new(), records: None }
    }

    /// Locks them: no caller holds them for long.
    pub(crate) fn lock(wires: &Mutex<Self>) -> std::sync::MutexGuard<'_, Self> {
        wires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn link_mut(&mut self, index: usize) -> Option<&mut L> {
        self.links.get_mut(index)?.as_mut().map(|slot| &mut slot.link)
    }

    /// Puts a new link into its slot.
    pub(crate) fn insert(&mut self, conn: ConnId, link: L) {
        let index = conn.index();
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        if let Some(place) = self.links.get_mut(index) {
            *place = Some(Slot::new(conn, link));
        }
    }

    /// Drops the link of a connection, if it is there.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        if let Some(place) = self.links.get_mut(conn.index()) {
            place.take_if(|slot| slot.conn == conn);
        }
    }

    pub(crate) fn serve(&mut self, engine: &Engine, ready: Ready) {
        let Some(Some(slot)) = self.links.get_mut(ready.index) else {
            return;
        };
        let conn = slot.conn;
        if !slot.open {
            match slot.link.open() {
                Ok(false) => return,
                Ok(true) => {
                    slot.open = true;
                    let mut state = engine.lock_busy();
                    let now = engine.clock().now();
                    if let Some(peer) = state.peers.get_mut(ready.index) {
                        tracing::debug!(broker = %peer.name, "connected");
                        peer.opened = Some(now);
                    }
                    state.core.handle_connected(now, conn);
                }
                Err(lost) => return self.lose(engine, conn, lost),
            }
        }
        if ready.readable {
            let now = engine.clock().now();
            let mut state = engine.lock_busy();
            let moved = pump::read(&mut state.core, now, conn, &mut slot.link);
            self.records = Some(state.records);
            drop(state);
            slot.unread = matches!(moved, Ok(Moved::CoreDone));
            match moved {
                Ok(Moved::TurnOver) => {
                    self.again.push(Ready { index: ready.index, readable: true, writable: false })
                }
                Ok(_) => {}
                Err(lost) => return self.lose(engine, conn, lost),
            }
        }
        if ready.writable && slot.blocked {
            slot.blocked = false;
            self.write(engine, conn);
        }
    }

    pub(crate) fn write(&mut self, engine: &Engine, conn: ConnId) {
        let Some(Some(slot)) = self.links.get_mut(conn.index()) else {
            return;
        };
        if slot.conn != conn || !slot.open || slot.blocked {
            return;
        }
        let now = engine.clock().now();
        let mut state = engine.lock_busy();
        let moved = pump::write(&mut state.core, now, conn, &mut slot.link);
        let roomy = slot.unread && state.core.wants_read(conn);
        drop(state);
        let over = matches!(moved, Ok(Moved::TurnOver));
        slot.blocked = over || matches!(moved, Ok(Moved::Blocked));
        if over || roomy {
            self.again.push(Ready { index: conn.index(), readable: roomy, writable: over });
        }
        if let Err(lost) = moved {
            self.lose(engine, conn, lost);
        }
    }

    pub(crate) fn lose(&mut self, engine: &Engine, conn: ConnId, lost: Lost) {
        self.remove(conn);
        let now = engine.clock().now();
        let mut state = engine.lock_busy();
        if let Some(peer) = state.peers.get_mut(conn.index()) {
            peer.error = lost.words();
        }
        state.core.handle_disconnected(now, conn, lost.cause);
    }
}
