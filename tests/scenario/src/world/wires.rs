//! Bytes between the core and brokers.

use ottla_core::{ConnId, Disconnect, Instant};

use super::{Socket, World};
use crate::{
    network::Link,
    tap::{Place, View},
    trace::{Lane, Tone},
};

impl World<'_> {
    pub(super) fn latency(&mut self) -> u64 {
        let (low, high) = self.weather.latency;
        self.dice.roll(low, high)
    }

    pub(super) fn dial(&mut self, id: ConnId) {
        self.dials.push(self.now);
        self.dialled.push(id);
        let address = self.producer.address(id).expect("a connection to be opened has an address");
        assert!(!address.host.is_empty() && address.port > 0, "a dial to nowhere: {address:?}");
        let to = (address.host.to_owned(), address.port);
        if self.sockets.len() >= self.descriptors {
            self.producer.handle_disconnected(self.now, id, Disconnect::Exhausted);
            return;
        }
        let mut nodes = self.cluster.nodes();
        let node = nodes.find(|node| self.cluster.address(*node) == Some((&to.0, to.1)));
        drop(nodes);
        let wait = 2 * self.latency();
        match node {
            Some(node) => {
                let at = Instant::from_micros(self.now.as_micros() + wait);
                self.sockets.insert(id, Socket::Opening(at, node));
            }
            None => self.producer.handle_disconnected(self.now, id, Disconnect::Refused),
        }
    }

    pub(super) fn write(&mut self) -> bool {
        let mut moved = false;
        // Those that the core names, and those that did not take all of what they were given.
        let mut ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        ids.retain(|id| self.producer.pending_write(*id).next().is_some());
        while let Some(id) = self.producer.poll_writable(self.now) {
            ids.push(id);
        }
        ids.sort_unstable();
        for id in ids {
            while self.producer.prepare_write(self.now, id) {
                let Some(len) = self.write_some(id) else { break };
                moved = true;
                self.producer.handle_written(self.now, id, len);
                let cut = match self.sockets.get(&id) {
                    Some(Socket::Open(link)) => link.cut_after == Some(0),
                    _ => false,
                };
                if cut {
                    self.cut(id);
                    // What that settled is heard before anything else is written.
                    return true;
                }
            }
        }
        moved
    }

    /// Writes what the socket accepts; `None` where it accepts nothing.
    fn write_some(&mut self, id: ConnId) -> Option<usize> {
        let latency = self.latency();
        let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { return None };
        assert!(
            !self.producer.internal_is_too_late(id),
            "something begins to be said after the session is over"
        );
        if self.portion.is_some() && (link.is_staging() || link.untold > 0) {
            return None;
        }
        let mut offered = Vec::new();
        for piece in self.producer.pending_write(id) {
            offered.extend_from_slice(piece);
        }
        let place = Place { conn: id, node: link.server.node() };
        let view = View { cluster: &self.cluster, ledger: &self.ledger };
        if link.stalled(self.now).is_some() {
            self.tap.writes(self.now, place, &offered, 0, view);
            return None;
        }
        if self.weather.stalls > 0 && self.dice.once_in(self.weather.stalls) {
            let pause = self.dice.roll(100, 30_000);
            link.stalled_until = Instant::from_micros(self.now.as_micros() + pause);
            self.tap.writes(self.now, place, &offered, 0, view);
            return None;
        }
        if let Some(portion) = self.portion {
            return self.encrypt(id, place, &offered, portion);
        }
        let mut room = link.accepts(&self.weather);
        if self.weather.accepts != usize::MAX && room > 0 {
            room = self.dice.roll(1, room as u64) as usize;
        }
        if let Some(left) = link.cut_after {
            room = room.min(left);
        }
        let bytes = offered[..room.min(offered.len())].to_vec();
        self.tap.writes(self.now, place, &offered, bytes.len(), view);
        if let Some(trace) = &self.trace
            && !bytes.is_empty()
        {
            trace.borrow_mut().wrote(self.now, id, &offered, bytes.len(), &self.tap);
        }
        if let Some(left) = &mut link.cut_after {
            *left -= bytes.len();
        }
        if bytes.is_empty() {
            return (link.cut_after == Some(0)).then_some(0);
        }
        let len = bytes.len();
        self.sent += len as u64;
        link.send_up(Instant::from_micros(self.now.as_micros() + latency), bytes);
        Some(len)
    }

    /// Encrypts at most a portion; nothing that was encrypted before waits.
    fn encrypt(
        &mut self,
        id: ConnId,
        place: Place,
        offered: &[u8],
        portion: usize,
    ) -> Option<usize> {
        let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { return None };
        let len = offered.len().min(portion);
        let view = View { cluster: &self.cluster, ledger: &self.ledger };
        let told = if self.counts_accepted { 0 } else { len };
        self.tap.writes(self.now, place, offered, told, view);
        if let Some(trace) = &self.trace {
            trace.borrow_mut().wrote(self.now, id, offered, told, &self.tap);
        }
        self.sent += len as u64;
        link.stage(self.now, offered[..len].to_vec());
        if self.counts_accepted {
            link.untold = len;
            return None;
        }
        Some(len)
    }

    /// What is encrypted goes out as far as the sockets accept it.
    fn flush_links(&mut self) -> bool {
        if self.portion.is_none() {
            return false;
        }
        let mut moved = false;
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            let latency = self.latency();
            let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { continue };
            if link.flush_at() > self.now || link.stalled(self.now).is_some() {
                continue;
            }
            let mut room = link.accepts(&self.weather).min(link.staged());
            if self.weather.accepts != usize::MAX && room > 0 {
                room = self.dice.roll(1, room as u64) as usize;
            }
            room = link.cut_after.map_or(room, |left| room.min(left));
            let later = |micros| Instant::from_micros(self.now.as_micros() + micros);
            link.flush(later(latency), room, later(self.dice.roll(10, 3_000)));
            moved |= room > 0;
            if let Some(left) = &mut link.cut_after {
                *left -= room;
                if *left == 0 {
                    self.cut(id);
                    return true;
                }
            }
            if !link.is_staging() && link.untold > 0 {
                let len = core::mem::take(&mut link.untold);
                self.producer.handle_written(self.now, id, len);
            }
        }
        moved
    }

    pub(super) fn move_links(&mut self) -> bool {
        let mut moved = self.flush_links();
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            let latency = self.latency();
            match self.sockets.get_mut(&id) {
                Some(Socket::Opening(at, node)) if *at <= self.now => {
                    let node = *node;
                    if self.unreachable.contains(&node) {
                        *at = Instant::NEVER;
                        self.tell(Lane::Network, Tone::Faint, || {
                            format!("a connection to broker {node} hangs: it is unreachable")
                        });
                    } else if self.cluster.is_up(node) {
                        let link = Box::new(Link::new(&self.cluster, node, Some(id)));
                        self.sockets.insert(id, Socket::Open(link));
                        if let Some(trace) = &self.trace {
                            trace.borrow_mut().opened(self.now, id, node);
                        }
                        self.producer.handle_connected(self.now, id);
                    } else {
                        self.sockets.remove(&id);
                        self.tell(Lane::Network, Tone::Faint, || {
                            format!("a connection to broker {node} is refused: it is down")
                        });
                        self.producer.handle_disconnected(self.now, id, Disconnect::Refused);
                    }
                    moved = true;
                }
                Some(Socket::Open(link)) => {
                    moved |= link.advance(&mut self.cluster, self.now, latency);
                    self.largest_response = self.largest_response.max(link.largest_response);
                    self.hear(Some(id));
                }
                _ => {}
            }
        }
        for place in 0..self.ghosts.len() {
            self.ghosts[place].advance(&mut self.cluster, self.now, 0);
            self.hear(self.ghosts[place].id);
        }
        self.ghosts.retain(|link| !link.is_over());
        moved
    }

    pub(super) fn read(&mut self) -> bool {
        let mut moved = false;
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            while self.producer.wants_read(id) {
                let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { break };
                let window = self.producer.rx_buffer(id);
                let most = self.weather.arrives.min(window.len()).min(link.inbox.len());
                if most > 0 {
                    for (slot, byte) in window.iter_mut().zip(link.inbox.drain(..most)) {
                        *slot = byte;
                    }
                    self.tap.reads(self.now, id, &window[..most]);
                    if let Some(trace) = &self.trace {
                        trace.borrow_mut().read(self.now, id, &window[..most], &self.tap);
                    }
                    let (ledger, remarks) = (&self.ledger, &mut self.remarks);
                    self.producer.handle_received_with(self.now, id, most, &mut |remark| {
                        let ids = ledger.numbers(remark.batch, remark.first, remark.records);
                        remarks.push((ids, remark.text.to_string()));
                    });
                    moved = true;
                } else {
                    assert!(link.inbox.is_empty() || !window.is_empty(), "no room to read into");
                    if link.eof && link.inbox.is_empty() {
                        self.sockets.remove(&id);
                        self.tap.closed(id);
                        if let Some(trace) = &self.trace {
                            trace.borrow_mut().closed(self.now, id, "by the broker");
                        }
                        self.producer.handle_disconnected(self.now, id, Disconnect::Eof);
                        moved = true;
                    }
                    break;
                }
            }
        }
        moved
    }
}
