//! A certificate that nobody should trust but for trying.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// Makes an authority and a certificate for this machine by these names, and writes the authority's own
/// certificate to a file. Their keys are in memory alone.
pub(crate) fn certificate(host: &str, ip: IpAddr, ca: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "ottla broker, for trying only");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names(host, ip))?;
    params.distinguished_name.push(DnType::CommonName, "ottla broker");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &authority)?;

    let chain = vec![CertificateDer::from(certificate)];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    fs::write(ca, authority.pem()).context("it cannot be written")?;
    Ok(Arc::new(config))
}

/// What clients may call the broker by: as it listens, and by the names of the loopback interface, which
/// is what it advertises where it listens everywhere.
fn names(host: &str, ip: IpAddr) -> Vec<String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let mut names = vec!["localhost".to_owned(), host.to_owned(), ip.to_string()];
    names.extend(loopback.map(|ip| ip.to_string()));
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}
