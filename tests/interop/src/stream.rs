//! Messages sent through the adapters' own interfaces.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result};
use ottla_client::{CloseReport, Record, Report, SendError, Stats};
use ottla_core::{Ticket, Verdict};

use crate::{Adapter, Fates, Message, Spread, Told, partition_silence::Silence};

/// The last reports may be told just after `close` returns.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A producer to be, and how it is fed.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// Where brokers are.
    pub bootstrap: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// Properties.
    pub properties: &'a [(&'a str, &'a str)],
    /// Messages a second; what was missed while sending had to wait is made up for.
    pub rate: Option<u32>,
    /// After how long a message is cancelled by the producer.
    pub deadline: fn(u32) -> Option<Duration>,
    /// After how long a message is cancelled by its sender, or a little later.
    pub cancel: fn(u32) -> Option<Duration>,
    /// How long the end may take.
    pub close: Duration,
}

/// What became of a stream.
#[derive(Debug)]
pub struct Sent {
    /// How many messages.
    pub count: u32,
    /// How many of them the producer did not take.
    pub refused: u32,
    /// What was told of each.
    pub fates: Fates,
    /// What was said to those who cancelled.
    pub cancels: Vec<(u32, Verdict)>,
    /// How long first answers took.
    pub answered: Spread,
    /// The producer's own counters.
    pub stats: Stats,
    /// The producer's own account of the end.
    pub close: CloseReport,
    /// How long it took to send them.
    pub elapsed: Duration,
    /// The longest time in which nothing was delivered to a partition that had been delivered to,
    /// when it ended, and the partition.
    pub silence: (Duration, Duration, i32),
}

struct Fed {
    count: u32,
    refused: u32,
    cancels: Vec<(u32, Verdict)>,
    elapsed: Duration,
}

/// No message is cancelled.
pub(crate) const fn never(_: u32) -> Option<Duration> {
    None
}

impl<'a> Stream<'a> {
    /// As fast as it goes, nothing cancelled.
    #[must_use]
    pub fn new(bootstrap: &'a str, topic: &'a str) -> Self {
        let close = Duration::from_secs(150);
        Self {
            bootstrap,
            topic,
            properties: &[],
            rate: None,
            deadline: never,
            cancel: never,
            close,
        }
    }

    /// Sends messages, numbered from 0 on, until `next` has no more, and closes the producer.
    ///
    /// # Errors
    /// When the producer cannot be made. A message that is not taken is `NotDelivered`.
    pub fn send(&self, adapter: Adapter, next: impl FnMut(u32) -> Option<Message>) -> Result<Sent> {
        let fates = Arc::new(Mutex::new(Fates::default()));
        let silence = Arc::new(Mutex::new(Silence::new()));
        let answered = Arc::new(Mutex::new(Vec::new()));
        let noted = (Arc::clone(&fates), Arc::clone(&silence), Arc::clone(&answered));
        let on_report = move |report: &Report| {
            let index = usize::try_from(report.token).unwrap_or(usize::MAX);
            lock(&noted.0).tell(index, Told::from(&report.outcome), report.late);
            lock(&noted.1).told(&report.outcome);
            if !report.late {
                lock(&noted.2).push(report.elapsed);
            }
        };
        let compressed =
            crate::compression().map(|by| crate::properties_of(&by)).unwrap_or_default();
        let compressed = || compressed.iter().map(|(name, value)| (&**name, &**value));
        let properties = || compressed().chain(self.properties.iter().copied());
        let bootstrap = ("bootstrap.servers", self.bootstrap);
        let (fed, stats, close) = match adapter {
            Adapter::Blocking => {
                let builder = ottla_blocking::Producer::builder().properties([bootstrap]);
                let producer = builder.properties(properties()).on_report(on_report).build()?;
                let topic = producer.topic(self.topic)?;
                let send = |record: &Record<'_>, index: u32| {
                    let ticket = producer.send_detached(
                        &topic,
                        &Record { token: Some(u64::from(index)), ..*record },
                    )?;
                    if let Some(deadline) = (self.deadline)(index) {
                        producer.cancel_after(&ticket, deadline);
                    }
                    Ok(ticket)
                };
                let fed = self.feed(next, send, |ticket| producer.cancel(ticket), &fates);
                let close = producer.close(self.close);
                (fed, producer.stats(), close)
            }
            Adapter::Tokio => {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                let runtime = runtime.worker_threads(1).enable_all().build()?;
                let builder = ottla_tokio::Producer::builder().properties([bootstrap]);
                let builder = builder.properties(properties()).on_report(on_report);
                let producer = builder.runtime(runtime.handle().clone()).build()?;
                let topic = producer.topic(self.topic)?;
                let send = |record: &Record<'_>, index: u32| {
                    let record = Record { token: Some(u64::from(index)), ..*record };
                    let ticket = runtime.block_on(producer.send_detached(&topic, &record))?;
                    if let Some(deadline) = (self.deadline)(index) {
                        producer.cancel_after(&ticket, deadline);
                    }
                    Ok(ticket)
                };
                let fed = self.feed(next, send, |ticket| producer.cancel(ticket), &fates);
                let close = runtime.block_on(producer.close(self.close));
                (fed, producer.stats(), close)
            }
        };
        let begin = Instant::now();
        while lock(&fates).answered() < fed.count as usize && begin.elapsed() < AFTERMATH {
            std::thread::sleep(Duration::from_millis(10));
        }
        let fates = core::mem::take(&mut *lock(&fates));
        let Fed { count, refused, cancels, elapsed } = fed;
        let silence = lock(&silence).longest();
        let answered = Spread::of(core::mem::take(&mut *lock(&answered)));
        Ok(Sent { count, refused, fates, cancels, answered, stats, close, elapsed, silence })
    }

    fn feed(
        &self,
        mut next: impl FnMut(u32) -> Option<Message>,
        mut send: impl FnMut(&Record<'_>, u32) -> Result<Ticket, SendError>,
        cancel: impl Fn(&Ticket) -> Verdict,
        fates: &Mutex<Fates>,
    ) -> Fed {
        let begin = Instant::now();
        let (mut index, mut refused) = (0, 0);
        let (mut to_cancel, mut cancels) = (BTreeMap::new(), Vec::new());
        while let Some(message) = next(index) {
            if let Some(rate) = self.rate {
                let due = Duration::from_secs(1) * index / rate;
                std::thread::sleep(due.saturating_sub(begin.elapsed()));
            }
            match message.lend(|record| send(record, index)) {
                Ok(ticket) => {
                    let after = (self.cancel)(index).map(|after| (begin.elapsed() + after, index));
                    to_cancel.extend(after.map(|at| (at, ticket)));
                }
                Err(error) => {
                    let told = Told::NotDelivered(error.to_string());
                    lock(fates).tell(index as usize, told, false);
                    refused += 1;
                }
            }
            while let Some(first) = to_cancel.first_entry() {
                if first.key().0 > begin.elapsed() {
                    break;
                }
                cancels.push((first.key().1, cancel(first.get())));
                first.remove();
            }
            index += 1;
        }
        Fed { count: index, refused, cancels, elapsed: begin.elapsed() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sent {
    /// The producer's counters that tell what it went through.
    #[must_use]
    pub fn story(&self) -> String {
        let core = &self.stats.core;
        format!(
            "{} sent in {:.1} s ({} refused), {} requests, {} batches again, {} connections ({} lost), {} epochs \
             bumped, {} desyncs, complete: {}, longest silence {:.1} s until {:.1} s in {},{}",
            self.count,
            self.elapsed.as_secs_f64(),
            self.refused,
            core.requests,
            core.retries,
            core.connections,
            core.disconnects,
            core.epoch_bumps,
            core.desyncs,
            self.close.complete,
            self.silence.0.as_secs_f64(),
            self.silence.1.as_secs_f64(),
            self.silence.2,
            self.fates.causes(),
        )
    }

    /// Checks that what was said to those who cancelled is what was told.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_cancels(&self) -> Result<()> {
        for (index, verdict) in &self.cancels {
            let fate = &self.fates.all()[*index as usize];
            let agrees = match verdict {
                Verdict::NotDelivered => matches!(fate.last(), Some(Told::NotDelivered(_))),
                Verdict::Unknown => matches!(fate.first, Some(Told::Unknown(_))),
                Verdict::AlreadySettled | _ => fate.first.is_some(),
            };
            anyhow::ensure!(agrees, "{index}: the cancel said {verdict:?}, and told was {fate:?}");
        }
        Ok(())
    }

    /// Checks that the producer's own counters are those of its reports.
    ///
    /// # Errors
    /// When they are not.
    pub fn check_stats(&self) -> Result<()> {
        let mut told = [0_u64; 3];
        for fate in self.fates.all() {
            *match fate.first.as_ref().context("no answer")? {
                Told::Delivered { .. } => &mut told[0],
                Told::NotDelivered(_) => &mut told[1],
                Told::Unknown(_) => &mut told[2],
            } += 1;
        }
        let answers = self.stats.answers;
        let counted =
            [answers.delivered, answers.not_delivered + u64::from(self.refused), answers.unknown];

        anyhow::ensure!(counted == told, "counted {counted:?}, told {told:?}");
        Ok(())
    }
}
