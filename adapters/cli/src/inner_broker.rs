//! The model broker inside, where no other one is named.

use core::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use ottla_model::{AutoCreate, ClusterConfig, Storage, serve::Server};

/// Partitions of a topic of the broker inside.
const PARTITIONS: u32 = 3;

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
