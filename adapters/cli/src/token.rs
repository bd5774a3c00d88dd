//! Tokens for OAUTHBEARER, which another program renews.

use core::{error::Error, time::Duration};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ottla_client::api::{OAuthToken, TokenError};

use crate::{args::TokenOptions, secret::Whereabouts};

/// Where tokens are read, each time that one is wanted.
#[derive(Clone, Debug)]
pub(crate) struct TokenPlace {
    place: Whereabouts,
    /// For how long a token is good that does not say so itself.
    lifetime: Duration,
    extensions: Vec<(String, String)>,
}

impl TokenPlace {
    /// What the arguments say, if they say something.
    pub(crate) fn of(options: &TokenOptions) -> Option<Self> {
        let place = options.token.clone()?;
        let lifetime = Duration::from_secs(options.token_lifetime);
        Some(Self { place, lifetime, extensions: options.token_extensions.clone() })
    }

    /// Reads the token that is there now.
    ///
    /// # Errors
    ///
    /// Where there is none, or it is no longer good.
    #[allow(clippy::disallowed_methods)] // a token says by the clock on the wall how long it is good
    pub(crate) fn fetch(&self) -> Result<OAuthToken, TokenError> {
        let text = self.place.read()?;
        let lifetime = match expires(&text) {
            Some(at) => lifetime(at, SystemTime::now().duration_since(UNIX_EPOCH)?)
                .map_err(|why| format!("{}: {why}", self.place))?,
            None => self.lifetime,
        };
        let token = OAuthToken::new(text, lifetime);
        let extend =
            |token: OAuthToken, (name, value): &(String, String)| token.extension(name, value);
        Ok(self.extensions.iter().fold(token, extend))
    }
}

/// Since 1970, when a token ends that is a JWT (RFC 7519) and says so; its signature is the broker's affair.
fn expires(token: &str) -> Option<Duration> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Duration::try_from_secs_f64(claims.get("exp")?.as_f64()?).ok()
}

/// How much of it is left.
fn lifetime(expires: Duration, now: Duration) -> Result<Duration, Box<dyn Error>> {
    match expires.checked_sub(now) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => {
            let ago = now.saturating_sub(expires).as_secs();
            Err(format!("the token ended {ago} s ago, by its claim `exp` and this machine's clock")
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_says_when_it_ends() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let ends = |claims: &str| expires(&jwt(claims)).map(|at| at.as_secs());
        assert_eq!(ends(r#"{"sub":"alice?","exp":1700000000}"#), Some(1_700_000_000));
        assert_eq!(ends(r#"{"exp":1700000000.5}"#), Some(1_700_000_000));
        for other in ["{}", r#"{"exp":"soon"}"#, r#"{"exp":-1}"#, r#"{"exp":1e300}"#, "[]", "exp"] {
            assert_eq!(ends(other), None, "{other}");
        }
        for other in ["", "opaque", "a.b.c", "a.b", "..", "e30.e30"] {
            assert_eq!(expires(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_left_of_it_is_its_lifetime() {
        let seconds = Duration::from_secs;
        assert_eq!(lifetime(seconds(107), seconds(100)).unwrap(), seconds(7));
        for now in [107, 112] {
            let error = lifetime(seconds(107), seconds(now)).unwrap_err().to_string();
            assert!(error.contains(&format!("ended {} s ago", now - 107)), "{error}");
        }
    }
}
