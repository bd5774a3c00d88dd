//! FETCH (1), so that who judges a broker can read its logs back. Versions 4 to 11: with names of topics, and not flexible.

use ottla_core::wire::{
    Count, Dialect, ErrorCode, Wire as _, Writer,
    reader::{self, Read},
};

use super::{Request, Unanswered};
use crate::{Cluster, NodeId};

/// A partition that is asked for.
struct Asked {
    index: i32,
    offset: i64,
    /// How many bytes are wanted of it; a first batch may be larger.
    most: usize,
}

/// What is said of it.
struct Told {
    index: i32,
    error: ErrorCode,
    end_offset: i64,
    start_offset: i64,
    records: Vec<u8>,
}

impl Cluster {
    /// `KafkaApis.handleFetchRequest`, but that it waits for nothing, whatever `max_wait_ms` and `min_bytes` say, and has
    /// no sessions.
    pub(super) fn fetch(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Unanswered> {
        let asked = asked(request.body, request.dialect).map_err(|_| Unanswered::Malformed)?.1;
        let told: Vec<(&str, Vec<Told>)> = asked
            .iter()
            .map(|(name, asked)| {
                let told = asked.iter().map(|asked| self.fetch_one(request.node, name, asked));
                (*name, told.collect())
            })
            .collect();
        request.answer(out, |w| {
            w.int32(request.throttle_ms());
            if request.version() >= 7 {
                ErrorCode::NONE.write(w, request.dialect);
                w.int32(0);
            }
            w.count(Some(count(told.len())), request.dialect);
            for (name, partitions) in &told {
                w.string(name, request.dialect);
                w.count(Some(count(partitions.len())), request.dialect);
                partitions.iter().for_each(|told| told.write(w, request.dialect));
            }
        });
        Ok(())
    }

    fn fetch_one(&self, node: NodeId, topic: &str, asked: &Asked) -> Told {
        let index = asked.index;
        let refused = |error| {
            let nothing = Vec::new();
            Told { index, error, end_offset: -1, start_offset: -1, records: nothing }
        };
        let Some((leader, _)) = self.leader(topic, index) else {
            let known = u32::try_from(index).is_ok_and(|index| index < self.partitions(topic));
            return refused(match known {
                true => ErrorCode::NOT_LEADER_OR_FOLLOWER,
                false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            });
        };
        if leader != node {
            return refused(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let (start_offset, end_offset) =
            (self.start_offset(topic, index), self.end_offset(topic, index));
        if asked.offset < start_offset || asked.offset > end_offset {
            return refused(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        let mut records = Vec::new();
        for batch in self.batches(topic, index) {
            let last = i64::from(batch.header.last_offset_delta);
            if batch.header.base_offset.saturating_add(last) < asked.offset {
                continue;
            }
            if !records.is_empty() && records.len().saturating_add(batch.bytes.len()) > asked.most {
                break;
            }
            records.extend(batch.bytes);
        }
        Told { index, error: ErrorCode::NONE, end_offset, start_offset, records }
    }
}

impl Told {
    fn write(&self, w: &mut Writer<'_>, d: Dialect) {
        w.int32(self.index);
        self.error.write(w, d);
        w.int64(self.end_offset);
        w.int64(self.end_offset);
        if d.version >= 5 {
            w.int64(self.start_offset);
        }
        // No transaction was aborted.
        w.count(None, d);
        if d.version >= 11 {
            w.int32(-1);
        }
        w.bytes_len(Some(self.records.len()), d);
        w.bytes(&self.records);
    }
}

fn asked(body: &[u8], d: Dialect) -> Read<'_, Vec<(&str, Vec<Asked>)>> {
    // Replica, longest wait, least bytes, most bytes, isolation level, and from version 7 on the session.
    let head = if d.version >= 7 { 25 } else { 17 };
    let (rest, _) = reader::bytes(body, head)?;
    let (mut rest, topics) = reader::count(rest, d)?;
    let mut asked = Vec::new();
    for _ in 0..topics {
        let (after, name) = reader::string(rest, d)?;
        let (after, count) = reader::count(after, d)?;
        rest = after;
        let mut partitions = Vec::new();
        for _ in 0..count {
            let (after, partition) = asked_partition(rest, d)?;
            rest = after;
            partitions.push(partition);
        }
        asked.push((name, partitions));
    }
    // What sessions forget and racks are of no interest.
    Ok((rest, asked))
}

fn asked_partition(input: &[u8], d: Dialect) -> Read<'_, Asked> {
    let (rest, index) = reader::int32(input)?;
    let (rest, _) = reader::bytes(rest, if d.version >= 9 { 4 } else { 0 })?;
    let (rest, offset) = reader::int64(rest)?;
    let (rest, _) = reader::bytes(rest, if d.version >= 5 { 8 } else { 0 })?;
    let (rest, most) = reader::int32(rest)?;
    Ok((rest, Asked { index, offset, most: usize::try_from(most).unwrap_or(0) }))
}

fn count(len: usize) -> Count {
    Count::try_from(len).unwrap_or(Count::MAX)
}
