//! A record's way into the core, or into a lane beside it.

use std::sync::Arc;

use ottla_core::{Instant, ProduceError, TopicId, TopicStatus};

use crate::{
    delivery::delivery_future::Receipt,
    engine::{
        destination::Destination, driver_sleep::Nudge, lanes::MORE, locked::Locked,
        locked_core::Engine, seats, state::State, thread_number::this_thread,
    },
    record::Record,
};

/// What a record takes beside its key and its value, about.
const OVERHEAD: usize = 16;

/// How often a partition is drawn anew that another thread has.
const DRAWS: usize = 4;

impl Engine {
    /// Takes a record if that can be done at once, and there is nothing to be set for it but its batch. `None`
    /// where it was not taken, for whatever reason. Calls `crowded` where somebody has the lock.
    #[inline]
    pub(crate) fn take_now<R: Receipt>(
        self: &Arc<Self>,
        topic: TopicId,
        record: &Record<'_>,
        crowded: impl FnOnce(),
    ) -> Option<R> {
        if self.lanes.is_crowded() {
            return self.take_in_crowd(topic, record, crowded);
        }
        let mut met = false;
        let mut state = self.lock_beside_or(|| {
            met = true;
            crowded();
        });
        if state.hold.is_on() {
            // Who can wait does, and who cannot is taken on the other way.
            return None;
        }
        if met || !state.lanes.is_empty() {
            return self.take_beside(state, met, topic, record);
        }
        let now = state.now(self.clock());
        let receipt: R = self.produce(&mut state, now, topic, record).ok()?;
        let nudge = state.nudge_for_record(&receipt.ticket(), false);
        drop(state);
        if !matches!(nudge, Nudge::Nothing) {
            self.follow(nudge);
        }
        Some(receipt)
    }

    #[inline(never)]
    fn take_in_crowd<R: Receipt>(
        self: &Arc<Self>,
        topic: TopicId,
        record: &Record<'_>,
        crowded: impl FnOnce(),
    ) -> Option<R> {
        if let Some(to) = self.destination(topic, record)
            && let Some(receipt) = self.lanes.take(self.clock(), &to, record)
        {
            return Some(receipt);
        }
        let mut met = false;
        let state = self.lock_beside_or(|| {
            met = true;
            crowded();
        });
        if state.hold.is_on() {
            return None;
        }
        self.take_beside(state, met, topic, record)
    }

    /// Where a record goes, as far as that is known without the core.
    #[inline]
    fn destination(&self, topic: TopicId, record: &Record<'_>) -> Option<Destination> {
        let seat = seats::find(self.owner(), topic)?;
        let partitions = seat.partitions;
        let partition = match record.partition {
            // What is negative is more than any topic has.
            Some(partition) => partition as u32,
            None => {
                self.partitioner().choose(&record.for_core(|| -1), partitions).or(seat.sticky)?
            }
        };
        Some(Destination { topic, partition, partitions })
    }

    /// Takes a record into the core, where others are about or were until now.
    #[inline(never)]
    fn take_beside<R: Receipt>(
        self: &Arc<Self>,
        mut state: Locked<'_>,
        met: bool,
        topic: TopicId,
        record: &Record<'_>,
    ) -> Option<R> {
        // What does not linger is not left in lanes either.
        if met && state.lingers() {
            state.crowd.meet(this_thread());
            self.lanes.set_crowded(state.crowd.is_here());
        }
        let now = state.now(self.clock());
        let receipt: R = self.produce_beside(&mut state, now, topic, record).ok()?;
        let mut nudge = state.nudge_for_record(&receipt.ticket(), false);
        if state.crowd.is_here() && !state.is_watched() && matches!(nudge, Nudge::Nothing) {
            // It is to look after lanes from now on.
            nudge = state.rouse().map_or(Nudge::Nothing, Nudge::Wake);
        }
        drop(state);
        self.follow(nudge);
        Some(receipt)
    }

    /// As [`Engine::produce`], where lanes may be open, and this record's partition may get one.
    pub(crate) fn produce_beside<R: Receipt>(
        &self,
        state: &mut State,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
    ) -> Result<R, ProduceError> {
        if !state.crowd.is_here() {
            // The core chooses the partition, and may have done with another one that has a lane.
            self.close_lanes(state);
            return self.produce(state, now, topic, record);
        }
        let Some(choice) = self.choose(state, topic, record) else {
            // It will be refused.
            return self.produce(state, now, topic, record);
        };
        let Choice { to, is_any } = choice;
        self.lanes.close(state, topic, to.partition);
        let routed = Record { partition: Some(to.partition as i32), ..*record };
        let mut result: Result<R, _> = self.produce(state, now, topic, &routed);
        if matches!(result, Err(ProduceError::Full)) && !state.lanes.is_empty() {
            // Some of the memory is set aside for lanes.
            self.lanes.close_all(state);
            result = self.produce(state, now, topic, &routed);
        }
        let receipt = result?;
        let seat = || seats::find(self.owner(), topic).and_then(|seat| seat.sticky);
        let sticky = if is_any { Some(to.partition) } else { seat() };
        seats::keep(self.owner(), topic, to.partitions, sticky);
        if state.is_watched() && !state.hold.is_on() {
            let tick = state.tick(self.clock());
            let more = if is_any { MORE } else { 0 };
            self.lanes.open(state, to, &receipt.ticket(), tick, more);
        }
        Ok(receipt)
    }

    /// Chooses a record's partition in the core's stead, so that its lane is closed before the core has the record.
    /// `None` where the record would be refused.
    fn choose(&self, state: &mut State, topic: TopicId, record: &Record<'_>) -> Option<Choice> {
        let Some(TopicStatus::Ready { partitions }) = state.core.topic_status(topic) else {
            return None;
        };
        let given = record.for_core(|| -1);
        let known = record.partition.map(|partition| partition as u32);
        let known = known.or_else(|| self.partitioner().choose(&given, partitions));
        let partition = match known {
            Some(partition) => partition,
            None => self.choose_any(state, topic, record)?,
        };
        let to = Destination { topic, partition, partitions };
        Some(Choice { to, is_any: known.is_none() })
    }

    /// A partition for a record of this thread's that may go to any of them: one for each thread, if there are enough.
    fn choose_any(&self, state: &mut State, topic: TopicId, record: &Record<'_>) -> Option<u32> {
        let before = seats::find(self.owner(), topic).and_then(|seat| seat.sticky);
        if let Some(before) = before {
            // So that the core sees how full its batch is.
            self.lanes.close(state, topic, before);
        }
        let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let size = len(record.key).saturating_add(len(record.value)).saturating_add(OVERHEAD);
        let mut chosen = state.core.own_sticky_partition(topic, before, size)?;
        for _ in 0..DRAWS {
            if !state.lanes.iter().any(|open| open.is(topic, chosen)) {
                break;
            }
            chosen = state.core.own_sticky_partition(topic, None, size)?;
        }
        Some(chosen)
    }
}

/// Where a record goes, and whether it might as well have gone elsewhere.
#[derive(Clone, Copy, Debug)]
struct Choice {
    to: Destination,
    is_any: bool,
}
