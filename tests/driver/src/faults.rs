//! What goes wrong with brokers and the network, as a storm's plan says.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_model::{Action, Fault, NodeId, Versions};
use ottla_scenario::{
    Weather,
    storm::{What, counted, name_of},
};

use crate::net::{Net, TOPIC};

/// InitProducerId is refused for want of a right.
const NO_RIGHT: &str = "the right to an id refused";

impl Net {
    /// Does what a plan says of brokers and the network; what is left is the callers'.
    pub(crate) fn act(&mut self, what: &What) {
        match what {
            What::Cut(_) | What::CutAfter(_) | What::Deafen if self.links() == 0 => return,
            What::Produce(_)
            | What::Cancel(_)
            | What::Flush
            | What::Date(_)
            | What::Quiet
            | What::GoOnAt { .. } => {}
            What::Fault(fault) => {
                self.count(name_of(fault));
                self.cluster.inject(fault.clone());
            }
            What::Weather(weather) => self.weather = weather.clone(),
            What::Cut(which) => self.cut(*which),
            What::CutAfter(bytes) => {
                self.open_lines().for_each(|line| line.cut_after = Some(*bytes));
            }
            What::Deafen => self.open_lines().for_each(|line| line.down.dead = true),
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
            What::Lose(partition, records) => self.lose(*partition, *records),
            What::Forget(partition) => {
                self.cluster.forget_producers(TOPIC, *partition).expect("a partition");
            }
            What::Crash(node, records) => self.crash(*node, *records),
            What::Throttle(node, time) => self.cluster.set_throttle(*node, *time).expect("a node"),
            What::Unreachable(node) => self.unreachable.push(*node),
            What::Reachable => self.unreachable.clear(),
            What::Recreate => drop(self.cluster.recreate_topic(TOPIC).expect("a topic")),
            What::Delete(partition, keep) => {
                let before = self.cluster.end_offset(TOPIC, *partition) - keep;
                self.cluster.delete_records(TOPIC, *partition, before).expect("a partition");
            }
        }
        self.count(counted(what));
    }

    /// So many requests for a producer id are refused as where the right is missing.
    pub(crate) fn refuse_identity(&mut self, times: u32) {
        self.count(NO_RIGHT);
        let refused = Action::Reject(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
        self.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, refused).times(times));
    }

    /// A node does not offer producer ids, until all is well again.
    pub(crate) fn withhold_identity(&mut self, node: NodeId, versions: &Versions) {
        self.count("no producer ids on offer");
        self.withheld.push((node, versions.clone()));
        let fewer = versions.clone().without(ApiKey::INIT_PRODUCER_ID);
        self.cluster.set_versions(node, fewer).expect("a node");
    }

    fn partitions(&self) -> impl Iterator<Item = i32> + use<> {
        0..self.cluster.partitions(TOPIC) as i32
    }

    fn lead(&mut self, partition: i32, node: NodeId) {
        if !self.cluster.is_up(node) {
            return;
        }
        let before = self.cluster.end_offset(TOPIC, partition);
        self.cluster.move_leader(TOPIC, partition, node).expect("a leader");
        let lost = self.cluster.end_offset(TOPIC, partition) < before;
        self.count(if lost { "unclean election" } else { "leader moved" });
    }

    /// Its partitions go to others that are up, in sync if there is one.
    fn stop(&mut self, node: NodeId) {
        self.cluster.stop(node).expect("a node");
        for partition in self.partitions() {
            let led = self.cluster.leader(TOPIC, partition).is_some_and(|(l, _)| l == node);
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
            if self.cluster.leader(TOPIC, partition).is_some_and(|(leader, _)| leader == node) {
                let cut = self.cluster.end_offset(TOPIC, partition) - i64::from(records);
                self.cluster.truncate(TOPIC, partition, cut).expect("a partition");
            }
        }
        self.cluster.restart(node).expect("a node");
    }

    /// All brokers run, and nothing is in the way: for a time in which brokers forget the producer.
    pub(crate) fn calm(&mut self) {
        self.clear_faults();
        for node in self.cluster.nodes().collect::<Vec<_>>() {
            self.cluster.thaw(node).expect("a node");
        }
    }

    /// Takes back the faults that did not strike: they do not count.
    fn clear_faults(&mut self) {
        let left: Vec<&str> = self.cluster.faults().map(name_of).collect();
        for name in left {
            if let Some(count) = self.faults.get_mut(name) {
                *count = count.saturating_sub(1);
            }
        }
        self.cluster.clear_faults();
    }

    /// All is well again.
    pub(crate) fn heal(&mut self) {
        self.clear_faults();
        self.weather = Weather::FAIR;
        self.unreachable.clear();
        for (node, versions) in core::mem::take(&mut self.withheld) {
            // As an upgrade does, which ends its connections.
            self.cluster.set_versions(node, versions).expect("a node");
            self.cluster.stop(node).expect("a node");
        }
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
}
