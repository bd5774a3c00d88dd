//! A storm over the driver that tokio's and the blocking adapter share.

use core::{
    cell::{Cell, RefCell},
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    task::Waker,
    time::Duration,
};
use std::{
    collections::BTreeSet,
    panic::catch_unwind,
    rc::Rc,
    sync::{Arc, Mutex},
};

use ottla_client::{
    Driver, Engine, Ready, Report, Shards, Turn,
    internal::{self, Gap, set_in_gaps},
};
use ottla_core::{
    Cause, Compression, CompressionStats, Config, Credentials, Entropy, Instant, Limits,
};
use ottla_model::{
    AutoCreate, Cluster, ClusterConfig,
    sasl::{Mechanism, Token},
};
use ottla_scenario::{
    Dice, PASSWORD, Random, Said, USER,
    storm::{End, Plan, What, name_of, own},
};

use crate::{
    callers::{Crowd, Manner, PASSING_BY, Story, TURN},
    codec::compressor_of,
    coverage::{Tally, is_concentrated},
    network::{Net, Shared, TOPIC, Woken, bootstrap_servers},
    shared_network::SimNet,
    tasks::{Flag, Timers, meanwhile, set_meanwhile},
};

/// The longest value that callers send, but for [`LARGE`].
const LONG: usize = 1_400;
/// One of many that make a request larger than what a driver writes in one turn.
const LARGE: usize = 14_000;
/// When all is well again but for a hostile broker, which is silent, each partition that an honest one
/// leads takes a record within this time.
const RECOVERY: Duration = Duration::from_secs(30);

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
    /// It came to a bad end, in the middle of something.
    died: bool,
    /// When it had its last turn, and after how many in a row something was due already.
    turned: Instant,
    overdue: u32,
}

struct World {
    clock: Arc<AtomicU64>,
    net: Shared,
    wheels: Vec<Wheel>,
    crowd: Rc<Crowd>,
    reports: Arc<Mutex<Vec<Report>>>,
    /// Records are large, so that requests are.
    large: bool,
    /// With so many pages free, and batches unsettled at most, an engine takes any record.
    roomy: (u32, u32),
}

/// The only one there is.
const TOKEN: &str = "token";

/// Who the producers are, where brokers ask.
fn credentials(mechanism: Mechanism) -> Credentials<'static> {
    let (username, password) = (USER, PASSWORD);
    // What nobody can foretell would be another storm each time.
    let entropy: Entropy = |bytes| {
        bytes.fill(7);
        true
    };
    match mechanism {
        Mechanism::Plain => Credentials::Plain { username, password },
        Mechanism::ScramSha256 => Credentials::ScramSha256 { username, password, entropy },
        Mechanism::ScramSha512 => Credentials::ScramSha512 { username, password, entropy },
        Mechanism::OAuthBearer => Credentials::OAuthBearer,
    }
}

/// The configuration of a storm here: callers wait for memory, of which there is a part for each shard.
fn configure(plan: &Plan, dice: &mut Random, shards: u64, large: bool) -> Config<'static> {
    let config = Config {
        bootstrap_servers: bootstrap_servers(plan),
        max_block: Duration::from_millis(dice.roll(5, 400)),
        ..plan.config
    };
    let memory = config.buffer_memory.max(u64::from(config.batch_size) * 3 * shards);
    if large {
        let (batch_size, max_request_size) = (1 << 17, 1 << 20);
        return Config {
            buffer_memory: (4 << 20) * shards,
            batch_size,
            max_request_size,
            ..config
        };
    }
    Config { buffer_memory: memory, ..config }
}

impl World {
    fn new(plan: &Plan) -> Self {
        let mut dice = Random::new(plan.seed ^ 0x0d41_7e47);
        let shards = [1, 1, 2, 4][dice.roll(0, 3) as usize];
        let large = dice.once_in(if is_concentrated() { 3 } else { 20 });
        let config = configure(plan, &mut dice, shards, large);
        let limits = Limits { connections: plan.connections, ..Limits::for_config(&config) };
        let net = Net::of(plan, &mut dice, true);
        let clock = Arc::new(AtomicU64::new(1_000 + plan.seed));
        let reports: Arc<Mutex<Vec<Report>>> = Arc::default();
        let told = Arc::clone(&reports);
        let on_report: Arc<dyn Fn(&Report) + Send + Sync> = Arc::new(move |report: &Report| {
            meanwhile();
            told.lock().expect("whole").push(report.clone());
        });
        let on_report = dice.once_in(2).then_some(on_report);
        let compressor = compressor_of(plan);
        let shards_made = shards as usize;
        let made =
            Shards::simulated(&clock, &config, Some(limits), on_report, shards_made, compressor);
        let made = Rc::new(made.unwrap_or_else(|error| panic!("{error}")));
        if let Some(login) = &plan.login {
            made.log_in(&credentials(login.mechanism), TOKEN);
        }
        // As if threads met at the lock all the time.
        if dice.once_in(2) {
            made.engines().iter().for_each(|engine| engine.crowd());
        }
        let wheel = |(number, engine): (usize, &Arc<Engine>)| Wheel {
            driver: Some(Driver::new(
                Arc::clone(engine),
                SimNet { engine: number, net: net.clone() },
            )),
            engine: Arc::clone(engine),
            flag: Arc::default(),
            ready: Vec::new(),
            mode: Mode::Again,
            died: false,
            turned: Instant::ZERO,
            overdue: 0,
        };
        let wheels = made.engines().iter().enumerate().map(wheel).collect();
        let topic = made.topic(TOPIC).unwrap_or_else(|error| panic!("{error}"));
        let story = Story::default();
        let crowd = Rc::new(Crowd {
            timers: Timers::default(),
            net: net.clone(),
            tasks: RefCell::default(),
            story: Rc::new(RefCell::new(story)),
            shards: RefCell::new(Some(made)),
            topic,
            config,
            dice: RefCell::new(dice),
            dated: Cell::new(plan.dated),
            flushing: Cell::new(0),
            elsewhere: Cell::new(0),
            done: Cell::new(false),
            close_by: Cell::new(None),
        });
        if plan.hostile.is_some() {
            crowd.story.borrow_mut().ledger.exempt = own(plan);
        }
        let other = Rc::clone(&crowd);
        set_meanwhile(Some(Rc::new(move || other.come_between())));
        // What holds a lock at its end lets nobody between.
        set_in_gaps(Some(Rc::new(|gap| match gap {
            Gap::Asleep | Gap::Written | Gap::Compressing => meanwhile(),
            Gap::Ending => {}
        })));
        let longest = if large { LARGE } else { LONG } as u32 + 200;
        let world = Self {
            clock,
            net,
            wheels,
            crowd,
            reports,
            large,
            roomy: (
                longest.div_ceil(limits.page_size) + 1,
                (limits.batches.div_ceil(shards as u32)).saturating_sub(8),
            ),
        };
        world.set_now(Instant::from_micros(world.clock.load(Ordering::Relaxed)));
        world
    }

    fn now(&self) -> Instant {
        self.crowd.now()
    }

    fn set_now(&self, now: Instant) {
        self.clock.store(now.as_micros(), Ordering::Relaxed);
        self.crowd.timers.now.set(now);
        self.net.lock().now = now;
    }

    /// Does all that can be done without time passing, and holds the laws against what is left.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 20_000, "nothing comes to rest");
            let mut moved = self.net.lock().advance();
            for Woken { key, readable, writable } in core::mem::take(&mut self.net.lock().ready) {
                let ready = Ready { index: key.slot, readable, writable };
                self.wheels[key.producer].ready.push(ready);
            }
            moved |= self.crowd.timers.wake();
            let callers_first = self.crowd.once_in(2);
            if callers_first {
                moved |= self.crowd.poll();
            }
            moved |= self.turn();
            if !callers_first {
                moved |= self.crowd.poll();
            }
            for report in core::mem::take(&mut *self.reports.lock().expect("whole")) {
                self.crowd.hear(report.token, report.outcome);
                moved = true;
            }
            if !moved {
                break;
            }
        }
        self.hold();
    }

    fn turn(&mut self) -> bool {
        let now = self.now();
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
            self.net.lock().driving = true;
            wheel.turn(now);
            self.net.lock().driving = false;
            if wheel.died {
                self.crowd.count("a driver comes to a bad end");
            }
            if matches!(wheel.mode, Mode::Nap(_)) {
                self.crowd.count("nap");
            }
            if wheel.engine.by_lanes() > 0 {
                self.crowd.count("by a lane");
            }
        }
        moved
    }

    fn hold(&self) {
        let now = self.now();
        for task in &*self.crowd.tasks.borrow() {
            assert!(!task.is_kept_waiting(), "a wake-up is lost: {task:?} has what it waits for");
        }
        let story = self.crowd.story.borrow();
        if let Some((id, due)) = story.due.iter().find(|(_, due)| now > due.after(TURN)) {
            panic!("no answer: record {id} was to have one by {due:?}, and it is {now:?}");
        }
        let (pages, batches) = self.roomy;
        for (number, wheel) in self.wheels.iter().enumerate() {
            wheel.hold();
            let (topic, elsewhere) = (self.crowd.topic.id(), self.crowd.elsewhere.get());
            let asleep = wheel.engine.sleeper(topic, elsewhere, pages, batches);
            assert!(asleep.is_none(), "a wake-up is lost: {} sleeps", asleep.unwrap_or_default());
            if let Mode::Sleep(_) = wheel.mode {
                let overslept = self.net.lock().overslept(number, |slot| wheel.engine.wants(slot));
                let overslept = overslept.unwrap_or_default();
                assert!(overslept.is_empty(), "a driver sleeps over {overslept}");
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
        let others = [self.crowd.timers.next(), self.net.lock().next()];
        wheels.chain(others).min().unwrap_or(Instant::NEVER)
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

    fn partitions(&self) -> i32 {
        self.net.lock().cluster.partitions(TOPIC) as i32
    }

    fn any_partition(&self) -> i32 {
        self.crowd.roll(0, 3) as i32 % self.partitions()
    }

    /// Many records in a short time, so that the driver naps.
    fn burst(&mut self) {
        // The driver does not nap while somebody waits.
        let quiet = |world: &Self| world.crowd.tasks.borrow().is_empty();
        if !self.run_until(Duration::from_millis(200), quiet) {
            return;
        }
        self.crowd.count("burst");
        let many = 20 * self.wheels.len();
        for _ in 0..30 {
            for _ in 0..many {
                self.crowd.send_so(Some(self.any_partition()), 8, Manner::FAST);
            }
            let naps = self.wheels.iter().any(|wheel| matches!(wheel.mode, Mode::Nap(_)));
            if naps && self.crowd.once_in(5) {
                // Somebody begins to wait, for this or that.
                match self.crowd.roll(0, 5) {
                    0 => self.crowd.flush(),
                    1 => self.queue(),
                    2 => self.crowd.cancel(0),
                    _ => {
                        let manner = Manner { how: 0, after: 1 };
                        self.crowd.send_so(Some(self.any_partition()), 8, manner);
                    }
                }
            }
            self.run_for(Duration::from_micros(50));
        }
    }

    /// What callers do now and then, beside what the plan says; or often, where storms are concentrated.
    fn now_and_then(&mut self, plan: &Plan) {
        let often = if is_concentrated() { 7 } else { 1 };
        let mut roll = self.crowd.roll(0, 99);
        let mut falls = |share: u64| {
            let hit = roll < share;
            roll = if hit { u64::MAX } else { roll - share };
            hit
        };
        let flood = if self.large { 14 } else { 0 };
        let [burst, queue, passing, many] = [4, 2, 1, 5].map(|share| falls(share * often));
        if burst {
            self.burst();
        } else if queue {
            self.queue();
        } else if passing && plan.hostile.is_none() {
            // A hostile broker may say that it has the topic.
            self.crowd.pass_by();
        } else if many {
            self.send_many();
        } else if falls(flood) {
            self.flood();
        } else if falls(1) && self.crowd.once_in(6 / often.min(6)) {
            self.kill();
        }
    }

    /// More callers at a time than there is memory for.
    fn queue(&self) {
        self.crowd.count("queue for memory");
        let count = self.crowd.config.buffer_memory as usize / LONG + 20;
        for _ in 0..count.min(400) {
            self.crowd.send_so(Some(self.any_partition()), LONG - 8, Manner::PATIENT);
        }
    }

    /// Many records in one call, or in several at a time.
    fn send_many(&self) {
        for _ in 0..self.crowd.roll(1, 3) {
            let partition = (!self.crowd.once_in(3)).then(|| self.any_partition());
            self.crowd.send_many(partition, if self.large { LARGE } else { LONG });
        }
    }

    /// More than a driver writes in one turn.
    fn flood(&self) {
        self.crowd.count("flood");
        let partition = self.any_partition();
        for record in 0..60 {
            let partition = if record % 2 == 0 { partition } else { self.any_partition() };
            self.crowd.send_so(Some(partition), LARGE, Manner::PATIENT);
        }
    }

    /// A driver ends, as with its runtime; or comes to a bad end in the middle of something.
    fn kill(&mut self) {
        let at = self.crowd.roll(0, self.wheels.len() as u64 - 1) as usize;
        if self.crowd.once_in(2) {
            self.crowd.count("a driver is dropped");
            self.wheels[at].end(false);
        } else {
            self.net.lock().doomed = Some(at);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are the network's, which knows all"
    )]
    fn act(&mut self, plan: &Plan, what: &What) {
        self.net.lock().act(what);
        match what {
            What::Produce(records) => {
                for (partition, len) in records {
                    self.crowd.send(*partition, *len);
                }
                self.now_and_then(plan);
            }
            What::Cancel(back) => self.crowd.cancel(*back),
            What::Flush => self.crowd.flush(),
            What::Date(dated) => self.crowd.dated.set(*dated),
            What::Quiet => {
                self.net.lock().calm();
                let cluster = &plan.cluster;
                let time = cluster.producer_id_expiration + cluster.producer_id_expiration_check;
                self.run_for(time + Duration::from_secs(1));
            }
            What::GoOnAt { partition, epoch, sequence } => {
                let engine = &self.wheels[*partition as usize % self.wheels.len()].engine;
                let topic = self.crowd.topic.id();
                if engine.go_on_at(topic, *partition as u32, *epoch, *sequence) {
                    self.crowd.count("chain far on");
                }
            }
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.wheels.iter().all(|wheel| wheel.mode == Mode::Over)
    }

    /// The hostile broker is silent and all else is well: records come through again.
    fn recover(&mut self, plan: &Plan) {
        let own = own(plan);
        let honest = (0..plan.leaders.len() as i32).filter(|partition| !own.contains(partition));
        let runs = |partition: &i32| {
            self.wheels[*partition as usize % self.wheels.len()].mode != Mode::Over
        };
        let mut left: BTreeSet<i32> = honest.filter(runs).collect();
        let (end, mut tried) = (self.now().after(RECOVERY), Vec::new());
        while !left.is_empty() {
            assert!(self.now() < end, "partitions do not recover: {left:?}");
            for partition in &left {
                let id = self.crowd.story.borrow().ledger.next_id();
                self.crowd.send_so(Some(*partition), 20, Manner { how: 0, after: 0 });
                tried.push((*partition, id));
            }
            self.run_for(Duration::from_millis(200));
            let delivered = |id| {
                let last = self.crowd.story.borrow().ledger.entry(id).last;
                // With acks=0 there is no better word.
                matches!(last, Some(Said::Delivered(_) | Said::Unknown(Cause::NoAcks)))
            };
            left.retain(|partition| {
                !tried.iter().any(|(at, id)| at == partition && delivered(*id))
            });
        }
    }

    fn finish(&mut self, plan: &Plan) {
        self.crowd.done.set(true);
        // Who has outlived the storm goes on to live.
        self.net.lock().doomed = None;
        let longest = self.crowd.config.delivery_timeout + Duration::from_secs(2);
        match plan.end {
            End::Closed(within) => {
                self.crowd.close(within);
                let ended = self.run_until(within + TURN, Self::is_over);
                assert!(ended, "close took longer than {within:?}");
                self.net.lock().heal();
            }
            End::Healed => {
                self.net.lock().heal();
                if plan.hostile.is_none() && self.crowd.once_in(3) {
                    self.crowd.drop_producer();
                    let ended = self.run_until(longest, Self::is_over);
                    assert!(ended, "a producer that was dropped goes on");
                    return;
                }
                let patience = longest + self.crowd.config.resolve_timeout + longest;
                let quiet = |world: &Self| {
                    let rests = |wheel: &Wheel| {
                        wheel.mode == Mode::Over || wheel.engine.held().batches == 0
                    };
                    world.wheels.iter().all(rests)
                };
                assert!(self.run_until(patience, quiet), "not settled");
                if plan.hostile.is_some() {
                    self.recover(plan);
                    assert!(self.run_until(patience, quiet), "not settled");
                }
                self.crowd.close(Duration::from_secs(5));
                self.settle();
                assert!(self.is_over(), "close of an idle producer takes time");
            }
        }
    }

    fn count_compression(&self, plan: &Plan) {
        let mut stats = CompressionStats::default();
        for wheel in &self.wheels {
            stats += wheel.engine.compression();
        }
        let other = plan.config.compression != Compression::Lz4;
        for (name, times) in [
            ("batch compressed", stats.compressed),
            ("compressed by gzip, snappy or zstd", if other { stats.compressed } else { 0 }),
            ("batch no smaller", stats.not_smaller),
            ("no memory for a compressed batch", stats.no_memory),
            ("codec failed or panicked", stats.failed),
            ("batch refused as it is compressed", stats.refused),
        ] {
            if times > 0 {
                self.crowd.count(name);
            }
        }
    }

    fn end(mut self, plan: &Plan) -> Tally {
        self.finish(plan);
        let asked = self.net.lock().cluster.sasl_tally().clone();
        assert!(
            asked.before.is_empty() && asked.between.is_empty() && asked.believed.is_empty(),
            "what nobody may say to a broker that asks who it is: {asked:?}"
        );
        let crowd = Rc::clone(&self.crowd);
        // Who is to release a topic does so once it is time.
        self.run_for(PASSING_BY);
        let waits = || format!("somebody waits for ever: {:?}", crowd.tasks.borrow());
        // All is told, and whoever is left to wait has been.
        assert!(crowd.tasks.borrow().is_empty(), "{}", waits());
        if let Some(report) = &crowd.story.borrow().report {
            assert!(report.complete, "closed, and not complete");
        }
        crowd.story.borrow_mut().held.clear();
        for wheel in &self.wheels {
            let held = wheel.engine.held();
            if wheel.died {
                // The core was left in the middle of something. But nobody waits for it.
                let internal::Held { waiters, waiting, unanswered, deadlines, .. } = held;
                assert_eq!(
                    (waiters, waiting, unanswered, deadlines),
                    ([0; 4], 0, 0, 0),
                    "{held:?}"
                );
            } else {
                assert_eq!(held, internal::Held::default(), "something is kept");
            }
        }
        assert_eq!(self.net.lock().links(), 0, "links are left open");
        // What still lies in sockets arrives.
        self.run_for(Duration::from_secs(20));
        self.count_compression(plan);
        let story = crowd.story.borrow();
        assert!(story.due.is_empty(), "no answer: {:?}", story.due);
        let mut laws = plan.laws;
        laws.order &= !story.waited;
        Tally::judge(plan, laws, (&story.ledger, story.taken), &self.net.lock(), &story.seen)
    }
}

impl Wheel {
    fn turn(&mut self, now: Instant) {
        let Some(driver) = &mut self.driver else { return };
        let (ready, waker) = (&mut self.ready, Waker::from(Arc::clone(&self.flag)));
        let Ok(turn) = catch_unwind(AssertUnwindSafe(|| driver.turn(ready, &waker))) else {
            self.end(true);
            return;
        };
        self.turned = now;
        self.overdue = if self.engine.due() <= now { self.overdue + 1 } else { 0 };
        let clock = self.engine.clock();
        let until = |at: Option<_>| at.map_or(Instant::NEVER, |at| clock.core(at));
        self.mode = match turn {
            Turn::Again => Mode::Again,
            Turn::Sleep(at) => Mode::Sleep(until(at)),
            Turn::Nap(at) => Mode::Nap(until(Some(at))),
            Turn::Closed => {
                self.end(false);
                return;
            }
        };
    }

    fn end(&mut self, died: bool) {
        self.died |= died;
        self.driver = None;
        self.mode = Mode::Over;
    }

    fn hold(&self) {
        let held = self.engine.held();
        // What lies in lanes is with the core when the driver has its next turn.
        let next = match self.mode {
            Mode::Sleep(until) | Mode::Nap(until) => until,
            Mode::Again => self.turned,
            Mode::Over => Instant::NEVER,
        };
        let looks = self.flag.is_set() || next <= self.turned.after(TURN);
        assert!(looks || self.engine.open_lanes() == 0, "nobody looks after lanes");
        match self.mode {
            Mode::Sleep(until) => {
                let left = self.engine.overlooked();
                assert!(left.is_none(), "a driver sleeps over {}", left.unwrap_or_default());
                assert!(!self.engine.is_left_to_write(), "a driver sleeps over a request");
                // What has come already is for the next turn, which is soon.
                let due = self.engine.due().max(self.turned);
                assert!(until <= due.after(TURN), "a driver sleeps past a timer: {due:?}");
                assert!(self.overdue < 100, "a time never ceases to be due: {due:?}");
            }
            Mode::Nap(_) => {
                let waits = held.waiting > 0 || held.waiters != [0; 4];
                assert!(!waits, "a driver naps, and somebody waits: {held:?}");
            }
            Mode::Over => {
                let waits = held.waiting > 0 || held.waiters != [0; 4] || held.unanswered > 0;
                assert!(!waits, "a driver is over, and somebody waits: {held:?}");
            }
            Mode::Again => {}
        }
    }
}

impl Net {
    /// The network and the brokers of a storm, with what goes wrong at first.
    pub(crate) fn of(plan: &Plan, dice: &mut Random, logs_in: bool) -> Shared {
        // Some topics are nobody's.
        let mut cluster = ClusterConfig { auto_create: AutoCreate::Never, ..plan.cluster.clone() };
        cluster.sasl = cluster.sasl.filter(|_| logs_in).map(|asks| {
            let token = Token {
                text: TOKEN.to_owned(),
                principal: USER.to_owned(),
                until: Duration::from_secs(1 << 30),
            };
            asks.token(token)
        });
        let shared = Shared::new(Cluster::new(cluster), plan.seed);
        let net = &mut *shared.lock();
        let partitions = plan.leaders.len() as u32;
        net.cluster.create_topic_with(TOPIC, partitions, plan.topic.clone()).expect("a topic");
        for (partition, node) in (0..).zip(&plan.leaders) {
            net.cluster.move_leader(TOPIC, partition, *node).expect("a leader");
        }
        net.hostile = plan.hostile;
        if let Some(node) = plan.hostile {
            net.cluster.make_hostile(node, plan.seed).expect("a node");
        }
        for fault in &plan.first {
            net.count(name_of(fault));
            net.cluster.inject(fault.clone());
        }
        if dice.once_in(10) {
            net.refuse_identity(dice.roll(1, 3) as u32);
        }
        if plan.connections >= 3 && dice.once_in(6) {
            let spared = dice.roll(0, 5) as i32;
            for (node, config) in (1..).zip(&plan.cluster.nodes) {
                if node != spared {
                    net.withhold_identity(node, &config.versions);
                }
            }
        }
        shared.clone()
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
    for step in &plan.steps {
        world.act(plan, &step.what);
        world.run_for(step.pause);
    }
    let tally = world.end(plan);
    set_meanwhile(None);
    set_in_gaps(None);
    tally
}
