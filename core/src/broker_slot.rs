//! A broker: where it is reached, and when it may be dialled again.

use crate::{
    Instant, LastError,
    conn::Conn,
    list::List,
    partition_slot::{Partition, Waiting},
    slots::Ix,
};

/// How a broker came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The slot holds no broker.
    Free,
    /// An entry of `bootstrap.servers`: its node id is not known, and it is never forgotten.
    Bootstrap,
    /// Named by a cluster.
    Cluster,
}

/// A slot for a broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) origin: Origin,
    pub(crate) node_id: i32,
    /// Length of its host name; 0 while only its node id is known. DNS has none longer than this can be.
    pub(crate) host_len: u8,
    pub(crate) port: u16,
    /// What is wrong with its address, or what it did wrong last, and did not make good since by an answer
    /// that was of use.
    pub(crate) trouble: Option<LastError>,
    /// Its connection.
    pub(crate) conn: Ix<Conn>,
    /// Partitions that it leads and that have something to send.
    pub(crate) ready: List<Partition, Waiting>,
    /// Partitions that it leads and about which it is to be asked before they send again.
    pub(crate) doubtful: List<Partition, Waiting>,
    /// No dial before this.
    pub(crate) dial_at: Instant,
    /// Connections in a row that came to nothing: no answer on them was of use, that to ApiVersions
    /// aside.
    pub(crate) failures: u8,
    /// At its address as it is somebody has answered something, ApiVersions aside: what is spoken there is
    /// Kafka's protocol, without TLS and SASL.
    pub(crate) answered: bool,
    /// Since all were last to be asked, it was and gave no producer id.
    pub(crate) gave_no_id: bool,
    /// It was named in the Metadata answer that is being read.
    pub(crate) seen: bool,
    /// How many partitions it leads.
    pub(crate) leads: u32,
    /// Produce requests that were written to it.
    pub(crate) requests: u64,
    /// Bytes that were written to it.
    pub(crate) bytes: u64,
    /// Batches that it answered with an error.
    pub(crate) errors: u64,
    /// Connections to it that ended otherwise than by our wish.
    pub(crate) disconnects: u32,
}

impl Broker {
    pub(crate) const EMPTY: Self = Self {
        origin: Origin::Free,
        node_id: 0,
        host_len: 0,
        port: 0,
        trouble: None,
        conn: Ix::NONE,
        ready: List::EMPTY,
        doubtful: List::EMPTY,
        dial_at: Instant::ZERO,
        failures: 0,
        answered: false,
        gave_no_id: false,
        seen: false,
        leads: 0,
        requests: 0,
        bytes: 0,
        errors: 0,
        disconnects: 0,
    };

    /// Whether a partition that it leads has something to send, or to ask.
    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.doubtful.is_empty()
    }

    /// Whether it can be dialled at all.
    pub(crate) const fn has_address(&self) -> bool {
        self.host_len > 0
    }
}
