//! One engine and its driver, moved by hand: for what storms seldom do.

use core::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{rc::Rc, sync::Arc};

use ottla_client::{
    CompressionType, Delivery, Driver, Ready, Record, Report, SendError, Shards, Topic, Turn,
    internal::{self, MakeCompressor},
};
use ottla_core::{Config, Instant, Limits};
use ottla_model::{Cluster, ClusterConfig};
use ottla_scenario::{BOOTSTRAP, Weather};

use crate::{
    network::{Shared, TOPIC},
    shared_network::SimNet,
    tasks::Flag,
};

/// What is told of records with tokens.
type OnReport = Arc<dyn Fn(&Report) + Send + Sync>;

/// A producer of one engine and two brokers, of which the first leads partitions 0 and 2, and the second 1 and 3.
pub struct Stage {
    clock: Arc<AtomicU64>,
    net: Shared,
    shards: Rc<Shards>,
    topic: Topic,
    driver: Option<Driver<SimNet>>,
    ready: Vec<Ready>,
    flag: Arc<Flag>,
    rest: Rest,
}

/// What the driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It is to have a turn.
    Awake,
    /// It sleeps until then, or until it is woken or a link is ready.
    Asleep(Instant),
    /// It naps until then, or until it is woken.
    Naps(Instant),
    /// It has ended, and may be there still.
    Over,
}

/// Somebody who waits for something.
pub struct Waiter<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    flag: Arc<Flag>,
}

impl<T> Waiter<T> {
    /// Begins to wait.
    pub fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Box::pin(future), flag: Arc::new(Flag::set()) }
    }

    /// Whether it is to look again.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.flag.is_set()
    }

    /// Looks whether it is there, if it was woken: so nobody hears of it who was not.
    pub fn poll(&mut self) -> Option<T> {
        if !self.flag.take() {
            return None;
        }
        let waker = Waker::from(Arc::clone(&self.flag));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}

impl Stage {
    /// One that is connected to both brokers and at rest. Nothing but what a test does happens within a
    /// minute from then on.
    ///
    /// # Panics
    ///
    /// Where the configuration is none.
    #[must_use]
    pub fn new(
        config: &Config<'static>,
        limits: Option<Limits>,
        on_report: Option<OnReport>,
    ) -> Self {
        Self::set_up(config, limits, on_report, None)
    }

    /// The same, which compresses by LZ4.
    ///
    /// # Panics
    ///
    /// As there.
    #[must_use]
    pub fn compressing(config: &Config<'static>) -> Self {
        let lz4 = CompressionType::Lz4;
        let make: MakeCompressor = Arc::new(move || internal::compressor(lz4, 0));
        Self::set_up(config, None, None, Some((lz4, make)))
    }

    fn set_up(
        config: &Config<'static>,
        limits: Option<Limits>,
        on_report: Option<OnReport>,
        compressor: Option<(CompressionType, MakeCompressor)>,
    ) -> Self {
        let mut cluster = Cluster::new(ClusterConfig::with_nodes(2));
        cluster.create_topic(TOPIC, 4).expect("a topic");
        for partition in 0..4 {
            cluster.move_leader(TOPIC, partition, 1 + partition % 2).expect("a leader");
        }
        let net = Shared::new(cluster, 1);
        let clock = Arc::new(AtomicU64::new(0));
        let config = Config {
            bootstrap_servers: BOOTSTRAP,
            request_timeout: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            ..*config
        };
        let shards = Shards::simulated(&clock, &config, limits, on_report, 1, compressor);
        let shards = Rc::new(shards.expect("sound"));
        let topic = shards.topic(TOPIC).expect("a topic");
        let network = SimNet { engine: 0, net: net.clone() };
        let driver = Some(Driver::new(Arc::clone(&shards.engines()[0]), network));
        let (ready, flag, rest) = (Vec::new(), Arc::default(), Rest::Awake);
        let mut stage = Self { clock, net, shards, topic, driver, ready, flag, rest };
        stage.pass(Duration::from_millis(200));
        for partition in 0..4 {
            let first = stage.send(partition, 8);
            stage.pass(config.linger + Duration::from_millis(300));
            assert!(first.try_outcome().is_some(), "partition {partition} takes records");
        }
        assert!(stage.is_asleep(), "{:?}", stage.rest);
        stage
    }

    /// The producer.
    #[must_use]
    pub const fn shards(&self) -> &Rc<Shards> {
        &self.shards
    }

    /// The topic of all records.
    #[must_use]
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.clock.load(Ordering::Relaxed))
    }

    /// A caller sends a record of so many bytes.
    ///
    /// # Panics
    ///
    /// Where it is not taken.
    pub fn send(&self, partition: i32, len: usize) -> Delivery {
        self.try_send(partition, len).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same.
    ///
    /// # Errors
    ///
    /// Where it is not taken.
    pub fn try_send(&self, partition: i32, len: usize) -> Result<Delivery, SendError> {
        try_send(&self.shards, &self.topic, partition, len)
    }

    /// A caller has what was sent leave.
    pub fn flush(&self) {
        drop(self.shards.flush());
    }

    /// A caller's thread, so to speak: sends a record, as [`Stage::send`].
    pub fn caller(&self) -> impl Fn(i32, usize) -> Delivery + 'static {
        let (shards, topic) = (Rc::clone(&self.shards), self.topic.clone());
        move |partition, len| {
            try_send(&shards, &topic, partition, len).unwrap_or_else(|error| panic!("{error}"))
        }
    }

    /// A broker that is frozen answers nothing.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn freeze(&self, node: i32) {
        self.net.lock().cluster.freeze(node).expect("a node");
    }

    /// It answers again.
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn thaw(&self, node: i32) {
        self.net.lock().cluster.thaw(node).expect("a node");
    }

    /// How the network behaves from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.net.lock().weather = weather;
    }

    /// Whether the driver was woken, and has had no turn since.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.flag.is_set()
    }

    /// Whether the driver sleeps, and was not woken.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        matches!(self.rest, Rest::Asleep(_)) && !self.is_woken()
    }

    /// Whether the driver naps, and was not woken.
    #[must_use]
    pub fn naps(&self) -> bool {
        matches!(self.rest, Rest::Naps(_)) && !self.is_woken()
    }

    /// Whether the driver has said that it is over. It is kept.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rest == Rest::Over
    }

    /// The driver is no more, as where its runtime ends.
    pub fn drop_driver(&mut self) {
        self.driver = None;
        self.rest = Rest::Over;
    }

    /// Gives the driver a turn if it was woken or something is due; tells whether it was so.
    pub fn turn(&mut self) -> bool {
        let now = self.now();
        let due = match self.rest {
            Rest::Awake => true,
            Rest::Asleep(until) => until <= now || !self.ready.is_empty(),
            Rest::Naps(until) => until <= now,
            Rest::Over => return false,
        };
        if !self.flag.take() && !due {
            return false;
        }
        let Some(driver) = &mut self.driver else { return false };
        let turn = driver.turn(&mut self.ready, &Waker::from(Arc::clone(&self.flag)));
        let clock = self.shards.clock();
        self.rest = match turn {
            Turn::Again => Rest::Awake,
            Turn::Sleep(at) => Rest::Asleep(at.map_or(Instant::NEVER, |at| clock.core(at))),
            Turn::Nap(at) => Rest::Naps(clock.core(at)),
            Turn::Closed => Rest::Over,
        };
        true
    }

    /// Does all that can be done without time passing.
    ///
    /// # Panics
    ///
    /// Where that has no end.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1_000, "nothing comes to rest");
            let moved = self.net.lock().advance();
            for woken in core::mem::take(&mut self.net.lock().ready) {
                let (readable, writable) = (woken.readable, woken.writable);
                self.ready.push(Ready { index: woken.key.slot, readable, writable });
            }
            if !self.turn() && !moved {
                return;
            }
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now().after(time);
        loop {
            self.settle();
            let rest = match self.rest {
                Rest::Awake => self.now(),
                Rest::Asleep(until) | Rest::Naps(until) => until,
                Rest::Over => Instant::NEVER,
            };
            let next =
                rest.min(self.net.lock().next()).max(self.now().after(Duration::from_micros(1)));
            self.set_now(next.min(end));
            if next >= end {
                return self.settle();
            }
        }
    }

    /// Time passes, and the driver does not run.
    pub fn stall(&self, time: Duration) {
        self.set_now(self.now().after(time));
    }

    fn set_now(&self, now: Instant) {
        self.clock.store(now.as_micros(), Ordering::Relaxed);
        self.net.lock().now = now;
    }
}

fn try_send(
    shards: &Shards,
    topic: &Topic,
    partition: i32,
    len: usize,
) -> Result<Delivery, SendError> {
    let value = vec![b'.'; len];
    let record = Record { partition: Some(partition), value: Some(&value), ..Record::default() };
    shards.try_send(topic, &record)
}
