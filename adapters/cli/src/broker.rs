//! `ottla broker`: the model broker alone.

use core::net::SocketAddr;
use std::{net::ToSocketAddrs, sync::mpsc};

use anyhow::Context as _;
use ottla_model::{ClusterConfig, Storage, serve::Server};

use crate::{args::Broker, stop::Stop, voice::OUT};

/// Bytes of records that are kept; beyond them the oldest are forgotten.
const KEPT: usize = 256 * 1024 * 1024;

/// Serves until a signal comes.
pub(crate) fn run(args: &Broker) -> anyhow::Result<()> {
    let listen = resolve(&args.listen)?;
    let config = ClusterConfig {
        default_partitions: args.partitions,
        storage: Storage::Newest { bytes: KEPT },
        ..ClusterConfig::default()
    };
    let server =
        Server::start(&[listen], config).with_context(|| format!("--listen {}", args.listen))?;
    for name in &args.topics {
        server
            .with_cluster(|cluster| cluster.create_topic(name, args.partitions))
            .map_err(|error| anyhow::anyhow!("--topic {name:?}: {error}"))?;
    }
    let (stopped, stop) = mpsc::channel();
    Stop::on_signal(move || {
        // Not heard only where the end is near anyway.
        let _ = stopped.send(());
    })?;
    if !OUT.line(format_args!("listening on {}", server.bootstrap_servers())) && OUT.has_failed() {
        return Ok(());
    }
    stop.recv().context("signals cannot be waited for")
}

fn resolve(listen: &str) -> anyhow::Result<SocketAddr> {
    let mut addresses = listen.to_socket_addrs().with_context(|| format!("--listen {listen}"))?;
    addresses.next().with_context(|| format!("--listen {listen}: it has no address"))
}
