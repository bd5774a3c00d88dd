//! Kafka's properties about security, and librdkafka's.

use crate::{error::BuildError, security::sasl::SaslProperties};

/// What `security.protocol` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

/// A PEM text, as a property gives it.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "_tls"), allow(dead_code, reason = "read with TLS only"))]
pub(crate) struct Pem {
    /// The property, by the name that it was given by.
    pub(crate) name: &'static str,
    pub(crate) source: Source,
}

/// Where the text is: in a file, or in the property itself.
#[derive(Clone)]
#[cfg_attr(not(feature = "_tls"), allow(dead_code, reason = "read with TLS only"))]
pub(crate) enum Source {
    File(String),
    Inline(String),
}

/// Without the text, which may be a private key.
impl core::fmt::Debug for Source {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(_) => f.write_str("Inline([hidden])"),
        }
    }
}

/// The properties about security that were given.
#[derive(Clone, Debug)]
pub(crate) struct SecurityProperties {
    protocol: Option<Protocol>,
    pub(crate) sasl: SaslProperties,
    /// The first of those that were given that only TLS has a use for, by the name it was given.
    about_tls: Option<String>,
    /// What the application gives in place of them.
    #[cfg(feature = "_tls")]
    pub(crate) own: Option<std::sync::Arc<rustls::ClientConfig>>,
    pub(crate) roots: Option<Pem>,
    pub(crate) chain: Option<Pem>,
    pub(crate) key: Option<Pem>,
    /// Whether the broker's certificate must be for the host that was dialled.
    pub(crate) checks_host: bool,
    pub(crate) tls12: bool,
    pub(crate) tls13: bool,
    /// IANA names; empty for the provider's own choice.
    pub(crate) suites: Vec<String>,
}

impl Default for SecurityProperties {
    fn default() -> Self {
        Self {
            protocol: None,
            sasl: SaslProperties::default(),
            about_tls: None,
            #[cfg(feature = "_tls")]
            own: None,
            roots: None,
            chain: None,
            key: None,
            checks_host: true,
            tls12: true,
            tls13: true,
            suites: Vec::new(),
        }
    }
}

const STORES: &str = "keys and certificates are taken as PEM: `openssl pkcs12 -in store.p12 -nodes -out store.pem` \
    (and for JKS before that `keytool -importkeystore -deststoretype pkcs12`), then ssl.truststore.type=PEM, \
    ssl.keystore.type=PEM, or ssl.ca.location, ssl.certificate.location and ssl.key.location";
const ENCRYPTED: &str = "encrypted keys are not read: decrypt it with `openssl pkcs8 -topk8 -nocrypt`, and \
    have the file's rights protect it";
const VERIFIED: &str = "a certificate is always verified: name the one that a self-made broker has as \
    ssl.ca.location; ssl.endpoint.identification.algorithm=none leaves out its host name";
const PROVIDED: &str = "TLS is rustls: Builder::tls takes a configuration of your own";
const TEXT: &str = "expected the path of a file, found a PEM text: ssl.ca.pem, ssl.certificate.pem and ssl.key.pem take that";

/// All names that begin like this are judged here and nowhere else.
const OURS: [&str; 5] = ["security.protocol", "ssl.", "enable.ssl.", "sasl.", "enable.sasl."];

/// Those with values that are no secrets, beside files and their types.
const SHOWN: [&str; 13] = [
    "enable.ssl.certificate.verification",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "security.protocol",
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.keystore.certificate.chain",
    "ssl.protocol",
    "ssl.truststore.certificates",
];

impl SecurityProperties {
    /// Whether a property is about security, and so for [`set`](Self::set).
    pub(crate) fn knows(name: &str) -> bool {
        OURS.iter().any(|ours| name.starts_with(ours))
    }

    /// Whether the value of one of them is no secret for certain.
    pub(super) fn is_shown(name: &str) -> bool {
        SHOWN.contains(&name) || name.ends_with(".location") || name.ends_with(".type")
    }

    /// Whether the value of a property is to be told to nobody.
    pub(crate) fn is_secret(name: &str, value: &str) -> bool {
        // A key may be given where a certificate is expected.
        super::is_secret_property(name) || value.contains("PRIVATE KEY")
    }

    /// Takes a property.
    ///
    /// # Errors
    ///
    /// Where there is no such property, it is not supported, or its value is none.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BuildError> {
        let refused =
            |reason| Err(BuildError::UnsupportedProperty { name: name.to_owned(), reason });
        let expected = |expected| {
            Err(BuildError::PropertyValue {
                name: name.to_owned(),
                value: value.to_owned(),
                expected,
            })
        };
        let pem = |source: fn(String) -> Source| Pem {
            name: NAMES.into_iter().find(|known| *known == name).unwrap_or_default(),
            source: source(value.to_owned()),
        };
        if name.ends_with(".location") && value.contains("-----BEGIN") {
            // Not to be repeated: it may be a key.
            return refused(TEXT);
        }
        match name {
            name if name.starts_with("sasl.") || name.starts_with("enable.sasl.") => {
                return self.sasl.set(name, value);
            }
            "security.protocol" => {
                self.protocol = Some(match value.to_ascii_uppercase().as_str() {
                    "PLAINTEXT" => Protocol::Plaintext,
                    "SSL" => Protocol::Ssl,
                    "SASL_PLAINTEXT" => Protocol::SaslPlaintext,
                    "SASL_SSL" => Protocol::SaslSsl,
                    _ => return expected("PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
                });
                return Ok(());
            }
            "ssl.ca.location" | "ssl.truststore.location" => {
                put(&mut self.roots, pem(Source::File))?;
            }
            "ssl.ca.pem" | "ssl.truststore.certificates" => {
                put(&mut self.roots, pem(Source::Inline))?;
            }
            "ssl.keystore.location" => {
                // One file has both.
                put(&mut self.chain, pem(Source::File))?;
                put(&mut self.key, pem(Source::File))?;
            }
            "ssl.certificate.location" => put(&mut self.chain, pem(Source::File))?,
            "ssl.certificate.pem" | "ssl.keystore.certificate.chain" => {
                put(&mut self.chain, pem(Source::Inline))?;
            }
            "ssl.key.location" => put(&mut self.key, pem(Source::File))?,
            "ssl.key.pem" | "ssl.keystore.key" => put(&mut self.key, pem(Source::Inline))?,
            "ssl.truststore.type" | "ssl.keystore.type" => match value {
                "PEM" => return Ok(()),
                _ => return refused(STORES),
            },
            "ssl.endpoint.identification.algorithm" => {
                self.checks_host = match value.to_ascii_lowercase().as_str() {
                    "https" => true,
                    "" | "none" => false,
                    _ => return expected("https, or none (or nothing)"),
                };
            }
            "enable.ssl.certificate.verification" => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => return Ok(()),
                _ => return refused(VERIFIED),
            },
            "ssl.enabled.protocols" => {
                (self.tls12, self.tls13) = (false, false);
                for version in value.split(',').map(str::trim) {
                    match version {
                        "TLSv1.2" => self.tls12 = true,
                        "TLSv1.3" => self.tls13 = true,
                        _ => return expected("TLSv1.2, TLSv1.3, or both with a comma between"),
                    }
                }
            }
            "ssl.protocol" => match value {
                "TLS" | "TLSv1.3" => return Ok(()),
                _ => return refused("ssl.enabled.protocols says which versions of TLS are spoken"),
            },
            "ssl.cipher.suites" => {
                let names = value.split([',', ':']).map(str::trim).filter(|name| !name.is_empty());
                self.suites = names.map(str::to_owned).collect();
            }
            "ssl.key.password" => return refused(ENCRYPTED),
            "ssl.keystore.password" | "ssl.truststore.password" => return refused(STORES),
            name if name.starts_with("ssl.engine.")
                || name.starts_with("ssl.provider")
                || matches!(
                    name,
                    "ssl.curves.list"
                        | "ssl.sigalgs.list"
                        | "ssl.crl.location"
                        | "ssl.secure.random.implementation"
                        | "ssl.keymanager.algorithm"
                        | "ssl.trustmanager.algorithm"
                        | "ssl.certificate.verify_cb"
                ) =>
            {
                return refused(PROVIDED);
            }
            _ => {
                return Err(BuildError::UnknownProperty {
                    name: name.to_owned(),
                    nearest: nearest(name),
                });
            }
        }
        self.about_tls.get_or_insert_with(|| name.to_owned());
        Ok(())
    }

    /// Whether connections are to have TLS.
    pub(crate) fn wants_tls(&self) -> bool {
        matches!(self.protocol, Some(Protocol::Ssl | Protocol::SaslSsl))
    }

    /// Whether the client is to say who it is.
    pub(crate) fn wants_sasl(&self) -> bool {
        matches!(self.protocol, Some(Protocol::SaslPlaintext | Protocol::SaslSsl))
    }

    /// Checks that SASL is not asked for, which this build has not.
    #[cfg(not(feature = "sasl"))]
    pub(crate) fn without_sasl(&self) -> Result<(), BuildError> {
        if self.wants_sasl() {
            let name = "security.protocol".to_owned();
            let reason = "this build has no SASL: build ottla with its feature `sasl`";
            return Err(BuildError::UnsupportedProperty { name, reason });
        }
        self.sasl.nothing_given()
    }

    /// Whether it was said that connections are to be plain.
    #[cfg(feature = "_tls")]
    pub(crate) fn wants_plaintext(&self) -> bool {
        matches!(self.protocol, Some(Protocol::Plaintext | Protocol::SaslPlaintext))
    }

    /// The first of those that only TLS has a use for.
    #[cfg(feature = "_tls")]
    pub(crate) fn about_tls(&self) -> Option<&str> {
        self.about_tls.as_deref()
    }

    /// Checks that nothing was given which goes for nothing: who names a certificate and speaks plainly would believe
    /// to be safe.
    pub(crate) fn nothing_for_tls(&self) -> Result<(), BuildError> {
        let Some(name) = self.about_tls.clone() else { return Ok(()) };
        let reason = "it goes for nothing without security.protocol=SSL or SASL_SSL";
        Err(BuildError::UnsupportedProperty { name, reason })
    }
}

/// Notes what a PEM text is taken from.
///
/// # Errors
///
/// Where another property says that it is elsewhere: one of the two would go for nothing.
fn put(place: &mut Option<Pem>, pem: Pem) -> Result<(), BuildError> {
    let is_same = |other: &Pem| librdkafkas(other.name) == librdkafkas(pem.name);
    if let Some(other) = place.as_ref().filter(|other| !is_same(other)) {
        let why = format!("it contradicts {}: expected one of the two", other.name);
        return Err(BuildError::Security { name: pem.name, why });
    }
    *place = Some(pem);
    Ok(())
}

/// What librdkafka calls a property of Kafka's, where it has it.
fn librdkafkas(name: &str) -> &str {
    match name {
        "ssl.truststore.location" => "ssl.ca.location",
        "ssl.truststore.certificates" => "ssl.ca.pem",
        "ssl.keystore.certificate.chain" => "ssl.certificate.pem",
        "ssl.keystore.key" => "ssl.key.pem",
        name => name,
    }
}

/// The properties that may be given.
const NAMES: [&str; 17] = [
    "security.protocol",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.pem",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.type",
];

/// The name of ours that is spelt most like it.
fn nearest(name: &str) -> Option<&'static str> {
    ottla_core::nearest_property(name, NAMES)
}
