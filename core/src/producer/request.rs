//! Makes requests: heads in the connection's own window, records lent from their pages.

use super::{Producer, window};
use crate::{
    Instant,
    batch::{Batch, Life},
    conn::{Conn, Request},
    partition_slot::{Listed, Partition, Question},
    slots::Ix,
    topic_slot::{Knowledge, Topic},
    wire::{
        ApiKey, Uuid, Wire, Writer,
        api_versions::ApiVersionsRequest,
        dialect, frame,
        init_producer_id::InitProducerIdRequest,
        metadata::{self, RequestTopic},
        produce::{self, PARTITION_FRAMING, REQUEST_FRAMING, TOPIC_FRAMING},
    },
};

/// What Kafka calls the software (KIP-511).
const SOFTWARE_NAME: &str = "ottla";
const SOFTWARE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The batches of a produce request, in order, those of a topic side by side.
struct Selection {
    first: Ix<Batch>,
    topics: u32,
    head: u32,
    records: u32,
    has_ids: bool,
}

impl Producer<'_> {
    /// Makes the next request of a connection, if there is one to make.
    pub(super) fn compose(&mut self, conn: Ix<Conn>) {
        let slot = self.conns.at(conn);
        if !slot.tx.is_nothing() || !slot.is_open() {
            return;
        }
        if slot.is_negotiating() {
            if slot.requests.is_empty() {
                self.ask_api_versions(conn);
            }
            return;
        }
        if slot.draining || slot.requests.is_full() {
            return;
        }
        if slot.throttled_until > self.now {
            self.timers.conn = self.timers.conn.min(slot.throttled_until);
            return;
        }
        #[cfg(feature = "_sasl")]
        if self.compose_authentication(conn) {
            return;
        }
        let slot = self.conns.at(conn);
        if self.wants_producer_id() && self.may_ask_for_producer_id(self.conns.at(conn)) {
            self.ask_producer_id(conn);
        } else if self.metadata.is_due(self.now)
            && (self.metadata.prefer == conn || self.metadata.prefer.is_none())
        {
            self.ask_metadata(conn);
        } else if self.brokers.at(slot.broker).doubtful.is_empty() || !self.ask_producers(conn) {
            self.send_batches(conn);
        }
    }

    fn ask_api_versions(&mut self, conn: Ix<Conn>) {
        let version = self.conns.at(conn).api_versions;
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME,
            client_software_version: SOFTWARE_VERSION,
        };
        self.begin_request(conn, ApiKey::API_VERSIONS, version, &|writer, _| {
            request.write(writer, dialect(ApiKey::API_VERSIONS, version));
        });
    }

    fn ask_producer_id(&mut self, conn: Ix<Conn>) {
        let version = self.conns.at(conn).versions.init_producer_id;
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
        };
        self.asked_for_producer_id();
        self.begin_request(conn, ApiKey::INIT_PRODUCER_ID, version, &|writer, _| {
            request.write(writer, dialect(ApiKey::INIT_PRODUCER_ID, version));
        });
    }

    /// Asks for as many topics as fit the head, those first that are not known yet.
    fn ask_metadata(&mut self, conn: Ix<Conn>) {
        let version = self.conns.at(conn).versions.metadata;
        let create = self.settings.allow_auto_create_topics;
        let mut room = window(&self.tx, self.conns.len())
            .saturating_sub(REQUEST_FRAMING + self.settings.client_id().len() as u32);
        let mut count = 0;
        for topic in self.topics.indices() {
            self.topics.at_mut(topic).asked = false;
        }
        let ready = |topic: &Topic| topic.knowledge == Knowledge::Ready;
        let (cursor, len) = (self.metadata.cursor, self.topics.len());
        for known in [false, true] {
            for number in (cursor..len).chain(0..cursor) {
                let slot = self.topics.at_mut(Ix::new(number));
                let size = u32::from(slot.name_len) + TOPIC_FRAMING;
                let registered = slot.knowledge != Knowledge::Free;
                if registered && ready(slot) == known && size <= room {
                    room -= size;
                    slot.asked = true;
                    count += 1;
                    self.metadata.cursor = if number + 1 < len { number + 1 } else { 0 };
                }
            }
        }
        self.metadata.asked = true;
        self.metadata.last = self.conns.at(conn).broker;
        for broker in self.brokers.indices() {
            self.brokers.at_mut(broker).seen = false;
        }
        self.begin_request(conn, ApiKey::METADATA, version, &|writer, this| {
            let dialect = dialect(ApiKey::METADATA, version);
            metadata::write_request(writer, dialect, Some(count));
            for (topic, slot) in this.topics.iter().filter(|(_, slot)| slot.asked) {
                let name = Some(this.topic_names.get(topic.number(), slot.name_len));
                let topic = RequestTopic { id: Uuid::ZERO, name };
                metadata::write_request_topic(writer, dialect, &topic);
            }
            metadata::write_request_end(writer, dialect, create);
        });
    }

    /// Makes a request that has no records.
    pub(super) fn begin_request(
        &mut self,
        conn: Ix<Conn>,
        api: ApiKey,
        version: i16,
        write: &dyn Fn(&mut Writer<'_>, &mut Self),
    ) {
        let correlation_id = self.next_correlation();
        self.with_head(conn, |this, head| {
            let mut writer = Writer::new(head);
            let size = frame::begin(&mut writer);
            let client_id = Some(this.settings.client_id());
            frame::write_request_header(&mut writer, api, version, correlation_id, client_id);
            write(&mut writer, this);
            frame::end(&mut writer, size, 0);
            let len = writer.len() as u32;
            this.push_request(conn, api, version, correlation_id, Ix::NONE, (len, len));
        });
    }

    /// Makes a produce request of what the broker's partitions have to send: one batch each.
    fn send_batches(&mut self, conn: Ix<Conn>) {
        let slot = self.conns.at(conn);
        let broker = slot.broker;
        let in_flight =
            slot.requests.iter().filter(|request| request.api == ApiKey::PRODUCE).count();
        if in_flight >= usize::from(self.settings.max_in_flight)
            || self.brokers.at(broker).ready.is_empty()
        {
            return;
        }
        let correlation_id = self.next_correlation();
        let Some(selection) = self.select(conn, correlation_id) else {
            return;
        };
        let newest = self.conns.at(conn).versions.produce;
        let version = if selection.has_ids { newest } else { newest.min(12) };
        self.with_head(conn, |this, head| {
            let len = this.write_produce(head, version, correlation_id, &selection);
            let lens = (len, len + selection.records);
            this.push_request(
                conn,
                ApiKey::PRODUCE,
                version,
                correlation_id,
                selection.first,
                lens,
            );
        });
        self.stats.requests += 1;
    }

    /// Chooses the batches of the next produce request and binds them to their sequences.
    fn select(&mut self, conn: Ix<Conn>, correlation_id: i32) -> Option<Selection> {
        let broker = self.conns.at(conn).broker;
        let room = window(&self.tx, self.conns.len());
        let mut selection = Selection {
            first: Ix::NONE,
            topics: 0,
            head: REQUEST_FRAMING + self.settings.client_id().len() as u32,
            records: 0,
            has_ids: true,
        };
        // A partition with more to send goes to the end of the list, for the next request.
        let last = self.brokers.at(broker).ready.tail();
        while let Some(home) = self.brokers.at(broker).ready.head().some() {
            let is_last = home == last;
            let chosen = self.candidate(home);
            let chosen = chosen.filter(|index| self.may_go(home, *index));
            #[cfg(feature = "zstd")]
            let (chosen, waits) = {
                let taken = chosen.filter(|index| self.may_take(conn, *index));
                (taken, taken != chosen)
            };
            let fits = chosen.is_none_or(|index| {
                let batch = self.batches.at(index);
                let name = u32::from(self.topics.at(self.partitions.at(home).topic).name_len);
                let head = selection.head + PARTITION_FRAMING + TOPIC_FRAMING + name;
                let total = head.saturating_add(selection.records).saturating_add(batch.body().len);
                selection.first.is_none()
                    || (head <= room && total <= self.settings.max_request_size)
            });
            if !fits {
                break;
            }
            self.list(home, Listed::Nowhere);
            if let Some(index) = chosen {
                self.include(index, conn, correlation_id, &mut selection);
                self.reconsider(home);
            }
            #[cfg(feature = "zstd")]
            if waits {
                self.reconsider(home);
            }
            if is_last {
                break;
            }
        }
        selection.first.some().map(|_| selection)
    }

    /// What is bound goes out as it is; anything else needs an open chain.
    fn may_go(&mut self, home: Ix<Partition>, index: Ix<Batch>) -> bool {
        self.batches.at(index).is_bound() || self.chain_is_open(home)
    }

    /// Puts a batch into a request.
    fn include(
        &mut self,
        index: Ix<Batch>,
        conn: Ix<Conn>,
        correlation_id: i32,
        selection: &mut Selection,
    ) {
        if !self.batches.at(index).is_bound() {
            self.prepare(index);
            self.bind(index);
        }
        let home = self.batches.at(index).partition;
        let partition = self.partitions.at_mut(home);
        let topic = partition.topic;
        let pipelined = partition.in_flight > 0;
        partition.in_flight += 1;
        self.queues.is_not_due(&mut self.batches, index);
        partition.conn = conn;
        // An answer is good for one attempt.
        partition.question = Question::Open;
        let slot = self.topics.at(topic);
        let incarnation = slot.incarnation;
        selection.has_ids &= slot.id() != Uuid::ZERO;
        let name = u32::from(slot.name_len);
        let batch = self.batches.at_mut(index);
        batch.life = Life::InFlight;
        batch.pipelined = pipelined;
        batch.incarnation = incarnation;
        batch.correlation_id = correlation_id;
        self.stats.retries += u64::from(batch.attempts > 0);
        batch.attempts = batch.attempts.saturating_add(1);
        selection.records += batch.body().len;
        selection.head += PARTITION_FRAMING;
        if self.link_by_topic(&mut selection.first, index) {
            selection.topics += 1;
            selection.head += TOPIC_FRAMING + name;
        }
    }

    /// Links a batch behind the last one of its topic; true where it is the first of its topic.
    fn link_by_topic(&mut self, first: &mut Ix<Batch>, index: Ix<Batch>) -> bool {
        let topic_of =
            |this: &Self, batch| this.partitions.at(this.batches.at(batch).partition).topic;
        let topic = topic_of(self, index);
        let (mut place, mut end, mut next) = (Ix::NONE, Ix::NONE, *first);
        while let Some(batch) = next.some() {
            if topic_of(self, batch) == topic {
                place = batch;
            }
            end = batch;
            next = self.batches.at(batch).next_in_request;
        }
        let after = place.some().or(end.some());
        match after {
            None => {
                self.batches.at_mut(index).next_in_request = Ix::NONE;
                *first = index;
            }
            Some(after) => {
                let slot = self.batches.at_mut(after);
                let next = core::mem::replace(&mut slot.next_in_request, index);
                self.batches.at_mut(index).next_in_request = next;
            }
        }
        place.is_none()
    }

    /// Writes a produce request's head and cuts it where the batches' records go.
    fn write_produce(
        &mut self,
        head: &mut [u8],
        version: i16,
        correlation_id: i32,
        selection: &Selection,
    ) -> u32 {
        let dialect = dialect(ApiKey::PRODUCE, version);
        let mut writer = Writer::new(head);
        let size = frame::begin(&mut writer);
        let client_id = Some(self.settings.client_id());
        let api = ApiKey::PRODUCE;
        frame::write_request_header(&mut writer, api, version, correlation_id, client_id);
        let (acks, timeout) = (self.settings.acks.code(), self.settings.broker_timeout_ms);
        produce::write_head(&mut writer, dialect, None, acks, timeout, selection.topics);
        let (mut next, mut topic) = (selection.first, Ix::NONE);
        while let Some(index) = next.some() {
            let home = self.partitions.at(self.batches.at(index).partition);
            if home.topic != topic {
                if topic.is_some() {
                    produce::write_topic_end(&mut writer, dialect);
                }
                topic = home.topic;
                let (name, id) = (self.name_of_topic(topic), self.topics.at(topic).id());
                let partitions = self.count_of_topic(index);
                produce::write_topic(&mut writer, dialect, name, id, partitions);
            }
            let batch = self.batches.at(index);
            produce::write_partition(&mut writer, dialect, home.number, batch.wire_len());
            batch.write_header(self.settings.checksum, &mut writer);
            let cut = writer.len() as u32;
            produce::write_partition_end(&mut writer, dialect);
            let batch = self.batches.at_mut(index);
            batch.cut = cut;
            next = batch.next_in_request;
        }
        produce::write_topic_end(&mut writer, dialect);
        produce::write_end(&mut writer, dialect);
        frame::end(&mut writer, size, selection.records as usize);
        let len = writer.len() as u32;
        debug_assert!(writer.finish().is_ok(), "the selection was measured");
        len
    }

    /// How many batches of the same topic follow one in its request, itself among them.
    fn count_of_topic(&self, first: Ix<Batch>) -> u32 {
        let topic_of = |batch| self.partitions.at(self.batches.at(batch).partition).topic;
        let topic = topic_of(first);
        let (mut count, mut next) = (0, first);
        while next.is_some() && topic_of(next) == topic {
            count += 1;
            next = self.batches.at(next).next_in_request;
        }
        count
    }

    /// One that no request bore for a long time, on whatever connection: an answer to another one
    /// may arrive where connections share a line.
    pub(super) fn next_correlation(&mut self) -> i32 {
        self.network.next_correlation_id()
    }

    pub(super) fn push_request(
        &mut self,
        conn: Ix<Conn>,
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        batches: Ix<Batch>,
        (head, total): (u32, u32),
    ) {
        let deadline = self.request_deadline();
        let slot = self.conns.at_mut(conn);
        let request = Request { correlation_id, api, version, batches, deadline, complete: false };
        let pushed = slot.requests.push_back(request);
        debug_assert!(pushed.is_ok(), "a full connection makes no request");
        slot.tx.head = head;
        slot.tx.total = total;
        slot.tx.sent = 0;
        self.timers.conn = self.timers.conn.min(deadline);
    }

    pub(super) fn request_deadline(&self) -> Instant {
        self.now.later(self.settings.request_timeout)
    }

    /// The head's window of a connection.
    #[cfg(feature = "_sasl")]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn head_of(&mut self, conn: Ix<Conn>) -> &mut [u8] {
        let len = window(&self.tx, self.conns.len()) as usize;
        let start = conn.number() as usize * len;
        self.tx.all_mut().get_mut(start..start + len).unwrap_or_default()
    }

    /// Lends the head's window of a connection to `write`, apart from everything else.
    pub(super) fn with_head(&mut self, conn: Ix<Conn>, write: impl FnOnce(&mut Self, &mut [u8])) {
        let len = window(&self.tx, self.conns.len()) as usize;
        let start = conn.number() as usize * len;
        let mut region = core::mem::take(&mut self.tx);
        write(self, region.all_mut().get_mut(start..start + len).unwrap_or_default());
        self.tx = region;
    }
}
