//! The steps whose cost is known.

use core::hint::black_box;

use ottla_core::{ConnId, Outcome, Settled, Verdict};

use crate::{NOW, Rig, Shape};

/// A step, and what it is counted by.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is done.
    pub name: &'static str,
    /// What the cost is told for.
    pub unit: &'static str,
    /// How many of these one run does.
    pub units: u64,
    /// Makes everything ready for one run.
    pub prepare: fn() -> Box<dyn Work>,
}

/// A run that is ready to be done once.
pub trait Work {
    /// Does it.
    fn run(&mut self);
}

impl<F: FnMut()> Work for F {
    fn run(&mut self) {
        self();
    }
}

/// Does a run: what is inside of this function is what is counted.
#[inline(never)]
pub fn measured(work: &mut dyn Work) {
    work.run();
}

const RECORD: usize = 100;
const RECORDS: usize = 10_000;
const PARTITIONS: u64 = 6;
/// What a batch of 16 KiB holds of records of 100 bytes.
const PER_BATCH: usize = 150;

/// All of them.
pub const CASES: &[Case] = &[
    Case { name: "floor", unit: "record", units: RECORDS as u64, prepare: floor },
    Case { name: "produce", unit: "record", units: RECORDS as u64, prepare: || produce(None) },
    Case { name: "produce_to", unit: "record", units: RECORDS as u64, prepare: || produce(Some(3)) },
    Case { name: "lend", unit: "record", units: RECORDS as u64, prepare: lend },
    Case { name: "seal", unit: "batch", units: PARTITIONS, prepare: seal },
    Case { name: "transmit", unit: "batch", units: PARTITIONS, prepare: transmit },
    Case { name: "answer", unit: "batch", units: PARTITIONS, prepare: answer },
    Case { name: "settle", unit: "batch", units: PARTITIONS, prepare: settle },
    Case { name: "lone", unit: "record", units: 1, prepare: lone },
    Case { name: "cancel_1", unit: "cancel", units: 1, prepare: || cancel(1) },
    Case { name: "cancel_1000000", unit: "cancel", units: 1, prepare: || cancel(1_000_000) },
    Case { name: "timers", unit: "turn", units: TURNS, prepare: || timers(0) },
    Case { name: "timers_10000", unit: "turn", units: TURNS, prepare: || timers(10_000) },
    Case { name: "load", unit: "record", units: LOAD, prepare: || load(0) },
    Case { name: "load_10000", unit: "record", units: LOAD, prepare: || load(10_000) },
];

/// What cannot be saved: to copy the records, and to compute their checksum.
fn floor() -> Box<dyn Work> {
    let value = [7_u8; RECORD];
    let mut pages = vec![0_u8; RECORD * RECORDS];
    Box::new(move || {
        for slot in pages.chunks_exact_mut(RECORD) {
            slot.copy_from_slice(black_box(&value));
        }
        for page in pages.chunks(16_384) {
            black_box(crc32c::crc32c(page));
        }
    })
}

fn produce(partition: Option<i32>) -> Box<dyn Work> {
    let mut rig = Rig::new(Shape::default());
    Box::new(move || {
        for _ in 0..RECORDS {
            black_box(rig.produce(partition, RECORD));
        }
    })
}

/// From `produce` until all is lent for writing.
fn lend() -> Box<dyn Work> {
    let shape = Shape { batch_size: 1 << 20, ..Shape::default() };
    let mut rig = Rig::new(shape);
    Box::new(move || {
        for _ in 0..RECORDS {
            black_box(rig.produce(Some(0), RECORD));
        }
        rig.producer.flush(NOW);
        while let Some(conn) = rig.compose() {
            black_box(rig.transmit(conn));
        }
    })
}

/// A producer with a full batch for each partition.
fn full() -> Rig {
    let mut rig = Rig::new(Shape::default());
    for partition in 0..PARTITIONS as i32 {
        for _ in 0..PER_BATCH - 10 {
            rig.produce(Some(partition), RECORD);
        }
    }
    rig.producer.flush(NOW);
    rig
}

fn is_delivered(settled: Option<Settled>) -> bool {
    matches!(settled, Some(Settled { outcome: Outcome::Delivered { .. }, .. }))
}

fn composed() -> (Rig, ConnId) {
    let mut rig = full();
    let conn = rig.compose().expect("a request");
    (rig, conn)
}

fn answered() -> (Rig, ConnId, Vec<u8>) {
    let (mut rig, conn) = composed();
    let answer = rig.exchange(conn);
    assert!(!answer.is_empty(), "no answer");
    (rig, conn, answer)
}

fn seal() -> Box<dyn Work> {
    let mut rig = full();
    Box::new(move || assert!(rig.compose().is_some()))
}

fn transmit() -> Box<dyn Work> {
    let (mut rig, conn) = composed();
    Box::new(move || {
        black_box(rig.transmit(conn));
    })
}

fn answer() -> Box<dyn Work> {
    let (mut rig, conn, answer) = answered();
    Box::new(move || rig.receive(conn, &answer))
}

fn settle() -> Box<dyn Work> {
    let (mut rig, conn, answer) = answered();
    rig.receive(conn, &answer);
    Box::new(move || {
        for _ in 0..PARTITIONS {
            assert!(is_delivered(rig.settled()));
        }
        assert!(rig.settled().is_none());
    })
}

/// All that the core does for a record that somebody waits for. The broker's part is done before.
fn lone() -> Box<dyn Work> {
    let mut other = Rig::new(Shape::default());
    other.produce(Some(0), RECORD);
    other.producer.flush(NOW);
    let conn = other.compose().expect("a request");
    let answer = other.exchange(conn);
    let mut rig = Rig::new(Shape::default());
    Box::new(move || {
        rig.produce(Some(0), RECORD);
        rig.producer.flush(NOW);
        let conn = rig.compose().expect("a request");
        rig.transmit(conn);
        rig.receive(conn, &answer);
        assert!(is_delivered(rig.settled()));
    })
}

fn cancel(queued: usize) -> Box<dyn Work> {
    let shape = Shape { partitions: 1, ..Shape::default() };
    let mut rig = Rig::new(shape);
    let tickets: Vec<_> = (0..queued).map(|_| rig.produce(Some(0), 8)).collect();
    let ticket = tickets[queued / 2];
    Box::new(move || assert_eq!(rig.producer.cancel(NOW, ticket), Verdict::NotDelivered))
}

const TURNS: u64 = 100;

/// A look at the clock with nothing due, one batch lingering.
fn timers(idle: u32) -> Box<dyn Work> {
    let mut rig = Rig::new(Shape { idle, ..Shape::default() });
    rig.produce(Some(0), RECORD);
    Box::new(move || {
        for _ in 0..TURNS {
            black_box(rig.producer.poll_timeout());
            rig.producer.handle_timeout(NOW);
            assert!(rig.producer.poll_output().is_none());
            assert!(rig.producer.poll_write(NOW).is_none());
        }
    })
}

const ROUNDS: usize = 10;
const LOAD: u64 = (ROUNDS * PER_BATCH) as u64 * PARTITIONS;

/// Records to six partitions until they are settled, the broker's part included.
fn load(idle: u32) -> Box<dyn Work> {
    let mut rig = Rig::new(Shape { idle, ..Shape::default() });
    Box::new(move || {
        for _ in 0..ROUNDS {
            for partition in 0..PARTITIONS as i32 {
                for _ in 0..PER_BATCH {
                    rig.produce(Some(partition), RECORD);
                }
            }
            rig.producer.flush(NOW);
            while rig.producer.stats().batches > 0 {
                rig.turn();
            }
        }
    })
}
