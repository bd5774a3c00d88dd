//! The application's own code that a producer calls.

use core::fmt;
use std::sync::Arc;

use crate::{engine::locked_core::OnReport, record::Record};

/// What the application has given to be called.
#[derive(Clone, Default)]
pub struct Callbacks {
    /// Is told of records with tokens.
    pub(crate) on_report: Option<OnReport>,
    /// Chooses partitions.
    pub(crate) partitioner: Option<OwnPartitioner>,
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks")
            .field("on_report", &self.on_report.is_some())
            .field("partitioner", &self.partitioner.is_some())
            .finish()
    }
}

type Choose = dyn Fn(&str, &Record<'_>, u32) -> Option<u32> + Send + Sync;

/// Chooses the partition of a record by its topic's name, the record and the number of partitions, or leaves that to
/// [`Config::partitioner`](ottla_core::Config::partitioner).
#[derive(Clone)]
pub(crate) struct OwnPartitioner(Arc<Choose>);

impl OwnPartitioner {
    pub(crate) fn new(
        choose: impl Fn(&str, &Record<'_>, u32) -> Option<u32> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(choose))
    }

    pub(crate) fn choose(&self, topic: &str, record: &Record<'_>, partitions: u32) -> Option<u32> {
        (self.0)(topic, record, partitions)
    }
}

impl fmt::Debug for OwnPartitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnPartitioner")
    }
}
