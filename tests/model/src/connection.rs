//! One client's connection to one node.

use core::time::Duration;

use crate::{Cluster, NodeId, api::Handled, cluster::NodeState, sasl::Authentication};

/// The least room that is offered for reading.
const LEAST_ROOM: usize = 64 * 1024;
/// The most room that is made at once: what a frame announces is not believed further.
const MOST_ROOM: usize = 1024 * 1024;
/// `sasl.server.max.receive.size`: the largest frame of who is not known yet.
const MOST_OF_A_STRANGER: usize = 524_288;

/// A connection to a node: bytes in, bytes out.
///
/// As in Kafka, requests are handled one at a time: the next one when the answer to the last one
/// was taken. What was received waits meanwhile, as in a socket's buffer, and is handled even if
/// the client has gone ([`handle_eof`](Self::handle_eof)): a straggler.
///
/// Whoever drives it calls [`advance`](Self::advance) after each change: bytes received or taken,
/// [`poll_timeout`](Self::poll_timeout) reached, a node thawed or stopped.
#[derive(Clone, Debug)]
pub struct Connection {
    node: NodeId,
    /// The node's life that the connection belongs to.
    life: u32,
    /// What was received and not handled is `input[handled..received]`.
    input: Vec<u8>,
    handled: usize,
    received: usize,
    /// What is to be sent is `output[sent..]`.
    output: Vec<u8>,
    sent: usize,
    /// When the answer in `output` may go, if it is held back.
    held_until: Option<Duration>,
    /// When the next request may be handled (KIP-219).
    muted_until: Option<Duration>,
    authentication: Authentication,
    /// The connection closes when what is to be sent was taken.
    closing: bool,
    /// The way back is dead.
    silent: bool,
    /// The client has gone.
    gone: bool,
    closed: bool,
}

impl Connection {
    /// Connects to a node. The connection is closed from the start where the node is not up.
    #[must_use]
    pub fn new(cluster: &Cluster, node: NodeId) -> Self {
        Self {
            node,
            life: cluster.nodes.get(&node).map_or(0, |node| node.life),
            input: Vec::new(),
            handled: 0,
            received: 0,
            output: Vec::new(),
            sent: 0,
            held_until: None,
            muted_until: None,
            authentication: Authentication::new(cluster.accounts.is_some()),
            closing: false,
            silent: false,
            gone: false,
            closed: !cluster.is_up(node),
        }
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Takes bytes from the client and goes on.
    pub fn receive(&mut self, cluster: &mut Cluster, now: Duration, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.closed {
            let room = self.rx_buffer();
            let len = room.len().min(rest.len());
            let (head, tail) = rest.split_at(len);
            if let Some(room) = room.get_mut(..len) {
                room.copy_from_slice(head);
            }
            self.handle_received(len);
            rest = tail;
        }
        self.advance(cluster, now);
    }

    /// Room to read bytes into, for a driver with a socket; never empty.
    pub fn rx_buffer(&mut self) -> &mut [u8] {
        if self.handled == self.received {
            self.handled = 0;
            self.received = 0;
        }
        let missing = match self.frame_size() {
            Some(size) => size.saturating_sub(self.waiting().len()),
            None => 0,
        };
        let wanted = missing.clamp(LEAST_ROOM, MOST_ROOM);
        if self.input.len().saturating_sub(self.received) < wanted {
            if self.handled > 0 {
                self.input.copy_within(self.handled..self.received, 0);
                self.received = self.received.saturating_sub(self.handled);
                self.handled = 0;
            }
            let len = self.received.saturating_add(wanted);
            if self.input.len() < len {
                self.input.resize(len, 0);
            }
        }
        self.input.get_mut(self.received..).unwrap_or_default()
    }

    /// Says that `len` bytes were read into [`rx_buffer`](Self::rx_buffer).
    pub fn handle_received(&mut self, len: usize) {
        self.received = self.received.saturating_add(len).min(self.input.len());
    }

    /// Says that the client has gone. What it sent as a whole is still handled, and answered to
    /// nobody; then the connection closes.
    pub fn handle_eof(&mut self) {
        self.gone = true;
    }

    /// Goes on as far as it goes.
    pub fn advance(&mut self, cluster: &mut Cluster, now: Duration) {
        while self.may_go_on(cluster, now) {
            if self.step(cluster, now).is_none() {
                let frozen = cluster.is_frozen(self.node);
                self.closed |= self.gone && !frozen;
                break;
            }
        }
        if self.closed {
            self.input = Vec::new();
            self.output = Vec::new();
            self.handled = 0;
            self.received = 0;
            self.sent = 0;
        }
    }

    /// What is to be sent to the client.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        match self.held_until {
            Some(_) => &[],
            None => self.output.get(self.sent..).unwrap_or_default(),
        }
    }

    /// Says that `len` bytes of [`transmit`](Self::transmit) were sent.
    pub fn handle_transmitted(&mut self, len: usize) {
        self.sent = self.sent.saturating_add(len).min(self.output.len());
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
            self.closed |= self.closing && self.held_until.is_none();
        }
    }

    /// Takes all that is to be sent at once.
    pub fn take_transmit(&mut self) -> Vec<u8> {
        let bytes = self.transmit().to_vec();
        self.handle_transmitted(bytes.len());
        bytes
    }

    /// When to call [`advance`](Self::advance) at the latest. A frozen node waits for nothing.
    #[must_use]
    pub fn poll_timeout(&self, cluster: &Cluster) -> Option<Duration> {
        if self.closed || cluster.is_frozen(self.node) {
            return None;
        }
        self.held_until.or(self.muted_until)
    }

    /// Whether a driver with a socket should read: not while a whole request waits.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        let whole = self.frame_size().is_some_and(|size| size <= self.waiting().len());
        !self.closed && !self.closing && !self.gone && !whole
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.transmit().is_empty()
    }

    /// Whether the node has closed the connection.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the next request may be handled now.
    fn may_go_on(&mut self, cluster: &Cluster, now: Duration) -> bool {
        let life = cluster.nodes.get(&self.node).map(|node| node.life);
        if life != Some(self.life) {
            self.closed = true;
        }
        if self.closed || cluster.state(self.node) != NodeState::Up {
            return false;
        }
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
        if self.held_until.is_some() {
            return false;
        }
        if self.gone {
            self.output.clear();
            self.sent = 0;
            self.muted_until = None;
        }
        if self.muted_until.is_some_and(|until| until <= now) {
            self.muted_until = None;
        }
        self.closed |= self.closing && self.output.is_empty();
        !self.closed && self.muted_until.is_none() && self.output.is_empty()
    }

    /// Handles the next request; `None` where there is no whole one, or the node froze over it.
    fn step(&mut self, cluster: &mut Cluster, now: Duration) -> Option<()> {
        let size = self.frame_size()?;
        let known = self.authentication.is_done();
        let most = if known { usize::MAX } else { MOST_OF_A_STRANGER };
        if size > cluster.config().max_request_bytes.min(most).saturating_add(4) {
            self.closed = true;
            return Some(());
        }
        let end = self.handled.checked_add(size)?;
        if end > self.received {
            return None;
        }
        let frame = self.input.get(self.handled.saturating_add(4)..end)?;
        let authentication = &mut self.authentication;
        let handled = cluster.handle(self.node, now, frame, authentication, &mut self.output);
        match handled {
            Handled::Frozen => return None,
            Handled::Close => self.closed = true,
            Handled::Silenced => self.silent = true,
            Handled::Last { hold } => {
                self.closing = true;
                self.held_until = (!hold.is_zero()).then(|| now.saturating_add(hold));
            }
            Handled::Done { hold, mute } => {
                self.held_until = (!hold.is_zero()).then(|| now.saturating_add(hold));
                self.muted_until = (!mute.is_zero()).then(|| now.saturating_add(mute));
            }
        }
        if self.silent {
            self.output.clear();
            self.held_until = None;
        }
        self.handled = end;
        Some(())
    }

    /// How many bytes the next frame takes, its size included. A negative size is one that no
    /// bound allows.
    fn frame_size(&self) -> Option<usize> {
        let size = self.waiting().first_chunk()?;
        let size = usize::try_from(i32::from_be_bytes(*size)).unwrap_or(usize::MAX);
        Some(size.saturating_add(4))
    }

    fn waiting(&self) -> &[u8] {
        self.input.get(self.handled..self.received).unwrap_or_default()
    }
}
