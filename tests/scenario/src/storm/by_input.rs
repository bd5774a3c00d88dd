//! A storm of which an input decides each step: what happens next, for how long there is peace after it, and,
//! from its other end, what the network does meanwhile.

use core::time::Duration;

use super::{
    coverage::Tally,
    plan::{End, Plan, What, action},
    run::{act, begin, check_prompt, end},
    wide::Lent,
};
use crate::{
    dice::{Dice, Tape},
    trace::Recorder,
};

/// How many steps an input has at most.
const STEPS: usize = 60;
/// How many scenes there are of each kind.
const SCENES: u64 = 65_536;

/// Runs the storm of an input; what happens is put into the trace, if there is one.
///
/// The input's first bytes choose the scene: a configuration, brokers and a topic, as those of a storm by
/// chance. When the input is used up, all is healed and everything is waited for, or the producer is closed.
///
/// # Panics
///
/// Where a law is broken.
pub fn run_input(input: &[u8], trace: Option<Recorder>) -> Tally {
    let mut dice = Tape::new(input);
    let mut plan = scene(&mut dice);
    let steps = core::mem::take(&mut plan.steps);
    let mut lent = Lent::of(&plan);
    let network = Box::new(dice.back());
    let (mut world, topic) = begin(&plan, lent.memory(), Some(network), trace);
    // What a scene brings along that is not of every storm, and may happen at any time.
    let rare: Vec<What> = steps.into_iter().map(|step| step.what).filter(is_rare).collect();
    let partitions = plan.leaders.len() as i32;
    let mut count = 0;
    while !dice.is_over() && count < STEPS {
        count += 1;
        let what = match dice.roll(0, 7) {
            0 if !rare.is_empty() => rare[dice.roll(0, rare.len() as u64 - 1) as usize].clone(),
            _ => action(&mut dice, partitions, plan.losing, !plan.losing),
        };
        if !plan.allows(&what) {
            continue;
        }
        act(&mut world, &plan, &what, topic);
        world.run_for(pause(&mut dice));
        check_prompt(&world, &plan.config);
    }
    end(&mut world, &plan, topic);
    Tally::of(&world, &plan)
}

fn scene(dice: &mut Tape) -> Plan {
    let kind = dice.roll(0, 9);
    let seed = dice.roll(0, SCENES - 1);
    let mut plan = match kind {
        0 => Plan::hostile(seed),
        1 | 2 => Plan::losing(seed),
        3 => Plan::secured(seed),
        4 => Plan::compressed(seed),
        5 | 6 => Plan::wide(seed),
        _ => Plan::of(seed),
    };
    plan.first.clear();
    if dice.once_in(8) {
        plan.end = End::Closed(Duration::from_millis(dice.roll(0, 255)));
    } else {
        plan.end = End::Healed;
    }
    plan
}

/// Mostly short, at times as long as a backoff or a timeout.
fn pause(dice: &mut Tape) -> Duration {
    match dice.roll(0, 7) {
        0 => Duration::ZERO,
        1 => Duration::from_micros(dice.roll(0, 65_535)),
        2 => Duration::from_millis(4 * dice.roll(0, 255)),
        _ => Duration::from_micros(100 * dice.roll(0, 255)),
    }
}

fn is_rare(what: &What) -> bool {
    matches!(
        what,
        What::Lose(..)
            | What::Forget(_)
            | What::Crash(..)
            | What::Date(_)
            | What::Password { .. }
            | What::Sessions(_)
            | What::Recreate
            | What::Fault(_)
            | What::Misuse(_)
            | What::Throttle(..)
            | What::GoOnAt { .. }
            | What::Weather(_)
    )
}
