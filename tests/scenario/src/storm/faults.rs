//! Which faults a storm draws, the answers by error code among them.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode, Evidence};
use ottla_model::{Action, BaseOffset, Fault};

use super::plan::TOPIC;
use crate::dice::Dice;

/// Codes that no table knows.
const NEWER: [ErrorCode; 2] = [ErrorCode(998), ErrorCode(999)];

/// What brokers refuse batches with day by day: these are drawn more often than the rest.
const COMMON: [ErrorCode; 9] = [
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::INVALID_RECORD,
    ErrorCode::TOPIC_AUTHORIZATION_FAILED,
    ErrorCode::CORRUPT_MESSAGE,
    ErrorCode::UNKNOWN_SERVER_ERROR,
];

/// The errors that Kafka puts in the place of an acknowledgement.
const COMMON_AFTER_APPEND: [ErrorCode; 5] = [
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
];

/// What Metadata says of a topic, or of itself, that will be well again.
const METADATA: [ErrorCode; 6] = [
    ErrorCode::LEADER_NOT_AVAILABLE,
    ErrorCode::REPLICA_NOT_AVAILABLE,
    ErrorCode::INVALID_REPLICATION_FACTOR,
    ErrorCode::LISTENER_NOT_FOUND,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::REBOOTSTRAP_REQUIRED,
];

/// What InitProducerId says while there is no producer id. What is not retriable ends the producer,
/// and has scenarios of its own.
const PRODUCER_ID: [ErrorCode; 6] = [
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::NOT_COORDINATOR,
    ErrorCode::CONCURRENT_TRANSACTIONS,
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::UNKNOWN_SERVER_ERROR,
];

/// The rows of the evidence table, each of which a storm may draw as the answer to Produce: all
/// codes with a name, and one that stands for those without.
///
/// Most of them Kafka never answers to Produce. All are drawn the same: an error code is two bytes
/// from somebody else, and the table says what it proves wherever it comes from. Two rows are not
/// ordered but come about: NONE, and DUPLICATE_SEQUENCE_NUMBER, which says that the batch is in the
/// log, so that a broker that says it for nothing lies; it comes from brokers that have it
/// ([`Duplicates::AnErrorOfItsOwn`](ottla_model::Duplicates)).
pub fn rows() -> impl Iterator<Item = &'static str> {
    ErrorCode::KNOWN.iter().copied().chain([NEWER[0]]).map(row_of)
}

/// The row that a code belongs to.
#[must_use]
pub fn row_of(code: ErrorCode) -> &'static str {
    code.name().unwrap_or("any other")
}

fn pick(dice: &mut dyn Dice, from: &[ErrorCode]) -> ErrorCode {
    from[dice.roll(0, from.len() as u64 - 1) as usize]
}

fn with(evidence: Evidence) -> Vec<ErrorCode> {
    let all = ErrorCode::KNOWN.iter().copied().chain(NEWER);
    all.filter(|code| code.evidence() == evidence).collect()
}

/// A code that is answered instead of an append.
fn refusal(dice: &mut dyn Dice) -> ErrorCode {
    match dice.roll(0, 3) {
        0 => pick(dice, &COMMON),
        1 => pick(dice, &with(Evidence::NotAppended)),
        _ => pick(dice, &with(Evidence::Ambiguous)),
    }
}

/// A code that leaves open whether the batch is in the log: no broker appends and says that it did
/// not.
fn error_after_append(dice: &mut dyn Dice) -> ErrorCode {
    if dice.once_in(2) {
        return pick(dice, &COMMON_AFTER_APPEND);
    }
    pick(dice, &with(Evidence::Ambiguous))
}

/// A fault that meets requests to come.
pub(super) fn fault(dice: &mut dyn Dice, partition: i32) -> Fault {
    match dice.roll(0, 15) {
        0 => return Fault::new(ApiKey::METADATA, other_action(dice, &METADATA)),
        1 => return Fault::new(ApiKey::INIT_PRODUCER_ID, other_action(dice, &PRODUCER_ID)),
        _ => {}
    }
    let action = match dice.roll(0, 10) {
        0 | 1 => Action::Reject(refusal(dice)),
        2 | 3 => Action::AppendThenError {
            error: error_after_append(dice),
            base_offset: match dice.roll(0, 2) {
                0 => BaseOffset::Kept,
                1 => BaseOffset::Unknown,
                _ => BaseOffset::Min,
            },
        },
        4 => Action::Swallow,
        5 => Action::Hold(Duration::from_millis(dice.roll(1, 800))),
        6 => Action::CloseBefore,
        7 => Action::CloseAfter,
        8 => Action::Garbage((0..dice.roll(1, 60)).map(|_| dice.roll(0, 255) as u8).collect()),
        9 => match dice.roll(0, 3) {
            0 => Action::Omit,
            1 => Action::Twice,
            2 => Action::Stray,
            _ => Action::WrongCorrelation(1),
        },
        _ => Action::Freeze,
    };
    let fault = Fault::produce(action).times(dice.roll(1, 3) as u32);
    if dice.once_in(2) { fault.on(TOPIC, partition) } else { fault }
}

/// A fault that meets the first requests of all.
pub(super) fn first_fault(dice: &mut dyn Dice) -> Fault {
    let fault = match dice.roll(0, 1) {
        0 => Fault::new(ApiKey::METADATA, other_action(dice, &METADATA)),
        _ => Fault::new(ApiKey::INIT_PRODUCER_ID, other_action(dice, &PRODUCER_ID)),
    };
    fault.times(dice.roll(1, 2) as u32)
}

/// What goes wrong with a request that is not Produce.
fn other_action(dice: &mut dyn Dice, codes: &[ErrorCode]) -> Action {
    match dice.roll(0, 5) {
        0 => Action::CloseBefore,
        1 => Action::CloseAfter,
        2 => Action::Hold(Duration::from_millis(dice.roll(1, 400))),
        _ => Action::Reject(pick(dice, codes)),
    }
}

/// A fault's name in the tally.
#[must_use]
pub fn name_of(fault: &Fault) -> &'static str {
    match (fault.api, &fault.action) {
        (ApiKey::METADATA, Action::Reject(_)) => "metadata refused",
        (ApiKey::METADATA, _) => "metadata disturbed",
        (ApiKey::INIT_PRODUCER_ID, Action::Reject(_)) => "producer id refused",
        (ApiKey::INIT_PRODUCER_ID, _) => "producer id disturbed",
        (ApiKey::DESCRIBE_PRODUCERS, Action::Reject(_)) => "question refused",
        (ApiKey::DESCRIBE_PRODUCERS, _) => "question disturbed",
        (_, Action::Reject(_)) => "reject",
        (_, Action::Blame(_)) => "records blamed",
        (_, Action::AppendThenError { .. }) => "append, then error",
        (_, Action::Swallow) => "swallow",
        (_, Action::Hold(_)) => "hold",
        (_, Action::CloseBefore) => "close before",
        (_, Action::CloseAfter) => "close after",
        (_, Action::Garbage(_)) => "garbage",
        (_, Action::WrongCorrelation(_)) => "wrong correlation",
        (_, Action::Omit) => "omit",
        (_, Action::Twice) => "twice",
        (_, Action::Stray) => "stray",
        (_, Action::Lose { .. }) => "lost at a request",
        (_, Action::Freeze) => "freeze at a request",
    }
}
