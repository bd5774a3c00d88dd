//! The producer: one state machine over all connections, topics and batches.

#[cfg(feature = "_sasl")]
mod authentication;
mod back_pressure;
mod backoff;
mod batch_tails;
mod brokers;
mod cancel;
mod close_state;
#[cfg(feature = "compression")]
mod compress;
mod connections;
mod deadlines;
mod fate;
#[cfg(feature = "alloc")]
mod grow;
mod in_doubt_batches;
#[cfg(feature = "_internal")]
mod internal;
#[cfg(feature = "_internal")]
mod invariant_check;
mod last_error;
mod metadata;
mod network;
mod network_events;
mod output;
mod partition_slot_runs;
mod payload;
mod poll_trace;
mod produce;
mod produce_all;
mod producer_id;
mod queues;
mod record_errors;
mod request;
mod response;
#[cfg(feature = "_sasl")]
mod sasl_exchange;
mod schedule;
mod sequence_gaps;
mod settings;
mod sleep_check;
mod split;
#[cfg(feature = "oauthbearer")]
mod tokens;
mod topics;

use core::fmt;

use back_pressure::BackPressure;
use backoff::Backoff;
use close_state::Lifecycle;
use network::Network;
use producer_id::Identity;
use queues::Queues;
use settings::{Names, Settings};

#[cfg(feature = "compression")]
pub use compress::PlainBatch;
pub use payload::Payload;

pub(crate) use crate::ids_and_events::{BatchId, BatchOutcome, Ticket};
use crate::{
    Address, BrokerStats, Config, ConfigError, Instant, Memory, Stats,
    batch::{Batch, Pages, Part},
    broker_slot::{Broker, Origin},
    conn::Conn,
    memory::LEAST_RX,
    partition_slot::Partition,
    random::Random,
    slots::Slots,
    slots::{Ix, Table},
    topic_slot::Topic,
    wire::produce::least_head,
};

/// A Kafka producer without sockets, clock, threads and heap.
///
/// The methods are of four kinds:
///
/// - what the application wants: [`topic`](Self::topic), [`produce`](Self::produce),
///   [`produce_all`](Self::produce_all), [`cancel`](Self::cancel), [`flush`](Self::flush), [`close`](Self::close);
/// - what the network and the clock did: `handle_*`;
/// - what to do next: [`poll_output`](Self::poll_output), [`poll_writable`](Self::poll_writable),
///   [`poll_timeout`](Self::poll_timeout), and `poll_compress` with the feature `compression`;
/// - looking, and moving bytes: [`address`](Self::address), [`prepare_write`](Self::prepare_write),
///   [`pending_write`](Self::pending_write), [`rx_buffer`](Self::rx_buffer), [`stats`](Self::stats).
///
/// *Drain before you wait:* after any number of calls, take [`poll_output`](Self::poll_output) until
/// it is `None`, write to the connections that [`poll_writable`](Self::poll_writable) names until it is
/// `None`, and both again while [`needs_service`](Self::needs_service), since each of them, and each
/// byte that was written, may leave something to do for the other. Where batches are compressed, so does
/// `poll_compress`, which is taken with them. Only then wait: for a socket, for
/// [`poll_timeout`](Self::poll_timeout), or for the application.
///
/// That is enough. With `needs_service` false the producer is at rest: `poll_output` has nothing, and
/// nothing will become due but what a socket brings, a call of the application's, or the time of
/// `poll_timeout`. A run loop may hold it to that with
/// [`debug_assert_at_rest`](Self::debug_assert_at_rest), before it waits.
pub struct Producer<'m> {
    settings: Settings,
    now: Instant,
    random: Random,
    conns: Table<'m, Conn>,
    brokers: Table<'m, Broker>,
    topics: Table<'m, Topic>,
    partitions: Table<'m, Partition>,
    batches: Table<'m, Batch>,
    pages: Pages<'m>,
    rx: Slots<'m, u8>,
    tx: Slots<'m, u8>,
    topic_names: Names<'m>,
    broker_names: Names<'m>,
    owner: u32,
    #[cfg(feature = "alloc")]
    most: crate::memory::Most,
    free_partitions: partition_slot_runs::FreePartitions,
    free_batches: Ix<Batch>,
    /// The most bytes of records that a batch takes while it is open.
    largest_batch: u32,
    // By concern. Who is to change them calls a method of theirs, whose file says what holds of them.
    registry: topics::Registry,
    queues: Queues,
    network: Network,
    lifecycle: Lifecycle,
    back_pressure: BackPressure,
    identity: Identity,
    metadata: metadata::Metadata,
    timers: deadlines::Timers,
    backoff: Backoff,
    /// The part of the batch that the last output was about, where it is told in parts.
    part: Part,
    /// What the wall clock showed at [`Instant::ZERO`], in milliseconds since 1970, if there is one.
    wall_at_zero: Option<i64>,
    stats: Stats,
    #[cfg(feature = "_sasl")]
    sasl: Option<crate::Sasl<'m>>,
    #[cfg(feature = "trace")]
    traces: crate::trace::Traces,
    #[cfg(feature = "_internal")]
    seen: crate::coverage::Tally,
}

impl<'m> Producer<'m> {
    /// Makes a producer. It needs no network: brokers are dialled when a topic is registered.
    ///
    /// `seed` is for the jitter of backoffs, for the choice of partitions, and for the first
    /// correlation id; two producers should not share one, and a device should not begin with the
    /// same one after each reset: what was answered to its former life could be taken for answers to
    /// this one, where a line outlives it. It is also what tells this producer's ids from another one's
    /// ([`owner`](Self::owner)).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the property, or the part of the memory, that cannot work.
    pub fn new(config: &Config<'_>, memory: Memory<'m>, seed: u64) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(config)?;
        let identity = Identity::new(config.enable_idempotence);
        // Everything that can fail comes first, and the producer is made where it is returned: it is
        // large beside the stack of a small machine.
        check_memory(&settings, &memory)?;
        let mut broker_names = Names::new(memory.broker_names, memory.brokers.all().len());
        let mut brokers = Table::new(memory.brokers, || Broker::EMPTY);
        add_bootstrap_servers(config.bootstrap_servers, &mut brokers, &mut broker_names)?;
        let mut batches = Table::new(memory.batches, || Batch::EMPTY);
        let free_batches = link_free_batches(&mut batches);
        let topic_names = Names::new(memory.topic_names, memory.topics.all().len());
        let mut topics = Table::new(memory.topics, || Topic::EMPTY);
        let registry = topics::Registry::new(&mut topics, seed);
        let mut partitions = Table::new(memory.partitions, || Partition::EMPTY);
        let free_partitions = partition_slot_runs::FreePartitions::all(&mut partitions);
        let pages = Pages::new(memory.pages, memory.links);
        let largest_batch;
        #[cfg(feature = "compression")]
        {
            settings.reserved_pages = compress::reserved_pages(&settings, pages.count());
        }
        (settings.largest_record, largest_batch) = produce::bounds(&settings, &pages);
        Ok(Self {
            settings,
            now: Instant::ZERO,
            random: Random::new(seed),
            conns: Table::new(memory.conns, || Conn::EMPTY),
            topic_names,
            broker_names,
            brokers,
            topics,
            partitions,
            batches,
            pages,
            rx: memory.rx,
            tx: memory.tx,
            owner: (seed ^ (seed >> 32)) as u32,
            #[cfg(feature = "alloc")]
            most: memory.most,
            registry,
            free_partitions,
            free_batches,
            part: Part::NONE,
            largest_batch,
            queues: Queues::EMPTY,
            backoff: Backoff::NONE,
            network: Network::new(seed),
            identity,
            wall_at_zero: None,
            metadata: metadata::Metadata::NEW,
            timers: deadlines::Timers::NEW,
            lifecycle: Lifecycle::Open,
            back_pressure: BackPressure::NONE,
            stats: Stats::default(),
            #[cfg(feature = "_sasl")]
            sasl: None,
            #[cfg(feature = "trace")]
            traces: crate::trace::Traces::new(),
            #[cfg(feature = "_internal")]
            seen: crate::coverage::Tally::NONE,
        })
    }

    /// The mark of this producer that its batches' and topics' ids bear: the halves of the seed, one
    /// exclusive-or the other. Seeds of which these differ make producers that tell their own ids from
    /// each other's.
    #[must_use]
    pub const fn owner(&self) -> u32 {
        self.owner
    }

    /// Counters since the start, and gauges.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let pages = self.pages.count();
        let pages_used = pages - self.pages.free();
        Stats {
            pages,
            pages_used,
            #[cfg(feature = "compression")]
            pages_reserved: self.settings.reserved_pages,
            batches: self.queues.unsettled(),
            ..self.stats
        }
    }

    /// What is known of each broker: counters since it was first heard of, and gauges.
    pub fn brokers(&self) -> impl Iterator<Item = BrokerStats<'_>> {
        let known = self.brokers.iter().filter(|(_, slot)| slot.origin != Origin::Free);
        known.map(|(index, slot)| {
            let conn = slot.conn.some().map(|conn| self.conns.at(conn));
            BrokerStats {
                node_id: (slot.origin == Origin::Cluster).then_some(slot.node_id),
                address: slot
                    .has_address()
                    .then(|| Address { host: self.host_of(index), port: slot.port }),
                connected: conn.is_some_and(Conn::is_open),
                leads: slot.leads,
                waiting: slot.has_work(),
                in_flight: conn.map_or(0, |conn| conn.requests.len() as u32),
                requests: slot.requests,
                bytes: slot.bytes,
                errors: slot.errors,
                disconnects: slot.disconnects.into(),
                last_error: slot.trouble,
            }
        })
    }

    /// Whether nothing is to be done any more.
    fn is_over(&self) -> bool {
        self.lifecycle.is_over()
    }

    /// Moves time on; a clock that steps back is ignored.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // for small code
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn name_of_topic(&self, topic: Ix<Topic>) -> &str {
        self.topic_names.get(topic.number(), self.topics.at(topic).name_len)
    }

    /// The name of the topic that a partition is of.
    #[cfg(any(feature = "log", feature = "defmt"))]
    fn topic_at(&self, home: Ix<Partition>) -> &str {
        self.name_of_topic(self.partitions.at(home).topic)
    }

    fn host_of(&self, broker: Ix<Broker>) -> &str {
        self.broker_names.get(broker.number(), self.brokers.at(broker).host_len.into())
    }
}

impl fmt::Debug for Producer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("now", &self.now)
            .field("identity", &self.identity)
            .field("lifecycle", &self.lifecycle)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The share of each connection in a region, in bytes.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn window(region: &Slots<'_, u8>, connections: u32) -> u32 {
    region.all().len().checked_div(connections as usize).unwrap_or(0) as u32
}

fn check_memory(settings: &Settings, memory: &Memory<'_>) -> Result<(), ConfigError> {
    let len = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let conns = len(memory.conns.all().len());
    let topics = memory.topics.all().len();
    let name = memory.topic_names.all().len().checked_div(topics).unwrap_or(0);
    let least = [
        ("connections", conns, 1),
        ("topics", len(topics), 1),
        ("partitions", len(memory.partitions.all().len()), 1),
        ("batches", len(memory.batches.all().len()), 1),
        ("brokers", len(memory.brokers.all().len()), 1),
        (
            "bytes of pages for batch.size",
            len(memory.pages.all().len()),
            settings.max_request_size.min(settings.batch_size),
        ),
        ("bytes of receive window", window(&memory.rx, conns), LEAST_RX as u32),
        (
            "bytes of request head",
            window(&memory.tx, conns),
            least_head(settings.client_id().len(), name) as u32,
        ),
    ];
    for (what, have, need) in least {
        if have < need {
            return Err(ConfigError::Memory { what, have, need });
        }
    }
    Ok(())
}

/// Makes a broker of each entry of `bootstrap.servers`.
fn add_bootstrap_servers(
    servers: &str,
    brokers: &mut Table<'_, Broker>,
    names: &mut Names<'_>,
) -> Result<(), ConfigError> {
    let mut count = 0_u32;
    for entry in settings::entries(servers) {
        let invalid = ConfigError::InvalidBootstrapServer(count as u16);
        let (host, port) = settings::host_and_port(entry).ok_or(invalid)?;
        if count + 1 >= brokers.len() {
            // A bootstrap server is never forgotten, so a leader needs a slot of its own.
            let (have, need) = (brokers.len(), settings::entries(servers).count() as u32 + 1);
            return Err(ConfigError::Memory { what: "brokers", have, need });
        }
        let index = Ix::new(count);
        let host_len = u8::try_from(host.len()).unwrap_or(0);
        if host_len == 0 || !names.set(index.number(), host) {
            let (have, need) = (names.longest().min(255) as u32, host.len() as u32);
            return Err(ConfigError::Memory { what: "bytes a host name", have, need });
        }
        let broker = brokers.at_mut(index);
        broker.origin = Origin::Bootstrap;
        broker.node_id = -1 - count as i32;
        broker.host_len = host_len;
        broker.port = port;
        count += 1;
    }
    if count == 0 { Err(ConfigError::NoBootstrapServers) } else { Ok(()) }
}

/// Chains all batches up as free; returns the first.
fn link_free_batches(batches: &mut Table<'_, Batch>) -> Ix<Batch> {
    let mut next = Ix::NONE;
    for number in (0..batches.len()).rev() {
        let index = Ix::new(number);
        batches.at_mut(index).next_in_request = next;
        next = index;
    }
    next
}
