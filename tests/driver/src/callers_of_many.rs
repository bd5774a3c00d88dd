//! Callers that send many records in one call.

use core::time::Duration;
use std::rc::Rc;

use ottla_client::{Delivery, Record, RecordOutcome, Shards, Step, internal};
use ottla_core::{Cause, Instant};

use crate::{
    callers::{Awaited, Crowd, TURN},
    network::TOPIC,
    tasks::Task,
};

/// How many are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// All, however long that may take.
    Patient,
    /// As many as are taken at once.
    None,
    /// Until the caller drops the call.
    Until(Instant),
}

/// The records of one call.
struct Many {
    /// The number of the first.
    first: u64,
    values: Vec<(Option<i32>, Vec<u8>)>,
    timestamp: Option<i64>,
    /// Each third has it.
    timeout: Option<Duration>,
    /// Each second has one.
    tokens: bool,
}

impl Many {
    fn record(&self, place: usize) -> Record<'_> {
        let (partition, value) = &self.values[place];
        let (partition, value) = (*partition, Some(&value[..]));
        let token = (self.tokens && place.is_multiple_of(2)).then_some(self.first + place as u64);
        let timeout = self.timeout.filter(|_| place.is_multiple_of(3));
        let timestamp = self.timestamp;
        Record { partition, value, timestamp, timeout, token, ..Record::default() }
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.values.len()).map(|place| self.record(place))
    }
}

impl Crowd {
    /// A caller sends many records in one call.
    pub(crate) fn send_many(self: &Rc<Self>, partition: Option<i32>, longest: usize) {
        let Some(shards) = self.shards.borrow().clone() else { return };
        let awaited = Awaited::default();
        let caller = Rc::clone(self).many(shards, partition, longest, Rc::clone(&awaited));
        let task = Task::new("a caller of many".to_owned(), caller);
        let told = move || awaited.borrow().as_ref().is_some_and(|(one, last)| one.is_told(*last));
        self.enter(task.probed(told));
    }

    async fn many(
        self: Rc<Self>,
        shards: Rc<Shards>,
        partition: Option<i32>,
        longest: usize,
        awaited: Awaited,
    ) {
        let begin = self.now();
        let many = self.make(partition, longest);
        let total = many.values.len();
        let patience = match self.roll(0, 3) {
            0 => Patience::None,
            1 => Patience::Until(begin.after(Duration::from_micros(self.roll(0, 100_000)))),
            _ => Patience::Patient,
        };
        internal::be_thread(self.roll(0, 5) as usize);
        let mut deliveries = Vec::new();
        let sent = self.send_all(&shards, &many, patience, &mut deliveries).await;
        let (taken, now) = (deliveries.len(), self.now());
        match sent {
            None => self.count("many in one call, dropped in the middle"),
            Some(Ok(told)) => assert_eq!((told, taken), (total, total), "all are taken"),
            Some(Err(told)) => assert_eq!(told, taken, "how many were taken is told otherwise"),
        }
        let latest = begin.after(self.config.max_block).after(TURN);
        assert!(now <= latest, "a call that began at {begin:?} goes on until {now:?}");
        self.count("many in one call");
        if (1..total).contains(&taken) {
            self.count("many in one call, and some are taken");
        }
        {
            let mut story = self.story.borrow_mut();
            // Others came between, who were numbered later.
            story.waited |= now > begin || story.ledger.next_id() > many.first + total as u64;
            story.taken += taken as u64;
            for (place, delivery) in deliveries.iter().enumerate() {
                let (id, record) = (many.first + place as u64, many.record(place));
                let mut due = now.after(self.config.delivery_timeout);
                if let Some(timeout) = record.timeout {
                    due = due.min(now.max(begin.after(timeout)));
                }
                if story.ledger.entry(id).first.is_none() {
                    story.due.insert(id, due);
                }
                if place.is_multiple_of(8) {
                    story.held.push(delivery.reattach());
                }
            }
        }
        for place in taken..total {
            let refused = RecordOutcome::NotDelivered(Cause::Cancelled.into());
            self.hear(many.first + place as u64, refused);
        }
        // First those with deadlines, which end sooner.
        let mut order: Vec<_> = (0..taken).collect();
        order.sort_by_key(|place| many.record(*place).timeout.is_none());
        for place in order {
            // Of those with tokens the reports tell.
            if many.record(place).token.is_none() {
                let delivery = &deliveries[place];
                *awaited.borrow_mut() = Some((delivery.reattach(), false));
                self.hear(many.first + place as u64, delivery.reattach().await);
            }
        }
        awaited.take();
    }

    fn make(&self, partition: Option<i32>, longest: usize) -> Many {
        let now = self.now();
        let first = self.story.borrow().ledger.next_id();
        let count = if self.once_in(3) { self.roll(0, 8) } else { self.roll(0, 160) };
        let scattered = self.once_in(3);
        let value = |_| {
            let id = self.story.borrow_mut().ledger.wanted(now, TOPIC);
            let mut value = id.to_be_bytes().to_vec();
            let long = if self.once_in(4) { longest } else { 40.min(longest) };
            value.resize(self.roll(8, long.max(8) as u64) as usize, b'.');
            let any = || self.roll(0, 3) as i32;
            (partition.map(|partition| if scattered { any() } else { partition }), value)
        };
        Many {
            first,
            values: (0..count).map(value).collect(),
            timestamp: Some(self.dated.get().at(now)),
            timeout: self.once_in(3).then(|| Duration::from_micros(self.roll(0, 200_000))),
            tokens: self.once_in(3),
        }
    }

    /// How the call ends, with how many it says that were taken; `None` where it was dropped.
    async fn send_all(
        &self,
        shards: &Shards,
        many: &Many,
        patience: Patience,
        deliveries: &mut Vec<Delivery>,
    ) -> Option<Result<usize, usize>> {
        if patience == Patience::None {
            let tried = shards.try_send_all(&self.topic, many.records(), deliveries);
            return Some(tried.map_err(|error| error.taken));
        }
        let call = async {
            let mut sending = shards.sending_all(&self.topic, many.records(), deliveries);
            loop {
                let mut one = match sending.step() {
                    Step::Taken(_) => continue,
                    Step::Done(taken) => return Ok(taken),
                    Step::Wait(one) => one,
                };
                let sent = match self.timers.within(one.wait_until(), &mut one).await {
                    Some(sent) => sent,
                    None => one.give_up(),
                };
                sending.note(sent).map_err(|error| error.taken)?;
            }
        };
        match patience {
            Patience::Until(at) => self.timers.within(at, call).await,
            Patience::Patient | Patience::None => Some(call.await),
        }
    }
}
