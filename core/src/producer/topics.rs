//! Registered topics: found by name, told apart by their ids, and released.

use super::Producer;
use crate::{
    Instant, ProduceError, ReleaseError, TopicError, TopicId, TopicStatus,
    random::Random,
    slots::{Ix, Table},
    topic_slot::{Knowledge, Topic},
    wire::{ErrorCode, murmur2},
};

/// Which topic slots are used.
#[derive(Debug)]
pub(super) struct Registry {
    /// How many topics are registered.
    count: u32,
    /// The first free slot.
    free: Ix<Topic>,
    /// What the hash of a name begins with: whoever chooses names must not know which ones meet in a
    /// bucket. Where they do all the same, to find one takes as many steps as there are topics.
    seed: u32,
    /// The slot to begin with in the search for one that has something to tell.
    turn: u32,
    /// Topics that have something to tell.
    untold: u32,
}

impl Registry {
    /// All slots of a table in which none is used.
    pub(super) fn new(topics: &mut Table<'_, Topic>, seed: u64) -> Self {
        let free = link_free(topics, 0);
        let seed = Random::new(seed.rotate_left(32)).below(u32::MAX);
        Self { count: 0, free, seed, turn: 0, untold: 0 }
    }

    /// How many topics there are.
    #[inline(always)]
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// A topic has something to tell that it had not before.
    #[inline(always)]
    pub(super) const fn note_output(&mut self) {
        self.untold += 1;
    }

    /// What a topic had to tell was told, or is no more to be told, if it had something.
    #[inline(always)]
    fn end_output_if(&mut self, had: bool) {
        self.untold -= u32::from(had);
    }

    #[inline]
    pub(super) const fn has_output(&self) -> bool {
        self.untold > 0
    }

    #[cfg(feature = "_internal")]
    pub(super) const fn untold(&self) -> u32 {
        self.untold
    }
}

impl Producer<'_> {
    /// Registers a topic, or finds it where it is registered already.
    ///
    /// Its partitions are asked for at once; [`Event::Topic`](crate::Event::Topic) tells when they are
    /// known. It stays registered until [`release_topic`](Self::release_topic).
    ///
    /// # Errors
    ///
    /// [`TopicError`] where the name is not one, or where there is no room for it.
    pub fn topic(&mut self, now: Instant, name: &str) -> Result<TopicId, TopicError> {
        self.advance(now);
        let max = self.topic_names.longest().min(249) as u16;
        if name.len() > usize::from(max) {
            return Err(TopicError::NameTooLong { max });
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if matches!(name, "" | "." | "..") || !name.bytes().all(legal) {
            return Err(TopicError::InvalidName);
        }
        if let Some(known) = self.find_topic(name) {
            return Ok(self.topic_id(known));
        }
        #[cfg(feature = "alloc")]
        if self.registry.free.is_none() {
            self.grow_topics();
        }
        // Where there may be more, the heap has no memory for them.
        let Some(index) = self.registry.free.some() else {
            return Err(TopicError::TooManyTopics { max: self.topics.len() });
        };
        self.topic_names.set(index.number(), name);
        let slot = self.topics.at_mut(index);
        self.registry.free = slot.next;
        *slot = Topic {
            // No slot is free that has had all its lives.
            generation: slot.generation.wrapping_add(1),
            knowledge: Knowledge::Pending(ErrorCode::NONE),
            name_len: name.len() as u16,
            hash: murmur2::seeded(self.registry.seed, name.as_bytes()),
            bucket: slot.bucket,
            ..Topic::EMPTY
        };
        self.registry.count += 1;
        self.enter_topic(index);
        self.want_metadata();
        Ok(self.topic_id(index))
    }

    /// Whether nothing of a topic is open, so that [`release_topic`](Self::release_topic) would forget it.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] where it would not.
    pub fn may_release(&self, topic: TopicId) -> Result<(), ReleaseError> {
        let (index, _) = self.topic_slot(topic).ok_or(ReleaseError::UnknownTopic)?;
        if self.may_give_back(index, 0) { Ok(()) } else { Err(ReleaseError::Busy) }
    }

    /// Forgets a topic of which nothing is open, and gives its partitions' slots back.
    ///
    /// Its id is dead from then on, and so are the receipts for its records, all of which are settled.
    /// A topic that is registered later, be it the same one, has another id.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`]; then nothing was done.
    pub fn release_topic(&mut self, now: Instant, topic: TopicId) -> Result<(), ReleaseError> {
        self.advance(now);
        self.may_release(topic)?;
        let (index, slot) = self.topic_slot(topic).ok_or(ReleaseError::UnknownTopic)?;
        let changed = slot.changed;
        self.give_back_partitions(index, 0);
        self.leave_bucket(index);
        // An answer that is being read may be at this topic.
        for conn in self.conns.indices() {
            let place = &mut self.conns.at_mut(conn).place;
            if place.topic == index {
                place.topic = Ix::NONE;
            }
        }
        self.stop_reading_of(index);
        self.registry.end_output_if(changed);
        self.registry.count -= 1;
        let slot = self.topics.at_mut(index);
        let (generation, bucket) = (slot.generation, slot.bucket);
        *slot = Topic { generation, bucket, ..Topic::EMPTY };
        // After its last life a slot rests, so that no id ever comes a second time.
        if generation < u32::MAX {
            slot.next = core::mem::replace(&mut self.registry.free, index);
        }
        self.rest_without_topics();
        self.slots_came_free();
        Ok(())
    }

    /// The name of a topic; `None` where the id is not of this producer, or the topic was released.
    #[must_use]
    pub fn topic_name(&self, topic: TopicId) -> Option<&str> {
        self.topic_slot(topic).map(|(index, _)| self.name_of_topic(index))
    }

    /// What is known of a topic; `None` where the id is not of this producer, or the topic was
    /// released.
    #[must_use]
    pub fn topic_status(&self, topic: TopicId) -> Option<TopicStatus> {
        let (_, slot) = self.topic_slot(topic)?;
        match slot.knowledge {
            Knowledge::Free => None,
            Knowledge::Pending(error) => {
                Some(TopicStatus::Pending((error != ErrorCode::NONE).then_some(error)))
            }
            Knowledge::Ready => Some(TopicStatus::Ready { partitions: slot.partition_count }),
            Knowledge::Refused(error) => Some(TopicStatus::Refused(error)),
            Knowledge::TooLarge(partitions) => Some(TopicStatus::TooManyPartitions { partitions }),
        }
    }

    /// The mark of the producer with the first share, which all that share have in common: where they
    /// register the same topics in the same order, one id is good for all of them.
    #[inline]
    const fn family(&self) -> u32 {
        self.owner.wrapping_sub(self.settings.share().index as u32)
    }

    /// The id of the topic in a slot.
    pub(super) fn topic_id(&self, index: Ix<Topic>) -> TopicId {
        let generation = self.topics.at(index).generation;
        TopicId { owner: self.family(), generation, index: index.number() as u16 }
    }

    /// The slot of a topic that is registered with this producer.
    pub(super) fn topic_slot(&self, topic: TopicId) -> Option<(Ix<Topic>, &Topic)> {
        self.slot_given_out(topic).filter(|(_, slot)| !matches!(slot.knowledge, Knowledge::Free))
    }

    /// The slot that an id was given out for, which may be free since.
    #[inline]
    pub(super) fn slot_given_out(&self, topic: TopicId) -> Option<(Ix<Topic>, &Topic)> {
        let (index, slot) = self.topics.find(u32::from(topic.index))?;
        if slot.generation != topic.generation || self.family() != topic.owner {
            return None;
        }
        Some((index, slot))
    }

    /// The topic of a name, if it is registered.
    pub(super) fn find_topic(&self, name: &str) -> Option<Ix<Topic>> {
        let hash = murmur2::seeded(self.registry.seed, name.as_bytes());
        let mut next = self.topics.at(self.bucket_of(hash)).bucket;
        while let Some(index) = next.some() {
            let slot = self.topics.at(index);
            if slot.hash == hash && self.name_of_topic(index) == name {
                return Some(index);
            }
            next = slot.next;
        }
        None
    }

    /// The slot in which the topics of a hash begin.
    fn bucket_of(&self, hash: u32) -> Ix<Topic> {
        Ix::new(((u64::from(hash) * u64::from(self.topics.len())) >> 32) as u32)
    }

    /// Frees the slots from this one on, which are new, where no other is free.
    #[cfg(feature = "alloc")]
    pub(super) fn free_topic_slots(&mut self, first: u32) {
        self.registry.free = link_free(&mut self.topics, first);
    }

    pub(super) fn enter_topic(&mut self, index: Ix<Topic>) {
        let bucket = self.bucket_of(self.topics.at(index).hash);
        let next = core::mem::replace(&mut self.topics.at_mut(bucket).bucket, index);
        self.topics.at_mut(index).next = next;
    }

    fn leave_bucket(&mut self, index: Ix<Topic>) {
        let slot = self.topics.at(index);
        let (bucket, after) = (self.bucket_of(slot.hash), slot.next);
        let mut place = self.topics.at(bucket).bucket;
        if place == index {
            self.topics.at_mut(bucket).bucket = after;
            return;
        }
        while place.is_some() {
            let slot = self.topics.at_mut(place);
            if slot.next == index {
                slot.next = after;
                return;
            }
            place = slot.next;
        }
    }

    /// Slots of partitions came free: a topic that was too large for the rest may fit now.
    pub(super) fn slots_came_free(&mut self) {
        let waits = |slot: &Topic| matches!(slot.knowledge, Knowledge::TooLarge(_));
        if self.topics.iter().any(|(_, slot)| waits(slot)) {
            self.want_metadata();
        }
    }

    /// The next topic whose status changed.
    pub(super) fn next_changed_topic(&mut self) -> Option<TopicId> {
        let (turn, len) = (self.registry.turn, self.topics.len());
        // Goes on where it ended, since many change at once.
        let places = (turn..len).chain(0..turn.min(len)).map(Ix::new);
        let index = { places }.find(|index| self.topics.at(*index).changed)?;
        self.registry.turn = index.number();
        self.topics.at_mut(index).changed = false;
        self.registry.end_output_if(true);
        Some(self.topic_id(index))
    }
}

/// Chains all slots from one on up as free; returns the first.
fn link_free(topics: &mut Table<'_, Topic>, first: u32) -> Ix<Topic> {
    let mut free = Ix::NONE;
    for number in (first..topics.len()).rev() {
        let index = Ix::new(number);
        topics.at_mut(index).next = core::mem::replace(&mut free, index);
    }
    free
}

/// Why a topic takes no records, if it is not `Ready`.
#[cold]
pub(super) const fn why_not(knowledge: Knowledge) -> ProduceError {
    match knowledge {
        Knowledge::Free => ProduceError::UnknownTopic,
        Knowledge::Ready | Knowledge::Pending(_) => ProduceError::MetadataPending,
        Knowledge::Refused(error) => ProduceError::Topic(error),
        Knowledge::TooLarge(partitions) => ProduceError::TooManyPartitions { partitions },
    }
}
