//! A storm over the real driver.

use core::{
    cell::RefCell,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    task::Waker,
    time::Duration,
};
use std::{
    collections::BTreeMap,
    panic::catch_unwind,
    rc::Rc,
    sync::{Arc, Mutex},
};

use ottla_core::{Cause, Config, Instant, Limits, Record};
use ottla_model::Cluster;
use ottla_scenario::{
    BOOTSTRAP, Dice, Ledger, Said,
    storm::{End, Plan, What},
};
use ottla_shared::{
    CloseReport, Delivery, Driver, Engine, Options, Ready, RecordOutcome, Report, Shards, Topic,
    Turn, internal,
};

use crate::{
    net::{Shared, SimNet, TOPIC},
    tasks::{Flag, Task, Timers},
};

/// What a deadline may be late by: a turn of a driver that naps.
const TURN: Duration = Duration::from_millis(1);

/// What was seen in a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often each fault was made, and each thing was done by a caller or the driver.
    pub seen: BTreeMap<&'static str, u64>,
    /// Records that were taken.
    pub records: u64,
    /// First answers: delivered, not delivered, unknown.
    pub answers: [u64; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Again,
    Sleep(Instant),
    Nap(Instant),
    Over,
}

/// A driver with what it sleeps on.
struct Wheel {
    driver: Option<Driver<SimNet>>,
    engine: Arc<Engine>,
    flag: Arc<Flag>,
    ready: Vec<Ready>,
    mode: Mode,
}

/// What is known of records, for tasks to write into.
#[derive(Default)]
struct Story {
    ledger: Ledger,
    /// By when each record that is watched must have an answer.
    due: BTreeMap<u64, Instant>,
    held: Vec<Delivery>,
    seen: BTreeMap<&'static str, u64>,
    /// Records may have been taken in another order than they were numbered.
    waited: bool,
    taken: u64,
    closing: bool,
    report: Option<(CloseReport, Instant)>,
}

impl Story {
    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }
}

struct World {
    clock: Arc<AtomicU64>,
    timers: Timers,
    net: Shared,
    wheels: Vec<Wheel>,
    tasks: Vec<Task>,
    story: Rc<RefCell<Story>>,
    reports: Arc<Mutex<Vec<Report>>>,
    shards: Option<Rc<Shards>>,
    topic: Topic,
    config: Config<'static>,
    dice: Dice,
    flushing: u64,
}

fn said(outcome: RecordOutcome) -> (i32, Said) {
    match outcome {
        RecordOutcome::Delivered { partition, offset, .. } => (partition, Said::Delivered(offset)),
        RecordOutcome::NotDelivered(cause) => (-1, Said::NotDelivered(cause)),
        RecordOutcome::Unknown(cause) => (-1, Said::Unknown(cause)),
        other => panic!("outcome {other:?}"),
    }
}

/// Somebody heard what became of a record.
fn hear(story: &Rc<RefCell<Story>>, net: &Shared, now: Instant, id: u64, outcome: RecordOutcome) {
    let story = &mut *story.borrow_mut();
    if let Some(due) = story.due.remove(&id) {
        assert!(now <= due.after(TURN), "late: record {id} was told {outcome:?} at {now:?}");
    }
    let (partition, said) = said(outcome);
    let known = story.ledger.entry(id).last;
    // Several may wait for one record: they hear the same, or the last word after the first.
    if known == Some(said) || matches!((known, said), (Some(Said::Unknown(_)), Said::Unknown(_))) {
        return;
    }
    story.ledger.claim(now, id, partition, said, &net.lock().cluster);
}

impl World {
    fn new(plan: &Plan) -> Self {
        let mut dice = Dice::new(plan.seed ^ 0x0d41_7e47);
        let config = Config {
            bootstrap_servers: BOOTSTRAP,
            max_block: Duration::from_millis(dice.roll(5, 400)),
            ..plan.config
        };
        let shards = [1, 1, 2, 4][dice.roll(0, 3) as usize];
        let memory = config.buffer_memory.max(u64::from(config.batch_size) * 3 * shards as u64);
        let config = Config { buffer_memory: memory, ..config };
        let limits = Limits { connections: plan.connections, ..Limits::for_config(&config) };
        let cluster = Cluster::new(plan.cluster.clone());
        let net = Shared::new(cluster, plan.seed);
        {
            let cluster = &mut net.lock().cluster;
            let partitions = plan.leaders.len() as u32;
            cluster.create_topic_with(TOPIC, partitions, plan.topic.clone()).expect("a topic");
            for (partition, node) in (0..).zip(&plan.leaders) {
                cluster.move_leader(TOPIC, partition, *node).expect("a leader");
            }
        }
        let clock = Arc::new(AtomicU64::new(1_000 + plan.seed));
        let reports: Arc<Mutex<Vec<Report>>> = Arc::default();
        let told = Arc::clone(&reports);
        let on_report: Arc<dyn Fn(&Report) + Send + Sync> =
            Arc::new(move |report: &Report| told.lock().expect("whole").push(*report));
        let on_report = dice.once_in(2).then_some(on_report);
        let shards = Shards::simulated(&clock, &config, Some(limits), on_report, shards);
        let shards = Rc::new(shards.unwrap_or_else(|error| panic!("{error}")));
        let wheel = |(number, engine): (usize, &Arc<Engine>)| Wheel {
            driver: Some(Driver::new(
                Arc::clone(engine),
                SimNet { engine: number, net: net.clone() },
            )),
            engine: Arc::clone(engine),
            flag: Arc::default(),
            ready: Vec::new(),
            mode: Mode::Again,
        };
        let wheels = shards.engines().iter().enumerate().map(wheel).collect();
        let topic = shards.topic(TOPIC).unwrap_or_else(|error| panic!("{error}"));
        let world = Self {
            clock,
            timers: Timers::default(),
            net,
            wheels,
            tasks: Vec::new(),
            story: Rc::default(),
            reports,
            shards: Some(shards),
            topic,
            config,
            dice,
            flushing: 0,
        };
        world.set_now(Instant::from_micros(world.clock.load(Ordering::Relaxed)));
        world
    }

    fn now(&self) -> Instant {
        self.timers.now.get()
    }

    fn set_now(&self, now: Instant) {
        self.clock.store(now.as_micros(), Ordering::Relaxed);
        self.timers.now.set(now);
        self.net.lock().now = now;
    }

    fn count(&self, what: &'static str) {
        self.story.borrow_mut().count(what);
    }

    /// Does all that can be done without time passing, and holds the laws against what is left.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 20_000, "nothing comes to rest");
            let mut moved = self.net.lock().advance();
            for (engine, ready) in core::mem::take(&mut self.net.lock().ready) {
                self.wheels[engine].ready.push(ready);
            }
            moved |= self.timers.wake();
            let callers_first = self.dice.once_in(2);
            if callers_first {
                moved |= self.poll();
            }
            moved |= self.turn();
            if !callers_first {
                moved |= self.poll();
            }
            for report in core::mem::take(&mut *self.reports.lock().expect("whole")) {
                hear(&self.story, &self.net, self.now(), report.token, report.outcome);
                moved = true;
            }
            if !moved {
                break;
            }
        }
        self.hold();
    }

    fn turn(&mut self) -> bool {
        let now = self.timers.now.get();
        let mut moved = false;
        for wheel in &mut self.wheels {
            let due = match wheel.mode {
                Mode::Again => true,
                Mode::Sleep(until) => until <= now || !wheel.ready.is_empty(),
                Mode::Nap(until) => until <= now,
                Mode::Over => false,
            };
            let woken = wheel.mode != Mode::Over && wheel.flag.is_set();
            if !due && !woken {
                continue;
            }
            moved = true;
            wheel.flag.take();
            let Some(driver) = &mut wheel.driver else { continue };
            let waker = Waker::from(Arc::clone(&wheel.flag));
            let turn = driver.turn(&mut wheel.ready, &waker);
            let clock = wheel.engine.clock();
            let until = |at: Option<_>| at.map_or(Instant::NEVER, |at| clock.core(at));
            wheel.mode = match turn {
                Turn::Again => Mode::Again,
                Turn::Sleep(at) => Mode::Sleep(until(at)),
                Turn::Nap(at) => {
                    self.story.borrow_mut().count("nap");
                    Mode::Nap(until(Some(at)))
                }
                Turn::Closed => {
                    wheel.driver = None;
                    Mode::Over
                }
            };
        }
        moved
    }

    fn poll(&mut self) -> bool {
        let mut moved = false;
        for task in &mut self.tasks {
            moved |= task.poll();
        }
        self.tasks.retain(|task| !task.is_over());
        moved
    }

    fn hold(&self) {
        let now = self.now();
        for task in &self.tasks {
            assert!(!task.is_kept_waiting(), "a wake-up is lost: {task:?} has what it waits for");
        }
        let story = self.story.borrow();
        if let Some((id, due)) = story.due.iter().find(|(_, due)| now > due.after(TURN)) {
            panic!("no answer: record {id} was to have one by {due:?}, and it is {now:?}");
        }
        for wheel in &self.wheels {
            if let Mode::Sleep(until) = wheel.mode {
                let left = wheel.engine.overlooked();
                assert!(left.is_none(), "a driver sleeps over {}", left.unwrap_or_default());
                assert!(!wheel.engine.is_left_to_write(), "a driver sleeps over a request");
                let due = wheel.engine.due();
                assert!(until <= due.after(TURN), "a driver sleeps past a timer: {due:?}");
            }
            let held = wheel.engine.held();
            let ends = story.closing && held.batches == 0;
            assert!(!ends || wheel.mode == Mode::Over, "all is told, and close goes on: {held:?}");
        }
    }

    fn next(&self) -> Instant {
        let wheels = self.wheels.iter().map(|wheel| match wheel.mode {
            Mode::Again => self.now(),
            Mode::Sleep(until) | Mode::Nap(until) => until,
            Mode::Over => Instant::NEVER,
        });
        wheels.chain([self.timers.next(), self.net.lock().next()]).min().unwrap_or(Instant::NEVER)
    }

    /// Runs until something holds, at most for a time; tells whether it held.
    fn run_until(&mut self, time: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now().after(time);
        loop {
            self.settle();
            if holds(self) {
                return true;
            }
            let next = self.next();
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

    /// A caller sends a record, in one way or another.
    fn send(&mut self, partition: Option<i32>, len: usize) {
        let (how, after) = (self.dice.roll(0, 9), self.dice.roll(0, 9));
        self.send_so(partition, len, how, after);
    }

    fn send_so(&mut self, partition: Option<i32>, len: usize, how: u64, after: u64) {
        let Some(shards) = self.shards.clone() else { return };
        let dice = &mut self.dice;
        let patience = Duration::from_micros(dice.roll(0, 100_000));
        let own = Duration::from_micros(dice.roll(0, 200_000));
        // In some storms nobody asks for reports: then tokens are refused.
        let (story, net, timers) = (Rc::clone(&self.story), self.net.clone(), self.timers.clone());
        let (topic, timeout) = (self.topic.clone(), self.config.delivery_timeout);
        let thread = dice.roll(0, 5) as usize;
        let waits = how >= 5;
        let spawned = Rc::new(RefCell::new(None));
        let caller = async move {
            let id = story.borrow().ledger.next_id();
            let now = timers.now.get();
            story.borrow_mut().ledger.wanted(now, TOPIC);
            let mut value = id.to_be_bytes().to_vec();
            value.resize(len.max(8), b'.');
            let timestamp = 1_700_000_000_000 + (now.as_micros() / 1_000) as i64;
            let record = Record { partition, value: Some(&value), timestamp, ..Record::default() };
            internal::be_thread(thread);
            let options = Options::default();
            let (what, options) = match how {
                1 | 6 => ("send with a deadline", options.deadline(own)),
                2 | 7 => ("send with a token", options.token(id)),
                5 | 8 | 9 => ("send", options),
                _ => ("try_send", options),
            };
            let sent: Result<Delivery, _> = if waits {
                let mut sending = shards.sending(&topic, &record, options);
                let until = sending.wait_until();
                match timers.within(until, &mut sending).await {
                    Some(sent) => sent,
                    None => sending.give_up(),
                }
            } else {
                shards.try_send(&topic, &record, options)
            };
            let taken = timers.now.get();
            let late = taken > now;
            {
                let mut story = story.borrow_mut();
                story.count(what);
                story.waited |= late;
                if late {
                    story.count("waited for memory or the topic");
                }
            }
            let Ok(delivery) = sent else {
                story.borrow_mut().count("refused");
                hear(&story, &net, taken, id, RecordOutcome::NotDelivered(Cause::Cancelled));
                return;
            };
            let told = what == "send with a token";
            {
                let mut story = story.borrow_mut();
                story.taken += 1;
                let mut due = taken.after(timeout);
                if what == "send with a deadline" {
                    due = due.min(now.after(own));
                }
                // Who waits for the last word alone does not hear the first.
                if told || after < 6 {
                    story.due.insert(id, due);
                }
                if after >= 4 {
                    story.held.push(delivery.reattach());
                }
            }
            if told {
                return;
            }
            *spawned.borrow_mut() = Some(());
            match after {
                0..=2 => {
                    let outcome = delivery.reattach().await;
                    hear(&story, &net, timers.now.get(), id, outcome);
                    if after == 0 {
                        let last = delivery.late().await;
                        story.borrow_mut().count("late");
                        hear(&story, &net, timers.now.get(), id, last);
                    }
                }
                3..=5 => {
                    // Gives up the wait, and comes back to the same record.
                    let until = taken.after(patience);
                    let first = timers.within(until, delivery.reattach()).await;
                    let outcome = match first {
                        Some(outcome) => outcome,
                        None => {
                            story.borrow_mut().count("wait given up, and reattached");
                            delivery.reattach().await
                        }
                    };
                    hear(&story, &net, timers.now.get(), id, outcome);
                }
                6 => {
                    let outcome = delivery.late().await;
                    story.borrow_mut().count("late");
                    hear(&story, &net, timers.now.get(), id, outcome);
                }
                _ => story.borrow_mut().count("delivery dropped"),
            }
        };
        let mut task = Task::new(format!("a caller {how} {after}"), caller);
        // The first poll is the call itself.
        task.poll();
        if !task.is_over() {
            self.tasks.push(task);
        }
    }

    fn cancel(&mut self, back: u64) {
        let mut story = self.story.borrow_mut();
        let len = story.held.len();
        let Some(at) = len.checked_sub(1 + back as usize % len.max(1)) else { return };
        let delivery = story.held.swap_remove(at);
        story.count("cancel");
        drop(story);
        let verdict = delivery.cancel();
        assert!(
            delivery.try_outcome().is_some() || verdict == ottla_core::Verdict::Settled,
            "cancelled, and without an answer: {verdict:?}"
        );
    }

    fn flush(&mut self) {
        let Some(shards) = &self.shards else { return };
        let (story, timers) = (Rc::clone(&self.story), self.timers.clone());
        let flushing = shards.flush();
        let until = self.now().after(Duration::from_micros(self.dice.roll(0, 60_000)));
        let impatient = self.dice.once_in(3);
        self.flushing += 1;
        let engines: Vec<Arc<Engine>> = shards.engines().to_vec();
        let task = Task::new(format!("flush {}", self.flushing), async move {
            if impatient {
                if timers.within(until, flushing).await.is_none() {
                    story.borrow_mut().count("flush dropped");
                }
            } else {
                let _tally = flushing.await;
                story.borrow_mut().count("flush");
            }
        });
        let told = move || engines.iter().all(|engine| engine.pending() == 0);
        self.tasks.push(task.probed(told));
    }

    /// Many records in a short time, so that the driver naps.
    fn burst(&mut self) {
        // The driver does not nap while somebody waits.
        if !self.run_until(Duration::from_millis(200), |world| world.tasks.is_empty()) {
            return;
        }
        self.count("burst");
        for _ in 0..30 {
            for _ in 0..20 {
                let partition = self.dice.roll(0, 3) as i32 % self.partitions();
                self.send_so(Some(partition), 8, 0, 9);
            }
            self.run_for(Duration::from_micros(50));
        }
    }

    fn partitions(&self) -> i32 {
        self.net.lock().cluster.partitions(TOPIC) as i32
    }

    fn close(&mut self, within: Duration) {
        let Some(shards) = self.shards.clone() else { return };
        let mut closing = shards.close(within);
        let (story, timers) = (Rc::clone(&self.story), self.timers.clone());
        story.borrow_mut().closing = true;
        story.borrow_mut().count("close");
        self.tasks.push(Task::new("close".to_owned(), async move {
            let guard = closing.wait_until();
            let report = match timers.within(guard, &mut closing).await {
                Some(report) => report,
                None => closing.give_up(),
            };
            story.borrow_mut().report = Some((report, timers.now.get()));
        }));
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are the network's, which knows all"
    )]
    fn act(&mut self, what: &What) {
        match what {
            What::Produce(records) => {
                for (partition, len) in records {
                    self.send(*partition, *len);
                }
                if self.dice.once_in(25) {
                    self.burst();
                }
            }
            What::Cancel(back) => self.cancel(*back),
            What::Flush => self.flush(),
            other => self.net.lock().act(other),
        }
    }

    /// The last handle is gone.
    fn drop_producer(&mut self) {
        self.count("dropped without close");
        if let Some(shards) = self.shards.take() {
            shards.close_unattended();
        }
        self.story.borrow_mut().closing = true;
    }

    fn is_over(&self) -> bool {
        self.wheels.iter().all(|wheel| wheel.mode == Mode::Over)
    }

    fn end(mut self, plan: &Plan) -> Tally {
        let longest = self.config.delivery_timeout + Duration::from_secs(2);
        let began = self.now();
        match plan.end {
            End::Closed(within) => {
                self.close(within);
                let ended = self.run_until(within + TURN, Self::is_over);
                assert!(ended, "close took longer than {within:?}");
                self.net.lock().heal();
            }
            End::Healed => {
                self.net.lock().heal();
                if self.dice.once_in(3) {
                    self.drop_producer();
                    let ended = self.run_until(longest, Self::is_over);
                    assert!(ended, "a producer that was dropped goes on");
                } else {
                    let patience = longest + self.config.resolve_timeout + longest;
                    let quiet = |world: &Self| {
                        let held = |wheel: &Wheel| wheel.engine.held().batches;
                        world.wheels.iter().all(|wheel| held(wheel) == 0)
                    };
                    assert!(self.run_until(patience, quiet), "not settled");
                    self.close(Duration::from_secs(5));
                    self.settle();
                    assert!(self.is_over(), "close of an idle producer takes time");
                }
            }
        }
        // Those that wait for memory wait for `max.block.ms` at most.
        self.run_for(Duration::from_secs(1));
        assert!(self.tasks.is_empty(), "somebody waits for ever: {:?}", self.tasks);
        if let Some((report, at)) = &self.story.borrow().report {
            assert!(report.complete, "closed, and not complete, {:?} later", at.since(began));
        }
        self.story.borrow_mut().held.clear();
        for wheel in &self.wheels {
            let held = wheel.engine.held();
            assert_eq!(held, internal::Held::default(), "something is kept");
        }
        assert_eq!(self.net.lock().links(), 0, "links are left open");
        // What still lies in sockets arrives.
        self.run_for(Duration::from_secs(20));
        let mut story = self.story.borrow_mut();
        assert!(story.due.is_empty(), "no answer: {:?}", story.due);
        let mut laws = plan.laws;
        laws.order &= !story.waited;
        story.ledger.hold(&self.net.lock().cluster, laws);
        let mut seen = core::mem::take(&mut story.seen);
        for (name, times) in &self.net.lock().faults {
            *seen.entry(name).or_default() += times;
        }
        let mut answers = [0; 3];
        for entry in story.ledger.entries() {
            match entry.first {
                Some((Said::Delivered(_), _)) => answers[0] += 1,
                Some((Said::NotDelivered(_), _)) => answers[1] += 1,
                Some((Said::Unknown(_), _)) => answers[2] += 1,
                None => {}
            }
        }
        Tally { seen, records: story.taken, answers }
    }
}

/// Runs a storm.
///
/// # Panics
///
/// Where a law is broken.
#[must_use]
pub fn run(plan: &Plan) -> Tally {
    let mut world = World::new(plan);
    for fault in &plan.first {
        world.net.lock().act(&What::Fault(fault.clone()));
    }
    for step in &plan.steps {
        world.act(&step.what);
        world.run_for(step.pause);
    }
    world.end(plan)
}

/// Runs a storm, and tells which law it breaks, if it does.
///
/// # Errors
///
/// The law that is broken, as the panic says it.
pub fn attempt(plan: &Plan) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| run(plan))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}
