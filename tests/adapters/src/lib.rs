//! What the adapters for tokio and for threads do alike is tested once: each test in `tests` is a function of the
//! [`Adapter`] that it runs on, and [`on_each!`] makes a test of it for every one.
//!
//! The types here have the adapters' methods by the adapters' names. All that can wait is awaited: on threads the wait
//! itself blocks, and each task has a thread of its own.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]
#![allow(clippy::missing_errors_doc, reason = "as the adapters'")]
#![allow(clippy::disallowed_methods, reason = "tests look at the time")]

mod adapter;
mod producer;
#[cfg(feature = "tls")]
pub mod tls;
pub mod valve;

use core::net::SocketAddr;

pub use adapter::{Adapter, Task};
pub use ottla_client::api::*;
use ottla_model::{ClusterConfig, serve::Server};
pub use producer::{Builder, Delivery, Producer};

/// A cluster of so many nodes on loopback, with these topics and their numbers of partitions.
#[must_use]
pub fn serve(nodes: u16, topics: &[(&str, u32)]) -> Server {
    serve_as(ClusterConfig::with_nodes(nodes), nodes, topics)
}

/// The same, of this kind.
#[must_use]
pub fn serve_as(config: ClusterConfig, nodes: u16, topics: &[(&str, u32)]) -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&vec![any; nodes.into()], config).unwrap();
    for (topic, partitions) in topics {
        server.with_cluster(|cluster| cluster.create_topic(topic, *partitions)).unwrap();
    }
    server
}

/// Makes tests of these functions, on every adapter; or with names of adapters before them, on these.
#[macro_export]
macro_rules! on_each {
    ([$($adapter:ident),+]: ) => {};
    ([$($adapter:ident),+]: $test:ident $(, $($more:ident),* $(,)?)?) => {
        mod $test {$(
            #[test]
            #[allow(non_snake_case, reason = "named after the adapter")]
            fn $adapter() {
                $crate::Adapter::$adapter.run(super::$test);
            }
        )+}
        $crate::on_each!([$($adapter),+]: $($($more),*)?);
    };
    ($($test:ident),+ $(,)?) => { $crate::on_each!([Tokio, Threads]: $($test),+); };
}
