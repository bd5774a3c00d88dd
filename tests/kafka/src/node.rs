//! One node: its directory, its files and its process.

use core::time::Duration;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::{
    Jars,
    process::{Process, java},
    properties::{Addresses, SESSION_TIMEOUT_MS, logging},
};

/// How long a node may take to start. On an idle machine it is a few seconds.
const START: Duration = Duration::from_secs(120);

/// A broker (and KRaft controller) with the directory it lives in.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) addresses: Addresses,
    dir: PathBuf,
    jars: Jars,
    heap_mib: u32,
    starts: u32,
    process: Option<Process>,
    is_frozen: bool,
    /// When it was last ended without a farewell to ZooKeeper.
    killed: Option<Instant>,
}

impl Node {
    /// A node that lives in `dir`, and has its `server.properties` there.
    pub(crate) fn new(id: i32, addresses: Addresses, dir: PathBuf, jars: Jars, heap: u32) -> Self {
        Self {
            id,
            addresses,
            dir,
            jars,
            heap_mib: heap,
            starts: 0,
            process: None,
            is_frozen: false,
            killed: None,
        }
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it is up and not frozen.
    pub(crate) const fn is_awake(&self) -> bool {
        self.is_up() && !self.is_frozen
    }

    /// Starts `kafka.tools.StorageTool format`.
    pub(crate) fn format(&self, cluster_id: &str) -> Result<Process> {
        let mut command = jvm(&self.jars, &self.dir, "format", "WARN", 128)?;
        command.args(["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c"]);
        command.arg(self.dir.join("server.properties"));
        Process::start(command)
    }

    /// Starts the broker; [`Self::await_started`] is to follow.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("node {} runs", self.id);
        }
        if let Some(killed) = self.killed.take().filter(|_| self.jars.version().needs_zookeeper()) {
            // ZooKeeper refuses a broker id that belongs to a session not yet timed out.
            let timeout = Duration::from_millis(u64::from(SESSION_TIMEOUT_MS) + 1000);
            std::thread::sleep(timeout.saturating_sub(killed.elapsed()));
        }
        self.starts += 1;
        let mut command = jvm(&self.jars, &self.dir, &self.run_name(), "INFO", self.heap_mib)?;
        command.arg("kafka.Kafka").arg(self.dir.join("server.properties"));
        self.process = Some(Process::start(command)?);
        self.is_frozen = false;
        Ok(())
    }

    /// Waits until the broker has said that it is up: registered, and not fenced.
    pub(crate) fn await_started(&mut self) -> Result<()> {
        let log = self.dir.join(format!("{}.log", self.run_name()));
        let process = self.process.as_mut().context("the node was not started")?;
        await_line(process, &log, "started (kafka.server.Kafka")
            .with_context(|| format!("starting node {}", self.id))
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut process =
            self.process.take().with_context(|| format!("node {} is down", self.id))?;
        self.killed = Some(Instant::now());
        process.kill()
    }

    pub(crate) fn shut_down(&mut self) -> Result<()> {
        let mut process =
            self.process.take().with_context(|| format!("node {} is down", self.id))?;
        process.signal(Signal::TERM)?;
        ensure!(wait(&mut process, START)?, "node {} does not shut down", self.id);
        Ok(())
    }

    pub(crate) fn freeze(&mut self) -> Result<()> {
        self.process.as_ref().with_context(|| format!("node {} is down", self.id))?.freeze()?;
        self.is_frozen = true;
        Ok(())
    }

    pub(crate) fn thaw(&mut self) -> Result<()> {
        let process = self.process.as_ref().with_context(|| format!("node {} is down", self.id))?;
        process.signal(Signal::CONT)?;
        self.is_frozen = false;
        Ok(())
    }

    /// Each start logs to files of its own.
    fn run_name(&self) -> String {
        format!("broker-{}", self.starts)
    }
}

/// A `java` command up to the main class that logs to `<dir>/<name>.log`, with what it prints in
/// `<dir>/<name>.out`.
pub(crate) fn jvm(jars: &Jars, dir: &Path, name: &str, level: &str, heap: u32) -> Result<Command> {
    let log = dir.join(format!("{name}.log")).display().to_string();
    let path = dir.join(format!("{name}.log4j.properties"));
    let logging = logging(jars.version(), level, &log, &path.display().to_string());
    fs::write(&path, logging.text)?;
    let printed = File::create(dir.join(format!("{name}.out")))?;
    let mut command = java(heap);
    command.arg(logging.option).args(["-cp", &jars.class_path()]).current_dir(dir);
    command.stdin(std::process::Stdio::null()).stdout(printed.try_clone()?).stderr(printed);
    Ok(command)
}

/// Waits until `process` has written `line` to `log`; fails with the log's end when it ends before.
pub(crate) fn await_line(process: &mut Process, log: &Path, line: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        let ended = process.ended()?;
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains(line) {
            return Ok(());
        }
        if ended.is_some() || begin.elapsed() > START {
            let printed = fs::read_to_string(log.with_extension("out")).unwrap_or_default();
            let (first, last) = (first_errors(&text), tail(&text));
            bail!("{ended:?} without {line:?}: {first} … {last} {}", tail(&printed));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether `process` ends within `limit`.
pub(crate) fn wait(process: &mut Process, limit: Duration) -> Result<bool> {
    let begin = Instant::now();
    while process.ended()?.is_none() {
        if begin.elapsed() > limit {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}

/// The lines of a log from the first error on, with what caused it.
fn first_errors(text: &str) -> String {
    let wrong = |line: &&str| !line.contains(" ERROR ") && !line.contains(" FATAL ");
    text.lines().skip_while(wrong).take(30).collect::<Vec<_>>().join("\n")
}

/// The last lines of a log.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
