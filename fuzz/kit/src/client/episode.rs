//! One episode: calm, a storm, and well again.

use core::{net::SocketAddr, time::Duration};
use std::{thread, time::Instant};

use anyhow::{Context as _, Result, ensure};
use ottla_model::{ClusterConfig, Storage, serve::Server};

use super::{
    acts::acts,
    command::{Acknowledged, Client},
    tap::{Heard, Tap},
};

/// How often the client is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long it may take to end when it is asked to, before it is killed.
const ENDS: Duration = Duration::from_secs(5);
/// Bytes of records that are kept; what the oldest were is not judged.
const KEPT: usize = 512 << 20;

/// What a client is put to.
#[derive(Clone, Debug)]
pub struct Episode {
    /// What goes wrong follows from it.
    pub seed: u64,
    /// Where the first node is to be; the others are on free ports beside it.
    pub listen: SocketAddr,
    /// How many nodes.
    pub nodes: u16,
    /// How many partitions the topic has.
    pub partitions: u32,
    /// The topic.
    pub topic: String,
    /// The client.
    pub command: Vec<String>,
    /// Whether what it writes to standard error goes nowhere.
    pub quiet: bool,
}

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long it may take to begin: until the first acknowledgement.
    pub begin_within: Duration,
    /// How long it is calm after that.
    pub calm: Duration,
    /// How long the storm is.
    pub storm: Duration,
    /// How long it may take to recover: until an acknowledgement of what was sent since all is well.
    pub recover_within: Duration,
    /// How much memory its process group may have, in MiB.
    pub rss_mib: u64,
    /// How many requests and connections a second may bring nothing into a log.
    pub idle_per_second: u64,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What was heard between the client and the brokers.
    pub heard: Heard,
    /// What the client said.
    pub acknowledged: Vec<Acknowledged>,
    /// What is in the logs: partition, offset, value.
    pub logged: Vec<(i32, i64, Vec<u8>)>,
    /// The first offset that is left of each partition.
    pub starts: Vec<i64>,
    /// What went wrong, and when, in milliseconds since the episode began.
    pub done: Vec<(u64, String)>,
    /// When all was well again.
    pub well_ms: u64,
    /// How it ended, if it did so by itself.
    pub ended: Option<String>,
    /// Whether there was an acknowledgement before the storm.
    pub began: bool,
    /// Whether there was one after it, and after how long.
    pub recovered_after: Option<Duration>,
    /// Whether it ended when it was asked to.
    pub ends_when_asked: bool,
    /// The most memory that was seen, in MiB; [`None`] where that is not known.
    pub rss_mib: Option<u64>,
}

/// Runs an episode.
///
/// # Errors
/// It cannot be begun: addresses that are in use, a command that cannot be started.
pub fn run(episode: &Episode, bounds: Bounds) -> Result<Seen> {
    let Episode { seed, listen, nodes, partitions, topic, command, quiet } = episode;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ClusterConfig {
        storage: Storage::Newest { bytes: KEPT },
        seed: *seed,
        ..ClusterConfig::with_nodes(*nodes)
    };
    let server = Server::start(&vec![any; usize::from(*nodes)], config)?;
    let beside = SocketAddr::new(listen.ip(), 0);
    let listens = core::iter::once(*listen).chain(core::iter::repeat(beside));
    let links: Vec<_> = listens.zip(server.addresses().iter().copied()).collect();
    let tap = Tap::start(&links).with_context(|| format!("--listen {listen}"))?;
    server.with_cluster(|cluster| {
        for (node, address) in (1..).zip(tap.addresses()) {
            cluster.set_address(node, &address.ip().to_string(), address.port())?;
        }
        cluster.create_topic(topic, *partitions).map(|_| ())
    })?;
    let bootstrap = tap.addresses().first().context("no node")?.to_string();
    let name = command.first().cloned().unwrap_or_default();
    let client = Client::start(command, &bootstrap, topic, *quiet)
        .with_context(|| format!("starting {name}"))?;
    let mut watch = Watch { client, seen: Seen::default(), bounds };

    watch.seen.began = watch.until(bounds.begin_within, |client| client.count() > 0);
    watch.until(bounds.calm, |_| false);
    let storm = Instant::now();
    let storm_ms = u64::try_from(bounds.storm.as_millis()).unwrap_or(u64::MAX);
    for act in acts(*seed, storm_ms, i32::from(*nodes), i32::try_from(*partitions).unwrap_or(1)) {
        let at = Duration::from_millis(act.at_ms);
        watch.until(at.saturating_sub(storm.elapsed()), |_| false);
        if watch.seen.ended.is_some() {
            break;
        }
        server.with_cluster(|cluster| act.deed.act(cluster, &tap, topic));
        watch.seen.done.push((tap.now_ms(), act.deed.words()));
    }
    watch.until(bounds.storm.saturating_sub(storm.elapsed()), |_| false);

    tap.be_well();
    server.with_cluster(|cluster| {
        cluster.clear_faults();
        let nodes: Vec<_> = cluster.nodes().collect();
        for node in nodes {
            // Who is well already stays so.
            let _ = cluster.make_honest(node);
            let _ = cluster.thaw(node);
            let _ = cluster.set_throttle(node, Duration::ZERO);
        }
        for index in 0..i32::try_from(*partitions).unwrap_or(0) {
            if cluster.leader(topic, index).is_none() {
                let _ = cluster.move_leader(topic, index, 1);
            }
        }
    });
    watch.seen.well_ms = tap.now_ms();
    let well = Instant::now();
    // What was sent before and is acknowledged now is no recovery; so is what had its answer on the way.
    let appended = |server: &Server| {
        server.with_cluster(|cluster| {
            (0..i32::try_from(*partitions).unwrap_or(0))
                .map(|at| cluster.end_offset(topic, at))
                .sum::<i64>()
        })
    };
    let (before, ended) = (watch.client.count(), appended(&server));
    let recovered = watch.until(bounds.recover_within, |client| {
        client.count() > before && appended(&server) > ended
    });
    watch.seen.recovered_after = recovered.then(|| well.elapsed());
    watch.until(Duration::from_millis(300), |_| false);

    let mut seen = watch.end();
    seen.heard = tap.heard();
    server.with_cluster(|cluster| {
        for index in 0..i32::try_from(*partitions).unwrap_or(0) {
            seen.starts.push(cluster.start_offset(topic, index));
            let log = cluster.log(topic, index);
            seen.logged.extend(
                log.map(|record| (index, record.offset, record.value.unwrap_or_default().to_vec())),
            );
        }
    });
    ensure!(!seen.starts.is_empty(), "a topic without partitions");
    Ok(seen)
}

/// Looks at the client while time passes.
struct Watch {
    client: Client,
    seen: Seen,
    bounds: Bounds,
}

impl Watch {
    /// Waits until `holds`, or the time is over, or the client is. Tells whether it holds.
    fn until(&mut self, time: Duration, holds: impl Fn(&Client) -> bool) -> bool {
        let begin = Instant::now();
        loop {
            if holds(&self.client) {
                return true;
            }
            if let Some(mib) = self.client.rss_mib() {
                self.seen.rss_mib = Some(self.seen.rss_mib.unwrap_or(0).max(mib));
            }
            if self.seen.ended.is_none() {
                self.seen.ended = self.client.ended_early();
            }
            // One that eats all memory does not go on eating.
            let eats =
                self.seen.rss_mib.is_some_and(|mib| mib > self.bounds.rss_mib.saturating_mul(4));
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() || self.seen.ended.is_some() || eats {
                return false;
            }
            thread::sleep(left.min(LOOK));
        }
    }

    fn end(mut self) -> Seen {
        self.seen.ends_when_asked = self.seen.ended.is_some() || self.client.end(ENDS);
        self.seen.acknowledged = self.client.acknowledged();
        self.seen
    }
}
