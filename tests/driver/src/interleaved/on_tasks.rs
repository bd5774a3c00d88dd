//! The producer for tasks: the driver is one, and timers never go off.

use core::{
    future::{Future, Pending, pending},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{
    io::{self, ErrorKind, IoSlice},
    time::Instant,
};

use ottla_client::{
    BuildError, CloseReport, Delivery, Place as _, Record, RecordOutcome, Security, SendAllError,
    SendError, Shards, Topic,
    tasks::{Producer, Runtime, Tasks},
};
use ottla_core::Verdict;
use shuttle::thread;

use super::{Way, wire::Wire};
use crate::network::Key;

/// A producer on tasks, of which each caller blocks a thread on its own.
#[derive(Clone, Debug)]
pub struct OnTasks(Producer<SimRuntime>);

impl Way for OnTasks {
    type Delivery = Delivery;

    fn start(shards: Shards) -> Self {
        let place = Tasks::<SimRuntime>::find().expect("a runtime");
        Self(place.start(shards, &Security::default()).expect("a producer"))
    }

    fn topic(&self, name: &str) -> Topic {
        self.0.topic(name).expect("a topic")
    }

    fn send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        block_on(self.0.send(topic, record))
    }

    fn send_all(
        &self,
        topic: &Topic,
        records: &[Record<'_>],
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize, SendAllError> {
        block_on(self.0.send_all(topic, records, deliveries))
    }

    fn flush(&self) {
        block_on(self.0.flush());
    }

    fn close(&self) -> CloseReport {
        block_on(self.0.close(Duration::from_secs(60)))
    }

    fn queue_depth(&self) -> u64 {
        self.0.stats().queue_depth
    }

    fn wait(delivery: &Delivery) -> RecordOutcome {
        block_on(delivery.reattach())
    }

    fn try_outcome(delivery: &Delivery) -> Option<RecordOutcome> {
        delivery.try_outcome()
    }

    fn cancel(delivery: &Delivery) -> Verdict {
        delivery.cancel()
    }
}

/// Tasks on threads of shuttle's.
#[derive(Clone, Debug)]
pub struct SimRuntime {
    wire: Wire,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    ottla_client::block_on(future, None).expect("no time passes")
}

/// A socket of a wire.
#[derive(Debug)]
pub struct Stream {
    wire: Wire,
    key: Key,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.wire.close(self.key);
    }
}

impl Runtime for SimRuntime {
    type Stream = Stream;
    type Timer = Pending<()>;

    fn current() -> Result<Self, BuildError> {
        Ok(Self { wire: Wire::next().expect("a wire") })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Its host is asked for within it.
        let wire = self.wire.clone();
        thread::spawn(move || {
            wire.be_next();
            block_on(task);
        });
    }

    async fn look_up(_host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
    }

    async fn connect(to: SocketAddr) -> io::Result<Stream> {
        let wire = Wire::next().expect("a wire");
        wire.be_next();
        let mut net = wire.net();
        let found = net.cluster.nodes().find_map(|node| {
            let (host, port) = net.cluster.address(node)?;
            (port == to.port()).then(|| host.to_owned())
        });
        let host = found.ok_or(ErrorKind::ConnectionRefused)?;
        let refused = |_| io::Error::from(ErrorKind::ConnectionRefused);
        let key = net.dial(0, 0, &host, to.port()).map_err(refused)?;
        // No time passes until it opens.
        let opened = net.open(key).map_err(refused)?;
        assert!(opened, "a connection opens at once");
        drop(net);
        Ok(Stream { wire, key })
    }

    fn poll_read(
        stream: &mut Stream,
        cx: &mut Context<'_>,
        window: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = stream.wire.net().read(stream.key, window);
        pending_where_it_would_block(stream, cx, read)
    }

    fn poll_write(
        stream: &mut Stream,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = stream.wire.write(stream.key, pieces);
        pending_where_it_would_block(stream, cx, written)
    }

    fn try_read(stream: &mut Stream, window: &mut [u8]) -> io::Result<usize> {
        stream.wire.net().try_read(stream.key, window)
    }

    fn timer(&self, _at: Instant) -> Pending<()> {
        pending()
    }

    fn reset(_timer: Pin<&mut Pending<()>>, _at: Instant) {}
}

fn pending_where_it_would_block(
    stream: &Stream,
    cx: &Context<'_>,
    result: io::Result<usize>,
) -> Poll<io::Result<usize>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            stream.wire.register(stream.key, cx.waker());
            Poll::Pending
        }
        result => Poll::Ready(result),
    }
}
