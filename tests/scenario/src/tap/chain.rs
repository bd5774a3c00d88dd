//! Sequences and what they are bound to: the invariants themselves.

use std::collections::BTreeMap;

use ottla_core::{
    ConnId,
    wire::{ErrorCode, Evidence},
};
use ottla_model::NodeId;

use super::{Sent, wire::Part};
use crate::ledger::Ledger;

/// The most batches from the oldest that is not resolved to the newest that was sent (I4).
const WINDOW: usize = 5;
/// Sequences go round here.
const CIRCLE: u32 = 0x8000_0000;

/// Producer id and epoch.
type Era = (i64, i16);

/// A base sequence that was used, and what for.
#[derive(Debug)]
struct Bound {
    /// All of the batch.
    bytes: Vec<u8>,
    count: u32,
    /// Its records are compressed.
    packed: bool,
    /// Its records' numbers.
    ids: Vec<u64>,
    /// The era in which, and the first sequence.
    era: Era,
    base: i32,
    /// Attempts that left and are not over.
    open: u32,
    /// An attempt left as a whole and was not refused (I7: sticky).
    ambiguous: bool,
    /// The broker said that it has it.
    acked: bool,
}

impl Bound {
    /// Whether nothing is left to be found out about it.
    fn is_resolved(&self, ledger: &Ledger) -> bool {
        self.acked || (!self.ids.is_empty() && self.ids.iter().all(|id| ledger.is_closed(*id)))
    }
}

/// A partition as the tap knows it.
#[derive(Debug, Default)]
struct Chain {
    /// In the order in which they were first sent.
    bound: Vec<Bound>,
    /// Bounds before this one are resolved.
    resolved: usize,
    /// What each sequence was used for, as a checksum of the record.
    says: BTreeMap<(Era, i32), u64>,
    /// The era and the node of the last acknowledgement, if no error came since (I5).
    proven: Option<(Era, NodeId)>,
    /// Attempts that are not over.
    open: u32,
    /// The connection that they are on.
    conn: Option<ConnId>,
}

/// All partitions.
#[derive(Debug, Default)]
pub(super) struct Chains {
    chains: BTreeMap<(String, i32), Chain>,
    /// The partition and the newest place of each record.
    places: BTreeMap<u64, ((String, i32), usize)>,
}

impl Chains {
    /// A test moved the partition's chain: it begins anew for the tap.
    pub(super) fn forget(&mut self, topic: &str, partition: i32) {
        self.chains.remove(&(topic.to_owned(), partition));
        self.places.retain(|_, ((name, number), _)| name != topic || *number != partition);
    }

    fn chain(&mut self, sent: &Sent) -> &mut Chain {
        self.chains.entry((sent.topic.clone(), sent.partition)).or_default()
    }

    /// Whether more than one batch may be in flight to a node, as far as is known now.
    pub(super) fn is_proven(&self, topic: &str, part: &Part<'_>, node: NodeId) -> bool {
        let era = (part.header.producer_id, part.header.producer_epoch);
        let chain = self.chains.get(&(topic.to_owned(), part.partition));
        chain.is_some_and(|chain| chain.proven == Some((era, node)))
    }

    /// A batch begins to leave.
    pub(super) fn exposed(
        &mut self,
        trace: &[Sent],
        sent: &Sent,
        part: &Part<'_>,
        ledger: &Ledger,
        was_proven: bool,
    ) {
        let header = &part.header;
        if header.producer_id < 0 {
            // Not idempotent: there is nothing that it could break.
            return;
        }
        let era = (header.producer_id, header.producer_epoch);
        let story = || {
            let all = trace.iter().chain([sent]);
            let here = all.filter(|s| s.topic == sent.topic && s.partition == sent.partition);
            let lines: Vec<String> = here.map(line).collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        let key = (sent.topic.clone(), sent.partition);
        let chain = self.chains.entry(key.clone()).or_default();
        chain.check_one_leader(sent, story);
        if !was_proven {
            chain.check_serial(sent, era, story);
        }
        chain.check_content(part, era, story);
        let place = chain.place(sent, part, era, ledger, story);
        chain.check_window(place, era, ledger, story);
        chain.bound[place].open += 1;
        chain.open += 1;
        chain.conn = Some(sent.conn);
        for id in &sent.ids {
            // I2: a record that may be in the log is sent again as it was, and in no other way.
            if let Some((_, before)) = self.places.insert(*id, (key.clone(), place))
                && before != place
            {
                let free = chain.bound[before].open == 0 && !chain.is_possible(before);
                assert!(free, "I2: record {id} got a second identity\n{}", story());
            }
        }
    }

    /// The broker answered.
    pub(super) fn answered(&mut self, sent: &Sent, error: ErrorCode) {
        let chain = self.chain(sent);
        let era = (sent.header.producer_id, sent.header.producer_epoch);
        let Some(bound) = chain.land(sent) else { return };
        // A duplicate of what was never in doubt is one of somebody else's sequences. An acknowledgement in
        // an answer that was cut short puts it in doubt as well: its reader may not have come so far.
        let duplicate = error == ErrorCode::DUPLICATE_SEQUENCE_NUMBER;
        let known = bound.ambiguous || bound.acked;
        let has = error.evidence() == Evidence::Appended && (!duplicate || known);
        bound.acked |= has;
        bound.ambiguous |= error.evidence() == Evidence::Ambiguous;
        // A leader that refuses a batch for what it is, for good, knows as much of the sequences as
        // before; any other error may come from one that knows nothing.
        let of_sequences = [
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            ErrorCode::UNKNOWN_PRODUCER_ID,
            ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::INVALID_PRODUCER_ID_MAPPING,
        ];
        let refused = error.evidence() == Evidence::NotAppended && !error.is_retriable();
        if !refused || of_sequences.contains(&error) {
            chain.proven = has.then_some((era, sent.node));
        }
    }

    /// No answer will come.
    pub(super) fn lost(&mut self, sent: &Sent) {
        let complete = sent.complete;
        let chain = self.chain(sent);
        let Some(bound) = chain.land(sent) else { return };
        bound.ambiguous |= complete;
        chain.proven = None;
    }

    /// I7: a record of which an attempt is ambiguous is not said to be not delivered.
    pub(super) fn denied(&self, id: u64) {
        let Some((key, place)) = self.places.get(&id) else { return };
        let chain = &self.chains[key];
        let (bound, possible) = (&chain.bound[*place], chain.is_possible(*place));
        let what = (&key, bound.era, bound.base, bound.ambiguous, bound.acked);
        assert!(!possible, "I7: record {id} may be in the log, and is said not to be: {what:?}");
    }
}

impl Chain {
    /// Whether a batch that was sent may be in the log, or come there yet. What came before or after it
    /// proves nothing: a broker may forget a producer between any two requests.
    fn is_possible(&self, place: usize) -> bool {
        let bound = &self.bound[place];
        bound.acked || bound.ambiguous
    }

    fn land(&mut self, sent: &Sent) -> Option<&mut Bound> {
        let era = (sent.header.producer_id, sent.header.producer_epoch);
        let base = sent.header.base_sequence;
        let bound =
            self.bound.iter_mut().rev().find(|bound| bound.era == era && bound.base == base)?;
        bound.open -= 1;
        self.open -= 1;
        Some(bound)
    }

    /// I6: no batch goes to another connection while an answer is owed on one.
    fn check_one_leader(&self, sent: &Sent, story: impl Fn() -> String) {
        let alone = self.open == 0 || self.conn == Some(sent.conn);
        assert!(alone, "I6: in flight on two connections\n{}", story());
    }

    /// I5: one in flight until the first acknowledgement in this epoch by this leader, and after
    /// any error.
    fn check_serial(&self, sent: &Sent, era: Era, story: impl Fn() -> String) {
        let proven = self.open == 0 || self.proven == Some((era, sent.node));
        assert!(proven, "I5: {} in flight, and nothing is proven\n{}", self.open + 1, story());
    }

    /// I1: a sequence that left belongs to its record for ever.
    fn check_content(&mut self, part: &Part<'_>, era: Era, story: impl Fn() -> String) {
        for (offset, record) in part.records.iter().enumerate() {
            let sequence = advance(part.header.base_sequence, offset as u32);
            let before = *self.says.entry((era, sequence)).or_insert(record.says);
            assert_eq!(
                before,
                record.says,
                "I1: sequence {sequence} of {era:?} was bound\n{}",
                story()
            );
        }
    }

    /// Finds the batch among those that were sent, or puts it behind them.
    fn place(
        &mut self,
        sent: &Sent,
        part: &Part<'_>,
        era: Era,
        ledger: &Ledger,
        story: impl Fn() -> String,
    ) -> usize {
        let packed = part.header.attributes.compression() != 0;
        let (base, count) = (part.header.base_sequence, part.header.records_count as u32);
        let same_base = |bound: &Bound| bound.era == era && bound.base == base;
        let place = self.bound.iter().rposition(same_base);
        if let Some(place) = place {
            let bound = &self.bound[place];
            if bound.bytes == part.bytes {
                return place;
            }
            // A batch that certainly is not in the log may be split, or be plain where it was compressed.
            let other = count < bound.count || (count == bound.count && bound.packed && !packed);
            let free = other && !bound.ambiguous && bound.open == 0;
            assert!(free, "I2: a retry differs from what was sent\n{}", story());
        } else if let Some(last) = self.bound.last() {
            if last.era == era {
                self.check_next(base, era, story);
            } else {
                self.check_fence(era, base, ledger, story);
            }
        }
        let bytes = part.bytes.to_vec();
        let ids = sent.ids.clone();
        self.bound.push(Bound {
            bytes,
            count,
            packed,
            ids,
            era,
            base,
            open: 0,
            ambiguous: false,
            acked: false,
        });
        self.bound.len() - 1
    }

    /// A chain has no gaps: where one would be, a new epoch begins.
    fn check_next(&self, base: i32, era: Era, story: impl Fn() -> String) {
        let fits = self.bound.iter().rev().take_while(|bound| bound.era == era).any(|bound| {
            let end = advance(bound.base, bound.count);
            // The second half of a split batch begins within the first attempt at the whole.
            let within = (base as u32).wrapping_sub(bound.base as u32) % CIRCLE < bound.count;
            end == base || (within && !bound.ambiguous && bound.open == 0)
        });
        assert!(fits, "I1: a gap before sequence {base} of {era:?}\n{}", story());
    }

    /// I3: a new epoch begins when all that was sent in the old one is resolved.
    fn check_fence(&self, era: Era, base: i32, ledger: &Ledger, story: impl Fn() -> String) {
        for (place, old) in self.bound.iter().enumerate().skip(self.resolved) {
            let over = old.open == 0 && (!self.is_possible(place) || old.is_resolved(ledger));
            assert!(over, "I3: {era:?} begins before {:?} is resolved\n{}", old.ids, story());
        }
        assert!(self.bound.iter().all(|old| old.era != era), "an old epoch again\n{}", story());
        assert_eq!(base, 0, "a new epoch begins at 0\n{}", story());
    }

    /// I4: the broker knows the last five batches of a producer, so no more may be in doubt.
    fn check_window(
        &mut self,
        place: usize,
        era: Era,
        ledger: &Ledger,
        story: impl Fn() -> String,
    ) {
        // What comes before an acknowledged batch of the same epoch is in the log, too.
        let acked = self.bound[self.resolved..].iter().rposition(|bound| bound.acked);
        self.resolved += acked.map_or(0, |place| place + 1);
        while let Some(bound) = self.bound.get(self.resolved)
            && (bound.is_resolved(ledger) || bound.era != era)
        {
            self.resolved += 1;
        }
        if place < self.resolved {
            return;
        }
        // What was refused each time is not in the log, and counts again when it leaves again.
        let doubted = |bound: &&Bound| bound.open > 0 || bound.ambiguous || bound.acked;
        // Not in the order in which they were sent first, as the second half of a split batch is.
        let own = self.bound[place].base;
        let order = |bound: &Bound| {
            (bound.base as u32).wrapping_sub(own as u32).wrapping_add(CIRCLE / 2) % CIRCLE
        };
        let open = || self.bound[self.resolved..].iter().filter(doubted);
        let unresolved = open().filter(|bound| !bound.is_resolved(ledger)).map(order).min();
        let oldest = unresolved.unwrap_or(CIRCLE);
        let mut bases: Vec<i32> =
            open().filter(|bound| order(bound) >= oldest).map(|bound| bound.base).collect();
        bases.push(own);
        bases.sort_unstable();
        bases.dedup();
        assert!(bases.len() <= WINDOW, "I4: {} batches in doubt\n{}", bases.len(), story());
    }
}

/// The sequence `by` after `sequence`.
fn advance(sequence: i32, by: u32) -> i32 {
    ((sequence as u32).wrapping_add(by) % CIRCLE) as i32
}

/// FNV-1a over what a record says.
pub(super) fn checksum((timestamp, key, value): (i64, Option<&[u8]>, Option<&[u8]>)) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    take(&timestamp.to_be_bytes());
    for part in [key, value] {
        take(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        take(part.unwrap_or_default());
    }
    sum
}

/// An attempt, for people.
fn line(sent: &Sent) -> String {
    let end = match sent.answer {
        Some((at, error)) => format!("{error} at {} µs", at.as_micros()),
        None if sent.over => "lost".to_owned(),
        None => "no answer yet".to_owned(),
    };
    format!(
        "{} µs, node {}: pid {} epoch {} sequence {} records {:?}: {end}",
        sent.at.as_micros(),
        sent.node,
        sent.header.producer_id,
        sent.header.producer_epoch,
        sent.header.base_sequence,
        sent.ids,
    )
}
