//! What the trace hears of connections, of requests on them, and of the cluster.

use ottla_core::{
    ConnId, Instant,
    wire::{ApiKey, frame::RequestHeader, record::BatchHeader},
};
use ottla_model::{AnswerFate, Happening, Judgement, NodeId};

use super::{Cable, Lane, Leg, Records, Request, Tone, Trace};
use crate::tap::Tap;

impl Trace {
    /// A connection is open.
    pub(crate) fn opened(&mut self, at: Instant, conn: ConnId, node: NodeId) {
        self.connections += 1;
        let number = self.connections;
        let cable = Cable { number, node, requests: [].into(), inbox: Vec::new(), deaf: false };
        self.cables.insert(conn, cable);
        let text = format!("connection {number} to broker {node} is open");
        self.tell(at, Lane::Network, Tone::Faint, text);
    }

    /// A connection is over on the client's side.
    pub(crate) fn closed(&mut self, at: Instant, conn: ConnId, why: &str) {
        let Some(cable) = self.cables.get_mut(&conn) else { return };
        let number = cable.number;
        let lost: Vec<Request> = cable.requests.drain(..).collect();
        let tone = if lost.is_empty() { Tone::Faint } else { Tone::Trouble };
        let text = format!("connection {number} to broker {} ends ({why})", cable.node);
        let event = self.event(at, Lane::Network, tone, text);
        for request in lost {
            let leg = Leg { conn: number, correlation_id: request.correlation_id, answer: true };
            event.loses.push(leg);
            event.records.extend(&request.records);
            let what = name(request.api);
            let id = request.correlation_id;
            event.text += &if request.written < request.bytes {
                let (out, all) = (request.written, request.bytes);
                format!("; of {what} #{id} only {out} of {all} bytes are out: nobody can act on it")
            } else {
                format!("; {what} #{id} has no answer")
            };
        }
    }

    /// The socket took the first `len` of these bytes.
    pub(crate) fn wrote(
        &mut self,
        at: Instant,
        conn: ConnId,
        offered: &[u8],
        len: usize,
        tap: &Tap,
    ) {
        let Some(cable) = self.cables.get_mut(&conn) else { return };
        let number = cable.number;
        let begins = cable.requests.back().is_none_or(|last| last.written == last.bytes);
        let mut what = String::new();
        if begins {
            let Ok((_, header)) = RequestHeader::read(offered.get(4..).unwrap_or_default()) else {
                return;
            };
            let id = header.correlation_id;
            let sent = tap.sent.iter().rev().take(64);
            let mut batches: Vec<_> =
                sent.filter(|sent| sent.conn == conn && sent.correlation_id == id).collect();
            batches.reverse();
            for sent in &batches {
                what += if what.is_empty() { ": " } else { "; " };
                what += &format!(
                    "{} as {}",
                    Records(&sent.ids),
                    chain(&sent.topic, sent.partition, &sent.header)
                );
            }
            cable.requests.push_back(Request {
                correlation_id: id,
                api: header.api_key,
                bytes: offered.len(),
                written: 0,
                records: batches.iter().flat_map(|sent| sent.ids.clone()).collect(),
            });
        }
        let Some(request) = cable.requests.back_mut() else { return };
        request.written += len;
        let (out, all, id) = (request.written, request.bytes, request.correlation_id);
        let (api, records) = (name(request.api), request.records.clone());
        let faint = request.api != ApiKey::PRODUCE;
        let tone = if faint { Tone::Faint } else { Tone::Plain };
        let whole = out == all;
        let text = match (begins, whole) {
            (true, true) => format!("{api} #{id} leaves on connection {number}{what}"),
            (true, false) => {
                format!(
                    "{api} #{id} begins to leave on connection {number}, {out} of {all} bytes{what}"
                )
            }
            (false, true) => format!("{api} #{id}: the last of its {all} bytes is out"),
            (false, false) => format!("{api} #{id}: {out} of {all} bytes are out"),
        };
        let lane = if begins || whole { Lane::Client } else { Lane::Network };
        let tone = if begins || whole { tone } else { Tone::Faint };
        let event = self.event(at, lane, tone, text);
        event.records = records;
        if whole {
            event.leaves.push(Leg { conn: number, correlation_id: id, answer: false });
        }
    }

    /// The client has read these bytes.
    pub(crate) fn read(&mut self, at: Instant, conn: ConnId, bytes: &[u8], tap: &Tap) {
        let Some(cable) = self.cables.get_mut(&conn) else { return };
        let (number, node) = (cable.number, cable.node);
        cable.inbox.extend_from_slice(bytes);
        let mut told = Vec::new();
        while !cable.deaf
            && let Some((size, id)) = head(&cable.inbox)
        {
            let expected = cable.requests.front().is_some_and(|front| front.correlation_id == id);
            if !expected || size < 4 {
                cable.deaf = true;
                told.push((
                    None,
                    format!("connection {number}: what comes is no answer to anything"),
                ));
                break;
            }
            let whole = usize::try_from(size).unwrap_or(0) + 4;
            if cable.inbox.len() < whole {
                break;
            }
            cable.inbox.drain(..whole);
            told.extend(cable.requests.pop_front().map(|request| (Some(request), String::new())));
        }
        for (request, text) in told {
            let Some(request) = request else {
                self.tell(at, Lane::Client, Tone::Trouble, text);
                continue;
            };
            let id = request.correlation_id;
            let about = tap.sent.iter().rev().take(256);
            let mut about: Vec<_> = about
                .filter(|sent| sent.conn == conn && sent.correlation_id == id)
                .map(|sent| {
                    let answer = sent.answer.map(|(_, error)| match error.0 {
                        0 => "acknowledged".to_owned(),
                        _ => error.to_string(),
                    });
                    let answer = answer.unwrap_or_else(|| "left out".to_owned());
                    format!("{}-{} {answer}", sent.topic, sent.partition)
                })
                .collect();
            about.reverse();
            let what =
                if about.is_empty() { String::new() } else { format!(": {}", about.join("; ")) };
            let faint = request.api != ApiKey::PRODUCE;
            let tone = if faint { Tone::Faint } else { Tone::Plain };
            let text = format!("{} #{id} is answered by broker {node}{what}", name(request.api));
            let event = self.event(at, Lane::Client, tone, text);
            event.records = request.records;
            event.arrives.push(Leg { conn: number, correlation_id: id, answer: true });
        }
    }

    /// Something happened in the cluster, on a connection or on none.
    pub fn happened(
        &mut self,
        at: Instant,
        conn: Option<ConnId>,
        happenings: Vec<Happening>,
        tap: &Tap,
    ) {
        for happening in happenings {
            self.happening(at, conn, &happening, tap);
        }
    }

    fn happening(&mut self, at: Instant, conn: Option<ConnId>, what: &Happening, tap: &Tap) {
        let number = conn.and_then(|conn| self.cables.get(&conn)).map_or(0, |cable| cable.number);
        let leg = |correlation_id, answer| Leg { conn: number, correlation_id, answer };
        match what {
            Happening::Asked { node, api, correlation_id: id } => {
                let faint = *api != ApiKey::PRODUCE;
                let tone = if faint { Tone::Faint } else { Tone::Plain };
                let text = format!("{} #{id} on connection {number}", name(*api));
                self.event(at, Lane::Broker(*node), tone, text).arrives.push(leg(*id, false));
            }
            Happening::Judged { node, topic, partition, header, judgement, told } => {
                let who = header.map(|header| chain(topic, *partition, &header));
                let who = who.unwrap_or_else(|| format!("{topic}-{partition}"));
                let what = match judgement {
                    Judgement::Appended { base_offset, new_epoch: true } => {
                        format!("appended at {base_offset}, the first of its epoch")
                    }
                    Judgement::Appended { base_offset, .. } => format!("appended at {base_offset}"),
                    Judgement::Duplicate { base_offset } => {
                        format!("a duplicate of what lies at {base_offset}")
                    }
                    Judgement::Refused(error) => format!("refused, {error}"),
                };
                let told = told.map(|error| format!(", but answered {error}")).unwrap_or_default();
                let ids = header.and_then(|header| ids(tap, topic, *partition, &header));
                let ids = ids.unwrap_or_default();
                let text = format!("{} ({who}): {what}{told}", Records(&ids));
                let tone = if told.is_empty() { Tone::Plain } else { Tone::Trouble };
                self.event(at, Lane::Broker(*node), tone, text).records = ids;
            }
            Happening::Answered { node, correlation_id: id, fate } => {
                let (tone, text) = match fate {
                    AnswerFate::Sent => (Tone::Faint, format!("#{id} is answered")),
                    AnswerFate::NotAsked => (Tone::Faint, format!("#{id} wants no answer")),
                    AnswerFate::Held(time) => {
                        (Tone::Trouble, format!("the answer to #{id} waits {time:?}"))
                    }
                    AnswerFate::Swallowed => {
                        let rest = "and all that would follow on the connection";
                        (Tone::Trouble, format!("the answer to #{id} is lost, {rest}"))
                    }
                    AnswerFate::Closed => {
                        (Tone::Trouble, format!("connection {number} is closed at #{id}"))
                    }
                    AnswerFate::Garbage => {
                        (Tone::Trouble, format!("#{id} is answered with garbage"))
                    }
                    AnswerFate::Wrong => (Tone::Trouble, format!("the answer to #{id} is wrong")),
                    AnswerFate::Frozen => (Tone::Trouble, format!("freezes over #{id}")),
                };
                let none = matches!(fate, AnswerFate::NotAsked | AnswerFate::Frozen);
                let event = self.event(at, Lane::Broker(*node), tone, text);
                if !none {
                    event.leaves.push(leg(*id, true));
                }
            }
            Happening::LeaderMoved { topic, partition, leader, epoch } => {
                let text = match leader {
                    Some(_) => {
                        format!("leads {topic}-{partition} from now on, leader epoch {epoch}")
                    }
                    None => format!("{topic}-{partition} has no leader, leader epoch {epoch}"),
                };
                let lane = leader.map_or(Lane::Network, Lane::Broker);
                self.tell(at, lane, Tone::Trouble, text);
            }
            Happening::Lags { node, topic, partition } => {
                let text = format!("its replica of {topic}-{partition} stops to follow");
                self.tell(at, Lane::Broker(*node), Tone::Trouble, text);
            }
            Happening::Frozen { node } => self.node(at, *node, "freezes"),
            Happening::Thawed { node } => self.node(at, *node, "thaws"),
            Happening::Stopped { node } => self.node(at, *node, "stops"),
            Happening::Started { node } => self.node(at, *node, "starts"),
            Happening::CaughtUp { topic, partition } => {
                self.cluster(at, format!("all replicas of {topic}-{partition} follow again"));
            }
            Happening::Lost { topic, partition, records } => {
                let text = format!("{topic}-{partition} loses its newest {records} records");
                self.cluster(at, text);
            }
            Happening::Forgot { topic, partition, .. } => {
                self.cluster(at, format!("{topic}-{partition}: the brokers forget producers"));
            }
            Happening::Described { node, topic, partition, .. } => {
                self.cluster(
                    at,
                    format!("broker {node} tells of the producers of {topic}-{partition}"),
                );
            }
            Happening::Deleted { topic, partition, before } => {
                self.cluster(
                    at,
                    format!("{topic}-{partition}: records before {before} are deleted"),
                );
            }
            Happening::TopicCreated { topic } => {
                self.cluster(at, format!("topic {topic} is made, with nothing in it"));
            }
            Happening::TopicDeleted { topic } => {
                self.cluster(at, format!("topic {topic} is deleted"));
            }
        }
    }

    fn node(&mut self, at: Instant, node: NodeId, what: &str) {
        self.tell(at, Lane::Broker(node), Tone::Trouble, what);
    }

    /// What concerns no single broker is told between them and the client.
    fn cluster(&mut self, at: Instant, text: String) {
        self.tell(at, Lane::Network, Tone::Trouble, text);
    }
}

/// A batch's place in its chain.
fn chain(topic: &str, partition: i32, header: &BatchHeader) -> String {
    let BatchHeader { producer_epoch: epoch, base_sequence: sequence, .. } = header;
    match header.producer_id {
        ..0 => format!("{topic}-{partition}"),
        _ => format!("{topic}-{partition} epoch {epoch} sequence {sequence}"),
    }
}

/// The numbers of the records of a batch that was sent.
fn ids(tap: &Tap, topic: &str, partition: i32, header: &BatchHeader) -> Option<Vec<u64>> {
    let found = tap.sent.iter().rev().find(|sent| {
        let head = &sent.header;
        sent.topic == topic
            && sent.partition == partition
            && head.crc == header.crc
            && head.producer_epoch == header.producer_epoch
            && head.base_sequence == header.base_sequence
    });
    found.map(|sent| sent.ids.clone())
}

/// The size and the correlation id of an answer.
fn head(bytes: &[u8]) -> Option<(i32, i32)> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*size), i32::from_be_bytes(*rest.first_chunk()?)))
}

fn name(api: ApiKey) -> &'static str {
    match api {
        ApiKey::PRODUCE => "Produce",
        ApiKey::METADATA => "Metadata",
        ApiKey::API_VERSIONS => "ApiVersions",
        ApiKey::INIT_PRODUCER_ID => "InitProducerId",
        ApiKey::DESCRIBE_PRODUCERS => "DescribeProducers",
        ApiKey::SASL_HANDSHAKE => "SaslHandshake",
        ApiKey::SASL_AUTHENTICATE => "SaslAuthenticate",
        _ => "a request",
    }
}
