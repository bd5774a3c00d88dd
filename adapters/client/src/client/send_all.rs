//! Sending many records in one call, with back-pressure.

use core::{borrow::Borrow, iter::Fuse, marker::PhantomData};
use std::{sync::Arc, vec};

use arrayvec::ArrayVec;
use ottla_core::Instant;

use crate::{
    client::{
        send::SendFuture,
        shards::{Shards, Topic, meet},
    },
    delivery::delivery_future::Receipt,
    engine::locked_core::Engine,
    error::{SendAllError, SendError},
    record::Record,
};

/// So many records are taken under one lock, at the most: some microseconds' worth, as others wait for it.
const MOST_RECORDS: usize = 128;
/// And one that brings them to so many bytes is the last.
const MOST_BYTES: usize = 16 * 1024;

/// Records that are under way together.
type Part<'a> = ArrayVec<Record<'a>, MOST_RECORDS>;

/// Many records of one topic on their way into the core.
///
/// It takes no more of `records` at a time than it gives to the core at once, with no lock held. What was taken has its
/// receipt in `receipts` at once, so that whatever becomes of this, what is there tells of all that was taken.
#[derive(Debug)]
pub struct SendAll<'a, I, R> {
    shards: &'a Shards,
    topic: &'a Topic,
    records: Fuse<I>,
    /// What was had of `records`, and not taken: it comes first.
    held: vec::IntoIter<Record<'a>>,
    receipts: &'a mut Vec<R>,
    taken: usize,
    /// From when on timeouts and `max.block.ms` count, once the first step was made.
    started: Option<Instant>,
    /// Whether who sends them can wait.
    waits: bool,
}

/// Records as they are given, be it by references. By its own type, and no closure's: so that whoever awaits many
/// records can be spawned, whatever made them.
#[derive(Clone, Debug)]
pub struct Copied<'r, I> {
    of: I,
    records: PhantomData<fn() -> Record<'r>>,
}

impl<'r, B: Borrow<Record<'r>>, I: Iterator<Item = B>> Iterator for Copied<'r, I> {
    type Item = Record<'r>;

    #[inline]
    fn next(&mut self) -> Option<Record<'r>> {
        self.of.next().map(|record| *record.borrow())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.of.size_hint()
    }
}

/// How far it is.
#[derive(Debug)]
pub enum Step<'a, R> {
    /// So many bytes, about, were taken; there may be more.
    Taken(usize),
    /// The next record was not taken at once. It is to be waited for, and what comes of it is told by
    /// [`SendAll::note`].
    Wait(SendFuture<'a, R>),
    /// All were taken: so many.
    Done(usize),
}

impl Shards {
    /// Starts to send many records.
    pub fn sending_all<'a, 'r: 'a, B: Borrow<Record<'r>>, I: Iterator<Item = B>, R: Receipt>(
        &'a self,
        topic: &'a Topic,
        records: impl IntoIterator<IntoIter = I, Item = B>,
        receipts: &'a mut Vec<R>,
    ) -> SendAll<'a, Copied<'r, I>, R> {
        SendAll {
            shards: self,
            topic,
            records: Copied { of: records.into_iter(), records: PhantomData }.fuse(),
            held: Vec::new().into_iter(),
            receipts,
            taken: 0,
            started: None,
            waits: true,
        }
    }

    /// Sends records as long as there is room for them now.
    ///
    /// # Errors
    ///
    /// As [`Shards::try_send`], of the first that is not taken.
    pub fn try_send_all<'r, B: Borrow<Record<'r>>, R: Receipt>(
        &self,
        topic: &Topic,
        records: impl IntoIterator<Item = B>,
        receipts: &mut Vec<R>,
    ) -> Result<usize, SendAllError> {
        let mut sending = SendAll { waits: false, ..self.sending_all(topic, records, receipts) };
        loop {
            match sending.step() {
                Step::Taken(_) => {}
                Step::Wait(one) => sending.note(one.give_up())?,
                Step::Done(taken) => return Ok(taken),
            }
        }
    }
}

/// Takes as many records as may be under way together.
#[inline]
fn fill<'a, 'r: 'a>(
    part: &mut Part<'a>,
    bytes: &mut usize,
    from: &mut impl Iterator<Item = Record<'r>>,
) {
    while !part.is_full() && *bytes < MOST_BYTES {
        let Some(record) = from.next() else {
            return;
        };
        *bytes = bytes.saturating_add(size(&record));
        part.push(record);
    }
}

/// Bytes that are copied for a record, but for its headers.
fn size(record: &Record<'_>) -> usize {
    let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    len(record.key).saturating_add(len(record.value))
}

impl<'a, 'r: 'a, I: Iterator<Item = Record<'r>>, R: Receipt> SendAll<'a, I, R> {
    /// How many were taken so far.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Has the next records taken, as many as are at once.
    pub fn step(&mut self) -> Step<'a, R> {
        let started = *self.started.get_or_insert_with(|| self.shards.clock().now());
        let (mut part, mut bytes) = (Part::new(), 0);
        if self.held.as_slice().is_empty() {
            fill(&mut part, &mut bytes, &mut self.records);
        } else {
            fill(&mut part, &mut bytes, &mut self.held);
        }
        if part.is_empty() {
            return Step::Done(self.taken);
        }
        let taken = self.take(&mut part, started);
        self.taken += taken;
        if taken == part.len() { Step::Taken(bytes) } else { self.hold(&part, taken, started) }
    }

    /// Keeps what was not taken, but for the first, which is sent by itself.
    #[cold]
    fn hold(&mut self, part: &[Record<'a>], taken: usize, started: Instant) -> Step<'a, R> {
        let mut left = part.iter().skip(taken).copied();
        let Some(first) = left.next() else {
            return Step::Taken(0);
        };
        let held: Vec<_> = left.chain(self.held.as_slice().iter().copied()).collect();
        self.held = held.into_iter();
        Step::Wait(self.shards.sending_since(self.topic, &first, started))
    }

    /// Takes note of what came of a record that was waited for.
    ///
    /// # Errors
    ///
    /// Where it was not taken: then this is over.
    pub fn note(&mut self, sent: Result<R, SendError>) -> Result<(), SendAllError> {
        let receipt = sent.map_err(|error| SendAllError { taken: self.taken, error })?;
        self.receipts.push(receipt);
        self.taken += 1;
        Ok(())
    }

    /// Gives records to the engines that they are for, until one is not taken. Returns how many were.
    fn take(&mut self, part: &mut [Record<'a>], started: Instant) -> usize {
        let Self { shards, topic, receipts, waits, .. } = self;
        let mut part = part;
        if !shards.first().reports()
            && let Some(end) = part.iter().position(|record| record.token.is_some())
        {
            part = part.split_at_mut(end).0;
        }
        if !shards.owns(topic) {
            return 0;
        }
        if let Some(only) = shards.only() {
            return only.take_run(topic.id(), part, started, *waits, || {}, receipts);
        }
        let mut taken = 0;
        while let Some((engine, len)) = run(shards, topic, part) {
            let (these, rest) = part.split_at_mut(len);
            // As with a single record.
            let crowded = || {
                if these.iter().any(|record| record.partition.is_none()) {
                    meet(engine.clock().now());
                }
            };
            let done = engine.take_run(topic.id(), these, started, *waits, crowded, receipts);
            taken += done;
            if done < len {
                break;
            }
            part = rest;
        }
        taken
    }
}

/// The engine that the first record is for, and how many records in a row are: so the records are taken in order.
fn run<'s>(
    shards: &'s Shards,
    topic: &Topic,
    records: &mut [Record<'_>],
) -> Option<(&'s Arc<Engine>, usize)> {
    let (first, rest) = records.split_first_mut()?;
    let engine = shards.route(topic, first)?;
    let same = |record: &mut Record<'_>| {
        shards.route(topic, record).is_some_and(|next| Arc::ptr_eq(next, engine))
    };
    let others = rest.iter_mut().map_while(|record| same(record).then_some(())).count();
    Some((engine, 1 + others))
}
