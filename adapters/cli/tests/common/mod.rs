//! Running the command, and what it said.
#![allow(dead_code)] // each test file uses its part

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
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

    /// Refused before anything was sent, in words that hold `says`.
    pub(crate) fn refused(&self, says: &[&str]) {
        assert_eq!(self.status, 1, "{self:?}");
        says.iter().for_each(|says| assert!(self.stderr.contains(says), "{says}: {self:?}"));
    }
}

pub(crate) fn spawn(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

pub(crate) fn ended(output: Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the command with this on its standard input.
pub(crate) fn ottla(args: &[&str], input: &[u8]) -> Ran {
    let mut child = spawn(args);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = ended(child.wait_with_output().unwrap());
    writer.join().unwrap();
    ran
}

/// Runs the command with these lines on its standard input, a while apart, and all that it logs.
pub(crate) fn ottla_aloud(args: &[&str], lines: &[&[u8]]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).env("RUST_LOG", "debug");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    let writer = std::thread::spawn(move || {
        for line in lines {
            drop(stdin.write_all(&line));
            std::thread::sleep(core::time::Duration::from_millis(300));
        }
    });
    let ran = ended(child.wait_with_output().unwrap());
    writer.join().unwrap();
    ran
}

/// A cluster of one node that has the topic `t` with one partition.
pub(crate) fn server() -> Server {
    let config = ClusterConfig { auto_create: AutoCreate::Never, ..ClusterConfig::default() };
    let server = Server::start(&["127.0.0.1:0".parse().unwrap()], config).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 1)).unwrap();
    server
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
