//! Storms over brokers that ask who the client is, mostly over links of TLS; some with a hostile broker.

use core::time::Duration;
use std::collections::BTreeMap;

use ottla_model::sasl::{Mechanism, SaslConfig};

use super::plan::{Plan, Step, What};
use crate::{
    dice::{Dice, Random},
    login::{PASSWORD, TokenService, USER},
    world::World,
};

/// Who the client says it is, and over which links.
#[derive(Clone, Debug)]
pub struct Login {
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// As [`World::portion`].
    pub portion: Option<usize>,
    /// Who gives it tokens.
    pub tokens: TokenService,
}

/// What such storms come to.
const SEEN: [&str; 14] = [
    "OAUTHBEARER",
    "PLAIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "encrypted",
    "encrypted and lost",
    "let in",
    "let in anew",
    "let in anew, and late",
    "no token to be had",
    "password changed",
    "refused",
    "session's length changed",
    "token refused",
];

impl Plan {
    /// The storm of a seed over brokers that ask who the client is. One in four has a hostile one.
    #[must_use]
    pub fn secured(seed: u64) -> Self {
        let dice = &mut Random::new(seed ^ 0x5a_51);
        let mut plan = if dice.once_in(4) { Self::hostile(seed) } else { Self::of(seed) };
        let ms = |dice: &mut dyn Dice, low, high| Duration::from_millis(dice.roll(low, high));
        let mut asks = SaslConfig::with(&Mechanism::ALL).user(USER, PASSWORD);
        asks.max_reauth = (!dice.once_in(4)).then(|| ms(dice, 50, 4_000));
        // Who hears nothing of a refusal in time says the same again.
        asks.failed_authentication_delay = ms(dice, 0, 100).min(plan.config.request_timeout / 2);
        plan.cluster.sasl = Some(asks);
        let mechanism = Mechanism::ALL[dice.roll(0, 3) as usize];
        let tokens = TokenService {
            delay: (0, dice.roll(0, 100_000)),
            lifetime: (200, dice.roll(500, 10_000)),
            refuses: if dice.once_in(2) { dice.roll(2, 5) } else { 0 },
            errs: if dice.once_in(2) { dice.roll(2, 5) } else { 0 },
            ..TokenService::default()
        };
        let portion = (!dice.once_in(4)).then(|| dice.roll(16, 4_000) as usize);
        plan.login = Some(Login { mechanism, portion, tokens });
        // To be let in takes round trips that no storm without SASL needs.
        plan.config.connection_setup_timeout = ms(dice, 100, 400);
        plan.config.connection_setup_timeout_max = ms(dice, 400, 800);
        for _ in 0..dice.roll(0, 3) {
            let what = match dice.roll(0, 2) {
                0 => What::Sessions((!dice.once_in(3)).then(|| ms(dice, 1, 3_000))),
                _ => What::Password { told: dice.once_in(2) },
            };
            let at = dice.roll(0, plan.steps.len() as u64 - 1) as usize;
            plan.steps.insert(at, Step { what, pause: ms(dice, 0, 40) });
        }
        plan
    }
}

/// Has the client say who it is.
pub(super) fn begin(world: &mut World<'_>, login: &Login) {
    world.portion = login.portion;
    world.log_in(login.mechanism, PASSWORD);
}

/// The topic is known: from now on tokens may be late, bad, or not to be had.
pub(super) fn break_tokens(world: &mut World<'_>, login: &Login) {
    let (asked, due) = (world.tokens.asked, world.tokens.due);
    world.tokens = TokenService { asked, due, ..login.tokens.clone() };
}

/// The user has another password, and the client is told of it, or not before all is well again.
pub(super) fn change_password(world: &mut World<'_>, login: &Login, told: bool) {
    let password = format!("secret of {}", world.now.as_micros());
    world.cluster.set_password(USER, &password).expect("brokers that ask");
    if told {
        world.log_in(login.mechanism, &password);
    }
}

/// The password is the one that the client was told first, and there are tokens.
pub(super) fn heal(world: &mut World<'_>, login: &Login) {
    world.tokens.refuses = 0;
    world.tokens.errs = 0;
    world.cluster.set_password(USER, PASSWORD).expect("brokers that ask");
    world.log_in(login.mechanism, PASSWORD);
}

/// What the run came to.
pub(super) fn seen(world: &World<'_>, login: &Login) -> BTreeMap<&'static str, u64> {
    let mut seen: BTreeMap<&str, u64> = SEEN.map(|name| (name, 0)).into();
    let tally = world.cluster.sasl_tally();
    for (name, count) in [
        (login.mechanism.name(), 1),
        ("encrypted", u64::from(login.portion.is_some())),
        ("let in", tally.authenticated),
        ("let in anew", tally.reauthenticated),
        ("let in anew, and late", tally.late),
        ("refused", tally.refused.values().sum()),
    ] {
        *seen.entry(name).or_default() += count;
    }
    seen
}
