//! The sensor at work.

use core::time::Duration;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use ottla_core::{
    Config, ConfigError, Event, Instant, ProduceError, Producer, Record, TopicError, TopicId,
    TopicStatus,
};
#[cfg(feature = "lz4")]
use ottla_embedded::Compressor;
use ottla_embedded::{Driver, Serial, Step};

use crate::{
    logging::say,
    memory::{Lent, Memory},
    pending_readings::{Book, Summary},
    reading::Reading,
    task::{OnFull, Task},
};

/// Bytes of a batch: its header, and a page.
#[cfg(not(feature = "json"))]
const BATCH: u32 = 61 + 256;
/// Bytes of a batch: its header, and 16 pages.
#[cfg(feature = "json")]
const BATCH: u32 = 61 + 4_096;
const MAX_REQUEST: u32 = if cfg!(feature = "json") { BATCH + 512 } else { 2_048 };
/// How long an answer may take; after that the line is hung up. All record memory goes over the
/// slower of the boards' lines in a third of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the line must be quiet after it was hung up: QEMU connects again after a second.
const QUIET: Duration = Duration::from_millis(1_300);
/// A producer at a serial line.
type Line<'m, U> = Driver<'m, Serial<U>, 1>;

/// Why a sensor did not do what it was asked to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// The configuration cannot work.
    Config(ConfigError),
    /// The topic's name cannot be.
    Topic(TopicError),
    /// User or password cannot be.
    #[cfg(feature = "_sasl")]
    Sasl(ottla_core::SaslError),
    /// [`Task::limit`] was over.
    TooLong,
}

/// Does what `task` asks over `line`, and tells what became of the readings. `now` is the time.
///
/// # Errors
/// [`Trouble`].
pub fn run<U: Read + Write + ReadReady + WriteReady>(
    task: &Task<'_>,
    memory: &mut Memory,
    readings: &mut impl Book,
    line: U,
    mut now: impl FnMut() -> Instant,
) -> Result<Summary, Trouble> {
    let mut driver = None;
    start(task, &mut memory.producer, line, now(), &mut driver)?;
    // Where the producer lies for good, or it would be copied once more.
    #[cfg(feature = "_sasl")]
    if let Some(driver) = &mut driver {
        task.login.give(driver.producer_mut(), &mut memory.credentials).map_err(Trouble::Sasl)?;
    }
    #[cfg(feature = "lz4")]
    if let Some(driver) = &mut driver {
        driver.set_compressor(Compressor::new(&mut memory.table, &mut memory.compressed));
    }
    match &mut driver {
        Some(driver) => work(task, driver, readings, &mut now),
        None => Ok(Summary::default()),
    }
}

/// A function of its own, as [`work`] is, so that the copies of the producer that are made on the way
/// are gone from the stack when the work begins.
#[inline(never)]
fn start<'m, U: Read + Write + ReadReady + WriteReady>(
    task: &Task<'_>,
    memory: &'m mut Lent,
    line: U,
    now: Instant,
    driver: &mut Option<Line<'m, U>>,
) -> Result<(), Trouble> {
    let config = Config {
        client_id: "sensor",
        batch_size: BATCH,
        max_request_size: MAX_REQUEST,
        // The line is the bottleneck, and what is out can no longer be dropped.
        max_in_flight: 1,
        request_timeout: REQUEST_TIMEOUT,
        allow_auto_create_topics: false,
        #[cfg(feature = "lz4")]
        compression: ottla_core::Compression::Lz4,
        ..Lent::config(task.bootstrap)
    };
    // The device may have been reset in the middle of a request.
    let line = Serial::new(line, QUIET).hang_up_first(MAX_REQUEST);
    match Producer::new(&config, memory.lend(), now.as_micros()) {
        Ok(producer) => {
            *driver = Some(Driver::new(producer, [line]));
            Ok(())
        }
        Err(error) => Err(Trouble::Config(error)),
    }
}

#[inline(never)]
fn work<U: Read + Write + ReadReady + WriteReady>(
    task: &Task<'_>,
    driver: &mut Line<'_, U>,
    readings: &mut impl Book,
    now: &mut impl FnMut() -> Instant,
) -> Result<Summary, Trouble> {
    let start = now();
    let end = start.after(task.limit);
    let topic = driver.producer_mut().topic(start, task.topic).map_err(Trouble::Topic)?;
    say!(info, "{} readings for topic {} at {}", task.readings, task.topic, task.bootstrap);
    let mut sensor = Sensor {
        task,
        topic,
        ready: false,
        due: start,
        next: 0,
        waiting: false,
        told: Summary::default(),
    };
    loop {
        let at = now();
        if at > end {
            return Err(Trouble::TooLong);
        }
        sensor.measure(driver.producer_mut(), readings, at);
        readings.expire(driver.producer_mut(), at);
        match driver.poll(at) {
            Step::Event(event) => {
                sensor.hear(driver.producer(), &event, at);
                readings.hear(driver.producer(), &event);
            }
            Step::Idle(_) => {}
            Step::Closed => break,
        }
        readings.sum_up(&mut sensor.told);
        if sensor.next == task.readings && readings.is_empty() {
            driver.producer_mut().close(at, at);
        }
    }
    #[cfg(all(feature = "lz4", any(feature = "defmt", feature = "log")))]
    {
        let stats = driver.producer().stats().compression;
        let (plain, wire) = (stats.plain_bytes as u32, stats.wire_bytes as u32);
        say!(info, "compressed: {} bytes to {}", plain, wire);
    }
    let Summary { delivered, dropped, unknown } = sensor.told;
    say!(info, "done: {} delivered, {} dropped, {} unknown", delivered, dropped, unknown);
    Ok(sensor.told)
}

/// What the sensor remembers.
struct Sensor<'a> {
    task: &'a Task<'a>,
    topic: TopicId,
    /// The topic was there.
    ready: bool,
    /// When the next reading is to be taken.
    due: Instant,
    /// The number of the next reading.
    next: u32,
    /// The next reading found no room, and nothing changed since.
    waiting: bool,
    told: Summary,
}

impl Sensor<'_> {
    /// Takes the readings that are due.
    fn measure(&mut self, producer: &mut Producer<'_>, readings: &mut impl Book, now: Instant) {
        if !self.ready {
            return;
        }
        while self.next < self.task.readings && !self.waiting {
            if self.due > now {
                return;
            }
            let reading = Reading::take(self.next);
            #[cfg(not(feature = "json"))]
            let text = reading.text();
            #[cfg(feature = "json")]
            let text = crate::json(self.next);
            let record = Record {
                partition: Some(reading.channel()),
                value: Some(text.as_bytes()),
                // The device does not know what time it is; the topic may have the broker say it.
                timestamp: -1,
                ..Record::default()
            };
            let within = Some(self.task.deadline).filter(|deadline| !deadline.is_zero());
            match readings.produce(producer, now, self.topic, &record, reading.number, within) {
                Ok(()) => {}
                Err(ProduceError::Full) if self.task.on_full == OnFull::Wait => {
                    self.waiting = true;
                    return;
                }
                Err(ProduceError::Full) => self.told.drop_reading(reading.number, "no room"),
                Err(ProduceError::MetadataPending) => return,
                Err(_) => self.told.drop_reading(reading.number, "refused"),
            }
            self.next += 1;
            self.due = self.due.after(self.task.every);
        }
    }

    fn hear(&mut self, producer: &Producer<'_>, event: &Event, now: Instant) {
        self.waiting = false;
        if let Event::Topic(_) = event
            && !self.ready
        {
            let status = producer.topic_status(self.topic);
            if matches!(status, Some(TopicStatus::Ready { .. })) {
                (self.ready, self.due) = (true, now);
            }
        }
    }
}
