//! Which cluster is produced to, and how.

use core::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use ottla_core::Config;
use ottla_model::{AutoCreate, ClusterConfig, Storage, serve::Server};

use crate::args::Connect;

/// Partitions of a topic of the broker inside.
const PARTITIONS: u32 = 3;

/// The configuration that the arguments ask for.
pub(crate) fn config(connect: &Connect) -> anyhow::Result<Config<'_>> {
    let mut config = Config::default();
    for (name, value) in &connect.properties {
        config.set(name, value).map_err(|error| anyhow!("--property: {error}"))?;
    }
    if let Some(bootstrap) = &connect.bootstrap {
        config.bootstrap_servers = bootstrap;
    }
    Ok(config)
}

/// A model broker that lives as long as this.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) bootstrap: String,
    _server: Server,
}

impl Inside {
    /// Starts a broker on a free port of the loopback interface.
    pub(crate) fn start(storage: Storage) -> anyhow::Result<Self> {
        let config = ClusterConfig {
            auto_create: AutoCreate::AtOnce,
            default_partitions: PARTITIONS,
            storage,
            ..ClusterConfig::default()
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(&[any], config).context("the model broker did not start")?;
        Ok(Self { bootstrap: server.bootstrap_servers(), _server: server })
    }
}
