//! The client that ottla's adapters for machines with an operating system share: all but what a runtime or a
//! system's poller supplies.
//!
//! The core of a producer lives behind one lock in an [`Engine`]. Callers hold the lock for as long
//! as it takes to encode a record; a [`Driver`] holds it while it moves bytes between the core and
//! the links of its [`Network`]. [`Shards`] are all engines of one producer; [`SendFuture`] and [`Delivery`]
//! are plain futures. Around these, [`tasks`] has a producer for async runtimes, and [`threads`] one for threads.
#![forbid(unsafe_code)]

pub mod api;
mod block_on;
mod client;
mod clock;
mod compression;
mod delivery;
mod engine;
mod error;
mod gap;
mod hardware_crc32c;
#[cfg(feature = "_internal")]
pub mod internal;
mod io;
mod panic_containment;
mod record;
mod security;
mod sync;
pub mod tasks;
pub mod threads;

pub use block_on::block_on;
pub use client::builder::{Builder, Place};
pub use client::callbacks::Callbacks;
pub use client::flush_close::CloseReport;
pub use client::flush_close_all::{CloseAll, FlushAll};
pub use client::producer::Producer;
pub use client::send::SendFuture;
pub use client::send_all::{Copied, SendAll, Step};
pub use client::shards::{Shards, Topic};
pub use client::stats::{Broker, Latency, Stats, WaitingTopic};
pub use clock::Clock;
pub use compression::{CompressionType, Compressor, NotCompressed, is_compression_property};
pub use delivery::delivery_future::{Delivery, FinalOutcome, Receipt};
pub use delivery::outcome::{Delivered, DeliveryError, OutcomeCounts, RecordOutcome, Report, Why};
pub use delivery::undelivered_record::UndeliveredRecord;
pub use engine::locked_core::{Engine, InlineDriver};
pub use error::{BuildError, ConnectionError, SendAllError, SendError};
pub use hardware_crc32c::checksum;
pub use io::address_resolution::{Rotation, literal, resolve};
pub use io::driver::{Driver, Turn};
pub use io::link_error::LinkError;
pub use io::network::{Link, Network, Ready};
pub use record::Record;
#[doc(hidden)]
pub use security::Security;
pub use security::{is_secret_property, is_security_property};
