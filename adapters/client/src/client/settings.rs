//! What a producer is built from, before it is one.

use core::fmt;
use std::sync::Arc;

use ottla_core::{Config, Limits};

use crate::{
    client::shards::Shards, delivery::outcome::Report, engine::locked_core::OnReport,
    error::BuildError,
};

/// Properties by name, and what has no name.
#[derive(Default)]
pub struct Settings {
    properties: Vec<(String, String)>,
    limits: Option<Limits>,
    on_report: Option<OnReport>,
    shards: Option<usize>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("properties", &self.properties)
            .field("limits", &self.limits)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Adds a property; of two with one name the later one counts.
    pub fn property(&mut self, name: &str, value: &str) {
        self.properties.push((name.to_owned(), value.to_owned()));
    }

    /// Sets how much there is room for; by default it follows the configuration.
    pub const fn limits(&mut self, limits: Limits) {
        self.limits = Some(limits);
    }

    /// Sets whom to report to.
    pub fn on_report(&mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) {
        self.on_report = Some(Arc::new(on_report));
    }

    /// Sets how many engines there are.
    pub const fn shards(&mut self, shards: usize) {
        self.shards = Some(shards);
    }

    /// Makes the producer on top of `config`.
    ///
    /// # Errors
    ///
    /// Where a property, the configuration or the number of shards is refused.
    pub fn build(self, config: &Config<'_>) -> Result<Shards, BuildError> {
        let mut config = *config;
        for (name, value) in &self.properties {
            config.set(name, value)?;
        }
        let shards = self.shards.unwrap_or(1);
        Ok(Shards::new(&config, self.limits, self.on_report, shards)?)
    }
}
