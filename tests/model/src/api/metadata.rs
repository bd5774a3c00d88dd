//! METADATA (3).

use ottla_core::wire::{
    Count, ErrorCode, Uuid, Writer,
    metadata::{
        self, Broker, MetadataRequest, MetadataRequestItem, Partition, Replicas, RequestTopic,
    },
};

use super::{Request, Unanswered, walk};
use crate::{
    Action, AutoCreate, Cluster, NodeId,
    cluster::NodeState,
    fault::Met,
    topic::{self, Topic},
};

/// What is asked.
pub(super) struct Asked<'a> {
    pub(super) topics: Vec<RequestTopic<'a>>,
    /// About all topics that there are.
    all: bool,
    may_create: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn read(request: &Request<'a>) -> Result<Self, Unanswered> {
        let mut asked = Self { topics: Vec::new(), all: false, may_create: true };
        let mut step = MetadataRequest::new(request.dialect.version);
        walk(
            request.body,
            |input| step.step(input),
            |item| match item {
                MetadataRequestItem::Topics(count) => asked.all = count.is_none(),
                MetadataRequestItem::Topic(topic) => asked.topics.push(topic),
                MetadataRequestItem::End(end) => asked.may_create = end.allow_auto_topic_creation,
            },
        )?;
        Ok(asked)
    }
}

/// What is said of one topic.
struct Told<'a> {
    error: ErrorCode,
    name: Option<&'a str>,
    id: Uuid,
}

impl<'a> Told<'a> {
    const fn error(name: Option<&'a str>, id: Uuid, error: ErrorCode) -> Self {
        Self { error, name, id }
    }
}

impl Cluster {
    pub(super) fn metadata(
        &mut self,
        request: &Request<'_>,
        met: &mut Option<Met>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let d = request.dialect;
        let Asked { topics, all, may_create } = Asked::read(request)?;
        let by_id = topics.iter().any(|topic| topic.id != Uuid::ZERO);
        if d.version < 12 && (by_id || topics.iter().any(|topic| topic.name.is_none())) {
            // Kafka throws InvalidRequestException, and answers each topic with its code.
            return self.refuse_metadata(request, &topics, out);
        }
        let names: Vec<String> = topics
            .iter()
            .filter_map(|topic| topic.name.or_else(|| self.name_of(topic.id)))
            .map(str::to_owned)
            .collect();
        let asked: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        *met = match self.meet(request, &asked) {
            Ok(met) => met,
            Err(stop) => {
                *met = Some(stop);
                return Ok(());
            }
        };
        let mut told = Vec::new();
        if all {
            let ids: Vec<_> = self.topics.keys().copied().collect();
            told.extend(ids.iter().map(|id| Told::error(None, *id, ErrorCode::NONE)));
        }
        for topic in &topics {
            told.push(if by_id {
                self.tell_id(topic.id)
            } else if let Some(dated) = self.dated(request.node, topic.name) {
                Told::error(topic.name, dated.id, ErrorCode::NONE)
            } else {
                self.tell_name(topic.name.unwrap_or_default(), may_create)
            });
        }
        let mut top_level = ErrorCode::NONE;
        if let Some(met) = met
            && let Action::Reject(error) = met.action
        {
            if error == ErrorCode::REBOOTSTRAP_REQUIRED {
                top_level = error;
                told.clear();
            }
            for told in &mut told {
                let name = told.name.or_else(|| self.name_of(told.id));
                if met.is_about_topic(name.unwrap_or_default()) {
                    told.error = error;
                }
            }
        }
        request.answer(out, |w| {
            self.write_metadata(w, request, &told);
            metadata::write_response_end(w, d, top_level);
        });
        Ok(())
    }

    fn refuse_metadata(
        &self,
        request: &Request<'_>,
        topics: &[RequestTopic<'_>],
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        // A null name cannot be told before version 12.
        let told: Vec<_> = topics
            .iter()
            .map(|topic| {
                let name = Some(topic.name.unwrap_or_default());
                Told::error(name, topic.id, ErrorCode::INVALID_REQUEST)
            })
            .collect();
        request.answer(out, |w| {
            self.write_metadata(w, request, &told);
            metadata::write_response_end(w, request.dialect, ErrorCode::NONE);
        });
        Ok(())
    }

    pub(crate) fn name_of(&self, id: Uuid) -> Option<&str> {
        self.topics.get(&id).map(|topic| topic.name.as_str())
    }

    fn tell_id<'a>(&self, id: Uuid) -> Told<'a> {
        match self.topics.get(&id) {
            Some(topic) if topic.told_partitions != Some(0) => {
                Told::error(None, id, ErrorCode::NONE)
            }
            _ => Told::error(None, id, ErrorCode::UNKNOWN_TOPIC_ID),
        }
    }

    fn tell_name<'a>(&mut self, name: &'a str, may_create: bool) -> Told<'a> {
        let mut unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let mut found = self.topic_id(name);
        if !topic::is_valid_name(name) {
            unknown = ErrorCode::INVALID_TOPIC_EXCEPTION;
        } else if found.is_none() && may_create && self.config.auto_create != AutoCreate::Never {
            let made = self.create_topic(name, self.config.default_partitions);
            if self.config.auto_create == AutoCreate::AtOnce {
                found = made.ok();
            }
        }
        let hidden = |topic: &&Topic| topic.told_partitions != Some(0);
        match found.and_then(|id| self.topics.get(&id)).filter(hidden) {
            Some(topic) => Told::error(Some(name), topic.id, ErrorCode::NONE),
            None => Told::error(Some(name), Uuid::ZERO, unknown),
        }
    }

    fn write_metadata(&self, w: &mut Writer<'_>, request: &Request<'_>, told: &[Told<'_>]) {
        let d = request.dialect;
        let up = || {
            let nodes = self.nodes.values();
            nodes.filter(|node| node.state != NodeState::Down)
        };
        metadata::write_response(w, d, request.throttle_ms(), count(up().count()));
        for node in up() {
            let broker =
                Broker { node_id: node.config.id, host: &node.config.host, port: node.config.port };
            metadata::write_response_broker(w, d, &broker, node.config.rack.as_deref());
        }
        let controller = up().next().map_or(-1, |node| node.config.id);
        let cluster_id = Some(self.config.cluster_id.as_str());
        metadata::write_response_cluster(w, d, cluster_id, controller, count(told.len()));
        for told in told {
            let topic = self.dated(request.node, told.name).or_else(|| self.topics.get(&told.id));
            let topic = topic.filter(|_| told.error.is_none());
            let partitions = topic.map_or(&[][..], Topic::told);
            let name = told.name.or_else(|| self.name_of(told.id));
            let head = metadata::Topic {
                error: told.error,
                name: if d.version < 12 { Some(name.unwrap_or_default()) } else { name },
                id: told.id,
                internal: false,
                partitions: count(partitions.len()),
            };
            metadata::write_response_topic(w, d, &head);
            for (index, partition) in (0..).zip(partitions) {
                let (leader_id, leader_epoch) = partition.told_leader();
                self.write_partition(w, request, index, leader_id, leader_epoch);
            }
            metadata::write_response_topic_end(w, d);
        }
    }

    fn write_partition(
        &self,
        w: &mut Writer<'_>,
        request: &Request<'_>,
        index: i32,
        leader: NodeId,
        leader_epoch: i32,
    ) {
        let leaderless = leader == -1 || self.state(leader) == NodeState::Down;
        let partition = Partition {
            error: if leaderless { ErrorCode::LEADER_NOT_AVAILABLE } else { ErrorCode::NONE },
            index,
            leader_id: if leaderless { -1 } else { leader },
            leader_epoch,
        };
        let replicas = [leader];
        let there = if leader == -1 { &[][..] } else { &replicas };
        let replicas = Replicas {
            all: there,
            in_sync: if leaderless { &[] } else { there },
            offline: if leaderless { there } else { &[] },
        };
        metadata::write_response_partition(w, request.dialect, &partition, &replicas);
    }
}

fn count(len: usize) -> Count {
    Count::try_from(len).unwrap_or(Count::MAX)
}
