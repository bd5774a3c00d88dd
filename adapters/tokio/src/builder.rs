//! How a producer is made.

use ottla_core::{Config, Limits};
use ottla_shared::{BuildError, Report, Settings};
use tokio::runtime::Handle;

use crate::Producer;

/// A producer to be.
#[derive(Debug, Default)]
pub struct Builder {
    settings: Settings,
    runtime: Option<Handle>,
}

impl Builder {
    /// Adds a property by Kafka's name, or librdkafka's. It is judged by [`Builder::build`].
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.settings.property(name, value);
        self
    }

    /// Adds many.
    #[must_use]
    pub fn properties<N: AsRef<str>, V: AsRef<str>>(
        self,
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let add =
            |builder: Self, (name, value): (N, V)| builder.property(name.as_ref(), value.as_ref());
        properties.into_iter().fold(self, add)
    }

    /// Sets how much there is room for. By default it follows `buffer.memory` and `batch.size`.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits(limits);
        self
    }

    /// Sets whom to report to on records that are sent with a token.
    ///
    /// It is called by the task that moves all bytes, so it should be quick and must not block. Where
    /// it holds a handle to the producer itself, dropping the others does not end it: close it.
    #[must_use]
    pub fn on_report(mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.settings.on_report(on_report);
        self
    }

    /// Sets the runtime to run on; by default it is the one that `build` is called in.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Makes the producer. It needs no network for that.
    ///
    /// # Errors
    ///
    /// Where a property or the configuration is refused, or there is no runtime.
    pub fn build(self) -> Result<Producer, BuildError> {
        self.build_on(&Config::default())
    }

    /// As [`Builder::build`], with the properties on top of `config`.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn build_on(self, config: &Config<'_>) -> Result<Producer, BuildError> {
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(|_| BuildError::NoRuntime)?,
        };
        Ok(Producer::start(self.settings.build(config)?, &runtime))
    }
}
