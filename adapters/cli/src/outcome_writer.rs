//! The thread that writes the outcome of each line.

use std::{
    fs::{File, Metadata},
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, bail};

use ottla_core::LastError;

use crate::{
    outcome_queue::Mailbox,
    outcome_text::{Kind, Tally, Verdict, Why},
    progress::Progress,
    same_file::are_one_file,
    stdout_stderr::{ERR, OUT, is_closed_pipe},
};

/// How many deliveries are shown where nothing else was asked for.
const SHOWN: u64 = 50;
/// How many different causes are named on standard error.
const CAUSES: usize = 10;

/// Where outcomes go.
pub(crate) enum Sink {
    /// One JSON object for each.
    Json(Box<dyn Write + Send>),
    /// The first deliveries in words.
    Words {
        /// Where they went.
        topic: String,
    },
    /// Nowhere: they are counted.
    Nowhere,
}

/// Where `--outcomes` go; nothing is written yet.
pub(crate) enum Outcomes {
    Stdout,
    File {
        file: File,
        /// Whether there may be something in it that is to be overwritten.
        regular: bool,
    },
}

impl Outcomes {
    /// Opens a file, or standard output if it is called `-`. What is in it stays, in case that something
    /// else is refused.
    pub(crate) fn open(path: &Path, input: Option<&Metadata>) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        let name = || format!("--outcomes {}", path.display());
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(name)?;
        let metadata = file.metadata().with_context(name)?;
        if input.is_some_and(|input| are_one_file(input, &metadata)) {
            bail!("{}: that is the input", name());
        }
        if ERR.metadata().is_some_and(|err| are_one_file(&err, &metadata)) {
            bail!("{}: that is the file that standard error is written to", name());
        }
        Ok(Self::File { file, regular: metadata.is_file() })
    }

    /// Overwrites what is there.
    pub(crate) fn begin(self) -> anyhow::Result<Sink> {
        // What becomes of standard output it tells by itself.
        let to: Box<dyn Write + Send> = match self {
            Self::Stdout => Box::new(&*OUT),
            Self::File { file, regular } => {
                if regular {
                    file.set_len(0).context("--outcomes")?;
                }
                Box::new(file)
            }
        };
        Ok(Sink::Json(Box::new(BufWriter::with_capacity(1 << 16, to))))
    }
}

/// The thread that writes.
pub(crate) struct Writer {
    pub(crate) mailbox: Arc<Mailbox<Verdict>>,
    thread: JoinHandle<(Tally, io::Result<()>)>,
}

impl Writer {
    /// Starts to write what comes to the mailbox.
    pub(crate) fn start(mailbox: Arc<Mailbox<Verdict>>, sink: Sink, progress: Progress) -> Self {
        let desk = Desk { sink, progress, shown: 0, causes: Vec::new(), failed: None };
        let theirs = Arc::clone(&mailbox);
        let thread = thread::spawn(move || desk.work(&theirs));
        Self { mailbox, thread }
    }

    /// Writes what is left. Returns the final outcome of each line, counted, and whether all was written.
    pub(crate) fn finish(self) -> (Tally, anyhow::Result<()>) {
        self.mailbox.close();
        let (tally, written) = self
            .thread
            .join()
            .unwrap_or_else(|_| (Tally::default(), Err(io::Error::other("the writer panicked"))));
        (tally, written.context("--outcomes: not all outcomes are written"))
    }
}

struct Desk {
    sink: Sink,
    progress: Progress,
    shown: u64,
    causes: Vec<(Why, Option<LastError>)>,
    failed: Option<io::Error>,
}

impl Desk {
    fn work(mut self, mailbox: &Mailbox<Verdict>) -> (Tally, io::Result<()>) {
        let mut some = Vec::new();
        let mut tally = Tally::default();
        while mailbox.take(&mut some) {
            for verdict in some.drain(..) {
                match verdict.late {
                    true => tally.replace_unknown(verdict.kind),
                    false => tally.add(verdict.kind),
                }
                self.name_cause(&verdict);
                self.write(&verdict);
            }
            if let Sink::Json(file) = &mut self.sink {
                // The file is to be read while it is written, and nothing else is to be done now.
                let flushed = file.flush();
                self.note(flushed);
            }
            self.progress.told(&tally);
        }
        if self.shown > SHOWN {
            self.progress.print(&format!("… and {} more", self.shown - SHOWN));
        }
        let missed = self.failed.filter(|error| !is_closed_pipe(error));
        (tally, missed.map_or(Ok(()), Err))
    }

    /// Tells at once where outcomes can no longer be written: the end may be far away.
    fn note(&mut self, written: io::Result<()>) {
        let Err(error) = written else {
            return;
        };
        if self.failed.is_none() {
            if !is_closed_pipe(&error) {
                let line = format!("ottla: --outcomes: no more outcomes are written: {error}");
                self.progress.complain(&line);
            }
            self.failed = Some(error);
        }
    }

    fn write(&mut self, verdict: &Verdict) {
        match &mut self.sink {
            Sink::Json(file) if self.failed.is_none() => {
                let written = serde_json::to_writer(&mut *file, verdict);
                let written = written.map_err(io::Error::from).and_then(|()| file.write_all(b"\n"));
                self.note(written);
            }
            Sink::Words { topic } if verdict.kind == Kind::Delivered => {
                self.shown += 1;
                if self.shown <= SHOWN {
                    self.progress.print(&words(topic, verdict));
                }
            }
            Sink::Json(_) | Sink::Words { .. } | Sink::Nowhere => {}
        }
    }

    /// Names each cause once, so that the reason is seen even where outcomes go to a file.
    fn name_cause(&mut self, verdict: &Verdict) {
        let Some(cause) = &verdict.cause else {
            return;
        };
        let Verdict { line, kind, last_error, message, .. } = verdict;
        let known = |(named, last): &(Why, _)| named == cause && last == last_error;
        if self.causes.len() < CAUSES && !self.causes.iter().any(known) {
            let last = last_error.map(|error| format!("; last error: {error}"));
            let last = last.unwrap_or_default();
            let says = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            self.progress.complain(&format!("ottla: line {line}: {kind}: {cause}{says}{last}"));
            self.causes.push((cause.clone(), *last_error));
        }
    }
}

fn words(topic: &str, verdict: &Verdict) -> String {
    let Verdict { line, partition, offset, .. } = verdict;
    let partition = partition.unwrap_or_default();
    let late = if verdict.late { " (late)" } else { "" };
    match offset {
        Some(offset) => format!("line {line} -> {topic}-{partition} @ offset {offset}{late}"),
        None => format!("line {line} -> {topic}-{partition}{late}"),
    }
}
