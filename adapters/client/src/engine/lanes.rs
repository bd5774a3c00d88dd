//! Lanes: where threads that send at a time put their records, so that they need not have the core for each.
//!
//! A lane has the end of one partition's open batch. Who has the lane's lock encodes a record for that place, as the core
//! would have, and gets the ticket that the core would have given. What lies in lanes is brought into the core before
//! anything else is done with it than to take records of other partitions: by whoever takes the core's lock. So the
//! core, and whoever looks at it, sees each record that was taken.
//!
//! The core's lock is taken before a lane's, never after. A lane has an end only while somebody is to take the core's lock
//! within a millisecond: the driver. Decision 57.

use std::sync::{Arc, OnceLock, PoisonError, TryLockError};

use ottla_core::{BatchTail, Record as CoreRecord, Ticket, TopicId};

use crate::{
    clock::{Clock, Recent, Tick},
    delivery::{arrivals::Arrivals, batch_state::BatchState, delivery_future::Receipt},
    engine::{destination::Destination, state::State},
    record::Record,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
        spin_loop,
    },
};

/// How many there are: partitions have theirs by their numbers.
const LANES: usize = 32;

/// An end with less room than this is not worth a lane, in bytes.
const LEAST_ROOM: usize = 512;

/// So many batches are set aside for a lane whose thread may send anywhere: with one alone, it would need the core's lock
/// as often as others have it for longer.
pub(super) const MORE: usize = 3;

/// How often to look whether a lane's lock is free before sleeping for it: it is held for as long as a record takes.
const SPINS: u32 = if cfg!(shuttle) { 1 } else { 100 };

/// All lanes of an engine. With cache lines of its own: it is read for each record, and seldom written.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Lanes {
    /// Whether there is a crowd, so that lanes are to be looked at.
    crowded: AtomicBool,
    /// Made when there is a crowd for the first time.
    lanes: OnceLock<Box<[Lane]>>,
}

/// With cache lines of its own, as the thread has them that it serves.
#[derive(Debug)]
#[repr(align(128))]
struct Lane(Mutex<LaneState>);

#[derive(Debug)]
struct LaneState {
    /// Whose it is, while it is open.
    of: Option<Destination>,
    /// Moves on before the lane's time is too old.
    tick: Option<Tick>,
    recent: Recent,
    /// The end of the partition's open batch, and the batches that are to follow it.
    parts: Vec<Part>,
    /// Which of them takes the next record.
    at: usize,
}

/// Records of one batch.
#[derive(Debug, Default)]
struct Part {
    /// `None` where the lane has no such part now: then this is here for the room that it has.
    end: Option<End>,
    /// The records' bytes.
    buffer: Vec<u8>,
    arrivals: Arrivals,
}

#[derive(Debug)]
struct End {
    tail: BatchTail,
    cell: Arc<BatchState>,
    /// The batch is set aside, and is to be adopted.
    is_new: bool,
}

impl Lane {
    fn new() -> Self {
        let (parts, recent) = (Vec::new(), Recent::NEVER);
        Self(Mutex::new(LaneState { of: None, tick: None, recent, parts, at: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        for _ in 0..SPINS {
            match self.0.try_lock() {
                Ok(state) => return state,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => spin_loop(),
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    pub(super) const fn new() -> Self {
        Self { crowded: AtomicBool::new(false), lanes: OnceLock::new() }
    }

    /// Whether there is a crowd, or was a moment ago.
    #[inline]
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    pub(crate) fn set_crowded(&self, crowded: bool) {
        if self.is_crowded() != crowded {
            self.crowded.store(crowded, Ordering::Relaxed);
        }
    }

    fn lane(&self, number: usize) -> Option<&Lane> {
        self.lanes.get()?.get(number)
    }

    /// Takes a record into the lane of its partition. `None`, with nothing done, where that lane is not open, or the
    /// record is not one for it.
    #[inline]
    pub(super) fn take<R: Receipt>(
        &self,
        clock: &Clock,
        to: &Destination,
        record: &Record<'_>,
    ) -> Option<R> {
        let mut lane = self.lane(to.lane(LANES))?.lock();
        let LaneState { of, tick, recent, parts, at } = &mut *lane;
        if of.as_ref() != Some(to) {
            return None;
        }
        let now = recent.now(clock, *tick);
        let given: CoreRecord<'_> = record.for_core(|| clock.wall_ms(now));
        let (ticket, part) = match parts.get_mut(*at)?.append(&given) {
            Some(ticket) => (ticket, parts.get_mut(*at)?),
            None => {
                // The batch has no room for it. If the next one has none either, it is not a record for a lane.
                let ticket = parts.get_mut(*at + 1)?.append(&given)?;
                *at += 1;
                (ticket, parts.get_mut(*at)?)
            }
        };
        part.arrivals.push(ticket.index(), now, record.token);
        Some(R::new(&part.end.as_ref()?.cell, ticket))
    }

    /// Opens the lane of a partition at the end of the batch that a record went into just now, unless another one has it.
    /// So many batches are set aside for it, if there is memory.
    pub(super) fn open(
        &self,
        state: &mut State,
        to: Destination,
        ticket: &Ticket,
        tick: Option<Tick>,
        more: usize,
    ) {
        if state.lanes.iter().any(|open| open.lane(LANES) == to.lane(LANES)) {
            return;
        }
        let tail = state.core.batch_tail(ticket.batch());
        let tail = tail.filter(|tail| more > 0 || tail.room() >= LEAST_ROOM);
        if tail.is_none() && more == 0 {
            return;
        }
        let lanes = self.lanes.get_or_init(|| (0..LANES).map(|_| Lane::new()).collect());
        let Some(lane) = lanes.get(to.lane(LANES)) else {
            return;
        };
        let mut lane = lane.lock();
        let mut number = 0;
        if let Some(tail) = tail
            && let Some(cell) = state.table.cell(ticket.batch()).map(Arc::clone)
        {
            lane.part(number).set(End { tail, cell, is_new: false });
            number += 1;
        }
        for _ in 0..more {
            let Some(tail) = state.core.set_aside(to.topic, to.partition) else {
                break;
            };
            let cell = state.table.spare_cells.take();
            lane.part(number).set(End { tail, cell, is_new: true });
            number += 1;
        }
        if number == 0 {
            return;
        }
        (lane.of, lane.tick, lane.at) = (Some(to), tick, 0);
        state.lanes.push(to);
        state.crowd.count_lane();
    }

    /// Brings what lies in the lane of a partition into the core, and closes it.
    pub(super) fn close(&self, state: &mut State, topic: TopicId, partition: u32) {
        if let Some(at) = state.lanes.iter().position(|open| open.is(topic, partition)) {
            let open = state.lanes.swap_remove(at);
            self.bring_in(state, &open);
        }
    }

    /// The same for all.
    #[cold]
    pub(super) fn close_all(&self, state: &mut State) {
        while let Some(open) = state.lanes.pop() {
            self.bring_in(state, &open);
        }
    }

    fn bring_in(&self, state: &mut State, open: &Destination) {
        let Some(lane) = self.lane(open.lane(LANES)) else {
            return;
        };
        let mut lane = lane.lock();
        lane.of = None;
        for part in &mut lane.parts {
            part.bring_in(state, open);
        }
    }
}

impl LaneState {
    fn part(&mut self, number: usize) -> &mut Part {
        if self.parts.len() <= number {
            self.parts.resize_with(number + 1, Part::default);
        }
        self.parts.get_mut(number).unwrap_or_else(|| unreachable!("it was made just now"))
    }
}

impl Part {
    fn set(&mut self, end: End) {
        let len = end.tail.room() + BatchTail::SLACK;
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        self.end = Some(end);
    }

    #[inline]
    fn append(&mut self, record: &CoreRecord<'_>) -> Option<Ticket> {
        self.end.as_mut()?.tail.append(record, &mut self.buffer)
    }

    /// Brings the records into the core, if there are any.
    fn bring_in(&mut self, state: &mut State, to: &Destination) {
        let Some(End { tail, cell, is_new }) = self.end.take() else {
            return;
        };
        let (first, records, batch) = (tail.first(), tail.records(), tail.batch());
        let arrivals = &mut self.arrivals;
        if records == 0 {
            if is_new {
                state.core.give_back(tail);
                state.table.spare_cells.keep(cell);
            }
            return;
        }
        let taken = if is_new {
            state.table.enter_new(to.topic, batch, records, cell, arrivals);
            state.core.adopt(to.topic, to.partition, tail, &self.buffer)
        } else {
            state.table.enter_all(batch, first, records, arrivals);
            state.core.extend(tail, &self.buffer)
        };
        debug_assert!(taken.is_ok(), "nothing was done to the partition meanwhile");
        if taken.is_err() {
            // They never left, and are told so.
            state.table.never_taken(batch, first..first + records, &mut state.news);
        }
        state.note_brought_in(records, is_new);
    }
}
