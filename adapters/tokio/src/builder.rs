//! How a producer is made.

use ottla_client::{BuildError, Report, Settings};
use ottla_core::{Config, Limits};
use tokio::runtime::Handle;

use crate::{Producer, runtime};

/// A producer to be.
#[derive(Debug, Default)]
pub struct Builder {
    settings: Settings,
    runtime: Option<Handle>,
}

impl Producer {
    /// Starts to make a producer.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes a producer from properties with Kafka's names.
    ///
    /// # Errors
    ///
    /// Where one of them is unknown or refused, or there is no runtime.
    pub fn from_properties<N: AsRef<str>, V: AsRef<str>>(
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, BuildError> {
        Self::builder().properties(properties).build()
    }

    /// Makes a producer from a configuration. Its `checksum` is replaced by the fastest there is.
    ///
    /// # Errors
    ///
    /// Where the configuration is refused, or there is no runtime.
    pub fn new(config: &Config<'_>) -> Result<Self, BuildError> {
        Self::builder().build_on(config)
    }
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
    /// While records come very fast, reports are told a millisecond's worth at a time.
    #[must_use]
    pub fn on_report(mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.settings.on_report(on_report);
        self
    }

    /// Sets how many cores share the work, a power of two up to 256; by default it is one.
    ///
    /// Each has partitions of its own, those whose number modulo `shards` is the same, and for them a
    /// lock, a task, a connection to each broker, a producer id, and an equal part of `buffer.memory`
    /// or of the limits' pages and batches. A record must fit into that part. The order of records of
    /// one partition is kept, and so is that of records of one key.
    ///
    /// A record without a key goes to a shard by the thread that sends it, so that threads do not wait
    /// for each other; fewer threads than shards use a part of the memory. It pays
    /// where one core is busy all the time and the runtime has threads for more. `on_report` is then
    /// called by all tasks, and so by several threads at a time.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.settings.shards(shards);
        self
    }

    /// Sets the runtime to run on; by default it is the one that `build` is called in. It needs `io` and
    /// `time`. The producer may be used from other threads and executors; see [`Producer`].
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Makes the producer. It needs no network for that.
    ///
    /// # Errors
    ///
    /// Where a property or the configuration is refused, there is not as much memory, or there is no
    /// runtime, or one that has no `io` or no `time`.
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
        runtime::check(&runtime)?;
        Ok(Producer::start(self.settings.build(config)?, runtime))
    }
}
