//! How connections are secured: what the properties say, read once. May touch: files, and nothing of the client.

#[cfg(feature = "_tls")]
mod pem;
mod properties;
mod sasl;
#[cfg(feature = "_tls")]
pub(crate) mod tls;

pub(crate) use properties::SecurityProperties;
#[cfg(feature = "sasl")]
use sasl::Secret;

use crate::error::BuildError;

/// Whether a property is about security: those are the client's, and [`Config::set`](ottla_core::Config::set) refuses
/// them.
#[must_use]
pub fn is_security_property(name: &str) -> bool {
    SecurityProperties::knows(name)
}

/// Whether a property's value is not to be shown: it is a secret, as a password or a key is, or it may be one, as of
/// a property about security that nobody knows.
#[must_use]
pub fn is_secret_property(name: &str) -> bool {
    let parts = ["password", "secret", "jaas", "token"];
    parts.iter().any(|part| name.contains(part))
        || SecurityProperties::knows(name) && !SecurityProperties::is_shown(name)
}

/// What is wrong with a host's name.
#[cfg(feature = "_tls")]
pub(crate) fn no_name(host: &str) -> String {
    format!("{host:?} is no name that a certificate can be for")
}

/// Who the client says it is, and by which mechanism.
#[cfg(feature = "sasl")]
#[derive(Clone, Debug)]
pub(crate) enum Login {
    Plain { username: String, password: Secret },
    ScramSha256 { username: String, password: Secret },
    ScramSha512 { username: String, password: Secret },
    OAuthBearer,
}

/// What a connection is wrapped in.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `None`: bytes go as they are.
    #[cfg(feature = "_tls")]
    pub(crate) tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Security {
    /// What the properties say, or the application's own configuration does: whoever gives one wants it used.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read or is not what it should be, or what was given goes for nothing.
    #[cfg(feature = "_tls")]
    pub(crate) fn new(properties: &SecurityProperties) -> Result<Self, BuildError> {
        let Some(own) = properties.own.clone() else {
            if properties.wants_tls() {
                return Ok(Self { tls: Some(tls::config(properties)?) });
            }
            properties.nothing_for_tls()?;
            return Ok(Self { tls: None });
        };
        let refused = |name, reason| {
            Err(BuildError::UnsupportedProperty { name: String::from(name), reason })
        };
        if properties.wants_plaintext() {
            return refused("security.protocol", "`Builder::tls` was called: it is SSL");
        }
        if let Some(name) = properties.about_tls() {
            return refused(name, "`Builder::tls` takes the place of all properties about TLS");
        }
        if own.enable_early_data {
            return refused("`Builder::tls`", "early data can be replayed: turn it off");
        }
        Ok(Self { tls: Some(own) })
    }

    /// As with TLS, which this build has not.
    #[cfg(not(feature = "_tls"))]
    pub(crate) fn new(properties: &SecurityProperties) -> Result<Self, BuildError> {
        if properties.wants_tls() {
            let name = "security.protocol".to_owned();
            let reason = "this build has no TLS: build ottla with its feature `tls`";
            return Err(BuildError::UnsupportedProperty { name, reason });
        }
        properties.nothing_for_tls()?;
        Ok(Self {})
    }

    /// Checks the host of a bootstrap server.
    ///
    /// # Errors
    ///
    /// Where it has to show a certificate, and none can be for such a name.
    #[cfg(feature = "_tls")]
    pub(crate) fn check_host(&self, host: &str) -> Result<(), BuildError> {
        if self.is_on() && rustls::pki_types::ServerName::try_from(host).is_err() {
            let why = format!("{}: expected a DNS name or an IP address", no_name(host));
            return Err(BuildError::Security { name: "bootstrap.servers", why });
        }
        Ok(())
    }

    /// Who the client says it is; `None` where brokers do not ask.
    ///
    /// # Errors
    ///
    /// Where the properties do not fit together, or go for nothing.
    #[cfg(feature = "sasl")]
    pub(crate) fn login(
        &self,
        properties: SecurityProperties,
        has_tokens: bool,
    ) -> Result<Option<Login>, BuildError> {
        if !properties.wants_sasl() {
            if has_tokens {
                let name = "`Builder::token`".to_owned();
                return Err(BuildError::UnsupportedProperty { name, reason: sasl::FOR_NOTHING });
            }
            properties.sasl.nothing_given()?;
            return Ok(None);
        }
        let login = properties.sasl.login(has_tokens)?;
        if !self.is_on() && matches!(login, Login::Plain { .. } | Login::OAuthBearer) {
            tracing::warn!("SASL_PLAINTEXT: the password, or the token, can be read on the way");
        }
        Ok(Some(login))
    }

    /// Whether connections are anything but plain.
    pub(crate) const fn is_on(&self) -> bool {
        #[cfg(feature = "_tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "_tls"))]
        false
    }
}
