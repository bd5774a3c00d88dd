//! Certificates that are made at the start, and TLS 1.3 with AES-256-GCM for whoever comes.

use std::{fs, path::Path, sync::Arc};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring::{cipher_suite::TLS13_AES_256_GCM_SHA384, default_provider},
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::TLS13,
};

/// A configuration with a new certificate. Who signed it is written to `authority`. There is one cipher suite, so
/// that all clients do the same work, and there are no session tickets, as brokers give none.
pub(crate) fn config(authority: &Path) -> Result<Arc<ServerConfig>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "bench-sink authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::new(["localhost", "127.0.0.1"].map(String::from))?;
    params.distinguished_name.push(DnType::CommonName, "bench-sink");
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    fs::write(authority, issuer.pem())?;
    let mut provider = default_provider();
    provider.cipher_suites = vec![TLS13_AES_256_GCM_SHA384];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
