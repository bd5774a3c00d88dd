//! What semantics.md says was seen on Apache Kafka, row by row.

use ottla_core::wire::{ErrorCode, describe_producers::ProducerState};

use crate::{
    Both,
    client::{Append, Batch, Flaw, TOPIC},
};

/// How many partitions the table takes.
pub(crate) const PARTITIONS: i32 = 3;

/// One record or more of the first producer: connection, partition, epoch, sequence, records.
fn batch(connection: usize, partition: i32, epoch: i16, sequence: i32, records: i32) -> Append {
    let batch = Batch { producer: Some(0), epoch, sequence, records, value: 10, flaw: Flaw::None };
    Append { connection, acks: -1, batches: vec![(partition, batch)] }
}

/// Every row, with the answer that is written down.
pub(crate) fn run(both: &mut Both) {
    const OUT_OF_ORDER: Result<i64, ErrorCode> = Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    both.take_producers(1);
    let rows = [
        ("first", batch(0, 0, 0, 0, 3), Ok(0)),
        ("second", batch(0, 0, 0, 3, 2), Ok(3)),
        ("first again, elsewhere", batch(1, 0, 0, 0, 3), Ok(0)),
        ("second again, elsewhere", batch(1, 0, 0, 3, 2), Ok(3)),
        ("gap", batch(0, 0, 0, 9, 1), OUT_OF_ORDER),
        ("partial overlap", batch(0, 0, 0, 3, 1), OUT_OF_ORDER),
        ("third", batch(0, 0, 0, 5, 1), Ok(5)),
        ("fourth", batch(0, 0, 0, 6, 1), Ok(6)),
        ("fifth", batch(0, 0, 0, 7, 1), Ok(7)),
        ("first, the oldest that is known", batch(0, 0, 0, 0, 3), Ok(0)),
        ("sixth", batch(0, 0, 0, 8, 1), Ok(8)),
        ("first, known no more", batch(0, 0, 0, 0, 3), OUT_OF_ORDER),
        ("epoch 1 not from 0", batch(0, 0, 1, 9, 1), OUT_OF_ORDER),
        ("epoch 1 from 0", batch(0, 0, 1, 0, 1), Ok(9)),
        ("the old epoch", batch(0, 0, 0, 9, 1), Err(ErrorCode::INVALID_PRODUCER_EPOCH)),
        ("epoch 4 from 0", batch(0, 0, 4, 0, 1), Ok(10)),
        ("one partition", batch(0, 1, 0, 0, 1), Ok(0)),
        ("another one", batch(0, 2, 0, 0, 2), Ok(0)),
        ("one at epoch 1", batch(0, 1, 1, 0, 1), Ok(1)),
        ("the other at epoch 0", batch(0, 2, 0, 2, 2), Ok(2)),
        ("one at epoch 2", batch(0, 1, 2, 0, 1), Ok(2)),
        ("the other at epoch 0 still", batch(0, 2, 0, 4, 2), Ok(4)),
    ];
    for (what, append, expected) in rows {
        let said = both.append(what, &append).expect("an answer");
        let answer = match said[0].error {
            ErrorCode::NONE => Ok(said[0].base_offset),
            error => Err(error),
        };
        assert_eq!(answer, expected, "{what}");
    }
    described(both);
    cut(both);
}

/// What is told of the producers of partitions, and of what is not there.
fn described(both: &mut Both) {
    let said = both.describe("all partitions", TOPIC, &[0, 1, 2]);
    let last: Vec<Vec<_>> = said
        .iter()
        .map(|(.., known)| {
            let state = |state: &ProducerState| (state.producer_epoch, state.last_sequence);
            known.iter().map(|(place, known)| (*place, state(known))).collect()
        })
        .collect();
    let one = |epoch, sequence| vec![(Some(0), (epoch, sequence))];
    assert_eq!(last, [one(4, 0), one(2, 0), one(0, 5)]);
    both.describe("no partition", TOPIC, &[]);
    both.describe("partitions that are not there", TOPIC, &[1, 1_000_000, -1]);
    both.describe("a topic that is not there", "nowhere", &[0]);
    both.describe("a topic that cannot be", "no name", &[0]);
}

/// Batches that end within their header, alone and beside a good one.
fn cut(both: &mut Both) {
    for len in 18..=62 {
        if both.old && (26..51).contains(&len) {
            // The model does as the newer ones do, which fall over these.
            continue;
        }
        for acks in [-1, 2] {
            let mut append = batch(0, 2, 0, 6, 2);
            append.acks = acks;
            append.batches[0].1.flaw = Flaw::Cut(len);
            both.append(&format!("{len} bytes"), &append);
            append.batches.insert(0, batch(0, 1, 2, 1, 1).batches.remove(0));
            both.append(&format!("{len} bytes, not alone"), &append);
            append.batches[1].0 = i32::MAX;
            both.append(&format!("{len} bytes for nobody"), &append);
        }
    }
}
