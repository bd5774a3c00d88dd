//! A producer of any adapter.

use core::{borrow::Borrow, fmt, time::Duration};

use ottla_client::api::{
    BuildError, CloseReport, Compressor, OutcomeCounts, Record, RecordOutcome, ReleaseError,
    Report, SendAllError, SendError, Stats, Ticket, Topic, TopicError, Verdict,
};
use tokio::time::timeout;

use crate::Adapter;

type Choose = Box<dyn Fn(&str, &Record<'_>, u32) -> Option<u32> + Send + Sync>;
type MakeCompressor = Box<dyn Fn() -> Box<dyn Compressor> + Send + Sync>;
type OnReport = Box<dyn Fn(&Report) + Send + Sync>;

/// A producer that is to be.
pub struct Builder {
    on: Adapter,
    properties: Vec<(String, String)>,
    shards: Option<usize>,
    on_report: Option<OnReport>,
    partitioner: Option<Choose>,
    compressor: Option<MakeCompressor>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("on", &self.on).finish_non_exhaustive()
    }
}

/// What both adapters' builders are told.
macro_rules! build {
    ($producer:ty, $builder:ident) => {{
        let mut builder = <$producer>::builder().properties($builder.properties);
        if let Some(shards) = $builder.shards {
            builder = builder.shards(shards);
        }
        if let Some(on_report) = $builder.on_report {
            builder = builder.on_report(on_report);
        }
        if let Some(choose) = $builder.partitioner {
            builder = builder.partitioner(choose);
        }
        if let Some(make) = $builder.compressor {
            builder = builder.compressor(make);
        }
        builder.build()
    }};
}

impl Builder {
    /// One of Kafka's properties.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Several of them.
    #[must_use]
    pub fn properties<'a>(
        mut self,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        for (name, value) in properties {
            self = self.property(name, value);
        }
        self
    }

    /// How many cores share the partitions.
    #[must_use]
    pub const fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Who is told of records with tokens.
    #[must_use]
    pub fn on_report(mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.on_report = Some(Box::new(on_report));
        self
    }

    /// Who chooses partitions.
    #[must_use]
    pub fn partitioner(
        mut self,
        choose: impl Fn(&str, &Record<'_>, u32) -> Option<u32> + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Some(Box::new(choose));
        self
    }

    /// Who compresses batches.
    #[must_use]
    pub fn compressor<C: Compressor + 'static>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.compressor = Some(Box::new(move || Box::new(make())));
        self
    }

    /// The producer.
    pub fn build(self) -> Result<Producer, BuildError> {
        match self.on {
            Adapter::Tokio | Adapter::TokioAlone => {
                build!(ottla_tokio::Producer, self).map(Producer::Tokio)
            }
            Adapter::Threads => build!(ottla_blocking::Producer, self).map(Producer::Threads),
        }
    }
}

/// A producer of any adapter.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums, reason = "all there are")]
pub enum Producer {
    /// On tokio.
    Tokio(ottla_tokio::Producer),
    /// On threads.
    Threads(ottla_blocking::Producer),
}

/// The same call of either.
macro_rules! of_either {
    ($producer:expr, $inner:ident => $call:expr) => {
        match $producer {
            Producer::Tokio($inner) => $call,
            Producer::Threads($inner) => $call,
        }
    };
}

impl Producer {
    /// One that is to be, on this adapter.
    #[must_use]
    pub const fn builder(on: Adapter) -> Builder {
        Builder {
            on,
            properties: Vec::new(),
            shards: None,
            on_report: None,
            partitioner: None,
            compressor: None,
        }
    }

    /// As the adapters'.
    pub fn topic(&self, name: &str) -> Result<Topic, TopicError> {
        of_either!(self, inner => inner.topic(name))
    }

    /// As the adapters'.
    pub fn release_topic(&self, topic: &Topic) -> Result<(), ReleaseError> {
        of_either!(self, inner => inner.release_topic(topic))
    }

    /// As the adapters'.
    pub async fn send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        match self {
            Self::Tokio(inner) => inner.send(topic, record).await.map(Delivery::Tokio),
            Self::Threads(inner) => inner.send(topic, record).map(Delivery::Threads),
        }
    }

    /// Gives up the send itself after a time; a thread, which cannot give up, tries once. `None` where it was given up.
    pub async fn send_within(
        &self,
        topic: &Topic,
        record: &Record<'_>,
        time: Duration,
    ) -> Option<Result<Delivery, SendError>> {
        match self {
            Self::Tokio(_) => timeout(time, self.send(topic, record)).await.ok(),
            Self::Threads(_) => Some(self.try_send(topic, record)),
        }
    }

    /// As the adapters'.
    pub async fn send_detached(
        &self,
        topic: &Topic,
        record: &Record<'_>,
    ) -> Result<Ticket, SendError> {
        match self {
            Self::Tokio(inner) => inner.send_detached(topic, record).await,
            Self::Threads(inner) => inner.send_detached(topic, record),
        }
    }

    /// As the adapters'.
    pub fn try_send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        match self {
            Self::Tokio(inner) => inner.try_send(topic, record).map(Delivery::Tokio),
            Self::Threads(inner) => inner.try_send(topic, record).map(Delivery::Threads),
        }
    }

    /// As the adapters'.
    pub async fn send_all<'r, B: Borrow<Record<'r>>>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize, SendAllError> {
        match self {
            Self::Tokio(inner) => {
                let mut taken = Vec::new();
                let sent = inner.send_all(topic, records, &mut taken).await;
                deliveries.extend(taken.into_iter().map(Delivery::Tokio));
                sent
            }
            Self::Threads(inner) => {
                let mut taken = Vec::new();
                let sent = inner.send_all(topic, records, &mut taken);
                deliveries.extend(taken.into_iter().map(Delivery::Threads));
                sent
            }
        }
    }

    /// As the adapters'.
    pub async fn send_all_detached<'r, B: Borrow<Record<'r>>>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        tickets: &mut Vec<Ticket>,
    ) -> Result<usize, SendAllError> {
        match self {
            Self::Tokio(inner) => inner.send_all_detached(topic, records, tickets).await,
            Self::Threads(inner) => inner.send_all_detached(topic, records, tickets),
        }
    }

    /// As the adapters'.
    pub fn try_send_all<'r, B: Borrow<Record<'r>>>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize, SendAllError> {
        match self {
            Self::Tokio(inner) => {
                let mut taken = Vec::new();
                let sent = inner.try_send_all(topic, records, &mut taken);
                deliveries.extend(taken.into_iter().map(Delivery::Tokio));
                sent
            }
            Self::Threads(inner) => {
                let mut taken = Vec::new();
                let sent = inner.try_send_all(topic, records, &mut taken);
                deliveries.extend(taken.into_iter().map(Delivery::Threads));
                sent
            }
        }
    }

    /// As the adapters'.
    #[must_use]
    pub fn cancel(&self, ticket: &Ticket) -> Verdict {
        of_either!(self, inner => inner.cancel(ticket))
    }

    /// As the adapters'.
    #[must_use]
    pub fn cancel_after(&self, ticket: &Ticket, timeout: Duration) -> bool {
        of_either!(self, inner => inner.cancel_after(ticket, timeout))
    }

    /// As the adapters'.
    pub async fn flush(&self) -> OutcomeCounts {
        match self {
            Self::Tokio(inner) => inner.flush().await,
            Self::Threads(inner) => inner.flush(),
        }
    }

    /// As the adapters'.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        match self {
            Self::Tokio(inner) => inner.close(timeout).await,
            Self::Threads(inner) => inner.close(timeout),
        }
    }

    /// As the adapters'.
    #[must_use]
    pub fn stats(&self) -> Stats {
        of_either!(self, inner => inner.stats())
    }
}

/// What a record's sender holds.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums, reason = "all there are")]
pub enum Delivery {
    /// On tokio.
    Tokio(ottla_tokio::Delivery),
    /// On threads.
    Threads(ottla_blocking::Delivery),
}

/// The same call of either.
macro_rules! of_both {
    ($delivery:expr, $inner:ident => $call:expr) => {
        match $delivery {
            Delivery::Tokio($inner) => $call,
            Delivery::Threads($inner) => $call,
        }
    };
}

impl Delivery {
    /// As the adapters'.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        of_both!(self, inner => inner.ticket())
    }

    /// As the adapters'.
    #[must_use]
    pub fn try_outcome(&self) -> Option<RecordOutcome> {
        of_both!(self, inner => inner.try_outcome())
    }

    /// Waits for the outcome.
    pub async fn outcome(&self) -> RecordOutcome {
        match self {
            Self::Tokio(inner) => inner.await,
            Self::Threads(inner) => inner.wait(),
        }
    }

    /// Waits for the outcome, up to a time.
    pub async fn outcome_within(&self, time: Duration) -> Option<RecordOutcome> {
        match self {
            Self::Tokio(inner) => timeout(time, inner.reattach()).await.ok(),
            Self::Threads(inner) => inner.wait_timeout(time),
        }
    }

    /// Waits for the final outcome.
    pub async fn final_outcome(self) -> RecordOutcome {
        match self {
            Self::Tokio(inner) => inner.final_outcome().await,
            Self::Threads(inner) => inner.final_outcome().wait(),
        }
    }

    /// Waits for the final outcome, up to a time.
    pub async fn final_outcome_within(&self, time: Duration) -> Option<RecordOutcome> {
        match self.clone() {
            Self::Tokio(inner) => timeout(time, inner.final_outcome()).await.ok(),
            Self::Threads(inner) => inner.final_outcome().wait_timeout(time),
        }
    }

    /// As the adapters'.
    #[must_use]
    pub fn cancel(&self) -> Verdict {
        of_both!(self, inner => inner.cancel())
    }

    /// As the adapters'.
    #[must_use]
    pub fn cancel_after(&self, timeout: Duration) -> bool {
        of_both!(self, inner => inner.cancel_after(timeout))
    }
}
