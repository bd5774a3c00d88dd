//! Who the world's client says it is, and who gives it tokens.

use core::{cell::Cell, time::Duration};

use ottla_core::{Credentials, Instant, Sasl, Token};
use ottla_model::sasl::{Mechanism, Token as SaslToken};

use crate::{
    dice::{Dice, Random},
    world::World,
};

/// The user whom brokers know.
pub const USER: &str = "alice";
/// Its password.
pub const PASSWORD: &str = "alice-secret";

std::thread_local! {
    static ENTROPY: Cell<u64> = const { Cell::new(0) };
}

/// Entropy that is the same in each run of a seed.
fn entropy(buffer: &mut [u8]) -> bool {
    let mut dice = Random::new(ENTROPY.get());
    ENTROPY.set(ENTROPY.get().wrapping_add(1));
    for byte in buffer {
        *byte = dice.roll(0, 255) as u8;
    }
    true
}

/// What gives the client tokens.
#[derive(Clone, Debug)]
pub struct TokenService {
    /// How long it takes, in microseconds: at least, and at most.
    pub delay: (u64, u64),
    /// How long tokens are good, in milliseconds: at least, and at most.
    pub lifetime: (u64, u64),
    /// It has none, once in so many times; 0 is never.
    pub refuses: u64,
    /// It gives one that no broker believes, once in so many times; 0 is never.
    pub errs: u64,
    /// How many it was asked for.
    pub asked: u64,
    /// When it answers.
    pub(crate) due: Option<Instant>,
}

impl Default for TokenService {
    /// One that is prompt and right, with tokens for an hour.
    fn default() -> Self {
        let hour = 3_600_000;
        Self { delay: (0, 0), lifetime: (hour, hour), refuses: 0, errs: 0, asked: 0, due: None }
    }
}

impl TokenService {
    pub(crate) fn next(&self) -> Instant {
        self.due.unwrap_or(Instant::NEVER)
    }
}

impl World<'_> {
    /// Has the client say who it is from now on: [`USER`], by this mechanism, with this password.
    ///
    /// # Panics
    ///
    /// Where the core refuses that.
    pub fn log_in(&mut self, mechanism: Mechanism, password: &str) {
        ENTROPY.set(self.dice.roll(0, u64::MAX - 1));
        let username = USER;
        let credentials = match mechanism {
            Mechanism::Plain => Credentials::Plain { username, password },
            Mechanism::ScramSha256 => Credentials::ScramSha256 { username, password, entropy },
            Mechanism::ScramSha512 => Credentials::ScramSha512 { username, password, entropy },
            Mechanism::OAuthBearer => Credentials::OAuthBearer,
        };
        self.logs_in = true;
        // What was asked for was asked for by somebody else.
        self.tokens.due = None;
        let sasl = Sasl::heap(&credentials).unwrap_or_else(|error| panic!("{error}"));
        // As many as a server makes: time stands still over them.
        self.producer.set_sasl(sasl.with_iterations_per_call(1_024));
    }

    /// The client wants a token.
    pub(crate) fn want_token(&mut self) {
        let (low, high) = self.tokens.delay;
        let wait = self.dice.roll(low, high);
        self.tokens.asked += 1;
        assert!(self.tokens.due.is_none(), "a token is wanted that is wanted already");
        self.tokens.due = Some(Instant::from_micros(self.now.as_micros() + wait));
    }

    /// Gives the client its token, if it is there; tells whether it was.
    pub(crate) fn give_token(&mut self) -> bool {
        if self.tokens.next() > self.now {
            return false;
        }
        self.tokens.due = None;
        let falls = |dice: &mut dyn Dice, times| times > 0 && dice.once_in(times);
        if falls(&mut *self.dice, self.tokens.refuses) {
            self.count("no token to be had");
            self.producer.handle_no_token(self.now);
            return true;
        }
        let (low, high) = self.tokens.lifetime;
        let lifetime = Duration::from_millis(self.dice.roll(low, high));
        let text = format!("token.{}.{}", self.tokens.asked, self.now.as_micros());
        if falls(&mut *self.dice, self.tokens.errs) {
            self.count("token refused");
        } else {
            let now = Duration::from_micros(self.now.as_micros());
            let (text, principal) = (text.clone(), USER.to_owned());
            let token = SaslToken { text, principal, until: now + lifetime };
            self.cluster.add_token(token).expect("a cluster with SASL");
        }
        let token = Token { text: &text, extensions: &[], lifetime };
        self.producer.handle_token(self.now, &token).expect("a token");
        true
    }
}
