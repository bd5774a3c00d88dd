//! What goes wrong with connections.

use ottla_core::{ConnId, Disconnect};

use super::{Socket, World};

impl World<'_> {
    /// Ends every connection at once, as a network that went away.
    pub fn cut_all(&mut self) {
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            self.cut(id);
        }
    }

    /// Ends one of the connections that are open; tells whether there was one.
    pub fn cut_one(&mut self, which: u64) -> bool {
        let open = self.sockets.iter().filter(|(_, socket)| matches!(socket, Socket::Open(_)));
        let ids: Vec<ConnId> = open.map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return false;
        }
        self.cut(ids[which as usize % ids.len()]);
        true
    }

    /// Has the next connection that writes end after so many more bytes.
    pub fn cut_after(&mut self, bytes: usize) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.cut_after = Some(bytes);
            }
        }
    }

    /// Loses everything that nodes say from now on, on the connections that are open.
    pub fn deafen(&mut self) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.down.dead = true;
            }
        }
    }

    /// Holds up everything that was said to nodes and everything that is said to them from now on,
    /// on the connections that are open: what the core has sent becomes a straggler.
    pub fn hold_up(&mut self) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.up.held = true;
            }
        }
    }

    /// Holds up everything that nodes say on the connections that are open.
    pub fn hold_answers(&mut self) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.down.held = true;
            }
        }
    }

    /// Has what was held up of nodes' answers arrive on the connection that is open now, as over a
    /// line that outlives connections. Returns how many bytes that is.
    pub fn misdirect(&mut self) -> usize {
        let mut stale = Vec::new();
        for ghost in &mut self.ghosts {
            if core::mem::take(&mut ghost.down.held) {
                stale.extend(ghost.down.take_bytes());
            }
        }
        let open = self.sockets.values_mut().find_map(|socket| match socket {
            Socket::Open(link) => Some(link),
            Socket::Opening(..) => None,
        });
        let len = stale.len();
        if let Some(link) = open {
            link.inbox.extend(stale);
        }
        len
    }

    /// Lets go what was held up.
    pub fn release(&mut self) {
        let open = self.sockets.values_mut().filter_map(|socket| match socket {
            Socket::Open(link) => Some(&mut **link),
            Socket::Opening(..) => None,
        });
        for link in open.chain(&mut self.ghosts) {
            link.release();
        }
    }

    /// Holds up what nodes say on the connections that are open after they have said so many more bytes.
    pub fn pause_after(&mut self, bytes: usize) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.pause_after = Some(bytes);
            }
        }
    }

    /// Has nodes close the connections that are open after they have said so many more bytes.
    pub fn hush_after(&mut self, bytes: usize) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.hush_after = Some(bytes);
            }
        }
    }

    pub(super) fn cut(&mut self, id: ConnId) {
        self.hang_up(id, "cut");
        self.producer.handle_disconnected(self.now, id, Disconnect::Io);
    }

    /// Closes the core's end. What it has sent may still arrive: a straggler.
    pub(super) fn hang_up(&mut self, id: ConnId, why: &str) {
        self.tap.closed(id);
        if let Some(trace) = &self.trace {
            trace.borrow_mut().closed(self.now, id, why);
        }
        if let Some(Socket::Open(mut link)) = self.sockets.remove(&id) {
            if link.is_staging() {
                self.count("encrypted and lost");
            }
            link.close_up(self.now);
            self.ghosts.push(*link);
        }
    }
}
