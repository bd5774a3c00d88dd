//! What a broker may not do.

use std::collections::BTreeMap;

use ottla_core::wire::{ErrorCode, Evidence};

use super::{
    law::{Broken, Law},
    plan::{Flaw, Plan, Produce, Step, values_of},
    transcript::{Logged, Outcome, Transcript, Wrong},
};
use crate::{
    batch::advance,
    messages::{Value, decode_request},
};

/// Holds what was seen against the laws.
#[must_use]
pub fn judge(plan: &Plan, seen: &Transcript) -> Vec<Broken> {
    let mut broken = seen.broken.clone();
    for (at, (step, asked)) in plan.steps.iter().zip(&seen.asked).enumerate() {
        for Wrong { law, what, kind } in &asked.broken {
            broken.push(Broken::new(*law, Some(at), what.clone(), kind.clone()));
        }
        let sound = matches!(step, Step::Produce(_) | Step::Valid { .. });
        let unanswered = match asked.outcome {
            Outcome::Silent => Some("there was no answer in time"),
            Outcome::Closed if sound && !may_be_closed(step) => Some("the connection was closed"),
            _ => None,
        };
        if let Some(what) = unanswered {
            let kind = match has_null_records(&asked.bytes) {
                true => "Produce with null records".to_owned(),
                false => kind_of(step),
            };
            broken.push(Broken::new(Law::Answers, Some(at), format!("{kind}: {what}"), kind));
        }
    }
    if seen.was_read && seen.broken.iter().all(|broken| broken.law != Law::Lives) {
        for (partition, log) in &seen.logs {
            judge_chains(log, *partition, &mut broken);
        }
        judge_told(plan, seen, &mut broken);
    }
    broken
}

/// Whether a request is a Produce of a partition without records, whatever else is odd about it.
fn has_null_records(frame: &[u8]) -> bool {
    let Ok(request) = decode_request(frame.get(4..).unwrap_or_default()) else {
        return false;
    };
    let mut partitions =
        request.body.structs("topics").flat_map(|topic| topic.structs("partitions"));
    request.api.key == 0 && partitions.any(|told| told.get("records") == Some(&Value::Null))
}

/// With acks=0 a connection is closed where something went wrong.
const fn may_be_closed(step: &Step) -> bool {
    matches!(step, Step::Produce(Produce { acks: 0, .. }))
}

/// What kind of request a step is.
pub(super) fn kind_of(step: &Step) -> String {
    let name = |key: i16| crate::messages::api_of(key).map_or("?", |api| api.name);
    match step {
        Step::Produce(Produce { why, flaw: None, .. }) => format!("Produce, {}", why.words()),
        Step::Produce(Produce { flaw: Some(flaw), .. }) => {
            format!("Produce, with {}", flaw.words())
        }
        Step::Valid { api, .. } => name(*api).to_owned(),
        Step::Spoilt { api, mutator, .. } => format!("{} with {mutator}", name(*api)),
    }
}

/// Duplicates, gaps and zombies in a log.
fn judge_chains(log: &[Logged], partition: i32, broken: &mut Vec<Broken>) {
    let mut last: BTreeMap<i64, &Logged> = BTreeMap::new();
    let mut earlier: Vec<&Logged> = Vec::new();
    for logged in log.iter().filter(|logged| logged.batch.producer_id >= 0) {
        let batch = &logged.batch;
        let who = who(logged);
        let (first, end) = (batch.sequence, batch.last_sequence());
        let again = earlier.iter().find(|other| {
            let other = &other.batch;
            (other.producer_id, other.epoch) == (batch.producer_id, batch.epoch)
                && overlap(
                    (other.sequence, other.last_offset_delta),
                    (first, batch.last_offset_delta),
                )
        });
        let mut tell = |law: Law, what: String| {
            let what = format!("partition {partition}: {who}, epoch {}: {what}", batch.epoch);
            broken.push(Broken::new(law, None, what, String::new()));
        };
        if let Some(other) = again {
            let both =
                format!("at offset {} and at {}", other.batch.base_offset, batch.base_offset);
            tell(
                Law::AppendedOnce,
                format!("the sequence numbers {first} to {end} are there {both}"),
            );
        }
        if let Some(before) = last.get(&batch.producer_id).map(|before| &before.batch) {
            let expected = advance(before.last_sequence(), 1);
            if batch.epoch < before.epoch {
                tell(Law::EpochsRise, format!("it comes after epoch {}", before.epoch));
            } else if batch.epoch > before.epoch && first != 0 {
                tell(Law::EpochsRise, format!("it begins at sequence {first}"));
            } else if batch.epoch == before.epoch && first != expected && again.is_none() {
                let what = format!("sequence {first} comes where {expected} is to come");
                tell(Law::SequencesFollow, what);
            }
        }
        last.insert(batch.producer_id, logged);
        earlier.push(logged);
    }
}

pub(super) fn who(logged: &Logged) -> String {
    match logged.producer {
        Some(number) => format!("P{number}"),
        None if logged.batch.producer_id < 0 => "nobody".to_owned(),
        None => format!("producer {}", logged.batch.producer_id),
    }
}

fn overlap((a, a_more): (i32, i32), (b, b_more): (i32, i32)) -> bool {
    let within = |from: i32, more: i32, at: i32| {
        i64::from(at.wrapping_sub(from) & i32::MAX) <= i64::from(more)
    };
    a >= 0 && b >= 0 && (within(a, a_more, b) || within(b, b_more, a))
}

/// What was told of each batch against what is in the log.
fn judge_told(plan: &Plan, seen: &Transcript, broken: &mut Vec<Broken>) {
    let steps = plan.steps.iter().zip(&seen.asked).enumerate();
    let produced: Vec<(usize, &Produce, &Outcome)> = steps
        .filter_map(|(at, (step, asked))| match step {
            Step::Produce(produce) => Some((at, produce, &asked.outcome)),
            Step::Valid { .. } | Step::Spoilt { .. } => None,
        })
        .collect();
    for (at, step, outcome) in &produced {
        let Outcome::Told { errors, offset } = outcome else {
            continue;
        };
        let Some(log) = seen.logs.get(&step.partition) else {
            continue;
        };
        let mut tell = |law, what: String| {
            broken.push(Broken::new(
                law,
                Some(*at),
                what,
                kind_of(&Step::Produce((*step).clone())),
            ));
        };
        let error = errors.first().copied().unwrap_or(0);
        if error == 0 {
            let at = offset.unwrap_or(-1);
            let there = log.iter().find(|logged| logged.batch.base_offset == at);
            if contradicts_itself(step.flaw) {
                let flaw = step.flaw.map_or("", Flaw::words);
                tell(
                    Law::FlawRefused,
                    format!("a batch with {flaw} was acknowledged at offset {at}"),
                );
            } else if !there.is_some_and(|logged| is_same(logged, step, &produced, plan.seed)) {
                let there = there.map_or("nothing begins", |_| "another batch begins");
                let what = format!("it was acknowledged at offset {at}, where {there}");
                tell(Law::AcknowledgedIsThere, what);
            }
        } else if ErrorCode(error).evidence() == Evidence::NotAppended {
            let values = values_of(step, plan.seed);
            // Another request may have brought the same.
            let else_where = produced.iter().any(|(other, step, outcome)| {
                other != at && values_of(step, plan.seed) == values && may_be_there(outcome)
            });
            let found = log.iter().find(|logged| !values.is_empty() && has(logged, &values));
            if let Some(found) = found.filter(|_| !else_where) {
                let offset = found.batch.base_offset;
                let what =
                    format!("it was refused ({}) and is at offset {offset}", ErrorCode(error));
                tell(Law::RefusedIsNotThere, what);
            }
        }
    }
    for (partition, log) in &seen.logs {
        for logged in log {
            let sent = produced.iter().any(|(_, step, _)| {
                step.partition == *partition && has(logged, &values_of(step, plan.seed))
            });
            if !sent {
                let offset = logged.batch.base_offset;
                let what = format!("partition {partition}: nobody sent what is at offset {offset}");
                broken.push(Broken::new(Law::NothingUnasked, None, what, String::new()));
            }
        }
    }
}

const fn contradicts_itself(flaw: Option<Flaw>) -> bool {
    matches!(
        flaw,
        Some(
            Flaw::Crc
                | Flaw::CountMore
                | Flaw::LastOffset
                | Flaw::Control
                | Flaw::Codec
                | Flaw::Magic
        )
    )
}

fn may_be_there(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Told { errors, .. } => {
            let error = errors.first().copied().unwrap_or(0);
            ErrorCode(error).evidence() != Evidence::NotAppended
        }
        _ => true,
    }
}

fn has(logged: &Logged, values: &[Vec<u8>]) -> bool {
    let there = logged.batch.values.iter().map(|value| value.as_deref().unwrap_or_default());
    there.eq(values.iter().map(Vec::as_slice))
}

/// Whether a batch in the log is the one that a step sent, or one that bears the same sequence numbers: what is in it is
/// not looked at by brokers.
fn is_same(
    logged: &Logged,
    step: &Produce,
    produced: &[(usize, &Produce, &Outcome)],
    seed: u64,
) -> bool {
    let origin =
        |step: &Produce| (step.producer, step.partition, step.epoch, step.sequence, step.records);
    let of_log = (logged.producer, logged.batch.epoch, logged.batch.sequence);
    let epoch = if step.producer.is_some() { step.epoch } else { -1 };
    let sequence = if step.producer.is_some() { step.sequence } else { -1 };
    if of_log != (step.producer, epoch, sequence) {
        return false;
    }
    match step.producer {
        None => has(logged, &values_of(step, seed)),
        Some(_) => produced.iter().any(|(_, other, _)| {
            origin(other) == origin(step) && has(logged, &values_of(other, seed))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::ReadBatch,
        broker::{Asked, Move, transcript::judge_offsets},
    };

    const SEED: u64 = 5;

    fn step(id: u32, epoch: i16, sequence: i32) -> Produce {
        Produce {
            why: Move::Next,
            producer: Some(0),
            partition: 0,
            epoch,
            sequence,
            records: 1,
            id,
            connection: 0,
            version: 255,
            acks: -1,
            flaw: None,
        }
    }

    /// A step's batch as it would be in the log.
    fn logged(step: &Produce, base_offset: i64) -> Logged {
        let batch = ReadBatch {
            base_offset,
            last_offset_delta: step.records - 1,
            attributes: 0,
            producer_id: 77,
            epoch: step.epoch,
            sequence: step.sequence,
            count: step.records,
            is_intact: true,
            records_crc: 0,
            values: values_of(step, SEED).into_iter().map(Some).collect(),
        };
        Logged { producer: step.producer, batch }
    }

    fn told(error: i16, offset: i64) -> Outcome {
        Outcome::Told { errors: vec![error], offset: Some(offset) }
    }

    /// The laws that are broken where these steps had these outcomes, and this is the log.
    fn broken(steps: &[(Produce, Outcome)], log: Vec<Logged>) -> Vec<&'static str> {
        let plan = Plan {
            seed: SEED,
            steps: steps.iter().map(|(step, _)| Step::Produce(step.clone())).collect(),
        };
        let asked = steps.iter().map(|(_, outcome)| Asked {
            version: 13,
            at: String::new(),
            bytes: Vec::new(),
            outcome: outcome.clone(),
            broken: Vec::new(),
        });
        let mut seen = Transcript { was_read: true, ..Transcript::default() };
        seen.asked = asked.collect();
        judge_offsets(&log, 0, &mut seen.broken);
        seen.logs.insert(0, log);
        let mut laws: Vec<_> = judge(&plan, &seen).iter().map(|broken| broken.law.name()).collect();
        laws.dedup();
        laws
    }

    #[test]
    fn what_should_be_breaks_nothing() {
        let (a, b, c) = (step(1, 0, 0), step(2, 0, 1), step(3, 1, 0));
        let log = vec![logged(&a, 0), logged(&b, 1), logged(&c, 2)];
        let steps = [
            (a.clone(), told(0, 0)),
            (b.clone(), Outcome::Silent),
            (b, told(0, 1)),
            (c, told(0, 2)),
            (a, told(47, -1)),
        ];
        assert_eq!(broken(&steps, log), ["answers"]);
    }

    #[test]
    fn each_law_about_the_log_is_held() {
        let (a, b) = (step(1, 0, 0), step(2, 0, 1));
        let both =
            |log: Vec<Logged>| broken(&[(a.clone(), told(0, 0)), (b.clone(), told(0, 1))], log);
        assert_eq!(both(vec![logged(&a, 0), logged(&b, 1)]), [""; 0]);
        assert_eq!(both(vec![logged(&a, 0)]), ["acknowledged-is-there"]);
        assert_eq!(both(vec![logged(&a, 0), logged(&b, 2)]), ["offsets", "acknowledged-is-there"]);
        assert_eq!(both(vec![logged(&a, 0), logged(&b, 1), logged(&b, 2)]), ["appended-once"]);
        let mut wrong = logged(&b, 1);
        wrong.batch.is_intact = false;
        assert_eq!(both(vec![logged(&a, 0), wrong]), ["intact"]);
        let stranger = Produce { sequence: 2, ..step(9, 0, 2) };
        let log = vec![logged(&a, 0), logged(&b, 1), logged(&stranger, 2)];
        assert_eq!(both(log), ["nothing-unasked"]);
    }

    #[test]
    fn gaps_and_zombies_are_told() {
        let (a, gap) = (step(1, 1, 0), step(2, 1, 5));
        let (old, inside) = (step(3, 0, 1), step(4, 2, 3));
        let second = |step: &Produce| {
            let log = vec![logged(&a, 0), logged(step, 1)];
            broken(&[(a.clone(), told(0, 0)), (step.clone(), told(0, 1))], log)
        };
        assert_eq!(second(&gap), ["sequences-follow"]);
        assert_eq!(second(&old), ["epochs-rise"]);
        assert_eq!(second(&inside), ["epochs-rise"]);
        // After the largest number comes 0.
        let last = Produce { sequence: i32::MAX, ..step(5, 0, 0) };
        let first = step(6, 0, 0);
        let log = vec![logged(&last, 0), logged(&first, 1)];
        assert_eq!(broken(&[(last, told(0, 0)), (first, told(0, 1))], log), [""; 0]);
    }

    #[test]
    fn what_is_refused_is_not_there_but_by_another_request() {
        let a = step(1, 0, 0);
        let log = vec![logged(&a, 0)];
        // 45 is certain; 7 is not.
        assert_eq!(broken(&[(a.clone(), told(45, -1))], log.clone()), ["refused-is-not-there"]);
        assert_eq!(broken(&[(a.clone(), told(7, -1))], log.clone()), [""; 0]);
        assert_eq!(broken(&[(a.clone(), told(45, -1)), (a, told(0, 0))], log), [""; 0]);
    }

    #[test]
    fn a_flaw_is_not_acknowledged() {
        let flawed = Produce { flaw: Some(Flaw::Crc), ..step(1, 0, 0) };
        let log = vec![logged(&flawed, 0)];
        assert_eq!(broken(&[(flawed.clone(), told(0, 0))], log), ["flaw-refused"]);
        assert_eq!(broken(&[(flawed, told(2, -1))], Vec::new()), [""; 0]);
    }

    #[test]
    fn a_connection_is_closed_over_acks_0_alone() {
        let a = step(1, 0, 0);
        let silent = Produce { acks: 0, ..a.clone() };
        assert_eq!(broken(&[(a, Outcome::Closed)], Vec::new()), ["answers"]);
        assert_eq!(broken(&[(silent, Outcome::Closed)], Vec::new()), [""; 0]);
    }
}
