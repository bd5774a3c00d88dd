//! An edge gateway: many devices over TCP in, one topic of Kafka out. A device says its name in its first line,
//! and each line after that is a reading. A reading that is too old is dropped. Each second a line of
//! metrics is printed. On Ctrl-C what was not delivered is stored, and the next start sends it.
//!
//! `cargo run -p ottla-examples --example gateway -- localhost:9092 0.0.0.0:7000 readings.tsv`

use std::{
    error::Error,
    fs,
    future::Future,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use ottla_tokio::{Cause, Producer, Record, RecordOutcome, Topic};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::{pin, sync::watch, task::JoinSet, time::interval};

/// The longest line, in bytes: a device must not fill the gateway's memory.
const LONGEST: u64 = 16 * 1024;

pub struct Settings {
    pub brokers: String,
    pub topic: String,
    /// Where readings are kept between two runs.
    pub store: PathBuf,
    /// How long a reading is of use.
    pub fresh: Duration,
    /// How long the end may take.
    pub patience: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Readings that the next run sends.
    pub stored: usize,
    /// Readings of which it is not known whether they are in the log. Sent again, they could be there twice.
    pub unknown: usize,
}

struct Reading {
    at_ms: i64,
    device: String,
    value: String,
}

/// What the devices' tasks share: the producer, and what it did not take before the end.
struct Gateway {
    producer: Producer,
    topic: Topic,
    left: Mutex<Vec<Reading>>,
}

/// Runs a gateway until `stop` is ready.
pub async fn run(
    Settings { brokers, topic, store, fresh, patience }: Settings,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
    mut metrics: impl FnMut(&str),
) -> Result<Ended, Box<dyn Error>> {
    // A broker may be away for a day. What ends a reading before that is its own deadline.
    let properties = [("bootstrap.servers", &*brokers), ("delivery.timeout.ms", "86400000")];
    let producer = Producer::from_properties(properties)?;
    let topic = producer.topic(&topic)?;
    let gateway = Arc::new(Gateway { producer, topic, left: Mutex::default() });
    let (stopping, stopped) = watch::channel(());
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&gateway).resend(load(&store)?));
    let mut second = interval(Duration::from_secs(1));
    pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((device, _)) => {
                    tasks.spawn(Arc::clone(&gateway).serve(device, fresh, stopped.clone()));
                }
                // As where no descriptor is left: the devices try again, and so does this.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = second.tick() => metrics(&gateway.metrics(tasks.len())),
            // Tasks that have ended are forgotten.
            Some(_) = tasks.join_next() => {}
        }
    }
    drop((listener, stopping));
    // From here on nothing is taken: who waits in `send` is refused, and leaves its reading behind.
    let report = gateway.producer.close(patience).await;
    while tasks.join_next().await.is_some() {}
    let mut left = core::mem::take(&mut *gateway.left.lock().unwrap());
    let mut unknown = 0;
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default());
    for it in report.returned {
        match it.outcome {
            RecordOutcome::NotDelivered(why) if why.cause == Cause::Deadline => {}
            RecordOutcome::NotDelivered(_) => {
                let (device, value) = (text(it.key)?, text(it.value)?);
                left.push(Reading { at_ms: it.timestamp, device, value });
            }
            _ => unknown += 1,
        }
    }
    left.sort_by_key(|reading| reading.at_ms);
    save(&store, &left)?;
    metrics(&gateway.metrics(0));
    Ok(Ended { stored: left.len(), unknown })
}

impl Gateway {
    /// Reads from a device until it, or the gateway, ends.
    async fn serve(self: Arc<Self>, device: TcpStream, fresh: Duration, mut stopped: Stopped) {
        let mut lines = BufReader::new(device);
        let mut device = None;
        loop {
            let mut line = String::new();
            let mut bounded = (&mut lines).take(LONGEST);
            tokio::select! {
                _ = stopped.changed() => return,
                read = bounded.read_line(&mut line) => if read.is_err() { return },
            }
            // The end, or no line of a device's.
            let Some(line) = line.strip_suffix('\n') else { return };
            let line = line.trim_end().replace('\t', " ");
            match &device {
                None => device = Some(line),
                Some(device) => {
                    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                    let at_ms = since.as_millis() as i64;
                    let reading = Reading { at_ms, device: device.clone(), value: line };
                    self.send(reading, Some(fresh)).await;
                }
            }
        }
    }

    /// Sends what an earlier run has stored. Age does not matter any more.
    async fn resend(self: Arc<Self>, stored: Vec<Reading>) {
        for reading in stored {
            self.send(reading, None).await;
        }
    }

    /// Waits while memory is full, so that devices are read from no faster than records leave. To drop the
    /// delivery is to detach from it: `stats` counts its outcome.
    async fn send(&self, reading: Reading, timeout: Option<Duration>) {
        // With the device for a key, its readings stay in order.
        let (key, value) = (Some(reading.device.as_bytes()), Some(reading.value.as_bytes()));
        let timestamp = Some(reading.at_ms);
        let record = Record { key, value, timestamp, timeout, ..Record::default() };
        loop {
            match self.producer.send(&self.topic, &record).await {
                Err(error) if error.is_temporary() && timeout.is_none() => {}
                // There was room for it too late.
                Err(error) if error.is_temporary() => return,
                Err(_) => return self.left.lock().unwrap().push(reading),
                Ok(_) => return,
            }
        }
    }

    fn metrics(&self, devices: usize) -> String {
        let stats = self.producer.stats();
        let (queued, ended, p99) =
            (stats.queue_depth, stats.answers, stats.latency.p99.as_millis());
        format!(
            "devices={devices} queued={queued} delivered={} not_delivered={} unknown={} p99_ms={p99}",
            ended.delivered, ended.not_delivered, ended.unknown
        )
    }
}

type Stopped = watch::Receiver<()>;

/// What an earlier run has stored. The file stays until this one ends: after a crash it is sent once more.
fn load(store: &Path) -> io::Result<Vec<Reading>> {
    let text = match fs::read_to_string(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let reading = |line: &str| {
        let mut fields = line.splitn(3, '\t').map(str::to_owned);
        let at_ms = fields.next()?.parse().ok()?;
        Some(Reading { at_ms, device: fields.next()?, value: fields.next()? })
    };
    Ok(text.lines().filter_map(reading).collect())
}

/// Stores readings, all or none of them.
fn save(store: &Path, readings: &[Reading]) -> io::Result<()> {
    let new = store.with_extension("new");
    let mut file = fs::File::create(&new)?;
    let lines = readings.iter().map(|r| format!("{}\t{}\t{}\n", r.at_ms, r.device, r.value));
    file.write_all(lines.collect::<String>().as_bytes())?;
    file.sync_all()?;
    fs::rename(new, store)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut arg = |default: &str| args.next().unwrap_or_else(|| default.to_owned());
    let (brokers, listen) = (arg("localhost:9092"), arg("127.0.0.1:7000"));
    let (store, topic) = (PathBuf::from(arg("readings.tsv")), "readings".to_owned());
    let (fresh, patience) = (Duration::from_secs(60), Duration::from_secs(5));
    let listener = TcpListener::bind(listen).await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let settings = Settings { brokers, topic, store, fresh, patience };
    let ended = run(settings, listener, stop, |line| println!("{line}")).await?;
    println!("{ended:?}");
    Ok(())
}
