//! A cluster whose proxied listeners speak TLS, ask clients who they are, or both.

use core::time::Duration;

use anyhow::Result;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ottla_adapter_tests::tls::{Authority, Identity};
use ottla_kafka::{Cluster, Config};

use crate::version;

/// The user that listeners with SASL know, besides one that is called [`OTHER`].
pub const USER: &str = "alice";
/// The password of [`USER`].
pub const PASSWORD: &str = "alice-secret";
/// Another user.
pub const OTHER: &str = "bob";
/// The password of [`OTHER`].
pub const OTHER_PASSWORD: &str = "bob-secret";

/// The mechanisms by which a listener lets somebody in.
pub const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// What a proxied listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TLS.
    Ssl,
    /// SASL.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Protocol {
    /// Its name in `security.protocol`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// A cluster that is reached securely by [`Cluster::proxied_bootstrap`], and plainly by [`Cluster::bootstrap`], which is
/// for its own tools.
#[derive(Debug)]
pub struct Secured {
    /// The cluster.
    pub cluster: Cluster,
    /// Whoever signed the brokers' certificate.
    pub authority: Authority,
    protocol: Protocol,
    /// The authority's certificate.
    trusted: String,
}

impl Secured {
    /// Starts one of [`version`] with TLS. The certificate is for `localhost` and 127.0.0.1. Properties that are added
    /// are those of that listener, as `ssl.client.auth`; clients of the same authority are trusted.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(nodes: usize, more: &[(&str, &str)]) -> Result<Self> {
        Self::start_as(&["localhost", "127.0.0.1"], Protocol::Ssl, nodes, more)
    }

    /// As [`Self::start`], with a certificate for other names, or another protocol.
    ///
    /// # Errors
    /// As there.
    pub fn start_as(
        names: &[&str],
        protocol: Protocol,
        nodes: usize,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let authority = Authority::new();
        let Identity { certificate, key } = authority.sign(names);
        let map = format!("PLAINTEXT:PLAINTEXT,PROXIED:{},CONTROLLER:PLAINTEXT", protocol.name());
        let mut config =
            Config::new(&version(), nodes)?.with("listener.security.protocol.map", &map);
        // Not as files: Kafka before 3.0 takes only encrypted keys from those.
        let inline = |pem: &str| pem.replace('\n', "\\n");
        let (key, certificate) = (inline(&key), inline(&certificate));
        let trusted = inline(&authority.certificate());
        let stores = [
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.key", &*key),
            ("ssl.keystore.certificate.chain", &certificate),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", &trusted),
        ];
        let modules = login_modules();
        let logins = modules.iter().map(|(name, module)| (&**name, &**module));
        let logins = logins.chain([
            ("connection.failed.authentication.delay.ms", "100"),
            ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"),
        ]);
        let asks = protocol != Protocol::Ssl;
        let sasl = logins.filter(|_| asks);
        // Who has a store of another type brings all of it.
        let replaced = more.iter().any(|(name, _)| *name == "ssl.keystore.type");
        let stores =
            stores.into_iter().filter(|(name, _)| !replaced || !name.starts_with("ssl.keystore."));
        for (name, value) in stores.chain(sasl).chain(more.iter().copied()) {
            // This one is of all listeners.
            let own = name != "connection.failed.authentication.delay.ms";
            let prefix = if own { "listener.name.proxied." } else { "" };
            config = config.with(&format!("{prefix}{name}"), value);
        }
        let cluster = Cluster::start(&config)?;
        if asks {
            cluster.set_scram_password(USER, PASSWORD, 4_096)?;
            cluster.set_scram_password(OTHER, OTHER_PASSWORD, 8_192)?;
        }
        let trusted = authority.certificate();
        Ok(Self { cluster, authority, protocol, trusted })
    }

    /// Whether it asks clients who they are.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.protocol != Protocol::Ssl
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.protocol != Protocol::SaslPlaintext
    }

    /// What a client needs to reach it, but for who it is.
    #[must_use]
    pub fn properties(&self) -> Vec<(&str, &str)> {
        let protocol = ("security.protocol", self.protocol.name());
        match self.protocol {
            Protocol::SaslPlaintext => vec![protocol],
            Protocol::Ssl | Protocol::SaslSsl => vec![protocol, ("ssl.ca.pem", &self.trusted)],
        }
    }

    /// The same for [`USER`]: by OAUTHBEARER it needs a [`token`] besides.
    #[must_use]
    pub fn logged_in_by<'a>(&'a self, mechanism: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut properties = self.properties();
        properties.push(("sasl.mechanism", mechanism));
        if mechanism != "OAUTHBEARER" {
            properties.extend([("sasl.username", USER), ("sasl.password", PASSWORD)]);
        }
        properties
    }
}

/// Each mechanism's login module, as a listener is given it.
fn login_modules() -> [(String, String); 4] {
    let module = |mechanism: &str, module: &str, options: &str| {
        let name = format!("{mechanism}.sasl.jaas.config");
        (name, format!("org.apache.kafka.common.security.{module} required{options};"))
    };
    let users = format!(" user_{USER}=\"{PASSWORD}\" user_{OTHER}=\"{OTHER_PASSWORD}\"");
    [
        module("plain", "plain.PlainLoginModule", &users),
        module("scram-sha-256", "scram.ScramLoginModule", ""),
        module("scram-sha-512", "scram.ScramLoginModule", ""),
        module(
            "oauthbearer",
            "oauthbearer.OAuthBearerLoginModule",
            " unsecuredLoginStringClaim_sub=\"broker\"",
        ),
    ]
}

/// A token that nobody has signed, which such a listener believes: of a user, and for so long from now on.
#[must_use]
pub fn token(user: &str, lifetime: Duration) -> String {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let claims = format!(
        r#"{{"sub":"{user}","iat":{},"exp":{}.0}}"#,
        now.as_secs(),
        (now + lifetime).as_secs()
    );
    let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims))
}
