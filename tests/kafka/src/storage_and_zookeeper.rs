//! What a cluster needs before its brokers start: formatted storage, or a ZooKeeper.

use core::{net::SocketAddr, time::Duration};
use std::{fs, path::Path};

use anyhow::{Result, ensure};

use crate::{
    Jars,
    node::{Node, await_line, jvm, tail, wait},
    process::Process,
    properties,
};

/// Any base64 UUID does; runs are told apart by their directories.
const CLUSTER_ID: &str = "b3R0bGEta2Fma2EtdGVzdA";

/// Formats the storage of all nodes at the same time.
pub(crate) fn format(nodes: &[Node], dir: &Path) -> Result<()> {
    let mut formats =
        nodes.iter().map(|node| node.format(CLUSTER_ID)).collect::<Result<Vec<Process>>>()?;
    for (process, node) in formats.iter_mut().zip(nodes) {
        let ended = wait(process, Duration::from_secs(120))?;
        let well = process.ended()?.is_some_and(|status| status.success());
        let printed = dir.join(format!("node-{}/format.out", node.id));
        ensure!(ended && well, "format: {}", tail(&fs::read_to_string(printed)?));
    }
    Ok(())
}

/// Starts a ZooKeeper, and returns once it listens.
pub(crate) fn start_zookeeper(jars: &Jars, dir: &Path, address: SocketAddr) -> Result<Process> {
    let home = dir.join("zookeeper");
    fs::create_dir(&home)?;
    let data = home.join("data").display().to_string();
    fs::write(home.join("zoo.cfg"), properties::zookeeper(address, &data))?;
    let mut command = jvm(jars, &home, "zookeeper", "INFO", 256)?;
    command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(home.join("zoo.cfg"));
    let mut process = Process::start(command)?;
    await_line(&mut process, &home.join("zookeeper.log"), "binding to port")?;
    Ok(process)
}
