//! DESCRIBE_PRODUCERS (61).

use ottla_core::wire::{
    Count, ErrorCode,
    describe_producers::{
        self, DescribeProducersRequest, DescribeProducersRequestItem, Partition, ProducerState,
        Topic,
    },
};

use super::{Request, Unanswered, walk};
use crate::{Action, Cluster, Describers, Happening, NodeId, fault::Met, topic};

/// What is said of one partition.
struct Told {
    head: Partition,
    message: Option<&'static str>,
    producers: Vec<ProducerState>,
    /// How often it is said.
    times: usize,
}

/// What is said of one topic.
struct ToldTopic<'a> {
    name: &'a str,
    partitions: Vec<Told>,
}

/// What is asked about: topics, and the indices of their partitions.
pub(super) fn asked_partitions<'a>(
    request: &Request<'a>,
) -> Result<Vec<(&'a str, Vec<i32>)>, Unanswered> {
    let mut asked: Vec<(&str, Vec<i32>)> = Vec::new();
    let mut step = DescribeProducersRequest::new(request.dialect.version);
    walk(
        request.body,
        |input| step.step(input),
        |item| match item {
            DescribeProducersRequestItem::Topic(topic) => asked.push((topic.name, Vec::new())),
            DescribeProducersRequestItem::Partition(index) => {
                if let Some((_, partitions)) = asked.last_mut() {
                    partitions.push(index);
                }
            }
        },
    )?;
    Ok(asked)
}

impl Cluster {
    /// `KafkaApis.handleDescribeProducersRequest`: the topic has a name that topics can have, it
    /// may be read, it exists; and then each partition by itself.
    pub(super) fn describe_producers(
        &mut self,
        request: &Request<'_>,
        met: &mut Option<Met>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let d = request.dialect;
        let asked = asked_partitions(request)?;
        let about: Vec<_> = asked
            .iter()
            .flat_map(|(name, indices)| indices.iter().map(move |index| (*name, Some(*index))))
            .collect();
        *met = match self.meet(request, &about) {
            Ok(met) => met,
            Err(stop) => {
                *met = Some(stop);
                return Ok(());
            }
        };
        let about: Vec<_> = asked
            .iter()
            .flat_map(|(name, indices)| indices.iter().map(move |index| (*name, *index)))
            .collect();
        self.lose(met.as_ref(), &about);
        let mut told: Vec<ToldTopic<'_>> = Vec::new();
        for (name, indices) in asked {
            let refused = self.refuses_to_describe(name);
            let partitions = indices.into_iter().map(|index| match refused {
                Some(error) => Told::error(index, error, error.name()),
                None => self.describe(request.node, name, index),
            });
            let mut partitions: Vec<Told> = partitions.collect();
            if let Some(met) = met.as_ref() {
                for said in &mut partitions {
                    if met.is_about(name, said.head.index) {
                        said.meet(&met.action);
                    }
                }
            }
            told.push(ToldTopic { name, partitions });
        }
        if met.as_ref().is_some_and(|met| met.action == Action::Stray) {
            let nothing = Told::error(0, ErrorCode::NONE, None);
            told.insert(0, ToldTopic { name: "nowhere", partitions: vec![nothing] });
        }
        let throttle = request.throttle_ms();
        request.answer(out, |w| {
            describe_producers::write_response(w, d, throttle, count(told.len()));
            for topic in &told {
                let said = topic.partitions.iter().map(|told| told.times).sum();
                let head = Topic { name: topic.name, partitions: count(said) };
                describe_producers::write_response_topic(w, d, &head);
                for told in &topic.partitions {
                    for _ in 0..told.times {
                        let Told { head, message, producers, .. } = told;
                        describe_producers::write_response_partition(
                            w, d, head, *message, producers,
                        );
                    }
                }
                describe_producers::write_response_topic_end(w, d);
            }
            describe_producers::write_response_end(w, d);
        });
        Ok(())
    }

    /// Why nothing is told of any partition of a topic.
    fn refuses_to_describe(&self, name: &str) -> Option<ErrorCode> {
        if !topic::is_valid_name(name) {
            return Some(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        if !self.may_read {
            return Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        let known = self.topic_id(name).is_some();
        (!known).then_some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    /// `Partition.activeProducerState`: who has a replica tells what its own log knows, and does
    /// not ask whether it leads.
    fn describe(&mut self, node: NodeId, name: &str, index: i32) -> Told {
        let topic = self.topic_id(name).and_then(|id| self.topics.get(&id));
        let Some(partition) = topic.and_then(|topic| topic.partition(index)) else {
            return Told::error(index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None);
        };
        let leads = partition.leader == Some(node);
        if !leads && self.config.describers == Describers::LeaderAlone {
            return Told::error(index, ErrorCode::NOT_LEADER_OR_FOLLOWER, None);
        }
        let log = &partition.log;
        let producers = match partition.lagging.get(&node).filter(|_| !leads) {
            Some(end) => log.producers_up_to(*end, self.missed_sweep()).active(),
            None => log.producers.active(),
        };
        let topic = name.to_owned();
        self.note(|| Happening::Described { node, topic, partition: index, leads });
        let head = Partition { index, error: ErrorCode::NONE };
        Told { head, message: None, producers, times: 1 }
    }
}

impl Told {
    const fn error(index: i32, error: ErrorCode, message: Option<&'static str>) -> Self {
        let head = Partition { index, error };
        Self { head, message, producers: Vec::new(), times: 1 }
    }

    /// A fault that is about the partition.
    fn meet(&mut self, action: &Action) {
        if let Action::Reject(error) = action {
            *self = Self::error(self.head.index, *error, None);
        } else if *action == Action::Omit {
            self.times = 0;
        } else if *action == Action::Twice {
            self.times = 2;
        }
    }
}

fn count(len: usize) -> Count {
    Count::try_from(len).unwrap_or(Count::MAX)
}
