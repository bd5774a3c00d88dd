//! The async API over a network that reaches one broker alone, turned by hand: for what storms do not do.

use core::{cell::Cell, time::Duration};
use std::rc::Rc;

use ottla_core::{Config, Disconnect, Instant, Limits, Memory, Producer, Record, TopicId};
use ottla_embedded::{Buffers, Client, Connect};
use ottla_model::{Cluster, ClusterConfig};
use ottla_scenario::BOOTSTRAP;

use crate::{
    embedded_network::{SimConnect, Stream},
    network::{Shared, TOPIC},
    shared_by_hand::Waiter,
    tasks::Timers,
};

/// A producer with one connection, and brokers of which each leads a partition, but for the first.
pub struct AsyncStage {
    net: Shared,
    timers: Timers,
    network: OneBroker,
    client: Rc<Client<'static>>,
    topic: TopicId,
    run: Waiter<()>,
}

/// All but the first broker refuse at once.
#[derive(Clone)]
struct OneBroker {
    served: SimConnect,
    refused: Rc<Cell<u32>>,
}

impl Connect for OneBroker {
    type Stream<'a> = Stream<'a>;

    async fn connect(&self, slot: usize, host: &str, port: u16) -> Result<Stream<'_>, Disconnect> {
        if !BOOTSTRAP.ends_with(&port.to_string()) {
            self.refused.update(|times| times + 1);
            return Err(Disconnect::Refused);
        }
        self.served.connect(slot, host, port).await
    }
}

impl AsyncStage {
    /// One that is connected to the first broker, and knows where the partitions are.
    ///
    /// # Panics
    ///
    /// Where there are too many.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        let mut cluster = Cluster::new(ClusterConfig::with_nodes(partitions + 1));
        cluster.create_topic(TOPIC, partitions.into()).expect("a topic");
        for partition in 0..partitions.into() {
            cluster.move_leader(TOPIC, partition, partition + 2).expect("a leader");
        }
        let (net, timers) = (Shared::new(cluster, 1), Timers::default());
        let config = Config {
            bootstrap_servers: BOOTSTRAP,
            linger: Duration::ZERO,
            reconnect_backoff: Duration::from_secs(1),
            ..Config::default()
        };
        let brokers = u32::from(partitions) + 4;
        let limits = Limits { connections: 1, brokers, ..Limits::for_config(&config) };
        let mut core = Producer::new(&config, Memory::heap(limits), 1).expect("sound");
        let topic = core.topic(Instant::ZERO, TOPIC).expect("a topic");
        let served = SimConnect::new(net.clone());
        let network = OneBroker { served, refused: Rc::default() };
        let client = Rc::new(Client::new(core, ()));
        let own = (Rc::clone(&client), network.clone(), timers.clone());
        let run = Waiter::new(async move {
            let (client, network, timers) = own;
            ottla_embedded::run(&client, &network, &timers, &mut Buffers::<1, 64>::new()).await;
        });
        let mut stage = Self { net, timers, network, client, topic, run };
        for millis in 1..500 {
            let now = Instant::from_micros(millis * 1_000);
            stage.timers.now.set(now);
            stage.net.lock().now = now;
            stage.settle();
        }
        stage
    }

    /// Sends a record to each partition.
    ///
    /// # Panics
    ///
    /// Where one is not taken.
    pub fn send_to_all(&self, partitions: u16) {
        let now = self.timers.now.get();
        for partition in 0..partitions {
            let partition = Some(i32::from(partition));
            let record = Record { partition, value: Some(b"v"), ..Record::default() };
            let sent = self.client.with(|core, ()| core.produce(now, self.topic, &record));
            assert!(sent.is_ok(), "{sent:?}");
        }
    }

    /// How many connections were refused.
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.network.refused.get()
    }

    /// Does all that can be done without time passing.
    ///
    /// # Panics
    ///
    /// Where that has no end.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1_000, "nothing comes to rest");
            let mut moved = self.net.lock().advance();
            let woken = core::mem::take(&mut self.net.lock().ready);
            self.network.served.wake(&woken);
            moved |= self.timers.wake();
            moved |= self.run.is_woken();
            assert!(self.run.poll().is_none(), "nobody closes");
            if !moved {
                return;
            }
        }
    }
}
