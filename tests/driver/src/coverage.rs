//! What storms saw.

use core::panic::AssertUnwindSafe;
use std::{collections::BTreeMap, panic::catch_unwind, sync::OnceLock};

use ottla_scenario::{
    Laws, Ledger, Said,
    storm::{Plan, quietly},
};

use crate::network::Net;

/// What was seen in a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often each fault was made, and each thing was done by a caller or the driver.
    pub seen: BTreeMap<&'static str, u64>,
    /// Records that were taken.
    pub records: u64,
    /// First answers: delivered, not delivered, unknown.
    pub answers: [u64; 3],
}

impl Tally {
    /// Holds what was said against the logs, by these laws and as far as the plan lets them hold, and sums
    /// up what was seen, with what callers did.
    pub(crate) fn judge(
        plan: &Plan,
        mut laws: Laws,
        (ledger, records): (&Ledger, u64),
        net: &Net,
        done: &BTreeMap<&'static str, u64>,
    ) -> Self {
        if plan.losing {
            // Which copies nobody could have prevented, only the core's own storms can tell: they see
            // what leaves.
            (laws.once, laws.unique, laws.order) = (false, false, false);
        }
        ledger.hold(&net.cluster, laws);
        let mut tally = Self { seen: net.faults.clone(), records, answers: [0; 3] };
        let asked = net.cluster.sasl_tally();
        for (name, times) in
            [("let in", asked.authenticated), ("let in anew", asked.reauthenticated)]
        {
            tally.seen.extend((times > 0).then_some((name, times)));
        }
        tally.seen.extend(net.cluster.lies_told());
        tally.seen.retain(|_, times| *times > 0);
        for entry in ledger.entries() {
            match entry.first {
                Some((Said::Delivered(_), _)) => tally.answers[0] += 1,
                Some((Said::NotDelivered(_), _)) => tally.answers[1] += 1,
                Some((Said::Unknown(_), _)) => tally.answers[2] += 1,
                None => {}
            }
        }
        for (name, times) in done {
            *tally.seen.entry(name).or_default() += times;
        }
        tally
    }
}

/// The storm of a seed: every fourth over brokers that lose what nobody is told of, every fourth
/// with a hostile broker, and every eighth over brokers that ask who the client is.
#[must_use]
pub fn plan(seed: u64) -> Plan {
    match seed % 4 {
        2 => Plan::losing(seed),
        3 => Plan::hostile(seed),
        1 if seed % 8 == 1 => Plan::secured(seed),
        _ => Plan::of(seed),
    }
}

/// The storm of a seed in which batches are compressed.
#[must_use]
pub fn compressed(seed: u64) -> Plan {
    Plan::compressed(seed)
}

/// Whether callers do often what they do now and then, as `OTTLA_CONCENTRATED` asks for: such storms find what few do, and are
/// like no use.
pub(crate) fn is_concentrated() -> bool {
    static CONCENTRATED: OnceLock<bool> = OnceLock::new();
    *CONCENTRATED.get_or_init(|| std::env::var_os("OTTLA_CONCENTRATED").is_some())
}

/// Runs a storm, and tells which law it breaks, if it does.
///
/// # Errors
///
/// The law that is broken, as the panic says it.
pub fn attempt(run: fn(&Plan) -> Tally, plan: &Plan) -> Result<Tally, String> {
    quietly(|| catch_unwind(AssertUnwindSafe(|| run(plan)))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}
