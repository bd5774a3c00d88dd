//! The thread that reads.

use core::time::Duration;
use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

use anyhow::{Context as _, bail};
use ottla_client::Clock;

use crate::{
    line_splitter::{Lines, Splitter},
    same_file::are_one_file,
    stdout_stderr::{ERR, OUT},
};

/// Bytes asked for at once.
const CHUNK: usize = 64 * 1024;
/// Bytes asked for at once where the lines are to come slowly.
const SLOW_CHUNK: usize = 4 * 1024;
/// Chunks that wait to be sent.
const QUEUE: usize = 4;

/// What the reader has to say.
#[derive(Debug)]
pub(crate) enum Input {
    /// Lines.
    Lines(Lines),
    /// Reading failed; nothing more comes.
    Failed(io::Error),
    /// There will be no more, or nobody wants more.
    End,
}

/// Where lines come from.
pub(crate) struct Source {
    reader: Box<dyn Read + Send>,
    /// What the operating system knows of it.
    pub(crate) metadata: Option<Metadata>,
}

impl Source {
    /// Its size, if it is a file.
    pub(crate) fn size(&self) -> Option<u64> {
        self.metadata.as_ref().filter(|metadata| metadata.is_file()).map(Metadata::len)
    }
}

/// Opens the file, or standard input. What is said while it is read must not go there: it would be read as
/// well, and so for ever.
pub(crate) fn open(file: Option<&Path>) -> anyhow::Result<Source> {
    let source = open_any(file)?;
    for (voice, name) in [(&OUT, "standard output"), (&ERR, "standard error")] {
        let pair = source.metadata.as_ref().zip(voice.metadata());
        if pair.is_some_and(|(input, output)| are_one_file(input, &output)) {
            bail!("the input is the file that {name} is written to");
        }
    }
    Ok(source)
}

fn open_any(file: Option<&Path>) -> anyhow::Result<Source> {
    let Some(path) = file else {
        let stdin = io::stdin();
        let file = stdin.as_fd().try_clone_to_owned().map(File::from);
        let metadata = file.and_then(|file| file.metadata()).ok();
        return Ok(Source { reader: Box::new(stdin), metadata });
    };
    let file = File::open(path).with_context(|| format!("--file {}", path.display()))?;
    let metadata = file.metadata().with_context(|| format!("--file {}", path.display()))?;
    if metadata.is_dir() {
        bail!("--file {}: it is a directory", path.display());
    }
    Ok(Source { reader: Box::new(file), metadata: Some(metadata) })
}

/// Starts to read. The sender is for others who want to say [`Input::End`].
pub(crate) fn start(
    source: Source,
    max: usize,
    rate: Option<u64>,
) -> (SyncSender<Input>, Receiver<Input>) {
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    let ours = sender.clone();
    thread::spawn(move || {
        let last = match read(source.reader, max, rate, &ours) {
            Ok(()) => Input::End,
            Err(error) => Input::Failed(error),
        };
        // Nobody listens any more: then nobody misses it.
        drop(ours.send(last));
    });
    (sender, receiver)
}

fn read(
    mut reader: Box<dyn Read + Send>,
    max: usize,
    rate: Option<u64>,
    to: &SyncSender<Input>,
) -> io::Result<()> {
    let mut buffer = vec![0; if rate.is_some() { SLOW_CHUNK } else { CHUNK }];
    let mut splitter = Splitter::new(max);
    let mut pace = rate.map(Pace::new);
    loop {
        let lines = match reader.read(&mut buffer) {
            Ok(0) => None,
            Ok(length) => Some(splitter.push(buffer.get(..length).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let more = lines.is_some();
        let lines = lines.unwrap_or_else(|| splitter.finish());
        let sent = match &mut pace {
            None => lines.is_empty() || to.send(Input::Lines(lines)).is_ok(),
            Some(pace) => lines.singly().all(|line| {
                pace.wait();
                to.send(Input::Lines(line)).is_ok()
            }),
        };
        if !(more && sent) {
            return Ok(());
        }
    }
}

/// Lets time pass between lines.
struct Pace {
    clock: Clock,
    rate: u64,
    lines: u64,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self { clock: Clock::start(), rate, lines: 0 }
    }

    fn wait(&mut self) {
        let due = Duration::from_micros(
            u64::try_from(u128::from(self.lines) * 1_000_000 / u128::from(self.rate))
                .unwrap_or(u64::MAX),
        );
        let now = Duration::from_micros(self.clock.now().as_micros());
        match due.checked_sub(now) {
            Some(left) => thread::sleep(left),
            // What was missed by more than a second is not made up for.
            None if now - due > Duration::from_secs(1) => {
                *self = Self::new(self.rate);
            }
            None => {}
        }
        self.lines += 1;
    }
}
