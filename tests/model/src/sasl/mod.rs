//! SASL at the side of the broker: who may come in, by which mechanism, and for how long.

use core::{fmt, time::Duration};

mod accounts;
mod authentication;
mod lie;
mod oauthbearer;
mod plain;
mod scram;
mod tally;

pub(crate) use accounts::Accounts;
pub(crate) use authentication::{Admission, Answer, Authentication, Said};
pub use lie::SaslLie;
pub use tally::SaslTally;

/// The least iterations that a broker lets a user have (`ScramMechanism.minIterations`).
const LEAST_ITERATIONS: u32 = 4_096;

/// What the nodes' listener asks of its clients: `SASL_PLAINTEXT`, or the SASL part of `SASL_SSL`.
#[derive(Clone, Debug, Default)]
pub struct SaslConfig {
    /// `sasl.enabled.mechanisms`, in the order in which they are told.
    pub mechanisms: Vec<Mechanism>,
    /// Who may come by PLAIN and by SCRAM.
    pub users: Vec<User>,
    /// What opens the door by OAUTHBEARER.
    pub tokens: Vec<Token>,
    /// `connections.max.reauth.ms`: for how long a session lasts at most (KIP-368), in whole
    /// milliseconds; `None` is for ever.
    pub max_reauth: Option<Duration>,
    /// `connection.failed.authentication.delay.ms`: for how long the answer to who is refused is kept
    /// back, and the connection with it.
    pub failed_authentication_delay: Duration,
}

impl SaslConfig {
    /// These mechanisms, and nobody who may come.
    #[must_use]
    pub fn with(mechanisms: &[Mechanism]) -> Self {
        Self { mechanisms: mechanisms.to_vec(), ..Self::default() }
    }

    /// The same with another user.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push(User::new(name, password));
        self
    }

    /// The same with another token.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.tokens.push(token);
        self
    }

    /// The same with sessions of this length.
    #[must_use]
    pub fn max_reauth(self, session: Duration) -> Self {
        Self { max_reauth: Some(session), ..self }
    }
}

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// The password as it is (RFC 4616).
    Plain,
    /// A proof of the password (RFC 7677).
    ScramSha256,
    /// The same with the longer hash.
    ScramSha512,
    /// A token (RFC 7628).
    OAuthBearer,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OAuthBearer];

    /// Its name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// The mechanism of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who may come by PLAIN and by SCRAM. The password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, which is the principal's as well.
    pub name: String,
    /// The password.
    pub password: String,
    /// The iterations of SCRAM. With fewer than 4,096 nobody gets in by SCRAM, as in Kafka.
    pub iterations: u32,
}

impl User {
    /// A user with as many iterations as Kafka's tools give by default.
    #[must_use]
    pub fn new(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned(), iterations: LEAST_ITERATIONS }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, password: _, iterations } = self;
        let mut shown = f.debug_struct("User");
        shown.field("name", name).field("password", &format_args!("[hidden]"));
        shown.field("iterations", iterations).finish()
    }
}

/// What opens the door by OAUTHBEARER. Its text is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The text: letters, digits, `-`, `_` and `.`; Kafka lets no other in.
    pub text: String,
    /// Whose it is.
    pub principal: String,
    /// Until when it holds, counted from the start of the run.
    pub until: Duration,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text: _, principal, until } = self;
        let mut shown = f.debug_struct("Token");
        shown.field("text", &format_args!("[hidden]"));
        shown.field("principal", principal).field("until", until).finish()
    }
}

/// Why somebody is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client is told these words.
    Told(String),
    /// The client is told nothing in particular, so that it learns nothing of who exists.
    Credentials,
    /// The connection ends without a word: something went wrong that nobody thought of.
    Hangup,
}

/// What the broker says to a message that it does not refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This, and waits for more.
    GoOn(Vec<u8>),
    /// This, and the client is in.
    Done {
        bytes: Vec<u8>,
        principal: String,
        /// Until when the credentials hold, where they end.
        until: Option<Duration>,
    },
}
