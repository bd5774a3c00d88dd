//! Requests and answers as the tap reads them off the cable.

use ottla_core::wire::{
    ApiKey, ErrorCode, Step, crc32c,
    frame::{RequestHeader, ResponseHead},
    produce::{ProduceRequest, ProduceRequestItem, ProduceResponse, ProduceResponseItem, Topic},
    record::{Batch, BatchHeader, Records},
};
use ottla_model::compression::Codec;

use super::chain::checksum;
use crate::ledger::number_of;

/// A batch in a request.
pub(super) struct Part<'a> {
    pub(super) topic: Topic<'a>,
    pub(super) partition: i32,
    pub(super) header: BatchHeader,
    /// All of its bytes.
    pub(super) bytes: &'a [u8],
    pub(super) records: Vec<Content>,
}

/// A record in a batch.
pub(super) struct Content {
    /// Its number, if it has one.
    pub(super) id: Option<u64>,
    /// What it says, wherever it stands: a checksum of that.
    pub(super) says: u64,
}

/// The header of a request and what follows it.
pub(super) fn request_header(frame: &[u8]) -> (RequestHeader<'_>, &[u8]) {
    let (body, header) = RequestHeader::read(&frame[4..]).expect("the core sends requests");
    (header, body)
}

/// The batches of a produce request.
pub(super) fn batches(body: &[u8], version: i16) -> Vec<Part<'_>> {
    let mut walk = ProduceRequest::new(version);
    let (mut rest, mut parts, mut last) = (body, Vec::new(), None);
    loop {
        match walk.step(rest).expect("the core sends produce requests") {
            Step::Element { used, element } => {
                rest = &rest[used..];
                match element {
                    ProduceRequestItem::Head(_) => {}
                    ProduceRequestItem::Topic(topic) => last = Some(topic),
                    ProduceRequestItem::Partition { index, records } => {
                        let topic = last.expect("a partition is of a topic");
                        parts.push(part(topic, index, records.unwrap_or_default()));
                        let zstd = parts.last().is_some_and(Part::is_zstd);
                        assert!(!zstd || version >= 7, "zstd in a request of version {version}");
                    }
                }
            }
            Step::Skip { used, skip } => rest = &rest[used + skip..],
            Step::Wait => panic!("the core sends whole requests"),
            Step::Done { .. } => return parts,
        }
    }
}

impl Part<'_> {
    fn is_zstd(&self) -> bool {
        Codec::of(self.header.attributes.compression()) == Some(Codec::Zstd)
    }
}

fn part<'a>(topic: Topic<'a>, partition: i32, bytes: &'a [u8]) -> Part<'a> {
    let (batch, rest) = Batch::split(bytes).expect("a record batch");
    assert!(rest.is_empty() && batch.is_intact(crc32c), "the checksum is of what is sent");
    let Batch { header, records: body, .. } = batch;
    let unpacked = match header.attributes.compression() {
        0 => None,
        number => {
            let codec = Codec::of(number).expect("a codec that Kafka has");
            let plain = codec.unpack(body).expect("what a codec has made");
            assert!(body.len() * 20 <= plain.len() * 19, "it was not worth it");
            Some(plain)
        }
    };
    let records: Vec<_> = Records::new(unpacked.as_deref().unwrap_or(body))
        .map(|record| {
            let record = record.expect("a record batch holds records");
            let timestamp = header.base_timestamp + record.head.timestamp_delta;
            let says = checksum((timestamp, record.key, record.value));
            Content { id: number_of(record.key, record.value), says }
        })
        .collect();
    assert_eq!(records.len(), header.records_count as usize, "{header:?}");
    Part { topic, partition, header, bytes, records }
}

/// What an answer says next.
pub(super) enum Heard {
    /// Nothing before more bytes come.
    Nothing,
    /// What became of a batch.
    Partition { topic: Option<String>, id: [u8; 16], partition: i32, error: ErrorCode },
    /// The answer is complete.
    End,
}

/// Answers as they arrive on a connection.
#[derive(Debug, Default)]
pub(super) struct Answers {
    bytes: Vec<u8>,
    /// The answer that is being read.
    reading: Option<Reading>,
    /// What came is no answer to anything: nothing is heard from here on.
    deaf: bool,
}

#[derive(Debug)]
struct Reading {
    /// Bytes of it that were not read yet.
    left: usize,
    /// `None` where its content is of no interest.
    walk: Option<ProduceResponse>,
    skip: usize,
    topic: (Option<String>, [u8; 16]),
}

impl Answers {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads on; `asked` is the oldest request that is not answered.
    pub(super) fn next(&mut self, asked: Option<(i32, ApiKey, i16)>) -> Heard {
        if self.deaf {
            return Heard::Nothing;
        }
        if self.reading.is_none() && !self.begin(asked) {
            return Heard::Nothing;
        }
        loop {
            let Some(reading) = &mut self.reading else { return Heard::Nothing };
            let at_hand = self.bytes.len().min(reading.left);
            let over = reading.skip.min(at_hand);
            let skips = if reading.walk.is_some() { over } else { at_hand };
            self.bytes.drain(..skips);
            reading.left -= skips;
            reading.skip -= over;
            if reading.left == 0 {
                self.reading = None;
                return Heard::End;
            }
            let at_hand = &self.bytes[..self.bytes.len().min(reading.left)];
            let Some(walk) = reading.walk.as_mut().filter(|_| reading.skip == 0) else {
                return Heard::Nothing;
            };
            let (used, heard) = match walk.step(at_hand) {
                Ok(Step::Element { used, element }) => match element {
                    ProduceResponseItem::Topic(topic) => {
                        reading.topic = (topic.name.map(str::to_owned), topic.id.0);
                        (used, None)
                    }
                    ProduceResponseItem::Partition(part) => {
                        let (topic, id) = reading.topic.clone();
                        let (partition, error) = (part.index, part.error);
                        (used, Some(Heard::Partition { topic, id, partition, error }))
                    }
                    ProduceResponseItem::RecordError { .. }
                    | ProduceResponseItem::ErrorMessage(_)
                    | ProduceResponseItem::CurrentLeader(_)
                    | ProduceResponseItem::NodeEndpoint(_)
                    | ProduceResponseItem::Throttle(_) => (used, None),
                },
                Ok(Step::Skip { used, skip }) => {
                    reading.skip = skip;
                    (used, None)
                }
                Ok(Step::Wait) if at_hand.len() < reading.left => return Heard::Nothing,
                Ok(Step::Done { used }) => {
                    reading.walk = None;
                    (used, None)
                }
                Ok(Step::Wait) | Err(_) => {
                    self.deaf = true;
                    return Heard::Nothing;
                }
            };
            self.bytes.drain(..used);
            reading.left -= used;
            if let Some(heard) = heard {
                return heard;
            }
        }
    }

    /// Begins an answer if its head is there.
    fn begin(&mut self, asked: Option<(i32, ApiKey, i16)>) -> bool {
        let Some(head) = self.bytes.get(..ResponseHead::LEN) else { return false };
        let head = ResponseHead::read(head).map(|(_, head)| head);
        let fits = |head: &ResponseHead| asked.is_some_and(|(id, ..)| id == head.correlation_id);
        let (Ok(head), Some((_, api, version))) = (head, asked) else {
            self.deaf = true;
            return false;
        };
        self.deaf = !fits(&head);
        self.bytes.drain(..ResponseHead::LEN);
        let walk = (api == ApiKey::PRODUCE).then(|| ProduceResponse::new(version));
        self.reading =
            Some(Reading { left: head.remaining(), walk, skip: 0, topic: (None, [0; 16]) });
        !self.deaf
    }
}
