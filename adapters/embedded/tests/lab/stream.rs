//! The lab's streams, network and clock for the async API.

use core::{cell::RefCell, future::poll_fn, task::Poll};

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use ottla_core::{Disconnect, Instant};
use ottla_embedded::{Clock, Connect, Duplex};

use super::{Lab, Weather, Wire, theirs};

impl Clock for Lab {
    fn now(&self) -> Instant {
        Self::now(self)
    }

    async fn wait_until(&self, at: Instant) {
        assert!(at < Instant::NEVER, "a time that comes");
        poll_fn(|context| {
            let state = &mut *self.0.borrow_mut();
            if state.now >= at {
                return Poll::Ready(());
            }
            theirs(|| state.timers.push((at, context.waker().clone())));
            Poll::Pending
        })
        .await;
    }
}

/// What the streams of all connections have in common.
#[derive(Debug)]
pub struct Network {
    pub lab: Lab,
    pub weather: RefCell<Weather>,
}

impl Network {
    pub fn new(lab: &Lab, weather: Weather) -> Self {
        Self { lab: lab.clone(), weather: RefCell::new(weather) }
    }
}

impl Connect for Network {
    type Stream<'a> = Stream<'a>;

    async fn connect(&self, _: usize, host: &str, port: u16) -> Result<Stream<'_>, Disconnect> {
        // Takes some time.
        self.lab.wait_until(self.lab.now().after(core::time::Duration::from_micros(200))).await;
        let state = self.lab.0.borrow();
        let node = state.node_at(host, port).filter(|node| state.cluster.is_up(*node));
        let node = node.ok_or(Disconnect::Refused)?;
        let wire = theirs(|| Wire::open(&state.cluster, node));
        Ok(Stream { network: self, wire: RefCell::new(Some(wire)) })
    }
}

#[derive(Debug)]
pub struct Stream<'a> {
    network: &'a Network,
    wire: RefCell<Option<Wire>>,
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            self.network.lab.with(|state| wire.close(state));
        }
    }
}

impl Duplex for Stream<'_> {
    type Reader<'s>
        = Reader<'s>
    where
        Self: 's;
    type Writer<'s>
        = Writer<'s>
    where
        Self: 's;

    fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        let (network, wire) = (self.network, &self.wire);
        (Reader { network, wire }, Writer { network, wire })
    }
}

#[derive(Debug)]
pub struct Reader<'s> {
    network: &'s Network,
    wire: &'s RefCell<Option<Wire>>,
}

#[derive(Debug)]
pub struct Writer<'s> {
    network: &'s Network,
    wire: &'s RefCell<Option<Wire>>,
}

impl ErrorType for Reader<'_> {
    type Error = ErrorKind;
}

impl ErrorType for Writer<'_> {
    type Error = ErrorKind;
}

impl Read for Reader<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|context| {
            let mut wire = self.wire.borrow_mut();
            let wire = wire.as_mut().expect("an open stream");
            let weather = &mut *self.network.weather.borrow_mut();
            self.network.lab.with(|state| {
                if !wire.readable(state, weather) {
                    state.wakers.push(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(wire.read(state, weather, into).ok_or(ErrorKind::ConnectionReset))
            })
        })
        .await
    }
}

impl Write for Writer<'_> {
    /// As by DMA: the first poll takes bytes, and the second one says so. Whoever drops the future
    /// between the two does not know.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let (mut taken, mut hangs) = (None, false);
        poll_fn(|context| {
            match taken {
                Some(_) if hangs => return Poll::Pending,
                Some(taken) => return Poll::Ready(taken),
                None => {}
            }
            let mut wire = self.wire.borrow_mut();
            let wire = wire.as_mut().expect("an open stream");
            let weather = &mut *self.network.weather.borrow_mut();
            self.network.lab.with(|state| {
                if wire.writable(state, weather) {
                    let len = wire.write(state, weather, bytes).ok_or(ErrorKind::BrokenPipe);
                    if let (Some(left), Ok(len)) = (&mut weather.hangs, len) {
                        hangs = *left < len;
                        *left = left.saturating_sub(len);
                    }
                    wire.dead |= hangs;
                    weather.hangs = weather.hangs.filter(|_| !hangs);
                    taken = Some(len);
                }
                state.wakers.push(context.waker().clone());
                Poll::Pending
            })
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

#[cfg(feature = "nal")]
impl embedded_nal_async::TcpConnect for Network {
    type Error = ErrorKind;
    type Connection<'a> = Stream<'a>;

    async fn connect<'a>(&'a self, remote: core::net::SocketAddr) -> Result<Stream<'a>, ErrorKind> {
        let host = remote.ip().to_string();
        let stream = Connect::connect(self, 0, &host, remote.port()).await;
        stream.map_err(|_| ErrorKind::ConnectionRefused)
    }
}

#[cfg(feature = "nal")]
impl ErrorType for Stream<'_> {
    type Error = ErrorKind;
}

#[cfg(feature = "nal")]
impl Read for Stream<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        self.split().0.read(into).await
    }
}

#[cfg(feature = "nal")]
impl Write for Stream<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.split().1.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
