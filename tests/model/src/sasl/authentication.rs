//! How far a connection is with SASL: the states of `SaslServerAuthenticator`, and what `KafkaChannel`
//! and `Processor` look at once it is done.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode};

use super::{
    Accounts, Mechanism, Refusal, SaslLie, SaslTally, Verdict,
    lie::Lies,
    oauthbearer::OAuthBearer,
    plain,
    scram::{Hash, Scram},
};

/// `MIN_REAUTH_INTERVAL_ONE_SECOND_NANOS`.
const BETWEEN_REAUTHENTICATIONS: Duration = Duration::from_secs(1);

/// What is known of a connection's client.
#[derive(Clone, Debug)]
pub(crate) struct Authentication {
    pub(crate) state: State,
    /// When the last re-authentication began.
    last_reauthentication: Option<Duration>,
    /// Lies that are to be told on this connection.
    lies: Vec<SaslLie>,
    /// The kind of one that was told in this exchange and that nobody may believe.
    lie: Option<&'static str>,
    /// The connection ends, this long after the last request.
    pub(crate) ending: Option<Duration>,
}

/// How far it is.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Nobody is asked.
    Plaintext,
    /// Nothing was asked yet, or only for versions that the node does not speak.
    Nothing,
    /// ApiVersions was answered.
    Versions,
    /// Mechanism's messages are awaited; `Some` is a re-authentication.
    Exchange(Mechanism, Exchange, Option<Established>),
    /// A re-authentication by another mechanism began: with the next request it ends.
    BadMechanism,
    /// The client is in.
    Established(Established),
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Established {
    mechanism: Mechanism,
    principal: String,
    /// When it is over.
    expires: Option<Duration>,
    /// The kind of a lie that was told on the way here and that nobody may believe.
    lie: Option<&'static str>,
}

/// What is done with a request before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is handled.
    Handled,
    /// The connection ends without a word.
    Hangup,
    /// It is answered with an error, and the connection ends.
    Refused,
    /// The connection ends without a word, as after a failure.
    Ended,
}

/// What comes of SaslAuthenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This is said.
    Said(Said),
    /// The connection ends without a word.
    Hangup,
    /// There is no exchange.
    NotAwaited,
}

/// What is said to SaslAuthenticate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) error: ErrorCode,
    pub(crate) words: Option<String>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) lifetime_ms: i64,
}

/// The messages of a mechanism.
#[derive(Clone, Debug)]
pub(crate) enum Exchange {
    Plain,
    Scram(Scram),
    OAuthBearer(OAuthBearer),
}

impl Exchange {
    fn new(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Plain => Self::Plain,
            Mechanism::ScramSha256 => Self::Scram(Scram::new(Hash::Sha256)),
            Mechanism::ScramSha512 => Self::Scram(Scram::new(Hash::Sha512)),
            Mechanism::OAuthBearer => Self::OAuthBearer(OAuthBearer::default()),
        }
    }

    fn judge(
        &mut self,
        accounts: &mut Accounts,
        now: Duration,
        message: &[u8],
        lies: &mut Lies<'_>,
    ) -> Result<Verdict, Refusal> {
        match self {
            Self::Plain => plain::judge(accounts, message),
            Self::Scram(scram) => scram.judge(accounts, message, lies),
            Self::OAuthBearer(exchange) => exchange.judge(accounts, now, message),
        }
    }
}

impl Authentication {
    pub(crate) const fn new(asks: bool) -> Self {
        let state = if asks { State::Nothing } else { State::Plaintext };
        Self { state, last_reauthentication: None, lies: Vec::new(), lie: None, ending: None }
    }

    /// Whether the client is in, or need not be.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.state, State::Plaintext | State::Established(_))
    }

    /// Has the connection be told a lie.
    pub(crate) fn plan(&mut self, lie: SaslLie) {
        self.lies.push(lie);
    }

    /// The lie that is to be told to a handshake, if there is one.
    pub(crate) fn handshake_lie(&mut self) -> Option<SaslLie> {
        let at = self.lies.iter().position(SaslLie::is_about_handshake)?;
        Some(self.lies.remove(at))
    }

    /// What is done with a request, and whether a client should have known better.
    pub(crate) fn admit(&self, api: ApiKey, now: Duration, tally: &mut SaslTally) -> Admission {
        match &self.state {
            State::Plaintext => Admission::Handled,
            State::Nothing if api == ApiKey::API_VERSIONS => Admission::Handled,
            State::Nothing | State::Versions if api == ApiKey::SASL_HANDSHAKE => Admission::Handled,
            State::Nothing | State::Versions => {
                SaslTally::count(&mut tally.before, api);
                Admission::Hangup
            }
            State::Exchange(..) if api == ApiKey::SASL_AUTHENTICATE => Admission::Handled,
            State::Exchange(..) => {
                SaslTally::count(&mut tally.between, api);
                Admission::Refused
            }
            // Kafka does not even look at it.
            State::BadMechanism => Admission::Ended,
            State::Established(session) => {
                if self.begins_again(session, api, now) {
                    return Admission::Handled;
                }
                if session.is_over(now) {
                    SaslTally::count(&mut tally.expired, api);
                    return Admission::Hangup;
                }
                if let Some(kind) = session.lie {
                    SaslTally::count(&mut tally.believed, kind);
                    return Admission::Hangup;
                }
                Admission::Handled
            }
        }
    }

    /// Whether a request begins a re-authentication: not where sessions do not end, and not within a
    /// second of the last one.
    fn begins_again(&self, session: &Established, api: ApiKey, now: Duration) -> bool {
        let last = self.last_reauthentication;
        let soon = last.is_some_and(|last| now.saturating_sub(last) < BETWEEN_REAUTHENTICATIONS);
        api == ApiKey::SASL_HANDSHAKE && session.expires.is_some() && !soon
    }

    /// The node answered ApiVersions.
    pub(crate) fn versions_told(&mut self) {
        if matches!(self.state, State::Nothing) {
            self.state = State::Versions;
        }
    }

    /// Takes a handshake for a mechanism that the listener has, or not, and says with which error it is
    /// answered; `None` ends the connection without a word.
    pub(crate) fn handshake(
        &mut self,
        accounts: &Accounts,
        mechanism: &str,
        now: Duration,
        tally: &mut SaslTally,
    ) -> Option<ErrorCode> {
        let before = match &self.state {
            State::Nothing | State::Versions => None,
            State::Established(session)
                if self.begins_again(session, ApiKey::SASL_HANDSHAKE, now) =>
            {
                Some(session.clone())
            }
            State::Established(session) => {
                if session.expires.is_some() {
                    tally.too_soon = tally.too_soon.saturating_add(1);
                }
                return Some(ErrorCode::ILLEGAL_SASL_STATE);
            }
            State::Plaintext | State::Exchange(..) | State::BadMechanism => {
                return Some(ErrorCode::ILLEGAL_SASL_STATE);
            }
        };
        if let Some(session) = &before {
            self.last_reauthentication = Some(now);
            if session.is_over(now) {
                tally.late = tally.late.saturating_add(1);
            }
        }
        self.lie = None;
        let known = Mechanism::of(mechanism);
        let Some(mechanism) = known.filter(|known| accounts.mechanisms.contains(known)) else {
            SaslTally::count(&mut tally.refused, "mechanism");
            // Kafka has an answer ready when it is a re-authentication, too, but nobody sends it.
            let first = before.is_none();
            self.ending = first.then_some(accounts.failed_authentication_delay);
            return first.then_some(ErrorCode::UNSUPPORTED_SASL_MECHANISM);
        };
        let other = before.as_ref().is_some_and(|session| session.mechanism != mechanism);
        self.state = if other {
            SaslTally::count(&mut tally.refused, "other mechanism");
            State::BadMechanism
        } else {
            State::Exchange(mechanism, Exchange::new(mechanism), before)
        };
        Some(ErrorCode::NONE)
    }

    /// Takes a mechanism's message.
    pub(crate) fn authenticate(
        &mut self,
        accounts: &mut Accounts,
        message: &[u8],
        now: Duration,
        tally: &mut SaslTally,
    ) -> Answer {
        let State::Exchange(mechanism, exchange, before) = &mut self.state else {
            return Answer::NotAwaited;
        };
        let (mechanism, before) = (*mechanism, before.clone());
        let delay = accounts.failed_authentication_delay;
        let mut lies = Lies { waiting: &mut self.lies, told: &mut self.lie };
        let refuse = lies.take(|lie| matches!(lie, SaslLie::Refuse(..)));
        if let Some(SaslLie::Refuse(error, len)) = refuse {
            self.ending = Some(delay);
            let words = "no! ".repeat(usize::try_from(len / 4).unwrap_or(0));
            return Answer::Said(Said { error, words: Some(words), ..Said::default() });
        }
        let noise = match lies.take(|lie| matches!(lie, SaslLie::Noise(_))) {
            Some(SaslLie::Noise(len)) => Some(accounts.noise(usize::try_from(len).unwrap_or(0))),
            _ => None,
        };
        let verdict = exchange.judge(accounts, now, message, &mut lies);
        if noise.is_some() && matches!(exchange, Exchange::Scram(_)) {
            // What another mechanism says at its end may be passed over; a signature may not.
            *lies.told = Some("hostile: SASL noise");
        }
        let (bytes, principal, until) = match verdict {
            Ok(Verdict::GoOn(bytes)) => {
                return Answer::Said(Said { bytes: noise.unwrap_or(bytes), ..Said::default() });
            }
            Ok(Verdict::Done { bytes, principal, until }) => (bytes, principal, until),
            Err(refusal) => {
                let what = match mechanism {
                    Mechanism::OAuthBearer => "token",
                    Mechanism::Plain | Mechanism::ScramSha256 | Mechanism::ScramSha512 => {
                        "user or password"
                    }
                };
                SaslTally::count(&mut tally.refused, what);
                if refusal == Refusal::Hangup {
                    return Answer::Hangup;
                }
                self.ending = Some(delay);
                return Answer::Said(Said::refused(refusal, mechanism, before.is_some()));
            }
        };
        if let Some(session) = before.as_ref().filter(|before| before.principal != principal) {
            SaslTally::count(&mut tally.refused, "principal");
            self.ending = Some(delay);
            let words = format!(
                "Cannot change principals during re-authentication from User.{}: User.{principal}",
                session.principal
            );
            return Answer::Said(Said::refused(Refusal::Told(words), mechanism, true));
        }
        let (lifetime_ms, expires) = lifetime(now, until, accounts.max_reauth);
        let told_ms = match lies.take(|lie| matches!(lie, SaslLie::Lifetime(_))) {
            Some(SaslLie::Lifetime(lie)) => lie,
            _ => lifetime_ms,
        };
        let count = match before {
            Some(_) => &mut tally.reauthenticated,
            None => &mut tally.authenticated,
        };
        *count = count.saturating_add(1);
        let lie = self.lie.take();
        self.state = State::Established(Established { mechanism, principal, expires, lie });
        let bytes = noise.unwrap_or(bytes);
        Answer::Said(Said { bytes, lifetime_ms: told_ms, ..Said::default() })
    }
}

/// What a new session is told, 0 where it does not end, and when it is over: with the credentials, or
/// when the listener wants to see them again.
fn lifetime(
    now: Duration,
    until: Option<Duration>,
    max_reauth: Option<Duration>,
) -> (i64, Option<Duration>) {
    let rest = until.map(|until| until.saturating_sub(now));
    let Some(lifetime) = rest.into_iter().chain(max_reauth).min() else {
        return (0, None);
    };
    let told = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    let whole = Duration::from_millis(u64::try_from(told).unwrap_or(0));
    (told, now.checked_add(whole))
}

impl Established {
    fn is_over(&self, now: Duration) -> bool {
        self.expires.is_some_and(|expires| now > expires)
    }
}

impl Said {
    fn refused(refusal: Refusal, mechanism: Mechanism, again: bool) -> Self {
        let words = match refusal {
            Refusal::Told(words) => words,
            Refusal::Credentials | Refusal::Hangup => {
                let what = if again { "re-authentication" } else { "authentication" };
                format!(
                    "Authentication failed during {what} due to invalid credentials with SASL \
                     mechanism {mechanism}"
                )
            }
        };
        let error = ErrorCode::SASL_AUTHENTICATION_FAILED;
        Self { error, words: Some(words), ..Self::default() }
    }
}
