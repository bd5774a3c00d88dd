//! Certificates and keys from PEM texts.

use std::fs;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{
    error::BuildError,
    security::properties::{Pem, Source},
};

impl Pem {
    /// Why it is of no use: told with the property that gave it.
    pub(super) fn refused(&self, why: impl core::fmt::Display) -> BuildError {
        BuildError::Security { name: self.name, why: why.to_string() }
    }

    /// As [`refused`](Self::refused), with where the text is: never the text itself.
    fn refused_there(&self, why: impl core::fmt::Display) -> BuildError {
        match &self.source {
            Source::File(path) => self.refused(format!("{path}: {why}")),
            Source::Inline(_) => self.refused(format!("the text: {why}")),
        }
    }

    /// Its bytes.
    fn text(&self) -> Result<Vec<u8>, BuildError> {
        match &self.source {
            Source::Inline(text) => Ok(text.clone().into_bytes()),
            Source::File(path) => {
                let bytes = fs::read(path).map_err(|error| self.refused_there(error))?;
                match store(&bytes) {
                    None => Ok(bytes),
                    Some(store) => Err(self.refused_there(store.in_words(path, self.name))),
                }
            }
        }
    }

    /// All certificates in it; one at least.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, BuildError> {
        let text = self.text()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|error| self.refused_there(format!("no PEM: {error}")))?;
        if found.is_empty() {
            return Err(self.refused_there("expected a PEM CERTIFICATE, found none"));
        }
        Ok(found)
    }

    /// The first private key in it.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, BuildError> {
        let text = self.text()?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let encrypted = String::from_utf8_lossy(&text).contains("ENCRYPTED PRIVATE KEY");
            self.refused_there(if encrypted {
                "it is encrypted: decrypt it with `openssl pkcs8 -topk8 -nocrypt`".to_owned()
            } else {
                format!("expected a PEM PRIVATE KEY (PKCS#8, PKCS#1 or SEC1): {error}")
            })
        })
    }
}

/// A file of Java's, or of Windows'.
#[derive(Clone, Copy)]
enum Store {
    Jks,
    Pkcs12,
}

impl Store {
    /// What it is, what makes PEM of it, and which property is to name that.
    fn in_words(self, path: &str, name: &str) -> String {
        let (what, before, pkcs12) = match self {
            Self::Jks => (
                "a Java keystore (JKS)",
                format!(
                    "`keytool -importkeystore -srckeystore {path} -destkeystore store.p12 \
                     -deststoretype pkcs12`, then "
                ),
                "store.p12",
            ),
            Self::Pkcs12 => ("a PKCS#12 store", String::new(), path),
        };
        format!(
            "expected PEM, found {what}: {before}`openssl pkcs12 -in {pkcs12} -nodes -out store.pem`, \
             then {name}=store.pem"
        )
    }
}

/// Which store these bytes begin like.
fn store(bytes: &[u8]) -> Option<Store> {
    match bytes {
        // JKS, and JCEKS.
        [0xFE, 0xED, 0xFE, 0xED, ..] | [0xCE, 0xCE, 0xCE, 0xCE, ..] => Some(Store::Jks),
        // A sequence of DER, of whatever length, and in it first the version of PKCS#12, which is 3.
        [0x30, length, rest @ ..] => {
            let more = if *length > 0x7F { usize::from(length & 0x7F) } else { 0 };
            rest.get(more..)?.starts_with(&[2, 1, 3]).then_some(Store::Pkcs12)
        }
        _ => None,
    }
}
