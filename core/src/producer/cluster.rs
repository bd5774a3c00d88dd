//! What is known of the cluster: when to ask for it, and what an answer changes.

use super::Producer;
#[cfg(feature = "trace")]
use super::tracing::trace;
use crate::{
    Disconnect, Instant, LastError,
    broker::{Broker, Origin},
    conn::Conn,
    partition::Partition,
    slots::Ix,
    topic::{Heard, Knowledge, Topic},
    wire::{
        ErrorCode,
        metadata::{self, MetadataItem},
    },
};

/// A topic's number of partitions, while an answer is being read that tells of them.
#[derive(Clone, Copy, Debug)]
struct Growth {
    topic: Ix<Topic>,
    /// How many there were.
    known: u32,
    /// How many there are to be.
    told: u32,
    /// How many of the new ones were listed.
    listed: u32,
}

impl Growth {
    const NONE: Self = Self { topic: Ix::NONE, known: 0, told: 0, listed: 0 };
}

/// So many answers in a row that left something open cast doubt on who gave them.
const DOUBTED: u8 = 2;

/// When Metadata is asked for.
#[derive(Debug)]
pub(super) struct Metadata {
    /// When the next request is due.
    due: Instant,
    /// No request before this.
    not_before: Instant,
    /// A request is under way.
    pub(super) asked: bool,
    /// Something called for fresh metadata while a request was under way.
    pub(super) again: bool,
    failures: u8,
    /// Since when an answer is wanted and did not come.
    wanted: Instant,
    /// The connection that is to ask.
    pub(super) prefer: Ix<Conn>,
    /// The broker that was asked last.
    pub(super) last: Ix<Broker>,
    /// Connections in a row, to whatever broker, that came to nothing.
    pub(super) lost: u8,
    /// No broker is dialled before this only to be asked something.
    pub(super) seek_at: Instant,
    /// The last that was dialled for that is no bootstrap server, and nothing was of use since.
    pub(super) bootstrap_next: bool,
    /// A broker that was named found no slot.
    crowded: bool,
    /// Of the topic that is being read about.
    growth: Growth,
    /// The topic to begin the next request with, where not all fit into one.
    pub(super) cursor: u32,
}

impl Metadata {
    /// An answer of a broker was of use: no other need be sought.
    #[inline]
    pub(super) fn note_use(&mut self, now: Instant) {
        self.lost = 0;
        self.seek_at = now;
        self.bootstrap_next = false;
    }

    pub(super) const NEW: Self = Self {
        due: Instant::NEVER,
        not_before: Instant::ZERO,
        asked: false,
        again: false,
        failures: 0,
        wanted: Instant::NEVER,
        prefer: Ix::NONE,
        last: Ix::NONE,
        lost: 0,
        seek_at: Instant::ZERO,
        bootstrap_next: false,
        crowded: false,
        growth: Growth::NONE,
        cursor: 0,
    };

    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.asked && self.due <= now
    }

    /// When a request is to be made; never while one is under way.
    pub(super) fn deadline(&self) -> Instant {
        if self.asked { Instant::NEVER } else { self.due }
    }
}

impl Producer<'_> {
    /// Something calls for fresh metadata.
    pub(super) fn want_metadata(&mut self) {
        if self.registry.count() == 0 || self.is_over() {
            return;
        }
        if self.metadata.asked {
            self.metadata.again = true;
            return;
        }
        let due = self.now.max(self.metadata.not_before);
        self.metadata.due = self.metadata.due.min(due);
        self.metadata.wanted = self.metadata.wanted.min(due);
        self.seek_metadata();
    }

    /// Finds a connection to ask on, if a request is due.
    pub(super) fn seek_metadata(&mut self) {
        if self.metadata.is_due(self.now) && !self.is_over() {
            self.rebootstrap_if_stale();
            self.ask_for_metadata();
        }
    }

    /// Has the best open connection ask, or dials a broker where there is none.
    ///
    /// Where answers were of no use several times, it is another broker than the last time, if there
    /// is one: which of them tells the truth is not known.
    fn ask_for_metadata(&mut self) {
        let idle = |this: &Self, slot: &Conn| slot.is_at_leisure(this.now);
        let other =
            |this: &Self, slot: &Conn| idle(this, slot) && slot.broker != this.metadata.last;
        let doubted = self.metadata.failures >= DOUBTED;
        let best = if doubted { self.best_conn(&other) } else { None };
        let found = best.or_else(|| self.best_conn(&idle));
        if let Some(conn) = found {
            self.metadata.prefer = conn;
            self.wake_conn(conn);
            let room = self.conns.iter().any(|(_, slot)| slot.is_free());
            if !doubted || best.is_some() || !room {
                return;
            }
        }
        if !self.conns.iter().any(|(_, slot)| slot.is_in_transit()) {
            self.dial_any(&|_| true);
        }
    }

    /// After `metadata.recovery.rebootstrap.trigger.ms` without an answer the brokers may all have
    /// moved: only the bootstrap servers are certain (KIP-1102).
    fn rebootstrap_if_stale(&mut self) {
        if self.metadata.wanted.later(self.settings.rebootstrap_trigger) <= self.now {
            self.rebootstrap();
        }
    }

    fn rebootstrap(&mut self) {
        self.metadata.wanted = self.now;
        for broker in self.brokers.indices() {
            let slot = self.brokers.at_mut(broker);
            if slot.origin == Origin::Cluster {
                slot.host_len = 0;
            }
        }
        // Only now, so that none of them is dialled as another's connection ends.
        for conn in self.conns.indices() {
            let slot = self.conns.at(conn);
            if slot.is_alive() && self.brokers.at(slot.broker).origin == Origin::Cluster {
                self.drop_connection(conn, Disconnect::Replaced);
            }
        }
    }

    /// The request under way came to nothing.
    pub(super) fn metadata_failed(&mut self) {
        self.finish_topic(false);
        if core::mem::take(&mut self.metadata.asked) {
            self.schedule_retry();
        }
    }

    fn schedule_retry(&mut self) {
        self.metadata.failures = self.metadata.failures.saturating_add(1);
        let wait = self.settings.retry_backoff(&mut self.random, self.metadata.failures);
        self.metadata.not_before = self.now.later(wait);
        self.metadata.due = self.metadata.not_before;
        self.rest_without_topics();
    }

    /// Without a topic nothing is to be asked for, and nothing that is known grows old.
    pub(super) fn rest_without_topics(&mut self) {
        if self.registry.count() == 0 {
            (self.metadata.due, self.metadata.wanted) = (Instant::NEVER, Instant::NEVER);
        }
    }

    #[inline(never)]
    pub(super) fn read_metadata(&mut self, conn: Ix<Conn>, item: MetadataItem<'_>) {
        match item {
            MetadataItem::Throttle(ms) => self.throttle(conn, ms),
            MetadataItem::Broker(broker) => self.learn_broker(&broker),
            MetadataItem::Controller(_) => {}
            MetadataItem::Topic(topic) => self.learn_topic(conn, &topic),
            MetadataItem::Partition(partition) => self.learn_partition(conn, partition),
            MetadataItem::Error(error) => {
                self.finish_topic(true);
                self.conns.at_mut(conn).place.error = error;
            }
        }
    }

    fn learn_broker(&mut self, told: &metadata::Broker<'_>) {
        if told.node_id < 0 {
            return;
        }
        let known = self.known_broker(told.node_id);
        if let Some(broker) = known.or_else(|| self.new_broker(told.node_id)) {
            self.brokers.at_mut(broker).seen = true;
            self.set_address(broker, told.host, told.port);
            self.adopt_bootstrap(broker);
        }
    }

    /// A free slot for a broker of the cluster.
    fn new_broker(&mut self, node_id: i32) -> Option<Ix<Broker>> {
        let free = |slot: &Broker| slot.origin == Origin::Free;
        // A broker that leads nothing and has no connection can be learned again.
        let idle = |slot: &Broker| {
            slot.origin == Origin::Cluster && slot.leads == 0 && slot.conn.is_none() && !slot.seen
        };
        let found = self.brokers.iter().find(|(_, slot)| free(slot));
        let found = found.or_else(|| self.brokers.iter().find(|(_, slot)| idle(slot)));
        let (broker, _) = found?;
        *self.brokers.at_mut(broker) =
            Broker { origin: Origin::Cluster, node_id, seen: true, ..Broker::EMPTY };
        Some(broker)
    }

    /// The broker with this node id, which may be one whose address is not known yet.
    pub(super) fn broker_of_node(&mut self, node_id: i32) -> Option<Ix<Broker>> {
        self.known_broker(node_id).or_else(|| self.new_broker_by_force(node_id))
    }

    fn known_broker(&self, node_id: i32) -> Option<Ix<Broker>> {
        let is_it = |slot: &Broker| slot.origin == Origin::Cluster && slot.node_id == node_id;
        self.brokers.iter().find(|(_, slot)| is_it(slot)).map(|(broker, _)| broker)
    }

    /// A slot for a broker that leads a partition of ours, at the cost of one that leads none.
    fn new_broker_by_force(&mut self, node_id: i32) -> Option<Ix<Broker>> {
        if let Some(broker) = self.new_broker(node_id) {
            return Some(broker);
        }
        let spare = |slot: &Broker| slot.origin == Origin::Cluster && slot.leads == 0;
        // One without a connection comes first: the answer that names the leader may be on one.
        let idle = |slot: &Broker| spare(slot) && slot.conn.is_none();
        let found = self.brokers.iter().find(|(_, slot)| idle(slot));
        let (broker, slot) = found.or_else(|| self.brokers.iter().find(|(_, slot)| spare(slot)))?;
        let conn = slot.conn;
        // Nobody dials what has no address, as it might be for what is to be asked of any broker.
        self.brokers.at_mut(broker).host_len = 0;
        if let Some(conn) = conn.some() {
            self.drop_connection(conn, Disconnect::Replaced);
        }
        *self.brokers.at_mut(broker) =
            Broker { origin: Origin::Cluster, node_id, seen: true, ..Broker::EMPTY };
        Some(broker)
    }

    /// Takes note of where a broker is reached. A broker that moved is dialled anew.
    pub(super) fn set_address(&mut self, broker: Ix<Broker>, host: &str, port: i32) {
        let slot = self.brokers.at(broker);
        let (conn, had_address) = (slot.conn, slot.has_address());
        let host_len = u8::try_from(host.len()).unwrap_or(0);
        let known = u16::try_from(port).ok().filter(|port| *port > 0);
        if known == Some(slot.port) && self.host_of(broker) == host {
            return;
        }
        let named = known.is_some() && host_len > 0 && self.broker_names.set(broker.number(), host);
        let slot = self.brokers.at_mut(broker);
        let Some(port) = known.filter(|_| named) else {
            // An address that was good stays.
            if !had_address {
                slot.trouble = Some(known.map_or(LastError::Port(port), |_| LastError::Host));
            }
            return;
        };
        slot.trouble = None;
        slot.host_len = host_len;
        slot.port = port;
        slot.answered = false;
        // Another address is no reason to be dialled faster again and again.
        if slot.failures <= 1 {
            slot.dial_at = self.now;
        }
        if let Some(conn) = conn.some().filter(|_| had_address) {
            self.drop_connection(conn, Disconnect::Replaced);
        } else if self.brokers.at(broker).has_work() {
            self.wake_broker(broker);
        }
    }

    /// A connection to a bootstrap server serves the broker that has the same address: one
    /// connection a broker.
    fn adopt_bootstrap(&mut self, broker: Ix<Broker>) {
        let slot = self.brokers.at(broker);
        if slot.conn.is_some() || !slot.has_address() {
            return;
        }
        let same = self.brokers.iter().find(|(other, candidate)| {
            candidate.origin == Origin::Bootstrap
                && candidate.conn.is_some()
                && candidate.port == slot.port
                && self.host_of(*other) == self.host_of(broker)
        });
        let Some((bootstrap, candidate)) = same else {
            return;
        };
        let conn = candidate.conn;
        self.brokers.at_mut(bootstrap).conn = Ix::NONE;
        self.brokers.at_mut(broker).conn = conn;
        self.conns.at_mut(conn).broker = broker;
        if self.metadata.last == bootstrap {
            self.metadata.last = broker;
        }
        self.end_doubts_of_mute(broker);
        self.wake_conn(conn);
    }

    fn learn_topic(&mut self, conn: Ix<Conn>, told: &metadata::Topic<'_>) {
        self.finish_topic(true);
        let topic = told.name.and_then(|name| self.find_topic(name)).unwrap_or(Ix::NONE);
        let place = &mut self.conns.at_mut(conn).place;
        place.topic = Ix::NONE;
        if topic.is_none() {
            return;
        }
        let error = told.error;
        let slot = self.topics.at(topic);
        if error.is_none() && told.partitions > 0 {
            let heard = self.topics.at_mut(topic).learn_id(told.id);
            if heard == Heard::Outdated {
                // Nor are its leaders those of the topic that there is.
                self.metadata.again = true;
            } else {
                self.conns.at_mut(conn).place.topic = topic;
                if heard == Heard::Recreated {
                    self.orphan_partitions(topic);
                }
                self.make_room_for(topic, told.partitions);
            }
        } else {
            // A topic that was known goes on with what is known; the error may pass.
            let unauthorized = error == ErrorCode::TOPIC_AUTHORIZATION_FAILED;
            let knowledge = if slot.knowledge == Knowledge::Ready && !unauthorized {
                Knowledge::Ready
            } else if unauthorized || error == ErrorCode::INVALID_TOPIC_EXCEPTION {
                Knowledge::Refused(error)
            } else {
                Knowledge::Pending(error)
            };
            if !matches!(knowledge, Knowledge::Refused(_)) {
                self.metadata.again = true;
            }
            self.set_knowledge(topic, knowledge);
        }
        self.topics.at_mut(topic).asked = false;
    }

    fn set_knowledge(&mut self, topic: Ix<Topic>, knowledge: Knowledge) {
        let slot = self.topics.at_mut(topic);
        if slot.knowledge != knowledge {
            slot.knowledge = knowledge;
            if !slot.changed {
                slot.changed = true;
                self.registry.note_output();
            }
        }
    }

    /// What was sent to the topic of the same name that was deleted cannot be resolved any more.
    fn orphan_partitions(&mut self, topic: Ix<Topic>) {
        let count = self.topics.at(topic).partition_count;
        for number in 0..count {
            let home = self.partition_of(topic, number);
            let partition = self.partitions.at_mut(home);
            partition.leader_epoch = -1;
            partition.orphaned = partition.in_flight > 0;
            self.leave_incarnation(home);
        }
    }

    /// Makes room for the partitions that a topic is said to have. They count when all of them were
    /// listed.
    fn make_room_for(&mut self, topic: Ix<Topic>, told: u32) {
        let known = self.topics.at(topic).partition_count;
        if told > known && !self.take_partitions(topic, told - known) {
            // What is known goes on; there may be room another time, or another answer.
            let ready = known > 0;
            let knowledge = if ready { Knowledge::Ready } else { Knowledge::TooLarge(told) };
            self.set_knowledge(topic, knowledge);
            return;
        }
        self.metadata.growth = Growth { topic, known, told, listed: 0 };
        if told > known {
            // Until then nothing is to go there.
            self.topics.at_mut(topic).knowledge = Knowledge::Pending(ErrorCode::NONE);
        }
    }

    /// A topic is no more: what is being read of it concerns nobody.
    pub(super) fn stop_reading_of(&mut self, topic: Ix<Topic>) {
        if self.metadata.growth.topic == topic {
            self.metadata.growth = Growth::NONE;
        }
    }

    /// All that an answer says of a topic was read, or no more of it will be.
    pub(super) fn finish_topic(&mut self, complete: bool) {
        let growth = core::mem::replace(&mut self.metadata.growth, Growth::NONE);
        let Growth { topic, known, told, listed } = growth;
        if topic.is_none() {
            return;
        }
        if told > known && !(complete && listed >= told - known) {
            self.give_back_partitions(topic, known);
            self.metadata.again = true;
            if known > 0 {
                // Told, since whoever asked meanwhile was told that it is pending.
                self.set_knowledge(topic, Knowledge::Ready);
            }
            return;
        }
        if complete && told < known {
            self.shrink_topic(topic, told);
        }
        if told > known && self.settings.share().count(known) == 0 {
            let sticky = self.draw_partition(topic);
            self.topics.at_mut(topic).sticky = sticky;
        }
        self.set_knowledge(topic, Knowledge::Ready);
    }

    /// A topic has fewer partitions than it was said to have. What no broker ever acknowledged a record
    /// on may never have been, and goes as soon as nothing is open of it; the rest stays, since a broker
    /// that lags tells of fewer than there are.
    fn shrink_topic(&mut self, topic: Ix<Topic>, told: u32) {
        let known = self.topics.at(topic).partition_count;
        let invented = |number: u32| {
            let partition = self.partitions.at(self.partition_of(topic, number));
            partition.proven_until == Instant::ZERO
        };
        let keep = (told..known).rfind(|number| !invented(*number)).map_or(told, |last| last + 1);
        if keep == known {
            return;
        }
        if !self.may_give_back(topic, keep) {
            self.metadata.again = true;
            return;
        }
        self.give_back_partitions(topic, keep);
        self.slots_came_free();
        // To be told, as a change of the topic's status, though it was ready before.
        self.topics.at_mut(topic).knowledge = Knowledge::Pending(ErrorCode::NONE);
        let sticky = self.draw_partition(topic);
        self.topics.at_mut(topic).sticky = sticky;
    }

    fn learn_partition(&mut self, conn: Ix<Conn>, told: metadata::Partition) {
        let Some(topic) = self.conns.at(conn).place.topic.some() else {
            return;
        };
        let count = self.topics.at(topic).partition_count;
        let Some(number) = u32::try_from(told.index).ok().filter(|number| *number < count) else {
            return;
        };
        let home = self.partition_of(topic, number);
        let partition = self.partitions.at(home);
        let is_new = partition.leader.is_none() && partition.leader_epoch < 0;
        let growth = &mut self.metadata.growth;
        growth.listed += u32::from(is_new && number >= growth.known);
        let open = !self.partitions.at(home).queue.is_empty();
        let older = told.leader_epoch < self.partitions.at(home).leader_epoch;
        if told.leader_epoch >= 0 && older && self.is_borne_out(home) {
            // The broker that answered lags behind.
            self.metadata.again |= open;
            return;
        }
        let partition = self.partitions.at_mut(home);
        if told.leader_epoch > partition.leader_epoch {
            partition.proven = false;
        }
        if told.leader_epoch >= 0 {
            partition.leader_epoch = told.leader_epoch;
        }
        let leader = if told.leader_id < 0 {
            None
        } else {
            let broker = self.broker_of_node(told.leader_id);
            // Its old leader may be what takes the last slot for nothing: there is room next time.
            self.metadata.crowded |= broker.is_none();
            broker
        };
        if number >= self.topics.at(topic).partition_count {
            // To make room for the leader was to end this answer, and with it went the partition.
            return;
        }
        if leader.is_none() {
            self.metadata.again |= open;
            self.note_leaderless(home, told.error);
        }
        self.set_leader(home, leader.unwrap_or(Ix::NONE));
    }

    #[inline]
    fn note_leaderless(&mut self, home: Ix<Partition>, error: ErrorCode) {
        let fault = Some(LastError::NoLeader(error));
        #[cfg(feature = "trace")]
        if self.partitions.at(home).fault != fault {
            trace!(self, home, Leaderless(error));
        }
        self.partitions.at_mut(home).fault = fault;
    }

    /// Whether what is known of a partition's leader is to be held against older news: it is while
    /// that leader does what leaders do. An epoch is only a number that somebody said, and one that
    /// nobody will ever exceed is a lie, or comes of one.
    fn is_borne_out(&self, home: Ix<Partition>) -> bool {
        let partition = self.partitions.at(home);
        partition.leader.some().is_some_and(|leader| {
            let leader = self.brokers.at(leader);
            partition.failures == 0 && leader.failures == 0 && leader.has_address()
        })
    }

    /// The answer is complete.
    pub(super) fn finish_metadata(&mut self, conn: Ix<Conn>, error: ErrorCode) {
        let broker = self.conns.at(conn).broker;
        self.brokers.at_mut(broker).answered = true;
        self.finish_topic(true);
        self.metadata.asked = false;
        if error == ErrorCode::REBOOTSTRAP_REQUIRED {
            self.rebootstrap();
            self.schedule_retry();
            return;
        }
        if !error.is_none() {
            self.schedule_retry();
            return;
        }
        self.forget_brokers();
        self.note_use(self.metadata.last);
        self.metadata.wanted = self.now;
        let pending = self
            .topics
            .iter()
            .any(|(_, slot)| !matches!(slot.knowledge, Knowledge::Ready | Knowledge::Free));
        let homeless = self.brokers.iter().any(|(_, slot)| slot.leads > 0 && !slot.has_address());
        let crowded = core::mem::take(&mut self.metadata.crowded);
        if core::mem::take(&mut self.metadata.again) || pending || homeless || crowded {
            self.schedule_retry();
        } else {
            self.metadata.failures = 0;
            let wait = self.settings.retry_backoff(&mut self.random, 1);
            self.metadata.not_before = self.now.later(wait);
            let aged = self.now.later(self.settings.metadata_max_age);
            self.metadata.due = aged.max(self.metadata.not_before);
            self.metadata.wanted = self.metadata.due;
            self.rest_without_topics();
        }
    }

    /// Forgets the brokers that the cluster no longer names and that lead nothing, or of which nothing
    /// is known but that somebody said so: a leader that is not among the brokers is none.
    fn forget_brokers(&mut self) {
        for broker in self.brokers.indices() {
            let slot = self.brokers.at(broker);
            if slot.origin != Origin::Cluster || slot.seen {
                continue;
            }
            if slot.leads > 0 && slot.has_address() {
                continue;
            }
            self.depose(broker);
            let slot = self.brokers.at(broker);
            if let Some(conn) = slot.conn.some() {
                self.drop_connection(conn, Disconnect::Replaced);
            }
            if self.brokers.at(broker).conn.is_none() {
                *self.brokers.at_mut(broker) = Broker::EMPTY;
            }
        }
    }

    /// Takes from a broker all partitions that it leads.
    fn depose(&mut self, broker: Ix<Broker>) {
        if self.brokers.at(broker).leads == 0 {
            return;
        }
        for home in self.partitions.indices() {
            if self.partitions.at(home).leader == broker {
                self.partitions.at_mut(home).leader_epoch = -1;
                self.note_leaderless(home, ErrorCode::NONE);
                self.set_leader(home, Ix::NONE);
            }
        }
    }
}
