//! Who an engine says it is.

use std::sync::{Arc, Weak};

use ottla_core::{AuthenticationFailure, Credentials, Disconnect, Sasl, Token};

use crate::{
    engine::{
        locked_core::Engine,
        state::State,
        token_source::{OAuthToken, TakeToken, TokenError, TokenSource, TokenWanted},
    },
    error::BuildError,
    panic_containment::contain,
    security::Login,
};

/// PBKDF2's iterations a call: so many hold the lock for well below a millisecond.
const ITERATIONS: u32 = 128;

impl State {
    /// What there is to say of a connection that was not authenticated.
    pub(super) fn authentication_error(&self, cause: Disconnect) -> Option<Arc<str>> {
        let Disconnect::Authentication(failure) = cause else {
            return None;
        };
        let said = matches!(failure, AuthenticationFailure::Refused)
            .then(|| self.core.authentication_message().map(Arc::from));
        let no_token = matches!(failure, AuthenticationFailure::NoToken);
        said.flatten().or_else(|| self.tokens.error.clone().filter(|_| no_token))
    }
}

/// Random bytes of the operating system's.
fn entropy(buffer: &mut [u8]) -> bool {
    getrandom::fill(buffer).is_ok()
}

impl Engine {
    /// Authenticates on all connections.
    pub(crate) fn authenticate(
        self: &Arc<Self>,
        login: &Login,
        tokens: Option<&TokenSource>,
    ) -> Result<(), BuildError> {
        let credentials = match login {
            Login::Plain { username, password } => {
                Credentials::Plain { username, password: password.reveal() }
            }
            Login::ScramSha256 { username, password } => {
                Credentials::ScramSha256 { username, password: password.reveal(), entropy }
            }
            Login::ScramSha512 { username, password } => {
                Credentials::ScramSha512 { username, password: password.reveal(), entropy }
            }
            Login::OAuthBearer => Credentials::OAuthBearer,
        };
        let sasl = Sasl::heap(&credentials).map_err(|error| BuildError::Security {
            name: "sasl.password",
            why: error.to_string(),
        })?;
        self.set_sasl(sasl, tokens);
        Ok(())
    }

    pub(crate) fn set_sasl(&self, sasl: Sasl<'static>, tokens: Option<&TokenSource>) {
        let mut state = self.lock();
        state.core.set_sasl(sasl.with_iterations_per_call(ITERATIONS));
        state.tokens.source = tokens.cloned();
        self.leave(state);
    }

    /// Has a token fetched, with the lock free.
    pub(crate) fn want_token(self: &Arc<Self>) {
        let source = self.lock_beside().tokens.source.clone();
        let by: Weak<Self> = Arc::downgrade(self);
        let wanted = TokenWanted::new(by);
        // Where there is no source, or it panics, the wish is dropped.
        contain(move || {
            if let Some(source) = source {
                source.fetch(wanted);
            }
        });
    }
}

impl TakeToken for Engine {
    fn take_token(&self, token: Result<OAuthToken, TokenError>) {
        let now = self.clock().now();
        let mut state = self.lock();
        let taken = match &token {
            Ok(token) => {
                let extensions: Vec<(&str, &str)> =
                    token.extensions.iter().map(|(name, value)| (&**name, &**value)).collect();
                let OAuthToken { text, lifetime, .. } = token;
                let token = Token { text, extensions: &extensions, lifetime: *lifetime };
                state.core.handle_token(now, &token).map_err(|error| error.to_string())
            }
            Err(error) => {
                state.core.handle_no_token(now);
                Err(error.to_string())
            }
        };
        state.tokens.error = taken.err().map(Arc::from);
        if let Some(error) = state.tokens.error.clone() {
            state.news.note(move || tracing::warn!(%error, "no token"));
        }
        self.leave(state);
    }
}
