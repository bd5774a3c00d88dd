//! The polled API: moves what can be moved and returns.

use core::task::Poll;

use embedded_io::{Error as _, ErrorKind};
use ottla_core::{ConnId, Disconnect, Event, Instant, Output, Producer};

#[cfg(feature = "lz4")]
use crate::compressor::{Compressor, compress_next};
use crate::{logging, port::Port};

/// Rounds before the caller gets its turn.
const ROUNDS: usize = 8;
/// Reads, and writes, of a connection in a round.
const MOVES: usize = 8;

/// What [`Driver::poll`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // a main loop must know them all
pub enum Step {
    /// Something that the application may want to know; there may be more, so poll again.
    Event(Event),
    /// Nothing is due before this time, which may have come already and may be
    /// [`Instant::NEVER`]. Poll again then, when a port is ready, or after any use of the producer.
    Idle(Instant),
    /// [`Producer::close`] is complete and all ports are closed: nothing more will come.
    Closed,
}

/// Drives a producer over ports, for a main loop without an executor.
///
/// Port number `n` serves connection number `n` of the core, so its memory should have `N`
/// connections; one that has no port is refused.
#[derive(Debug)]
pub struct Driver<'m, P, const N: usize> {
    producer: Producer<'m>,
    slots: [Slot<P>; N],
    /// The core is closed; ports may not be yet.
    closed: bool,
    #[cfg(feature = "lz4")]
    compressor: Option<Compressor<'m>>,
    /// A token is to be given.
    #[cfg(feature = "oauthbearer")]
    wants_token: bool,
}

#[derive(Debug)]
struct Slot<P> {
    port: P,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The port is closed.
    Free,
    /// The port is being closed; then it is to be opened for this connection, if there is one.
    Closing(Option<ConnId>),
    Opening(ConnId),
    Open(ConnId),
}

impl<'m, P: Port, const N: usize> Driver<'m, P, N> {
    /// A driver; the ports are closed.
    #[must_use]
    pub fn new(producer: Producer<'m>, ports: [P; N]) -> Self {
        Self {
            producer,
            slots: ports.map(|port| Slot { port, state: State::Free }),
            closed: false,
            #[cfg(feature = "lz4")]
            compressor: None,
            #[cfg(feature = "oauthbearer")]
            wants_token: false,
        }
    }

    /// The producer, to look at.
    #[must_use]
    pub const fn producer(&self) -> &Producer<'m> {
        &self.producer
    }

    /// The producer, for what the application wants of it: `topic`, `produce`, `cancel`, `flush`,
    /// `close`. Poll afterwards.
    pub const fn producer_mut(&mut self) -> &mut Producer<'m> {
        &mut self.producer
    }

    /// Compresses by this what is to be compressed: one batch a call of [`poll`](Self::poll), once nothing else is to be
    /// done. Without, batches go out as they are.
    #[cfg(feature = "lz4")]
    pub const fn set_compressor(&mut self, compressor: Compressor<'m>) {
        self.compressor = Some(compressor);
    }

    /// A port.
    pub fn port_mut(&mut self, index: usize) -> Option<&mut P> {
        self.slots.get_mut(index).map(|slot| &mut slot.port)
    }

    /// Whether a token for OAUTHBEARER is wanted: true once for each. Ask after [`poll`](Self::poll) returned
    /// [`Step::Idle`]. Give it by [`Producer::handle_token`], or say by [`Producer::handle_no_token`] that there is
    /// none; then poll. Until then connections wait for it that are to be authenticated, up to
    /// `socket.connection.setup.timeout.ms`, and others do not.
    #[cfg(feature = "oauthbearer")]
    pub const fn wants_token(&mut self) -> bool {
        core::mem::replace(&mut self.wants_token, false)
    }

    /// Moves what can be moved, at `now` by the firmware's clock. Never blocks, and its work is
    /// bounded: where there is more to do, it returns [`Step::Idle`] with a time that has come. So it does between
    /// the slices in which keys for SCRAM are derived: one a call, or eight where bytes move as well.
    pub fn poll(&mut self, now: Instant) -> Step {
        for _ in 0..ROUNDS {
            if self.producer.poll_timeout().is_some_and(|(at, _)| at <= now) {
                self.producer.handle_timeout(now);
            }
            if let Some(turn) = self.drain(now) {
                return turn;
            }
            let mut moved = false;
            for slot in &mut self.slots {
                moved |= slot.serve(&mut self.producer, now);
            }
            if self.closed && self.slots.iter().all(|slot| slot.state == State::Free) {
                return Step::Closed;
            }
            // To make a request may have consequences that are told.
            if !moved && !self.producer.has_output() {
                #[cfg(feature = "lz4")]
                if compress_next(&mut self.compressor, &mut self.producer, now) {
                    break;
                }
                self.producer.debug_assert_at_rest();
                return Step::Idle(self.due());
            }
        }
        Step::Idle(now)
    }

    /// Does what the core wants done, up to the next thing to tell.
    fn drain(&mut self, now: Instant) -> Option<Step> {
        while let Some(output) = self.producer.poll_output() {
            match output {
                Output::Connect(conn) => match self.slots.get_mut(conn.index()) {
                    Some(slot) => slot.dial(conn),
                    None => self.producer.handle_disconnected(now, conn, Disconnect::Exhausted),
                },
                Output::Disconnect(conn) => {
                    if let Some(slot) = self.slots.get_mut(conn.index()) {
                        slot.hang_up(conn);
                    }
                }
                Output::Event(event) => {
                    logging::event(&self.producer, &event);
                    return Some(Step::Event(event));
                }
                // Once the ports are closed, too.
                Output::Closed => self.closed = true,
                #[cfg(feature = "oauthbearer")]
                Output::WantToken => self.wants_token = true,
                _ => {}
            }
        }
        None
    }

    /// When something is due next.
    fn due(&self) -> Instant {
        let core = self.producer.poll_timeout().map(|(at, _)| at);
        let ports = self.slots.iter().map(|slot| slot.port.poll_timeout());
        ports.chain([core]).flatten().min().unwrap_or(Instant::NEVER)
    }
}

impl<P: Port> Slot<P> {
    fn dial(&mut self, conn: ConnId) {
        self.state = match self.state {
            State::Closing(_) => State::Closing(Some(conn)),
            State::Free | State::Opening(_) | State::Open(_) => State::Opening(conn),
        };
    }

    /// The core has done with a connection.
    fn hang_up(&mut self, conn: ConnId) {
        match self.state {
            State::Opening(of) | State::Open(of) if of == conn => self.state = State::Closing(None),
            State::Closing(Some(of)) if of == conn => self.state = State::Closing(None),
            State::Free | State::Closing(_) | State::Opening(_) | State::Open(_) => {}
        }
    }

    /// Moves what the port lets move; tells whether anything moved.
    fn serve(&mut self, producer: &mut Producer<'_>, now: Instant) -> bool {
        match self.state {
            State::Free => false,
            State::Closing(next) => {
                let closed = self.port.close(now).is_ready();
                if closed {
                    self.state = next.map_or(State::Free, State::Opening);
                }
                closed
            }
            State::Opening(conn) => self.open(producer, now, conn),
            State::Open(conn) => {
                let moved = write(producer, &mut self.port, conn, now).and_then(|wrote| {
                    let read = read(producer, &mut self.port, conn, now)?;
                    Ok(wrote || read)
                });
                moved.unwrap_or_else(|cause| self.lose(producer, now, conn, cause))
            }
        }
    }

    fn open(&mut self, producer: &mut Producer<'_>, now: Instant, conn: ConnId) -> bool {
        // Without an address the core thought better of it, and has said so or is about to.
        let Some(to) = producer.address(conn) else {
            return false;
        };
        match self.port.open(now, to.host, to.port) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => {
                logging::connected(conn, to.host, to.port);
                self.state = State::Open(conn);
                producer.handle_connected(now, conn);
                true
            }
            Poll::Ready(Err(cause)) => self.lose(producer, now, conn, cause),
        }
    }

    fn lose(
        &mut self,
        producer: &mut Producer<'_>,
        now: Instant,
        conn: ConnId,
        cause: Disconnect,
    ) -> bool {
        self.state = State::Closing(None);
        producer.handle_disconnected(now, conn, cause);
        true
    }
}

fn write(
    producer: &mut Producer<'_>,
    port: &mut impl Port,
    conn: ConnId,
    now: Instant,
) -> Result<bool, Disconnect> {
    let mut moved = false;
    for _ in 0..MOVES {
        // In this order, so that a request is made when it can go, and can be taken back until then.
        if !port.write_ready().map_err(|_| Disconnect::Io)? || !producer.prepare_write(now, conn) {
            break;
        }
        let Some(piece) = producer.pending_write(conn).next() else {
            break;
        };
        match port.write(piece) {
            Ok(0) => return Err(Disconnect::Io),
            Ok(len) => producer.handle_written(now, conn, len),
            Err(error) if error.kind() == ErrorKind::Interrupted => break,
            Err(_) => return Err(Disconnect::Io),
        }
        moved = true;
    }
    Ok(moved)
}

fn read(
    producer: &mut Producer<'_>,
    port: &mut impl Port,
    conn: ConnId,
    now: Instant,
) -> Result<bool, Disconnect> {
    let mut moved = false;
    for _ in 0..MOVES {
        let window = producer.rx_buffer(conn);
        if window.is_empty() || !port.read_ready().map_err(|_| Disconnect::Io)? {
            break;
        }
        match port.read(window) {
            Ok(0) => return Err(Disconnect::Eof),
            Ok(len) => producer.handle_received(now, conn, len),
            Err(error) if error.kind() == ErrorKind::Interrupted => break,
            Err(_) => return Err(Disconnect::Io),
        }
        moved = true;
    }
    Ok(moved)
}
