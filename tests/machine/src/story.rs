//! An input, told: what happens in the smallest run that breaks the same law, line by line and as a page.

use core::{fmt::Write as _, panic::AssertUnwindSafe, time::Duration};
use std::{panic::catch_unwind, path::Path};

use ottla_scenario::{
    storm::{Broken, quietly, run_input},
    trace::{Page, Recorder, Trace},
};

use crate::calls;

/// More lines than these are not read: the page has them all.
const LINES: usize = 400;
/// The most runs that an input is made smaller by.
const RUNS: u32 = 20_000;
/// No new run is begun after this time.
const TIME: Duration = Duration::from_secs(30);

/// What an input is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any calls of a producer.
    Calls,
    /// A producer, a network and a cluster.
    Cluster,
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// All of them.
    pub const ALL: [Self; 2] = [Self::Calls, Self::Cluster];

    /// Its name: that of the fuzz target, and of its corpus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Cluster => "cluster",
        }
    }

    /// Runs an input.
    ///
    /// # Panics
    ///
    /// Where a law is broken.
    pub fn run(self, input: &[u8], trace: Option<Recorder>) {
        match self {
            Self::Calls => drop(calls::run(input, trace)),
            Self::Cluster => drop(run_input(input, trace)),
        }
    }

    /// Runs an input, and tells which law it breaks, if it does.
    ///
    /// # Errors
    ///
    /// The law that is broken, as the panic says it.
    pub fn attempt(self, input: &[u8], trace: Option<Recorder>) -> Result<(), Broken> {
        let run = AssertUnwindSafe(|| self.run(input, trace));
        quietly(|| catch_unwind(run)).map_err(Broken::of)
    }
}

/// An input that was told.
#[derive(Clone, Debug)]
pub struct Story {
    /// The story, for a terminal.
    pub text: String,
    /// The law that was broken, and the smallest input that breaks it.
    pub failed: Option<(Broken, Vec<u8>)>,
}

/// Tells what an input comes to, and draws it on a page in a directory.
#[must_use]
pub fn story(target: Target, input: &[u8], directory: &Path) -> Story {
    let mut text = String::new();
    let failed = target.attempt(input, None).err();
    let (smallest, runs) = match &failed {
        Some(broken) => shrink(target, input, broken),
        None => (input.to_vec(), 1),
    };
    let trace = Trace::recorder();
    let result = target.attempt(&smallest, Some(trace.clone()));
    let trace = trace.borrow();
    let mut page = Page { nodes: (1..=6).collect(), ..Page::default() };
    let name = target.name();
    match &result {
        Ok(()) => {
            page.title = format!("{name}: every law holds");
            let _ = writeln!(text, "{name}: every law holds");
        }
        Err(broken) => {
            page.title = format!("{name}: a law is broken");
            page.broken = Some((broken.to_string(), broken.means().to_owned(), broken.records()));
            let _ = writeln!(text, "{name}: {broken}\n{}", broken.means());
        }
    }
    let sizes = format!("{} bytes are left of {}, after {runs} runs", smallest.len(), input.len());
    page.notes.push(sizes.clone());
    let _ = writeln!(text, "{sizes}; what happens:");
    let lines = trace.lines();
    let skipped = lines.len().saturating_sub(LINES);
    if skipped > 0 {
        let _ = writeln!(text, "… {skipped} lines before");
    }
    for line in lines.iter().skip(skipped) {
        let _ = writeln!(text, "{line}");
    }
    let _ = match page.write(directory, &format!("{name}.html"), &trace) {
        Ok(path) => writeln!(text, "to look at: {}", path.display()),
        Err(error) => writeln!(text, "no page: {error}"),
    };
    Story { text, failed: result.err().map(|broken| (broken, smallest)) }
}

/// Takes bytes out, and makes others zero, for as long as the same law is broken.
fn shrink(target: Target, input: &[u8], broken: &Broken) -> (Vec<u8>, u32) {
    let mut best = input.to_vec();
    let mut runs = 1;
    #[expect(clippy::disallowed_methods, reason = "patience, and nothing of the run")]
    let start = std::time::Instant::now();
    let mut breaks = |candidate: &[u8]| {
        runs += 1;
        let over = runs >= RUNS || start.elapsed() >= TIME;
        !over && target.attempt(candidate, None).is_err_and(|found| found.law == broken.law)
    };
    loop {
        let before = best.clone();
        let mut size = (best.len() / 2).max(1);
        loop {
            let mut at = 0;
            while at < best.len() {
                let mut candidate = best.clone();
                candidate.drain(at..(at + size).min(best.len()));
                if breaks(&candidate) {
                    best = candidate;
                } else {
                    at += size;
                }
            }
            if size == 1 {
                break;
            }
            size /= 2;
        }
        for at in 0..best.len() {
            if best[at] != 0 {
                let mut candidate = best.clone();
                candidate[at] = 0;
                if breaks(&candidate) {
                    best = candidate;
                }
            }
        }
        if best == before {
            return (best, runs);
        }
    }
}
