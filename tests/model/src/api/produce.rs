//! PRODUCE (0).

use ottla_core::wire::{
    Count, ErrorCode, Uuid, Writer,
    produce::{
        self, CurrentLeader, Details, Head, NodeEndpoint, Partition, ProduceRequest,
        ProduceRequestItem, Topic,
    },
    record::Attributes,
};

use super::{Request, Unanswered, walk};
use crate::{
    Action, Cluster, Happening, Judgement, LeaderHints, Lie, NodeId, Planted,
    append::{Appended, Delivery, Refusal},
    fault::Met,
    record_batch,
};

/// A topic of the request, with the partitions that are asked for.
struct Asked<'a> {
    head: Topic<'a>,
    /// The topic's id and name, where the broker knows it.
    known: Option<(Uuid, String)>,
    partitions: Vec<(i32, Option<&'a [u8]>)>,
}

/// What is said of one partition.
struct Told {
    index: i32,
    error: ErrorCode,
    base_offset: i64,
    log_append_time_ms: i64,
    log_start_offset: i64,
    refusal: Option<Refusal>,
    leader: Option<CurrentLeader>,
    /// How often it is said.
    times: usize,
}

impl Cluster {
    pub(super) fn produce(
        &mut self,
        request: &Request<'_>,
        met: &mut Option<Met>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        // All of the request is read before any of it is done.
        let (head, mut topics) = self.read_produce(request)?;
        *met = if self.faults.is_empty() {
            None
        } else {
            let asked: Vec<_> = topics
                .iter()
                .flat_map(|topic| {
                    let name = topic.known.as_ref().map_or_else(
                        || topic.head.name.unwrap_or_default(),
                        |(_, name)| name.as_str(),
                    );
                    let partitions = topic.partitions.iter();
                    partitions.map(move |(index, _)| (name, Some(*index)))
                })
                .collect();
            match self.meet(request, &asked) {
                Ok(met) => met,
                Err(stop) => {
                    *met = Some(stop);
                    return Ok(());
                }
            }
        };
        if met.is_some() {
            let asked: Vec<(String, i32)> = topics
                .iter()
                .filter_map(|topic| topic.known.as_ref().map(|(_, name)| (name, &topic.partitions)))
                .flat_map(|(name, partitions)| {
                    partitions.iter().map(|(index, _)| (name.clone(), *index))
                })
                .collect();
            let asked: Vec<_> = asked.iter().map(|(name, index)| (name.as_str(), *index)).collect();
            self.lose(met.as_ref(), &asked);
        }
        let delivery = Delivery {
            node: request.node,
            acks: head.acks,
            version: request.version(),
            now: request.now,
        };
        let first =
            first_batches(&topics).and_then(|()| self.producer_ids(&topics, request.version()));
        let mut failed = false;
        let mut told: Vec<Vec<Told>> = Vec::with_capacity(topics.len());
        for topic in &topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for &(index, records) in &topic.partitions {
                let said = match first {
                    Ok(()) => self.produce_one(topic, index, records, delivery, met.as_ref()),
                    Err(error) => Told::of(index, Err(Refusal::new(error))),
                };
                failed |= !said.error.is_none();
                partitions.push(said);
            }
            told.push(partitions);
        }
        if met.as_ref().is_some_and(|met| met.action == Action::Stray) {
            stray(&mut topics, &mut told);
        }
        if head.acks == 0 {
            return if failed { Err(Unanswered::Failed) } else { Ok(()) };
        }
        if request.version() >= 10 {
            self.hint(&topics, &mut told);
        }
        request.answer(out, |w| self.write_produce(w, request, &topics, &told));
        Ok(())
    }

    /// Answers a produce request with a lie, and appends nothing.
    pub(super) fn lie_to_produce(
        &mut self,
        lie: &Lie,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let (head, topics) = self.read_produce(request)?;
        if head.acks == 0 {
            return Ok(());
        }
        let told: Vec<Vec<Told>> = topics
            .iter()
            .map(|topic| {
                let known = topic.known.as_ref().and_then(|(id, _)| self.topics.get(id));
                let leads = |index| {
                    let partition = known.and_then(|topic| topic.partition(index));
                    partition.is_some_and(|partition| partition.leader == Some(request.node))
                };
                let told = topic.partitions.iter();
                told.map(|(index, _)| Told::lie(lie, *index, leads(*index))).collect()
            })
            .collect();
        request.answer(out, |w| self.write_produce(w, request, &topics, &told));
        Ok(())
    }

    fn read_produce<'a>(
        &self,
        request: &Request<'a>,
    ) -> Result<(Head<'a>, Vec<Asked<'a>>), Unanswered> {
        let mut first = None;
        let mut topics: Vec<Asked<'a>> = Vec::new();
        let mut step = ProduceRequest::new(request.version());
        walk(
            request.body,
            |input| step.step(input),
            |item| match item {
                ProduceRequestItem::Head(head) => first = Some(head),
                ProduceRequestItem::Topic(head) => {
                    topics.push(Asked { head, known: self.resolve(&head), partitions: Vec::new() })
                }
                ProduceRequestItem::Partition { index, records } => {
                    if let Some(topic) = topics.last_mut() {
                        topic.partitions.push((index, records));
                    }
                }
            },
        )?;
        let head = first.ok_or(Unanswered::Malformed)?;
        Ok((head, topics))
    }

    /// `ReplicaManager.handleProduceAppend` (Kafka 3.9 has it, 2.8 does not) asks every batch that came this
    /// far for its producer id. Where there are no such bytes the whole request ends in an
    /// exception that nobody expects.
    fn producer_ids(&self, topics: &[Asked<'_>], version: i16) -> Result<(), ErrorCode> {
        for topic in topics {
            let known = topic.known.as_ref().and_then(|(id, _)| self.topics.get(id));
            for &(index, records) in &topic.partitions {
                let there = known.and_then(|topic| topic.partition(index)).is_some();
                let batch = record_batch::only_batch(records.unwrap_or_default(), version);
                if there && batch.is_ok_and(record_batch::is_cut_short) {
                    return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
                }
            }
        }
        Ok(())
    }

    fn resolve(&self, head: &Topic<'_>) -> Option<(Uuid, String)> {
        let id = match head.name {
            Some(name) => self.topic_id(name)?,
            None => head.id,
        };
        Some((id, self.name_of(id)?.to_owned()))
    }

    fn produce_one(
        &mut self,
        topic: &Asked<'_>,
        index: i32,
        records: Option<&[u8]>,
        delivery: Delivery,
        met: Option<&Met>,
    ) -> Told {
        let Some((id, name)) = &topic.known else {
            let error = if topic.head.name.is_some() {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            } else {
                ErrorCode::UNKNOWN_TOPIC_ID
            };
            return Told::of(index, Err(Refusal::new(error)));
        };
        let action = met.filter(|met| met.is_about(name, index)).map(|met| &met.action);
        // Null records are no batch at all.
        let records = records.unwrap_or_default();
        if let Some(Action::Reject(error)) = action {
            let refusal = Err(self.ordered(name, index, *error));
            self.note_judged(delivery.node, (name, index), records, &refusal, None);
            return Told::of(index, refusal);
        }
        if let Some(Action::Blame(numbers)) = action {
            let refusal = Err(Refusal::blaming(numbers));
            self.note_judged(delivery.node, (name, index), records, &refusal, None);
            return Told::of(index, refusal);
        }
        let result = self.append(*id, index, records, delivery);
        let rewritten = match action {
            Some(Action::AppendThenError { error, .. }) if result.is_ok() => Some(*error),
            _ => None,
        };
        self.note_judged(delivery.node, (name, index), records, &result, rewritten);
        let mut told = Told::of(index, result);
        if self.config.planted == Some(Planted::WrongOffset) && told.error.is_none() {
            let header = record_batch::header(records);
            let last = header.map_or(0, |header| i64::from(header.last_offset_delta));
            told.base_offset = told.base_offset.saturating_add(last);
        }
        match action {
            Some(Action::AppendThenError { error, base_offset }) if told.error.is_none() => {
                told.error = *error;
                told.base_offset = base_offset.of(told.base_offset);
            }
            Some(Action::Omit) => told.times = 0,
            Some(Action::Twice) => told.times = 2,
            _ => {}
        }
        told
    }

    fn note_judged(
        &mut self,
        node: NodeId,
        (topic, partition): (&str, i32),
        records: &[u8],
        result: &Result<Appended, Refusal>,
        told: Option<ErrorCode>,
    ) {
        self.note(|| {
            let judgement = match result {
                Ok(Appended { base_offset, duplicate: true, .. }) => {
                    Judgement::Duplicate { base_offset: *base_offset }
                }
                Ok(Appended { base_offset, new_epoch, .. }) => {
                    Judgement::Appended { base_offset: *base_offset, new_epoch: *new_epoch }
                }
                Err(refusal) => Judgement::Refused(refusal.error),
            };
            let header = record_batch::header(records);
            let topic = topic.to_owned();
            Happening::Judged { node, topic, partition, header, judgement, told }
        });
    }

    /// A refusal that was ordered. With a sequence error Kafka tells where the log starts.
    fn ordered(&self, topic: &str, index: i32, error: ErrorCode) -> Refusal {
        let tells = error == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
            || error == ErrorCode::UNKNOWN_PRODUCER_ID;
        let log_start_offset = if tells { self.start_offset(topic, index) } else { -1 };
        Refusal { log_start_offset, ..Refusal::new(error) }
    }

    /// Tells who leads where this node does not (KIP-951).
    fn hint(&self, topics: &[Asked<'_>], told: &mut [Vec<Told>]) {
        if self.config.leader_hints == LeaderHints::None {
            return;
        }
        for (topic, told) in topics.iter().zip(told) {
            let Some((id, _)) = &topic.known else {
                continue;
            };
            for told in told {
                if told.error != ErrorCode::NOT_LEADER_OR_FOLLOWER {
                    continue;
                }
                let partition = self.topics.get(id).and_then(|t| t.partition(told.index));
                told.leader = partition.map(|partition| {
                    let (leader_id, leader_epoch) = partition.told_leader();
                    CurrentLeader { leader_id, leader_epoch }
                });
            }
        }
    }

    fn write_produce(
        &self,
        w: &mut Writer<'_>,
        request: &Request<'_>,
        topics: &[Asked<'_>],
        told: &[Vec<Told>],
    ) {
        let d = request.dialect;
        produce::write_response(w, d, count(topics.len()));
        for (topic, told) in topics.iter().zip(told) {
            let said = told.iter().map(|told| told.times).sum();
            let head = Topic { partitions: count(said), ..topic.head };
            produce::write_response_topic(w, d, &head);
            for told in told {
                for _ in 0..told.times {
                    told.write(w, request);
                }
            }
            produce::write_response_topic_end(w, d);
        }
        let mut endpoints: Vec<(NodeEndpoint<'_>, Option<&str>)> = Vec::new();
        if self.config.leader_hints == LeaderHints::WithEndpoints {
            for leader in told.iter().flatten().filter_map(|told| told.leader) {
                let Some(node) = self.nodes.get(&leader.leader_id) else {
                    continue;
                };
                let node_id = node.config.id;
                if endpoints.iter().all(|(known, _)| known.node_id != node_id) {
                    let endpoint =
                        NodeEndpoint { node_id, host: &node.config.host, port: node.config.port };
                    endpoints.push((endpoint, node.config.rack.as_deref()));
                }
            }
        }
        produce::write_response_end(w, d, request.throttle_ms(), &endpoints);
    }
}

impl Told {
    fn of(index: i32, result: Result<Appended, Refusal>) -> Self {
        let told = Self {
            index,
            error: ErrorCode::NONE,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            refusal: None,
            leader: None,
            times: 1,
        };
        match result {
            Ok(appended) => Self {
                base_offset: appended.base_offset,
                log_append_time_ms: appended.log_append_time_ms,
                log_start_offset: appended.log_start_offset,
                ..told
            },
            Err(refusal) => Self {
                error: refusal.error,
                log_start_offset: refusal.log_start_offset,
                refusal: Some(refusal),
                ..told
            },
        }
    }

    /// What a hostile node says of a partition that it leads, or does not.
    #[allow(clippy::wildcard_enum_match_arm, reason = "this is about a few of the lies")]
    fn lie(lie: &Lie, index: i32, leads: bool) -> Self {
        let denied = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let refused = |error| Self::of(index, Err(Refusal::new(error)));
        match lie {
            Lie::Refuse(error) => refused(*error),
            Lie::Acknowledge(offset) if leads => Self {
                error: ErrorCode::NONE,
                base_offset: *offset,
                refusal: None,
                ..refused(denied)
            },
            Lie::Hint(leader_id, leader_epoch) => {
                let leader = CurrentLeader { leader_id: *leader_id, leader_epoch: *leader_epoch };
                Self { leader: Some(leader), ..refused(denied) }
            }
            Lie::LeaveOut => Self { times: 0, ..refused(denied) },
            _ => refused(denied),
        }
    }

    fn write(&self, w: &mut Writer<'_>, request: &Request<'_>) {
        let partition = Partition {
            index: self.index,
            error: self.error,
            base_offset: self.base_offset,
            log_append_time_ms: self.log_append_time_ms,
            log_start_offset: self.log_start_offset,
        };
        let errors = self.refusal.iter().flat_map(|r| &r.record_errors);
        let errors: Vec<_> =
            errors.map(|error| (error.batch_index, Some(error.message.as_str()))).collect();
        let details = Details {
            record_errors: &errors,
            error_message: self.refusal.as_ref().and_then(|r| r.message.as_deref()),
            current_leader: self.leader,
        };
        produce::write_response_partition(w, request.dialect, &partition, &details);
    }
}

/// `RequestUtils.hasTransactionalRecords`: looks at the first batch of every partition before
/// anything else. One that is transactional, or that cannot even be told from the next, is the end
/// of the whole request.
fn first_batches(topics: &[Asked<'_>]) -> Result<(), ErrorCode> {
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    for records in partitions.filter_map(|(_, records)| *records) {
        record_batch::has_batch(records)?;
        if is_transactional(records) {
            return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        }
    }
    Ok(())
}

/// Puts a topic and a partition that were not asked about before those that were.
fn stray(topics: &mut Vec<Asked<'_>>, told: &mut Vec<Vec<Told>>) {
    const NOWHERE: i32 = 0x7fff_0000;
    let nothing = || Told::of(NOWHERE, Err(Refusal::new(ErrorCode::NOT_LEADER_OR_FOLLOWER)));
    for told in &mut *told {
        told.insert(0, nothing());
    }
    let by_name = topics.first().is_some_and(|topic| topic.head.name.is_some());
    let head = Topic { name: by_name.then_some("nowhere"), id: Uuid([0xff; 16]), partitions: 1 };
    topics.insert(0, Asked { head, known: None, partitions: Vec::new() });
    let mut here = nothing();
    here.index = 0;
    told.insert(0, vec![here]);
}

fn is_transactional(records: &[u8]) -> bool {
    let header = record_batch::header(records);
    header.is_some_and(|header| header.attributes.contains(Attributes::TRANSACTIONAL))
}

fn count(len: usize) -> Count {
    Count::try_from(len).unwrap_or(Count::MAX)
}
