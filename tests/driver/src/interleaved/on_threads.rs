//! The producer for threads: the driver has one of its own, and a poller that no time wakes.

use core::{task::Waker, time::Duration};
use std::io::{self, IoSlice, Read, Write};

use ottla_client::{
    CloseReport, Driver, Link, LinkError, Network, Place as _, Ready, Record, RecordOutcome,
    Security, SendAllError, SendError, Shards, Topic,
    threads::{Delivery, Poller, Producer, Resolver, Threads},
};
use ottla_core::{ConnId, Verdict};

use super::{Way, wire::Wire};
use crate::network::{Key, Woken};

/// A producer on threads.
#[derive(Clone, Debug)]
pub struct OnThreads(Producer<SimPoller>);

impl Way for OnThreads {
    type Delivery = Delivery;

    fn start(shards: Shards) -> Self {
        let place = Threads::<SimPoller>::find().expect("threads");
        Self(place.start(shards, &Security::default()).expect("a producer"))
    }

    fn topic(&self, name: &str) -> Topic {
        self.0.topic(name).expect("a topic")
    }

    fn send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.0.send(topic, record)
    }

    fn send_all(
        &self,
        topic: &Topic,
        records: &[Record<'_>],
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize, SendAllError> {
        self.0.send_all(topic, records, deliveries)
    }

    fn flush(&self) {
        self.0.flush();
    }

    fn close(&self) -> CloseReport {
        self.0.close(Duration::from_secs(60))
    }

    fn queue_depth(&self) -> u64 {
        self.0.stats().queue_depth
    }

    fn wait(delivery: &Delivery) -> RecordOutcome {
        delivery.wait()
    }

    fn try_outcome(delivery: &Delivery) -> Option<RecordOutcome> {
        delivery.try_outcome()
    }

    fn cancel(delivery: &Delivery) -> Verdict {
        delivery.cancel()
    }
}

/// A poller that no time wakes.
#[derive(Debug)]
pub struct SimPoller(Wire);

impl Poller for SimPoller {
    type Network = Dialler;

    fn new() -> io::Result<(Self, Waker)> {
        let wire = Wire::next().expect("a wire");
        let waker = wire.waker();
        Ok((Self(wire), waker))
    }

    fn network(&self, _resolver: Resolver) -> io::Result<Dialler> {
        Ok(Dialler(self.0.clone()))
    }

    fn wait(
        &mut self,
        _driver: &mut Driver<Dialler>,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let woken = self.0.poll(timeout != Some(Duration::ZERO)).into_iter();
        ready.extend(woken.map(|Woken { key, readable, writable }| Ready {
            index: key.slot,
            readable,
            writable,
        }));
        Ok(())
    }
}

/// Opens sockets of a wire.
#[derive(Debug)]
pub struct Dialler(Wire);

/// One of them.
#[derive(Debug)]
pub struct Socket {
    wire: Wire,
    key: Key,
}

impl Network for Dialler {
    type Link = Socket;

    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<Socket, LinkError> {
        let key = self.0.net().dial(0, conn.index(), host, port)?;
        Ok(Socket { wire: self.0.clone(), key })
    }
}

impl Link for Socket {
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.wire.net().try_read(self.key, window)
    }

    fn open(&mut self) -> Result<bool, LinkError> {
        Ok(self.wire.net().open(self.key)?)
    }
}

impl Read for Socket {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.wire.net().read(self.key, window)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wire.write(self.key, pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.wire.close(self.key);
    }
}
