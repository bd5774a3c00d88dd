//! `ottla bench`: what the producer costs.

use core::time::Duration;
use std::{
    sync::{Arc, OnceLock},
    thread,
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use ottla_client::{Clock, Record, RecordOutcome, SendError, Stats, Topic};
use ottla_core::Instant;
use ottla_model::Storage;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::{
    args::Bench,
    bench_payload::Payload,
    config::Settings,
    inner_broker::Inside,
    outcome_text::{Kind, Tally},
    sender::{Sender, Threads},
    stdout_stderr::{ERR, OUT},
};

/// How long the producer may take to close once all is answered.
const CLOSE: Duration = Duration::from_secs(5);

/// What is printed.
#[derive(Debug, Serialize)]
struct Figures {
    records: u64,
    size: u64,
    seconds: f64,
    records_per_s: f64,
    mb_per_s: f64,
    cpu_us_per_record: f64,
    delivered: u64,
    not_delivered: u64,
    unknown: u64,
    /// `null` where nothing is to be compressed.
    compression_ratio: Option<f64>,
    compressing_us_per_record: f64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
}

/// Produces as fast as it goes, and prints the figures.
pub(crate) fn run(args: &Bench) -> anyhow::Result<Tally> {
    let inside;
    let settings = Settings::read(&args.connect)?;
    let mut config = settings.config()?;
    if args.sync && !settings.has(&["linger.ms", "queue.buffering.max.ms"]) {
        config.linger = Duration::ZERO;
    }
    if config.bootstrap_servers.is_empty() && args.connect.bootstrap.is_none() {
        inside = Inside::start(Storage::Nothing)?;
        config.bootstrap_servers = &inside.bootstrap;
        ERR.line(format_args!("ottla: no --bootstrap: the figures include a model broker inside"));
    }
    let trouble = Arc::new(OnceLock::new());
    let first_trouble = Arc::clone(&trouble);
    let sender = Sender::new(
        &settings,
        if args.sync { Threads::One } else { Threads::Many },
        &config,
        move |report| {
            if !report.outcome.is_delivered() {
                first_trouble.get_or_init(|| report.outcome.clone());
            }
        },
    )?;
    let topic = sender.topic(&args.connect.topic)?;
    let payload = match &args.payload {
        Some(path) => {
            Payload::read(path).with_context(|| format!("--payload {}", path.display()))?
        }
        None if settings.compresses() => Payload::readings(args.size),
        None => Payload::noise(args.size),
    };
    let figures = if args.sync {
        one_by_one(args, &sender, &topic, &payload, &trouble)?
    } else {
        all_at_once(args, &sender, &topic, &payload)?
    };
    sender.close(CLOSE);
    if let Some(outcome) = trouble.get() {
        ERR.line(format_args!("ottla: the first that failed was {outcome}"));
    }
    OUT.line(format_args!("{}", serde_json::to_string(&figures)?));
    let Figures { delivered, not_delivered, unknown, .. } = figures;
    Ok(Tally { delivered, not_delivered, unknown })
}

/// Sends without waiting for answers; each comes to the callback.
fn all_at_once(
    args: &Bench,
    sender: &Sender,
    topic: &Topic,
    payload: &Payload,
) -> anyhow::Result<Figures> {
    let record = |number| Record {
        token: Some(number),
        value: Some(payload.value(number)),
        ..Record::default()
    };
    // The first one waits for the topic's partitions: the clock starts once it is taken.
    sender.send(topic, &record(0)).context("nothing can be sent")?;
    // The threads take records in turns, whatever becomes of the others.
    let send_share = |first: u64| -> Result<(), SendError> {
        let mut numbers = (first..args.records).step_by(args.threads.into());
        if args.batch > 1 {
            let mut call = Vec::with_capacity(args.batch.into());
            loop {
                call.extend(numbers.by_ref().take(args.batch.into()).map(record));
                if call.is_empty() {
                    return Ok(());
                }
                sender.send_all(topic, &call)?;
                call.clear();
            }
        }
        for number in numbers {
            let record = record(number);
            match sender.try_send(topic, &record) {
                Err(error) if error.is_temporary() => sender.send(topic, &record)?,
                result => result?,
            }
        }
        Ok(())
    };
    let meter = Meter::start();
    thread::scope(|scope| {
        let send_share = &send_share;
        let others = (2..=u64::from(args.threads)).map(|first| {
            let builder = thread::Builder::new().name("ottla-bench".to_owned());
            builder.spawn_scoped(scope, move || send_share(first)).context("starting a thread")
        });
        let others = others.collect::<anyhow::Result<Vec<_>>>()?;
        send_share(1)?;
        for other in others {
            other.join().map_err(|_| anyhow::anyhow!("a thread that sent panicked"))??;
        }
        anyhow::Ok(())
    })?;
    sender.flush();
    let (elapsed, cpu) = meter.read();
    let stats = sender.stats();
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let quantiles = [stats.latency.p50, stats.latency.p99, stats.latency.p999].map(micros);
    let answers = stats.answers;
    let tally = Tally {
        delivered: answers.delivered,
        not_delivered: answers.not_delivered,
        unknown: answers.unknown,
    };
    Ok(figures(args, payload, &stats, (elapsed, cpu), &tally, quantiles))
}

/// Sends one record, waits for its answer, and goes on.
fn one_by_one(
    args: &Bench,
    sender: &Sender,
    topic: &Topic,
    payload: &Payload,
    trouble: &OnceLock<RecordOutcome>,
) -> anyhow::Result<Figures> {
    let record = |number| Record { value: Some(payload.value(number)), ..Record::default() };
    // The first one waits for the topic's partitions and for a producer id, and is not counted.
    sender.send_each(topic, 1, record, |_| ()).context("nothing can be sent")?;
    let mut latency = Histogram::<u64>::new(3)?;
    let mut tally = Tally::default();
    let meter = Meter::start();
    let mut before = Instant::ZERO;
    sender.send_each(topic, args.records, record, |outcome| {
        let now = meter.clock.now();
        latency.saturating_record(u64::try_from(now.since(before).as_micros()).unwrap_or(0));
        before = now;
        tally.add(Kind::from(&outcome));
        if !outcome.is_delivered() {
            trouble.get_or_init(|| outcome);
        }
    })?;
    let (elapsed, cpu) = meter.read();
    let quantiles = [0.5, 0.99, 0.999].map(|share| latency.value_at_quantile(share));
    Ok(figures(args, payload, &sender.stats(), (elapsed, cpu), &tally, quantiles))
}

fn figures(
    args: &Bench,
    payload: &Payload,
    stats: &Stats,
    (elapsed, cpu): (Duration, Duration),
    tally: &Tally,
    [p50_us, p99_us, p999_us]: [u64; 3],
) -> Figures {
    let seconds = elapsed.as_secs_f64();
    let records_per_s = tally.delivered as f64 / seconds;
    Figures {
        records: args.records,
        size: payload.mean().round() as u64,
        seconds: rounded(seconds, 1e6),
        records_per_s: rounded(records_per_s, 10.0),
        mb_per_s: rounded(records_per_s * payload.mean() / 1e6, 1000.0),
        cpu_us_per_record: rounded(cpu.as_secs_f64() * 1e6 / args.records as f64, 1000.0),
        delivered: tally.delivered,
        not_delivered: tally.not_delivered,
        unknown: tally.unknown,
        compression_ratio: stats.compression_ratio().map(|ratio| rounded(ratio, 1000.0)),
        compressing_us_per_record: rounded(
            stats.compressing.as_secs_f64() * 1e6 / args.records as f64,
            1000.0,
        ),
        p50_us,
        p99_us,
        p999_us,
    }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// Measures time, and processor time of the whole process, user's and system's.
struct Meter {
    clock: Clock,
    cpu: Duration,
}

impl Meter {
    fn start() -> Self {
        Self { cpu: cpu_time(), clock: Clock::start() }
    }

    fn read(&self) -> (Duration, Duration) {
        (self.clock.now().since(Instant::ZERO), cpu_time().saturating_sub(self.cpu))
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
