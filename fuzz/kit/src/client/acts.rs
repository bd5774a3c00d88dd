//! What goes wrong in an episode, as data.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_model::{Action, BaseOffset, Cluster, Fault, Lie};

use super::tap::{Spoil, Tap};
use crate::{
    choice::{Choices, Seeded, pick},
    mutate::{Keeps, Mutator},
};

/// Something that goes wrong, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// Milliseconds after the storm began.
    pub at_ms: u64,
    /// What.
    pub deed: Deed,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Requests meet a fault of the model's.
    Fault(Fault),
    /// A node tells a lie once.
    LieOnce(i32, Lie),
    /// A node tells a lie until the storm is over.
    Lie(i32, Lie),
    /// Another node leads a partition.
    MoveLeader(i32, i32),
    /// Nobody leads it, until it is well again.
    RemoveLeader(i32),
    /// A node is stopped, and started at once: all of its connections are gone.
    Restart(i32),
    /// A node says nothing until it is well again.
    Freeze(i32),
    /// A node throttles.
    Throttle(i32, Duration),
    /// An answer is spoilt.
    Spoil(Spoil),
}

impl Deed {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Fault(fault) => {
                let times =
                    if fault.times == 1 { String::new() } else { format!(" ({}×)", fault.times) };
                format!("{}: {:?}{times}", fault.api, fault.action)
            }
            Self::LieOnce(node, lie) => format!("node {node} lies once: {lie:?}"),
            Self::Lie(node, lie) => format!("node {node} lies: {lie:?}"),
            Self::MoveLeader(partition, node) => {
                format!("partition {partition} moves to node {node}")
            }
            Self::RemoveLeader(partition) => format!("partition {partition} has no leader"),
            Self::Restart(node) => format!("node {node} is restarted"),
            Self::Freeze(node) => format!("node {node} freezes"),
            Self::Throttle(node, time) => format!("node {node} throttles for {time:?}"),
            Self::Spoil(spoil) => {
                let api = crate::messages::api_of(spoil.api).map_or("?", |api| api.name);
                format!("an answer to {api} is to have {}", spoil.mutator.name())
            }
        }
    }

    /// Does it.
    pub(super) fn act(&self, cluster: &mut Cluster, tap: &Tap, topic: &str) {
        let done = match self {
            Self::Fault(fault) => {
                cluster.inject(fault.clone());
                Ok(())
            }
            Self::LieOnce(node, lie) => cluster.lie_once(*node, lie.clone()),
            Self::Lie(node, lie) => cluster.lie(*node, lie.clone()),
            Self::MoveLeader(partition, node) => cluster.move_leader(topic, *partition, *node),
            Self::RemoveLeader(partition) => cluster.remove_leader(topic, *partition),
            Self::Restart(node) => cluster.restart(*node),
            Self::Freeze(node) => cluster.freeze(*node),
            Self::Throttle(node, time) => cluster.set_throttle(*node, *time),
            Self::Spoil(spoil) => {
                tap.spoil(*spoil);
                Ok(())
            }
        };
        // What cannot be done, such as stopping who is down, is no matter.
        let _ = done;
    }
}

/// After these an append may have been made: a batch that was appended is answered with them as well.
const UNCERTAIN: [ErrorCode; 5] = [
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::UNKNOWN_SERVER_ERROR,
];

/// Refusals after which whoever refused may accept the same batch later.
const RETRIABLE: [ErrorCode; 8] = [
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::LEADER_NOT_AVAILABLE,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::CORRUPT_MESSAGE,
    ErrorCode(999),
];

/// What goes wrong in a storm of so many milliseconds, in a cluster of so many nodes and a topic of so many partitions.
///
/// Brokers never say that they have what they have not, nor for certain that they have not what they have: nobody could
/// tell a client's fault from theirs then.
#[must_use]
pub fn acts(seed: u64, storm_ms: u64, nodes: i32, partitions: i32) -> Vec<Act> {
    let mut choices = Seeded::new(seed);
    let (mut acts, mut at_ms) = (Vec::new(), 0);
    while at_ms < storm_ms {
        acts.push(Act { at_ms, deed: deed(&mut choices, nodes, partitions) });
        at_ms += 50 + u64::try_from(choices.below(500)).unwrap_or(0);
    }
    acts
}

fn below(choices: &mut dyn Choices, n: i32) -> i32 {
    i32::try_from(choices.below(usize::try_from(n).unwrap_or(1))).unwrap_or(0)
}

fn deed(choices: &mut dyn Choices, nodes: i32, partitions: i32) -> Deed {
    let node = 1 + below(choices, nodes);
    let partition = below(choices, partitions);
    let of = |choices: &mut dyn Choices, codes: &[ErrorCode]| {
        pick(choices, codes).copied().unwrap_or(ErrorCode::REQUEST_TIMED_OUT)
    };
    let once = |action| Deed::Fault(Fault::produce(action));
    let times = |choices: &mut dyn Choices, action| {
        let times = [1, 1, 3, 20].get(choices.below(4)).copied().unwrap_or(1);
        Deed::Fault(Fault::produce(action).times(times))
    };
    match choices.below(24) {
        0 | 1 => {
            let error = of(choices, &UNCERTAIN);
            let base_offset =
                pick(choices, &[BaseOffset::Kept, BaseOffset::Unknown, BaseOffset::Min]);
            let base_offset = base_offset.copied().unwrap_or(BaseOffset::Kept);
            times(choices, Action::AppendThenError { error, base_offset })
        }
        2 | 3 => {
            let error = of(choices, &RETRIABLE);
            times(choices, Action::Reject(error))
        }
        4 => once(Action::Swallow),
        5 => {
            let ms = u64::try_from(200 + choices.below(1_500)).unwrap_or(500);
            once(Action::Hold(Duration::from_millis(ms)))
        }
        6 => times(choices, Action::CloseBefore),
        7 => times(choices, Action::CloseAfter),
        8 => once(Action::Omit),
        9 => once(Action::Twice),
        10 => once(Action::Stray),
        11 => Deed::MoveLeader(partition, node),
        12 => Deed::RemoveLeader(partition),
        13 => Deed::Restart(node),
        14 => Deed::Freeze(node),
        15 => Deed::Throttle(
            node,
            Duration::from_millis([50, 500].get(choices.below(2)).copied().unwrap_or(50)),
        ),
        16 => {
            let api = [ApiKey::METADATA, ApiKey::API_VERSIONS, ApiKey::INIT_PRODUCER_ID];
            let api = pick(choices, &api).copied().unwrap_or(ApiKey::METADATA);
            let action = [Action::CloseBefore, Action::Swallow, Action::CloseAfter];
            let action = pick(choices, &action).cloned().unwrap_or(Action::CloseBefore);
            Deed::Fault(Fault::new(api, action).times(3))
        }
        17 | 18 => {
            let lies = [
                Lie::HangUp,
                Lie::HangUpAfterVersions,
                Lie::Silence,
                Lie::Refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                Lie::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS),
                Lie::NoTopics,
                Lie::Addresses,
                Lie::TopicError(ErrorCode::LEADER_NOT_AVAILABLE),
                Lie::InventedBrokers(50),
                Lie::LeaveOut,
            ];
            Deed::Lie(node, pick(choices, &lies).cloned().unwrap_or(Lie::HangUp))
        }
        19 => {
            let lies = [
                Lie::Garbage(vec![0x15, 3, 3, 0, 2, 2, 0x46]),
                Lie::WrongCorrelation,
                Lie::FrameLength(i32::MAX),
                Lie::FrameLength(-1),
                Lie::Throttle(1_000),
                Lie::Epoch(i32::MAX),
                Lie::Hint(99, 1_000),
            ];
            Deed::LieOnce(node, pick(choices, &lies).cloned().unwrap_or(Lie::HangUp))
        }
        _ => {
            let api = pick(choices, &[0, 0, 3, 18, 22]).copied().unwrap_or(0);
            let breaks: Vec<Mutator> = Mutator::ALL
                .iter()
                .copied()
                .filter(|of| {
                    of.keeps() != Keeps::Message
                        || matches!(of, Mutator::Correlation | Mutator::TagUnknown)
                })
                .collect();
            let mutator = pick(choices, &breaks).copied().unwrap_or(Mutator::Correlation);
            Deed::Spoil(Spoil { api, mutator, seed: choices.number() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_follow_from_their_seed_and_stay_in_the_storm() {
        let made = acts(3, 5_000, 3, 3);
        assert_eq!(made, acts(3, 5_000, 3, 3));
        assert_ne!(made, acts(4, 5_000, 3, 3));
        assert!(made.len() > 5 && made.iter().all(|act| act.at_ms < 5_000));
    }
}
