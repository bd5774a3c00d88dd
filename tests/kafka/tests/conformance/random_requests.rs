//! Random requests, right and wrong, around what a partition knows of a producer.

use std::collections::BTreeMap;

use fastrand::Rng;
use ottla_core::wire::ErrorCode;

use crate::{
    Both, LARGEST,
    client::{Append, Batch, Flaw, TOPIC},
};

/// The batches that a partition took from a producer: epoch, first sequence, records.
type Taken = Vec<(i16, i32, i32)>;

/// Sends one random sequence of requests to two fresh partitions.
pub(crate) fn run(both: &mut Both, seed: i32, first_partition: i32) {
    let mut rng = Rng::with_seed(seed as u64);
    let producers = rng.usize(1..=2);
    let partitions = rng.i32(1..=2);
    let wraps = rng.u8(..4) == 0;
    both.take_producers(producers);
    let mut taken: BTreeMap<(i32, usize), Taken> = BTreeMap::new();
    for step in 0..rng.i32(10..=20) {
        let connection = rng.usize(..3);
        let acks = [-1, -1, -1, -1, -1, 1, 1, 2][rng.usize(..8)];
        let mut batches = Vec::new();
        let both_partitions = partitions == 2 && rng.u8(..4) == 0;
        let only = first_partition + rng.i32(0..partitions);
        for partition in first_partition..first_partition + partitions {
            if both_partitions || partition == only {
                let producer = rng.usize(..producers);
                let known = taken.entry((partition, producer)).or_default();
                let batch = batch(&mut rng, producer, known, wraps);
                let missing = rng.u8(..40) == 0;
                batches.push((if missing { 1_000_000 } else { partition }, batch));
            }
        }
        let append = Append { connection, acks, batches };
        let said = both.append(&format!("sequence {seed}, request {step}"), &append);
        for partition in said.into_iter().flatten() {
            let sent = append.batches.iter().find(|(index, _)| *index == partition.index);
            let (index, batch) = sent.expect("it was asked about");
            if let Some(producer) = batch.producer.filter(|_| partition.error == ErrorCode::NONE) {
                let known = taken.entry((*index, producer)).or_default();
                let batch = (batch.epoch, batch.sequence, batch.records);
                if !known.contains(&batch) {
                    known.push(batch);
                }
            }
        }
        if step % 5 == 0 {
            let all: Vec<i32> = (first_partition..first_partition + partitions).collect();
            both.describe(&format!("sequence {seed}, after {step}"), TOPIC, &all);
        }
    }
}

/// A batch of a producer, of which a partition has taken some: mostly the next one.
fn batch(rng: &mut Rng, producer: usize, known: &Taken, wraps: bool) -> Batch {
    let records = rng.i32(1..=4);
    let plain = |epoch, sequence, records| Batch {
        producer: Some(producer),
        epoch,
        sequence,
        records,
        value: 10,
        flaw: Flaw::None,
    };
    let Some(&(epoch, last, count)) = known.last() else {
        // Any sequence will do as the first.
        let sequence = match rng.u8(..4) {
            _ if wraps => i32::MAX - rng.i32(0..6),
            0 => rng.i32(1..100),
            _ => 0,
        };
        return plain(rng.i16(0..3), sequence, records);
    };
    let next = after(last, count);
    let older = |back: usize| known[known.len().saturating_sub(1 + back)];
    let mut batch = plain(epoch, next, records);
    match rng.u8(..32) {
        0..=5 => {
            let (epoch, sequence, records) = older(rng.usize(..7));
            batch = plain(epoch, sequence, records);
        }
        6 => batch.sequence = after(next, rng.i32(1..10)),
        7 => {
            let (epoch, sequence, records) = older(rng.usize(..5));
            batch =
                plain(epoch, after(sequence, rng.i32(0..2)), (records + rng.i32(-1..=1)).max(1));
        }
        8 => {
            let (epoch, sequence, records) = older(rng.usize(5..9));
            batch = plain(epoch, sequence, records);
        }
        9 => batch.sequence = after(next, -rng.i32(1..4)),
        10 | 11 => batch = plain(epoch + 1, 0, records),
        12 => batch.epoch += 1,
        13 => batch.epoch -= 1,
        14 => batch = plain(epoch + rng.i16(2..9), 0, records),
        15 => batch = plain(epoch - 1, 0, records),
        16 => batch = plain(epoch, 0, records),
        17 => batch.value = LARGEST,
        18 => batch.sequence = -rng.i32(1..3),
        19 => batch = Batch { producer: None, ..plain(-1, -1, records) },
        20 => batch.epoch = -1,
        21..=23 => {
            batch.flaw = match rng.u8(..13) {
                0..=2 => Flaw::Checksum,
                3 => Flaw::Count(1, false),
                4 => Flaw::Count(-1, false),
                5 => Flaw::Count(1, true),
                6 => Flaw::Count(-1, true),
                7 => Flaw::LastDelta(rng.i32(1..3)),
                8 => Flaw::BaseOffset,
                9 => Flaw::Magic([0, 1, 3][rng.usize(..3)]),
                10 => Flaw::Short(rng.bool()),
                11 => Flaw::Length([-1, 0, 13, 48, 60, 1_000_000][rng.usize(..6)]),
                _ => [Flaw::Two, Flaw::Empty][rng.usize(..2)],
            }
        }
        _ => {}
    }
    batch
}

/// The sequence so many after another, or before it; 0 comes after 2^31 - 1.
fn after(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}
