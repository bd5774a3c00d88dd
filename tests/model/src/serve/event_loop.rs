//! The loop of the server's thread: wait for sockets, serve those that are ready, repeat.

use core::{sync::atomic::Ordering, time::Duration};
use std::{
    collections::BTreeMap,
    io,
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use polling::Events;

use super::{
    Shared,
    registered::Registered,
    stream::{Stream, Tls},
};
use crate::{Connection, NodeId};

/// After how long a listener is looked at again that could not accept, say for want of file
/// descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How many requests of one connection are handled before others have their turn.
const TURN: usize = 16;

/// All that the server's thread has.
pub(super) struct Loop {
    shared: Arc<Shared>,
    listeners: BTreeMap<usize, Listener>,
    clients: BTreeMap<usize, Client>,
    /// What connections are secured with, if they are.
    tls: Option<Tls>,
    next_key: usize,
    /// Whether a listener waits for better times.
    accept_again: bool,
}

struct Listener {
    node: NodeId,
    socket: Registered<TcpListener>,
}

struct Client {
    connection: Connection,
    stream: Stream,
}

/// Where a client stands after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It waits for its socket or for a time.
    Waits,
    /// It has more to do at once.
    GoesOn,
    /// It is over.
    Over,
}

impl Loop {
    pub(super) fn new(
        shared: Arc<Shared>,
        listeners: Vec<(NodeId, TcpListener)>,
        tls: Option<Tls>,
    ) -> io::Result<Self> {
        let mut served = Self {
            shared,
            listeners: BTreeMap::new(),
            clients: BTreeMap::new(),
            tls,
            next_key: 0,
            accept_again: false,
        };
        for (node, socket) in listeners {
            let key = served.new_key();
            let socket = Registered::new(socket, &served.shared.poller, key)?;
            socket.watch(true, false)?;
            served.listeners.insert(key, Listener { node, socket });
        }
        Ok(served)
    }

    fn new_key(&mut self) -> usize {
        let key = self.next_key;
        self.next_key = key.wrapping_add(1);
        key
    }

    pub(super) fn run(mut self) {
        let mut events = Events::new();
        let mut going_on = Vec::new();
        while !self.shared.stop.load(Ordering::Acquire) {
            let timeout = self.timeout(&going_on);
            if self.shared.poller.wait(&mut events, timeout).is_err() {
                // The poller itself is broken: there is nothing left to wait for.
                return;
            }
            let mut keys = self.due();
            keys.extend(events.iter().map(|event| event.key));
            keys.append(&mut going_on);
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                if self.listeners.contains_key(&key) {
                    self.accept(key);
                } else if self.serve(key) == Turn::GoesOn {
                    going_on.push(key);
                }
            }
        }
    }

    /// How long there is nothing to do.
    fn timeout(&self, going_on: &[usize]) -> Option<Duration> {
        if !going_on.is_empty() {
            return Some(Duration::ZERO);
        }
        let cluster = self.shared.lock();
        let clients = self.clients.values();
        let next = clients.filter_map(|client| client.connection.poll_timeout(&cluster)).min();
        let next = next.map(|at| at.saturating_sub(self.shared.now()));
        let again = self.accept_again.then_some(ACCEPT_AGAIN);
        next.into_iter().chain(again).min()
    }

    /// Who has something to do that no socket tells.
    fn due(&self) -> Vec<usize> {
        let mut keys = Vec::new();
        if self.accept_again {
            keys.extend(self.listeners.keys());
        }
        let now = self.shared.now();
        // Someone had a hand on the cluster: any client may be concerned.
        let changed = self.shared.changed.swap(false, Ordering::AcqRel);
        let cluster = self.shared.lock();
        for (key, client) in &self.clients {
            let at = client.connection.poll_timeout(&cluster);
            if changed || at.is_some_and(|at| at <= now) {
                keys.push(*key);
            }
        }
        keys
    }

    fn accept(&mut self, key: usize) {
        loop {
            let Some(listener) = self.listeners.get(&key) else {
                return;
            };
            let node = listener.node;
            match listener.socket.socket().accept() {
                Ok((stream, _)) => {
                    // Who is gone already is no matter.
                    if let Ok(client) = self.greet(node, stream) {
                        self.clients.insert(client.stream.key(), client);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.accept_again = true;
                    return;
                }
            }
        }
        self.accept_again = false;
        if let Some(listener) = self.listeners.get(&key) {
            self.accept_again = listener.socket.watch(true, false).is_err();
        }
    }

    fn greet(&mut self, node: NodeId, stream: TcpStream) -> io::Result<Client> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let key = self.new_key();
        let connection = Connection::new(&self.shared.lock(), node);
        if connection.is_closed() {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        let socket = Registered::new(stream, &self.shared.poller, key)?;
        socket.watch(true, false)?;
        let stream = Stream::new(socket, self.tls.as_ref())?;
        Ok(Client { connection, stream })
    }

    fn serve(&mut self, key: usize) -> Turn {
        let Some(client) = self.clients.get_mut(&key) else {
            return Turn::Over;
        };
        let turn = client.turn(&self.shared).unwrap_or(Turn::Over);
        if turn == Turn::Over {
            self.clients.remove(&key);
        }
        turn
    }
}

impl Client {
    /// Reads, handles and writes until there is nothing more to do, or others should have their
    /// turn.
    fn turn(&mut self, shared: &Shared) -> io::Result<Turn> {
        let mut dry = false;
        for _ in 0..TURN {
            if self.connection.wants_read() && !dry {
                dry = self.read()?;
            }
            self.connection.advance(&mut shared.lock(), shared.now());
            if self.connection.is_closed() {
                self.stream.close();
                return Ok(Turn::Over);
            }
            if self.connection.wants_write() && self.write()? {
                continue;
            }
            // What was taken is not gone yet where it is encrypted.
            if self.connection.wants_write() || !self.stream.flush()? {
                self.stream.watch(false, true)?;
                return Ok(Turn::Waits);
            }
            if self.connection.wants_read() {
                if !dry {
                    continue;
                }
                self.stream.watch(true, false)?;
            }
            // Else it is held back, muted or frozen, and its socket is left alone: to watch it for
            // nothing would be to be told without end that the client has hung up.
            return Ok(Turn::Waits);
        }
        Ok(Turn::GoesOn)
    }

    /// Reads once; whether the socket has no more for now.
    fn read(&mut self) -> io::Result<bool> {
        let room = self.connection.rx_buffer();
        let capacity = room.len();
        match self.stream.read(room) {
            Ok(0) => {
                self.connection.handle_eof();
                Ok(true)
            }
            Ok(len) => {
                self.connection.handle_received(len);
                Ok(len < capacity)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes; whether all was written.
    fn write(&mut self) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.stream.write(self.connection.transmit()) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(len) => self.connection.handle_transmitted(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
