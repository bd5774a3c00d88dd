//! The long-lived Java process that asks Kafka's own clients.

use core::time::Duration;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::Stdio,
    sync::{Mutex, PoisonError, mpsc},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Jars, Record, node::jvm, process::Process};

/// How long one answer may take: longer than every limit inside `Tool.java`.
const ANSWER: Duration = Duration::from_secs(150);

/// A partition as Kafka's own admin client describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The number of the partition.
    pub partition: i32,
    /// The node that leads it, if any.
    pub leader: Option<i32>,
    /// The nodes that hold a replica.
    pub replicas: Vec<i32>,
    /// The nodes whose replica is in sync.
    pub isr: Vec<i32>,
}

/// Kafka's own Java clients, in one process that is asked line by line (see `java/Tool.java`).
#[derive(Debug)]
pub struct Tool {
    /// None once an answer failed to come: the stream of answers cannot be trusted any more.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    lines: mpsc::Receiver<String>,
}

impl Tool {
    /// Starts the process with the clients among `jars`, for the brokers of `bootstrap` (which
    /// [`Self::partitions_for`] does not ask); `dir` is for its logs.
    ///
    /// # Errors
    /// When Java cannot be started.
    pub fn start(jars: &Jars, bootstrap: &str, dir: &Path) -> Result<Self> {
        let mut command = jvm(jars, dir, "tool", "WARN", 512)?;
        command.args(["Tool", bootstrap]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(command)?;
        let stdout = process.child().stdout.take().context("no stdout")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { running: Mutex::new(Some(Running { process, lines })) })
    }

    /// The partition of `partitions` that the Java producer chooses for each of `keys`.
    ///
    /// # Errors
    /// When the process fails.
    pub fn partitions_for(&self, partitions: i32, keys: &[&[u8]]) -> Result<Vec<i32>> {
        let mut command = vec!["murmur2".to_owned(), partitions.to_string()];
        command.extend(keys.iter().map(hex::encode));
        self.ask(&command)?.iter().map(|line| Ok(line.parse()?)).collect()
    }

    /// StoredKey and ServerKey of SCRAM, as Kafka's own client derives them.
    ///
    /// # Errors
    /// When the process fails, or there is no such mechanism.
    pub fn scram_keys(
        &self,
        mechanism: &str,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<[Vec<u8>; 2]> {
        let mut command = vec!["scram-keys".to_owned(), mechanism.to_owned()];
        command.extend([iterations.to_string(), hex::encode(salt), hex::encode(password)]);
        let keys = self.ask(&command)?;
        let keys: Vec<_> = keys.iter().map(hex::decode).collect::<Result<_, _>>()?;
        keys.try_into().map_err(|keys| anyhow::anyhow!("not two keys: {keys:?}"))
    }

    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: i16,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let mut command = vec!["create-topic".to_owned(), name.to_owned()];
        command.extend([partitions.to_string(), replication.to_string()]);
        command.extend(configs.iter().flat_map(|(k, v)| [(*k).to_owned(), (*v).to_owned()]));
        self.ask(&command).map(drop)
    }

    pub(crate) fn delete_topic(&self, name: &str) -> Result<()> {
        self.ask(&["delete-topic".to_owned(), name.to_owned()]).map(drop)
    }

    pub(crate) fn partitions(&self, topic: &str) -> Result<Vec<Partition>> {
        let lines = self.ask(&["partitions".to_owned(), topic.to_owned()])?;
        let ids = |text: &str| -> Result<Vec<i32>> {
            text.split(',').filter(|id| !id.is_empty()).map(|id| Ok(id.parse()?)).collect()
        };
        lines
            .iter()
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                ensure!(fields.len() == 4, "no partition: {line:?}");
                Ok(Partition {
                    partition: fields[0].parse()?,
                    leader: Some(fields[1].parse()?).filter(|id| *id >= 0),
                    replicas: ids(fields[2])?,
                    isr: ids(fields[3])?,
                })
            })
            .collect()
    }

    pub(crate) fn lead(&self, topic: &str, partition: i32, node: i32) -> Result<()> {
        let numbers = [partition.to_string(), node.to_string()];
        self.ask(&[&["lead".to_owned(), topic.to_owned()], &numbers[..]].concat()).map(drop)
    }

    pub(crate) fn allow(&self, topic: &str, operations: &[&str]) -> Result<()> {
        let fields = ["allow", topic].into_iter().chain(operations.iter().copied());
        self.ask(&fields.map(str::to_owned).collect::<Vec<_>>()).map(drop)
    }

    pub(crate) fn set_scram_password(
        &self,
        user: &str,
        password: &str,
        iterations: u32,
    ) -> Result<()> {
        let fields = ["scram", user, password].map(str::to_owned);
        self.ask(&[&fields[..], &[iterations.to_string()]].concat()).map(drop)
    }

    pub(crate) fn brokers(&self) -> Result<Vec<i32>> {
        self.ask(&["brokers".to_owned()])?.iter().map(|line| Ok(line.parse()?)).collect()
    }

    pub(crate) fn probe(&self, topic: &str, partitions: usize, replication: usize) -> Result<()> {
        let numbers = [partitions.to_string(), replication.to_string()];
        self.ask(&[&["probe".to_owned(), topic.to_owned()], &numbers[..]].concat()).map(drop)
    }

    /// Appends records with `values` by Kafka's own idempotent producer, and returns their offsets.
    ///
    /// # Errors
    /// With Kafka's reason, or when the process fails.
    pub fn produce(&self, topic: &str, partition: i32, values: &[&[u8]]) -> Result<Vec<i64>> {
        let mut command = vec!["produce".to_owned(), topic.to_owned(), partition.to_string()];
        command.extend(values.iter().map(hex::encode));
        self.ask(&command)?.iter().map(|line| Ok(line.parse()?)).collect()
    }

    /// All records of a topic up to its end offsets of now, by Kafka's own consumer.
    ///
    /// # Errors
    /// With Kafka's reason, or when the process fails.
    pub fn read(&self, topic: &str) -> Result<Vec<Record>> {
        let lines = self.ask(&["read".to_owned(), topic.to_owned()])?;
        lines.iter().map(|line| Record::parse(line)).collect()
    }

    /// Sends one command and returns the lines of its answer.
    fn ask(&self, fields: &[String]) -> Result<Vec<String>> {
        ensure!(
            !fields.iter().any(|field| field.contains(['\t', '\n', '\r'])),
            "a tab or line break in {fields:?}"
        );
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = slot.take().context("the Java tool failed before")?;
        let lines = answer(&mut running, fields)?;
        *slot = Some(running);
        drop(slot);
        lines.map_err(|reason| anyhow::anyhow!("{}: {reason}", fields[0]))
    }
}

/// The answer's lines, or the reason Kafka gave; fails when the process is not to be trusted.
fn answer(running: &mut Running, fields: &[String]) -> Result<Result<Vec<String>, String>> {
    let stdin = running.process.child().stdin.as_mut().context("no stdin")?;
    writeln!(stdin, "{}", fields.join("\t"))?;
    stdin.flush()?;
    let mut lines = Vec::new();
    loop {
        let line = running.lines.recv_timeout(ANSWER);
        let line = line.with_context(|| format!("the Java tool does not answer {}", fields[0]))?;
        if let Some(data) = line.strip_prefix('=') {
            lines.push(data.to_owned());
        } else if line == "ok" {
            return Ok(Ok(lines));
        } else if let Some(reason) = line.strip_prefix("error\t") {
            return Ok(Err(reason.to_owned()));
        } else {
            bail!("the Java tool says {line:?}");
        }
    }
}
