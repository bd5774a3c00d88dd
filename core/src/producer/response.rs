//! Takes answers apart and brings each part to where it belongs.

use super::{
    Producer,
    fate::{Answer, is_about_sequences},
    poll_trace::trace,
    record_errors::{LISTENS, OnRemark},
    window,
};
use crate::{
    Disconnect, Instant, LastError, Remark,
    batch::{Batch, Exposure, Life},
    conn::{Conn, Kept, OFFERS, Offer, Place, Read, Request, Versions, longest_answer},
    coverage::seen,
    logging::tell,
    slots::Ix,
    time::Micros,
    wire::{
        ApiKey, DecodeError, ErrorCode, VersionRange,
        api_versions::{Api, ApiVersionsItem},
        negotiate,
        produce::{self, CurrentLeader, NodeEndpoint, ProduceResponseItem},
        put,
    },
};

/// The APIs beside ApiVersions and our versions, in the order of `Kept::Offers`.
const NEEDED: [(ApiKey, VersionRange); OFFERS] = [
    ours(ApiKey::PRODUCE),
    ours(ApiKey::METADATA),
    ours(ApiKey::INIT_PRODUCER_ID),
    ours(ApiKey::DESCRIBE_PRODUCERS),
    #[cfg(feature = "_sasl")]
    ours(ApiKey::SASL_AUTHENTICATE),
];

const fn ours(api: ApiKey) -> (ApiKey, VersionRange) {
    match api.versions() {
        Some(versions) => (api, versions),
        None => (api, VersionRange { min: 0, max: -1 }),
    }
}

impl Producer<'_> {
    /// `len` bytes were read into [`rx_buffer`](Self::rx_buffer).
    ///
    /// Work is bounded by `len`. Bytes that are no Kafka end the connection, and nothing else.
    pub fn handle_received(&mut self, now: Instant, conn: crate::ConnId, len: usize) {
        self.handle_received_with(now, conn, len, &mut |_| {});
    }

    /// As [`handle_received`](Self::handle_received), and tells `on_remark` what a broker says in words of the
    /// records that it refuses, before the event of their batch. The words are lent for the call. A broker
    /// may have some for each record.
    pub fn handle_received_with(
        &mut self,
        now: Instant,
        conn: crate::ConnId,
        len: usize,
        on_remark: &mut dyn FnMut(&Remark<'_>),
    ) {
        self.advance(now);
        let Some(conn) = self.live_connection(conn).filter(|conn| self.conns.at(*conn).is_open())
        else {
            return;
        };
        let room = window(&self.rx, self.conns.len()) as usize;
        let start = conn.number() as usize * room;
        // The window is set apart, so that what is read can be borrowed from it.
        let mut region = core::mem::take(&mut self.rx);
        let bytes = region.all_mut().get_mut(start..start + room).unwrap_or_default();
        let slot = self.conns.at_mut(conn);
        slot.used = self.now;
        let held = (slot.rx.len as usize).saturating_add(len).min(room);
        let mut at = 0;
        let filled = bytes.get(..held).unwrap_or_default();
        let outcome = self.read_answers(conn, filled, &mut at, room, on_remark);
        close_up(bytes.get_mut(..held).unwrap_or_default(), at);
        self.rx = region;
        let slot = self.conns.at_mut(conn);
        if slot.is_open() {
            slot.rx.len = held.saturating_sub(at) as u32;
        }
        if let Err(cause) = outcome {
            self.drop_connection(conn, cause);
        }
    }

    fn read_answers(
        &mut self,
        conn: Ix<Conn>,
        window: &[u8],
        at: &mut usize,
        room: usize,
        on_remark: OnRemark<'_>,
    ) -> Result<(), Disconnect> {
        while self.conns.at(conn).is_open() {
            let read = self.conns.at_mut(conn).rx.read(window, at, room);
            let Some(read) = read.map_err(Disconnect::Malformed)? else {
                return Ok(());
            };
            match read {
                Read::Response { correlation_id } => self.begin_answer(conn, correlation_id)?,
                Read::ApiVersions(item) => self.read_versions(conn, item),
                Read::Metadata(item) => self.read_metadata(conn, item),
                Read::InitProducerId(item) => {
                    self.throttle(conn, item.throttle_ms);
                    let told = (item.error, item.producer_id, item.producer_epoch);
                    self.handle_producer_id(conn, told)?;
                }
                Read::Produce(item) => self.read_produce(conn, item, on_remark),
                Read::DescribeProducers(item) => self.read_producers(conn, item),
                #[cfg(feature = "_sasl")]
                Read::Sasl(item) => self.read_sasl(conn, item)?,
                Read::Complete => self.complete_answer(conn)?,
            }
        }
        Ok(())
    }

    /// A broker answers in the order in which it was asked (semantics §3.7).
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn begin_answer(&mut self, conn: Ix<Conn>, correlation_id: i32) -> Result<(), Disconnect> {
        let slot = self.conns.at_mut(conn);
        let expected = slot.requests.front().filter(|request| request.complete);
        let request = expected.filter(|request| request.correlation_id == correlation_id).ok_or(
            Disconnect::Unexpected {
                expected: expected.map(|request| request.correlation_id),
                found: correlation_id,
            },
        )?;
        if slot.rx.frame() > longest_answer(request.api) {
            return Err(Disconnect::Malformed(DecodeError::FrameLength(slot.rx.frame())));
        }
        slot.rx.begin(request.api, request.version);
        slot.place = Place::EMPTY;
        Ok(())
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn complete_answer(&mut self, conn: Ix<Conn>) -> Result<(), Disconnect> {
        let place = self.conns.at(conn).place;
        let Some(request) = self.conns.at_mut(conn).requests.pop_front() else {
            return Ok(());
        };
        match request.api {
            ApiKey::API_VERSIONS => self.finish_versions(conn, place, request.version)?,
            ApiKey::METADATA => self.finish_metadata(conn, place.error),
            ApiKey::DESCRIBE_PRODUCERS => self.finish_producers(conn)?,
            #[cfg(feature = "_sasl")]
            ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE => self.finish_step(conn)?,
            ApiKey::PRODUCE => {
                self.conns.at_mut(conn).served = true;
                self.finish_produce(request)?;
            }
            _ => {}
        }
        let slot = self.conns.at(conn);
        if slot.draining && slot.is_quiet() {
            self.drop_connection(conn, Disconnect::Replaced);
        } else {
            self.watch_idleness(conn);
            self.wake_conn(conn);
            self.seek_metadata();
        }
        if self.network.wants_slot() {
            self.make_room();
        }
        Ok(())
    }

    fn read_versions(&mut self, conn: Ix<Conn>, item: ApiVersionsItem) {
        match item {
            ApiVersionsItem::Error(error) => self.conns.at_mut(conn).place.error = error,
            ApiVersionsItem::Api(api) => self.read_api(conn, api),
            ApiVersionsItem::Throttle(ms) => self.throttle(conn, ms),
        }
    }

    fn read_api(&mut self, conn: Ix<Conn>, api: Api) {
        let slot = self.conns.at_mut(conn);
        if api.key == ApiKey::API_VERSIONS && slot.place.error == ErrorCode::UNSUPPORTED_VERSION {
            slot.api_versions = slot.api_versions.min(api.max).max(0);
        }
        let Kept::Offers(offers) = &mut slot.place.kept else {
            return;
        };
        for ((key, _), offered) in NEEDED.iter().zip(offers) {
            if *key == api.key {
                *offered = Offer::new(api.versions());
            }
        }
    }

    fn finish_versions(
        &mut self,
        conn: Ix<Conn>,
        place: Place,
        asked: i16,
    ) -> Result<(), Disconnect> {
        let slot = self.conns.at_mut(conn);
        if place.error == ErrorCode::UNSUPPORTED_VERSION {
            // Asked in a version that the broker does not know: its answer may have named one that
            // it does; version 0 every broker knows.
            if asked == 0 {
                let api = ApiKey::API_VERSIONS;
                return Err(Disconnect::UnsupportedVersion { api, theirs: None });
            }
            if slot.api_versions >= asked {
                slot.api_versions = 0;
            }
            return Ok(());
        }
        let Kept::Offers(offers) = &place.kept else {
            return Ok(());
        };
        let mut common = [-1; NEEDED.len()];
        for (((api, ours), offer), version) in NEEDED.iter().zip(offers).zip(&mut common) {
            let theirs = offer.range();
            match theirs.and_then(|theirs| negotiate(*ours, theirs)) {
                Some(highest) => *version = highest,
                None if *api == ApiKey::PRODUCE || *api == ApiKey::METADATA => {
                    return Err(Disconnect::UnsupportedVersion { api: *api, theirs });
                }
                None => {}
            }
        }
        #[cfg(not(feature = "_sasl"))]
        let [produce, metadata, init_producer_id, describe_producers] = common;
        #[cfg(feature = "_sasl")]
        let [produce, metadata, init_producer_id, describe_producers, sasl_authenticate] = common;
        slot.versions = Versions {
            produce,
            metadata,
            init_producer_id,
            describe_producers,
            #[cfg(feature = "_sasl")]
            sasl_authenticate,
        };
        #[cfg(feature = "_sasl")]
        return self.begin_session(conn);
        #[cfg(not(feature = "_sasl"))]
        {
            self.ready_connection(conn);
            Ok(())
        }
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn read_produce(
        &mut self,
        conn: Ix<Conn>,
        item: ProduceResponseItem<'_>,
        on_remark: OnRemark<'_>,
    ) {
        match item {
            ProduceResponseItem::Topic(topic) => self.read_topic(conn, &topic),
            ProduceResponseItem::Partition(part) => self.read_partition(conn, part),
            ProduceResponseItem::CurrentLeader(leader) => self.read_leader(conn, leader),
            ProduceResponseItem::NodeEndpoint(node) => self.read_endpoint(node),
            ProduceResponseItem::Throttle(ms) => self.throttle(conn, ms),
            ProduceResponseItem::RecordError { batch_index, message } if LISTENS => {
                self.read_record_error(conn, batch_index, message, on_remark);
            }
            ProduceResponseItem::ErrorMessage(message) if LISTENS => {
                self.read_error_message(conn, message, on_remark);
            }
            ProduceResponseItem::RecordError { .. } | ProduceResponseItem::ErrorMessage(_) => {}
        }
    }

    /// Finds the topic among those of the request, by the id or name that it was sent with.
    fn read_topic(&mut self, conn: Ix<Conn>, part: &produce::Topic<'_>) {
        let (mut found, mut incarnation) = (Ix::NONE, None);
        let mut next = self.front_request(conn).map_or(Ix::NONE, |request| request.batches);
        while let Some(index) = next.some() {
            let batch = self.batches.at(index);
            let topic = self.partitions.at(batch.partition).topic;
            let matches = match part.name {
                Some(name) => self.name_of_topic(topic) == name,
                None => {
                    incarnation = Some(batch.incarnation);
                    self.topics.at(topic).id_of(batch.incarnation) == part.id
                }
            };
            if matches {
                found = topic;
                break;
            }
            next = batch.next_in_request;
        }
        let place = &mut self.conns.at_mut(conn).place;
        place.topic = found;
        place.incarnation = incarnation.filter(|_| found.is_some());
        place.partition = Ix::NONE;
    }

    fn read_partition(&mut self, conn: Ix<Conn>, part: produce::Partition) {
        let place = self.conns.at(conn).place;
        self.conns.at_mut(conn).place.partition = Ix::NONE;
        let Some(index) = self.take_answered(conn, place, part.index) else {
            return;
        };
        let home = self.batches.at(index).partition;
        self.conns.at_mut(conn).place.partition = home;
        if !(LISTENS && self.put_aside(conn, index, &part)) {
            self.conclude(conn, index, part);
        }
    }

    /// Acts on the answer about a batch.
    pub(super) fn conclude(&mut self, conn: Ix<Conn>, index: Ix<Batch>, part: produce::Partition) {
        let home = self.batches.at(index).partition;
        self.land(index);
        let error = part.error;
        self.handle_answer(
            index,
            Answer {
                error,
                base_offset: part.base_offset,
                log_append_time: part.log_append_time_ms,
                log_start_offset: part.log_start_offset,
            },
        );
        if error == ErrorCode::UNKNOWN_TOPIC_ID {
            let incarnation = self.batches.at(index).incarnation;
            let topic = self.partitions.at(home).topic;
            self.topics.at_mut(topic).disown(incarnation);
        }
        let broker = self.conns.at(conn).broker;
        if error.is_none() {
            let slot = self.brokers.at_mut(broker);
            slot.failures = 0;
            slot.trouble = None;
            self.metadata.note_use(self.now);
        } else {
            let slot = self.brokers.at_mut(broker);
            slot.errors += 1;
            slot.trouble = Some(LastError::Answer(error));
            #[cfg(feature = "trace")]
            self.traces.count(error);
        }
        let done = self.batches.at(index).life == Life::Done;
        if !error.is_none() && !done {
            self.partitions.at_mut(home).fault = Some(LastError::Answer(error));
        }
        let acknowledged = error == ErrorCode::DUPLICATE_SEQUENCE_NUMBER && done;
        if !error.is_none() && !acknowledged {
            self.partitions.at_mut(home).proven = false;
            self.recall_successors(home);
        }
        // What is settled or split by the answer costs those that follow no time.
        let batch = self.batches.at(index);
        let passes = error.is_retriable() || batch.may_be_in_log();
        if !error.is_none() && batch.life == Life::Idle && passes && !is_about_sequences(error) {
            tell!(warn, "{}-{}: {}; trying again", self.topic_at(home), part.index, error);
            trace!(self, home, Retry(error));
            self.back_off(home);
        }
        let duplicate = error == ErrorCode::DUPLICATE_SEQUENCE_NUMBER && !acknowledged;
        if is_about_sequences(error) || duplicate {
            self.strike(index);
        }
        self.after_landing(index);
    }

    /// Takes the batch of a partition out of the request that is being answered.
    fn take_answered(&mut self, conn: Ix<Conn>, place: Place, number: i32) -> Option<Ix<Batch>> {
        place.topic.some()?;
        let (mut previous, mut next) = (Ix::NONE, self.front_request(conn)?.batches);
        while let Some(index) = next.some() {
            let batch = self.batches.at(index);
            next = batch.next_in_request;
            let home = self.partitions.at(batch.partition);
            let same_life = place.incarnation.is_none_or(|life| life == batch.incarnation);
            if home.topic == place.topic && home.number == number && same_life {
                match previous.some() {
                    Some(previous) => self.batches.at_mut(previous).next_in_request = next,
                    None => {
                        if let Some(request) = self.conns.at_mut(conn).requests.front_mut() {
                            request.batches = next;
                        }
                    }
                }
                return Some(index);
            }
            previous = index;
        }
        None
    }

    /// A broker that is not the leader says who is (KIP-951).
    fn read_leader(&mut self, conn: Ix<Conn>, hint: CurrentLeader) {
        let Some(home) = self.conns.at(conn).place.partition.some() else {
            return;
        };
        let partition = self.partitions.at(home);
        if hint.leader_id < 0 || hint.leader_epoch <= partition.leader_epoch {
            return;
        }
        // The leader of a topic that was deleted since is none of the one that has its name now.
        let present = self.topics.at(partition.topic).incarnation;
        if self.conns.at(conn).place.incarnation.is_some_and(|asked| asked != present) {
            return;
        }
        if let Some(broker) = self.broker_of_node(hint.leader_id) {
            seen!(self, LeaderHint);
            self.partitions.at_mut(home).leader_epoch = hint.leader_epoch;
            self.set_leader(home, broker);
        }
    }

    fn read_endpoint(&mut self, node: NodeEndpoint<'_>) {
        if let Some(broker) = self.broker_of_node(node.node_id) {
            self.set_address(broker, node.host, node.port);
        }
    }

    /// Whatever the answer left out has an unknown fate, and a broker that leaves out what it was
    /// asked cannot be trusted with the rest.
    fn finish_produce(&mut self, request: Request) -> Result<(), Disconnect> {
        let mut next = request.batches;
        while let Some(index) = next.some() {
            next = self.batches.at(index).next_in_request;
            self.land(index);
            seen!(self, LeftOut);
            self.note_attempt(index, Exposure::Ambiguous);
            let home = self.batches.at(index).partition;
            self.back_off(home);
            self.after_landing(index);
        }
        if request.batches.is_some() { Err(Disconnect::Incomplete) } else { Ok(()) }
    }

    /// Goes on with the partition of a batch that came back, and may be settled by now.
    pub(super) fn after_landing(&mut self, index: Ix<Batch>) {
        let home = self.batches.at(index).partition;
        self.abandon_told(index);
        self.leave_incarnation_if_landed(home);
        self.reconsider(home);
    }

    /// The broker wants to be left alone for a while (KIP-219): at most for `request.timeout.ms`,
    /// since it is only a number that somebody said.
    pub(super) fn throttle(&mut self, conn: Ix<Conn>, ms: i32) {
        let wait = Micros(u64::from(u32::try_from(ms).unwrap_or(0)) * 1_000);
        let wait = wait.min(self.settings.request_timeout);
        if wait > Micros(0) {
            let until = self.now.later(wait);
            trace!(
                self,
                Throttled {
                    node_id: self.node_of(self.conns.at(conn).broker),
                    by: until.since(self.now)
                }
            );
            // It does not read meanwhile, so that what it owes comes later. But whatever it says, what
            // it owes now has no more than its own time again.
            let last = self.request_deadline();
            let slot = self.conns.at_mut(conn);
            slot.throttled_until = slot.throttled_until.max(until);
            for request in &mut slot.requests {
                request.deadline = request.deadline.later(wait).min(last);
            }
            self.timers.conn = self.timers.conn.min(until);
            if self.metadata.prefer == conn {
                self.metadata.prefer = Ix::NONE;
            }
        }
    }

    fn front_request(&self, conn: Ix<Conn>) -> Option<&Request> {
        self.conns.at(conn).requests.front()
    }
}

/// Moves what is not read yet, from `at` on, to the front of a window: in pieces that do not overlap, since
/// on a small machine one call of `memmove` brings 1.6 KiB along.
fn close_up(window: &mut [u8], at: usize) {
    let mut to = 0;
    while let Some((front, rest)) = window.split_at_mut_checked(to + at) {
        let piece = rest.get(..at).unwrap_or(rest);
        if piece.is_empty() {
            return;
        }
        put(front.get_mut(to..).unwrap_or_default(), piece);
        to += at;
    }
}
