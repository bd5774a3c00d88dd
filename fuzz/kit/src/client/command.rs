//! The client's process.

use core::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process_group};

/// A record of which the client said that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// When, in milliseconds since the process began.
    pub at_ms: u64,
    /// In which partition.
    pub partition: i32,
    /// At which offset, if it says so.
    pub offset: Option<i64>,
    /// Its value.
    pub value: String,
}

impl Acknowledged {
    /// `ack PARTITION OFFSET VALUE`, where an offset that is not known is `-`. Any other line is none.
    #[must_use]
    pub fn read(line: &str, at_ms: u64) -> Option<Self> {
        let mut words = line.strip_prefix("ack ")?.splitn(3, ' ');
        let (partition, offset, value) = (words.next()?, words.next()?, words.next()?);
        let offset = match offset {
            "-" => None,
            offset => Some(offset.parse().ok()?),
        };
        Some(Self { at_ms, partition: partition.parse().ok()?, offset, value: value.to_owned() })
    }
}

/// The process group of the client that runs; 0 is none.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// Kills the client that runs, for who is about to end: being in a group of its own, it does not hear of Ctrl-C.
pub fn kill_running() {
    let group = i32::try_from(RUNNING.swap(0, Ordering::AcqRel)).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // Who is gone already is no matter.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// A client that runs, in a process group of its own. Dropped, it is killed.
#[derive(Debug)]
pub struct Client {
    child: Child,
    begin: Instant,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    ended: Option<ExitStatus>,
    /// Whether it was asked to end.
    asked: bool,
}

impl Client {
    /// Starts it. In its arguments `{bootstrap}` and `{topic}` stand for those; they are in `OTTLA_FUZZ_BOOTSTRAP` and
    /// `OTTLA_FUZZ_TOPIC` as well. What it writes to standard error goes to ours, or nowhere.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        command: &[String],
        bootstrap: &str,
        topic: &str,
        quiet: bool,
    ) -> io::Result<Self> {
        let filled =
            |text: &String| text.replace("{bootstrap}", bootstrap).replace("{topic}", topic);
        let mut words = command.iter().map(filled);
        let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(words)
            .env("OTTLA_FUZZ_BOOTSTRAP", bootstrap)
            .env("OTTLA_FUZZ_TOPIC", topic)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(if quiet { Stdio::null() } else { Stdio::inherit() })
            .process_group(0)
            .spawn()?;
        RUNNING.store(child.id(), Ordering::Release);
        let begin = Instant::now();
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        if let Some(stdout) = child.stdout.take() {
            let acknowledged = Arc::clone(&acknowledged);
            thread::Builder::new().name("ottla-fuzz-stdout".to_owned()).spawn(move || {
                for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                    let at_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let line = String::from_utf8_lossy(&line);
                    if let Some(record) = Acknowledged::read(line.trim_end_matches('\r'), at_ms) {
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(record);
                    }
                }
            })?;
        }
        Ok(Self { child, begin, acknowledged, ended: None, asked: false })
    }

    /// What it said so far.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many records it said are in the log.
    #[must_use]
    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Milliseconds since it began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How it ended, in words, if it did so before it was asked to.
    pub fn ended_early(&mut self) -> Option<String> {
        if self.asked {
            return None;
        }
        let status = self.status()?;
        Some(match (status.code(), status.signal()) {
            (_, Some(signal)) => format!("it was ended by signal {signal}"),
            (Some(code), None) => format!("it ended by itself, with status {code}"),
            (None, None) => "it ended by itself".to_owned(),
        })
    }

    fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Asks it to end (SIGTERM), and kills it where it has not after `within`. Returns whether it ended when it was asked.
    pub fn end(&mut self, within: Duration) -> bool {
        self.asked = true;
        let group = self.group();
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let begin = Instant::now();
        while self.status().is_none() && begin.elapsed() < within {
            thread::sleep(Duration::from_millis(10));
        }
        let ended = self.status().is_some();
        if let Some(group) = group {
            // Its children may be there still.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        RUNNING.store(0, Ordering::Release);
        // What it said last is on its way.
        thread::sleep(Duration::from_millis(50));
        ended
    }

    /// The memory of its process group, in MiB, where the operating system tells (Linux).
    #[must_use]
    pub fn rss_mib(&self) -> Option<u64> {
        let group = self.child.id();
        let mut pages = 0_u64;
        let mut found = false;
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let path = entry.path();
            let Ok(stat) = fs::read_to_string(path.join("stat")) else {
                continue;
            };
            // The name in brackets may have anything in it.
            let Some((_, rest)) = stat.rsplit_once(") ") else {
                continue;
            };
            let fields: Vec<&str> = rest.split(' ').collect();
            // State, parent, process group; the resident pages are the 22nd from the state on.
            if fields.get(2).and_then(|field| field.parse().ok()) == Some(group) {
                found = true;
                pages += fields.get(21).and_then(|field| field.parse().ok()).unwrap_or(0);
            }
        }
        let size = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        found.then_some(pages.saturating_mul(size) >> 20)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.status().is_none()
            && let Some(group) = self.group()
        {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let read = |line| {
            let read = Acknowledged::read(line, 5);
            read.map(|read| (read.partition, read.offset, read.value))
        };
        assert_eq!(read("ack 1 7 a value"), Some((1, Some(7), "a value".to_owned())));
        assert_eq!(read("ack 0 - x"), Some((0, None, "x".to_owned())));
        for none in ["", "ack", "ack 1 7", "ack x 7 v", "ack 1 x v", " ack 1 7 v", "acked 1 7 v"] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
