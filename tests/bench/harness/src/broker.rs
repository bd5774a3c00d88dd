//! What the contestants talk to.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use ottla_kafka::{Cluster, Config, NEWEST};
use serde::Deserialize;

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

/// A sink that runs, for one run of one contestant.
#[derive(Debug)]
pub(crate) struct Sink {
    child: Child,
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
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let addresses = read.map_err(anyhow::Error::new).and_then(|_| {
            serde_json::from_str(&line).with_context(|| format!("the sink says {line:?}"))
        });
        match addresses {
            Ok(addresses) => Ok(Self { child, addresses, authority }),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }
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
