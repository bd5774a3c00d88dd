//! What was produced and what was said of it, held against the log: the laws of design.md §3.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::{BatchId, Cause, Instant, Outcome, Settled, Ticket, Verdict, wire::Uuid};
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
    /// Nothing more will be said of it.
    pub closed: bool,
    /// `None` where another client than the core makes the claims.
    ticket: Option<Ticket>,
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
    /// Topics that were deleted, and whose logs count all the same.
    pub graves: Vec<(String, Uuid)>,
}

impl Ledger {
    /// A record was produced; returns its number.
    pub fn produced(&mut self, now: Instant, topic: &str, ticket: Ticket) -> u64 {
        self.batches.entry(ticket.batch()).or_default().push(self.entries.len());
        self.enter(now, topic, Some(ticket))
    }

    /// A client other than the core wants a record to be written; returns its number.
    pub fn wanted(&mut self, now: Instant, topic: &str) -> u64 {
        self.enter(now, topic, None)
    }

    fn enter(&mut self, now: Instant, topic: &str, ticket: Option<Ticket>) -> u64 {
        let id = self.entries.len() as u64;
        self.entries.push(Entry {
            id,
            topic: topic.to_owned(),
            partition: None,
            first: None,
            last: None,
            produced: now,
            closed: false,
            ticket,
        });
        id
    }

    /// Whether nothing more will be said of a record; false where there is none.
    #[must_use]
    pub fn is_closed(&self, id: u64) -> bool {
        self.entries.get(id as usize).is_some_and(|entry| entry.closed)
    }

    /// The number that the next record gets.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The ticket of a record.
    ///
    /// # Panics
    ///
    /// Where it is not the core's.
    #[must_use]
    pub fn ticket(&self, id: u64) -> Ticket {
        self.entries[id as usize].ticket.expect("a record of the core")
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
                    entry.closed = true;
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
        let kept = self.records_of(settled);
        assert_eq!(kept.len(), settled.records as usize, "records of {settled:?}");
        for (place, id) in kept.into_iter().enumerate() {
            let said = match settled.outcome {
                Outcome::Delivered { base_offset, .. } => {
                    Said::Delivered(base_offset.map(|base| base + place as i64))
                }
                Outcome::NotDelivered(cause) => Said::NotDelivered(cause),
                Outcome::Unknown(cause) => Said::Unknown(cause),
                other => panic!("outcome {other:?}"),
            };
            let entry = &mut self.entries[id as usize];
            assert_eq!(
                settled.late,
                matches!(entry.last, Some(Said::Unknown(_))),
                "late, of record {}: {settled:?}",
                entry.id
            );
            entry.closed = settled.last;
            self.claim(now, id, settled.partition, said, cluster);
        }
    }

    /// Something is said of a record.
    ///
    /// # Panics
    ///
    /// Where that breaks a law by itself.
    pub fn claim(&mut self, now: Instant, id: u64, partition: i32, said: Said, cluster: &Cluster) {
        let entry = &mut self.entries[id as usize];
        entry.partition = Some(partition);
        assert!(
            entry.last.is_none() || matches!(entry.last, Some(Said::Unknown(_))),
            "record {id} was {:?} and then {said:?}",
            entry.last
        );
        entry.first.get_or_insert((said, now));
        entry.last = Some(said);
        if let Said::Delivered(Some(offset)) = said
            && !self.forgive_loss
        {
            let batch = cluster.batch_at(&entry.topic, partition, offset);
            let mut here = batch.into_iter().flat_map(|batch| batch.records());
            let found = here.find(|record| record.offset == offset);
            let found = found.and_then(|record| number(record.value));
            assert_eq!(found, Some(id), "what lies at offset {offset}, where record {id} should");
        }
    }

    /// The numbers of the records that are settled with these words, those taken out left out.
    pub fn records_of(&self, settled: &Settled) -> Vec<u64> {
        let indices = self.batches.get(&settled.batch).into_iter().flatten();
        let kept = indices.filter(|index| !self.withdrawn.contains(index));
        // A batch that was too large is settled in parts.
        let part = kept.skip(settled.first as usize).take(settled.records as usize);
        part.map(|index| *index as u64).collect()
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
        for (topic, id) in &self.graves {
            for partition in 0..cluster.partitions(topic) as i32 {
                for record in cluster.log_of(*id, partition) {
                    let Some(id) = number(record.value) else { continue };
                    let place = (partition, record.offset);
                    places.entry((topic.clone(), id)).or_default().push(place);
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
                        // Offsets of a topic's different lives cannot be compared.
                        let one_life = self.graves.iter().all(|(topic, _)| *topic != entry.topic);
                        if let Some((before, other)) = last.insert(key, (*at, id))
                            && one_life
                        {
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
