//! A configuration of rustls from the properties.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedCipherSuite,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};

use crate::{error::BuildError, security::properties::SecurityProperties};

/// What all connections of a producer are secured with.
pub(super) fn config(properties: &SecurityProperties) -> Result<Arc<ClientConfig>, BuildError> {
    let refused = |name, error: Error| BuildError::Security { name, why: error.to_string() };
    let provider = Arc::new(provider(&properties.suites)?);
    let mut versions = Vec::new();
    if properties.tls13 {
        versions.push(&TLS13);
    }
    if properties.tls12 {
        versions.push(&TLS12);
    }
    let named = properties.roots.as_ref().map_or(ROOTS, |pem| pem.name);
    let roots = Arc::new(roots(properties)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| BuildError::Security { name: named, why: error.to_string() })?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if properties.checks_host { verifier } else { Arc::new(AnyHost(verifier)) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| refused("ssl.enabled.protocols", error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&properties.chain, &properties.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(chain), Some(key)) => builder
            .with_client_auth_cert(chain.certificates()?, key.key()?)
            .map_err(|error| key.refused(error))?,
        (Some(chain), None) => {
            let why = "a certificate without its key: expected";
            return Err(chain.refused(format!("{why} {} as well", partner(chain.name))));
        }
        (None, Some(key)) => {
            let why = "a key without its certificate: expected";
            return Err(key.refused(format!("{why} {} as well", partner(key.name))));
        }
    };
    // Brokers resume no session, and what is sent early could be replayed.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// What says who is trusted, where nothing does.
const ROOTS: &str = "ssl.ca.location";

/// The property for a certificate's key where that one gives the certificate, and the other way round.
fn partner(name: &str) -> &'static str {
    match name {
        "ssl.certificate.pem" => "ssl.key.pem",
        "ssl.key.pem" => "ssl.certificate.pem",
        "ssl.keystore.certificate.chain" => "ssl.keystore.key",
        "ssl.keystore.key" => "ssl.keystore.certificate.chain",
        "ssl.key.location" => "ssl.certificate.location",
        _ => "ssl.key.location",
    }
}

/// The first provider that was built in, with the cipher suites that were asked for.
fn provider(suites: &[String]) -> Result<CryptoProvider, BuildError> {
    #[cfg(feature = "tls")]
    let mut provider = rustls::crypto::ring::default_provider();
    #[cfg(all(feature = "tls-aws-lc", not(feature = "tls")))]
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(any(feature = "tls", feature = "tls-aws-lc")))]
    let mut provider = rustls_graviola::default_provider();
    if suites.is_empty() {
        return Ok(provider);
    }
    let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
    let known: Vec<String> = provider.cipher_suites.iter().map(name).collect();
    // As IANA has them; rustls says TLS13 where that says TLS.
    let same = |known: &str, asked: &str| known.replacen("TLS13_", "TLS_", 1) == *asked;
    if let Some(unknown) = suites.iter().find(|asked| !known.iter().any(|it| same(it, asked))) {
        let known: Vec<String> = known.iter().map(|it| it.replacen("TLS13_", "TLS_", 1)).collect();
        let why = format!("unknown: {unknown}; expected some of {}", known.join(", "));
        return Err(BuildError::Security { name: "ssl.cipher.suites", why });
    }
    provider.cipher_suites.retain(|suite| suites.iter().any(|asked| same(&name(suite), asked)));
    Ok(provider)
}

/// Who is trusted: those that are named, or those of the system.
fn roots(properties: &SecurityProperties) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = &properties.roots {
        for certificate in pem.certificates()? {
            roots.add(certificate).map_err(|error| pem.refused(error))?;
        }
        return Ok(roots);
    }
    let system = rustls_native_certs::load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(system.certs);
    if taken == 0 {
        let first = system.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let why = format!(
            "this system trusts nobody{first}: expected the certificate of who signs the brokers'"
        );
        return Err(BuildError::Security { name: ROOTS, why });
    }
    Ok(roots)
}

/// As the verifier that it wraps, but for the host's name (`ssl.endpoint.identification.algorithm=none`).
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is looked at last: all else was found to be right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
