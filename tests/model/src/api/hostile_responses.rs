//! Answers of hostile nodes.
#![allow(clippy::wildcard_enum_match_arm, reason = "each place is about a few of the lies")]

use core::time::Duration;

use ottla_core::wire::{
    ApiKey, Count, ErrorCode, Uuid, VersionRange, Wire, Writer,
    api_versions::{Api, write_response, write_response_api, write_response_end},
    init_producer_id::InitProducerIdItem,
    metadata::{self, Broker, Partition, Replicas, RequestTopic},
};

use super::{
    Handled, Request, Unanswered, metadata::Asked, sasl::tells_no_error, shift_correlation,
};
use crate::{
    Cluster, Lie, cluster::NodeState, sasl::Authentication, topic::Topic, versions::FETCH,
};

/// Ids from here on are of nodes that are none.
const NOBODY: i32 = 5_000;
/// A port on which nobody listens.
const NO_PORT: i32 = 1;

impl Cluster {
    /// Answers a request with a lie.
    pub(super) fn tell_lie(
        &mut self,
        lie: &Lie,
        request: &Request<'_>,
        authentication: &mut Authentication,
        out: &mut Vec<u8>,
    ) -> Handled {
        let before = out.len();
        let correlation_id = request.header.correlation_id;
        let result = match lie {
            Lie::Silence => return Handled::Silenced,
            Lie::HangUp | Lie::HangUpAfterVersions => return Handled::Close,
            Lie::Garbage(bytes) => {
                out.extend(bytes);
                Ok(())
            }
            Lie::FrameLength(len) => {
                out.extend(len.to_be_bytes());
                out.extend(correlation_id.to_be_bytes());
                Ok(())
            }
            Lie::WrongCorrelation => {
                let result = self.answer_truly(request, authentication, out);
                shift_correlation(out, before, 1);
                result
            }
            Lie::HalfAnAnswer => {
                let result = self.answer_truly(request, authentication, out);
                let half = out.len().saturating_sub(before) / 2;
                out.truncate(before.saturating_add(half));
                result
            }
            Lie::TwoAnswers => {
                let result = self.answer_truly(request, authentication, out);
                out.extend_from_within(before..);
                result
            }
            Lie::Throttle(ms) => {
                let throttle = Duration::from_millis(u64::try_from(*ms).unwrap_or(0));
                self.answer_truly(&Request { throttle, ..*request }, authentication, out)
            }
            Lie::Without(api) => {
                self.lie_about_versions(request, ErrorCode::NONE, Some(*api), out);
                Ok(())
            }
            Lie::NoVersions(error) => {
                self.lie_about_versions(request, *error, None, out);
                Ok(())
            }
            Lie::NoProducerId(error) => {
                lie_about_id(request, *error, (-1, -1), out);
                Ok(())
            }
            Lie::ProducerId(id, epoch) => {
                lie_about_id(request, ErrorCode::NONE, (*id, *epoch), out);
                Ok(())
            }
            Lie::Refuse(_) | Lie::Hint(..) | Lie::Acknowledge(_) | Lie::LeaveOut => {
                self.lie_to_produce(lie, request, out)
            }
            Lie::LeadsAll(_)
            | Lie::Epoch(_)
            | Lie::InventedLeaders(..)
            | Lie::InventedBrokers(_)
            | Lie::Addresses
            | Lie::Partitions(..)
            | Lie::SamePartition(_)
            | Lie::TopicIds
            | Lie::TopicError(_)
            | Lie::NoTopics
            | Lie::Rebootstrap => self.lie_about_cluster(lie, request, out),
            Lie::Sasl(lie) => {
                authentication.plan(lie.clone());
                self.answer_truly(request, authentication, out)
            }
        };
        match (result, authentication.ending.take()) {
            (Ok(()), None) => Handled::DONE,
            (Ok(()), Some(hold)) => Handled::Last { hold },
            (Err(_), _) => Handled::Close,
        }
    }

    fn answer_truly(
        &mut self,
        request: &Request<'_>,
        authentication: &mut Authentication,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let before = out.len();
        let result = match request.header.api_key {
            ApiKey::PRODUCE => self.produce(request, &mut None, out),
            ApiKey::METADATA => self.metadata(request, &mut None, out),
            ApiKey::INIT_PRODUCER_ID => self.init_producer_id(request, &mut None, out),
            ApiKey::API_VERSIONS => self.api_versions(request, &mut None, out),
            ApiKey::SASL_HANDSHAKE => self.sasl_handshake(request, authentication, &mut None, out),
            ApiKey::SASL_AUTHENTICATE => {
                self.sasl_authenticate(request, authentication, &mut None, out)
            }
            FETCH => self.fetch(request, out),
            _ => Err(Unanswered::Malformed),
        };
        if request.header.api_key == ApiKey::API_VERSIONS && tells_no_error(out.get(before..)) {
            authentication.versions_told();
        }
        result
    }

    fn lie_about_versions(
        &self,
        request: &Request<'_>,
        error: ErrorCode,
        without: Option<ApiKey>,
        out: &mut Vec<u8>,
    ) {
        let d = request.dialect;
        let versions = self.nodes.get(&request.node).map(|node| &node.config.versions);
        let ranges = versions.into_iter().flat_map(|versions| versions.ranges());
        let offered: Vec<_> =
            ranges.filter(|(key, _)| error.is_none() && Some(*key) != without).collect();
        request.answer(out, |w| {
            write_response(w, d, error, count(offered.len()));
            for (key, VersionRange { min, max }) in &offered {
                write_response_api(w, d, &Api { key: *key, min: *min, max: *max });
            }
            write_response_end(w, d, 0);
        });
    }

    fn lie_about_cluster(
        &self,
        lie: &Lie,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let mut asked = Asked::read(request)?.topics;
        if *lie == Lie::NoTopics || *lie == Lie::Rebootstrap {
            asked.clear();
        }
        request.answer(out, |w| self.write_lies(w, lie, request, &asked));
        Ok(())
    }

    fn write_lies(
        &self,
        w: &mut Writer<'_>,
        lie: &Lie,
        request: &Request<'_>,
        asked: &[RequestTopic<'_>],
    ) {
        let d = request.dialect;
        let invented = match lie {
            Lie::InventedLeaders(nodes, true) | Lie::InventedBrokers(nodes) => *nodes,
            _ => 0,
        };
        let up: Vec<_> = self.nodes.values().filter(|n| n.state != NodeState::Down).collect();
        let named = usize::try_from(invented).unwrap_or(0);
        metadata::write_response(w, d, 0, count(up.len().saturating_add(named)));
        for id in (0..invented).map(|node| NOBODY.saturating_add(node)) {
            let host = "127.0.0.1";
            metadata::write_response_broker(
                w,
                d,
                &Broker { node_id: id, host, port: NO_PORT },
                None,
            );
        }
        for node in up {
            let elsewhere = *lie == Lie::Addresses && node.config.id != request.node;
            let port = if elsewhere { NO_PORT } else { node.config.port };
            let broker = Broker { node_id: node.config.id, host: &node.config.host, port };
            metadata::write_response_broker(w, d, &broker, None);
        }
        let cluster_id = Some(self.config().cluster_id.as_str());
        metadata::write_response_cluster(w, d, cluster_id, request.node, count(asked.len()));
        for topic in asked {
            let id = topic.name.and_then(|name| self.topic_id(name)).unwrap_or(topic.id);
            self.write_topic(w, lie, request, topic.name.or_else(|| self.name_of(id)), id);
        }
        let rebootstrap = *lie == Lie::Rebootstrap;
        let error = if rebootstrap { ErrorCode::REBOOTSTRAP_REQUIRED } else { ErrorCode::NONE };
        metadata::write_response_end(w, d, error);
    }

    fn write_topic(
        &self,
        w: &mut Writer<'_>,
        lie: &Lie,
        request: &Request<'_>,
        name: Option<&str>,
        id: Uuid,
    ) {
        let d = request.dialect;
        let truth = self.topics.get(&id).map_or(&[][..], Topic::told);
        let (mut told, mut listed) = (truth.len(), truth.len());
        let mut error = ErrorCode::NONE;
        match lie {
            Lie::Partitions(of, some) => {
                told = usize::try_from(*of).unwrap_or(0);
                listed = usize::try_from(*some).unwrap_or(0);
            }
            Lie::SamePartition(of) => {
                told = usize::try_from(*of).unwrap_or(0);
                listed = told;
            }
            Lie::TopicError(code) => (error, told, listed) = (*code, 0, 0),
            _ => {}
        }
        let shown = if *lie == Lie::TopicIds { Uuid(id.0.map(|byte| !byte)) } else { id };
        let name = if d.version < 12 { Some(name.unwrap_or_default()) } else { name };
        let head =
            metadata::Topic { error, name, id: shown, internal: false, partitions: count(told) };
        metadata::write_response_topic(w, d, &head);
        // As many as are listed and no more: where that is not as many as were announced, what
        // follows is read as something else.
        for (index, at) in (0_i32..).zip(0..listed) {
            let same = matches!(lie, Lie::SamePartition(_));
            let (index, at) = if same { (0, 0) } else { (index, at) };
            let truth = truth.get(at).map(|partition| partition.told_leader());
            let (leader_id, leader_epoch) = truth.unwrap_or((request.node, 0));
            let (leader_id, leader_epoch) = match lie {
                Lie::LeadsAll(epoch) => (request.node, *epoch),
                Lie::Epoch(epoch) => (leader_id, *epoch),
                Lie::InventedLeaders(nodes, _) => {
                    (NOBODY.saturating_add(index.checked_rem(*nodes).unwrap_or(0)), i32::MAX)
                }
                _ => (leader_id, leader_epoch),
            };
            let error = ErrorCode::NONE;
            let partition = Partition { error, index, leader_id, leader_epoch };
            let there = [leader_id];
            let replicas = Replicas { all: &there, in_sync: &there, offline: &[] };
            metadata::write_response_partition(w, d, &partition, &replicas);
        }
        metadata::write_response_topic_end(w, d);
    }
}

fn lie_about_id(request: &Request<'_>, error: ErrorCode, id: (i64, i16), out: &mut Vec<u8>) {
    let (producer_id, producer_epoch) = id;
    let item = InitProducerIdItem { throttle_ms: 0, error, producer_id, producer_epoch };
    request.answer(out, |w| item.write(w, request.dialect));
}

fn count(len: usize) -> Count {
    Count::try_from(len).unwrap_or(Count::MAX)
}
