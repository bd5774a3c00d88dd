//! `ottla produce`: one record a line.

use core::time::Duration;
use std::{
    sync::{Arc, mpsc::Receiver},
    thread,
};

use ottla_client::{Clock, Record, SendError, Topic};
use ottla_core::{Instant, OnUnknown, ProduceError};
use ottla_model::Storage;

use crate::{
    args::Produce,
    config::Settings,
    inner_broker::Inside,
    line_splitter::{Line, Lines, split_key},
    outcome_queue::Mailbox,
    outcome_text::{Tally, Verdict},
    outcome_writer::{Outcomes, Sink, Writer},
    progress::Progress,
    reader::{self, Input},
    sender::{Sender, Threads},
    signals::Stop,
    stdout_stderr::ERR,
};

/// What is on its way gets this long once the user has asked for the end.
const SHORT: Duration = Duration::from_secs(5);
/// Added to `delivery.timeout.ms`, so that the end tells each record's own cause.
const GRACE: Duration = Duration::from_secs(1);
/// Bytes of records that the broker inside keeps: nobody reads them.
const KEPT: usize = 16 * 1024 * 1024;

/// Produces all lines, and reports their outcomes.
pub(crate) fn run(args: &Produce) -> anyhow::Result<Tally> {
    let source = reader::open(args.file.as_deref())?;
    let outcomes = args.outcomes.as_ref();
    let outcomes =
        outcomes.map(|path| Outcomes::open(path, source.metadata.as_ref())).transpose()?;
    let inside;
    let settings = Settings::read(&args.connect)?;
    let mut config = settings.config()?;
    if config.bootstrap_servers.is_empty() && args.connect.bootstrap.is_none() {
        inside = Inside::start(Storage::Newest { bytes: KEPT })?;
        config.bootstrap_servers = &inside.bootstrap;
        if !args.quiet {
            let address = config.bootstrap_servers;
            ERR.line(format_args!(
                "ottla: no --bootstrap: a model broker inside listens on {address}"
            ));
        }
    }
    config.on_unknown = args.on_unknown.map_or(config.on_unknown, OnUnknown::from);
    let mailbox = Arc::new(Mailbox::new());
    let reports = Arc::clone(&mailbox);
    let on_report = move |report: &_| reports.put(Verdict::from(report));
    let sender = Sender::new(&settings, Threads::Many, &config, on_report)?;
    let topic = sender.topic(&args.connect.topic)?;
    // Nothing is refused any more, so that what is in the file may go.
    let sink = match outcomes {
        Some(outcomes) => outcomes.begin()?,
        None if args.quiet => Sink::Nowhere,
        None => Sink::Words { topic: args.connect.topic.clone() },
    };
    let progress = Progress::new((!args.quiet).then_some(source.size()));
    let writer = Writer::start(mailbox, sink, progress.clone());
    let max_line = config.max_request_size;
    let (ender, input) = reader::start(source, max_line as usize, args.rate);
    let closer = sender.clone();
    let stop = Stop::on_signal(move || {
        // Where there is no room for it, nobody waits for input.
        drop(ender.try_send(Input::End));
        // Whoever waits for memory or for the topic need not wait any longer.
        let closer = closer.clone();
        thread::spawn(move || closer.close(SHORT));
    })?;
    let mut run = Run {
        sender: &sender,
        topic,
        separator: args.key_separator.as_deref().map(str::as_bytes),
        deadline: args.deadline.map(Duration::from_millis),
        max_block: config.max_block,
        max_line,
        writer: &writer,
        stop: &stop,
        clock: Clock::start(),
        lines: 0,
        unknown_topic: None,
    };
    let read = run.produce_all(&input, &progress);
    if let Some(settle) = args.settle.filter(|_| !stop.is_set()) {
        // Each line has its first answer after this, and late ones have so much time.
        sender.flush();
        sender.close(Duration::from_millis(settle));
    } else {
        sender.close(if stop.is_set() { SHORT } else { config.delivery_timeout + GRACE });
    }
    let (lines, elapsed) = (run.lines, run.clock.now().since(Instant::ZERO));
    progress.finish();
    let (mut tally, written) = writer.finish();
    // None, unless the driver did not end in time.
    tally.unknown += lines.saturating_sub(tally.total());
    ERR.line(format_args!("{}", summary(&tally, elapsed)));
    read.and(written)?;
    Ok(tally)
}

fn summary(tally: &Tally, elapsed: Duration) -> String {
    let Tally { delivered, not_delivered, unknown } = tally;
    let seconds = elapsed.as_secs_f64();
    let rate = if seconds > 0.0 { *delivered as f64 / seconds } else { 0.0 };
    format!(
        "delivered={delivered} not_delivered={not_delivered} unknown={unknown} \
         elapsed_s={seconds:.3} rate={rate:.0}"
    )
}

struct Run<'a> {
    sender: &'a Sender,
    topic: Topic,
    separator: Option<&'a [u8]>,
    deadline: Option<Duration>,
    max_block: Duration,
    max_line: u32,
    writer: &'a Writer,
    stop: &'a Stop,
    clock: Clock,
    /// That have or will have an outcome.
    lines: u64,
    unknown_topic: Option<UnknownTopic>,
}

/// The topic's partitions are not known, so that nothing can be sent.
struct UnknownTopic {
    /// When the waiting began; it ends after `max.block.ms`, and that holds for all lines together.
    since: Instant,
    /// What was said of the last line that waited.
    why: Option<Arc<str>>,
}

impl Run<'_> {
    fn produce_all(&mut self, input: &Receiver<Input>, progress: &Progress) -> anyhow::Result<()> {
        while !self.stop.is_set() {
            match input.recv() {
                Ok(Input::Lines(lines)) => {
                    self.produce_some(&lines);
                    progress.read(lines.read);
                }
                Ok(Input::Failed(error)) => {
                    return Err(anyhow::Error::new(error).context("the input cannot be read"));
                }
                Ok(Input::End) | Err(_) => break,
            }
        }
        Ok(())
    }

    fn produce_some(&mut self, lines: &Lines) {
        for (number, line) in lines.iter() {
            if self.stop.is_set() {
                return;
            }
            let started = self.clock.now();
            let result = match line {
                Line::Bytes(line) => self.produce(number, line, started),
                Line::TooLong(size) => {
                    let error = ProduceError::RecordTooLarge { size, max: self.max_line };
                    Err(Arc::from(error.to_string()))
                }
            };
            self.lines += 1;
            if let Err(why) = result {
                let elapsed = self.clock.now().since(started).as_micros();
                let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
                self.writer.mailbox.put(Verdict::refused(number, why, elapsed));
            }
        }
    }

    /// Gives a line to the producer. It waits for memory, and for the topic to be known.
    fn produce(&mut self, number: u64, line: &[u8], started: Instant) -> Result<(), Arc<str>> {
        let (key, value) = split_key(line, self.separator);
        let (token, timeout) = (Some(number), self.deadline);
        let record = Record { key, value: Some(value), timeout, token, ..Record::default() };
        let sender = self.sender;
        match sender.try_send(&self.topic, &record) {
            Ok(()) => {
                self.unknown_topic = None;
                return Ok(());
            }
            Err(SendError::MetadataPending { .. }) => {
                let unknown = UnknownTopic { since: started, why: None };
                let unknown = self.unknown_topic.get_or_insert(unknown);
                let waited = started.since(unknown.since) >= self.max_block;
                if let Some(why) = unknown.why.as_ref().filter(|_| waited) {
                    return Err(Arc::clone(why));
                }
            }
            Err(SendError::Full { .. }) => {}
            Err(error) => return Err(self.explain(&error)),
        }
        let result = sender.send(&self.topic, &record);
        let Err(error) = result else {
            self.unknown_topic = None;
            return Ok(());
        };
        let why = self.explain(&error);
        if let Some(unknown) = &mut self.unknown_topic {
            unknown.why = Some(Arc::clone(&why));
        }
        Err(why)
    }

    fn explain(&self, error: &SendError) -> Arc<str> {
        if let SendError::Refused(ProduceError::Topic(code)) = error {
            return format!("topic {:?} cannot be written to: {code}", self.topic.name()).into();
        }
        if self.stop.is_set() && *error == SendError::Refused(ProduceError::Closing) {
            return "interrupted".into();
        }
        error.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line_of_names_and_numbers() {
        let tally = Tally { delivered: 10, not_delivered: 2, unknown: 1 };
        assert_eq!(
            summary(&tally, Duration::from_millis(2500)),
            "delivered=10 not_delivered=2 unknown=1 elapsed_s=2.500 rate=4"
        );
        assert!(summary(&Tally::default(), Duration::ZERO).ends_with("elapsed_s=0.000 rate=0"));
    }
}
