//! A whole cluster: start, faults of nodes, topics, read-back.

use core::{net::SocketAddr, time::Duration};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{
    Batch, Config, FaultProxy, Jars, Partition, Record, Tool, Version,
    node::{Node, jvm, tail},
    node_metadata, ports,
    process::Process,
    properties::{self, Addresses},
    storage_and_zookeeper::{format, start_zookeeper},
};

/// How long a node that has started may take to be seen by the others.
const RETURN: Duration = Duration::from_secs(30);
/// How long it may take until all nodes know what one of them knows.
const SPREAD: Duration = Duration::from_secs(30);

/// A running Kafka with a [`FaultProxy`] before each broker.
///
/// Each broker has two listeners: that of [`Self::bootstrap`] is reached directly, that of
/// [`Self::proxied_bootstrap`] advertises the proxy, so a client that begins there goes through
/// the proxy with everything. All methods block. When this is dropped, its processes are killed and
/// its files removed; when the process dies otherwise, the kernel kills them (on Linux).
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the clients, the brokers, ZooKeeper, the proxy, the files.
    tool: Tool,
    nodes: Vec<Mutex<Node>>,
    _zookeeper: Option<Process>,
    proxy: FaultProxy,
    version: Version,
    dir: TempDir,
}

impl Cluster {
    /// Starts a cluster, and returns once all brokers are registered and a record was produced to
    /// a replicated topic (gone again) with a producer id.
    ///
    /// # Errors
    /// When the jars cannot be had or a process does not start; the error holds its log's end.
    pub fn start(config: &Config) -> Result<Self> {
        ensure!(config.nodes >= 1, "a cluster without nodes");
        let jars = Jars::fetch(config.version)?;
        let dir = tempfile::Builder::new().prefix("ottla-kafka-").tempdir()?;
        // The ports are held until just before the processes that want them start.
        let mut held = ports::reserve(4 * config.nodes + 1)?;
        let proxy_listeners = held.split_off(3 * config.nodes + 1);
        let ports =
            held.iter().map(|l| Ok(l.local_addr()?)).collect::<Result<Vec<SocketAddr>>>()?;
        let (zookeeper_port, ports) = ports.split_first().context("no port")?;
        let upstreams = ports.chunks(3).map(|own| own[1]).collect::<Vec<_>>();
        let proxy = FaultProxy::new(proxy_listeners, &upstreams)?;
        let addresses: Vec<(i32, Addresses)> = (1..)
            .zip(ports.chunks(3).zip(proxy.addresses().iter().copied()))
            .map(|(id, (own, advertised))| {
                let [direct, proxied, controller] = [own[0], own[1], own[2]];
                (id, Addresses { direct, proxied, advertised, controller })
            })
            .collect();
        let zookeeper_port = config.version.needs_zookeeper().then_some(*zookeeper_port);
        let mut nodes = Vec::new();
        for (id, own) in &addresses {
            let home = dir.path().join(format!("node-{id}"));
            fs::create_dir(&home)?;
            let node = Node::new(*id, *own, home.clone(), jars.clone(), config.heap_mib);
            let log_dir = node.log_dir().display().to_string();
            let text = properties::server(config, *id, &addresses, *own, zookeeper_port, &log_dir);
            fs::write(home.join("server.properties"), text)?;
            nodes.push(node);
        }
        ports::release(held)?;
        let zookeeper = match zookeeper_port {
            Some(port) => Some(start_zookeeper(&jars, dir.path(), port)?),
            None => {
                format(&nodes, dir.path())?;
                None
            }
        };
        nodes.iter_mut().try_for_each(Node::start)?;
        let direct: Vec<String> = addresses.iter().map(|(_, a)| a.direct.to_string()).collect();
        let tool = Tool::start(&jars, &direct.join(","), dir.path())?;
        nodes.iter_mut().try_for_each(Node::await_started)?;
        tool.probe("ottla-kafka-probe", nodes.len(), nodes.len().min(3))
            .context("the cluster does not get ready")?;
        let nodes = nodes.into_iter().map(Mutex::new).collect();
        Ok(Self { tool, nodes, _zookeeper: zookeeper, proxy, version: config.version, dir })
    }

    /// The direct addresses of all brokers, comma-separated.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.join(|addresses| addresses.direct)
    }

    /// The proxy's addresses for all brokers, comma-separated.
    #[must_use]
    pub fn proxied_bootstrap(&self) -> String {
        self.join(|addresses| addresses.advertised)
    }

    fn join(&self, which: impl Fn(&Addresses) -> SocketAddr) -> String {
        let all: Vec<String> =
            self.nodes.iter().map(|node| which(&lock(node).addresses).to_string()).collect();
        all.join(",")
    }

    /// The proxy; its link `i` stands before the node `i + 1`.
    #[must_use]
    pub const fn proxy(&self) -> &FaultProxy {
        &self.proxy
    }

    /// The directory of the cluster's files, among them `node-<id>/broker-<start>.log`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Kafka's own clients, connected directly.
    #[must_use]
    pub const fn tool(&self) -> &Tool {
        &self.tool
    }

    /// The ids of the nodes, from 1 on.
    #[must_use]
    pub fn node_ids(&self) -> Vec<i32> {
        (1..).zip(&self.nodes).map(|(id, _)| id).collect()
    }

    /// Creates a topic, and returns once every replica is in sync, every leader leads, and every node
    /// that is awake knows it.
    ///
    /// # Errors
    /// With Kafka's reason, such as that the topic exists.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: i16,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        self.tool.create_topic(name, partitions, replication, configs)?;
        let count = usize::try_from(partitions)?;
        self.await_everywhere(name, SPREAD, |all| {
            all.len() == count && all.iter().all(|p| p.leader.is_some())
        })
    }

    /// Deletes a topic, and returns once no node that is awake knows it.
    ///
    /// # Errors
    /// With Kafka's reason.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.tool.delete_topic(name)?;
        self.await_everywhere(name, SPREAD, <[Partition]>::is_empty)
    }

    /// What everybody may do with a topic from now on, in a cluster of [`Config::with_acls`] and one
    /// node: Kafka's names, such as `WRITE`, instead of what was said of it before. With nothing said,
    /// everything is allowed.
    ///
    /// # Errors
    /// With Kafka's reason, such as that there is no authorizer.
    pub fn allow(&self, topic: &str, operations: &[&str]) -> Result<()> {
        self.tool.allow(topic, operations)
    }

    /// Gives a user a password for SCRAM-SHA-256 and SCRAM-SHA-512, from Kafka 2.7 on; with KRaft from 3.5 on.
    ///
    /// # Errors
    /// With Kafka's reason, such as too few iterations.
    pub fn set_scram_password(&self, user: &str, password: &str, iterations: u32) -> Result<()> {
        self.tool.set_scram_password(user, password, iterations)
    }

    /// The partitions of a topic with leaders and in-sync replicas.
    ///
    /// # Errors
    /// With Kafka's reason.
    pub fn partitions(&self, topic: &str) -> Result<Vec<Partition>> {
        self.tool.partitions(topic)
    }

    /// The node that leads a partition.
    ///
    /// # Errors
    /// With Kafka's reason, or when there is no leader at the moment.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32> {
        let partitions = self.partitions(topic)?;
        let found = partitions.iter().find(|p| p.partition == partition);
        found
            .with_context(|| format!("{topic} has no partition {partition}"))?
            .leader
            .with_context(|| format!("{topic}-{partition} has no leader"))
    }

    /// Makes a node that holds a replica of a partition its preferred leader, has it elected, and returns
    /// once every node that is awake knows.
    ///
    /// # Errors
    /// With Kafka's reason, such as that it leads already, or that it is not in sync.
    pub fn lead(&self, topic: &str, partition: i32, node: i32) -> Result<()> {
        self.tool.lead(topic, partition, node)?;
        self.await_everywhere(topic, SPREAD, |all| {
            all.iter().any(|p| p.partition == partition && p.leader == Some(node))
        })
    }

    /// Waits until each partition of `topic` has a leader and at least `replicas` replicas in sync, as
    /// every node that is awake says.
    ///
    /// # Errors
    /// When that is not so within `limit`.
    pub fn await_in_sync(&self, topic: &str, replicas: usize, limit: Duration) -> Result<()> {
        self.await_partitions(topic, limit, |p| p.leader.is_some() && p.isr.len() >= replicas)
    }

    /// Waits until no partition of `topic` is led by `node`, and each has a leader, as every node that is
    /// awake says.
    ///
    /// # Errors
    /// When that is not so within `limit`. After a kill or a freeze it takes at least 6 s: the
    /// session timeout of brokers.
    pub fn await_leaders_off(&self, node: i32, topic: &str, limit: Duration) -> Result<()> {
        self.await_partitions(topic, limit, |p| p.leader.is_some_and(|leader| leader != node))
    }

    fn await_partitions(
        &self,
        topic: &str,
        limit: Duration,
        holds: impl Fn(&Partition) -> bool,
    ) -> Result<()> {
        self.await_everywhere(topic, limit, |all| !all.is_empty() && all.iter().all(&holds))
    }

    /// Waits until `holds` of the topic's partitions as each node that is awake knows them: whoever is
    /// asked next may be any of them.
    fn await_everywhere(
        &self,
        topic: &str,
        limit: Duration,
        holds: impl Fn(&[Partition]) -> bool,
    ) -> Result<()> {
        let begin = Instant::now();
        loop {
            let said: Vec<(i32, Result<Vec<Partition>>)> = self
                .awake()
                .into_iter()
                .map(|(id, address)| (id, node_metadata::partitions(address, topic)))
                .collect();
            let agrees = |all: &Result<Vec<Partition>>| all.as_ref().is_ok_and(|all| holds(all));
            if !said.is_empty() && said.iter().all(|(_, all)| agrees(all)) {
                return Ok(());
            }
            ensure!(begin.elapsed() <= limit, "after {limit:?}, {topic} is {said:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The nodes that can answer. One that somebody is starting or ending right now cannot.
    fn awake(&self) -> Vec<(i32, SocketAddr)> {
        let nodes = self.nodes.iter().filter_map(|node| node.try_lock().ok());
        nodes.filter(|it| it.is_awake()).map(|it| (it.id, it.addresses.direct)).collect()
    }

    /// The brokers that are registered and not fenced.
    ///
    /// # Errors
    /// With Kafka's reason.
    pub fn brokers(&self) -> Result<Vec<i32>> {
        self.tool.brokers()
    }

    /// Ends a node at once (SIGKILL).
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn kill(&self, node: i32) -> Result<()> {
        self.node(node)?.kill()
    }

    /// Has a node shut down in an orderly way (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// When there is no such node, it is down, or it does not end in two minutes (as without a
    /// quorum).
    pub fn shut_down(&self, node: i32) -> Result<()> {
        self.node(node)?.shut_down()
    }

    /// Starts a node again with its old files and addresses (kills it first if it runs), and
    /// returns once it serves. With Kafka 2.8 that waits for ZooKeeper to forget a killed node.
    ///
    /// # Errors
    /// When there is no such node, or it does not start.
    pub fn restart(&self, node: i32) -> Result<()> {
        let mut node = self.node(node)?;
        if node.is_up() {
            node.kill()?;
        }
        node.start()?;
        node.await_started()?;
        // With ZooKeeper, a broker that has started is yet to be told of the cluster.
        let begin = Instant::now();
        while !self.brokers()?.contains(&node.id) {
            ensure!(begin.elapsed() < RETURN, "node {} is not seen by the others", node.id);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Stops a node's process (SIGSTOP), and returns once it stands still: its connections stay open
    /// and say nothing.
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn freeze(&self, node: i32) -> Result<()> {
        self.node(node)?.freeze()
    }

    /// Lets a frozen node go on (SIGCONT).
    ///
    /// # Errors
    /// When there is no such node, or it is down.
    pub fn thaw(&self, node: i32) -> Result<()> {
        self.node(node)?.thaw()
    }

    /// The directory of a node's partitions.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn log_dir(&self, node: i32) -> Result<PathBuf> {
        Ok(self.node(node)?.log_dir())
    }

    /// The batches in a node's replica of a partition, by Kafka's own `DumpLogSegments` (of
    /// 4.0.2 for newer versions than 4.2). Of a running node it shows what has been written so far.
    ///
    /// # Errors
    /// When there is no such node or replica, or a batch that cannot be read.
    pub fn dump_log(&self, node: i32, topic: &str, partition: i32) -> Result<Vec<Batch>> {
        let replica = self.log_dir(node)?.join(format!("{topic}-{partition}"));
        let mut segments = Vec::new();
        for entry in fs::read_dir(&replica).with_context(|| replica.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                segments.push(path.display().to_string());
            }
        }
        segments.sort();
        let jars = Jars::fetch(self.version.dumper())?;
        let mut command = jvm(&jars, self.dir(), "dump", "WARN", 256)?;
        command.arg("kafka.tools.DumpLogSegments");
        command.args(["--files", &segments.join(",")]);
        // Not by `Process`: the output has to be read while it runs.
        let output = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .output()
            .context("running DumpLogSegments")?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "DumpLogSegments: {} {}",
            tail(&printed),
            tail(&complaint)
        );
        Batch::parse_all(&printed)
    }

    /// All records of a topic up to its end offsets of now, by Kafka's own consumer; in the order
    /// of offsets within each partition.
    ///
    /// # Errors
    /// With Kafka's reason.
    pub fn read(&self, topic: &str) -> Result<Vec<Record>> {
        self.tool.read(topic)
    }

    fn node(&self, id: i32) -> Result<MutexGuard<'_, Node>> {
        // By number and not by looking into each: another thread may be restarting another node.
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        let node = index.and_then(|index| self.nodes.get(index));
        Ok(lock(node.with_context(|| format!("no node {id}"))?))
    }
}

fn lock(node: &Mutex<Node>) -> MutexGuard<'_, Node> {
    node.lock().unwrap_or_else(PoisonError::into_inner)
}
