//! Tokens for OAUTHBEARER from an OpenID provider, by client credentials (RFC 6749, 4.4), and a program that sends its
//! arguments with them.
//!
//! ```sh
//! export OIDC_TOKEN_ENDPOINT=https://login.example.com/oauth2/token OIDC_CLIENT_ID=… OIDC_CLIENT_SECRET=… OIDC_SCOPE=…
//! cargo run -p ottla-examples --features tls --example oidc_token -- broker.example.com:9093 readings 21.5 21.6
//! ```

use core::{fmt, time::Duration};
use std::{env, error::Error};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ottla_blocking::{OAuthToken, Producer, Record, TokenError};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// How long the provider may take; meanwhile an older token is used as long as it is good.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is as long.
const MOST: u64 = 64 * 1024;
/// For how long a token is good of which the provider does not say so.
const LIFETIME: Duration = Duration::from_secs(300);

/// Who asks, and whom. Shown without the secret.
#[derive(Clone)]
pub struct ClientCredentials {
    /// The token endpoint: `https://…`, or `http://` of this machine.
    pub endpoint: String,
    /// As the provider gave it.
    pub client_id: String,
    /// As the provider gave it.
    pub client_secret: String,
    /// What the token is to be good for, where the provider wants that said.
    pub scope: Option<String>,
    /// What goes to the broker with each token, such as `logicalCluster`.
    pub extensions: Vec<(String, String)>,
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, client_id, client_secret: _, scope, extensions } = self;
        let mut shown = f.debug_struct("ClientCredentials");
        shown.field("endpoint", endpoint).field("client_id", client_id);
        shown.field("scope", scope).field("extensions", extensions).finish_non_exhaustive()
    }
}

impl ClientCredentials {
    /// Asks for a token, and waits for it.
    ///
    /// # Errors
    ///
    /// Where the provider cannot be reached or gives none, in words that hold no secret.
    pub fn fetch(&self) -> Result<OAuthToken, TokenError> {
        if !self.endpoint.starts_with("https://") && !is_local(&self.endpoint) {
            return Err(
                "the token endpoint is not https: the client's secret could be read on the way"
                    .into(),
            );
        }
        // The secret goes to nobody else, whatever the provider says.
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .http_status_as_error(false);
        #[cfg(feature = "tls")]
        let agent = agent.tls_config(tls());
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let pair = format!("{}:{}", encode(&self.client_id), encode(&self.client_secret));
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        let mut response = ureq::Agent::new_with_config(agent.build())
            .post(&self.endpoint)
            .header("Authorization", format!("Basic {}", STANDARD.encode(pair)))
            .header("Accept", "application/json")
            .send_form(form)?;
        let body = response.body_mut().with_config().limit(MOST).read_to_string()?;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        if response.status() != 200 {
            let (status, error) = (response.status(), text("error"));
            let told = format!(
                "the token endpoint answers {status}: {error} {}",
                text("error_description")
            );
            return Err(told.trim_end_matches([' ', ':']).into());
        }
        let token = text("access_token");
        if token.is_empty() || !text("token_type").eq_ignore_ascii_case("bearer") {
            return Err("the token endpoint's answer has no bearer token".into());
        }
        let lifetime = body.get("expires_in").and_then(Value::as_u64);
        let token = OAuthToken::new(token, lifetime.map_or(LIFETIME, Duration::from_secs));
        let extend =
            |token: OAuthToken, (name, value): &(String, String)| token.extension(name, value);
        Ok(self.extensions.iter().fold(token, extend))
    }
}

/// Trusts whom the system trusts.
#[cfg(feature = "tls")]
fn tls() -> ureq::tls::TlsConfig {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted = trusted.iter().map(|root| Certificate::from_der(root).to_owned());
    let provider = ottla_blocking::rustls::crypto::ring::default_provider();
    TlsConfig::builder()
        .root_certs(RootCerts::from(trusted))
        .unversioned_rustls_crypto_provider(provider.into())
        .build()
}

/// Whether that is on this machine.
fn is_local(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    matches!(host, Some("127.0.0.1" | "localhost"))
}

/// A producer that authenticates with such tokens.
pub fn producer(
    properties: &[(&str, &str)],
    credentials: ClientCredentials,
) -> Result<Producer, Box<dyn Error>> {
    Ok(Producer::builder()
        .property("sasl.mechanism", "OAUTHBEARER")
        .properties(properties.iter().copied())
        .token(move || credentials.fetch())
        .build()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(brokers), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("usage: oidc_token BROKERS TOPIC VALUE…".into());
    };
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let credentials = ClientCredentials {
        endpoint: variable("OIDC_TOKEN_ENDPOINT")?,
        client_id: variable("OIDC_CLIENT_ID")?,
        client_secret: variable("OIDC_CLIENT_SECRET")?,
        scope: env::var("OIDC_SCOPE").ok(),
        extensions: Vec::new(),
    };
    let protocol = if cfg!(feature = "tls") { "SASL_SSL" } else { "SASL_PLAINTEXT" };
    let properties = [("bootstrap.servers", &*brokers), ("security.protocol", protocol)];
    let producer = producer(&properties, credentials)?;
    let topic = producer.topic(&topic)?;
    for value in arguments {
        let record = Record { value: Some(value.as_bytes()), ..Record::default() };
        println!("{}", producer.send(&topic, &record)?.wait());
    }
    println!("{}", producer.close(Duration::from_secs(5)));
    Ok(())
}
