//! The bar on a terminal, and lines that must not run into it.

use core::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    outcome_text::Tally,
    stdout_stderr::{ERR, OUT},
};

const REDRAW: Duration = Duration::from_millis(100);

/// A progress bar, or none where standard error is no terminal. A clone is the same bar.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// By bytes where the size is known. `None`: nothing is to be shown.
    pub(crate) fn new(size: Option<Option<u64>>) -> Self {
        let Some(size) = size else {
            return Self(ProgressBar::hidden());
        };
        let (bar, template) = match size {
            Some(size) => {
                (ProgressBar::new(size), "{wide_bar} {bytes}/{total_bytes} eta {eta} {msg}")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {bytes} {elapsed} {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(REDRAW);
        }
        Self(bar)
    }

    /// So many bytes were read.
    pub(crate) fn read(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// So many lines have an outcome.
    pub(crate) fn told(&self, tally: &Tally) {
        if !self.0.is_hidden() {
            let Tally { delivered, not_delivered, unknown } = tally;
            self.0.set_message(format!(
                "{delivered} delivered, {not_delivered} not delivered, {unknown} unknown"
            ));
        }
    }

    /// Prints a line to standard output.
    pub(crate) fn print(&self, line: &str) {
        self.0.suspend(|| OUT.line(format_args!("{line}")));
    }

    /// Prints a line to standard error.
    pub(crate) fn complain(&self, line: &str) {
        self.0.suspend(|| ERR.line(format_args!("{line}")));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
