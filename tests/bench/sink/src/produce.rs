//! Answers to requests to produce.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result, anyhow};
use ottla_core::wire::{
    ApiKey, Count, DecodeError, Dialect, ErrorCode, Step, Uuid, Writer, dialect,
    frame::{self, RequestHeader},
    produce::{self, Details, Partition, ProduceRequest, ProduceRequestItem, Topic},
};

/// Where a record batch says how many records it has, less one.
const LAST_OFFSET_DELTA: std::ops::Range<usize> = 23..27;

/// The offset that comes next on each partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    next: Mutex<HashMap<Key, Vec<i64>>>,
    pub(crate) received: Received,
}

/// A topic as a request calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Id(Uuid),
}

/// A topic of a request, and what is said of its partitions.
struct Told<'a> {
    topic: Topic<'a>,
    partitions: Vec<(i32, i64)>,
}

/// What was asked to be stored, by all requests of all connections.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) records: AtomicU64,
    /// Of whole requests.
    pub(crate) bytes: AtomicU64,
}

/// Appends the answer to a request.
pub(crate) fn answer(
    header: &RequestHeader<'_>,
    body: &[u8],
    offsets: &Offsets,
    output: &mut Vec<u8>,
) -> Result<()> {
    let d = dialect(ApiKey::PRODUCE, header.api_version);
    let (acks, told) = offsets.assign(body, header.api_version)?;
    if acks == 0 {
        return Ok(());
    }
    let write = |w: &mut Writer<'_>| {
        let size = frame::begin(w);
        frame::write_response_header(w, ApiKey::PRODUCE, header.api_version, header.correlation_id);
        write_body(w, d, &told);
        frame::end(w, size, 0);
    };
    let at = output.len();
    output.resize(at + Writer::measure(write), 0);
    write(&mut Writer::new(&mut output[at..]));
    Ok(())
}

fn write_body(w: &mut Writer<'_>, d: Dialect, told: &[Told<'_>]) {
    produce::write_response(w, d, told.len() as Count);
    for Told { topic, partitions } in told {
        produce::write_response_topic(w, d, topic);
        for &(index, base_offset) in partitions {
            let partition = Partition {
                index,
                error: ErrorCode::NONE,
                base_offset,
                log_append_time_ms: -1,
                log_start_offset: 0,
            };
            produce::write_response_partition(w, d, &partition, &Details::default());
        }
        produce::write_response_topic_end(w, d);
    }
    produce::write_response_end(w, d, 0, &[]);
}

impl Offsets {
    /// Reads a request, and gives each of its batches an offset. Returns its `acks` as well.
    fn assign<'a>(&self, mut body: &'a [u8], version: i16) -> Result<(i16, Vec<Told<'a>>)> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told: Vec<Told<'a>> = Vec::new();
        let mut acks = 0;
        let mut walk = ProduceRequest::new(version);
        loop {
            let step = walk.step(body).map_err(|error| anyhow!("no such request: {error:?}"))?;
            let used = match step {
                Step::Element { used, element } => {
                    match element {
                        ProduceRequestItem::Head(head) => acks = head.acks,
                        ProduceRequestItem::Topic(topic) => {
                            told.push(Told { topic, partitions: Vec::new() });
                        }
                        ProduceRequestItem::Partition { index, records } => {
                            let told = told.last_mut().context("a partition without a topic")?;
                            let count = count(records).context("a batch that is too short")?;
                            self.received
                                .records
                                .fetch_add(count.cast_unsigned(), Ordering::Relaxed);
                            let base = take(&mut next, &told.topic, index, count)?;
                            told.partitions.push((index, base));
                        }
                    }
                    used
                }
                Step::Skip { used, skip } => used + skip,
                Step::Wait => return Err(anyhow!("{:?}", DecodeError::Truncated)),
                Step::Done { .. } => return Ok((acks, told)),
            };
            body = body.get(used..).context("a request that is too short")?;
        }
    }
}

fn count(records: Option<&[u8]>) -> Option<i64> {
    let delta = records?.get(LAST_OFFSET_DELTA)?;
    Some(i64::from(i32::from_be_bytes(delta.try_into().ok()?)) + 1)
}

fn take(
    next: &mut HashMap<Key, Vec<i64>>,
    topic: &Topic<'_>,
    index: i32,
    count: i64,
) -> Result<i64> {
    let key = match topic.name {
        Some(name) => Key::Name(name.to_owned()),
        None => Key::Id(topic.id),
    };
    let index = usize::try_from(index)?;
    anyhow::ensure!(index < 100_000, "partition {index}");
    let offsets = next.entry(key).or_default();
    if offsets.len() <= index {
        offsets.resize(index + 1, 0);
    }
    let offset = offsets.get_mut(index).context("no place for it")?;
    let base = *offset;
    *offset += count;
    Ok(base)
}
