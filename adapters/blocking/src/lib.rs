//! An idempotent Kafka producer for threads, without a runtime.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn core::error::Error>> {
//! use core::time::Duration;
//! use ottla_blocking::{Producer, Record, RecordOutcome};
//!
//! let producer = Producer::from_properties([("bootstrap.servers", "localhost:9092")])?;
//! let topic = producer.topic("events")?;
//!
//! // Waits for memory, or for the topic to be known, up to `max.block.ms`.
//! let delivery = producer.send(&topic, &Record { value: Some(b"hello"), ..Record::default() })?;
//!
//! // Gives up waiting after a second. The record is neither cancelled nor lost by that.
//! match delivery.wait_timeout(Duration::from_secs(1)) {
//!     Some(RecordOutcome::Delivered { offset, .. }) => println!("at {offset:?}"),
//!     Some(outcome) => println!("{outcome}"),
//!     None => println!("still under way; a cancel says {:?}", delivery.cancel()),
//! }
//!
//! // All options are parts of the record. To drop the delivery is to detach from it. With `?`, an outcome
//! // that is not `Delivered` is an error.
//! let record = Record { value: Some(b"!"), timeout: Some(Duration::from_secs(2)), ..Record::default() };
//! let delivered = producer.send(&topic, &record)?.wait().into_result()?;
//! println!("{} at {:?}", delivered.partition, delivered.offset);
//! let report = producer.close(Duration::from_secs(5));
//! assert!(report.complete);
//! # Ok(())
//! # }
//! ```
//!
//! One thread reads and reports, and sleeps until a socket is ready, a time has come, or a caller's
//! record needs it: most records join a batch and wake nobody, and what is to be written at once their
//! callers write, without waiting for a socket. A second one looks up names, if there
//! are any to look up. While records come very fast, callers read answers in passing, and threads that wait for one
//! record after the other look after the sockets themselves; reports are the thread's alone. Where that is not enough for the machine's processors, [`Builder::shards`] has several
//! cores share the partitions, each with threads of its own.
#![forbid(unsafe_code)]

mod link;
mod poller;

#[doc(hidden)]
pub use link::{Tcp, TcpLink};
pub use ottla_client::{
    api::*,
    threads::{Delivery, FinalOutcome},
};
pub use poller::Mio;

/// A producer on threads.
pub type Producer = ottla_client::threads::Producer<Mio>;

/// A producer on threads that is to be. Its threads are called `ottla`, or with shards `ottla-0`, `ottla-1` and so on.
pub type Builder = ottla_client::Builder<ottla_client::threads::Threads<Mio>>;
