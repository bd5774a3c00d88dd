//! Ids of another producer.

use std::sync::OnceLock;

use core::time::Duration;

use ottla_core::{BatchId, Compression, CompressionId, Config, ConnId, Ticket, TopicId};
use ottla_model::ClusterConfig;
use ottla_scenario::{World, quick};

/// What another producer has given out.
#[derive(Debug)]
pub(super) struct Foreign {
    pub(super) topic: TopicId,
    pub(super) tickets: Vec<Ticket>,
    pub(super) batches: Vec<BatchId>,
    pub(super) conns: Vec<ConnId>,
    pub(super) compressions: Vec<CompressionId>,
}

/// The same in all runs.
pub(super) fn foreign() -> &'static Foreign {
    static FOREIGN: OnceLock<Foreign> = OnceLock::new();
    FOREIGN.get_or_init(|| {
        let config = Config { compression: Compression::Lz4, ..quick() };
        let mut world = World::new(&config, ClusterConfig::with_nodes(2), 0xf0e);
        world.cluster.create_topic("t", 2).expect("a topic");
        let topic = world.topic("t");
        let mut foreign = Foreign {
            topic,
            tickets: Vec::new(),
            batches: Vec::new(),
            conns: Vec::new(),
            compressions: Vec::new(),
        };
        for partition in [0, 1, 0, 1] {
            world.codec.lent.clear();
            let id = world.produce(topic, Some(partition), 200).expect("room");
            world.run_for(Duration::from_millis(40));
            let ticket = world.ledger.ticket(id);
            foreign.tickets.push(ticket);
            foreign.batches.push(ticket.batch());
            foreign.compressions.extend(world.codec.lent.iter().map(|(id, _)| *id));
            foreign.conns.extend(world.open_connections());
            world.cut_all();
        }
        foreign
    })
}
