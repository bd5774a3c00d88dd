//! Storms over brokers that lose logs, or what they knew of producers, unnoticed by the client.

use core::time::Duration;

use ottla_core::{
    Acks, OnForgotten,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, Describers, Duplicates, Fault, TimestampType};

use super::plan::{NODES, Plan, Step, TOPIC, What};
use crate::{
    dice::{Dice, Random},
    ledger::Laws,
    world::Dated,
};

/// What brokers forget after a day by default, they forget after this.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a broker does not say what it knows, for now. That a right is missing is another matter: then
/// brokers cannot be asked.
const NO_ANSWER: [ErrorCode; 5] = [
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::LEADER_NOT_AVAILABLE,
    ErrorCode::UNKNOWN_SERVER_ERROR,
];

/// In which ways.
#[derive(Clone, Copy, Debug)]
struct Ways {
    /// Logs are cut, and the producers' state with them.
    cuts: bool,
    /// Producers are forgotten at any time, though their records stay.
    forgets: bool,
    /// Producers are forgotten by the age of their records.
    sweeps: bool,
}

impl Plan {
    /// The storm of a seed over brokers that lose what the client is not told of, between any two
    /// requests.
    #[must_use]
    pub fn losing(seed: u64) -> Self {
        let dice = &mut Random::new(seed ^ 0x10_5e5);
        let mut plan = Self::of(seed);
        plan.losing = true;
        plan.config.enable_idempotence = true;
        plan.config.acks = Acks::All;
        if plan.cluster.duplicates == Duplicates::AppendedAgain {
            plan.cluster.duplicates = Duplicates::Acknowledged;
        }
        plan.laws = Laws::of(true, plan.cluster.duplicates);
        let (cuts, forgets, sweeps) = match dice.roll(0, 6) {
            0 => (true, false, false),
            1 | 2 => (false, true, false),
            3 | 4 => (false, false, true),
            5 => (true, false, true),
            _ => (true, true, true),
        };
        let ways = Ways { cuts, forgets, sweeps };
        let offered = !dice.once_in(6);
        plan.cluster.may_read = !dice.once_in(6);
        if !offered {
            // All of them, or but one.
            let spared = dice.once_in(3).then(|| dice.roll(0, u64::from(NODES) - 1) as usize);
            for (place, node) in plan.cluster.nodes.iter_mut().enumerate() {
                if Some(place) != spared {
                    node.versions = node.versions.clone().without(ApiKey::DESCRIBE_PRODUCERS);
                }
            }
        }
        if dice.once_in(2) {
            plan.cluster.describers = Describers::LeaderAlone;
        }
        let askable = offered && plan.cluster.may_read;
        if forgets && !askable {
            // Nobody can know.
            plan.laws.once = false;
        }
        if sweeps {
            plan.sweep(dice, askable);
        }
        if dice.once_in(8) {
            // Who prefers twice to not at all is told where it may be twice.
            plan.config.on_forgotten = OnForgotten::Resend;
            plan.laws.unique &= plan.laws.once;
            plan.laws.once = false;
        }
        plan.laws.unique &= !forgets || askable;
        let partitions = plan.leaders.len() as i32;
        for _ in 0..dice.roll(2, 10) {
            let long = plan.cluster.producer_id_expiration == DAY;
            let what = ways.loss(dice, partitions, askable, long);
            let at = dice.roll(0, plan.steps.len() as u64) as usize;
            let pause = Duration::from_micros(dice.roll(0, 20_000));
            plan.steps.insert(at, Step { what, pause });
        }
        plan
    }

    /// Has brokers forget producers by the age of their records.
    fn sweep(&mut self, dice: &mut dyn Dice, askable: bool) {
        let ms = |dice: &mut dyn Dice, low, high| Duration::from_millis(dice.roll(low, high));
        self.cluster.producer_id_expiration_check = ms(dice, 10, 1_000);
        // A day by default; who cannot be asked must say so, where it is less.
        let long = dice.once_in(3);
        self.cluster.producer_id_expiration = if long { DAY } else { ms(dice, 100, 4_000) };
        if !long && (!askable || dice.once_in(2)) {
            self.config.producer_id_expiration = self.cluster.producer_id_expiration;
        }
        // A clock that is wrong by less than what the producer leaves for that.
        let told = self.config.producer_id_expiration.as_millis() as u64;
        let margin = (told / 4).min(60 * 60 * 1_000) * 9 / 10;
        self.wall = match dice.roll(0, 3) {
            0 => None,
            1 => Some(dice.roll(0, 2 * margin) as i64 - margin as i64),
            _ => Some(0),
        };
        if dice.once_in(4) {
            self.topic.timestamp_type = TimestampType::LogAppendTime;
        }
        self.dated = dated(dice, long);
        if long {
            // A day of storm is a long one.
            self.steps.retain(|step| !matches!(step.what, What::Quiet));
        }
    }
}

/// Which timestamps records have from now on.
fn dated(dice: &mut dyn Dice, long: bool) -> Dated {
    let hours = |hours| Duration::from_secs(60 * 60 * hours);
    match dice.roll(0, 4) {
        0 => Dated::SinceStart,
        1 | 2 if long => Dated::Ago(hours(dice.roll(20, 60))),
        1 | 2 => Dated::Ago(Duration::from_millis(dice.roll(0, 5_000))),
        3 => Dated::Ago(hours(400)),
        _ => Dated::Now,
    }
}

impl Ways {
    /// Something that is lost, or what makes a difference to that.
    fn loss(self, dice: &mut dyn Dice, partitions: i32, askable: bool, long: bool) -> What {
        let partition = dice.roll(0, partitions as u64 - 1) as i32;
        let records = if dice.once_in(4) { 10_000 } else { dice.roll(1, 12) as u32 };
        match dice.roll(0, 9) {
            0..=2 if self.cuts => What::Lose(partition, records),
            3 if self.cuts => What::Crash(dice.roll(1, u64::from(NODES)) as i32, records),
            0..=4 if self.forgets => What::Forget(partition),
            0..=3 if self.sweeps => What::Date(dated(dice, long)),
            4 | 5 => {
                // The next ones that come for it, or any.
                let fault = if dice.once_in(4) && askable {
                    question(dice)
                } else if self.cuts || self.forgets {
                    Fault::produce(Action::Lose {
                        records: if self.cuts { records } else { 0 },
                        state: self.forgets,
                    })
                } else {
                    Fault::produce(Action::Swallow)
                };
                let fault = fault.after(dice.roll(0, 6) as u32);
                What::Fault(if dice.once_in(2) { fault.on(TOPIC, partition) } else { fault })
            }
            6 if askable => What::Fault(question(dice)),
            7 => What::Fault(Fault::produce(Action::Swallow).on(TOPIC, partition)),
            8 => What::Fault(Fault::produce(Action::Reject(ErrorCode::REQUEST_TIMED_OUT))),
            _ => What::Deafen,
        }
    }
}

/// What goes wrong with a question about what a broker knows.
fn question(dice: &mut dyn Dice) -> Fault {
    let action = match dice.roll(0, 9) {
        0..=2 => Action::Reject(NO_ANSWER[dice.roll(0, NO_ANSWER.len() as u64 - 1) as usize]),
        3 => Action::CloseBefore,
        4 => Action::CloseAfter,
        5 => Action::Hold(Duration::from_millis(dice.roll(1, 400))),
        6 => Action::Swallow,
        7 => Action::Omit,
        8 => Action::Twice,
        _ => Action::Stray,
    };
    Fault::new(ApiKey::DESCRIBE_PRODUCERS, action).times(dice.roll(1, 3) as u32)
}
