//! The same application, run by either API on virtual time.

use core::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
    time::Duration,
};
use std::{sync::Arc, task::Wake};

use ottla_core::{Config, Instant, Producer, Record, TopicId, TopicStatus};
use ottla_embedded::{
    Backlog, Buffers, Client, Connect, Driver, DropPolicy, Port, RecordOutcome, Report, Step, run,
};

use super::{Lab, START_MS, Small, Weather, ours, port::Socket, producer, stream::Network};

pub type Readings = Backlog<u32, 64>;

/// How often the application has its turn.
const TICK: Duration = Duration::from_micros(500);

/// What was told, and when.
pub type Told = Vec<(Instant, Report<u32>)>;

/// The application: called at each tick; `true` ends the run.
pub trait Application {
    fn tick(
        &mut self,
        now: Instant,
        topic: TopicId,
        core: &mut Producer<'_>,
        log: &mut Readings,
    ) -> bool;
}

impl<F: FnMut(Instant, TopicId, &mut Producer<'_>, &mut Readings) -> bool> Application for F {
    fn tick(
        &mut self,
        now: Instant,
        topic: TopicId,
        core: &mut Producer<'_>,
        log: &mut Readings,
    ) -> bool {
        self(now, topic, core, log)
    }
}

/// Produces a number, as a value of `len` bytes.
pub fn produce(
    core: &mut Producer<'_>,
    log: &mut Readings,
    now: Instant,
    topic: TopicId,
    number: u32,
    len: usize,
    within: Option<Duration>,
) -> Result<(), ottla_core::ProduceError> {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(len.max(4), b'.');
    let timestamp = START_MS + (now.as_micros() / 1_000) as i64;
    let record = Record { value: Some(&value), timestamp, ..Record::default() };
    ours(|| log.produce(core, now, topic, &record, number, within))
}

/// The records that are to come, one at a tick where there is room, each kept until it is taken.
pub fn send(
    count: u32,
    len: usize,
) -> impl FnMut(Instant, TopicId, &mut Producer<'_>, &mut Readings) -> bool {
    let mut next = 0;
    move |now, topic, core, log| {
        if next < count && produce(core, log, now, topic, next, len, None).is_ok() {
            next += 1;
        }
        next == count && log.is_empty()
    }
}

pub fn is_ready(core: &Producer<'_>, topic: TopicId) -> bool {
    matches!(core.topic_status(topic), Some(TopicStatus::Ready { .. }))
}

/// Runs by the polled API, for `limit` at most; with the driver at its end.
pub fn polled<'m, P: Port, const N: usize>(
    lab: &Lab,
    driver: &mut Driver<'m, P, N>,
    policy: DropPolicy,
    limit: Duration,
    application: &mut impl Application,
) -> Told {
    let mut log = Readings::new(policy);
    let mut told = Told::new();
    let end = lab.now().after(limit);
    let topic = driver.producer_mut().topic(lab.now(), "t").expect("a topic");
    let mut tick = lab.now();
    loop {
        let now = lab.now();
        if now >= tick {
            tick = now.after(TICK);
            if application.tick(now, topic, driver.producer_mut(), &mut log) {
                return told;
            }
        }
        ours(|| log.handle_timeout(driver.producer_mut(), now));
        let due = loop {
            match ours(|| driver.poll(now)) {
                Step::Event(event) => ours(|| log.handle_event(driver.producer(), &event)),
                Step::Idle(due) => break due.min(log.poll_timeout()),
                Step::Closed => return told,
            }
        };
        told.extend(core::iter::from_fn(|| ours(|| log.poll_report())).map(|report| (now, report)));
        assert!(now < end, "not done in time: {:?}, {log:?}", driver.producer());
        lab.pass(due.min(tick).max(now.after(Duration::from_micros(10))));
    }
}

/// The same over the lab's sockets.
pub fn polled_over<const N: usize>(
    lab: &Lab,
    config: &Config<'_>,
    weather: Weather,
    policy: DropPolicy,
    application: &mut impl Application,
) -> Told {
    let mut memory = Small::new();
    let ports = core::array::from_fn(|_| Socket::new(lab, weather));
    let mut driver = Driver::<_, N>::new(producer(config, &mut memory), ports);
    polled(lab, &mut driver, policy, Duration::from_secs(120), application)
}

#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs by the async API.
pub fn run_async<const N: usize>(
    lab: &Lab,
    config: &Config<'_>,
    weather: Weather,
    policy: DropPolicy,
    application: &mut impl Application,
) -> Told {
    let mut memory = Small::new();
    let client = Client::new(producer(config, &mut memory), Readings::new(policy));
    let network = Network::new(lab, weather);
    let mut told = Told::new();
    drive(lab, &client, &network, application, &mut told, Duration::from_secs(120));
    told
}

/// Polls a run, only when it is woken, until the application has done; tells whether it was in time.
pub fn drive(
    lab: &Lab,
    client: &Client<'_, Readings>,
    network: &impl Connect,
    application: &mut impl Application,
    told: &mut Told,
    limit: Duration,
) {
    let mut buffers = Buffers::<2, 64>::new();
    let end = lab.now().after(limit);
    let topic = client.with(|core, _| core.topic(lab.now(), "t")).expect("a topic");
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(run(client, network, lab, &mut buffers));
    let mut tick = lab.now();
    loop {
        let now = lab.now();
        if now >= tick {
            tick = now.after(TICK);
            if client.with(|core, log| application.tick(now, topic, core, log)) {
                return;
            }
        }
        for round in 0.. {
            assert!(round < 10_000, "it never comes to rest");
            if !flag.0.swap(false, Ordering::Relaxed) {
                break;
            }
            if ours(|| future.as_mut().poll(&mut context)).is_ready() {
                return;
            }
        }
        client.with(|_, log| {
            told.extend(
                core::iter::from_fn(|| ours(|| log.poll_report())).map(|report| (now, report)),
            );
        });
        assert!(now < end, "not done in time");
        let timer = lab.with(|state| state.timers.iter().map(|(at, _)| *at).min());
        lab.pass(timer.unwrap_or(tick).min(tick).max(now.after(Duration::from_micros(10))));
    }
}

/// What was told, without when, in the order of the records.
pub fn verdicts(told: &Told) -> Vec<Report<u32>> {
    let mut reports: Vec<Report<u32>> = told.iter().map(|(_, report)| *report).collect();
    reports.sort_by_key(|report| (report.token, report.last));
    reports
}

/// All numbers below `count` are delivered, at the offsets where they lie.
pub fn check_delivered(lab: &Lab, told: &Told, count: u32) {
    let reports = verdicts(told);
    let last: Vec<_> = reports.iter().filter(|report| report.last).collect();
    assert_eq!(last.len() as u32, count, "{reports:?}");
    for (number, report) in (0..).zip(last) {
        let RecordOutcome::Delivered { partition, offset: Some(offset), .. } = report.outcome
        else {
            panic!("{report:?}");
        };
        assert_eq!(report.token, number);
        assert_eq!(lab.log(partition)[offset as usize], number, "{report:?}");
    }
    let in_log: usize = (0..4).map(|partition| lab.log(partition).len()).sum();
    assert_eq!(in_log as u32, count, "each is there once");
}
