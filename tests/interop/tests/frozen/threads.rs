//! The round with threads.

use core::time::Duration;
use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Instant,
};

use ottla_blocking::{Delivery, Producer, Record, RecordOutcome, Topic};
use ottla_core::Verdict;

use crate::{
    Answer, BREATH, DEADLINE, Heat, LIMIT, Pairs, Stage, Step, WARM, message, record, script,
};

/// How a message is waited for.
enum Wait {
    /// By a thread until it has an answer, which is due then.
    Thread(Instant, JoinHandle<Instant>),
    /// Not at all: it is to be cancelled.
    Cancel,
}

pub(crate) fn run(stage: &Stage<'_>) -> Heat {
    let properties = [("bootstrap.servers", stage.bootstrap)];
    let producer = Producer::from_properties(properties).unwrap();
    let topic = producer.topic(stage.topic).unwrap();
    let mut answers = Vec::new();
    for index in 0..WARM {
        let delivery = producer.send(&topic, &record(&message(index))).unwrap();
        let first = delivery.wait_timeout(LIMIT).unwrap();
        answers.push(Answer { due: None, answered: Instant::now(), first, late: None });
    }
    stage.freeze();
    let (sent, timers) = send_all(&producer, &topic);
    let timers = timers.into_iter().map(|timer| timer.join().unwrap()).collect();
    let mut to_cancel = Vec::new();
    let mut deliveries = Vec::new();
    for (delivery, wait) in sent {
        let (due, answered) = match wait {
            Wait::Thread(due, thread) => (Some(due), Some(thread.join().unwrap())),
            Wait::Cancel => {
                to_cancel.push(delivery.reattach());
                (None, None)
            }
        };
        deliveries.push((delivery, due, answered));
    }
    let (mut cancelled, pairs) = cancel_all(to_cancel);
    cancelled.reverse();
    let mut firsts = Vec::new();
    for (delivery, due, answered) in deliveries {
        let answered = answered.unwrap_or_else(|| cancelled.pop().unwrap());
        firsts.push((delivery.try_outcome().unwrap(), delivery, due, answered));
    }
    stage.thaw();
    for (first, delivery, due, answered) in firsts {
        let mut late = None;
        if let RecordOutcome::Unknown(_) = first {
            late = Some(delivery.final_outcome().wait_timeout(LIMIT).unwrap());
        }
        answers.push(Answer { due, answered, first, late });
    }
    let close = producer.close(LIMIT);
    Heat { answers, timers, pairs, stats: producer.stats(), close }
}

/// Plays the script. Returns what was sent, and how late bare timers will be.
fn send_all(
    producer: &Producer,
    topic: &Topic,
) -> (Vec<(Delivery, Wait)>, Vec<JoinHandle<Duration>>) {
    let (mut sent, mut timers, mut index) = (Vec::new(), Vec::new(), WARM);
    for step in script() {
        match step {
            Step::Deadline => {
                let due = Instant::now() + DEADLINE;
                let message = message(index);
                let delivery = producer
                    .send(topic, &Record { timeout: Some(DEADLINE), ..record(&message) })
                    .unwrap();
                let answer = delivery.reattach();
                let thread = thread::spawn(move || {
                    let _ = answer.wait();
                    Instant::now()
                });
                sent.push((delivery, Wait::Thread(due, thread)));
                timers.push(thread::spawn(timer));
            }
            Step::Cancel => {
                let delivery = producer.send(topic, &record(&message(index))).unwrap();
                sent.push((delivery, Wait::Cancel));
            }
            Step::Pause(pause) => {
                thread::sleep(pause);
                continue;
            }
        }
        index += 1;
    }
    (sent, timers)
}

/// Parks until the deadline, as one does who waits for a delivery, and tells how late that was.
fn timer() -> Duration {
    let due = Instant::now() + DEADLINE;
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return due.elapsed();
        }
        thread::park_timeout(left);
    }
}

/// Cancels, and makes a round trip to another thread after each. Returns when there was a verdict,
/// and how long each took.
fn cancel_all(deliveries: Vec<Delivery>) -> (Vec<Instant>, [Pairs; 2]) {
    let (there, asked) = mpsc::sync_channel::<()>(1);
    let (answer, back) = mpsc::sync_channel::<()>(1);
    let echo = thread::spawn(move || {
        for () in asked {
            answer.send(()).unwrap();
        }
    });
    let mut answered = Vec::new();
    let mut pairs = [Pairs::default(), Pairs::default()];
    let half = deliveries.len() / 2;
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let breathes = number >= half;
        let Pairs { cancels, trips } = &mut pairs[usize::from(breathes)];
        if breathes {
            thread::sleep(BREATH);
        }
        let begin = Instant::now();
        let verdict = delivery.cancel();
        let end = Instant::now();
        let outcome = delivery.try_outcome();
        assert_ne!(
            verdict,
            Verdict::AlreadySettled,
            "{number}: nobody has told before: {outcome:?}"
        );
        answered.push(end);
        cancels.push(end - begin);
        if breathes {
            thread::sleep(BREATH);
        }
        let begin = Instant::now();
        there.send(()).unwrap();
        back.recv().unwrap();
        trips.push(begin.elapsed());
    }
    drop(there);
    echo.join().unwrap();
    (answered, pairs)
}
