//! What a run saw.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::{Seen, wire::ErrorCode};
use ottla_model::{Lie, sasl::SaslLie};

use super::{compressed, plan::Plan, secured, wide};

use crate::{ledger::Said, world::World};

/// All kinds of trouble that storms make.
const TROUBLES: [&str; 31] = [
    "append, then error",
    "cancel",
    "chain far on",
    "close after",
    "close before",
    "cut",
    "cut at a byte",
    "deaf",
    "freeze",
    "freeze at a request",
    "garbage",
    "hold",
    "leader moved",
    "metadata disturbed",
    "metadata refused",
    "omit",
    "producer id disturbed",
    "producer id refused",
    "records deleted",
    "reject",
    "replica lags",
    "state expired",
    "stop",
    "stray",
    "swallow",
    "throttle",
    "topic made anew",
    "twice",
    "unclean election",
    "unreachable",
    "wrong correlation",
];

/// Kinds of trouble of storms over brokers that lose what the client is not told of.
const LOSSES: [&str; 10] = [
    "another date",
    "append times",
    "forgotten unnoticed",
    "log cut unnoticed",
    "lost at a request",
    "no right to ask",
    "no such question",
    "question disturbed",
    "question refused",
    "restart with loss",
];

/// What a run saw, to know that nothing is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each case of semantics §6 was come through.
    pub cases: BTreeMap<Seen, u64>,
    /// How often each kind of trouble struck; 0 for those that did not.
    pub faults: BTreeMap<&'static str, u64>,
    /// Which codes a client was answered to Produce.
    pub codes: BTreeSet<ErrorCode>,
    /// Records produced.
    pub records: u64,
    /// Records whose last word was `Delivered`.
    pub delivered: u64,
    /// Records whose last word was `NotDelivered`.
    pub not_delivered: u64,
    /// Records whose last word was `Unknown`.
    pub unknown: u64,
    /// Records that were `Unknown` first and something else in the end.
    pub refined: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Epochs begun because of a gap.
    pub epoch_bumps: u64,
    /// Brokers that had lost their record of the producer.
    pub desyncs: u64,
}

impl Tally {
    /// Adds what another run saw of records.
    pub const fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.delivered += other.delivered;
        self.not_delivered += other.not_delivered;
        self.unknown += other.unknown;
        self.refined += other.refined;
        self.retries += other.retries;
        self.epoch_bumps += other.epoch_bumps;
        self.desyncs += other.desyncs;
    }

    /// What this run saw.
    pub(super) fn of(world: &World<'_>, plan: &Plan) -> Self {
        let stats = world.producer.stats();
        let mut tally = Self {
            retries: stats.retries,
            epoch_bumps: stats.epoch_bumps,
            desyncs: stats.desyncs,
            ..Self::default()
        };
        for case in Seen::ALL {
            tally.cases.insert(*case, u64::from(world.producer.internal_seen(*case)));
        }
        tally.faults = TROUBLES.map(|name| (name, 0)).into();
        if plan.hostile.is_some() {
            tally.faults.extend(Lie::KINDS.map(|name| (name, 0)));
            tally.faults.extend(world.cluster.lies_told());
        }
        if plan.losing {
            tally.faults.extend(LOSSES.map(|name| (name, 0)));
        }
        if let Some(odd) = &plan.odd {
            tally.faults.extend(wide::SEEN.map(|name| (name, 0)));
            tally.faults.extend(wide::seen(world, plan, odd));
        }
        if let Some(login) = &plan.login {
            tally.faults.extend(secured::seen(world, login));
            if plan.hostile.is_some() {
                tally.faults.extend(SaslLie::KINDS.map(|name| (name, 0)));
                tally.faults.extend(world.cluster.lies_told());
            }
        }
        if plan.compression.is_some() {
            tally.faults.extend(compressed::seen(world, plan));
        }
        for (name, count) in &world.faults {
            let known = tally.faults.get_mut(name);
            *known.unwrap_or_else(|| panic!("trouble without a name: {name}")) += count;
        }
        let answers = world.tap.sent.iter().filter_map(|sent| sent.answer);
        tally.codes.extend(answers.map(|(_, error)| error));
        for entry in world.ledger.entries() {
            tally.records += 1;
            match entry.last {
                Some(Said::Delivered(_)) => tally.delivered += 1,
                Some(Said::NotDelivered(_)) => tally.not_delivered += 1,
                Some(Said::Unknown(_)) => tally.unknown += 1,
                None => panic!("no last word: {entry:?}"),
            }
            if let (Some((Said::Unknown(_), _)), Some(Said::Delivered(_) | Said::NotDelivered(_))) =
                (entry.first, entry.last)
            {
                tally.refined += 1;
            }
        }
        tally
    }
}
