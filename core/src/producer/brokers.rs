//! Which brokers are known, and where they are: who is named gets a slot, and who is named no more gives it back.

use super::Producer;
use crate::{
    Disconnect, LastError,
    broker_slot::{Broker, Origin},
    slots::Ix,
    wire::{ErrorCode, metadata},
};

impl Producer<'_> {
    pub(super) fn learn_broker(&mut self, told: &metadata::Broker<'_>) {
        if told.node_id < 0 {
            return;
        }
        let known = self.known_broker(told.node_id);
        if let Some(broker) = known.or_else(|| self.new_broker(told.node_id)) {
            self.brokers.at_mut(broker).seen = true;
            self.set_address(broker, told.host, told.port);
            self.adopt_bootstrap(broker);
        }
    }

    /// A free slot for a broker of the cluster.
    fn new_broker(&mut self, node_id: i32) -> Option<Ix<Broker>> {
        let free = |slot: &Broker| slot.origin == Origin::Free;
        // A broker that leads nothing and has no connection can be learned again.
        let idle = |slot: &Broker| {
            slot.origin == Origin::Cluster && slot.leads == 0 && slot.conn.is_none() && !slot.seen
        };
        let found = self.brokers.iter().find(|(_, slot)| free(slot));
        let found = found.or_else(|| self.brokers.iter().find(|(_, slot)| idle(slot)));
        let (broker, _) = found?;
        *self.brokers.at_mut(broker) =
            Broker { origin: Origin::Cluster, node_id, seen: true, ..Broker::EMPTY };
        Some(broker)
    }

    /// The broker with this node id, which may be one whose address is not known yet.
    pub(super) fn broker_of_node(&mut self, node_id: i32) -> Option<Ix<Broker>> {
        self.known_broker(node_id).or_else(|| self.new_broker_by_force(node_id))
    }

    fn known_broker(&self, node_id: i32) -> Option<Ix<Broker>> {
        let is_it = |slot: &Broker| slot.origin == Origin::Cluster && slot.node_id == node_id;
        self.brokers.iter().find(|(_, slot)| is_it(slot)).map(|(broker, _)| broker)
    }

    /// A slot for a broker that leads a partition of ours, at the cost of one that leads none.
    fn new_broker_by_force(&mut self, node_id: i32) -> Option<Ix<Broker>> {
        if let Some(broker) = self.new_broker(node_id) {
            return Some(broker);
        }
        let spare = |slot: &Broker| slot.origin == Origin::Cluster && slot.leads == 0;
        // One without a connection comes first: the answer that names the leader may be on one.
        let idle = |slot: &Broker| spare(slot) && slot.conn.is_none();
        let found = self.brokers.iter().find(|(_, slot)| idle(slot));
        let (broker, slot) = found.or_else(|| self.brokers.iter().find(|(_, slot)| spare(slot)))?;
        let conn = slot.conn;
        let kept = self.give_back_to_bootstrap(broker);
        // Nobody dials what has no address, as it might be for what is to be asked of any broker.
        self.brokers.at_mut(broker).host_len = 0;
        if let Some(conn) = conn.some().filter(|_| !kept) {
            self.drop_connection(conn, Disconnect::Replaced);
        }
        *self.brokers.at_mut(broker) =
            Broker { origin: Origin::Cluster, node_id, seen: true, ..Broker::EMPTY };
        Some(broker)
    }

    /// Takes note of where a broker is reached. A broker that moved is dialled anew.
    pub(super) fn set_address(&mut self, broker: Ix<Broker>, host: &str, port: i32) {
        let slot = self.brokers.at(broker);
        let (conn, had_address) = (slot.conn, slot.has_address());
        let host_len = u8::try_from(host.len()).unwrap_or(0);
        let known = u16::try_from(port).ok().filter(|port| *port > 0);
        if known == Some(slot.port) && self.host_of(broker) == host {
            return;
        }
        let named = known.is_some() && host_len > 0 && self.broker_names.set(broker.number(), host);
        let slot = self.brokers.at_mut(broker);
        let Some(port) = known.filter(|_| named) else {
            // An address that was good stays.
            if !had_address {
                slot.trouble = Some(known.map_or(LastError::Port(port), |_| LastError::Host));
            }
            return;
        };
        slot.trouble = None;
        slot.host_len = host_len;
        slot.port = port;
        slot.answered = false;
        // Another address is no reason to be dialled faster again and again.
        if slot.failures <= 1 {
            slot.dial_at = self.now;
        }
        if let Some(conn) = conn.some().filter(|_| had_address) {
            self.drop_connection(conn, Disconnect::Replaced);
        } else if self.brokers.at(broker).has_work() {
            self.wake_broker(broker);
        }
    }

    /// A connection to a bootstrap server serves the broker that has the same address: one
    /// connection a broker.
    fn adopt_bootstrap(&mut self, broker: Ix<Broker>) {
        let slot = self.brokers.at(broker);
        if slot.conn.is_some() || !slot.has_address() {
            return;
        }
        let same = self.brokers.iter().find(|(other, candidate)| {
            candidate.origin == Origin::Bootstrap
                && candidate.conn.is_some()
                && candidate.port == slot.port
                && self.host_of(*other) == self.host_of(broker)
        });
        let Some((bootstrap, candidate)) = same else {
            return;
        };
        let conn = candidate.conn;
        self.brokers.at_mut(bootstrap).conn = Ix::NONE;
        self.brokers.at_mut(broker).conn = conn;
        self.conns.at_mut(conn).broker = broker;
        if self.metadata.last == bootstrap {
            self.metadata.last = broker;
        }
        self.end_doubts_of_mute(broker);
        self.wake_conn(conn);
    }

    /// Gives the connection of a broker that loses its slot to the bootstrap server at the same address: the
    /// answer that names who gets the slot may be on it. Tells whether there was one to take it.
    fn give_back_to_bootstrap(&mut self, broker: Ix<Broker>) -> bool {
        let slot = self.brokers.at(broker);
        let (conn, port) = (slot.conn, slot.port);
        let same = self.brokers.iter().find(|(other, candidate)| {
            candidate.origin == Origin::Bootstrap
                && candidate.conn.is_none()
                && candidate.port == port
                && self.host_of(*other) == self.host_of(broker)
        });
        let Some((bootstrap, _)) = same.filter(|_| conn.is_some()) else {
            return false;
        };
        self.brokers.at_mut(broker).conn = Ix::NONE;
        self.brokers.at_mut(bootstrap).conn = conn;
        self.conns.at_mut(conn).broker = bootstrap;
        if self.metadata.last == broker {
            self.metadata.last = bootstrap;
        }
        true
    }

    /// Forgets the brokers that the cluster no longer names and that lead nothing, or of which nothing
    /// is known but that somebody said so: a leader that is not among the brokers is none.
    pub(super) fn forget_brokers(&mut self) {
        for broker in self.brokers.indices() {
            let slot = self.brokers.at(broker);
            if slot.origin != Origin::Cluster || slot.seen {
                continue;
            }
            if slot.leads > 0 && slot.has_address() {
                continue;
            }
            self.depose(broker);
            let slot = self.brokers.at(broker);
            if let Some(conn) = slot.conn.some() {
                self.drop_connection(conn, Disconnect::Replaced);
            }
            if self.brokers.at(broker).conn.is_none() {
                *self.brokers.at_mut(broker) = Broker::EMPTY;
            }
        }
    }

    /// Takes from a broker all partitions that it leads.
    fn depose(&mut self, broker: Ix<Broker>) {
        if self.brokers.at(broker).leads == 0 {
            return;
        }
        for home in self.partitions.indices() {
            if self.partitions.at(home).leader == broker {
                self.partitions.at_mut(home).leader_epoch = -1;
                self.note_leaderless(home, ErrorCode::NONE);
                self.set_leader(home, Ix::NONE);
            }
        }
    }
}
