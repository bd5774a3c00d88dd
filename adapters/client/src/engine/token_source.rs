//! Tokens for OAUTHBEARER, and who fetches them.

use core::{error::Error, fmt, time::Duration};
use std::sync::{Arc, Weak};

/// A token for OAUTHBEARER. Shown without itself.
#[derive(Clone)]
#[non_exhaustive]
pub struct OAuthToken {
    /// The token, as it is to be sent.
    pub text: String,
    /// For how long it is good.
    pub lifetime: Duration,
    /// Extensions by name and value (KIP-342), such as `logicalCluster`.
    pub extensions: Vec<(String, String)>,
}

impl OAuthToken {
    /// A token without extensions.
    #[must_use]
    pub fn new(text: impl Into<String>, lifetime: Duration) -> Self {
        Self { text: text.into(), lifetime, extensions: Vec::new() }
    }

    /// Adds an extension.
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for OAuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthToken").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Drop for OAuthToken {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.text);
    }
}

/// Why there is no token: whatever the application says.
pub type TokenError = Box<dyn Error + Send + Sync>;

/// Fetches tokens: begins to, and has the answer go where it is waited for.
#[derive(Clone)]
pub(crate) struct TokenSource(Arc<dyn Fn(TokenWanted) + Send + Sync>);

impl TokenSource {
    /// One that begins to fetch a token, and does not wait for it.
    pub(crate) fn new(begin: impl Fn(TokenWanted) + Send + Sync + 'static) -> Self {
        Self(Arc::new(begin))
    }

    /// One that fetches a token on a thread of its own, since that may wait for long.
    pub(crate) fn blocking(
        fetch: impl Fn() -> Result<OAuthToken, TokenError> + Send + Sync + 'static,
    ) -> Self {
        let fetch = Arc::new(fetch);
        Self::new(move |wanted| {
            let fetch = Arc::clone(&fetch);
            let thread = std::thread::Builder::new().name("ottla-token".to_owned());
            // Where there is no thread to be had, the wish is dropped, and so answered.
            drop(thread.spawn(move || wanted.answer(fetch())));
        })
    }

    /// Begins to fetch one.
    pub(crate) fn fetch(&self, wanted: TokenWanted) {
        (self.0)(wanted);
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}

/// Whoever waits for a token.
pub(crate) trait TakeToken: Send + Sync {
    /// There it is, or why there is none.
    fn take_token(&self, token: Result<OAuthToken, TokenError>);
}

/// A token that somebody waits for. To drop it without an answer is one as well: there is none.
pub(crate) struct TokenWanted(Option<Weak<dyn TakeToken>>);

impl TokenWanted {
    pub(crate) fn new(by: Weak<dyn TakeToken>) -> Self {
        Self(Some(by))
    }

    pub(crate) fn answer(mut self, token: Result<OAuthToken, TokenError>) {
        if let Some(engine) = self.0.take().and_then(|engine| engine.upgrade()) {
            engine.take_token(token);
        }
    }
}

impl Drop for TokenWanted {
    fn drop(&mut self) {
        if let Some(engine) = self.0.take().and_then(|engine| engine.upgrade()) {
            engine.take_token(Err("who fetches tokens ended without an answer".into()));
        }
    }
}

impl fmt::Debug for TokenWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenWanted")
    }
}

/// Where tokens come from, and why there is none.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) source: Option<TokenSource>,
    pub(crate) error: Option<Arc<str>>,
}
