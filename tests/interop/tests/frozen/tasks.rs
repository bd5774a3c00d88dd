//! The round with tasks.

use core::time::Duration;
use std::time::Instant;

use ottla_core::Verdict;
use ottla_tokio::{Delivery, Producer, Record, RecordOutcome, Topic};
use tokio::{
    runtime::Builder,
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    Answer, BREATH, DEADLINE, Heat, LIMIT, Pairs, Stage, Step, WARM, message, record, script,
};

pub(crate) fn run(stage: &Stage<'_>) -> Heat {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let properties = [("bootstrap.servers", stage.bootstrap)];
        let producer = Producer::from_properties(properties).unwrap();
        play(stage, &producer).await
    })
}

/// How a message is waited for.
enum Wait {
    /// By a task until it has an answer, which is due then.
    Task(Instant, JoinHandle<Instant>),
    /// Not at all: it is to be cancelled.
    Cancel,
}

async fn play(stage: &Stage<'_>, producer: &Producer) -> Heat {
    let topic = producer.topic(stage.topic).unwrap();
    let mut answers = Vec::new();
    for index in 0..WARM {
        let delivery = producer.send(&topic, &record(&message(index))).await.unwrap();
        let first = timeout(LIMIT, delivery).await.unwrap();
        answers.push(Answer { due: None, answered: Instant::now(), first, late: None });
    }
    stage.freeze();
    let (sent, timers) = send_all(producer, &topic).await;
    let mut late_timers = Vec::new();
    for timer in timers {
        late_timers.push(timer.await.unwrap());
    }
    let mut to_cancel = Vec::new();
    let mut deliveries = Vec::new();
    for (delivery, wait) in sent {
        let (due, answered) = match wait {
            Wait::Task(due, task) => (Some(due), Some(task.await.unwrap())),
            Wait::Cancel => {
                to_cancel.push(delivery.reattach());
                (None, None)
            }
        };
        deliveries.push((delivery, due, answered));
    }
    let (mut cancelled, pairs) = tokio::spawn(cancel_all(to_cancel)).await.unwrap();
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
            late = Some(timeout(LIMIT, delivery.final_outcome()).await.unwrap());
        }
        answers.push(Answer { due, answered, first, late });
    }
    let close = producer.close(LIMIT).await;
    Heat { answers, timers: late_timers, pairs, stats: producer.stats(), close }
}

/// Plays the script. Returns what was sent, and how late bare timers will be.
async fn send_all(
    producer: &Producer,
    topic: &Topic,
) -> (Vec<(Delivery, Wait)>, Vec<JoinHandle<Duration>>) {
    let (mut sent, mut timers, mut index) = (Vec::new(), Vec::new(), WARM);
    for step in script() {
        match step {
            Step::Deadline => {
                let due = Instant::now() + DEADLINE;
                let message = message(index);
                let record = record(&message);
                let delivery = producer
                    .send(topic, &Record { timeout: Some(DEADLINE), ..record })
                    .await
                    .unwrap();
                let answer = delivery.reattach();
                let task = tokio::spawn(async move {
                    answer.await;
                    Instant::now()
                });
                sent.push((delivery, Wait::Task(due, task)));
                timers.push(tokio::spawn(async {
                    let due = Instant::now() + DEADLINE;
                    sleep(DEADLINE).await;
                    due.elapsed()
                }));
            }
            Step::Cancel => {
                let delivery = producer.send(topic, &record(&message(index))).await.unwrap();
                sent.push((delivery, Wait::Cancel));
            }
            Step::Pause(pause) => {
                sleep(pause).await;
                continue;
            }
        }
        index += 1;
    }
    (sent, timers)
}

/// Cancels, and makes a round trip to another task after each. Returns when there was a verdict, and
/// how long each took.
async fn cancel_all(deliveries: Vec<Delivery>) -> (Vec<Instant>, [Pairs; 2]) {
    let (there, mut asked) = mpsc::channel::<()>(1);
    let (answer, mut back) = mpsc::channel::<()>(1);
    let echo = tokio::spawn(async move {
        while asked.recv().await.is_some() {
            answer.send(()).await.unwrap();
        }
    });
    let mut answered = Vec::new();
    let mut pairs = [Pairs::default(), Pairs::default()];
    let half = deliveries.len() / 2;
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let breathes = number >= half;
        let Pairs { cancels, trips } = &mut pairs[usize::from(breathes)];
        if breathes {
            sleep(BREATH).await;
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
            sleep(BREATH).await;
        }
        let begin = Instant::now();
        there.send(()).await.unwrap();
        back.recv().await.unwrap();
        trips.push(begin.elapsed());
    }
    drop(there);
    echo.await.unwrap();
    (answered, pairs)
}
