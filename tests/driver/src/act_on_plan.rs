//! What goes wrong with brokers and the network, as a storm's plan says.

use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_model::{Action, Fault, NodeId, Versions};
use ottla_scenario::{
    Weather,
    storm::{Operator, What, counted, name_of},
};

use crate::network::Net;

/// InitProducerId is refused for want of a right.
const NO_RIGHT: &str = "the right to an id refused";

impl Net {
    /// Does what a plan says of brokers and the network; what is left is the callers'.
    pub(crate) fn act(&mut self, what: &What) {
        match what {
            What::Cut(_) | What::CutAfter(_) | What::Deafen if self.links() == 0 => return,
            What::Weather(weather) => self.weather = weather.clone(),
            What::Cut(which) => self.cut(*which),
            What::CutAfter(bytes) => {
                self.open_lines().for_each(|line| line.cut_after = Some(*bytes));
            }
            What::Deafen => self.open_lines().for_each(|line| line.down.dead = true),
            What::Unreachable(node) => self.unreachable.push(*node),
            What::Reachable => self.unreachable.clear(),
            What::Produce(_)
            | What::Cancel(_)
            | What::Misuse(_)
            | What::Flush
            | What::Date(_)
            | What::Quiet
            | What::Password { .. }
            | What::Sessions(_)
            | What::GoOnAt { .. } => {}
            What::Freeze(_)
            | What::Thaw(_)
            | What::Stop(_)
            | What::Start(_)
            | What::Lead(..)
            | What::Lag(..)
            | What::CatchUp(_)
            | What::Fault(_)
            | What::Throttle(..)
            | What::Delete(..)
            | What::Recreate
            | What::Lose(..)
            | What::Forget(_)
            | What::Crash(..) => self.operator().act(what),
        }
        self.count(counted(what));
    }

    fn operator(&mut self) -> Operator<'_> {
        let (cluster, counts) = (&mut self.cluster, &mut self.faults);
        Operator { cluster, counts, hostile: self.hostile }
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
        self.operator().heal();
    }
}
