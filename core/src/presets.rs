//! Memory for small machines, ready made.
//!
//! Each is a [`StaticMemory`], and [`StaticMemory::config`] makes the configuration that suits it:
//!
//! ```
//! use ottla_core::{Producer, presets};
//!
//! let mut memory = presets::Small::new();
//! let producer = Producer::new(&presets::Small::config("broker:9092"), memory.lend(), 42);
//! assert!(producer.is_ok());
//! ```
//!
//! | | [`Small`] | [`Medium`] | [`Large`] |
//! |---|---:|---:|---:|
//! | bytes, at most, with 32 bits to a pointer | 8,192 | 16,384 | 65,536 |
//! | connections, brokers | 1, 4 | 2, 6 | 4, 8 |
//! | topics, partitions | 1, 4 | 2, 8 | 8, 64 |
//! | batches | 8 | 16 | 64 |
//! | record memory: pages of bytes | 16 of 256 | 16 of 512 | 64 of 512 |
//! | windows for answers and heads | 512, 440 | 512, 512 | 1,024, 1,024 |
//! | longest name | 48 | 64 | 64 |
//! | `batch.size` | 573 | 573 | 573 |
//! | `max.request.size` | 4,536 | 8,704 | 33,792 |
//! | largest record | 3,963 | 8,131 | 32,768 |
//! | `linger.ms` | 20 | 20 | 20 |
//!
//! The `Producer` itself is 1.6 KiB more, wherever it is kept. Of the stack the core takes less than
//! 2 KiB. With the feature `compression` each batch takes 16 bytes more, and the `Producer` 88. With SASL each connection takes 40 bytes more (feature `plain`), 96 (`scram-sha-256`) or 128
//! (`scram-sha-512`), and the `Producer` 224, 488 or 656, with `oauthbearer` beside SCRAM 8 and 40 more; neither is in the
//! table.
//!
//! # One's own
//!
//! What each thing costs is in the table of the crate's page, under *Memory*. To begin with:
//!
//! - *Brokers*: one for each bootstrap server, and one for each broker that leads a partition of
//!   yours. *Connections*: one works with any number of brokers; one for each saves the changing.
//! - *Batches*: two a partition, one that fills and one that is under way; more where batches are
//!   small, since five of a partition may be under way.
//! - *Pages*: what is produced while a broker is away is bounded by them. A batch takes whole pages,
//!   so half a page is lost in each on average; a page less costs its size and 4 bytes.
//! - *`RX`*: 512 is enough for any answer. *`TX`*: 29 bytes, `client.id`, and 93 and the name for each
//!   topic with its first batch, 71 for each further batch that is to go with the same request.
//!
//! ```
//! // A gateway's: 2 topics of 3 partitions, 3 brokers, 24 KiB of records.
//! type Mine = ottla_core::static_memory! {
//!     connections: 3, brokers: 4, topics: 2, partitions: 6, batches: 24,
//!     pages: 48, page_size: 512, rx_window: 512, tx_window: 512, name: 64,
//! };
//! const { assert!(Mine::SIZE <= 36 * 1024) };
//! ```

use crate::StaticMemory;

/// Memory of 8 KiB: a sensor with one topic of 4 partitions.
pub type Small = StaticMemory<1, 4, 1, 4, 8, 16, 256, 512, 440, 48>;

/// Memory of 16 KiB: two topics, or records of some kilobytes.
pub type Medium = StaticMemory<2, 6, 2, 8, 16, 16, 512, 512, 512, 64>;

/// Memory of 64 KiB: a small gateway.
pub type Large = StaticMemory<4, 8, 8, 64, 64, 64, 512, 1_024, 1_024, 64>;

#[cfg(target_pointer_width = "32")]
const _: () = {
    // What a connection keeps of its session.
    let session = match () {
        () if cfg!(feature = "scram-sha-512") => 128,
        () if cfg!(feature = "scram-sha-256") => 96,
        () if cfg!(feature = "_sasl") => 40,
        () => 0,
    };
    let tokens = cfg!(all(feature = "oauthbearer", feature = "_scram"));
    let session = session + if tokens { 8 } else { 0 };
    // What a batch keeps of how it goes out.
    let form = if cfg!(feature = "compression") { 16 } else { 0 };
    assert!(
        Small::SIZE <= 8 * 1_024 + session + 8 * form,
        "the small profile has outgrown its size"
    );
    assert!(
        Medium::SIZE <= 16 * 1_024 + 2 * session + 16 * form,
        "the medium profile has outgrown its size"
    );
    assert!(
        Large::SIZE <= 64 * 1_024 + 4 * session + 64 * form,
        "the large profile has outgrown its size"
    );
};
