//! What was produced and what was said of it, held against the log: the laws of design.md §3.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::{BatchId, Cause, Instant, Outcome, Settled, Ticket, Verdict};
use ottla_model::Cluster;

/// What was said of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// In the log once, at this offset if it is known.
    Delivered(Option<i64>),
    /// Not in the log, ever.
    NotDelivered(Cause),
    /// Cannot be known.
    Unknown(Cause),
}

/// A record's story.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The number in its value.
    pub id: u64,
    /// Its topic.
    pub topic: String,
    /// Its partition, as soon as it is known.
    pub partition: Option<i32>,
    /// The first answer, and when it came.
    pub first: Option<(Said, Instant)>,
    /// The last answer.
    pub last: Option<Said>,
    /// When it was produced.
    pub produced: Instant,
    ticket: Ticket,
}

/// All records' stories.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    batches: BTreeMap<BatchId, Vec<usize>>,
    /// Records that were taken out before they were sent.
    withdrawn: BTreeSet<usize>,
    /// What the brokers lost by an unclean election or the like is not held against the producer.
    pub forgive_loss: bool,
}

impl Ledger {
    /// A record was produced; returns its number.
    pub fn produced(&mut self, now: Instant, topic: &str, ticket: Ticket) -> u64 {
        let id = self.entries.len() as u64;
        self.batches.entry(ticket.batch()).or_default().push(self.entries.len());
        self.entries.push(Entry {
            id,
            topic: topic.to_owned(),
            partition: None,
            first: None,
            last: None,
            produced: now,
            ticket,
        });
        id
    }

    /// The number that the next record gets.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The ticket of a record.
    #[must_use]
    pub fn ticket(&self, id: u64) -> Ticket {
        self.entries[id as usize].ticket
    }

    /// A record's story.
    #[must_use]
    pub fn entry(&self, id: u64) -> &Entry {
        &self.entries[id as usize]
    }

    /// Every record's story.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// A record was cancelled.
    pub fn cancelled(&mut self, now: Instant, id: u64, verdict: Verdict) {
        let index = id as usize;
        let entry = &mut self.entries[index];
        match verdict {
            Verdict::NotDelivered => {
                let said = Said::NotDelivered(Cause::Cancelled);
                if self.withdrawn.insert(index) {
                    // Cancelled twice: what was unknown then may be known now.
                    assert!(
                        matches!(entry.first, None | Some((Said::Unknown(_), _))),
                        "record {id} was {:?} before it was withdrawn",
                        entry.first
                    );
                    entry.first.get_or_insert((said, now));
                    entry.last = Some(said);
                }
            }
            Verdict::Unknown => {
                entry.first.get_or_insert((Said::Unknown(Cause::Cancelled), now));
            }
            Verdict::Settled => {}
            other => panic!("verdict {other:?}"),
        }
    }

    /// A batch was settled.
    ///
    /// # Panics
    ///
    /// Where the event breaks a law by itself.
    pub fn settled(&mut self, now: Instant, settled: &Settled, cluster: &Cluster) {
        let indices = self.batches.get(&settled.batch).cloned().unwrap_or_default();
        let kept = indices.iter().copied().filter(|index| !self.withdrawn.contains(index));
        // A batch that was too large is settled in parts.
        let kept: Vec<usize> =
            kept.skip(settled.first as usize).take(settled.records as usize).collect();
        assert_eq!(kept.len(), settled.records as usize, "records of {settled:?}");
        for (place, index) in kept.into_iter().enumerate() {
            let entry = &mut self.entries[index];
            entry.partition = Some(settled.partition);
            let said = match settled.outcome {
                Outcome::Delivered { base_offset, .. } => {
                    Said::Delivered(base_offset.map(|base| base + place as i64))
                }
                Outcome::NotDelivered(cause) => Said::NotDelivered(cause),
                Outcome::Unknown(cause) => Said::Unknown(cause),
                other => panic!("outcome {other:?}"),
            };
            assert!(
                entry.last.is_none() || matches!(entry.last, Some(Said::Unknown(_))),
                "record {} was {:?} and then {said:?}",
                entry.id,
                entry.last
            );
            assert_eq!(
                settled.late,
                matches!(entry.last, Some(Said::Unknown(_))),
                "late, of record {}: {settled:?}",
                entry.id
            );
            entry.first.get_or_insert((said, now));
            entry.last = Some(said);
            if let Said::Delivered(Some(offset)) = said
                && !self.forgive_loss
            {
                let found = cluster
                    .log(&entry.topic, settled.partition)
                    .find(|record| record.offset == offset)
                    .and_then(|record| number(record.value));
                assert_eq!(found, Some(entry.id), "what lies at offset {offset} of {settled:?}");
            }
        }
    }

    /// Holds everything that was said against the log, at the end of a run.
    ///
    /// # Panics
    ///
    /// Where a law is broken.
    pub fn check(&self, cluster: &Cluster, idempotent: bool) {
        let mut places: BTreeMap<(String, u64), Vec<(i32, i64)>> = BTreeMap::new();
        for topic in cluster.topics() {
            for partition in 0..cluster.partitions(topic) as i32 {
                for record in cluster.log(topic, partition) {
                    let Some(id) = number(record.value) else { continue };
                    let place = (partition, record.offset);
                    places.entry((topic.to_owned(), id)).or_default().push(place);
                }
            }
        }
        let mut last: BTreeMap<(String, i32), (i64, u64)> = BTreeMap::new();
        for entry in &self.entries {
            let id = entry.id;
            let found = places.get(&(entry.topic.clone(), id)).map_or(&[][..], Vec::as_slice);
            if idempotent {
                assert!(found.len() <= 1, "record {id} is in the log at {found:?}");
            }
            match entry.last {
                Some(Said::Delivered(offset)) if !self.forgive_loss => {
                    let Some((partition, at)) = found.first() else {
                        panic!("record {id} was delivered and is not in the log");
                    };
                    assert_eq!(Some(*partition), entry.partition, "partition of record {id}");
                    if let Some(offset) = offset {
                        assert!(found.contains(&(*partition, offset)), "record {id} at {offset}");
                    }
                    if idempotent {
                        let key = (entry.topic.clone(), *partition);
                        if let Some((before, other)) = last.insert(key, (*at, id)) {
                            assert!(before < *at, "record {id} overtook record {other}");
                        }
                    }
                }
                Some(Said::NotDelivered(cause)) => {
                    assert!(
                        found.is_empty(),
                        "record {id} was not delivered ({cause}), and is at {found:?}"
                    );
                }
                _ => {}
            }
        }
    }
}

/// The number in a record's value.
#[must_use]
pub fn number(value: Option<&[u8]>) -> Option<u64> {
    value?.get(..8)?.try_into().ok().map(u64::from_be_bytes)
}
