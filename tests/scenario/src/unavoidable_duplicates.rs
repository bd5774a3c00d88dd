//! What brokers forgot, and when: which copies of a record nobody could have prevented.
//!
//! A broker that forgets a producer between the moment at which the producer asked what it knows, or sent
//! what it does not ask about, and the moment at which a batch arrives, writes the batch a second time,
//! and nobody is wrong. Anything earlier the producer must know of, but for this: one that forgets for no
//! reason that shows in timestamps, and is then reached by an attempt that was on its way since before,
//! knows the producer as well as if it had never forgotten it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ottla_core::{
    ConnId, Instant,
    wire::{ErrorCode, record::BatchHeader},
};
use ottla_model::{Happening, Judgement};

use crate::tap::{Sent, Tap};

/// A partition of a topic.
type Home = (String, i32);

/// What was heard of brokers.
#[derive(Debug, Default)]
pub struct Hindsight {
    /// The request that each connection's broker handles.
    handled: Option<(Option<ConnId>, i32)>,
    /// When a leader told what it knows of a partition's producers.
    questions: Vec<(Instant, Home)>,
    /// When what was known of producers was lost, with the records or without.
    losses: Vec<(Instant, Home)>,
    /// Those of them that no timestamp explains.
    sudden: Vec<(Instant, Home)>,
    /// The partitions that forgot producers and kept their records.
    forgot: BTreeSet<Home>,
    copies: Vec<Copy>,
}

/// A batch that was appended.
#[derive(Debug)]
struct Copy {
    at: Instant,
    home: Home,
    header: BatchHeader,
    conn: Option<ConnId>,
    correlation_id: i32,
}

impl Copy {
    /// The request that brought it.
    fn attempt<'a>(&self, tap: &'a Tap) -> Option<&'a Sent> {
        tap.sent.iter().find(|sent| {
            Some(sent.conn) == self.conn
                && sent.correlation_id == self.correlation_id
                && sent.partition == self.home.1
                && sent.topic == self.home.0
        })
    }
}

/// What is not held against the producer.
#[derive(Clone, Debug, Default)]
pub struct Excuses {
    /// How many copies of a record more than one there may be.
    pub copies: BTreeMap<u64, usize>,
    /// The partitions that forgot producers: what is sent again there may overtake.
    pub forgot: BTreeSet<Home>,
}

impl Hindsight {
    /// Things happened in the cluster, on a connection or by themselves.
    pub(crate) fn happened(&mut self, now: Instant, conn: Option<ConnId>, all: &[Happening]) {
        let home = |topic: &String, partition: i32| (topic.clone(), partition);
        for happening in all {
            match happening {
                Happening::Asked { correlation_id, .. } => {
                    self.handled = Some((conn, *correlation_id));
                }
                Happening::Described { topic, partition, leads: true, .. } => {
                    self.questions.push((now, home(topic, *partition)));
                }
                Happening::Forgot { topic, partition, at } => {
                    if at.is_none() {
                        self.sudden.push((now, home(topic, *partition)));
                    }
                    let at = at.map_or(now, |at: Duration| {
                        Instant::from_micros(u64::try_from(at.as_micros()).unwrap_or(u64::MAX))
                    });
                    self.losses.push((at, home(topic, *partition)));
                    self.forgot.insert(home(topic, *partition));
                }
                Happening::Lost { topic, partition, .. } => {
                    self.losses.push((now, home(topic, *partition)));
                }
                Happening::Judged {
                    topic,
                    partition,
                    header: Some(header),
                    judgement: Judgement::Appended { .. },
                    ..
                } => {
                    let (conn, correlation_id) = self.handled.unwrap_or((conn, -1));
                    self.copies.push(Copy {
                        at: now,
                        home: home(topic, *partition),
                        header: *header,
                        conn,
                        correlation_id,
                    });
                }
                // Nothing of the rest makes or takes what is known of producers.
                Happening::Answered { .. }
                | Happening::Judged { .. }
                | Happening::LeaderMoved { .. }
                | Happening::Lags { .. }
                | Happening::CaughtUp { .. }
                | Happening::Described { .. }
                | Happening::Deleted { .. }
                | Happening::TopicCreated { .. }
                | Happening::TopicDeleted { .. }
                | Happening::Frozen { .. }
                | Happening::Thawed { .. }
                | Happening::Stopped { .. }
                | Happening::Started { .. } => {}
            }
        }
    }

    /// What is not held against the producer that sent all of this.
    #[must_use]
    pub fn excuses(&self, tap: &Tap) -> Excuses {
        let mut excuses = Excuses { forgot: self.forgot.clone(), ..Excuses::default() };
        let mut before: BTreeMap<(&Home, i64, i16, i32), (&Copy, &Sent)> = BTreeMap::new();
        for copy in &self.copies {
            let Some(attempt) = copy.attempt(tap) else { continue };
            let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = copy.header;
            let key = (&copy.home, producer_id, producer_epoch, base_sequence);
            let Some((first, earlier)) = before.insert(key, (copy, attempt)) else { continue };
            if self.is_excused(tap, (first, earlier), (copy, attempt)) {
                for id in &attempt.ids {
                    *excuses.copies.entry(*id).or_default() += 1;
                }
            }
        }
        excuses
    }

    /// Whether nobody could have known that the state was lost by which a copy would have been known.
    fn is_excused(
        &self,
        tap: &Tap,
        (first, earlier): (&Copy, &Sent),
        (copy, attempt): (&Copy, &Sent),
    ) -> bool {
        let lost = |from: Instant| {
            let mut losses = self.losses.iter().filter(|(_, home)| *home == copy.home);
            losses.any(|(at, _)| from.max(first.at) <= *at && *at <= copy.at)
        };
        let asked = self
            .questions
            .iter()
            .filter(|(at, home)| *home == copy.home && earlier.at <= *at && *at <= attempt.at);
        let asked = asked.map(|(at, _)| *at).max().unwrap_or(attempt.at);
        if lost(asked) || self.is_made_anew(tap, (first, copy), asked) {
            return true;
        }
        // Where nothing was acknowledged yet, that a producer is not known may as well mean that it has
        // written nothing.
        let acknowledged = tap.sent.iter().any(|sent| {
            sent.topic == copy.home.0
                && sent.partition == copy.home.1
                && sent.header.producer_id == copy.header.producer_id
                && sent
                    .answer
                    .is_some_and(|(at, error)| error == ErrorCode::NONE && at < attempt.at)
        });
        !acknowledged && lost(earlier.at)
    }

    /// Whether the state was lost all of a sudden after the first copy, and an attempt that had left before
    /// that made it anew before the leader was asked.
    fn is_made_anew(&self, tap: &Tap, (first, copy): (&Copy, &Copy), asked: Instant) -> bool {
        let mut losses = self
            .sudden
            .iter()
            .filter(|(at, home)| *home == copy.home && first.at <= *at && *at <= asked);
        losses.any(|(lost, _)| {
            let late = |other: &&Copy| {
                other.home == copy.home
                    && other.header.producer_id == copy.header.producer_id
                    && (*lost..=asked).contains(&other.at)
            };
            let mut late = self.copies.iter().filter(late);
            late.any(|other| other.attempt(tap).is_some_and(|sent| sent.at < *lost))
        })
    }
}
