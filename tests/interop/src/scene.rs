//! A cluster for a suite that runs plainly, or over SASL and TLS.

use core::ops::Deref;

use anyhow::{Result, bail};
use ottla_kafka::Cluster;

use crate::{Protocol, Secured, cluster};

/// A cluster that clients reach plainly; or, with `OTTLA_SECURED=SASL_SSL` (or SASL_PLAINTEXT, or SSL), in that way, in
/// sessions of eight seconds.
#[derive(Debug)]
pub enum Scene {
    /// Plainly.
    Plain(Box<Cluster>),
    /// In another way.
    Secured(Box<Secured>),
}

impl Scene {
    /// Starts one of so many nodes.
    ///
    /// # Errors
    /// When it does not start, or the variable names no protocol.
    pub fn start(nodes: usize) -> Result<Self> {
        let protocol = match std::env::var("OTTLA_SECURED").as_deref() {
            Err(_) => return Ok(Self::Plain(Box::new(cluster(nodes)?))),
            Ok("SSL") => Protocol::Ssl,
            Ok("SASL_PLAINTEXT") => Protocol::SaslPlaintext,
            Ok("SASL_SSL") => Protocol::SaslSsl,
            Ok(other) => {
                bail!("OTTLA_SECURED: expected SSL, SASL_PLAINTEXT or SASL_SSL, found {other}")
            }
        };
        Self::secured(protocol, nodes)
    }

    /// Starts one that is reached by this protocol, whatever the environment says.
    ///
    /// # Errors
    /// When it does not start.
    pub fn secured(protocol: Protocol, nodes: usize) -> Result<Self> {
        let sessions = [("connections.max.reauth.ms", "8000")];
        let more = if protocol == Protocol::Ssl { &[][..] } else { &sessions };
        let secured = Secured::start_as(&["localhost", "127.0.0.1"], protocol, nodes, more)?;
        println!("over {}", protocol.name());
        Ok(Self::Secured(Box::new(secured)))
    }

    /// Where clients begin: past the proxy, unless it is behind the proxy that security is.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        match self {
            Self::Plain(cluster) => cluster.bootstrap(),
            Self::Secured(secured) => secured.cluster.proxied_bootstrap(),
        }
    }

    /// What a client needs, and its own properties.
    #[must_use]
    pub fn properties<'a>(&'a self, own: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut all = match self {
            Self::Plain(_) => Vec::new(),
            Self::Secured(secured) if secured.asks() => secured.logged_in_by("SCRAM-SHA-512"),
            Self::Secured(secured) => secured.properties(),
        };
        all.extend(own);
        all
    }

    /// Whether what passes the proxy is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Secured(secured) if secured.encrypts())
    }
}

impl Deref for Scene {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        match self {
            Self::Plain(cluster) => cluster,
            Self::Secured(secured) => &secured.cluster,
        }
    }
}
