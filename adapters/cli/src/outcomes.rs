//! The thread that writes what became of each line.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::Context as _;

use crate::{
    mailbox::Mailbox,
    progress::Progress,
    verdict::{Kind, Tally, Verdict, Why},
};

/// How many deliveries are shown where nothing else was asked for.
const SHOWN: u64 = 50;
/// How many different causes are named on standard error.
const CAUSES: usize = 10;

/// Where verdicts go.
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

impl Sink {
    /// A file, or standard output if it is called `-`.
    pub(crate) fn json(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Json(Box::new(io::stdout())));
        }
        let file = File::create(path).with_context(|| format!("--outcomes {}", path.display()))?;
        Ok(Self::Json(Box::new(BufWriter::with_capacity(1 << 16, file))))
    }
}

/// The thread that writes.
pub(crate) struct Writer {
    pub(crate) mailbox: Arc<Mailbox<Verdict>>,
    thread: JoinHandle<io::Result<Tally>>,
}

impl Writer {
    /// Starts to write what comes to the mailbox.
    pub(crate) fn start(sink: Sink, progress: Progress) -> Self {
        let mailbox = Arc::new(Mailbox::new());
        let desk = Desk { sink, progress, shown: 0, causes: Vec::new(), failed: None };
        let theirs = Arc::clone(&mailbox);
        let thread = thread::spawn(move || desk.work(&theirs));
        Self { mailbox, thread }
    }

    /// Writes what is left. Returns the last word on each line, counted.
    pub(crate) fn finish(self) -> anyhow::Result<Tally> {
        self.mailbox.close();
        let written = self.thread.join();
        let written = written.unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
        written.context("--outcomes: verdicts could not be written")
    }
}

struct Desk {
    sink: Sink,
    progress: Progress,
    shown: u64,
    causes: Vec<Why>,
    failed: Option<io::Error>,
}

impl Desk {
    fn work(mut self, mailbox: &Mailbox<Verdict>) -> io::Result<Tally> {
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
                self.failed = self.failed.take().or(flushed.err());
            }
            self.progress.told(&tally);
        }
        if self.shown > SHOWN {
            self.progress.print(&format!("… and {} more", self.shown - SHOWN));
        }
        self.failed.map_or(Ok(tally), Err)
    }

    fn write(&mut self, verdict: &Verdict) {
        match &mut self.sink {
            Sink::Json(file) if self.failed.is_none() => {
                let written = serde_json::to_writer(&mut *file, verdict);
                let written = written.map_err(io::Error::from).and_then(|()| file.write_all(b"\n"));
                self.failed = written.err();
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

    /// Names each cause once, so that the reason is seen even where verdicts go to a file.
    fn name_cause(&mut self, verdict: &Verdict) {
        let Some(cause) = &verdict.cause else {
            return;
        };
        if self.causes.len() < CAUSES && !self.causes.contains(cause) {
            let Verdict { line, kind, .. } = verdict;
            self.progress.complain(&format!("ottla: line {line}: {kind}: {cause}"));
            self.causes.push(cause.clone());
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
