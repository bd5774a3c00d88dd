//! What can happen next in a world, and when two worlds are the same.

use core::hash::{Hash as _, Hasher as _};
use std::{collections::VecDeque, hash::DefaultHasher};

use ottla_core::TimerKind;

use crate::{
    Action, World,
    broker::Course,
    broker_frames::{Asks, Request},
    ledger::Said,
};

impl World<'_> {
    /// All that can happen next.
    #[must_use]
    pub fn choices(&self) -> Vec<Action> {
        let mut all = Vec::new();
        if self.ledger.entries.len() < usize::from(self.scope.records) {
            all.push(Action::Produce);
        }
        for (place, link) in (0..).zip(&self.links) {
            if !link.open {
                all.push(Action::Connect(place));
            }
            if link.pending || link.half {
                all.push(Action::Write(place));
            }
            if matches!(link.up.front(), Some(Request { asks: Asks::Append(_), .. }))
                && !(link.half && link.up.len() == 1)
            {
                all.push(Action::Serve(place, Course::Plain));
            }
            if !link.down.is_empty() {
                all.push(Action::Answer(place));
            }
        }
        all.extend((0..self.ghosts.len() as u8).map(Action::Straggle));
        if self.impatience > 0 {
            self.impatient_choices(&mut all);
        }
        if self.troubles > 0 {
            self.troublesome_choices(&mut all);
        }
        all
    }

    fn impatient_choices(&self, all: &mut Vec<Action>) {
        for (record, entry) in (0..).zip(&self.ledger.entries) {
            if !entry.cancelled && matches!(entry.said, Said::Nothing | Said::UnknownYet) {
                all.push(Action::Cancel(record));
            }
        }
        if matches!(self.core.poll_timeout(), Some((_, TimerKind::Delivery))) {
            all.push(Action::Wait);
        }
    }

    fn troublesome_choices(&self, all: &mut Vec<Action>) {
        for (place, link) in (0..).zip(&self.links) {
            if !link.open {
                all.push(Action::Refuse(place));
                continue;
            }
            all.push(Action::Cut(place));
            if link.pending && !link.half {
                all.push(Action::WriteHalf(place));
            }
            let served = all.contains(&Action::Serve(place, Course::Plain));
            if served && link.node == self.broker.leader {
                let courses = [
                    Course::SlowReplicas,
                    Course::LeaderLeaves,
                    Course::TooFewReplicas,
                    Course::Invalid,
                ];
                all.extend(courses.map(|course| Action::Serve(place, course)));
                // One record alone is refused for good, as with INVALID_RECORD.
                if self.scope.shared_batches {
                    all.push(Action::Serve(place, Course::TooLarge));
                }
            }
        }
        all.push(Action::MoveLeader);
        if self.broker.can_lose() {
            all.push(Action::LoseLeader);
        }
        if self.scope.forgetful && self.broker.can_forget() {
            all.push(Action::Forget);
        }
        all.push(Action::Restart);
    }

    /// What happens next where nothing goes wrong.
    pub(crate) fn routine(&self) -> Option<Action> {
        let all = self.choices();
        let routine = |action: &&Action| {
            matches!(
                action,
                Action::Connect(_) | Action::Write(_) | Action::Serve(..) | Action::Answer(_)
            )
        };
        all.iter().find(routine).copied()
    }

    /// Equal for worlds in which the same can happen from here on.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut word = |word: u64| hasher.write_u64(word);
        self.core.internal_words(&mut word);
        self.ledger.words(&mut word);
        word(u64::from(self.troubles) << 8 | u64::from(self.impatience));
        for link in &self.links {
            (link.node, link.open, link.pending, link.half).hash(&mut hasher);
            hash_requests(&link.up, &mut hasher);
            for (request, verdict) in &link.down {
                hash_request(request, &mut hasher);
                verdict.hash(&mut hasher);
            }
            hasher.write_u8(1);
        }
        let mut ghosts: Vec<u64> = Vec::with_capacity(self.ghosts.len());
        for (node, up) in &self.ghosts {
            let mut hasher = DefaultHasher::new();
            node.hash(&mut hasher);
            hash_requests(up, &mut hasher);
            ghosts.push(hasher.finish());
        }
        ghosts.sort_unstable();
        ghosts.hash(&mut hasher);
        self.broker.hash(&mut hasher);
        hasher.finish()
    }
}

fn hash_requests(requests: &VecDeque<Request>, hasher: &mut DefaultHasher) {
    hasher.write_usize(requests.len());
    for request in requests {
        hash_request(request, hasher);
    }
}

/// Correlation ids follow from the order.
fn hash_request(request: &Request, hasher: &mut DefaultHasher) {
    match &request.asks {
        Asks::AtOnce(api) => hasher.write_i16(api.0),
        Asks::Append(batch) => batch.hash(hasher),
    }
}
