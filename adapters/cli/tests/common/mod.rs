//! Running the command, and what it said.
#![allow(dead_code)] // each test file uses its part

use core::time::Duration;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Instant,
};

use ottla_model::{AutoCreate, ClusterConfig, serve::Server};
use serde_json::Value;

pub(crate) const DRIVERS: [&str; 2] = ["tokio", "blocking"];

/// What a run of the command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The summary's numbers: delivered, not delivered, unknown.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let summary = self.stderr.lines().find(|line| line.starts_with("delivered="));
        let summary = summary.unwrap_or_else(|| panic!("no summary: {self:?}"));
        let fields: BTreeMap<&str, &str> =
            summary.split(' ').filter_map(|field| field.split_once('=')).collect();
        for field in ["elapsed_s", "rate"] {
            assert!(fields[field].parse::<f64>().is_ok(), "{summary}");
        }
        ["delivered", "not_delivered", "unknown"].map(|field| fields[field].parse().unwrap())
    }

    /// How long it took, by the summary.
    pub(crate) fn seconds(&self) -> f64 {
        let elapsed = self.stderr.split("elapsed_s=").nth(1).unwrap_or_default();
        elapsed.split(' ').next().unwrap_or_default().parse().unwrap()
    }

    /// Refused before anything was sent, in words that hold `says`.
    pub(crate) fn refused(&self, says: &[&str]) {
        assert_eq!(self.status, 1, "{self:?}");
        says.iter().for_each(|says| assert!(self.stderr.contains(says), "{says}: {self:?}"));
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn spawn(args: &[&str]) -> Child {
    command(args).spawn().unwrap()
}

pub(crate) fn ended(output: Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run of the command to which lines are said one by one.
#[derive(Debug)]
pub(crate) struct Talk {
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it says is read as it comes, so that it never waits for that.
    stdout: JoinHandle<String>,
    stderr: JoinHandle<()>,
    heard: Arc<Mutex<String>>,
}

impl Talk {
    /// Starts the command with these environment variables.
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = command(args).envs(env.iter().copied()).spawn().unwrap();
        let (mut out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let stdout = thread::spawn(move || {
            let mut all = String::new();
            out.read_to_string(&mut all).unwrap();
            all
        });
        let heard = Arc::new(Mutex::new(String::new()));
        let theirs = Arc::clone(&heard);
        let stderr = thread::spawn(move || {
            for line in BufReader::new(err).lines() {
                *theirs.lock().unwrap() += &(line.unwrap() + "\n");
            }
        });
        Self { stdin: child.stdin.take(), child, stdout, stderr, heard }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        writeln!(stdin, "{line}").unwrap();
    }

    /// As [`Talk::say`], to one that may have ended.
    pub(crate) fn try_say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        drop(writeln!(stdin, "{line}"));
    }

    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until its standard error holds this.
    pub(crate) fn hear(&self, what: &str) {
        wait_for(what, || self.heard.lock().unwrap().contains(what));
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ran {
        self.end_input();
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        let stdout = self.stdout.join().unwrap();
        self.stderr.join().unwrap();
        let stderr = self.heard.lock().unwrap().clone();
        Ran { status, stdout, stderr }
    }
}

/// Runs the command with this on its standard input.
pub(crate) fn ottla(args: &[&str], input: &[u8]) -> Ran {
    let mut child = spawn(args);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = ended(child.wait_with_output().unwrap());
    writer.join().unwrap();
    ran
}

/// All that it logs.
pub(crate) const ALOUD: [(&str, &str); 1] = [("RUST_LOG", "debug")];

/// A cluster of one node that has the topic `t` with one partition.
pub(crate) fn server() -> Server {
    let config = ClusterConfig { auto_create: AutoCreate::Never, ..ClusterConfig::default() };
    let server = Server::start(&["127.0.0.1:0".parse().unwrap()], config).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 1)).unwrap();
    server
}

/// Longer than anything takes that a test waits for, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// # Panics
///
/// Where it is not done in time.
#[allow(clippy::disallowed_methods)] // tests look at the time
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A file that goes with its test.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        Self(directory.join(format!("{name}-{}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// How many lines there are so far; the last may not be whole.
    pub(crate) fn lines(&self) -> usize {
        fs::read_to_string(&self.0).unwrap_or_default().lines().count()
    }

    /// The JSON object on each line.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}
