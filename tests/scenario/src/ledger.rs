//! What was produced and what was said of it, held against the log: the laws of design.md §3.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::{BatchId, BatchOutcome, Cause, Instant, Outcome, Ticket, Verdict};
use ottla_model::{Cluster, Duplicates, Gone, LoggedBatch};

use crate::unavoidable_duplicates::Excuses;

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

impl Said {
    /// What an outcome says of the record at a place of the batch.
    ///
    /// # Panics
    ///
    /// Where there is a fourth outcome.
    #[must_use]
    pub fn of(outcome: &Outcome, place: usize) -> Self {
        match outcome {
            Outcome::Delivered { base_offset, .. } => {
                Self::Delivered(base_offset.map(|base| base + place as i64))
            }
            Outcome::NotDelivered(cause) => Self::NotDelivered(*cause),
            Outcome::Unknown(cause) => Self::Unknown(*cause),
            other => panic!("outcome {other:?}"),
        }
    }
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
    /// It was said to be in the log once, if it is delivered.
    pub unique: bool,
    /// `None` where another client than the core makes the claims.
    ticket: Option<Ticket>,
}

/// All records' stories.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    batches: BTreeMap<BatchId, Vec<usize>>,
    /// Partitions of which nobody can judge what is said, since a hostile broker leads them.
    pub exempt: BTreeSet<i32>,
    /// So it is of all partitions.
    pub unjudged: bool,
    /// Which records a broker finds at fault; `None` where that is no property of theirs.
    pub at_fault: Option<fn(u64) -> bool>,
    /// Records that were taken out before they were sent.
    withdrawn: BTreeSet<usize>,
}

/// Which laws hold of what is said at last.
///
/// What a log lost by an unclean election, or by DeleteRecords, was in it when it was said to be:
/// that is never held against the producer, whose word is about what the brokers acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laws {
    /// No record was in a log twice.
    pub once: bool,
    /// What was delivered to a partition lies in the order in which it was produced, unless the
    /// partition lost records by an unclean election.
    pub order: bool,
    /// What was delivered without an offset is in the log. With an offset it always is.
    pub inferred: bool,
    /// What was not delivered is not in the log.
    pub denied: bool,
    /// What was delivered and told to be there once is there once.
    pub unique: bool,
}

impl Laws {
    /// All of them: for an idempotent producer and brokers that check sequences.
    pub const ALL: Self =
        Self { once: true, order: true, inferred: true, denied: true, unique: true };
    /// Without idempotence a retry may write a record twice, or behind later ones.
    pub const NOT_IDEMPOTENT: Self = Self { once: false, order: false, unique: false, ..Self::ALL };

    /// Which laws hold with this producer and these brokers.
    ///
    /// - A broker that answers a duplicate as an error of its own, or as one that is out of order,
    ///   keeps records from being written twice as Kafka does. All laws hold. With the latter,
    ///   more is `Unknown` for good.
    /// - One that appends a duplicate once more looks at no sequence, so that it also takes a batch
    ///   behind a gap: it gives away what idempotence rests on. A retry may write a record twice or
    ///   behind later ones; that a later batch was acknowledged proves nothing of an earlier one
    ///   (rule 2 of the evidence); and that nothing is appended behind a gap does not hold either,
    ///   so that a batch of which this is said may be in the log. What is left is what such a
    ///   broker says itself: a record that was delivered at an offset lies there. And no answer is
    ///   late.
    #[must_use]
    pub const fn of(idempotent: bool, duplicates: Duplicates) -> Self {
        match (idempotent, duplicates) {
            (false, _) => Self::NOT_IDEMPOTENT,
            (true, Duplicates::AppendedAgain) => {
                Self { once: false, order: false, inferred: false, denied: false, unique: false }
            }
            (
                true,
                Duplicates::Acknowledged | Duplicates::AnErrorOfItsOwn | Duplicates::OutOfOrder,
            ) => Self::ALL,
        }
    }
}

/// The partitions of which an unclean election, or the like, lost something.
///
/// Their order is not held against the producer. With its records a leader may lose what it knew of the
/// producer, and then it takes any sequence: what is sent again because it may be in the log overtakes
/// what was refused before it. A leader that knew would refuse it as well.
fn shaken<'t>(
    found: &BTreeMap<&'t str, BTreeMap<u64, Vec<Found>>>,
) -> BTreeSet<(&'t str, usize, i32)> {
    let all = found
        .iter()
        .flat_map(|(topic, records)| records.values().flatten().map(move |at| (*topic, at)));
    all.filter(|(_, at)| at.lost).map(|(topic, at)| (topic, at.life, at.partition)).collect()
}

/// Where a record lies, or lay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    /// In which of the topic's lives.
    life: usize,
    partition: i32,
    offset: i64,
    /// It was lost by an unclean election or the like.
    lost: bool,
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
            unique: true,
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
                // Withdrawn once is withdrawn for ever.
                assert!(!self.withdrawn.contains(&index), "record {id} was withdrawn");
                entry.first.get_or_insert((Said::Unknown(Cause::Cancelled), now));
            }
            Verdict::AlreadySettled => {}
            other @ (Verdict::Foreign | _) => panic!("verdict {other:?}"),
        }
    }

    /// A batch was settled.
    ///
    /// # Panics
    ///
    /// Where the event breaks a law by itself.
    pub fn settled(&mut self, now: Instant, settled: &BatchOutcome, cluster: &Cluster) {
        let kept = self.records_of(settled);
        assert_eq!(kept.len(), settled.records as usize, "records of {settled:?}");
        for (place, id) in kept.into_iter().enumerate() {
            let said = Said::of(&settled.outcome, place);
            let entry = &mut self.entries[id as usize];
            assert_eq!(
                settled.late,
                matches!(entry.last, Some(Said::Unknown(_))),
                "late, of record {}: {settled:?}",
                entry.id
            );
            entry.closed = settled.last;
            entry.unique = settled.unique;
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
        if let (Some(at_fault), Said::NotDelivered(cause)) = (self.at_fault, said) {
            let (blamed, spared) =
                (matches!(cause, Cause::AtFault(_)), matches!(cause, Cause::Neighbour(_)));
            assert!(!blamed || at_fault(id), "record {id} is not at fault");
            assert!(!spared || !at_fault(id), "record {id} is at fault itself");
        }
        if let Said::Delivered(Some(offset)) = said
            && !self.unjudged
            && !self.exempt.contains(&partition)
        {
            let batch = cluster.batch_at(&entry.topic, partition, offset);
            let mut here = batch.into_iter().flat_map(|batch| batch.records());
            let found = here.find(|record| record.offset == offset);
            let found = found.and_then(|record| number_of(record.key, record.value));
            if found != Some(id) && !once_lay(cluster, &entry.topic, partition, offset, id) {
                panic!("record {id} should lie at offset {offset}, where {found:?} lies");
            }
        }
    }

    /// The numbers of the records that are settled with these words, those taken out left out.
    pub fn records_of(&self, settled: &BatchOutcome) -> Vec<u64> {
        // A batch that was too large is settled in parts, and so is one of which records were at fault.
        self.numbers(settled.batch, settled.first, settled.records)
    }

    /// The numbers of some records of a batch, those taken out left out.
    #[must_use]
    pub fn numbers(&self, batch: BatchId, first: u32, records: u32) -> Vec<u64> {
        let indices = self.batches.get(&batch).into_iter().flatten();
        let kept = indices.filter(|index| !self.withdrawn.contains(index));
        let part = kept.skip(first as usize).take(records as usize);
        part.map(|index| *index as u64).collect()
    }

    /// Holds everything that was said against the log, at the end of a run.
    ///
    /// # Panics
    ///
    /// Where a law is broken.
    pub fn check(&self, cluster: &Cluster, idempotent: bool) {
        self.hold(cluster, if idempotent { Laws::ALL } else { Laws::NOT_IDEMPOTENT });
    }

    /// Holds everything that was said against the log, by some laws.
    ///
    /// # Panics
    ///
    /// Where a law is broken.
    pub fn hold(&self, cluster: &Cluster, laws: Laws) {
        self.hold_but(cluster, laws, &Excuses::default());
    }

    /// Holds everything that was said against the log, by some laws, but for what cannot be held
    /// against the producer.
    ///
    /// # Panics
    ///
    /// Where a law is broken.
    pub fn hold_but(&self, cluster: &Cluster, laws: Laws, excuses: &Excuses) {
        let topics: BTreeSet<&str> = self.entries.iter().map(|e| e.topic.as_str()).collect();
        let found: BTreeMap<&str, BTreeMap<u64, Vec<Found>>> =
            topics.into_iter().map(|topic| (topic, read(cluster, topic))).collect();
        let shaken = shaken(&found);
        // The newest place of each partition, and the record that lies there.
        let mut last: BTreeMap<(&str, usize, i32), (i64, u64)> = BTreeMap::new();
        let exempt = |entry: &&Entry| entry.partition.is_some_and(|at| self.exempt.contains(&at));
        for entry in self.entries.iter().filter(|entry| !exempt(entry)) {
            let id = entry.id;
            let found = found[entry.topic.as_str()].get(&id).map_or(&[][..], Vec::as_slice);
            let kept: Vec<&Found> = found.iter().filter(|found| !found.lost).collect();
            let places = || kept.iter().map(|at| (at.partition, at.offset)).collect::<Vec<_>>();
            let copies = 1 + excuses.copies.get(&id).copied().unwrap_or(0);
            assert!(
                !laws.once || kept.len() <= copies,
                "record {id} is in the log at {:?}",
                places()
            );
            let delivered = matches!(entry.last, Some(Said::Delivered(_)));
            assert!(
                !(laws.unique && delivered && entry.unique) || kept.len() <= copies,
                "record {id} was delivered once, and is at {:?}",
                places()
            );
            match entry.last {
                Some(Said::Delivered(offset)) if offset.is_some() || laws.inferred => {
                    assert!(!found.is_empty(), "record {id} was delivered and is not in the log");
                    let here = |at: &&Found| Some(at.partition) == entry.partition;
                    assert!(found.iter().all(|at| here(&at)), "partition of record {id}");
                    if let Some(offset) = offset {
                        let there = found.iter().any(|at| at.offset == offset);
                        assert!(there, "record {id} was delivered at {offset}: {:?}", places());
                    }
                    if laws.order
                        && let [at] = kept[..]
                    {
                        let key = (entry.topic.as_str(), at.life, at.partition);
                        if let Some((before, other)) = last.insert(key, (at.offset, id))
                            && !shaken.contains(&key)
                            && !excuses.forgot.contains(&(entry.topic.clone(), at.partition))
                        {
                            assert!(before < at.offset, "record {id} overtook record {other}");
                        }
                    }
                }
                Some(Said::NotDelivered(cause)) if laws.denied => {
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

/// Where the records of a topic lie and lay, in all of its lives.
fn read(cluster: &Cluster, topic: &str) -> BTreeMap<u64, Vec<Found>> {
    let mut places: BTreeMap<u64, Vec<Found>> = BTreeMap::new();
    let mut enter = |life, partition, lost, batch: LoggedBatch<'_>| {
        for record in batch.records() {
            if let Some(id) = number_of(record.key, record.value) {
                let found = Found { life, partition, offset: record.offset, lost };
                places.entry(id).or_default().push(found);
            }
        }
    };
    for (life, id) in cluster.lives(topic).enumerate() {
        for partition in 0..cluster.partitions_of(id) as i32 {
            for batch in cluster.batches_of(id, partition) {
                enter(life, partition, false, batch);
            }
            for (why, batch) in cluster.gone_of(id, partition) {
                enter(life, partition, why == Gone::Lost, batch);
            }
        }
    }
    places
}

/// Whether a record lay at an offset, in a log that was deleted or in a part that is gone.
fn once_lay(cluster: &Cluster, topic: &str, partition: i32, offset: i64, id: u64) -> bool {
    cluster.lives(topic).any(|life| {
        let gone = cluster.gone_of(life, partition).map(|(_, batch)| batch);
        let batches = cluster.batches_of(life, partition).chain(gone);
        let mut records = batches.flat_map(|batch| batch.records());
        records.any(|record| {
            record.offset == offset && number_of(record.key, record.value) == Some(id)
        })
    })
}

/// The number of a record: it is in its value, or in its key where that is null.
#[must_use]
pub fn number_of(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<u64> {
    if value.is_some() { number(value) } else { number(key) }
}

/// The number in a record's value.
#[must_use]
pub fn number(value: Option<&[u8]>) -> Option<u64> {
    value?.get(..8)?.try_into().ok().map(u64::from_be_bytes)
}
