//! The steps whose cost is known.

use core::hint::black_box;

use ottla_core::{
    BatchOutcome, Config, ConnId, Limits, Memory, Outcome, Producer, Ticket, Verdict,
};

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

/// A step that is ready to be done, again and again: memory is touched before it is measured.
pub trait Work {
    /// Does it.
    fn run(&mut self);
    /// Makes everything ready for the next time.
    fn reset(&mut self);
}

struct Steps<S> {
    state: S,
    run: fn(&mut S),
    reset: fn(&mut S),
}

impl<S> Work for Steps<S> {
    fn run(&mut self) {
        (self.run)(&mut self.state);
    }

    fn reset(&mut self) {
        (self.reset)(&mut self.state);
    }
}

fn steps<S: 'static>(state: S, run: fn(&mut S), reset: fn(&mut S)) -> Box<dyn Work> {
    Box::new(Steps { state, run, reset })
}

/// Does a run: what is inside of this function is what is counted.
#[inline(never)]
pub fn measured(work: &mut dyn Work) {
    work.run();
}

const RECORD: usize = 100;
/// What most of them take as they are sent: ten bytes of numbers are around the value.
const ENCODED: usize = RECORD + 10;
const RECORDS: usize = 10_000;
/// What fits a request of the default size.
const IN_REQUEST: usize = 9_000;
const PARTITIONS: u64 = 6;
/// What a batch of 16 KiB holds of records of 100 bytes.
const PER_BATCH: usize = 150;

/// All of them.
pub const CASES: &[Case] = &[
    Case { name: "floor", unit: "record", units: RECORDS as u64, prepare: floor },
    Case { name: "produce", unit: "record", units: RECORDS as u64, prepare: || produce(None) },
    Case {
        name: "produce_to",
        unit: "record",
        units: RECORDS as u64,
        prepare: || produce(Some(3)),
    },
    Case { name: "produce_all", unit: "record", units: RECORDS as u64, prepare: produce_all },
    Case { name: "lend", unit: "record", units: IN_REQUEST as u64, prepare: lend },
    Case { name: "seal", unit: "batch", units: PARTITIONS, prepare: seal },
    Case { name: "transmit", unit: "batch", units: PARTITIONS, prepare: transmit },
    Case { name: "answer", unit: "batch", units: PARTITIONS, prepare: answer },
    Case { name: "settle", unit: "batch", units: PARTITIONS, prepare: settle },
    Case { name: "lone", unit: "record", units: 1, prepare: lone },
    Case { name: "cancel_1", unit: "cancel", units: 1, prepare: || cancel(1) },
    Case { name: "cancel_1000000", unit: "cancel", units: 1, prepare: || cancel(1_000_000) },
    Case { name: "topic", unit: "look-up", units: LOOKED_UP, prepare: || topic(1) },
    Case { name: "topic_1000", unit: "look-up", units: LOOKED_UP, prepare: || topic(1_000) },
    Case { name: "timers", unit: "turn", units: TURNS, prepare: || timers(0) },
    Case { name: "timers_10000", unit: "turn", units: TURNS, prepare: || timers(10_000) },
    Case { name: "load", unit: "record", units: LOAD, prepare: || load(0) },
    Case { name: "load_10000", unit: "record", units: LOAD, prepare: || load(10_000) },
];

/// What cannot be saved: to copy as many bytes as are sent, and to compute their checksum.
fn floor() -> Box<dyn Work> {
    let run = |pages: &mut Vec<u8>| {
        let record = [7_u8; ENCODED];
        for slot in pages.chunks_exact_mut(ENCODED) {
            slot.copy_from_slice(black_box(&record));
        }
        for page in pages.chunks(16_384) {
            black_box(crc32c::crc32c(page));
        }
    };
    steps(vec![0_u8; ENCODED * RECORDS], run, |_| {})
}

/// A producer, and the partition that is written to, if it is one.
struct Writer {
    rig: Rig,
    partition: Option<i32>,
}

fn produce(partition: Option<i32>) -> Box<dyn Work> {
    let run = |writer: &mut Writer| {
        for _ in 0..RECORDS {
            black_box(writer.rig.produce(writer.partition, RECORD));
        }
    };
    steps(Writer { rig: Rig::new(Shape::default()), partition }, run, |writer| writer.rig.settle())
}

/// By calls of 100 records.
fn produce_all() -> Box<dyn Work> {
    let run = |rig: &mut Rig| {
        for _ in 0..RECORDS / 100 {
            rig.produce_all(100, RECORD);
        }
    };
    steps(Rig::new(Shape::default()), run, Rig::settle)
}

/// From `produce` until all is lent for writing.
fn lend() -> Box<dyn Work> {
    let shape = Shape { batch_size: 1 << 20, ..Shape::default() };
    let run = |rig: &mut Rig| {
        for _ in 0..IN_REQUEST {
            black_box(rig.produce(Some(0), RECORD));
        }
        rig.producer.flush(NOW);
        let conn = rig.compose().expect("a request");
        assert!(rig.lent(conn) > IN_REQUEST * RECORD);
    };
    steps(Rig::new(shape), run, |rig| rig.settle())
}

/// Six full batches on their way, as far as the step that is measured.
struct Trip {
    rig: Rig,
    conn: Option<ConnId>,
    answer: Vec<u8>,
    until: Stage,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Filled,
    Composed,
    Answered,
    Received,
}

impl Trip {
    fn new(until: Stage) -> Self {
        let rig = Rig::new(Shape::default());
        let mut trip = Self { rig, conn: None, answer: Vec::new(), until };
        trip.prepare();
        trip
    }

    /// Ends what is under way, and goes as far as the next step.
    fn prepare(&mut self) {
        let Self { rig, conn, answer, until } = self;
        rig.settle();
        for partition in 0..PARTITIONS as i32 {
            for _ in 0..PER_BATCH - 10 {
                rig.produce(Some(partition), RECORD);
            }
        }
        rig.producer.flush(NOW);
        if *until >= Stage::Composed {
            *conn = rig.compose();
        }
        if *until >= Stage::Answered {
            *answer = rig.exchange(conn.expect("a request"));
            assert!(!answer.is_empty(), "no answer");
        }
        if *until >= Stage::Received {
            rig.receive(conn.expect("a request"), answer);
        }
    }

    fn conn(&self) -> ConnId {
        self.conn.expect("a request")
    }
}

fn is_delivered(settled: Option<BatchOutcome>) -> bool {
    matches!(settled, Some(BatchOutcome { outcome: Outcome::Delivered { .. }, .. }))
}

fn seal() -> Box<dyn Work> {
    let run = |trip: &mut Trip| {
        trip.conn = trip.rig.compose();
        assert!(trip.conn.is_some());
    };
    let reset = |trip: &mut Trip| {
        trip.rig.finish(trip.conn());
        trip.prepare();
    };
    steps(Trip::new(Stage::Filled), run, reset)
}

fn transmit() -> Box<dyn Work> {
    let run = |trip: &mut Trip| {
        let conn = trip.conn();
        black_box(trip.rig.transmit(conn));
    };
    // What was written was not handed on: that connection is no use any more.
    steps(Trip::new(Stage::Composed), run, |trip| *trip = Trip::new(Stage::Composed))
}

fn answer() -> Box<dyn Work> {
    let run = |trip: &mut Trip| {
        let conn = trip.conn();
        trip.rig.receive(conn, &trip.answer);
    };
    steps(Trip::new(Stage::Answered), run, |trip| trip.prepare())
}

fn settle() -> Box<dyn Work> {
    let run = |trip: &mut Trip| {
        for _ in 0..PARTITIONS {
            assert!(is_delivered(trip.rig.settled()));
        }
        assert!(trip.rig.settled().is_none());
    };
    steps(Trip::new(Stage::Received), run, |trip| trip.prepare())
}

/// A producer, and answers that its broker would give, made before.
struct Lone {
    rig: Rig,
    answers: Vec<Vec<u8>>,
}

impl Lone {
    fn new() -> Self {
        let mut rig = Rig::new(Shape::default());
        let mut answers: Vec<_> = (0..100).map(|_| Self::answer(&mut rig)).collect();
        answers.reverse();
        Self { rig: Rig::new(Shape::default()), answers }
    }

    fn answer(rig: &mut Rig) -> Vec<u8> {
        rig.produce(Some(0), RECORD);
        rig.producer.flush(NOW);
        let conn = rig.compose().expect("a request");
        let answer = rig.exchange(conn);
        rig.receive(conn, &answer);
        assert!(is_delivered(rig.settled()));
        answer
    }
}

/// All that the core does for a record that somebody waits for.
fn lone() -> Box<dyn Work> {
    let run = |lone: &mut Lone| {
        let Lone { rig, answers } = lone;
        rig.produce(Some(0), RECORD);
        rig.producer.flush(NOW);
        let conn = rig.compose().expect("a request");
        rig.transmit(conn);
        rig.receive(conn, &answers.pop().expect("an answer"));
        assert!(is_delivered(rig.settled()));
    };
    let reset = |lone: &mut Lone| {
        if lone.answers.is_empty() {
            *lone = Lone::new();
        }
    };
    steps(Lone::new(), run, reset)
}

/// A producer with records that wait, and the next one that is to be cancelled.
struct Queued {
    rig: Rig,
    tickets: Vec<Ticket>,
    next: usize,
}

fn cancel(queued: usize) -> Box<dyn Work> {
    let mut rig = Rig::new(Shape { partitions: 1, ..Shape::default() });
    let tickets: Vec<_> = (0..queued).map(|_| rig.produce(Some(0), 8)).collect();
    let run = |queued: &mut Queued| {
        let verdict = queued.rig.producer.cancel(NOW, queued.tickets[queued.next]);
        assert_eq!(verdict, Verdict::NotDelivered);
    };
    // The next one, and never one of a batch that another was taken out of.
    let reset = |queued: &mut Queued| {
        let len = queued.tickets.len();
        queued.tickets[queued.next] = queued.rig.produce(Some(0), 8);
        queued.next = (queued.next + 7_919) % len;
    };
    steps(Queued { rig, tickets, next: queued / 2 }, run, reset)
}

const LOOKED_UP: u64 = 100;

/// The look-up of a topic by its name, the newest of so many.
fn topic(topics: u32) -> Box<dyn Work> {
    let config = Config { bootstrap_servers: "model-1:9092", ..Config::default() };
    let memory = Memory::heap(Limits { topics, ..Limits::for_config(&config) });
    let mut producer = Producer::new(&config, memory, 42).expect("a sound configuration");
    let mut name = String::new();
    for index in 0..topics {
        name = format!("plant-7-line-3-{index:05}");
        producer.topic(NOW, &name).expect("room");
    }
    let run = |(producer, name): &mut (Producer<'static>, String)| {
        for _ in 0..LOOKED_UP {
            black_box(producer.topic(NOW, black_box(name))).expect("a topic");
        }
    };
    steps((producer, name), run, |_| {})
}

const TURNS: u64 = 100;

/// A look at the clock with nothing due, one batch lingering.
fn timers(idle: u32) -> Box<dyn Work> {
    let mut rig = Rig::new(Shape { idle, ..Shape::default() });
    rig.produce(Some(0), RECORD);
    let run = |rig: &mut Rig| {
        for _ in 0..TURNS {
            black_box(rig.producer.poll_timeout());
            rig.producer.handle_timeout(NOW);
            assert!(rig.producer.poll_output().is_none());
            assert!(rig.producer.poll_writable(NOW).is_none());
        }
    };
    steps(rig, run, |_| {})
}

const ROUNDS: usize = 10;
const LOAD: u64 = (ROUNDS * PER_BATCH) as u64 * PARTITIONS;

/// Records to six partitions until they are settled, the broker's part included.
fn load(idle: u32) -> Box<dyn Work> {
    let run = |rig: &mut Rig| {
        for _ in 0..ROUNDS {
            for partition in 0..PARTITIONS as i32 {
                for _ in 0..PER_BATCH {
                    rig.produce(Some(partition), RECORD);
                }
            }
            rig.settle();
        }
    };
    steps(Rig::new(Shape { idle, ..Shape::default() }), run, |_| {})
}
