//! What an application sees of the client, and of the core through it: for adapters to pass on, as
//! `pub use ottla_client::api::*`. Each type that a method returns or takes is here.

pub use ottla_core::{
    Acks, BatchId, Cause, Checksum, ChoosePartition, Compression, CompressionStats, Config,
    ConfigError, Disconnect, Header, LastError, Limits, Loss, NoProducerId, OnForgotten, OnUnknown,
    PartitionShard, Partitioner, ProduceError, PropertyError, ReleaseError, Stats as CoreStats,
    Ticket, TopicError, TopicId, Verdict, wire::ErrorCode,
};

#[cfg(feature = "sasl")]
pub use ottla_core::{AuthenticationFailure, Mechanisms};
#[cfg(feature = "_tls")]
pub use rustls;

#[cfg(feature = "sasl")]
pub use crate::engine::token_source::{OAuthToken, TokenError};

pub use crate::{
    client::{
        flush_close::CloseReport,
        shards::Topic,
        stats::{Broker, Latency, Stats, WaitingTopic},
    },
    compression::{CompressionType, Compressor, NotCompressed},
    delivery::{
        outcome::{Delivered, DeliveryError, OutcomeCounts, RecordOutcome, Report, Why},
        undelivered_record::UndeliveredRecord,
    },
    error::{BuildError, ConnectionError, SendAllError, SendError},
    record::Record,
};
