//! TLS for the contestants that take a configuration of rustls.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::Arguments;

impl Arguments {
    /// A configuration that trusts who [`Arguments::tls`] names; `None` where that is none. No session is
    /// resumed, as brokers resume none.
    ///
    /// # Errors
    ///
    /// Where the file is not there, or is not what it should be.
    pub fn tls_config(&self) -> Result<Option<Arc<ClientConfig>>> {
        let Some(path) = &self.tls else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).context("--tls")? {
            roots.add(certificate.context("--tls")?)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Some(Arc::new(config)))
    }
}

fn provider() -> CryptoProvider {
    #[cfg(feature = "aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    provider
}
