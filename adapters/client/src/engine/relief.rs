//! When those that wait for memory, or are held back before it is full, go on.

use ottla_core::{Instant, TopicId, TopicStatus};

use crate::engine::state::State;

/// How many of those that wait for memory are woken when some is free. Each one that gets some
/// wakes the next; more than one are woken, as the first may be busy with something else.
const WAKE_AT_ONCE: usize = 8;

impl State {
    /// Wakes those that wait for memory, if there is some for a while, or the first of it was freed long ago:
    /// to wake them for each batch that leaves would cost more than what they then do. And those that are held back,
    /// once that is over.
    pub(super) fn relieve(&mut self, now: Instant) {
        let over = self.hold.look(now, self.core.due_bytes());
        let is_time = |latest| {
            let stats = self.core.stats();
            let free = stats.pages.saturating_sub(stats.pages_used + stats.pages_reserved);
            now >= latest || free >= self.gather.pages
        };
        if over || self.relief.is_some_and(is_time) {
            self.relief = None;
            self.full.wake(WAKE_AT_ONCE, &mut self.news.wakes);
        }
    }

    /// Whether a sender to this topic that can wait is to do so. Whom the core would refuse is told that.
    pub(crate) fn holds_back(&mut self, now: Instant, topic: TopicId) -> bool {
        self.hold.is_on()
            && matches!(self.core.topic_status(topic), Some(TopicStatus::Ready { .. }))
            && self.hold.begin(now, self.core.due_bytes())
    }

    /// No record is taken any more, at least for now: who waits for memory or for a topic would wait for
    /// nothing.
    pub(crate) fn wake_senders(&mut self) {
        self.hold.end();
        let wakes = &mut self.news.wakes;
        self.full.wake_where(wakes, |()| true);
        self.topics.wake_where(wakes, |()| true);
    }
}
