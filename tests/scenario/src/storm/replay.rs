//! One seed, looked at closely.

use core::fmt::Write as _;
use std::path::Path;

use super::{
    plan::{NODES, Plan, What},
    run::attempt,
    shrink::{Broken, Shrunk, shrink},
};
use crate::trace::{Page, Trace};

/// More lines than these are not read: the page has them all.
const LINES: usize = 200;

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The story, for a terminal.
    pub story: String,
    /// The law that was broken, and the smallest storm that breaks it.
    pub failed: Option<Shrunk>,
}

/// Replays a storm. One that fails is made as small as it gets; its story is told step by step, and
/// drawn on a page in a directory. Of one that does not fail a page is drawn if it is wished for.
#[must_use]
pub fn replay(plan: &Plan, directory: &Path, page_anyway: bool) -> Replay {
    let mut story = String::new();
    let failed = shrink(plan);
    let smallest = failed.as_ref().map_or(plan, |shrunk| &shrunk.plan);
    let trace = Trace::recorder();
    let result = attempt(smallest, Some(trace.clone()));
    let trace = trace.borrow();
    let seed = plan.seed;
    let mut page = page(smallest, seed);
    let (steps, of) = (smallest.steps.len(), plan.steps.len());
    match (&result, &failed) {
        (Ok(tally), _) => {
            page.title = format!("Seed {seed}: every law holds");
            page.notes.push(format!(
                "{} records: {} delivered, {} not delivered, {} unknown for good.",
                tally.records, tally.delivered, tally.not_delivered, tally.unknown
            ));
            let _ = writeln!(story, "seed {seed}: every law holds; {tally:?}");
        }
        (Err(broken), failed) => {
            let runs = failed.as_ref().map_or(0, |shrunk| shrunk.runs);
            page.title = format!("Seed {seed} breaks a law");
            page.broken = Some(law(broken));
            page.notes.push(format!("{steps} steps are left of {of}, after {runs} runs."));
            let _ = writeln!(story, "seed {seed}: {broken}\n{}", broken.means());
            let _ = writeln!(story, "{steps} of {of} steps break it ({runs} runs to find them):");
            for step in &page.steps {
                let _ = writeln!(story, "  {step}");
            }
            let lines = trace.lines();
            let _ = writeln!(story, "what happens:");
            for line in lines.iter().take(LINES) {
                let _ = writeln!(story, "{line}");
            }
            if lines.len() > LINES {
                let _ = writeln!(story, "… and {} lines more", lines.len() - LINES);
            }
        }
    }
    if failed.is_some() || page_anyway {
        let _ = match page.write(directory, &format!("seed-{seed}.html"), &trace) {
            Ok(path) => writeln!(story, "to look at: {}", path.display()),
            Err(error) => writeln!(story, "no page: {error}"),
        };
    }
    Replay { story, failed }
}

fn law(broken: &Broken) -> (String, String, Vec<u64>) {
    (broken.to_string(), broken.means().to_owned(), broken.records())
}

fn page(plan: &Plan, seed: u64) -> Page {
    let idempotent = if plan.config.enable_idempotence { "idempotent" } else { "not idempotent" };
    let leaders: Vec<String> = plan.leaders.iter().map(ToString::to_string).collect();
    let world = format!(
        "The producer is {idempotent}, with acks {:?}. Brokers: duplicates {:?}, first sequence \
         {:?}, window after a restart {:?}. The partitions are led by {} at first.",
        plan.config.acks,
        plan.cluster.duplicates,
        plan.cluster.first_sequence,
        plan.cluster.restart_window,
        leaders.join(", ")
    );
    let first = plan.first.iter().map(|fault| What::Fault(fault.clone()).to_string());
    Page {
        steps: first.chain(plan.steps.iter().map(ToString::to_string)).collect(),
        notes: vec![
            world,
            format!(
                "Again: OTTLA_SEED={seed} cargo test -p ottla-scenario --test storm {} -- --nocapture",
                if plan.odd.is_some() {
                    "whoever"
                } else if plan.losing {
                    "lose"
                } else {
                    "every_storm"
                }
            ),
        ],
        nodes: (1..=i32::from(NODES)).collect(),
        ..Page::default()
    }
}
