//! The async API: one future that runs a producer, without a heap and without spawning.

use core::{
    cell::Cell,
    convert::Infallible,
    future::{Future, pending, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use embassy_futures::{
    join::join_array,
    select::{Either, select},
    yield_now,
};
use embedded_io::{Error as _, ErrorKind};
use embedded_io_async::{Read, Write};
#[cfg(feature = "_sasl")]
use ottla_core::TimerKind;
use ottla_core::{ConnId, Disconnect, Instant, Output};

use crate::{
    async_traits::{Clock, Connect, Duplex},
    client::{Application, Client},
    logging,
};

/// Rounds before other tasks of the executor get their turn.
const ROUNDS: usize = 16;
/// The shortest sleep, should a time never cease to be due.
const SHORTEST: Duration = Duration::from_millis(1);

/// Memory of the async API, for `N` connections: each has `BYTES` for what is on its way to the
/// stream, and as many for what comes from it.
///
/// A broker's host name of more than `BYTES` cannot be dialled. 64 work; 512 make fewer calls.
#[derive(Debug)]
pub struct Buffers<const N: usize, const BYTES: usize>([[[u8; BYTES]; 2]; N]);

impl<const N: usize, const BYTES: usize> Buffers<N, BYTES> {
    /// Empty memory.
    #[must_use]
    pub const fn new() -> Self {
        Self([[[0; BYTES]; 2]; N])
    }
}

impl<const N: usize, const BYTES: usize> Default for Buffers<N, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a producer over a network until it is closed.
///
/// The core's memory should have `N` connections; one that has no buffers is refused.
///
/// Bytes are copied to a buffer and count as accepted by the stream before its `write` is called, since
/// nobody can tell how many of them were where that future is dropped. So a record cannot be taken back
/// once its request is in the buffer. That costs a few more `Unknown`, and no truth.
///
/// The future may be dropped at any time: its connections end, and with another run the producer goes
/// on.
pub async fn run<A: Application, C: Connect, K: Clock, const N: usize, const BYTES: usize>(
    client: &Client<'_, A>,
    network: &C,
    clock: &K,
    buffers: &mut Buffers<N, BYTES>,
) {
    let lines = [const { Line::new(None) }; N];
    let _end = End { client, clock, lines: &lines };
    let mut numbers = 0..N;
    let mut rest = lines.iter();
    let served = buffers.0.each_mut().map(|[rx, tx]| {
        let number = numbers.next().unwrap_or_default();
        serve(Slot { client, network, clock, line: rest.next(), number }, rx, tx)
    });
    let hard = Cell::new(false);
    let mut all = pin!(select(coordinate(client, clock, &lines, &hard), join_array(served)));
    poll_fn(|context| {
        for _ in 0..ROUNDS {
            client.moved.set(false);
            if all.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            // Long enough for one turn: there are others.
            if hard.take() {
                break;
            }
            if !client.moved.get() {
                client.sleep(context.waker());
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The connection that the core wants in a slot.
type Line = Cell<Option<ConnId>>;

/// Ends what is open when the run is dropped, after its streams.
struct End<'r, 'm, A, K: Clock> {
    client: &'r Client<'m, A>,
    clock: &'r K,
    lines: &'r [Line],
}

impl<A, K: Clock> Drop for End<'_, '_, A, K> {
    fn drop(&mut self) {
        for conn in self.lines.iter().filter_map(Cell::take) {
            let now = self.clock.now();
            self.client.lend(|producer, _| producer.handle_disconnected(now, conn, Disconnect::Io));
        }
    }
}

/// Does what the core wants done, until it is closed. `hard` says that it was hard work, and that there is more.
async fn coordinate<A: Application>(
    client: &Client<'_, A>,
    clock: &impl Clock,
    lines: &[Line],
    hard: &Cell<bool>,
) {
    loop {
        let now = clock.now();
        let Some((due, derives)) = turn(client, now, lines) else {
            return;
        };
        #[cfg(feature = "lz4")]
        let derives = derives || client.compress_next(now);
        if derives {
            hard.set(true);
            yield_now().await;
            continue;
        }
        let due = if due <= now { now.after(SHORTEST) } else { due };
        client.stale.set(false);
        let touched = poll_fn(|_| match client.stale.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        if due == Instant::NEVER {
            touched.await;
        } else {
            select(clock.wait_until(due), touched).await;
        }
    }
}

/// Brings the core and the application up to `now`; returns when something is due next, and whether that is the
/// next slice of keys that are being derived; `None` when the core is closed.
fn turn<A: Application>(
    client: &Client<'_, A>,
    now: Instant,
    lines: &[Line],
) -> Option<(Instant, bool)> {
    let mut told = false;
    let due = client.lend(|producer, application| {
        if application.poll_timeout() <= now {
            application.handle_timeout(producer, now);
            told = true;
        }
        if producer.poll_timeout().is_some_and(|(at, _)| at <= now) {
            producer.handle_timeout(now);
        }
        while let Some(output) = producer.poll_output() {
            match output {
                Output::Connect(conn) => match lines.get(conn.index()) {
                    Some(line) => line.set(Some(conn)),
                    None => producer.handle_disconnected(now, conn, Disconnect::Exhausted),
                },
                Output::Disconnect(conn) => {
                    if let Some(line) = lines.get(conn.index()).filter(|l| l.get() == Some(conn)) {
                        line.set(None);
                    }
                }
                Output::Event(event) => {
                    logging::event(producer, &event);
                    application.handle_event(producer, now, &event);
                    told = true;
                }
                Output::Closed => return None,
                #[cfg(feature = "oauthbearer")]
                Output::WantToken => {
                    application.want_token(producer, now);
                    told = true;
                }
                _ => {}
            }
        }
        let timer = producer.poll_timeout();
        #[cfg(feature = "_sasl")]
        let derives = matches!(timer, Some((_, TimerKind::KeyDerivation)));
        #[cfg(not(feature = "_sasl"))]
        let derives = false;
        let core = timer.map_or(Instant::NEVER, |(at, _)| at);
        Some((core.min(application.poll_timeout()), derives))
    });
    if told || due.is_none() {
        client.announce();
    }
    due
}

/// A connection slot.
struct Slot<'r, 'm, A, C, K> {
    client: &'r Client<'m, A>,
    network: &'r C,
    clock: &'r K,
    /// There is one.
    line: Option<&'r Line>,
    number: usize,
}

async fn serve<A, C: Connect, K: Clock>(
    slot: Slot<'_, '_, A, C, K>,
    rx: &mut [u8],
    tx: &mut [u8],
) -> Infallible {
    let Some(line) = slot.line else {
        return pending().await;
    };
    loop {
        let conn = poll_fn(|_| line.get().map_or(Poll::Pending, Poll::Ready)).await;
        let lost = {
            let replaced = poll_fn(|_| match line.get() == Some(conn) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            });
            select(slot.connection(conn, rx, tx), replaced).await
        };
        if let Either::First(cause) = lost {
            line.set(None);
            let now = slot.clock.now();
            slot.client.lend(|producer, _| producer.handle_disconnected(now, conn, cause));
        }
    }
}

impl<A, C: Connect, K: Clock> Slot<'_, '_, A, C, K> {
    /// One connection, from the dial to its end. It is dropped where the core has done with it.
    async fn connection(&self, conn: ConnId, rx: &mut [u8], tx: &mut [u8]) -> Disconnect {
        let address = self.client.attempt(|producer| {
            let to = producer.address(conn)?;
            tx.get_mut(..to.host.len())?.copy_from_slice(to.host.as_bytes());
            Some((to.host.len(), to.port))
        });
        // The name is longer than the buffer.
        let Some((len, port)) = address else {
            return Disconnect::Unresolved;
        };
        let host = core::str::from_utf8(tx.get(..len).unwrap_or_default()).unwrap_or_default();
        let mut stream = match self.network.connect(self.number, host, port).await {
            Ok(stream) => stream,
            Err(cause) => return cause,
        };
        logging::connected(conn, host, port);
        let now = self.clock.now();
        self.client.lend(|producer, _| producer.handle_connected(now, conn));
        let (reader, writer) = stream.split();
        match select(self.write(conn, writer, tx), self.read(conn, reader, rx)).await {
            Either::First(cause) | Either::Second(cause) => cause,
        }
    }

    async fn write(&self, conn: ConnId, mut writer: impl Write, tx: &mut [u8]) -> Disconnect {
        loop {
            let staged = poll_fn(|_| match self.stage(conn, tx) {
                Some(staged) => Poll::Ready(staged),
                None => Poll::Pending,
            });
            let (len, complete) = staged.await;
            let mut rest = tx.get(..len).unwrap_or_default();
            while !rest.is_empty() {
                match writer.write(rest).await {
                    Ok(0) => return Disconnect::Io,
                    Ok(len) => rest = rest.get(len..).unwrap_or_default(),
                    Err(error) if error.kind() == ErrorKind::Interrupted => yield_now().await,
                    Err(_) => return Disconnect::Io,
                }
            }
            if complete && writer.flush().await.is_err() {
                return Disconnect::Io;
            }
        }
    }

    /// Takes bytes over from the core, which takes them for sent from here on; tells how many, and
    /// whether they end a request.
    fn stage(&self, conn: ConnId, tx: &mut [u8]) -> Option<(usize, bool)> {
        let now = self.clock.now();
        self.client.attempt(|producer| {
            if !producer.prepare_write(now, conn) {
                return None;
            }
            let mut len = 0;
            for piece in producer.pending_write(conn) {
                let room = tx.get_mut(len..).unwrap_or_default();
                for (to, from) in room.iter_mut().zip(piece) {
                    *to = *from;
                }
                len += room.len().min(piece.len());
            }
            producer.handle_written(now, conn, len);
            (len > 0).then(|| (len, producer.pending_write(conn).next().is_none()))
        })
    }

    async fn read(&self, conn: ConnId, mut reader: impl Read, rx: &mut [u8]) -> Disconnect {
        loop {
            let len = match reader.read(rx).await {
                Ok(0) => return Disconnect::Eof,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    yield_now().await;
                    continue;
                }
                Err(_) => return Disconnect::Io,
            };
            let mut rest = rx.get(..len).unwrap_or_default();
            while !rest.is_empty() {
                let now = self.clock.now();
                let taken = self.client.lend(|producer, _| {
                    let window = producer.rx_buffer(conn);
                    let taken = window.len().min(rest.len());
                    for (to, from) in window.iter_mut().zip(rest) {
                        *to = *from;
                    }
                    producer.handle_received(now, conn, taken);
                    taken
                });
                if taken == 0 {
                    // The core has ended the connection, and is about to say so.
                    return pending().await;
                }
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
    }
}
