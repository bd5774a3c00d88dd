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
//! Many records of one topic are sent by one call, [`Producer::send_all`]. It costs less, and says how many were taken where not all
//! were:
//!
//! ```no_run
//! use ottla_blocking::{Delivery, Producer, Record, SendAllError, Topic};
//!
//! /// Sends lines, however long there is no memory for some of them, and none twice.
//! fn send_lines(
//!     producer: &Producer,
//!     topic: &Topic,
//!     lines: &[String],
//! ) -> Result<Vec<Delivery>, SendAllError> {
//!     // Each record that was taken has its delivery here, whatever becomes of those behind it.
//!     let mut deliveries = Vec::with_capacity(lines.len());
//!     loop {
//!         let left = lines.iter().skip(deliveries.len());
//!         let records = left.map(|line| Record { value: Some(line.as_bytes()), ..Record::default() });
//!         match producer.send_all(topic, records, &mut deliveries) {
//!             Ok(_) => return Ok(deliveries),
//!             // `max.block.ms` is over.
//!             Err(error) if error.is_temporary() => eprintln!("{error}"),
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
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
