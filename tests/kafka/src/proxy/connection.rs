//! One connection through the proxy.

use core::{
    future::pending,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use super::{
    Direction, Hangup, Shared,
    faults::{Both, CutAfter, Faults, Link},
};

/// The largest piece that is forwarded at once.
const PIECE: usize = 16 << 10;

/// Why a connection ends before both its directions have come to their end.
enum End {
    /// By a fault.
    Cut(Hangup),
    /// One of its ends reset it.
    Reset,
}

struct Connection<'a> {
    shared: &'a Shared,
    index: usize,
    /// How many there were before it.
    number: u64,
    link: &'a Link,
    /// In which directions bytes were swallowed.
    lost: Both<AtomicBool>,
}

/// Counts a connection as open while it lives.
struct Open<'a>(&'a Link);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one accepted connection until it ends.
pub(super) async fn serve(
    shared: &Shared,
    index: usize,
    number: u64,
    mut client: TcpStream,
    to: SocketAddr,
) {
    let link = &shared.links[index];
    link.open.fetch_add(1, Ordering::Relaxed);
    let _open = Open(link);
    let mut faults = link.faults.subscribe();
    let (cuts, _) = faults.borrow().cut_now;
    let connection = Connection { shared, index, number, link, lost: Both::default() };
    let cut = async {
        let ordered = faults.wait_for(|faults| faults.cut_now.0 != cuts).await;
        let ordered = ordered.map(|faults| faults.cut_now.1.unwrap_or(Hangup::Fin));
        match ordered {
            Ok(hangup) => End::Cut(hangup),
            Err(_) => pending().await,
        }
    };
    let mut broker = None;
    let work = async {
        let Ok(stream) = TcpStream::connect(to).await else {
            return Err(End::Reset);
        };
        connection.forward_both(&mut client, broker.insert(stream)).await
    };
    let end = tokio::select! {
        end = work => end,
        end = cut => {
            link.cuts.fetch_add(1, Ordering::Relaxed);
            Err(end)
        }
    };
    let hangup = match end {
        Ok(()) => Hangup::Fin,
        Err(End::Reset) => Hangup::Reset,
        Err(End::Cut(hangup)) => hangup,
    };
    for stream in [Some(client), broker].into_iter().flatten() {
        match hangup {
            // Closing a socket with unread bytes would send RST by itself.
            Hangup::Fin => finish(stream).await,
            Hangup::Reset => drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        }
    }
}

/// Closes in good order: says FIN, and reads what is there so that the kernel does not say RST.
async fn finish(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut buffer = vec![0; PIECE];
    while matches!(stream.try_read(&mut buffer), Ok(read) if read > 0) {}
}

impl Connection<'_> {
    async fn forward_both(
        &self,
        client: &mut TcpStream,
        broker: &mut TcpStream,
    ) -> Result<(), End> {
        // Without these, small pieces wait for acknowledgements.
        let _ = client.set_nodelay(true);
        let _ = broker.set_nodelay(true);
        let (client_read, client_write) = client.split();
        let (broker_read, broker_write) = broker.split();
        tokio::try_join!(
            self.forward(Direction::ToBroker, client_read, broker_write),
            self.forward(Direction::ToClient, broker_read, client_write),
        )?;
        Ok(())
    }

    async fn forward(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> Result<(), End> {
        let mut faults = self.link.faults.subscribe();
        let mut order = Order::default();
        let mut buffer = vec![0; PIECE];
        loop {
            self.thaw(&mut faults, direction).await;
            let read = from.read(&mut buffer).await;
            if let Ok(read) = read {
                self.link.tap.hear(self.number, direction, &buffer[..read]);
            }
            // It may have been frozen while there was nothing to read.
            self.thaw(&mut faults, direction).await;
            let delay = faults.borrow().delay[direction];
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let swallows = self.swallows(direction);
            let read = match read {
                // Whoever is behind a black hole does not hear of the end either.
                Ok(0) | Err(_) if swallows => pending().await,
                Ok(0) => break,
                Err(_) => return Err(End::Reset),
                Ok(read) => read,
            };
            if swallows {
                self.swallow(direction, read);
                continue;
            }
            let cut = self.cut(direction, &mut order, read);
            let bytes = cut.map_or(read, |(bytes, _)| bytes);
            // Counted before, so that who has seen the bytes finds them counted.
            self.link.bytes[direction].fetch_add(bytes as u64, Ordering::Relaxed);
            if to.write_all(&buffer[..bytes]).await.is_err() {
                self.link.bytes[direction].fetch_sub(bytes as u64, Ordering::Relaxed);
                if cut.is_none() && self.swallows(direction.other()) {
                    // The receiver is gone, and the black hole hides it.
                    self.swallow(direction, read);
                    continue;
                }
                return Err(End::Reset);
            }
            if let Some((_, hangup)) = cut {
                return Err(End::Cut(hangup));
            }
        }
        let _ = to.shutdown().await;
        Ok(())
    }

    /// Waits while `direction` is frozen.
    async fn thaw(&self, faults: &mut watch::Receiver<Faults>, direction: Direction) {
        let flows = |faults: &Faults| {
            !faults.frozen[direction] && self.number >= faults.frozen_before[direction]
        };
        let _ = faults.wait_for(flows).await;
    }

    fn swallows(&self, direction: Direction) -> bool {
        self.lost[direction].load(Ordering::Relaxed)
            || self.link.faults.borrow().blackhole[direction]
    }

    fn swallow(&self, direction: Direction, bytes: usize) {
        self.lost[direction].store(true, Ordering::Relaxed);
        self.link.swallowed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many of `bytes` may pass before the connection is to be cut, if it is.
    fn cut(
        &self,
        direction: Direction,
        order: &mut Order,
        bytes: usize,
    ) -> Option<(usize, Hangup)> {
        let each = self.link.faults.borrow().cut_after[direction];
        let own = each.and_then(|each| order.pass(each, bytes));
        // The plan counts what passes, whoever cuts.
        let passing = own.map_or(bytes, |(bytes, _)| bytes);
        let mut plan = self.shared.plan();
        let planned = plan.as_mut().and_then(|plan| plan.pass(self.index, direction, passing));
        let cut = planned.or(own);
        if cut.is_some() {
            // Still under the plan's lock: whoever finds no cuts left finds them counted.
            self.link.cuts.fetch_add(1, Ordering::Relaxed);
            self.link.cuts_in_data.fetch_add(1, Ordering::Relaxed);
        }
        drop(plan);
        cut
    }
}

/// How far a connection is with the order to cut each connection after some bytes.
#[derive(Default)]
struct Order {
    order: u64,
    passed: u64,
}

impl Order {
    fn pass(&mut self, each: CutAfter, bytes: usize) -> Option<(usize, Hangup)> {
        if self.order != each.order {
            *self = Self { order: each.order, passed: 0 };
        }
        let left = each.bytes.saturating_sub(self.passed);
        self.passed += bytes as u64;
        let cut = usize::try_from(left).ok().filter(|left| *left <= bytes)?;
        Some((cut, each.hangup))
    }
}
