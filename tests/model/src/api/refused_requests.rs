//! What is answered to requests that come in the middle of a SASL exchange: as each one's
//! `getErrorResponse` has it.

use ottla_core::wire::{
    ApiKey, Count, ErrorCode, Uuid, Wire, Writer, api_versions, describe_producers,
    init_producer_id::InitProducerIdItem,
    metadata,
    produce::{self, Details, ProduceRequest, ProduceRequestItem},
    sasl_authenticate, sasl_handshake,
};

use super::{
    Handled, Request, Unanswered, describe_producers::asked_partitions, metadata::Asked, walk,
};
use crate::{Cluster, versions::FETCH};

const ERROR: ErrorCode = ErrorCode::ILLEGAL_SASL_STATE;

impl Cluster {
    /// Answers a request that is none of a SASL exchange; the connection ends with it, after the delay
    /// that there is to failures.
    pub(super) fn refuse_between(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Handled {
        let answered = match request.header.api_key {
            ApiKey::PRODUCE => refuse_produce(request, out),
            ApiKey::METADATA => refuse_metadata(request, out),
            ApiKey::DESCRIBE_PRODUCERS => refuse_describe_producers(request, out),
            // Nobody reads logs in the middle of that.
            FETCH => Err(Unanswered::Malformed),
            _ => {
                request.answer(out, |w| write_refusal(w, request));
                Ok(())
            }
        };
        answered.map_or(Handled::Close, |()| self.last_word())
    }

    /// The end of who failed, and of what there is to tell, after the time that it is kept back.
    pub(super) fn last_word(&self) -> Handled {
        let delay = self.accounts.as_ref().map(|accounts| accounts.failed_authentication_delay);
        Handled::Last { hold: delay.unwrap_or_default() }
    }
}

/// Answers that say nothing of a topic.
fn write_refusal(w: &mut Writer<'_>, request: &Request<'_>) {
    let d = request.dialect;
    match request.header.api_key {
        ApiKey::API_VERSIONS => {
            api_versions::write_response(w, d, ERROR, 0);
            api_versions::write_response_end(w, d, 0);
        }
        ApiKey::INIT_PRODUCER_ID => {
            let item = InitProducerIdItem {
                throttle_ms: 0,
                error: ERROR,
                producer_id: -1,
                producer_epoch: -1,
            };
            item.write(w, d);
        }
        ApiKey::SASL_HANDSHAKE => sasl_handshake::write_response(w, d, ERROR, [].into_iter()),
        _ => sasl_authenticate::write_response(w, d, ERROR, None, &[], 0),
    }
}

fn refuse_produce(request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Unanswered> {
    let d = request.dialect;
    let mut acks = -1;
    let mut topics: Vec<(produce::Topic<'_>, Vec<i32>)> = Vec::new();
    let mut step = ProduceRequest::new(d.version);
    walk(
        request.body,
        |input| step.step(input),
        |item| match item {
            ProduceRequestItem::Head(head) => acks = head.acks,
            ProduceRequestItem::Topic(topic) => topics.push((topic, Vec::new())),
            ProduceRequestItem::Partition { index, .. } => {
                if let Some((_, partitions)) = topics.last_mut() {
                    partitions.push(index);
                }
            }
        },
    )?;
    if acks == 0 {
        return Err(Unanswered::Failed);
    }
    let words = "Unexpected Kafka request of type PRODUCE during SASL authentication.";
    let details = Details { error_message: Some(words), ..Details::default() };
    request.answer(out, |w| {
        produce::write_response(w, d, count(topics.len()));
        for (topic, partitions) in &topics {
            produce::write_response_topic(w, d, topic);
            for &index in partitions {
                let partition = produce::Partition {
                    index,
                    error: ERROR,
                    base_offset: -1,
                    log_append_time_ms: -1,
                    log_start_offset: -1,
                };
                produce::write_response_partition(w, d, &partition, &details);
            }
            produce::write_response_topic_end(w, d);
        }
        produce::write_response_end(w, d, 0, &[]);
    });
    Ok(())
}

fn refuse_metadata(request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Unanswered> {
    let d = request.dialect;
    let asked = Asked::read(request)?.topics;
    request.answer(out, |w| {
        metadata::write_response(w, d, 0, 0);
        metadata::write_response_cluster(w, d, None, -1, count(asked.len()));
        for topic in &asked {
            let name = Some(topic.name.unwrap_or_default());
            let id = if d.version < 10 { Uuid::ZERO } else { topic.id };
            let head = metadata::Topic { error: ERROR, name, id, internal: false, partitions: 0 };
            metadata::write_response_topic(w, d, &head);
            metadata::write_response_topic_end(w, d);
        }
        metadata::write_response_end(w, d, ERROR);
    });
    Ok(())
}

fn refuse_describe_producers(request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Unanswered> {
    let d = request.dialect;
    let asked = asked_partitions(request)?;
    request.answer(out, |w| {
        describe_producers::write_response(w, d, 0, count(asked.len()));
        for (name, partitions) in &asked {
            let head = describe_producers::Topic { name, partitions: count(partitions.len()) };
            describe_producers::write_response_topic(w, d, &head);
            for &index in partitions {
                let partition = describe_producers::Partition { index, error: ERROR };
                describe_producers::write_response_partition(w, d, &partition, None, &[]);
            }
            describe_producers::write_response_topic_end(w, d);
        }
        describe_producers::write_response_end(w, d);
    });
    Ok(())
}

fn count(len: usize) -> Count {
    Count::try_from(len).unwrap_or(Count::MAX)
}
