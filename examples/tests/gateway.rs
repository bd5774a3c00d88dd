//! The gateway against the model broker: a broker that is away, a restart of both, a freeze, deadlines.
#![allow(dead_code, reason = "the gateway is a program of its own")]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver},
    thread::{self, JoinHandle},
    time::Duration,
};

use ottla_model::{ClusterConfig, serve::Server};
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

#[path = "../gateway.rs"]
mod gateway;

const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    metrics: Receiver<String>,
    thread: JoinHandle<gateway::Ended>,
}

fn start(server: &Server, store: &Path, fresh: Duration) -> Running {
    let (stop, stopped) = oneshot::channel();
    let (tell, metrics) = mpsc::channel();
    let (here, address) = mpsc::channel();
    let (brokers, topic) = (server.bootstrap_servers(), "readings".to_owned());
    let patience = Duration::from_millis(500);
    let settings = gateway::Settings { brokers, topic, store: store.to_owned(), fresh, patience };
    let thread = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            here.send(listener.local_addr().unwrap()).unwrap();
            let stop = async { drop(stopped.await) };
            let told = |line: &str| drop(tell.send(line.to_owned()));
            gateway::run(settings, listener, stop, told).await.unwrap()
        })
    });
    Running { address: address.recv().unwrap(), stop, metrics, thread }
}

impl Running {
    fn device(&self, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        writeln!(stream, "{name}").unwrap();
        stream
    }

    /// Waits for a line of metrics of which that is true.
    fn until(&self, done: impl Fn(&BTreeMap<String, u64>) -> bool) {
        let mut line = String::new();
        loop {
            let next = self.metrics.recv_timeout(PATIENCE);
            line = next.unwrap_or_else(|error| panic!("{error}; last: {line}"));
            let fields = line.split(' ').filter_map(|field| field.split_once('='));
            if done(&fields.map(|(name, n)| (name.to_owned(), n.parse().unwrap())).collect()) {
                return;
            }
        }
    }

    fn stop(self) -> gateway::Ended {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

fn server() -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any], ClusterConfig::with_nodes(1)).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("readings", 3)).unwrap();
    server
}

fn store(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

/// How often each reading is in the log, by device and value.
fn log(server: &Server) -> BTreeMap<(String, String), u32> {
    let mut times = BTreeMap::new();
    server.with_cluster(|cluster| {
        for record in (0..3).flat_map(|partition| cluster.log("readings", partition)) {
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            *times.entry((text(record.key), text(record.value))).or_insert(0) += 1;
        }
    });
    times
}

fn say(devices: &mut [TcpStream], values: core::ops::Range<u32>) {
    for value in values {
        devices.iter_mut().for_each(|device| writeln!(device, "{value}").unwrap());
    }
}

#[test]
fn what_was_not_delivered_at_the_end_is_sent_once_by_the_next_run() {
    let (server, store) = (server(), store("undelivered.tsv"));
    let running = start(&server, &store, PATIENCE);
    let mut devices = ["a", "b", "c"].map(|name| running.device(name));
    say(&mut devices, 0..10);
    running.until(|metrics| metrics["delivered"] == 30 && metrics["devices"] >= 3);
    server.with_cluster(|cluster| cluster.stop(1)).unwrap();
    say(&mut devices, 10..15);
    running.until(|metrics| metrics["queued"] == 15);
    let ended = running.stop();
    assert_eq!((ended.stored, ended.unknown), (15, 0));
    assert_eq!(fs::read_to_string(&store).unwrap().lines().count(), 15);

    // While the broker is still away they are stored once more.
    let running = start(&server, &store, PATIENCE);
    running.until(|metrics| metrics["devices"] <= 1);
    assert_eq!(running.stop().stored, 15);

    server.with_cluster(|cluster| cluster.start(1)).unwrap();
    let running = start(&server, &store, PATIENCE);
    running.until(|metrics| metrics["delivered"] == 15);
    let mut devices = ["a", "b", "c"].map(|name| running.device(name));
    server.with_cluster(|cluster| cluster.restart(1)).unwrap();
    say(&mut devices, 15..20);
    running.until(|metrics| metrics["delivered"] == 30);
    let ended = running.stop();
    assert_eq!((ended.stored, ended.unknown), (0, 0));
    assert_eq!(fs::read_to_string(&store).unwrap(), "");
    let log = log(&server);
    assert_eq!(log.len(), 60, "three devices, twenty readings");
    assert!(log.values().all(|times| *times == 1), "{log:?}");
}

#[test]
fn what_is_too_old_is_dropped_and_what_may_be_in_the_log_is_not_sent_again() {
    let (server, store) = (server(), store("frozen.tsv"));
    let running = start(&server, &store, Duration::from_millis(300));
    let mut devices = ["a", "b", "c"].map(|name| running.device(name));
    say(&mut devices, 0..5);
    running.until(|metrics| metrics["delivered"] == 15);
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    for value in 5..15 {
        say(&mut devices, value..value + 1);
        thread::sleep(Duration::from_millis(10));
    }
    // Each has an answer though the broker gives none.
    running.until(|metrics| metrics["not_delivered"] + metrics["unknown"] == 30);
    let ended = running.stop();
    // Nothing was fresh any more.
    assert_eq!(ended.stored, 0);
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();

    // What the broker had got in its sockets comes into the log now. A next run adds nothing to it.
    let running = start(&server, &store, PATIENCE);
    let mut device = [running.device("d")];
    say(&mut device, 0..1);
    running.until(|metrics| metrics["delivered"] == 1);
    running.stop();
    let log = log(&server);
    assert!(log.values().all(|times| *times == 1), "{log:?}");
}
