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
//! Many records of one topic are sent by one call, [`Producer::send_all`]. It costs less, and says how many were taken where not all
//! were:
//!
//! ```no_run
//! use ottla_tokio::{Delivery, Producer, Record, SendAllError, Topic};
//!
//! /// Sends lines, however long there is no memory for some of them, and none twice.
//! async fn send_lines(
//!     producer: &Producer,
//!     topic: &Topic,
//!     lines: &[String],
//! ) -> Result<Vec<Delivery>, SendAllError> {
//!     // Each record that was taken has its delivery here, whatever becomes of those behind it.
//!     let mut deliveries = Vec::with_capacity(lines.len());
//!     loop {
//!         let left = lines.iter().skip(deliveries.len());
//!         let records = left.map(|line| Record { value: Some(line.as_bytes()), ..Record::default() });
//!         match producer.send_all(topic, records, &mut deliveries).await {
//!             Ok(_) => return Ok(deliveries),
//!             // `max.block.ms` is over.
//!             Err(error) if error.is_temporary() => eprintln!("{error}"),
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
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
