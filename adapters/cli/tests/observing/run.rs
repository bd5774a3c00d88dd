//! Provokes something, with a producer in this process, and with the command.

use core::{
    mem,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    collections::HashSet,
    io,
    sync::{Arc, LazyLock, Mutex},
    thread::{self, ThreadId},
};

use ottla_adapter_tests::{Adapter, Delivery, Producer, Record, RecordOutcome, Topic};
use ottla_model::{Cluster, serve::Server};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::{
    common::{PATIENCE, Scratch, Talk, server, wait_for},
    provoke::Provocation,
    seen::{Seen, Sight},
};

const MS: Duration = Duration::from_millis(1);
/// Of all producers.
const PROPERTIES: [&str; 7] = [
    "linger.ms=0",
    "request.timeout.ms=600",
    "retry.backoff.ms=20",
    "retry.backoff.max.ms=50",
    "reconnect.backoff.ms=20",
    "reconnect.backoff.max.ms=50",
    "buffer.memory=1048576",
];

/// Who sends records of one producer.
trait Client {
    fn send(&mut self);
    /// Gives up on the last record.
    fn cancel(&mut self);
    /// Waits for the first answer to each record.
    fn wait(&mut self);
    fn close(&mut self, within: Duration);
}

/// What a provocation has at hand.
pub(crate) struct Play<'a> {
    server: &'a Server,
    client: &'a mut dyn Client,
}

impl Play<'_> {
    pub(crate) fn send(&mut self) {
        self.client.send();
    }

    /// Sends a record that nothing is wrong with.
    pub(crate) fn warm(&mut self) {
        self.client.send();
        self.client.wait();
    }

    pub(crate) fn cancel(&mut self) {
        self.client.cancel();
    }

    pub(crate) fn wait(&mut self) {
        self.client.wait();
    }

    /// By the command this is the end of its input, and it is up to its arguments what follows.
    pub(crate) fn close(&mut self, within: Duration) {
        self.client.close(within);
    }

    pub(crate) fn cluster(&self, act: impl FnOnce(&mut Cluster)) {
        self.server.with_cluster(act);
    }

    /// Waits until the log has so many records.
    pub(crate) fn logged(&self, records: i64) {
        let end = || self.server.with_cluster(|cluster| cluster.end_offset("t", 0));
        wait_for("a record is in the log", || end() >= records);
    }
}

/// A cluster that something is wrong with, and where it is.
fn begin(provocation: &Provocation) -> (Server, String) {
    let server = server();
    let bootstrap = server.bootstrap_servers();
    server.with_cluster(provocation.before);
    (server, bootstrap)
}

/// What each thread said to `tracing`.
static EVENTS: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

struct Listener;

impl io::Write for Listener {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let event = String::from_utf8_lossy(event).trim_end().to_owned();
        EVENTS.lock().unwrap().push((thread::current().id(), event.clone()));
        Ok(event.len().max(1))
    }

    fn write_all(&mut self, event: &[u8]) -> io::Result<()> {
        self.write(event).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LISTENING: LazyLock<()> = LazyLock::new(|| {
    let listener = tracing_subscriber::fmt().without_time().with_ansi(false);
    let level = tracing_subscriber::filter::LevelFilter::DEBUG;
    listener.with_max_level(level).with_writer(|| Listener).init();
});

/// What this thread said, and those that dialled this address, as all drivers do.
fn events_about(bootstrap: &str) -> Vec<String> {
    let mut events = EVENTS.lock().unwrap();
    let dialled =
        events.iter().filter(|(_, event)| event.ends_with(&format!("broker={bootstrap}")));
    let mut threads: HashSet<_> = dialled.map(|(thread, _)| *thread).collect();
    threads.insert(thread::current().id());
    let (ours, others) =
        mem::take(&mut *events).into_iter().partition(|(thread, _)| threads.contains(thread));
    *events = others;
    Vec::into_iter(ours).map(|(_, event)| event).collect()
}

/// A producer of this process. What is awaited blocks this thread, and not the driver.
struct InProcess {
    runtime: Runtime,
    producer: Producer,
    topic: Topic,
    deadline: Option<Duration>,
    deliveries: Vec<Delivery>,
    /// First answers that were waited for.
    answers: Vec<RecordOutcome>,
}

impl InProcess {
    fn last(&self, delivery: &Delivery) -> RecordOutcome {
        self.runtime.block_on(delivery.final_outcome_within(PATIENCE)).expect("a final outcome")
    }
}

impl Client for InProcess {
    fn send(&mut self) {
        let token = Some(self.deliveries.len() as u64);
        let record =
            Record { value: Some(b"v"), token, timeout: self.deadline, ..Record::default() };
        // What is not taken has no outcome.
        self.deliveries.extend(self.runtime.block_on(self.producer.send(&self.topic, &record)));
    }

    fn cancel(&mut self) {
        let _ = self.deliveries.last().expect("a record").cancel();
    }

    fn wait(&mut self) {
        for delivery in &self.deliveries[self.answers.len()..] {
            let answer = self.runtime.block_on(delivery.outcome_within(PATIENCE));
            self.answers.push(answer.expect("a first answer"));
        }
    }

    fn close(&mut self, within: Duration) {
        let _ = self.runtime.block_on(self.producer.close(within));
    }
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a producer in this process shows of it.
pub(crate) fn in_process(driver: &str, provocation: &Provocation) -> Seen {
    *LISTENING;
    let (server, bootstrap) = begin(provocation);
    let all = PROPERTIES.iter().chain(provocation.properties);
    let mut properties: Vec<_> = all.filter_map(|property| property.split_once('=')).collect();
    properties.push(("bootstrap.servers", &bootstrap));
    let reports = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&reports);
    // With one thread, on which all is told.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let context = runtime.enter();
    let adapter = if driver == "tokio" { Adapter::Tokio } else { Adapter::Threads };
    let producer = Producer::builder(adapter).properties(properties).on_report(move |report| {
        theirs.lock().unwrap().extend(Sight::of(&report.outcome, report.late));
    });
    let producer = producer.build().unwrap();
    drop(context);
    let mut client = InProcess {
        runtime,
        producer: producer.clone(),
        topic: producer.topic("t").unwrap(),
        deadline: provocation.deadline.map(Duration::from_millis),
        deliveries: Vec::new(),
        answers: Vec::new(),
    };
    let over = AtomicBool::new(false);
    let mut seen = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut seen = Seen::default();
            while !over.load(Ordering::Relaxed) {
                seen.sample(&producer.stats());
                thread::sleep(5 * MS);
            }
            seen
        });
        // Even where the rest panics.
        let until = Ending(&over);
        (provocation.play)(&mut Play { server: &server, client: &mut client });
        client.wait();
        let last: Vec<_> = client.deliveries.iter().map(|delivery| client.last(delivery)).collect();
        drop(until);
        let mut seen = sampler.join().unwrap();
        for (first, last) in client.answers.iter().zip(last) {
            seen.outcomes.extend(Sight::of(first, false));
            seen.outcomes.extend(Sight::of(&last, true).filter(|_| last != *first));
        }
        seen
    });
    client.close(PATIENCE);
    seen.sample(&producer.stats());
    seen.reports = mem::take(&mut *reports.lock().unwrap());
    seen.events = events_about(&bootstrap);
    seen
}

struct ByCommand {
    talk: Talk,
    outcomes: Scratch,
    sent: usize,
}

impl Client for ByCommand {
    fn send(&mut self) {
        self.talk.say("v");
        self.sent += 1;
    }

    fn cancel(&mut self) {
        panic!("the command cancels by --deadline alone");
    }

    fn wait(&mut self) {
        wait_for("an outcome for each line", || self.outcomes.lines() >= self.sent);
    }

    fn close(&mut self, _: Duration) {
        self.talk.end_input();
    }
}

/// What the command writes to `--outcomes`.
pub(crate) fn by_command(driver: &str, provocation: &Provocation) -> Vec<Value> {
    let (server, bootstrap) = begin(provocation);
    let number = (provocation as *const Provocation).addr();
    let outcomes = Scratch::new(&format!("walk-{number}-{driver}"));
    let args = ["produce", "--topic", "t", "--driver", driver, "--bootstrap", &bootstrap];
    let mut args: Vec<&str> = [&args[..], &["--outcomes", outcomes.path()]].concat();
    let properties = PROPERTIES.iter().chain(provocation.properties);
    args.extend(properties.flat_map(|property| ["--property", property]));
    let [deadline, settle] =
        [provocation.deadline, provocation.settle].map(|ms| ms.unwrap_or_default().to_string());
    if provocation.deadline.is_some() {
        args.extend(["--deadline", &deadline]);
    }
    if provocation.settle.is_some() {
        args.extend(["--settle", &settle]);
    }
    let mut client = ByCommand { talk: Talk::start(&args, &[]), outcomes, sent: 0 };
    (provocation.play)(&mut Play { server: &server, client: &mut client });
    let ran = client.talk.end();
    let told = client.outcomes.objects();
    assert!(told.len() >= client.sent, "{}: a line has no outcome: {ran:?}", provocation.name);
    told
}
