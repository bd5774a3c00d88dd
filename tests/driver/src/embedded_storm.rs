//! A storm over the two APIs for machines without an operating system.

use core::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use ottla_core::{
    Cause, CompressionStats, Config, Instant, Limits, Memory, Producer, Record, TopicId,
};
use ottla_embedded::{
    Backlog, Buffers, Client, Compressor, Driver, DropPolicy, RecordOutcome, Report, Step,
};
use ottla_scenario::{
    Dated, Dice, Ledger, Random, Said,
    storm::{End, Plan, What, own},
};

use crate::{
    callers::TURN,
    coverage::Tally,
    embedded_network::{SimConnect, SimPort},
    network::{Net, Shared, TOPIC, Woken, bootstrap_servers},
    tasks::{Flag, Timers},
};

/// The most connections that a plan has.
const CONNECTIONS: usize = 5;

/// What a main loop takes to come round.
const MOMENT: Duration = Duration::from_micros(10);

type Readings = Backlog<u64, 512>;

/// One of the two: a producer with its records, and who drives it.
trait Face {
    /// Uses the producer, as an application does.
    fn with(&mut self, act: &mut dyn FnMut(&mut Producer<'static>, &mut Readings));
    /// Looks at it, which nobody notices.
    fn look(&self, act: &mut dyn FnMut(&Producer<'static>, &Readings));
    /// Sockets may go on.
    fn wake(&mut self, woken: &[Woken]);
    /// Does what there is to do, if it was woken or its time has come; tells whether it was so. Says what
    /// it heard.
    fn turn(&mut self, now: Instant, heard: &mut Vec<Report<u64>>) -> bool;
    /// When it wants its next turn, if nothing happens.
    fn due(&self) -> Instant;
    /// The producer is closed.
    fn is_over(&self) -> bool;
    /// Who sleeps though there is something to hear.
    fn sleeper(&self) -> Option<&'static str>;
    /// Something that only this face can have happen to it; its name.
    fn mishap(&mut self, now: Instant) -> &'static str;
}

struct Polled {
    driver: Driver<'static, SimPort, CONNECTIONS>,
    log: Readings,
    due: Instant,
    touched: bool,
    over: bool,
}

impl Face for Polled {
    fn with(&mut self, act: &mut dyn FnMut(&mut Producer<'static>, &mut Readings)) {
        act(self.driver.producer_mut(), &mut self.log);
        self.touched = true;
    }

    fn look(&self, act: &mut dyn FnMut(&Producer<'static>, &Readings)) {
        act(self.driver.producer(), &self.log);
    }

    fn wake(&mut self, woken: &[Woken]) {
        self.touched |= !woken.is_empty();
    }

    fn turn(&mut self, now: Instant, heard: &mut Vec<Report<u64>>) -> bool {
        if self.over || !(core::mem::take(&mut self.touched) || self.due <= now) {
            return false;
        }
        self.log.handle_timeout(self.driver.producer_mut(), now);
        let due = loop {
            match self.driver.poll(now) {
                Step::Event(event) => self.log.handle_event(self.driver.producer(), &event),
                Step::Idle(due) => break due,
                Step::Closed => {
                    self.over = true;
                    break Instant::NEVER;
                }
            }
        };
        heard.extend(core::iter::from_fn(|| self.log.poll_report()));
        let next = now.after(MOMENT);
        self.due = due.min(self.log.poll_timeout()).max(next);
        true
    }

    fn due(&self) -> Instant {
        self.due
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn sleeper(&self) -> Option<&'static str> {
        None
    }

    fn mishap(&mut self, _: Instant) -> &'static str {
        ""
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A task that waits for something to happen, and takes reports.
struct Watcher<'a> {
    task: Task<'a>,
    flag: Arc<Flag>,
    seen: Rc<Cell<u32>>,
}

struct Async<'a> {
    client: &'a Client<'static, Readings>,
    connect: &'a SimConnect,
    timers: &'a Timers,
    run: Option<Task<'a>>,
    flag: Arc<Flag>,
    watcher: Watcher<'a>,
    heard: Rc<RefCell<Vec<Report<u64>>>>,
    over: bool,
}

impl<'a> Async<'a> {
    fn new(
        client: &'a Client<'static, Readings>,
        connect: &'a SimConnect,
        timers: &'a Timers,
    ) -> Self {
        let heard = Rc::<RefCell<Vec<_>>>::default();
        let (seen, told) = (Rc::new(Cell::new(0)), Rc::clone(&heard));
        let known = Rc::clone(&seen);
        let task = Box::pin(async move {
            loop {
                let mut seen = known.get();
                client.changed(&mut seen).await;
                known.set(seen);
                client.with(|_, log| {
                    told.borrow_mut().extend(core::iter::from_fn(|| log.poll_report()));
                });
            }
        });
        let watcher = Watcher { task, flag: Arc::new(Flag::set()), seen };
        let flag = Arc::new(Flag::set());
        Self { client, connect, timers, run: None, flag, watcher, heard, over: false }
    }

    fn start(&self) -> Task<'a> {
        let (client, connect, timers) = (self.client, self.connect, self.timers);
        Box::pin(async move {
            let mut buffers = Box::new(Buffers::<CONNECTIONS, 64>::new());
            ottla_embedded::run(client, connect, timers, &mut buffers).await;
        })
    }
}

fn poll(task: &mut Task<'_>, flag: &Arc<Flag>) -> bool {
    let waker = Waker::from(Arc::clone(flag));
    task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
}

impl Face for Async<'_> {
    fn with(&mut self, act: &mut dyn FnMut(&mut Producer<'static>, &mut Readings)) {
        self.client.with(act);
    }

    fn look(&self, act: &mut dyn FnMut(&Producer<'static>, &Readings)) {
        self.client.internal_look(act);
    }

    fn wake(&mut self, woken: &[Woken]) {
        self.connect.wake(woken);
    }

    fn turn(&mut self, _: Instant, heard: &mut Vec<Report<u64>>) -> bool {
        let mut moved = self.timers.wake();
        if !self.over && self.flag.take() {
            moved = true;
            let mut run = self.run.take().unwrap_or_else(|| self.start());
            self.over = poll(&mut run, &self.flag);
            self.run = (!self.over).then_some(run);
        }
        let Watcher { task, flag, .. } = &mut self.watcher;
        if flag.take() {
            moved = true;
            let _ = poll(task, flag);
        }
        heard.append(&mut self.heard.borrow_mut());
        moved
    }

    fn due(&self) -> Instant {
        self.timers.next()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn sleeper(&self) -> Option<&'static str> {
        let heard = self.watcher.seen.get() == self.client.internal_happenings();
        (!heard).then_some("who waits for something to happen")
    }

    fn mishap(&mut self, _: Instant) -> &'static str {
        if self.over {
            return "";
        }
        // Dropped, and run again: its connections end, and the producer goes on.
        self.run = None;
        self.flag = Arc::new(Flag::set());
        "the run is dropped and begun again"
    }
}

struct World<'a, F> {
    face: &'a mut F,
    net: Shared,
    timers: &'a Timers,
    dice: Random,
    config: Config<'static>,
    topic: TopicId,
    ledger: Ledger,
    due: BTreeMap<u64, Instant>,
    seen: BTreeMap<&'static str, u64>,
    dated: Dated,
    taken: u64,
    closing: bool,
    /// How many rests in a row something was due already.
    overdue: u32,
    /// Since when all is told of a producer that was closed.
    told: Option<Instant>,
}

fn said(outcome: RecordOutcome) -> (i32, Said) {
    match outcome {
        RecordOutcome::Delivered { partition, offset, .. } => (partition, Said::Delivered(offset)),
        RecordOutcome::NotDelivered(why) => (-1, Said::NotDelivered(why.cause)),
        RecordOutcome::Unknown(why) => (-1, Said::Unknown(why.cause)),
        other => panic!("outcome {other:?}"),
    }
}

impl<F: Face> World<'_, F> {
    fn now(&self) -> Instant {
        self.timers.now.get()
    }

    fn set_now(&self, now: Instant) {
        self.timers.now.set(now);
        self.net.lock().now = now;
    }

    fn count(&mut self, what: &'static str) {
        if !what.is_empty() {
            *self.seen.entry(what).or_default() += 1;
        }
    }

    fn hear(&mut self, report: &Report<u64>) {
        let (id, now) = (report.token, self.now());
        if let Some(due) = self.due.remove(&id) {
            assert!(now <= due.after(TURN), "late: record {id} was told {report:?} at {now:?}");
        }
        assert_eq!(report.late, self.ledger.entry(id).last.is_some(), "late: {report:?}");
        assert!(!self.ledger.is_closed(id), "told after the final outcome: {report:?}");
        let (partition, said) = said(report.outcome);
        self.ledger.claim(now, id, partition, said, &self.net.lock().cluster);
    }

    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 20_000, "nothing comes to rest");
            let mut moved = self.net.lock().advance();
            let woken = core::mem::take(&mut self.net.lock().ready);
            self.face.wake(&woken);
            let (now, mut heard) = (self.now(), Vec::new());
            moved |= self.face.turn(now, &mut heard);
            for report in &heard {
                self.hear(report);
            }
            if !moved {
                break;
            }
        }
        self.hold();
    }

    fn hold(&mut self) {
        let now = self.now();
        if let Some((id, due)) = self.due.iter().find(|(_, due)| now > due.after(TURN)) {
            panic!("no answer: record {id} was to have one by {due:?}, and it is {now:?}");
        }
        let asleep = self.face.sleeper();
        assert!(asleep.is_none(), "a wake-up is lost: {} sleeps", asleep.unwrap_or_default());
        if self.face.is_over() {
            return;
        }
        let (until, mut idle) = (self.face.due(), false);
        let (net, closing, mut overdue) = (self.net.clone(), self.closing, false);
        self.face.look(&mut |core, log| {
            // Or else it is about to go on.
            let sleeps = until > now.after(MOMENT);
            let left = core.internal_overlooked().filter(|_| sleeps);
            assert!(left.is_none(), "a driver sleeps over {}", left.unwrap_or_default());
            let timeout = core.poll_timeout().map_or(Instant::NEVER, |(at, _)| at);
            let due = timeout.min(log.poll_timeout());
            overdue = due <= now;
            assert!(until <= due.max(now).after(TURN), "a driver sleeps past a timer: {due:?}");
            let overslept = net.lock().overslept(0, |slot| {
                let (reads, writes, asks) = core.internal_wants(slot);
                (reads, writes || asks)
            });
            let overslept = overslept.unwrap_or_default();
            assert!(!sleeps || overslept.is_empty(), "a driver sleeps over {overslept}");
            idle = core.stats().batches == 0;
        });
        // Ports may take a moment to close.
        let told = closing && idle;
        self.told = told.then(|| self.told.unwrap_or(now));
        let late = self.told.is_some_and(|told| now > told.after(TURN));
        assert!(!late, "all is told, and close goes on");
        self.overdue = if overdue { self.overdue + 1 } else { 0 };
        assert!(self.overdue < 1_000, "a time never ceases to be due");
    }

    fn run_until(&mut self, time: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now().after(time);
        loop {
            self.settle();
            if holds(self) {
                return true;
            }
            let mut next = self.net.lock().next();
            if !self.face.is_over() {
                next = next.min(self.face.due());
            }
            if next > end {
                self.set_now(end);
                self.settle();
                return holds(self);
            }
            self.set_now(next.max(self.now().after(Duration::from_micros(1))));
        }
    }

    fn run_for(&mut self, time: Duration) {
        let _ = self.run_until(time, |_| false);
    }

    fn send(&mut self, partition: Option<i32>, len: usize) {
        let (id, now) = (self.ledger.next_id(), self.now());
        self.ledger.wanted(now, TOPIC);
        let mut value = id.to_be_bytes().to_vec();
        value.resize(len.max(8), b'.');
        let timestamp = self.dated.at(now);
        let record = Record { partition, value: Some(&value), timestamp, ..Record::default() };
        let own = Duration::from_micros(self.dice.roll(0, 200_000));
        let within = self.dice.once_in(3).then_some(own);
        let (topic, mut sent, mut heard) = (self.topic, None, Vec::new());
        self.face.with(&mut |core, log| {
            sent = Some(log.produce(core, now, topic, &record, id, within));
            // Others may have given way.
            heard.extend(core::iter::from_fn(|| log.poll_report()));
        });
        for report in &heard {
            self.hear(report);
        }
        if matches!(sent, Some(Ok(()))) {
            self.taken += 1;
            let longest = self.config.delivery_timeout;
            self.due.insert(id, now.after(within.map_or(longest, |own| own.min(longest))));
            self.count(if within.is_some() { "produce with a deadline" } else { "produce" });
        } else {
            self.count("refused");
            let said = Said::NotDelivered(Cause::Cancelled);
            self.ledger.claim(now, id, -1, said, &self.net.lock().cluster);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are the network's, which knows all"
    )]
    fn act(&mut self, plan: &Plan, what: &What) {
        self.net.lock().act(what);
        let now = self.now();
        match what {
            What::Produce(records) => {
                for (partition, len) in records {
                    self.send(*partition, *len);
                }
                if self.dice.once_in(40) {
                    let what = self.face.mishap(now);
                    self.count(what);
                }
            }
            What::Cancel(back) => {
                let Some(id) = self.ledger.next_id().checked_sub(back + 1) else { return };
                let mut heard = Vec::new();
                self.face.with(&mut |core, log| {
                    let _verdict = log.cancel(core, now, &id);
                    heard.extend(core::iter::from_fn(|| log.poll_report()));
                });
                for report in &heard {
                    self.hear(report);
                }
                self.count("cancel");
            }
            What::Flush => {
                self.face.with(&mut |core, _| core.flush(now));
                self.count("flush");
            }
            What::Date(dated) => self.dated = *dated,
            What::Quiet => {
                self.net.lock().calm();
                let cluster = &plan.cluster;
                let time = cluster.producer_id_expiration + cluster.producer_id_expiration_check;
                self.run_for(time + Duration::from_secs(1));
            }
            What::GoOnAt { partition, epoch, sequence } => {
                let (topic, mut went) = (self.topic, false);
                self.face.with(&mut |core, _| {
                    went = core.internal_go_on_at(topic, *partition as u32, *epoch, *sequence);
                });
                self.count(if went { "chain far on" } else { "" });
            }
            _ => {}
        }
    }

    fn close(&mut self, within: Duration) {
        let now = self.now();
        self.count("close");
        self.closing = true;
        self.face.with(&mut |core, _| core.close(now, now.after(within)));
    }

    fn finish(&mut self, plan: &Plan) {
        let longest = self.config.delivery_timeout + Duration::from_secs(2);
        match plan.end {
            End::Closed(within) => {
                self.close(within);
                let ended = self.run_until(within + TURN, |world| world.face.is_over());
                assert!(ended, "close took longer than {within:?}");
                self.net.lock().heal();
            }
            End::Healed => {
                self.net.lock().heal();
                let patience = longest + self.config.resolve_timeout + longest;
                let settled = self.run_until(patience, |world| {
                    let mut settled = false;
                    world.face.look(&mut |core, log| {
                        settled = core.stats().batches == 0 && log.is_empty();
                    });
                    settled
                });
                assert!(settled, "not settled");
                self.close(Duration::from_secs(5));
                let ended = self.run_until(TURN, |world| world.face.is_over());
                assert!(ended, "close of an idle producer takes time");
            }
        }
    }

    fn end(mut self, plan: &Plan) -> Tally {
        self.finish(plan);
        assert!(self.due.is_empty(), "no answer: {:?}", self.due);
        let mut compression = CompressionStats::default();
        self.face.look(&mut |core, log| {
            let stats = core.stats();
            compression = stats.compression;
            assert_eq!(
                (stats.batches, stats.pages_used, log.len()),
                (0, 0, 0),
                "something is kept"
            );
        });
        for (name, times) in [
            ("batch compressed", compression.compressed),
            ("batch no smaller", compression.not_smaller),
            ("no memory for a compressed batch", compression.no_memory),
            ("no codec for it", compression.failed),
        ] {
            self.count(if times > 0 { name } else { "" });
        }
        assert_eq!(self.net.lock().links(), 0, "links are left open");
        // What still lies in sockets arrives.
        for _ in 0..200 {
            self.set_now(self.now().after(Duration::from_millis(100)));
            self.net.lock().advance();
        }
        let told = (&self.ledger, self.taken);
        Tally::judge(plan, plan.laws, told, &self.net.lock(), &self.seen)
    }
}

/// What both APIs begin with.
struct Stage {
    net: Shared,
    timers: Timers,
    dice: Random,
    config: Config<'static>,
    core: Producer<'static>,
    topic: TopicId,
    policy: DropPolicy,
    /// None, although batches are to be compressed, in one storm of eight.
    compressor: Option<Compressor<'static>>,
}

impl Stage {
    fn of(plan: &Plan) -> Self {
        let mut dice = Random::new(plan.seed ^ 0x0e3b_edde);
        let config = Config {
            bootstrap_servers: bootstrap_servers(plan),
            buffer_memory: plan.config.buffer_memory.max(u64::from(plan.config.batch_size) * 3),
            ..plan.config
        };
        let limits = Limits { connections: plan.connections, ..Limits::for_config(&config) };
        let net = Net::of(plan, &mut dice, false);
        let timers = Timers::default();
        let now = Instant::from_micros(1_000 + plan.seed);
        timers.now.set(now);
        net.lock().now = now;
        let mut core = Producer::new(&config, Memory::heap(limits), plan.seed).expect("sound");
        core.set_wall_clock(now, plan.wall.map(|ahead| Dated::Now.at(now) + ahead));
        let topic = core.topic(now, TOPIC).expect("a topic");
        let oldest = dice.once_in(2);
        let policy = if oldest { DropPolicy::OldestFirst } else { DropPolicy::NewestFirst };
        let wanted = !config.compression.is_none() && !dice.once_in(8);
        let compressor = wanted.then(|| {
            let table = vec![0; dice.roll(0, 1_024) as usize].leak();
            let out = vec![0; config.batch_size as usize / dice.roll(1, 4) as usize].leak();
            Compressor::new(table, out)
        });
        Self { net, timers, dice, config, core, topic, policy, compressor }
    }
}

fn storm<F: Face>(
    plan: &Plan,
    face: &mut F,
    (net, timers, dice): (Shared, &Timers, Random),
    (config, topic): (Config<'static>, TopicId),
) -> Tally {
    let mut ledger = Ledger::default();
    if plan.hostile.is_some() {
        ledger.exempt = own(plan);
    }
    let mut world = World {
        face,
        net,
        timers,
        dice,
        config,
        topic,
        ledger,
        due: BTreeMap::new(),
        seen: BTreeMap::new(),
        dated: plan.dated,
        taken: 0,
        closing: false,
        overdue: 0,
        told: None,
    };
    for step in &plan.steps {
        world.act(plan, &step.what);
        world.run_for(step.pause);
    }
    world.end(plan)
}

/// Runs a storm over the polled API.
///
/// # Panics
///
/// Where a law is broken.
#[must_use]
pub fn run_polled(plan: &Plan) -> Tally {
    let Stage { net, timers, dice, config, core, topic, policy, compressor } = Stage::of(plan);
    let ports = core::array::from_fn(|slot| SimPort::new(net.clone(), slot));
    let mut face = Polled {
        driver: Driver::new(core, ports),
        log: Readings::new(policy),
        due: Instant::ZERO,
        touched: true,
        over: false,
    };
    if let Some(compressor) = compressor {
        face.driver.set_compressor(compressor);
    }
    storm(plan, &mut face, (net, &timers, dice), (config, topic))
}

/// Runs a storm over the async API.
///
/// # Panics
///
/// Where a law is broken.
#[must_use]
pub fn run_async(plan: &Plan) -> Tally {
    let Stage { net, timers, dice, config, core, topic, policy, compressor } = Stage::of(plan);
    let client = Client::new(core, Readings::new(policy));
    if let Some(compressor) = compressor {
        client.set_compressor(compressor);
    }
    let connect = SimConnect::new(net.clone());
    let mut face = Async::new(&client, &connect, &timers);
    storm(plan, &mut face, (net, &timers, dice), (config, topic))
}
