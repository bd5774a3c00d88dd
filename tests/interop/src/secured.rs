//! A cluster whose proxied listeners speak TLS.

use anyhow::Result;
use ottla_adapter_tests::tls::{Authority, Identity};
use ottla_kafka::{Cluster, Config};

use crate::version;

/// A cluster that is reached with TLS by [`Cluster::proxied_bootstrap`], and plainly by [`Cluster::bootstrap`], which
/// is for its own tools.
#[derive(Debug)]
pub struct Secured {
    /// The cluster.
    pub cluster: Cluster,
    /// Whoever signed the brokers' certificate.
    pub authority: Authority,
    /// The authority's certificate.
    trusted: String,
    _dir: tempfile::TempDir,
}

impl Secured {
    /// Starts one of [`version`]. The certificate is for `localhost` and 127.0.0.1. Properties that are added are those of
    /// that listener, as `ssl.client.auth`; clients of the same authority are trusted.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(nodes: usize, more: &[(&str, &str)]) -> Result<Self> {
        Self::start_as(&["localhost", "127.0.0.1"], nodes, more)
    }

    /// As [`Self::start`], with a certificate for other names.
    ///
    /// # Errors
    /// As there.
    pub fn start_as(names: &[&str], nodes: usize, more: &[(&str, &str)]) -> Result<Self> {
        let authority = Authority::new();
        let Identity { certificate, key } = authority.sign(names);
        let dir = tempfile::tempdir()?;
        let (own, trusted) = (dir.path().join("broker.pem"), dir.path().join("ca.pem"));
        std::fs::write(&own, format!("{key}{certificate}"))?;
        std::fs::write(&trusted, authority.certificate())?;
        let mut config = Config::new(&version(), nodes)?.with(
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,PROXIED:SSL,CONTROLLER:PLAINTEXT",
        );
        let (own, trusted) = (own.display().to_string(), trusted.display().to_string());
        let stores = [
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", &own),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &trusted),
        ];
        for (name, value) in stores.iter().chain(more) {
            config = config.with(&format!("listener.name.proxied.{name}"), value);
        }
        let cluster = Cluster::start(&config)?;
        let trusted = authority.certificate();
        Ok(Self { cluster, authority, trusted, _dir: dir })
    }

    /// What a client needs.
    #[must_use]
    pub fn properties(&self) -> [(&str, &str); 2] {
        [("security.protocol", "SSL"), ("ssl.ca.pem", &self.trusted)]
    }
}
