//! The line that a contestant prints at its end.

use serde::Serialize;

use crate::{Latencies, Measured};

/// A contestant's exit code where it has nothing like what is asked for.
pub const NOT_IN_THIS_ONE: i32 = 3;

/// What a contestant did.
#[derive(Debug, Serialize)]
pub struct Report {
    contestant: &'static str,
    version: &'static str,
    records: u64,
    failed: u64,
    seconds: f64,
    user_us: u64,
    system_us: u64,
    allocations: Option<u64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    p999_us: Option<f64>,
    note: Option<&'static str>,
}

impl Report {
    /// What was measured of so many records, of which some failed.
    #[must_use]
    pub fn new(
        contestant: &'static str,
        version: &'static str,
        records: u64,
        failed: u64,
        measured: &Measured,
    ) -> Self {
        let micros =
            |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            contestant,
            version,
            records,
            failed,
            seconds: measured.elapsed.as_secs_f64(),
            user_us: micros(measured.user),
            system_us: micros(measured.system),
            allocations: measured.allocations,
            p50_us: None,
            p99_us: None,
            p999_us: None,
            note: None,
        }
    }

    /// Adds how long single records took.
    #[must_use]
    pub fn latencies(mut self, latencies: &Latencies) -> Self {
        self.p50_us = Some(latencies.quantile(0.5));
        self.p99_us = Some(latencies.quantile(0.99));
        self.p999_us = Some(latencies.quantile(0.999));
        self
    }

    /// Adds what a reader should know.
    #[must_use]
    pub const fn note(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }

    /// Prints it.
    ///
    /// # Errors
    ///
    /// Where it is no JSON.
    pub fn print(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// Ends the process: this contestant has nothing like what is asked for.
pub fn not_in_this_one() -> ! {
    std::process::exit(NOT_IN_THIS_ONE)
}
