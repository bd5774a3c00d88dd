//! What the contestants talk to.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use ottla_kafka::{Cluster, Config, NEWEST};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    arguments::Arguments,
    cell::{Cell, Shape},
    contestant::program,
};

/// How many brokers and partitions have nothing to do where much is idle. One more broker, so that
/// as many connections are idle whichever leads what is busy.
pub(crate) const IDLE_BROKERS: u32 = 200;
pub(crate) const IDLE_PARTITIONS: u32 = 10_000;

/// How long Kafka may clean up after a topic before the next run: `file.delete.delay.ms` is 1 s.
const TIDY: Duration = Duration::from_millis(1500);

/// Where a sink listens.
#[derive(Debug, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) bootstrap: String,
    /// Gives bytes back as they are.
    pub(crate) echo: String,
}

/// What a sink was sent by all requests to produce of a run, the warm-up's among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) records: u64,
    /// With all heads of requests and batches.
    pub(crate) bytes: u64,
}

/// A sink that runs, for one run of one contestant.
#[derive(Debug)]
pub(crate) struct Sink {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) addresses: Addresses,
    /// With TLS, the file that says who signed its certificate.
    pub(crate) authority: Option<PathBuf>,
}

impl Sink {
    pub(crate) fn start(arguments: &Arguments, cell: &Cell) -> Result<Self> {
        let mut command = program("bench-sink", &arguments.bin_dir)?;
        command.args(["--partitions", &cell.partitions.to_string()]);
        let authority = cell.tls.then(|| arguments.out.join("sink-authority.pem"));
        if let Some(path) = &authority {
            command.arg("--tls").arg(path);
        }
        match cell.shape {
            Shape::Overload => {
                command.arg("--stall");
            }
            Shape::Idle => {
                command.args(["--brokers", &(IDLE_BROKERS + 1).to_string()]);
                command.args(["--idle-partitions", &IDLE_PARTITIONS.to_string()]);
            }
            Shape::Load | Shape::Lone => {}
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut stdout = BufReader::new(stdout);
        match said(&mut stdout) {
            Ok(addresses) => Ok(Self { child, stdout, addresses, authority }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }
}

impl Sink {
    /// What it was sent. It says so when its input ends, and is of no use from then on.
    pub(crate) fn received(mut self) -> Result<Received> {
        drop(self.child.stdin.take());
        said(&mut self.stdout)
    }
}

/// The next line that a sink says.
fn said<T: DeserializeOwned>(stdout: &mut BufReader<ChildStdout>) -> Result<T> {
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("the sink says {line:?}"))
}

impl Drop for Sink {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// It has nothing to lose.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A real Kafka of one node, for many runs.
#[derive(Debug)]
pub(crate) struct Kafka {
    cluster: Cluster,
    topics: u32,
}

impl Kafka {
    pub(crate) fn start() -> Result<Self> {
        let mut config = Config::new(NEWEST, 1)?;
        config.heap_mib = 1024;
        Ok(Self { cluster: Cluster::start(&config)?, topics: 0 })
    }

    pub(crate) fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    /// Makes a topic of its own for a run.
    pub(crate) fn topic(&mut self, partitions: u32) -> Result<String> {
        self.topics += 1;
        let topic = format!("bench-{}", self.topics);
        self.cluster.create_topic(&topic, i32::try_from(partitions)?, 1, &[])?;
        Ok(topic)
    }

    /// Deletes it, and waits until its files are gone.
    pub(crate) fn forget(&self, topic: &str) -> Result<()> {
        self.cluster.delete_topic(topic)?;
        thread::sleep(TIDY);
        Ok(())
    }
}
