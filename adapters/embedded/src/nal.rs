//! Connections by `embedded-nal-async`.

use core::{
    cell::RefCell,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::pin,
    task::{Poll, Waker},
};

use embedded_io_async::{ErrorType, Read, Write};
use embedded_nal_async::{AddrType, Dns, TcpConnect};
use ottla_core::Disconnect;

use crate::async_traits::{Connect, Duplex};

/// A [`Connect`] over a network stack's `TcpConnect`, with its `Dns` or, by [`NoDns`], for IP addresses
/// alone.
///
/// `TcpConnect`'s connections have one end for both directions. A read that waits is put aside where
/// something is to be written, so **`read` must be free of side effects when its future is dropped**,
/// as it is with embassy-net's. A write is never put aside: nothing is read while one waits.
#[derive(Debug)]
pub struct Nal<S, D = NoDns> {
    stack: S,
    dns: D,
}

impl<S> Nal<S> {
    /// Connections to IP addresses: brokers must advertise those.
    #[must_use]
    pub const fn new(stack: S) -> Self {
        Self { stack, dns: NoDns }
    }
}

impl<S, D> Nal<S, D> {
    /// Connections to IP addresses, and to names that `dns` knows.
    #[must_use]
    pub const fn with_dns(stack: S, dns: D) -> Self {
        Self { stack, dns }
    }
}

/// Knows no name.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // there is nothing to it
pub struct NoDns;

impl Dns for NoDns {
    type Error = Disconnect;

    async fn get_host_by_name(&self, _: &str, _: AddrType) -> Result<IpAddr, Disconnect> {
        Err(Disconnect::Unresolved)
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, Disconnect> {
        Err(Disconnect::Unresolved)
    }
}

impl<S: TcpConnect, D: Dns> Connect for Nal<S, D> {
    type Stream<'a>
        = NalStream<S::Connection<'a>>
    where
        Self: 'a;

    async fn connect<'a>(
        &'a self,
        _: usize,
        host: &str,
        port: u16,
    ) -> Result<Self::Stream<'a>, Disconnect> {
        let ip = match host.parse() {
            Ok(ip) => ip,
            Err(_) => {
                let found = self.dns.get_host_by_name(host, AddrType::Either).await;
                found.map_err(|_| Disconnect::Unresolved)?
            }
        };
        let connected = self.stack.connect(SocketAddr::new(ip, port)).await;
        let stream = RefCell::new(connected.map_err(|_| Disconnect::Refused)?);
        Ok(NalStream { stream, reader: RefCell::new(None) })
    }
}

/// A connection of [`Nal`]'s.
#[derive(Debug)]
pub struct NalStream<C> {
    stream: RefCell<C>,
    /// Waits for the write that is under way.
    reader: RefCell<Option<Waker>>,
}

/// The end of a [`NalStream`] to read from.
#[derive(Debug)]
pub struct NalReader<'s, C>(&'s NalStream<C>);

/// The end of a [`NalStream`] to write to.
#[derive(Debug)]
pub struct NalWriter<'s, C>(&'s NalStream<C>);

impl<C: Read + Write> Duplex for NalStream<C> {
    type Reader<'s>
        = NalReader<'s, C>
    where
        Self: 's;
    type Writer<'s>
        = NalWriter<'s, C>
    where
        Self: 's;

    fn split(&mut self) -> (NalReader<'_, C>, NalWriter<'_, C>) {
        (NalReader(self), NalWriter(self))
    }
}

impl<C: ErrorType> ErrorType for NalReader<'_, C> {
    type Error = C::Error;
}

impl<C: ErrorType> ErrorType for NalWriter<'_, C> {
    type Error = C::Error;
}

impl<C: Read> Read for NalReader<'_, C> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, C::Error> {
        poll_fn(|context| {
            let Ok(mut stream) = self.0.stream.try_borrow_mut() else {
                self.0.reader.replace(Some(context.waker().clone()));
                return Poll::Pending;
            };
            // Anew each time, so that the stream is held no longer than that.
            let read = pin!(stream.read(buf));
            read.poll(context)
        })
        .await
    }
}

impl<C: Write> Write for NalWriter<'_, C> {
    #[expect(clippy::await_holding_refcell_ref, reason = "the reader tries and waits")]
    async fn write(&mut self, buf: &[u8]) -> Result<usize, C::Error> {
        let written = self.0.stream.borrow_mut().write(buf).await;
        self.0.reader.take().inspect(Waker::wake_by_ref);
        written
    }

    #[expect(clippy::await_holding_refcell_ref, reason = "the reader tries and waits")]
    async fn flush(&mut self) -> Result<(), C::Error> {
        let flushed = self.0.stream.borrow_mut().flush().await;
        self.0.reader.take().inspect(Waker::wake_by_ref);
        flushed
    }
}
