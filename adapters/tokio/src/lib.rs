//! An idempotent Kafka producer for tokio.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn core::error::Error>> {
//! use core::time::Duration;
//! use ottla_tokio::{Producer, Record, RecordOutcome};
//!
//! let producer = Producer::from_properties([("bootstrap.servers", "localhost:9092")])?;
//! let topic = producer.topic("events")?;
//!
//! // Waits for memory, or for the topic to be known, up to `max.block.ms`.
//! let delivery = producer.send(&topic, &Record { value: Some(b"hello"), ..Record::default() }).await?;
//!
//! // Gives up waiting after a second. The record is neither cancelled nor lost by that.
//! match tokio::time::timeout(Duration::from_secs(1), &delivery).await {
//!     Ok(RecordOutcome::Delivered { offset, .. }) => println!("at {offset:?}"),
//!     Ok(outcome) => println!("{outcome}"),
//!     Err(_) => println!("still under way; a cancel says {:?}", delivery.cancel()),
//! }
//!
//! // All options are parts of the record. To drop the delivery is to detach from it. With `?`, an outcome
//! // that is not `Delivered` is an error.
//! let record = Record { value: Some(b"!"), timeout: Some(Duration::from_secs(2)), ..Record::default() };
//! let delivered = producer.send(&topic, &record).await?.await.into_result()?;
//! println!("{} at {:?}", delivered.partition, delivered.offset);
//! let report = producer.close(Duration::from_secs(5)).await;
//! assert!(report.complete);
//! # Ok(())
//! # }
//! ```
//!
//! One task reads and reports. It is told to go on by the sockets that are ready, and by callers only
//! where their records need it: most records join a batch and wake nobody, and what is to be written at
//! once their callers write; while records come very fast, callers read answers in passing as well, and the task
//! reports. Where that is not enough for the machine's processors, [`Builder::shards`] has
//! several cores share the partitions, each with a task of its own.
#![forbid(unsafe_code)]

mod runtime;

pub use ottla_client::{Delivery, FinalOutcome, api::*};
pub use runtime::Tokio;

/// A producer on tokio.
pub type Producer = ottla_client::tasks::Producer<Tokio>;

/// A producer on tokio that is to be. A runtime needs `io` and `time`.
pub type Builder = ottla_client::Builder<ottla_client::tasks::Tasks<Tokio>>;
