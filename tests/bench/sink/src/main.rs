//! A broker that answers everything and stores nothing, as cheaply as possible: what is measured
//! against it is the client.
//!
//! Each connection has a thread, which waits for nothing but its socket. Requests to produce are
//! answered here; all others, which are few, by the model broker.

mod echo;
mod produce;
mod serve;
mod tls;

use std::{
    io::Read as _,
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
};

use anyhow::Result;
use clap::Parser;
use ottla_core::wire::ApiKey;
use ottla_model::{AutoCreate, Cluster, ClusterConfig, NodeConfig, Storage};
use serde_json::json;

use crate::{
    produce::{Offsets, Received},
    serve::Node,
};

/// FindCoordinator is announced and not spoken: librdkafka takes a broker without it for one that does not know LZ4, and
/// sends batches as they are.
const FIND_COORDINATOR: ApiKey = ApiKey(10);

/// Answers everything and stores nothing, until its input ends. Says then what it was sent.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many partitions each topic has.
    #[arg(long, default_value_t = 6)]
    partitions: u32,
    /// How many brokers there are.
    #[arg(long, default_value_t = 1)]
    brokers: u16,
    /// How many partitions the topic `idle` has.
    #[arg(long, default_value_t = 0)]
    idle_partitions: u32,
    /// Requests to produce are never answered.
    #[arg(long)]
    stall: bool,
    /// All brokers speak TLS. Who signed their certificate, which is made at the start, is written to this
    /// file, as PEM.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let tls = arguments.tls.as_deref().map(tls::config).transpose()?;
    let mut listeners = Vec::new();
    let mut nodes = Vec::new();
    for id in 1..=i32::from(arguments.brokers) {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut node = NodeConfig::new(id);
        "127.0.0.1".clone_into(&mut node.host);
        node.port = listener.local_addr()?.port().into();
        node.versions = node.versions.with(FIND_COORDINATOR, 0, 6);
        nodes.push(node);
        listeners.push((id, listener));
    }
    let mut cluster = Cluster::new(ClusterConfig {
        nodes,
        auto_create: AutoCreate::AtOnce,
        default_partitions: arguments.partitions,
        storage: Storage::Nothing,
        ..ClusterConfig::default()
    });
    if arguments.idle_partitions > 0 {
        cluster
            .create_topic("idle", arguments.idle_partitions)
            .map_err(|error| anyhow::anyhow!("no topic `idle`: {error:?}"))?;
    }
    let cluster = Arc::new(Mutex::new(cluster));
    let offsets = Arc::new(Offsets::default());
    let echo = TcpListener::bind("127.0.0.1:0")?;
    let addresses = json!({
        "bootstrap": listeners[0].1.local_addr()?.to_string(),
        "echo": echo.local_addr()?.to_string(),
    });
    for (id, listener) in listeners {
        let node =
            Node::new(id, Arc::clone(&cluster), Arc::clone(&offsets), arguments.stall, tls.clone());
        thread::spawn(move || node.accept(&listener));
    }
    thread::spawn(move || echo::accept(&echo));
    println!("{addresses}");
    std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut std::io::sink())?;
    let Received { records, bytes } = &offsets.received;
    let [records, bytes] = [records, bytes].map(|count| count.load(Ordering::Relaxed));
    println!("{}", json!({ "records": records, "bytes": bytes }));
    Ok(())
}
