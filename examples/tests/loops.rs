//! The run loops, each against the model broker on loopback: a freeze, cancels, deadlines, full memory, a
//! broker that is away and comes back. What they tell is checked against the broker's log.
#![allow(dead_code, reason = "each loop is a program of its own")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ottla_core::{Cause, Config, Instant, ProduceError, RecordOutcome, Report};
use ottla_model::{ClusterConfig, serve::Server};

#[path = "../core_on_mio.rs"]
mod mio_loop;
#[path = "../core_on_threads.rs"]
mod threads;

const TOPIC: &str = "readings";
/// Nothing here takes nearly as long, but on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// What either loop tells.
enum Told {
    Report(Report<u64>),
    Refused(u64, ProduceError),
    Room,
}

/// Gives a loop a record: its token, its value, how long it is of use.
type Produce = Box<dyn Fn(u64, Vec<u8>, Option<Duration>)>;

/// Either loop, running on a thread.
struct Client {
    produce: Produce,
    cancel: Box<dyn Fn(u64)>,
    close: Box<dyn Fn(Duration)>,
    told: Receiver<Told>,
    /// How often the loop has looked at the clock, which it does once or twice a turn.
    looks: Arc<AtomicU64>,
    thread: JoinHandle<()>,
    /// Refused by a loop that does not wait for room itself, and to be tried again.
    refused: BTreeMap<u64, (Vec<u8>, Option<Duration>)>,
    values: BTreeMap<u64, (Vec<u8>, Option<Duration>)>,
    first: BTreeMap<u64, RecordOutcome>,
    last: BTreeMap<u64, RecordOutcome>,
    /// It was told that memory is full.
    full: bool,
}

fn counting_clock() -> (Arc<AtomicU64>, impl Fn() -> Instant + Send + 'static) {
    let looks = Arc::new(AtomicU64::new(0));
    let (count, start) = (Arc::clone(&looks), std::time::Instant::now());
    let clock = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Instant::from_micros(start.elapsed().as_micros() as u64)
    };
    (looks, clock)
}

fn config(bootstrap: &str) -> Config<'_> {
    let config = Config { bootstrap_servers: bootstrap, batch_size: 4_096, ..Config::default() };
    Config { max_request_size: 16_384, ..config }
}

/// By a name, so that it has to be looked up.
fn bootstrap(server: &Server) -> String {
    format!("localhost:{}", server.addresses()[0].port())
}

fn over_threads(server: &Server) -> Client {
    let (looks, clock) = counting_clock();
    let (to_loop, inputs) = mpsc::sync_channel(256);
    let (tell, told) = mpsc::channel();
    let (one, two, three, bootstrap) =
        (to_loop.clone(), to_loop.clone(), to_loop.clone(), bootstrap(server));
    let thread = thread::spawn(move || {
        threads::run(&config(&bootstrap), TOPIC, clock, (to_loop, inputs), |said| {
            let said = match said {
                threads::Told::Report(report) => Told::Report(report),
                threads::Told::Refused { token, error } => Told::Refused(token, error),
                threads::Told::Room => Told::Room,
            };
            let _ = tell.send(said);
        });
    });
    let produce = move |token, value, timeout| {
        one.send(threads::Input::Produce { token, value, timeout }).unwrap();
    };
    let cancel = move |token| two.send(threads::Input::Cancel { token }).unwrap();
    let close = move |timeout| three.send(threads::Input::Close { timeout }).unwrap();
    Client::new(Box::new(produce), Box::new(cancel), Box::new(close), told, looks, thread)
}

fn over_mio(server: &Server) -> Client {
    let (looks, clock) = counting_clock();
    let (handle, inbox) = mio_loop::inbox().unwrap();
    let (tell, told) = mpsc::channel();
    let bootstrap = bootstrap(server);
    let thread = thread::spawn(move || {
        let run = mio_loop::run(&config(&bootstrap), TOPIC, clock, inbox, |said| {
            let said = match said {
                mio_loop::Told::Report(report) => Told::Report(report),
                mio_loop::Told::Refused { token, error } => Told::Refused(token, error),
            };
            let _ = tell.send(said);
        });
        run.unwrap();
    });
    // It blocks while memory is full, so the application has a thread for it.
    let (queue, queued) = mpsc::channel();
    let sender = handle.clone();
    thread::spawn(move || {
        for (token, value, timeout) in queued {
            assert!(sender.produce(mio_loop::Reading { token, value, timeout }), "{token}");
        }
    });
    let produce = move |token, value, timeout| queue.send((token, value, timeout)).unwrap();
    let canceller = handle.clone();
    let cancel = move |token| canceller.cancel(token);
    let close = move |timeout| handle.close(timeout);
    Client::new(Box::new(produce), Box::new(cancel), Box::new(close), told, looks, thread)
}

impl Client {
    fn new(
        produce: Produce,
        cancel: Box<dyn Fn(u64)>,
        close: Box<dyn Fn(Duration)>,
        told: Receiver<Told>,
        looks: Arc<AtomicU64>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self {
            produce,
            cancel,
            close,
            told,
            looks,
            thread,
            refused: BTreeMap::new(),
            values: BTreeMap::new(),
            first: BTreeMap::new(),
            last: BTreeMap::new(),
            full: false,
        }
    }

    fn produce(&mut self, tokens: core::ops::Range<u64>, len: usize, timeout: Option<Duration>) {
        for token in tokens {
            let mut value = format!("{token} ").into_bytes();
            value.resize(value.len().max(len), b'.');
            self.values.insert(token, (value.clone(), timeout));
            (self.produce)(token, value, timeout);
        }
    }

    fn hear(&mut self, said: Told) {
        match said {
            Told::Report(report) => {
                let heard = self.first.contains_key(&report.token);
                assert_eq!(report.late, heard, "{report:?}");
                self.first.entry(report.token).or_insert(report.outcome);
                if report.last {
                    assert_eq!(self.last.insert(report.token, report.outcome), None);
                }
            }
            Told::Refused(token, error @ (ProduceError::Full | ProduceError::MetadataPending)) => {
                self.full |= error == ProduceError::Full;
                self.refused.insert(token, self.values[&token].clone());
            }
            Told::Refused(token, error) => panic!("{token}: {error}"),
            Told::Room => {
                for (token, (value, timeout)) in core::mem::take(&mut self.refused) {
                    (self.produce)(token, value, timeout);
                }
            }
        }
    }

    /// Listens until that is true.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let Ok(said) = self.told.recv_timeout(PATIENCE) else {
                panic!("{what}: first {:?}, last {:?}", self.first, self.last);
            };
            self.hear(said);
        }
    }

    fn answered(&self, tokens: core::ops::Range<u64>) -> bool {
        tokens.into_iter().all(|token| self.first.contains_key(&token))
    }

    fn settled(&self, tokens: core::ops::Range<u64>) -> bool {
        tokens.into_iter().all(|token| self.last.contains_key(&token))
    }

    /// How often the loop looks at the clock in that time.
    fn looks_in(&mut self, time: Duration) -> u64 {
        let before = self.looks.load(Ordering::Relaxed);
        thread::sleep(time);
        self.looks.load(Ordering::Relaxed) - before
    }
}

/// All that was told is true: by the log's own values.
fn check(server: &Server, client: &Client) {
    let mut places = BTreeMap::new();
    server.with_cluster(|cluster| {
        for partition in 0..cluster.partitions(TOPIC) as i32 {
            for record in cluster.log(TOPIC, partition) {
                let value = record.value.unwrap();
                let token = value.split(|byte| *byte == b' ').next().unwrap();
                let token: u64 = str::from_utf8(token).unwrap().parse().unwrap();
                let before = places.insert(token, (partition, record.offset));
                assert_eq!(before, None, "{token} is there twice");
            }
        }
    });
    let tokens: BTreeSet<u64> = client.values.keys().copied().collect();
    assert_eq!(tokens, client.last.keys().copied().collect(), "each has an outcome");
    for (token, outcome) in &client.last {
        match outcome {
            RecordOutcome::Delivered { partition, offset, .. } => {
                let (at, found) = places[token];
                assert_eq!(*partition, at);
                assert!(offset.is_none_or(|offset| offset == found), "{token}: {outcome:?}");
            }
            RecordOutcome::NotDelivered(_) => assert!(!places.contains_key(token), "{token}"),
            other => panic!("{token}: {other:?}"),
        }
    }
}

/// A day of a sensor.
fn story(start: impl Fn(&Server) -> Client, told_of_full: bool) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any], ClusterConfig::with_nodes(1)).unwrap();
    server.with_cluster(|cluster| cluster.create_topic(TOPIC, 2)).unwrap();
    let mut client = start(&server);

    // All is well. What comes before the topic is known waits, or is refused and tried again.
    client.produce(0..20, 20, None);
    client.until("all is well", |client| client.settled(0..20));

    // The broker freezes. Deadlines and a cancel are answered while it does.
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    client.produce(20..30, 20, Some(Duration::from_millis(200)));
    client.produce(30..31, 20, None);
    // Asked for after its record, and by a way of its own: it may have to be said again.
    while !client.answered(30..31) {
        (client.cancel)(30);
        match client.told.recv_timeout(Duration::from_millis(20)) {
            Ok(said) => client.hear(said),
            Err(_) => continue,
        }
    }
    client.until("deadlines", |client| client.answered(20..30));
    for token in 20..31 {
        let cause = if token == 30 { Cause::Cancelled } else { Cause::Deadline };
        let first = client.first[&token];
        assert_eq!(first.why().map(|why| why.cause), Some(cause), "{token}: {first:?}");
    }
    let out = (20..31).filter(|token| matches!(client.first[token], RecordOutcome::Unknown(_)));
    assert!(out.count() > 0, "the bytes of some were out");
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    client.until("late outcomes", |client| client.settled(20..31));

    // It goes away, with more to send than there is memory for.
    server.with_cluster(|cluster| cluster.stop(1)).unwrap();
    client.produce(31..131, 900, None);
    thread::sleep(Duration::from_millis(500));
    // A hundredth of a core is 10 ms a second. A turn of the loop, with the dial that it is about, takes less
    // than 100 µs, so that a hundred turns a second are allowed for, and each looks at the clock.
    let seconds = 2;
    let looks = client.looks_in(Duration::from_secs(seconds));
    println!("while the broker is away: {} looks at the clock a second", looks / seconds);
    assert!(looks <= 100 * seconds, "{looks} in {seconds} s");
    assert!(looks > 0, "it dials");
    (0..)
        .map_while(|_| client.told.try_recv().ok())
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|said| client.hear(said));
    assert_eq!(client.full, told_of_full);
    // It comes back.
    server.with_cluster(|cluster| cluster.start(1)).unwrap();
    client.until("it comes back", |client| client.settled(31..131));

    // It is restarted under way.
    client.produce(131..151, 20, None);
    server.with_cluster(|cluster| cluster.restart(1)).unwrap();
    client.until("a restart", |client| client.settled(131..151));
    let delivered = |token: &u64| matches!(client.last[token], RecordOutcome::Delivered { .. });
    assert!((0..20).chain(31..151).all(|token| delivered(&token)));

    // Nothing at all is to be done.
    thread::sleep(Duration::from_millis(500));
    let idle = client.looks_in(Duration::from_secs(1));
    assert!(idle <= 10, "{idle} looks in a second of doing nothing");

    (client.close)(Duration::from_secs(5));
    while let Ok(said) = client.told.recv_timeout(PATIENCE) {
        client.hear(said);
    }
    check(&server, &client);
    client.thread.join().unwrap();
}

#[test]
fn the_loop_over_threads_tells_the_truth_and_sleeps_while_the_broker_is_away() {
    story(over_threads, true);
}

#[test]
fn the_loop_over_mio_tells_the_truth_and_sleeps_while_the_broker_is_away() {
    // It takes no record while there is no room for it.
    story(over_mio, false);
}
