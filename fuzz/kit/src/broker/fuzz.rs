//! Plan after plan, within bounds.

use core::time::Duration;
use std::{collections::BTreeMap, time::Instant};

use anyhow::{Result, bail};

use super::{
    differ::differences,
    judge::{judge, kind_of},
    law::{Broken, Law},
    plan::{Kinds, Plan, Step},
    session::Session,
    shrink::shrink,
    story::story,
    transcript::{Outcome, Transcript},
};
use crate::report::{Finding, Severity};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// So many sequences.
    pub sequences: u64,
    /// For so long.
    pub time: Duration,
    /// So many requests in a sequence.
    pub steps: usize,
    /// So many runs to make one finding small.
    pub shrink_runs: usize,
    /// And for so long.
    pub shrink_time: Duration,
    /// So many findings; with one more it ends.
    pub findings: usize,
}

/// What was done and found.
#[derive(Clone, Debug, Default)]
pub struct Fuzzed {
    /// How many sequences were put.
    pub sequences: u64,
    /// How many requests those had, without those of shrinking.
    pub requests: u64,
    /// How many requests were spoilt, by what.
    pub spoilt: BTreeMap<String, u64>,
    /// How many batches were sent, by why, and how many of them were acknowledged.
    pub batches: BTreeMap<String, (u64, u64)>,
    /// What was found: each kind once, in the order in which it was found first.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What is put to a broker, and to another one beside it.
#[derive(Debug)]
pub struct Brokers<'a> {
    /// The one that is judged.
    pub one: &'a mut Session,
    /// The one that it is compared with.
    pub other: Option<&'a mut Session>,
}

/// What one plan showed, by signature.
struct Shown {
    seen: Transcript,
    other: Option<Transcript>,
    found: Vec<(String, Severity, String)>,
}

impl Brokers<'_> {
    fn put(&mut self, plan: &Plan) -> Result<Shown> {
        let seen = self.one.run(plan)?;
        let mut found: Vec<_> = judge(plan, &seen).iter().map(found_of).collect();
        let other = match &mut self.other {
            Some(other) => Some(other.run(plan)?),
            None => None,
        };
        if let Some(other) = &other
            && let Some(it) = differences(plan, &seen, other)
        {
            let step = it.step.map_or_else(String::new, |step| format!("step {}: ", step + 1));
            let name =
                self.other.as_ref().map_or_else(String::new, |other| other.peer().to_string());
            let what =
                format!("{step}{}: {}: {}; {name}: {}", it.kind, self.one.peer(), it.one, it.other);
            found.push((format!("difference {}", it.signature()), Severity::Difference, what));
        }
        Ok(Shown { seen, other, found })
    }

    fn name_of_other(&self) -> String {
        self.other.as_ref().map_or_else(String::new, |other| other.peer().to_string())
    }
}

fn found_of(broken: &Broken) -> (String, Severity, String) {
    let severity = broken.law.severity();
    let step = broken.step.map_or_else(String::new, |step| format!("step {}: ", step + 1));
    (broken.signature(), severity, format!("{step}{}", broken.what))
}

/// Puts plans, made from one seed after the other, until a bound is reached or the broker is gone. `tell` hears of each new
/// finding.
///
/// # Errors
/// The broker could not be spoken to from the start, or the other one is gone.
pub fn fuzz(
    mut brokers: Brokers<'_>,
    first_seed: u64,
    kinds: Kinds,
    bounds: Bounds,
    mut tell: impl FnMut(&Finding),
) -> Result<Fuzzed> {
    let partitions = brokers.one.partitions();
    let apis = brokers.one.apis();
    let plans = (0..bounds.sequences)
        .map(|at| Plan::new(first_seed.wrapping_add(at), bounds.steps, partitions, kinds, &apis));
    put_all(&mut brokers, plans, bounds, &mut tell)
}

/// Puts these plans, as a report has them.
///
/// # Errors
/// As [`fuzz`].
pub fn replay(
    mut brokers: Brokers<'_>,
    plans: Vec<Plan>,
    bounds: Bounds,
    mut tell: impl FnMut(&Finding),
) -> Result<Fuzzed> {
    put_all(&mut brokers, plans.into_iter(), bounds, &mut tell)
}

fn put_all(
    brokers: &mut Brokers<'_>,
    plans: impl Iterator<Item = Plan>,
    bounds: Bounds,
    tell: &mut dyn FnMut(&Finding),
) -> Result<Fuzzed> {
    let begin = Instant::now();
    let mut fuzzed = Fuzzed::default();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for plan in plans {
        if begin.elapsed() >= bounds.time {
            break;
        }
        let shown = match brokers.put(&plan) {
            Ok(shown) => shown,
            Err(error) if fuzzed.sequences == 0 => return Err(error),
            Err(error) => {
                gone(brokers, &plan, &error, &mut fuzzed, tell)?;
                break;
            }
        };
        fuzzed.count(&plan, &shown.seen);
        for (signature, severity, what) in &shown.found {
            if let Some(at) = known.get(signature) {
                if let Some(finding) = fuzzed.findings.get_mut(*at) {
                    finding.times += 1;
                }
                continue;
            }
            if fuzzed.findings.len() >= bounds.findings {
                continue;
            }
            let finding = small(brokers, &plan, &shown, (signature, *severity, what), bounds);
            known.insert(signature.clone(), fuzzed.findings.len());
            tell(&finding);
            fuzzed.findings.push(finding);
        }
        let is_gone = shown.found.iter().any(|(of, ..)| of.starts_with(Law::Lives.name()));
        if is_gone || fuzzed.findings.len() >= bounds.findings {
            break;
        }
    }
    fuzzed.elapsed = begin.elapsed();
    Ok(fuzzed)
}

/// The broker could not be spoken to any more.
fn gone(
    brokers: &mut Brokers<'_>,
    plan: &Plan,
    error: &anyhow::Error,
    fuzzed: &mut Fuzzed,
    tell: &mut dyn FnMut(&Finding),
) -> Result<()> {
    // If it was the other one, nothing can be said of this one.
    if brokers.one.lives() {
        bail!("{error:#}");
    }
    let finding = Finding {
        signature: Law::Lives.name().to_owned(),
        severity: Severity::Fault,
        law: Law::Lives.words().to_owned(),
        what: format!("the broker cannot be spoken to any more: {error:#}"),
        seed: plan.seed,
        steps: (plan.steps.len(), plan.steps.len()),
        runs: 0,
        times: 1,
        story: String::new(),
        plan: serde_json::to_value(plan)?,
    };
    tell(&finding);
    fuzzed.findings.push(finding);
    Ok(())
}

/// Makes what was found small, and tells it.
fn small(
    brokers: &mut Brokers<'_>,
    plan: &Plan,
    shown: &Shown,
    (signature, severity, what): (&str, Severity, &str),
    bounds: Bounds,
) -> Finding {
    let shows = |found: &Shown| found.found.iter().any(|(other, ..)| other == signature);
    let mut last: Option<(Plan, Shown)> = None;
    let is_gone = signature.starts_with(Law::Lives.name());
    let runs = if is_gone { 0 } else { bounds.shrink_runs };
    let begin = Instant::now();
    // What was not sent is not missed.
    let steps = plan.steps.iter().zip(&shown.seen.asked);
    let sent = steps.filter(|(_, asked)| asked.outcome != Outcome::NotSent);
    let sent = Plan { seed: plan.seed, steps: sent.map(|(step, _)| step.clone()).collect() };
    let shrunk = shrink(&sent, runs, |plan| {
        if begin.elapsed() > bounds.shrink_time {
            bail!("it has taken long enough");
        }
        let shown = brokers.put(plan)?;
        let found = shows(&shown);
        if found {
            last = Some((plan.clone(), shown));
        }
        Ok(found)
    });
    // A broker that is gone by now is found by the next plan.
    let asked = shrunk.map_or(runs, |(_, asked)| asked);
    let (small, seen) = match &last {
        Some((plan, shown)) => (plan, shown),
        None => (plan, shown),
    };
    let name = brokers.name_of_other();
    let other = seen.other.as_ref().map(|other| (name.as_str(), other));
    let of_small = seen.found.iter().find(|(of, ..)| of == signature);
    let what = of_small.map_or(what, |(_, _, what)| what);
    let law = Law::ALL.iter().find(|law| signature.split(' ').next() == Some(law.name()));
    let law = law.map_or("Both brokers do the same.", |law| law.words());
    Finding {
        signature: signature.to_owned(),
        severity,
        law: law.to_owned(),
        what: what.to_owned(),
        seed: plan.seed,
        steps: (plan.steps.len(), small.steps.len()),
        runs: asked,
        times: 1,
        story: story(small, &seen.seen, other),
        plan: serde_json::to_value(small).unwrap_or_default(),
    }
}

impl Fuzzed {
    fn count(&mut self, plan: &Plan, seen: &Transcript) {
        self.sequences += 1;
        for (step, asked) in plan.steps.iter().zip(&seen.asked) {
            if asked.outcome == Outcome::NotSent {
                continue;
            }
            self.requests += 1;
            match step {
                Step::Spoilt { mutator, .. } => {
                    *self.spoilt.entry(mutator.clone()).or_default() += 1;
                }
                Step::Produce(_) => {
                    let kind = kind_of(step);
                    let (sent, acknowledged) = self.batches.entry(kind).or_default();
                    *sent += 1;
                    let fine =
                        matches!(&asked.outcome, Outcome::Told { errors, .. } if errors == &[0]);
                    *acknowledged += u64::from(fine);
                }
                Step::Valid { .. } => {}
            }
        }
    }
}
