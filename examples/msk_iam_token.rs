//! Tokens for AWS MSK with IAM: a request for `kafka-cluster:Connect` that is signed (SigV4) and never sent, and a program
//! that sends its arguments with them.
//!
//! ```sh
//! export AWS_REGION=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…      # and AWS_SESSION_TOKEN, where there is one
//! cargo run -p ottla-examples --features tls --example msk_iam_token -- b-1.….amazonaws.com:9098 readings 21.5 21.6
//! ```
//!
//! The credentials are the environment's. Whoever has them from an instance's role or from STS fetches them in
//! [`producer`]'s callback, before each signature.

use core::{fmt, time::Duration};
use std::{env, error::Error, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ottla_blocking::{OAuthToken, Producer, Record, TokenError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::UtcDateTime;

const SERVICE: &str = "kafka-cluster";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// For how many seconds a signature is good. MSK takes no longer one.
const LIFETIME: u64 = 900;
/// What a URL may have as it is (RFC 3986, 2.3), and all else has encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who signs. Shown without the secrets.
#[derive(Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`, of credentials that are good for a time only.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.access_key_id;
        f.debug_struct("Credentials").field("access_key_id", id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// What the environment has.
    pub fn from_env() -> Result<Self, String> {
        let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
        Ok(Self {
            access_key_id: variable("AWS_ACCESS_KEY_ID")?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
            session_token: variable("AWS_SESSION_TOKEN").ok(),
        })
    }

    /// A token for the brokers of a region, good for 15 minutes from `now`.
    ///
    /// # Errors
    ///
    /// Where `now` is no time of this calendar.
    pub fn token(&self, region: &str, now: SystemTime) -> Result<OAuthToken, TokenError> {
        let url = self.presigned(region, now)?;
        // It is told after the signature, which does not cover it.
        let agent = concat!("ottla-example/", env!("CARGO_PKG_VERSION"));
        let url = format!("{url}&User-Agent={}", encode(agent));
        Ok(OAuthToken::new(URL_SAFE_NO_PAD.encode(url), Duration::from_secs(LIFETIME)))
    }

    /// The signed request, as "Signature Version 4" of AWS's reference has it for a query.
    pub fn presigned(&self, region: &str, now: SystemTime) -> Result<String, TokenError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let now = UtcDateTime::from_unix_timestamp(now.try_into()?)?;
        let (hour, minute, second) = now.as_hms();
        let date = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
        let time = format!("{date}T{hour:02}{minute:02}{second:02}Z");
        let host = format!("kafka.{region}.amazonaws.com");
        let scope = format!("{date}/{region}/{SERVICE}/aws4_request");
        let credential = format!("{}/{scope}", self.access_key_id);
        let lifetime = LIFETIME.to_string();
        let mut query = vec![
            ("Action", "kafka-cluster:Connect"),
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &time),
            ("X-Amz-Expires", &lifetime),
        ];
        query.extend(self.session_token.as_deref().map(|token| ("X-Amz-Security-Token", token)));
        // By their names, which the signature wants: this one is the last.
        query.push(("X-Amz-SignedHeaders", "host"));
        let query: Vec<_> =
            query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let query = query.join("&");
        let request =
            format!("GET\n/\n{query}\nhost:{host}\n\nhost\n{}", hex(&Sha256::digest(b"")));
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let key = format!("AWS4{}", self.secret_access_key);
        let parts = [&*date, region, SERVICE, "aws4_request", &to_sign];
        let signature = parts.iter().fold(key.into_bytes(), |key, part| sign(&key, part));
        Ok(format!("https://{host}/?{query}&X-Amz-Signature={}", hex(&signature)))
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ENCODED)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A producer that authenticates with such tokens.
pub fn producer(
    properties: &[(&str, &str)],
    fetch: impl Fn() -> Result<OAuthToken, TokenError> + Send + Sync + 'static,
) -> Result<Producer, Box<dyn Error>> {
    Ok(Producer::builder()
        .property("sasl.mechanism", "OAUTHBEARER")
        .properties(properties.iter().copied())
        .token(fetch)
        .build()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(brokers), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("usage: msk_iam_token BROKERS TOPIC VALUE…".into());
    };
    let region = env::var("AWS_REGION").map_err(|error| format!("AWS_REGION: {error}"))?;
    let protocol = if cfg!(feature = "tls") { "SASL_SSL" } else { "SASL_PLAINTEXT" };
    let properties = [("bootstrap.servers", &*brokers), ("security.protocol", protocol)];
    let fetch = move || Credentials::from_env()?.token(&region, SystemTime::now());
    let producer = producer(&properties, fetch)?;
    let topic = producer.topic(&topic)?;
    for value in arguments {
        let record = Record { value: Some(value.as_bytes()), ..Record::default() };
        println!("{}", producer.send(&topic, &record)?.wait());
    }
    println!("{}", producer.close(Duration::from_secs(5)));
    Ok(())
}
