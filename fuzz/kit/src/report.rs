//! What was found, in lines and as JSON.

use core::fmt::Write as _;

use serde::Serialize;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A law is broken.
    Fault,
    /// Two brokers do not do the same. Which of them is wrong, if any, is for a human to say.
    Difference,
    /// Worth a look.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// By what the same is known when it is found again.
    pub signature: String,
    /// How much it matters.
    pub severity: Severity,
    /// What should hold.
    pub law: String,
    /// What happened instead.
    pub what: String,
    /// The seed that it was found by.
    pub seed: u64,
    /// How many steps the plan had, and how many are left of it.
    pub steps: (usize, usize),
    /// How often it was run to make it small.
    pub runs: usize,
    /// How many plans showed it.
    pub times: u64,
    /// What was done and seen, in lines.
    pub story: String,
    /// What was done, as `--replay` takes it.
    pub plan: serde_json::Value,
}

/// All of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `ottla-fuzz` and its version.
    pub by: String,
    /// What was fuzzed.
    pub target: String,
    /// What it was compared with.
    pub against: Option<String>,
    /// What was done, in numbers.
    pub done: serde_json::Value,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Finding {
    /// In lines.
    #[must_use]
    pub fn text(&self, number: usize) -> String {
        let word = match self.severity {
            Severity::Fault => "FAULT",
            Severity::Difference => "DIFFERENCE",
            Severity::Note => "NOTE",
        };
        let mut text =
            format!("\n{number}. {word}: {}\n  {}\n  {}\n", self.signature, self.what, self.law);
        let (before, after) = self.steps;
        let _ = writeln!(
            text,
            "  Seed {}; {after} of {before} steps are left, after {} runs.\n{}",
            self.seed, self.runs, self.story
        );
        text
    }
}

impl Report {
    /// How the program ends: 0 where nothing was found that matters, 2 where a law is broken, 3 where there are
    /// differences alone. 1 is for what could not be done.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let has = |severity| self.findings.iter().any(|finding| finding.severity == severity);
        match (has(Severity::Fault), has(Severity::Difference)) {
            (true, _) => 2,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    /// The last line.
    #[must_use]
    pub fn summary(&self) -> String {
        let count =
            |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        format!(
            "faults={} differences={} notes={}",
            count(Severity::Fault),
            count(Severity::Difference),
            count(Severity::Note)
        )
    }
}
