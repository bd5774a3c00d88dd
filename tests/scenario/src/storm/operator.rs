//! What a plan has done to the brokers, whoever their client is.

use core::time::Duration;
use std::collections::BTreeMap;

use ottla_model::{Cluster, NodeId};

use super::{
    faults::name_of,
    plan::{TOPIC, What},
};

/// Operates the brokers of a storm.
#[derive(Debug)]
pub struct Operator<'a> {
    /// The brokers.
    pub cluster: &'a mut Cluster,
    /// How often each kind of trouble was made.
    pub counts: &'a mut BTreeMap<&'static str, u64>,
    /// The broker that is hostile: it leads what it was given, and no more.
    pub hostile: Option<NodeId>,
}

impl Operator<'_> {
    /// Does what a plan says of brokers, and nothing where it says something of the network, of the client,
    /// or of the time.
    ///
    /// # Panics
    ///
    /// Where the plan names what does not exist.
    pub fn act(&mut self, what: &What) {
        match what {
            What::Freeze(node) => self.cluster.freeze(*node).expect("a node"),
            What::Thaw(node) => self.cluster.thaw(*node).expect("a node"),
            What::Stop(node) => self.stop(*node),
            What::Start(node) => self.cluster.start(*node).expect("a node"),
            What::Lead(partition, node) => self.lead(*partition, *node),
            What::Lag(partition, node) => {
                // A leader follows nobody.
                if self.cluster.lag(TOPIC, *partition, *node).is_ok() {
                    self.count("replica lags");
                }
            }
            What::CatchUp(partition) => {
                self.cluster.catch_up(TOPIC, *partition).expect("a partition");
            }
            What::Fault(fault) => {
                self.count(name_of(fault));
                self.cluster.inject(fault.clone());
            }
            What::Throttle(node, time) => self.cluster.set_throttle(*node, *time).expect("a node"),
            What::Delete(partition, keep) => {
                let before = self.cluster.end_offset(TOPIC, *partition) - keep;
                self.cluster.delete_records(TOPIC, *partition, before).expect("a partition");
            }
            What::Recreate => drop(self.cluster.recreate_topic(TOPIC).expect("a topic")),
            What::Lose(partition, records) => self.lose(*partition, *records),
            What::Forget(partition) => {
                self.cluster.forget_producers(TOPIC, *partition).expect("a partition");
            }
            What::Crash(node, records) => self.crash(*node, *records),
            What::Produce(_)
            | What::Cancel(_)
            | What::Flush
            | What::Misuse(_)
            | What::Weather(_)
            | What::Cut(_)
            | What::CutAfter(_)
            | What::Deafen
            | What::Unreachable(_)
            | What::Reachable
            | What::Quiet
            | What::Password { .. }
            | What::Sessions(_)
            | What::Date(_)
            | What::GoOnAt { .. } => {}
        }
    }

    /// All brokers run as they should, and lead; the hostile one is gone.
    ///
    /// # Panics
    ///
    /// Where the topic does not exist.
    pub fn heal(&mut self) {
        for node in self.cluster.nodes().collect::<Vec<_>>() {
            self.cluster.start(node).expect("a node");
            self.cluster.thaw(node).expect("a node");
            self.cluster.set_throttle(node, Duration::ZERO).expect("a node");
        }
        for partition in self.partitions() {
            self.cluster.catch_up(TOPIC, partition).expect("a partition");
            if self.cluster.leader(TOPIC, partition).is_none() {
                let honest = if self.hostile == Some(1) { 2 } else { 1 };
                self.cluster.move_leader(TOPIC, partition, honest).expect("a leader");
            }
        }
        if let Some(node) = self.hostile {
            self.cluster.stop(node).expect("a node");
        }
    }

    fn partitions(&self) -> impl Iterator<Item = i32> + use<> {
        0..self.cluster.partitions(TOPIC) as i32
    }

    fn leads(&self, node: NodeId, partition: i32) -> bool {
        self.cluster.leader(TOPIC, partition).is_some_and(|(leader, _)| leader == node)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A node that is up leads a partition.
    fn lead(&mut self, partition: i32, node: NodeId) {
        if !self.cluster.is_up(node) {
            return;
        }
        let before = self.cluster.end_offset(TOPIC, partition);
        self.cluster.move_leader(TOPIC, partition, node).expect("a leader");
        let lost = self.cluster.end_offset(TOPIC, partition) < before;
        self.count(if lost { "unclean election" } else { "leader moved" });
    }

    /// Stops a node; its partitions go to others that are up, in sync if there is one.
    fn stop(&mut self, node: NodeId) {
        self.cluster.stop(node).expect("a node");
        for partition in self.partitions() {
            let led = self.leads(node, partition);
            let honest = self.cluster.nodes().filter(|other| Some(*other) != self.hostile);
            let up = honest.filter(|other| self.cluster.is_up(*other));
            let heir = up.min_by_key(|other| self.cluster.lags(TOPIC, partition, *other));
            if let Some(heir) = heir.filter(|_| led) {
                self.lead(partition, heir);
            }
        }
    }

    /// A partition's newest records are lost, and nobody is told: its leader comes back with the log of a
    /// replica that lagged.
    fn lose(&mut self, partition: i32, records: u32) {
        let Some((leader, _)) = self.cluster.leader(TOPIC, partition) else { return };
        let before = self.cluster.end_offset(TOPIC, partition);
        let cut = before - i64::from(records);
        self.cluster.truncate(TOPIC, partition, cut).expect("a partition");
        let nodes = self.cluster.nodes().count() as NodeId;
        for node in [leader % nodes + 1, leader] {
            self.cluster.move_leader(TOPIC, partition, node).expect("a leader");
        }
        let lost = self.cluster.end_offset(TOPIC, partition) < before;
        self.count(if lost { "log cut unnoticed" } else { "leader moved" });
    }

    /// A node restarts, and had not written everything to its disk.
    fn crash(&mut self, node: NodeId, records: u32) {
        if !self.cluster.is_up(node) {
            return;
        }
        for partition in self.partitions() {
            if self.leads(node, partition) {
                let cut = self.cluster.end_offset(TOPIC, partition) - i64::from(records);
                self.cluster.truncate(TOPIC, partition, cut).expect("a partition");
            }
        }
        self.cluster.restart(node).expect("a node");
    }
}
