//! Which partition slots a topic has, and which are free: runs of slots that lie side by side.

use super::Producer;
use crate::{
    partition_slot::{Listed, Partition},
    slots::{Ix, Table},
    topic_slot::Topic,
};

/// The free partition slots: runs in the order of the slots, none of which touches the next.
#[derive(Debug)]
pub(super) struct FreePartitions {
    first: Ix<Partition>,
    count: u32,
}

impl FreePartitions {
    /// All slots of a table in which none is used.
    pub(super) fn all(partitions: &mut Table<'_, Partition>) -> Self {
        let (first, count) = (Ix::new(0), partitions.len());
        partitions.at_mut(first).run = count.saturating_sub(1);
        Self { first, count }
    }
}

impl Producer<'_> {
    /// Gives a topic slots for so many more partitions; false, and nothing done, where there are not
    /// as many.
    ///
    /// They are side by side, and behind those that the topic has, wherever there is room for that.
    pub(super) fn take_partitions(&mut self, topic: Ix<Topic>, more: u32) -> bool {
        let lacking = more.saturating_sub(self.free_partitions.count);
        #[cfg(feature = "alloc")]
        let fits = lacking == 0 || self.grow_partitions(lacking);
        #[cfg(not(feature = "alloc"))]
        let fits = lacking == 0;
        if !fits {
            return false;
        }
        let mut known = self.topics.at(topic).partition_count;
        let mut left = more;
        while left > 0 {
            let last = self.last_run(topic);
            let behind = last.some().map_or(Ix::NONE, |run| self.end_of_run(run));
            let Some((before, run)) = self.choose_free_run(behind, left) else {
                return false;
            };
            let taken = self.cut_free_run(before, run, left);
            for number in 0..taken {
                let slot = Ix::new(run.number() + number);
                *self.partitions.at_mut(slot) = Partition::new(topic, (known + number) as i32);
            }
            match last.some() {
                Some(last) if behind == run => self.partitions.at_mut(last).run += taken,
                _ => {
                    self.partitions.at_mut(run).run = taken - 1;
                    match last.some() {
                        Some(last) => self.partitions.at_mut(last).next_run = run,
                        None => self.topics.at_mut(topic).partitions = run,
                    }
                }
            }
            known += taken;
            left -= taken;
            self.topics.at_mut(topic).partition_count = known;
        }
        true
    }

    /// Whether nothing is open of a topic's partitions from number `keep` on: no record that is not
    /// settled, and no outcome that was not taken.
    pub(super) fn may_give_back(&self, topic: Ix<Topic>, keep: u32) -> bool {
        let count = self.topics.at(topic).partition_count;
        let idle = |number: u32| {
            let partition = self.partitions.at(self.partition_of(topic, number));
            partition.queue.is_empty() && partition.in_flight == 0
        };
        if !(keep..count).all(idle) {
            return false;
        }
        let mut next = self.queues.first_output();
        while let Some(index) = next.some() {
            let batch = self.batches.at(index);
            let home = self.partitions.at(batch.partition);
            if home.topic == topic && home.number as u32 >= keep {
                return false;
            }
            next = batch.event.next();
        }
        true
    }

    /// Takes a topic's partitions from number `keep` on away, of which nothing may be open
    /// ([`Self::may_give_back`]).
    pub(super) fn give_back_partitions(&mut self, topic: Ix<Topic>, keep: u32) {
        let count = self.topics.at(topic).partition_count;
        for number in keep..count {
            let home = self.partition_of(topic, number);
            debug_assert!(self.partitions.at(home).queue.is_empty(), "nothing of it is open");
            self.leave_chain(home);
            self.set_leader(home, Ix::NONE);
            self.list(home, Listed::Nowhere);
            for conn in self.conns.indices() {
                let place = &mut self.conns.at_mut(conn).place;
                if place.partition == home {
                    place.partition = Ix::NONE;
                }
            }
        }
        self.topics.at_mut(topic).partition_count = keep.min(count);
        // Only now, since a partition's slot is found by the runs. Those before `run` are kept whole.
        let (mut before, mut run, mut kept) = (Ix::NONE, self.topics.at(topic).partitions, keep);
        while run.is_some() && kept > self.partitions.at(run).run {
            kept -= self.partitions.at(run).run + 1;
            before = run;
            run = self.partitions.at(run).next_run;
        }
        if run.is_none() {
            return;
        }
        let slot = self.partitions.at_mut(run);
        let mut next = core::mem::replace(&mut slot.next_run, Ix::NONE);
        let len = slot.run + 1;
        slot.run = kept.saturating_sub(1);
        if kept == 0 {
            match before.some() {
                Some(before) => self.partitions.at_mut(before).next_run = Ix::NONE,
                None => self.topics.at_mut(topic).partitions = Ix::NONE,
            }
        }
        self.free_run(Ix::new(run.number() + kept), len - kept);
        while let Some(run) = next.some() {
            let slot = self.partitions.at(run);
            next = slot.next_run;
            self.free_run(run, slot.run + 1);
        }
    }

    /// Puts a run of slots among the free ones, and joins it with those that it touches.
    pub(super) fn free_run(&mut self, first: Ix<Partition>, count: u32) {
        for number in 0..count {
            *self.partitions.at_mut(Ix::new(first.number() + number)) = Partition::EMPTY;
        }
        self.free_partitions.count += count;
        let (mut before, mut after) = (Ix::NONE, self.free_partitions.first);
        while after.is_some() && after.number() < first.number() {
            before = after;
            after = self.partitions.at(after).next_run;
        }
        let slot = self.partitions.at_mut(first);
        (slot.run, slot.next_run) = (count - 1, after);
        self.join_free_run(first);
        match before.some() {
            Some(before) => {
                self.partitions.at_mut(before).next_run = first;
                self.join_free_run(before);
            }
            None => self.free_partitions.first = first,
        }
    }

    /// Joins a free run with the next one, if they touch.
    fn join_free_run(&mut self, run: Ix<Partition>) {
        let next = self.partitions.at(run).next_run;
        if next.is_none() || next != self.end_of_run(run) {
            return;
        }
        let slot = self.partitions.at_mut(next);
        let (more, after) = (slot.run + 1, slot.next_run);
        (slot.run, slot.next_run) = (0, Ix::NONE);
        let slot = self.partitions.at_mut(run);
        slot.run += more;
        slot.next_run = after;
    }

    /// The free run to take so many slots from, and the one before it: the one that begins at
    /// `behind`, or the first that has as many, or just the first.
    fn choose_free_run(
        &self,
        behind: Ix<Partition>,
        count: u32,
    ) -> Option<(Ix<Partition>, Ix<Partition>)> {
        let (mut before, mut run) = (Ix::NONE, self.free_partitions.first);
        let mut chosen = (before, run.some()?);
        let mut fits = false;
        while run.is_some() {
            if run == behind {
                return Some((before, run));
            }
            let slot = self.partitions.at(run);
            if !fits && slot.run >= count - 1 {
                (chosen, fits) = ((before, run), true);
            }
            before = run;
            run = slot.next_run;
        }
        Some(chosen)
    }

    /// Takes up to so many slots from the front of a free run; tells how many.
    fn cut_free_run(&mut self, before: Ix<Partition>, run: Ix<Partition>, count: u32) -> u32 {
        let slot = self.partitions.at(run);
        let (len, next) = (slot.run + 1, slot.next_run);
        let taken = count.min(len);
        let rest = if taken == len {
            next
        } else {
            let rest = Ix::new(run.number() + taken);
            let slot = self.partitions.at_mut(rest);
            (slot.run, slot.next_run) = (len - taken - 1, next);
            rest
        };
        match before.some() {
            Some(before) => self.partitions.at_mut(before).next_run = rest,
            None => self.free_partitions.first = rest,
        }
        self.free_partitions.count -= taken;
        taken
    }

    /// The last of a topic's runs; none where it has no partition.
    fn last_run(&self, topic: Ix<Topic>) -> Ix<Partition> {
        let mut run = self.topics.at(topic).partitions;
        while run.is_some() && self.partitions.at(run).next_run.is_some() {
            run = self.partitions.at(run).next_run;
        }
        run
    }

    /// The slot behind a run.
    fn end_of_run(&self, run: Ix<Partition>) -> Ix<Partition> {
        Ix::new(run.number() + self.partitions.at(run).run + 1)
    }
}
