//! Either API authenticates by each mechanism, again before a session is over, and keeps nobody waiting for it.
#![cfg(all(
    feature = "plain",
    feature = "oauthbearer",
    feature = "scram-sha-256",
    feature = "scram-sha-512",
    feature = "_internal"
))]

mod lab;

use core::{
    cell::Cell,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
    time::Duration,
};
use std::{sync::Arc, task::Wake};

use lab::{
    Lab, SECOND, Small, Weather,
    both_apis::{Readings, is_ready, produce},
    config,
    port::Socket,
    producer,
    stream::Network,
};
use ottla_core::{
    AuthenticationFailure, Credentials, Disconnect, Event, Instant, Producer, RecordOutcome, Sasl,
    TimerKind, Token,
};
use ottla_embedded::{Application, Buffers, Client, Driver, DropPolicy, Step, run};
use ottla_model::sasl::{Mechanism, SaslConfig, SaslTally, Token as SaslToken};

const TOKEN: &str = "header.payload.signature";
const PASSWORD: &str = "alice-secret";
const RECORDS: u32 = 8;
/// How long brokers let a session last.
const SESSION: Duration = Duration::from_secs(2);
/// Between one record and the next: each is sent when the session before is about to be over.
const PAUSE: Duration = Duration::from_millis(1_950);

fn entropy(bytes: &mut [u8]) -> bool {
    bytes.iter_mut().zip(*b"no nonce is used again, but here").for_each(|(to, from)| *to = from);
    true
}

fn credentials(mechanism: Mechanism, password: &str) -> Credentials<'_> {
    let username = "alice";
    match mechanism {
        Mechanism::Plain => Credentials::Plain { username, password },
        Mechanism::ScramSha256 => Credentials::ScramSha256 { username, password, entropy },
        Mechanism::ScramSha512 => Credentials::ScramSha512 { username, password, entropy },
        Mechanism::OAuthBearer => Credentials::OAuthBearer,
    }
}

fn lab() -> Lab {
    let until = Duration::from_secs(3_600);
    let token = SaslToken { text: TOKEN.to_owned(), principal: "alice".to_owned(), until };
    let sasl = SaslConfig::with(&Mechanism::ALL).user("alice", PASSWORD).token(token);
    Lab::with_sasl(sasl.max_reauth(SESSION))
}

/// What an application saw.
#[derive(Debug, Default)]
struct Seen {
    delivered: u32,
    /// How often a token was wanted.
    tokens: u32,
    /// Turns in which keys were due to be derived at their end.
    slices: u32,
    ends: Vec<Disconnect>,
    messages: Vec<String>,
}

struct Work {
    log: Readings,
    next: u32,
    due: Instant,
    seen: Seen,
    /// The first time that a token is wanted, there is none.
    late: bool,
}

impl Work {
    fn new() -> Self {
        let log = Readings::new(DropPolicy::NewestFirst);
        Self { log, next: 0, due: Instant::ZERO, seen: Seen::default(), late: true }
    }

    fn hear(&mut self, core: &Producer<'_>, event: &Event) {
        if let Event::Disconnected { cause, .. } = event {
            self.seen.ends.push(*cause);
            self.seen.messages.extend(core.authentication_message().map(str::to_owned));
        }
    }

    /// Gives a token.
    fn token(&mut self, core: &mut Producer<'_>, now: Instant) {
        self.seen.tokens += 1;
        if core::mem::take(&mut self.late) {
            core.handle_no_token(now);
            return;
        }
        let token = Token { text: TOKEN, extensions: &[], lifetime: 3 * SECOND };
        core.handle_token(now, &token).expect("a token");
    }

    /// When the next record is due, after the first.
    fn next_due(&self) -> Instant {
        if (1..RECORDS).contains(&self.next) { self.due } else { Instant::NEVER }
    }

    /// Produces what is due, and takes reports.
    fn step(&mut self, core: &mut Producer<'_>, topic: ottla_core::TopicId, now: Instant) -> bool {
        if is_ready(core, topic) && self.next < RECORDS && self.due <= now {
            produce(core, &mut self.log, now, topic, self.next, 40, None).expect("room");
            (self.next, self.due) = (self.next + 1, now.after(PAUSE));
        }
        while let Some(report) = self.log.poll_report() {
            assert!(matches!(report.outcome, RecordOutcome::Delivered { .. }), "{report:?}");
            self.seen.delivered += 1;
        }
        self.seen.delivered == RECORDS
    }
}

impl Application for Work {
    fn handle_event(&mut self, core: &mut Producer<'_>, _: Instant, event: &Event) {
        self.log.handle_event(core, event);
        self.hear(core, event);
    }

    fn want_token(&mut self, core: &mut Producer<'_>, now: Instant) {
        self.token(core, now);
    }
}

fn with_sasl<'m>(
    memory: &'m mut Small,
    secrets: &'m mut [u8],
    credentials: &Credentials<'_>,
) -> Producer<'m> {
    let mut core = producer(&config(), memory);
    core.set_sasl(Sasl::new(credentials, secrets).expect("room for it"));
    core
}

fn derives(core: &Producer<'_>) -> bool {
    matches!(core.poll_timeout(), Some((_, TimerKind::KeyDerivation)))
}

/// By the polled API, until all is delivered or time is over.
fn polled(lab: &Lab, credentials: &Credentials<'_>, limit: Duration) -> Seen {
    let (mut memory, mut secrets) = (Small::new(), [0; 128]);
    let core = with_sasl(&mut memory, &mut secrets, credentials);
    let ports = [Socket::new(lab, Weather::FAIR), Socket::new(lab, Weather::FAIR)];
    let mut driver = Driver::new(core, ports);
    let mut work = Work::new();
    let end = lab.now().after(limit);
    let mut rounds = 0;
    let topic = driver.producer_mut().topic(lab.now(), "t").expect("a topic");
    while lab.now() < end && !work.step(driver.producer_mut(), topic, lab.now()) {
        let now = lab.now();
        rounds += 1;
        assert!(rounds < 100_000, "it never comes to rest: {:?}", work.seen);
        let due = loop {
            match driver.poll(now) {
                Step::Event(event) => {
                    work.log.handle_event(driver.producer(), &event);
                    work.hear(driver.producer(), &event);
                }
                Step::Idle(due) => break due,
                Step::Closed => panic!("nobody closed it"),
            }
        };
        if derives(driver.producer()) {
            work.seen.slices += 1;
            assert!(due <= now, "the caller has its turn, and time for it");
        }
        if driver.wants_token() {
            work.token(driver.producer_mut(), now);
            continue;
        }
        let due = due.min(work.next_due());
        lab.pass(due.min(now.after(SECOND)).max(now.after(Duration::from_micros(10))));
    }
    work.seen
}

#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// By the async API.
fn asynchronous(lab: &Lab, credentials: &Credentials<'_>, limit: Duration) -> Seen {
    let (mut memory, mut secrets) = (Small::new(), [0; 128]);
    let core = with_sasl(&mut memory, &mut secrets, credentials);
    let client = Client::new(core, Work::new());
    let network = Network::new(lab, Weather::FAIR);
    let mut buffers = Buffers::<2, 64>::new();
    let end = lab.now().after(limit);
    let topic = client.with(|core, _| core.topic(lab.now(), "t")).expect("a topic");
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let slices = Cell::new(0);
    {
        let mut future = pin!(run(&client, &network, lab, &mut buffers));
        while lab.now() < end && !client.with(|core, work| work.step(core, topic, lab.now())) {
            let now = lab.now();
            for round in 0.. {
                assert!(round < 10_000, "it never comes to rest");
                if !flag.0.swap(false, Ordering::Relaxed) {
                    break;
                }
                assert!(future.as_mut().poll(&mut context).is_pending(), "nobody closed it");
                // Each poll makes one slice: other tasks have their turn between two.
                client.internal_look(|core, _| slices.set(slices.get() + u32::from(derives(core))));
            }
            let due = client.with(|_, work| work.next_due());
            let timer = lab.next_timer().unwrap_or(due).min(due).min(now.after(SECOND));
            lab.pass(timer.max(now.after(Duration::from_micros(10))));
        }
    }
    client.with(|_, work| Seen { slices: slices.get(), ..core::mem::take(&mut work.seen) })
}

fn tally(lab: &Lab) -> SaslTally {
    lab.with(|state| state.cluster.sasl_tally().clone())
}

const LIMIT: Duration = Duration::from_secs(120);

/// Both, each with the tally of its brokers.
fn both(mechanism: Mechanism, check: impl Fn(&str, &Seen, &SaslTally)) {
    let credentials = credentials(mechanism, PASSWORD);
    let at = lab();
    let seen = polled(&at, &credentials, LIMIT);
    check(&format!("polled, {mechanism}"), &seen, &tally(&at));
    let at = lab();
    let seen = asynchronous(&at, &credentials, LIMIT);
    check(&format!("async, {mechanism}"), &seen, &tally(&at));
}

#[test]
fn each_mechanism_lets_records_in_and_is_renewed_before_a_session_is_over() {
    for mechanism in Mechanism::ALL {
        both(mechanism, |name, seen, tally| {
            println!("{name}: {seen:?} {tally:?}");
            assert_eq!(seen.delivered, RECORDS, "{name}: {seen:?}");
            assert_eq!(tally.violations(), 0, "{name}: {tally:?}");
            assert!(tally.authenticated > 0, "{name}: {tally:?}");
            assert!(tally.reauthenticated >= 4 && tally.late <= 1, "{name}: {tally:?}");
            assert_eq!(seen.ends, [], "{name}");
        });
    }
}

#[test]
fn keys_are_derived_in_slices_with_the_callers_turn_between() {
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        both(mechanism, |name, seen, _| {
            // 4,096 iterations by 16, of which the first is made at once, and the last slice is not seen.
            assert!((250..=260).contains(&seen.slices), "{name}: {}", seen.slices);
        });
    }
}

#[test]
fn a_token_is_asked_for_again_where_there_was_none_and_before_it_expires() {
    both(Mechanism::OAuthBearer, |name, seen, tally| {
        // None at first; one after a second; and others, since each is good for 3 s.
        assert!((3..=10).contains(&seen.tokens), "{name}: {}", seen.tokens);
        assert!(tally.refused.is_empty(), "{name}: {tally:?}");
    });
}

#[test]
fn who_is_refused_is_told_why() {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let credentials = credentials(mechanism, "wrong");
        for run in [polled, asynchronous] {
            let seen = run(&lab(), &credentials, 5 * SECOND);
            assert_eq!(seen.delivered, 0);
            let refused = Disconnect::Authentication(AuthenticationFailure::Refused);
            assert!(!seen.ends.is_empty() && seen.ends.len() <= 5, "{:?}", seen.ends);
            assert!(seen.ends.iter().all(|cause| *cause == refused), "{:?}", seen.ends);
            assert!(seen.messages.iter().all(|said| said.contains("uthentication failed")));
            assert_eq!(seen.messages.len(), seen.ends.len());
        }
    }
}
