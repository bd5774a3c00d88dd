//! Certificates and keys from PEM texts.

use std::fs;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{error::BuildError, security::properties::Pem};

/// Why a PEM text is of no use: told with the property that named it.
fn refused(name: &'static str, why: String) -> BuildError {
    BuildError::Security { name, why }
}

impl Pem {
    /// Its bytes, and its name for messages: never the text itself.
    fn text(&self, name: &'static str) -> Result<Vec<u8>, BuildError> {
        match self {
            Self::Inline(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => {
                fs::read(path).map_err(|error| refused(name, format!("{path}: {error}")))
            }
        }
    }

    fn place(&self) -> &str {
        match self {
            Self::File(path) => path,
            Self::Inline(_) => "the text",
        }
    }

    /// All certificates in it; one at least.
    pub(super) fn certificates(
        &self,
        name: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, BuildError> {
        let text = self.text(name)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found =
            found.map_err(|error| refused(name, format!("{}: no PEM: {error}", self.place())))?;
        if found.is_empty() {
            let why = format!("{}: expected a PEM CERTIFICATE, found none", self.place());
            return Err(refused(name, why));
        }
        Ok(found)
    }

    /// The first private key in it.
    pub(super) fn key(&self, name: &'static str) -> Result<PrivateKeyDer<'static>, BuildError> {
        let text = self.text(name)?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let encrypted = String::from_utf8_lossy(&text).contains("ENCRYPTED PRIVATE KEY");
            let why = if encrypted {
                "it is encrypted: decrypt it with `openssl pkcs8 -topk8 -nocrypt`".to_owned()
            } else {
                format!("expected a PEM PRIVATE KEY (PKCS#8, PKCS#1 or SEC1): {error}")
            };
            refused(name, format!("{}: {why}", self.place()))
        })
    }
}
