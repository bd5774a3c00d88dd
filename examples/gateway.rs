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
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use ottla_tokio::{Cause, Producer, Record, RecordOutcome, Topic};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{TcpListener, TcpStream},
    pin,
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

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
    /// Readings of which it is not known whether they are in the log. They are not sent again: that would be how
    /// duplicates are made.
    pub unknown: u64,
}

#[derive(Clone, Debug)]
struct Reading {
    at_ms: i64,
    device: String,
    value: String,
}

/// What the devices' tasks share.
struct Gateway {
    producer: Producer,
    topic: Topic,
    fresh: Duration,
    /// Readings that grew too old before there was room for them.
    refused: AtomicU64,
    /// What was read and not taken by the producer before the end.
    left: Mutex<Vec<Reading>>,
}

/// Runs a gateway until `stop` is ready.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
    mut metrics: impl FnMut(&str),
) -> Result<Ended, Box<dyn Error>> {
    // A broker may be away for a day. What ends a reading before that is its own deadline.
    let properties =
        [("bootstrap.servers", &*settings.brokers), ("delivery.timeout.ms", "86400000")];
    let producer = Producer::from_properties(properties)?;
    let topic = producer.topic(&settings.topic)?;
    let Settings { fresh, store, patience, .. } = settings;
    let (refused, left) = (AtomicU64::new(0), Mutex::default());
    let gateway = Arc::new(Gateway { producer, topic, fresh, refused, left });
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&gateway).resend(load(&store)?));
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    drop(tasks.spawn(Arc::clone(&gateway).serve(stream, stopped.clone())));
                }
                // As where no descriptor is left: the devices try again, and so does this.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = second.tick() => metrics(&gateway.metrics(tasks.len())),
            // Tasks that have ended are forgotten.
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    let _ = stopping.send(true);
    // From here on nothing is taken: who waits in `send` is refused, and leaves its reading behind.
    let report = gateway.producer.close(patience).await;
    while tasks.join_next().await.is_some() {}
    let mut left = core::mem::take(&mut *gateway.left());
    let mut unknown = 0;
    for record in report.returned {
        match record.outcome {
            // Too old by now.
            RecordOutcome::NotDelivered(why) if why.cause == Cause::Deadline => {}
            RecordOutcome::NotDelivered(_) => left.push(Reading {
                at_ms: record.timestamp,
                device: text(record.key),
                value: text(record.value),
            }),
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
    async fn serve(self: Arc<Self>, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
        let mut lines = BufReader::new(stream);
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
            let Some(device) = &device else {
                device = Some(line);
                continue;
            };
            let reading = Reading { at_ms: unix_ms(), device: device.clone(), value: line };
            // Waits while memory is full, so that devices are read from no faster than records leave. To drop the
            // delivery is to detach from it: `stats` counts what becomes of it.
            let record = record(&reading);
            let sent = self
                .producer
                .send(&self.topic, &Record { timeout: Some(self.fresh), ..record })
                .await;
            match sent {
                Ok(delivery) => drop(delivery),
                Err(_) if *stopped.borrow() => self.left().push(reading),
                Err(_) => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }

    /// Sends what an earlier run has stored. Age does not matter any more.
    async fn resend(self: Arc<Self>, stored: Vec<Reading>) {
        for reading in stored {
            loop {
                match self.producer.send(&self.topic, &record(&reading)).await {
                    Ok(delivery) => break drop(delivery),
                    Err(error) if error.is_temporary() => {}
                    Err(_) => break self.left().push(reading),
                }
            }
        }
    }

    fn metrics(&self, devices: usize) -> String {
        let stats = self.producer.stats();
        let (ended, p99) = (stats.answers, stats.latency.p99.as_millis());
        format!(
            "devices={devices} queued={} delivered={} not_delivered={} unknown={} \
             refused={} p99_ms={p99}",
            stats.queue_depth,
            ended.delivered,
            ended.not_delivered,
            ended.unknown,
            self.refused.load(Ordering::Relaxed),
        )
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<Reading>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the device for a key, so that its readings stay in order.
fn record(reading: &Reading) -> Record<'_> {
    Record {
        key: Some(reading.device.as_bytes()),
        value: Some(reading.value.as_bytes()),
        timestamp: Some(reading.at_ms),
        ..Record::default()
    }
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

/// Milliseconds since 1970.
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}

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
