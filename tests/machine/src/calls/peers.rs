//! The other ends of connections: nodes of the model, and what becomes of their answers on the way.

use core::time::Duration;
use std::collections::VecDeque;

use ottla_core::{
    Acks, ConnId, Disconnect, Instant,
    wire::{ApiKey, frame::RequestHeader},
};
use ottla_model::{Cluster, Connection, NodeId};
use ottla_scenario::{
    Dice,
    trace::{Lane, Tone},
};

use super::machine::Machine;

/// A connection, as its caller sees it.
#[derive(Debug)]
pub(super) struct Wire {
    /// Who is at its address, if anybody.
    node: Option<NodeId>,
    /// The other end, once it is open.
    pub(super) server: Option<Connection>,
    /// What arrived, and was not read.
    pub(super) inbox: VecDeque<u8>,
    /// Bytes that the request under way has left to be written.
    left: usize,
    /// Whether each answer that is owed says for how long its node wants to be left alone.
    asked: VecDeque<bool>,
    /// Answers in the inbox: the bytes that are left of each, and for how long it asks to be left alone.
    answers: VecDeque<(usize, Duration)>,
    /// Until when it asked to be left alone.
    throttled_until: Instant,
    /// Somebody touched its answers: what they say is not known.
    spoilt: bool,
    /// The caller has reported it open.
    pub(super) reported: bool,
}

impl Wire {
    pub(super) const fn dialling(node: Option<NodeId>) -> Self {
        Self {
            node,
            server: None,
            inbox: VecDeque::new(),
            left: 0,
            asked: VecDeque::new(),
            answers: VecDeque::new(),
            throttled_until: Instant::ZERO,
            spoilt: false,
            reported: false,
        }
    }
}

/// Whether an answer says for how long its node wants to be left alone. That of ApiVersions may be of a version
/// that does not.
fn says_throttle(api: ApiKey, version: i16) -> bool {
    match api {
        ApiKey::PRODUCE => version >= 1,
        ApiKey::METADATA => version >= 3,
        ApiKey::INIT_PRODUCER_ID | ApiKey::DESCRIBE_PRODUCERS => true,
        _ => false,
    }
}

impl Wire {
    /// Whether an answer of this node is held back.
    pub(super) fn is_owed(&self, node: NodeId, cluster: &Cluster) -> bool {
        let server = self.server.as_ref().filter(|server| server.node() == node);
        server.is_some_and(|server| server.poll_timeout(cluster).is_some())
    }

    /// What its answers say is not known from here on.
    pub(super) const fn spoilt(&mut self) {
        self.spoilt = true;
    }
}

impl Machine<'_> {
    /// Opens a connection that was dialled, or says that nobody is there; tells whether that was to be done.
    pub(super) fn open(&mut self, id: ConnId) -> bool {
        let Some(wire) = self.wires.get_mut(&id).filter(|wire| !wire.reported) else {
            return false;
        };
        wire.reported = true;
        match wire.node.filter(|node| self.cluster.is_up(*node)) {
            Some(node) => {
                wire.server = Some(Connection::new(&self.cluster, node));
                self.tell(Lane::Network, Tone::Plain, || {
                    format!("{id:?} to broker {node} is open")
                });
                self.producer.handle_connected(self.now, id);
            }
            None => {
                self.tell(Lane::Network, Tone::Plain, || format!("{id:?} is refused"));
                self.disconnected(id, Disconnect::Refused);
            }
        }
        true
    }

    pub(super) fn disconnected(&mut self, id: ConnId, cause: Disconnect) {
        self.wires.remove(&id);
        self.producer.handle_disconnected(self.now, id, cause);
    }

    /// The producer ends a connection: what it has sent still arrives.
    pub(super) fn hang_up(&mut self, id: ConnId) {
        let time = self.time();
        if let Some(server) = self.wires.remove(&id).and_then(|wire| wire.server) {
            let mut server = server;
            server.handle_eof();
            server.advance(&mut self.cluster, time);
            self.hear();
        }
    }

    /// Writes at most so many bytes of what a connection has to write, and reports so many: `None` where
    /// there is nothing.
    pub(super) fn write(
        &mut self,
        id: ConnId,
        most: usize,
        reported: Option<usize>,
    ) -> Option<usize> {
        let mut offered = Vec::new();
        for piece in self.producer.pending_write(id) {
            assert!(!piece.is_empty(), "nothing to write, in a piece of its own");
            offered.extend_from_slice(piece);
        }
        if offered.is_empty() {
            return None;
        }
        let len = most.min(offered.len());
        let told = reported.unwrap_or(len);
        // What is reported beyond what there is counts as all of it.
        let left = told.min(offered.len());
        let now = self.now;
        // What no byte has left of may still be another request.
        let Some(wire) = self.wires.get_mut(&id).filter(|_| left > 0) else {
            self.producer.handle_written(now, id, told);
            return Some(left);
        };
        if wire.left == 0 {
            wire.left = offered.len();
            self.pace.asked(now);
            let head = RequestHeader::read(offered.get(4..).unwrap_or_default());
            let (_, head) = head.expect("the head of a request");
            let asks = head.api_key != ApiKey::API_VERSIONS;
            assert!(
                !asks || wire.spoilt || wire.throttled_until <= now,
                "{id:?} is asked {}, and is throttled until {:?}",
                head.api_key,
                wire.throttled_until
            );
            let silent = head.api_key == ApiKey::PRODUCE && self.config.acks == Acks::None;
            if !silent {
                wire.asked.push_back(says_throttle(head.api_key, head.api_version));
            }
            let (api, number) = (head.api_key, head.correlation_id);
            self.tell(Lane::Client, Tone::Plain, || {
                format!("{api} #{number} of {} bytes begins to leave on {id:?}", offered.len())
            });
        }
        let wire = self.wires.get_mut(&id)?;
        assert_eq!(wire.left, offered.len(), "what is left of a request");
        wire.left -= left;
        let time = Duration::from_micros(now.as_micros());
        if let Some(server) = &mut wire.server {
            server.receive(&mut self.cluster, time, &offered[..left]);
        }
        // What it says it says now, though it be read later.
        self.answer(id);
        self.producer.handle_written(now, id, told);
        Some(left)
    }

    /// Lets the other end of a connection go on; tells whether it said something.
    pub(super) fn answer(&mut self, id: ConnId) -> bool {
        let time = self.time();
        let Some(wire) = self.wires.get_mut(&id) else { return false };
        let Some(server) = &mut wire.server else { return false };
        let mut said = false;
        loop {
            server.advance(&mut self.cluster, time);
            let bytes = server.take_transmit();
            if bytes.is_empty() {
                break;
            }
            said = true;
            wire.spoilt |= self.liars.contains(&server.node());
            let says = wire.asked.pop_front() == Some(true);
            let throttle = self.cluster.throttle_of(server.node());
            let throttle = if says { throttle } else { Duration::ZERO };
            wire.answers.push_back((bytes.len(), throttle));
            wire.inbox.extend(bytes);
        }
        self.hear();
        said
    }

    /// Spoils what arrived on a connection: a byte is another one, bytes are missing, or there are more.
    pub(super) fn spoil(&mut self, id: ConnId) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.spoilt = true;
        let len = wire.inbox.len() as u64;
        match self.dice.roll(0, 5) {
            0 | 1 if len > 0 => {
                let at = self.dice.roll(0, len.min(65_536) - 1) as usize;
                wire.inbox[at] ^= 1 << self.dice.roll(0, 7);
            }
            2 | 3 if len > 0 => {
                // A whole number, as are lengths, counts and ids.
                let at = self.dice.roll(0, len.min(65_536) - 1) as usize;
                let number = match self.dice.roll(0, 3) {
                    0 => i64::MAX,
                    1 => i64::MIN,
                    2 => -1,
                    _ => 0,
                };
                let width = 1 << self.dice.roll(0, 3);
                let bytes = number.to_be_bytes().into_iter().take(width);
                for (byte, other) in wire.inbox.iter_mut().skip(at).zip(bytes) {
                    *byte = other;
                }
            }
            4 if len > 0 => {
                let keep = self.dice.roll(0, len.min(65_536) - 1) as usize;
                wire.inbox.truncate(keep);
            }
            _ => {
                for _ in 0..self.dice.roll(1, 32) {
                    let byte = self.dice.roll(0, 255) as u8;
                    wire.inbox.push_back(byte);
                }
            }
        }
        self.tell(Lane::Network, Tone::Trouble, || format!("what arrived on {id:?} is spoilt"));
    }

    /// Has the producer read at most so many bytes of what arrived; tells whether there were any.
    pub(super) fn read(&mut self, id: ConnId, most: usize) -> bool {
        let now = self.now;
        let wants = self.producer.wants_read(id);
        let window = self.producer.rx_buffer(id);
        let Some(wire) = self.wires.get_mut(&id) else { return false };
        if !wants {
            return false;
        }
        let len = window.len().min(most).min(wire.inbox.len());
        assert!(wire.inbox.is_empty() || !window.is_empty(), "no room to read into: {id:?}");
        if len == 0 {
            let over = wire.server.as_ref().is_some_and(Connection::is_closed);
            if over && wire.inbox.is_empty() {
                self.tell(Lane::Network, Tone::Plain, || format!("{id:?} is closed by the broker"));
                self.disconnected(id, Disconnect::Eof);
                return true;
            }
            return false;
        }
        for (slot, byte) in window.iter_mut().zip(wire.inbox.drain(..len)) {
            *slot = byte;
        }
        let mut rest = len;
        while let Some((left, wait)) = wire.answers.front_mut() {
            let part = rest.min(*left);
            *left -= part;
            rest -= part;
            if *left > 0 {
                break;
            }
            let wait = (*wait).min(self.config.request_timeout);
            wire.throttled_until = wire.throttled_until.max(now.after(wait));
            wire.answers.pop_front();
        }
        self.tell(Lane::Client, Tone::Faint, || format!("reads {len} bytes of {id:?}"));
        let mut remarks = 0;
        self.producer.handle_received_with(now, id, len, &mut |remark| {
            assert!(remark.records > 0, "a remark about nothing");
            remarks += 1;
        });
        true
    }

    /// The open connections, in order.
    pub(super) fn open_wires(&self) -> Vec<ConnId> {
        self.wires.keys().copied().collect()
    }
}
