//! What may be in the log is asked about before it is sent again.
//!
//! Brokers forget a producer: when the timestamp of its last batch is older than
//! `producer.id.expiration.ms`, however short a time ago it was written, or with the records that a log
//! loses. One that has forgotten takes whatever it is sent, so that a batch that is sent again lies in the
//! log twice. To ask (DescribeProducers, KIP-664) has no such effect. Decision 44.

use super::{Producer, poll_trace::trace, schedule::PROOF, window};
use crate::{
    Disconnect, Instant, OnForgotten,
    batch::{Batch, Life, sequence_reached},
    broker_slot::Broker,
    conn::{Conn, Kept},
    coverage::seen,
    logging::tell,
    partition_slot::{Listed, Partition, Phase, Question},
    slots::Ix,
    time::Micros,
    wire::{
        ApiKey, ErrorCode, Writer,
        describe_producers::{self, DescribeProducersItem, Topic},
        dialect,
        produce::REQUEST_FRAMING,
    },
};

/// Bytes of the request that a partition takes besides its topic's name: lengths, its number, and tags.
const ASKED_FRAMING: u32 = 16;
const VERSION: i16 = 0;

impl Producer<'_> {
    /// What the wall clock shows at `now`, in milliseconds since the Unix epoch, or that there is no
    /// clock that could be trusted, as is assumed until this is called.
    ///
    /// Brokers forget a producer by the timestamps of its records
    /// ([`Config::producer_id_expiration`](crate::Config)). With a wall clock it is known which of them are
    /// young enough for a broker to remember. Without one, at most one batch of a partition is in flight,
    /// and what may be in the log is sent again only where the leader can be asked, or where the topic
    /// has `message.timestamp.type=LogAppendTime`. To be called at the start and whenever the wall clock
    /// was set; how often does not matter.
    pub fn set_wall_clock(&mut self, now: Instant, unix_ms: Option<i64>) {
        self.advance(now);
        let elapsed = i64::try_from(self.now.as_micros() / 1_000).unwrap_or(i64::MAX);
        self.wall_at_zero = unix_ms.map(|wall| wall.saturating_sub(elapsed));
    }

    /// Until when a broker is sure to remember a producer whose last batch has this largest timestamp;
    /// long ago, where it may have forgotten by now.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn remembered_until(&self, max_timestamp: i64) -> Instant {
        let Some(zero) = self.wall_at_zero.filter(|_| max_timestamp >= 0) else {
            return Instant::ZERO;
        };
        let micros = max_timestamp.saturating_sub(zero).saturating_mul(1_000);
        let life = i64::try_from(self.settings.remembered.0).unwrap_or(i64::MAX);
        Instant::from_micros(u64::try_from(micros.saturating_add(life)).unwrap_or(0))
    }

    /// Takes note of what an acknowledged batch says of how long the leader remembers this producer.
    pub(super) fn note_remembered(&mut self, index: Ix<Batch>, log_append_time: i64) {
        let batch = self.batches.at(index);
        let (home, max_timestamp, once) =
            (batch.partition, batch.max_timestamp, batch.attempts == 1);
        let told = self.remembered_until(if log_append_time < 0 {
            max_timestamp
        } else {
            log_append_time
        });
        let fresh = self.now.later(self.settings.remembered);
        let partition = self.partitions.at_mut(home);
        // A duplicate is answered with a time whatever the topic's setting, so that one does not show it.
        if once {
            partition.by_broker = log_append_time >= 0;
        }
        let until = match (partition.by_broker, once) {
            (true, true) => fresh,
            (true, false) => partition.remembered_until.max(told),
            (false, _) => told,
        };
        // Never zero, which stands for what was never acknowledged.
        let until = until.max(Instant::from_micros(1));
        partition.proven_until = until.min(self.now.later(PROOF));
        partition.remembered_until = until;
    }

    /// Whether the leader is sure to know this producer, if it has taken any of what may be in the log.
    fn is_remembered(&self, home: Ix<Partition>) -> bool {
        let partition = self.partitions.at(home);
        let young = |until: Instant| self.now < until;
        if partition.was_acked() && (partition.by_broker || !young(partition.remembered_until)) {
            return young(partition.remembered_until);
        }
        let mut open = self.bound_batches(home).filter(|batch| batch.may_be_in_log());
        open.all(|batch| young(self.remembered_until(batch.max_timestamp)))
    }

    /// Whether something of a partition is to be sent again that may be in the log already. Then nothing is
    /// sent to it unasked: what is taken makes a leader that has forgotten know the producer again.
    pub(super) fn is_in_doubt(&self, home: Ix<Partition>) -> bool {
        let partition = self.partitions.at(home);
        partition.bound > partition.in_flight
            && !self.identity.is_off()
            && self.bound_batches(home).any(Batch::may_be_in_log)
    }

    /// Asks a broker what it knows of this producer on the partitions that are in doubt. False where
    /// there is nothing to ask now.
    pub(super) fn ask_producers(&mut self, conn: Ix<Conn>) -> bool {
        let slot = self.conns.at(conn);
        let broker = slot.broker;
        if slot.requests.iter().any(|request| request.api == ApiKey::DESCRIBE_PRODUCERS) {
            return false;
        }
        let mut room = window(&self.tx, self.conns.len())
            .saturating_sub(REQUEST_FRAMING + self.settings.client_id().len() as u32);
        let (mut count, mut next) = (0, self.brokers.at(broker).doubtful.head());
        while let Some(home) = next.some() {
            let partition = self.partitions.at(home);
            let size = u32::from(self.topics.at(partition.topic).name_len) + ASKED_FRAMING;
            if size > room {
                break;
            }
            room -= size;
            count += 1;
            next = partition.link.next();
        }
        if count == 0 {
            return false;
        }
        seen!(self, Asked);
        self.begin_request(conn, ApiKey::DESCRIBE_PRODUCERS, VERSION, &|writer, this| {
            this.write_questions(writer, conn, count);
        });
        true
    }

    /// Whether a partition's leader is known to be one that cannot be asked.
    pub(super) fn is_mute(&self, leader: Ix<Broker>) -> bool {
        let conn = self.brokers.at(leader).conn;
        conn.some()
            .map(|conn| self.conns.at(conn))
            .is_some_and(|slot| slot.is_ready() && slot.versions.describe_producers < 0)
    }

    /// A broker's connection is ready: where it cannot be asked, nothing waits for that.
    pub(super) fn end_doubts_of_mute(&mut self, broker: Ix<Broker>) {
        while self.is_mute(broker) {
            let Some(home) = self.brokers.at(broker).doubtful.head().some() else {
                return;
            };
            self.list(home, Listed::Nowhere);
            self.go_by_time(home);
        }
    }

    fn write_questions(&mut self, writer: &mut Writer<'_>, conn: Ix<Conn>, count: u32) {
        let dialect = dialect(ApiKey::DESCRIBE_PRODUCERS, VERSION);
        let broker = self.conns.at(conn).broker;
        describe_producers::write_request(writer, dialect, count);
        for _ in 0..count {
            let home = self.brokers.at(broker).doubtful.head();
            self.list(home, Listed::Nowhere);
            let partition = self.partitions.at_mut(home);
            partition.question = Question::Asked;
            partition.conn = conn;
            let (topic, number) = (partition.topic, partition.number);
            let topic = Topic { name: self.name_of_topic(topic), partitions: 1 };
            describe_producers::write_request_topic(writer, dialect, &topic);
            writer.int32(number);
            describe_producers::write_request_topic_end(writer, dialect);
        }
        describe_producers::write_request_end(writer, dialect);
    }

    #[inline(never)]
    pub(super) fn read_producers(&mut self, conn: Ix<Conn>, item: DescribeProducersItem<'_>) {
        match item {
            DescribeProducersItem::Throttle(ms) => self.throttle(conn, ms),
            DescribeProducersItem::Topic(topic) => {
                let found = self.find_topic(topic.name).unwrap_or(Ix::NONE);
                let place = &mut self.conns.at_mut(conn).place;
                place.topic = found;
                place.partition = Ix::NONE;
            }
            DescribeProducersItem::Partition(told) => {
                let home = self.asked_partition(conn, told.index);
                let place = &mut self.conns.at_mut(conn).place;
                place.partition = home;
                place.error = told.error;
                place.kept = Kept::Nothing;
            }
            DescribeProducersItem::Producer(told) => {
                let place = self.conns.at(conn).place;
                let chain = place.partition.some().map(|home| self.partitions.at(home));
                if let Some(chain) = chain.filter(|chain| chain.producer_id == told.producer_id) {
                    let last = chain.known_by(told.producer_epoch, told.last_sequence);
                    self.conns.at_mut(conn).place.kept =
                        last.map_or(Kept::Nothing, Kept::LastSequence);
                }
            }
            DescribeProducersItem::PartitionEnd => {
                let place = &mut self.conns.at_mut(conn).place;
                let home = core::mem::replace(&mut place.partition, Ix::NONE);
                let last = match place.kept {
                    Kept::LastSequence(last) => Some(last),
                    Kept::Nothing | Kept::Offers(_) | Kept::Refused { .. } => None,
                };
                let error = place.error;
                if home.is_some() {
                    self.partitions.at_mut(home).question = Question::Open;
                    self.handle_described(home, error, last);
                    self.reconsider(home);
                }
            }
        }
    }

    /// A partition of the topic that is being told of, if this connection was asked about it.
    fn asked_partition(&self, conn: Ix<Conn>, number: i32) -> Ix<Partition> {
        let topic = self.conns.at(conn).place.topic;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        if topic.is_none() || number >= self.topics.at(topic).partition_count {
            return Ix::NONE;
        }
        let home = self.partition_of(topic, number);
        if self.partitions.at(home).was_asked(conn) { home } else { Ix::NONE }
    }

    /// Takes what a leader says of this producer on a partition: its last sequence of the current
    /// epoch, -1 where that is another epoch's, or nothing where it does not know the producer.
    fn handle_described(&mut self, home: Ix<Partition>, error: ErrorCode, last: Option<i32>) {
        if error.is_none() {
            let Some(last) = last else {
                seen!(self, FoundAbsent);
                if self.partitions.at(home).was_acked() {
                    // It has acknowledged something before: so it has forgotten.
                    self.give_up_forgotten(home);
                } else {
                    // It has forgotten, or has never taken anything.
                    self.go_by_time(home);
                }
                return;
            };
            seen!(self, FoundPresent);
            self.mark_recognised(home, last);
            let unknown = |batch: &Batch| batch.may_be_in_log() && !batch.recognised;
            if self.partitions.at(home).is_echo(last) && self.bound_batches(home).any(unknown) {
                // Or it has forgotten, and what it knows is of an attempt that came late.
                self.go_by_time(home);
                return;
            }
            self.partitions.at_mut(home).question = Question::Answered;
            let oldest = self.next_to_resend(home).map(|index| self.batches.at(index));
            if let Some(oldest) = oldest.filter(|batch| last >= 0 && batch.may_be_in_log()) {
                let own = oldest.last_sequence();
                if own != last && sequence_reached(own, last) {
                    // It went on behind that one, and may recognise its last batch only.
                    self.partitions.at_mut(home).phase = Phase::Probing;
                }
            }
        } else if error.is_retriable() {
            if error.refreshes_metadata() {
                self.want_metadata();
            }
            self.back_off(home);
        } else {
            // Most likely there is no right to READ.
            self.go_by_time(home);
        }
    }

    /// Takes note of which batches the leader has, if any at all: those up to this sequence.
    fn mark_recognised(&mut self, home: Ix<Partition>, last: i32) {
        let mut next = self.partitions.at(home).queue.head();
        while let Some(index) = next.some().filter(|index| self.batches.at(*index).is_bound()) {
            let batch = self.batches.at_mut(index);
            batch.recognised = last >= 0 && sequence_reached(batch.last_sequence(), last);
            next = batch.queue.next();
        }
    }

    /// Nobody can say whether the leader remembers: the records' timestamps decide.
    pub(super) fn go_by_time(&mut self, home: Ix<Partition>) {
        if self.is_remembered(home) {
            seen!(self, WentByTime);
            self.mark_recognised(home, -1);
            self.partitions.at_mut(home).question = Question::Answered;
            self.reconsider(home);
        } else {
            self.give_up_forgotten(home);
        }
    }

    fn give_up_forgotten(&mut self, home: Ix<Partition>) {
        seen!(self, Forgotten);
        tell!(warn, "{}: the leader may have forgotten this producer", self.topic_at(home));
        trace!(self, home, Forgotten);
        match self.settings.on_forgotten {
            OnForgotten::Unknown => self.settle_forgotten(home),
            OnForgotten::Resend => {
                self.mark_recognised(home, -1);
                let mut next = self.partitions.at(home).queue.head();
                while let Some(index) = next.some() {
                    let batch = self.batches.at_mut(index);
                    next = batch.queue.next();
                    batch.repeated |= batch.life == Life::Idle && batch.may_be_in_log();
                }
                self.partitions.at_mut(home).question = Question::Answered;
            }
        }
        self.reconsider(home);
    }

    /// A question has come to nothing; true where some of it was not answered. Where the connection is over, so
    /// has every answer that its broker gave, or that was found in its stead: by the time that there is another
    /// one, the broker may have forgotten.
    pub(super) fn drop_questions(&mut self, conn: Ix<Conn>, wait: bool) -> bool {
        let slot = self.conns.at(conn);
        let lost = if slot.is_alive() { Ix::NONE } else { slot.broker };
        let mut open = false;
        for home in self.partitions.indices() {
            let partition = self.partitions.at_mut(home);
            let asked = partition.was_asked(conn);
            let over = partition.question == Question::Answered && partition.leader == lost;
            if asked || (over && lost.is_some()) {
                open |= asked;
                partition.question = Question::Open;
                if asked && wait {
                    self.back_off(home);
                }
                self.reconsider(home);
            }
        }
        open
    }

    pub(super) fn finish_producers(&mut self, conn: Ix<Conn>) -> Result<(), Disconnect> {
        if self.drop_questions(conn, true) { Err(Disconnect::Incomplete) } else { Ok(()) }
    }
}

/// How long a broker is sure to remember, of what it is assumed to have been told: less an hour, or a
/// quarter where that is less, for clocks that differ.
pub(super) fn sure_part(expiration: Micros) -> Micros {
    const HOUR: u64 = 3_600_000_000;
    Micros(expiration.0.saturating_sub((expiration.0 / 4).min(HOUR)))
}
