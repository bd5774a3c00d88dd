//! What is known of the cluster: when to ask for it, and what an answer changes.

use super::Producer;
#[cfg(feature = "trace")]
use super::poll_trace::trace;
use crate::{
    Disconnect, Instant, LastError,
    broker_slot::{Broker, Origin},
    conn::Conn,
    partition_slot::Partition,
    slots::Ix,
    topic_slot::{Heard, Knowledge, Topic},
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
    pub(super) fn note_leaderless(&mut self, home: Ix<Partition>, error: ErrorCode) {
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
        // One that was left out is no better known than before.
        let open = |slot: &Topic| {
            slot.asked || !matches!(slot.knowledge, Knowledge::Ready | Knowledge::Free)
        };
        let pending = self.topics.iter().any(|(_, slot)| open(slot));
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
}
