//! Those who use a producer of the shared adapter: threads and tasks, as futures.

use core::{
    cell::{Cell, RefCell},
    time::Duration,
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use ottla_client::{CloseReport, Delivery, Engine, Record, RecordOutcome, Shards, Topic, internal};
use ottla_core::{Cause, Config, Instant};
use ottla_scenario::{Dated, Dice, Ledger, Random, Said};

use crate::{
    network::{Shared, TOPIC},
    tasks::{Task, Timers},
};

/// What a deadline may be late by: a turn of a driver that naps.
pub(crate) const TURN: Duration = Duration::from_millis(1);
/// A topic that no broker has.
const PASSING: &str = "passing";
/// How long it is there at the most.
pub(crate) const PASSING_BY: Duration = Duration::from_millis(20);

/// What is known of records, for tasks to write into.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) ledger: Ledger,
    /// By when each record that is watched must have an answer.
    pub(crate) due: BTreeMap<u64, Instant>,
    pub(crate) held: Vec<Delivery>,
    pub(crate) seen: BTreeMap<&'static str, u64>,
    /// Records may have been taken in another order than they were numbered.
    pub(crate) waited: bool,
    pub(crate) taken: u64,
    pub(crate) closing: bool,
    pub(crate) report: Option<CloseReport>,
}

impl Story {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }
}

/// The application: all callers, and what they share.
pub(crate) struct Crowd {
    pub(crate) timers: Timers,
    pub(crate) net: Shared,
    pub(crate) tasks: RefCell<Vec<Task>>,
    pub(crate) story: Rc<RefCell<Story>>,
    /// The handle, until it is dropped.
    pub(crate) shards: RefCell<Option<Rc<Shards>>>,
    pub(crate) topic: Topic,
    pub(crate) config: Config<'static>,
    pub(crate) dice: RefCell<Random>,
    pub(crate) dated: Cell<Dated>,
    pub(crate) flushing: Cell<u64>,
    /// How many wait for a topic that no broker has.
    pub(crate) elsewhere: Cell<usize>,
    /// Nobody sends any more, but to see whether all is well again.
    pub(crate) done: Cell<bool>,
    /// By when `close` is to end, once it was called.
    pub(crate) close_by: Cell<Option<Instant>>,
}

fn said(outcome: RecordOutcome) -> (i32, Said) {
    match outcome {
        RecordOutcome::Delivered { partition, offset, .. } => (partition, Said::Delivered(offset)),
        RecordOutcome::NotDelivered(why) => (-1, Said::NotDelivered(why.cause)),
        RecordOutcome::Unknown(why) => (-1, Said::Unknown(why.cause)),
        other => panic!("outcome {other:?}"),
    }
}

/// How a caller sends a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Which call.
    pub(crate) how: u64,
    /// What it does with the receipt.
    pub(crate) after: u64,
}

impl Manner {
    /// As fast as it can, without a look back.
    pub(crate) const FAST: Self = Self { how: 0, after: 9 };
    /// Waits for memory, and then for nothing.
    pub(crate) const PATIENT: Self = Self { how: 5, after: 9 };
}

/// What a caller waits for, for others to look at.
pub(crate) type Awaited = Rc<RefCell<Option<(Delivery, bool)>>>;

impl Crowd {
    pub(crate) fn now(&self) -> Instant {
        self.timers.now.get()
    }

    pub(crate) fn roll(&self, low: u64, high: u64) -> u64 {
        self.dice.borrow_mut().roll(low, high)
    }

    pub(crate) fn once_in(&self, times: u64) -> bool {
        self.dice.borrow_mut().once_in(times)
    }

    pub(crate) fn count(&self, what: &'static str) {
        self.story.borrow_mut().count(what);
    }

    /// Somebody heard what became of a record.
    pub(crate) fn hear(&self, id: u64, outcome: RecordOutcome) {
        let (story, now) = (&mut *self.story.borrow_mut(), self.now());
        if let Some(due) = story.due.remove(&id) {
            assert!(now <= due.after(TURN), "late: record {id} was told {outcome:?} at {now:?}");
        }
        let (partition, said) = said(outcome);
        let known = story.ledger.entry(id).last;
        // Several may wait for one record: they hear the same, or the final outcome after the first.
        if known == Some(said)
            || matches!((known, said), (Some(Said::Unknown(_)), Said::Unknown(_)))
        {
            return;
        }
        story.ledger.claim(now, id, partition, said, &self.net.lock().cluster);
    }

    /// Polls those that were woken; tells whether there were any.
    pub(crate) fn poll(&self) -> bool {
        // One that comes between while they are polled finds them busy.
        let Ok(mut tasks) = self.tasks.try_borrow_mut() else { return false };
        let mut moved = false;
        for task in &mut *tasks {
            moved |= task.poll();
        }
        tasks.retain(|task| !task.is_over());
        moved
    }

    /// What callers do on other threads while a driver is at work.
    pub(crate) fn come_between(self: &Rc<Self>) {
        if self.tasks.try_borrow_mut().is_err() || !self.once_in(4) {
            return;
        }
        match self.roll(0, 5) {
            0 => self.flush(),
            1 if self.story.borrow().closing => self.close_again(),
            2 if !self.done.get() => self.send_so(None, 8, Manner::FAST),
            _ => {
                self.poll();
            }
        }
    }

    pub(crate) fn enter(&self, mut task: Task) {
        // The first poll is the call itself.
        task.poll();
        if !task.is_over() {
            self.tasks.borrow_mut().push(task);
        }
    }

    /// A caller sends a record, in one way or another.
    pub(crate) fn send(self: &Rc<Self>, partition: Option<i32>, len: usize) {
        let manner = Manner { how: self.roll(0, 9), after: self.roll(0, 9) };
        self.send_so(partition, len, manner);
    }

    pub(crate) fn send_so(self: &Rc<Self>, partition: Option<i32>, len: usize, manner: Manner) {
        if self.shards.borrow().is_none() {
            return;
        }
        let awaited = Awaited::default();
        let caller = Rc::clone(self).caller(partition, len, manner, Rc::clone(&awaited));
        let task = Task::new(format!("a caller, {manner:?}"), caller);
        let told = move || awaited.borrow().as_ref().is_some_and(|(one, last)| one.is_told(*last));
        self.enter(task.probed(told));
    }

    async fn caller(
        self: Rc<Self>,
        partition: Option<i32>,
        len: usize,
        manner: Manner,
        awaited: Awaited,
    ) {
        let own = Duration::from_micros(self.roll(0, 200_000));
        let patience = Duration::from_micros(self.roll(0, 100_000));
        let now = self.now();
        let Some((id, delivery, told)) = self.take(partition, len, manner.how, own).await else {
            return;
        };
        let taken = self.now();
        {
            let mut story = self.story.borrow_mut();
            story.taken += 1;
            let mut due = taken.after(self.config.delivery_timeout);
            if matches!(manner.how, 1 | 6) {
                due = due.min(now.after(own));
            }
            // Who waits for the final outcome alone does not hear the first.
            if told || manner.after < 6 {
                story.due.insert(id, due);
            }
            if manner.after >= 4 {
                story.held.push(delivery.reattach());
            }
        }
        if told {
            return;
        }
        let wait = |last| *awaited.borrow_mut() = Some((delivery.reattach(), last));
        match manner.after {
            0..=2 => {
                wait(false);
                self.hear(id, delivery.reattach().await);
                if manner.after == 0 {
                    wait(true);
                    let last = delivery.reattach().final_outcome().await;
                    self.count("late");
                    self.hear(id, last);
                }
            }
            3..=5 => {
                // Gives up the wait, and comes back to the same record.
                wait(false);
                let until = taken.after(patience);
                let outcome = match self.timers.within(until, delivery.reattach()).await {
                    Some(outcome) => outcome,
                    None => {
                        self.count("wait given up, and reattached");
                        delivery.reattach().await
                    }
                };
                self.hear(id, outcome);
            }
            6 => {
                wait(true);
                let last = delivery.reattach().final_outcome().await;
                self.count("late");
                self.hear(id, last);
            }
            _ => self.count("delivery dropped"),
        }
        awaited.take();
    }

    /// Sends a record; `Some` where it was taken, with whether it will be told of by a report.
    async fn take(
        &self,
        partition: Option<i32>,
        len: usize,
        how: u64,
        own: Duration,
    ) -> Option<(u64, Delivery, bool)> {
        let shards = self.shards.borrow().clone()?;
        let thread = self.roll(0, 5) as usize;
        let id = self.story.borrow().ledger.next_id();
        let now = self.now();
        self.story.borrow_mut().ledger.wanted(now, TOPIC);
        let mut value = id.to_be_bytes().to_vec();
        value.resize(len.max(8), b'.');
        let timestamp = Some(self.dated.get().at(now));
        let record = Record { partition, value: Some(&value), timestamp, ..Record::default() };
        internal::be_thread(thread);
        // In some storms nobody asks for reports: then tokens are refused.
        let (what, record) = match how {
            1 | 6 => ("send with a deadline", Record { timeout: Some(own), ..record }),
            2 | 7 => ("send with a token", Record { token: Some(id), ..record }),
            5 | 8 | 9 => ("send", record),
            _ => ("try_send", record),
        };
        let sent: Result<Delivery, _> = if how >= 5 {
            let mut sending = shards.sending(&self.topic, &record);
            let until = sending.wait_until();
            match self.timers.within(until, &mut sending).await {
                Some(sent) => sent,
                None => sending.give_up(),
            }
        } else {
            shards.try_send(&self.topic, &record)
        };
        self.count(what);
        if self.now() > now {
            self.story.borrow_mut().waited = true;
            self.count("waited for memory or the topic");
        }
        match sent {
            Ok(delivery) => Some((id, delivery, what == "send with a token")),
            Err(_) => {
                self.count("refused");
                self.hear(id, RecordOutcome::NotDelivered(Cause::Cancelled.into()));
                None
            }
        }
    }

    pub(crate) fn cancel(&self, back: u64) {
        let mut story = self.story.borrow_mut();
        let len = story.held.len();
        let Some(at) = len.checked_sub(1 + back as usize % len.max(1)) else { return };
        let delivery = story.held.swap_remove(at);
        story.count("cancel");
        drop(story);
        let verdict = delivery.cancel();
        assert!(
            delivery.try_outcome().is_some() || verdict == ottla_core::Verdict::AlreadySettled,
            "cancelled, and without an answer: {verdict:?}"
        );
    }

    pub(crate) fn flush(self: &Rc<Self>) {
        let Some(shards) = self.shards.borrow().clone() else { return };
        let flushing = shards.flush();
        let until = self.now().after(Duration::from_micros(self.roll(0, 60_000)));
        let impatient = self.once_in(3);
        self.flushing.set(self.flushing.get() + 1);
        let engines: Vec<Arc<Engine>> = shards.engines().to_vec();
        let crowd = Rc::clone(self);
        let task = Task::new(format!("flush {}", self.flushing.get()), async move {
            if impatient {
                if crowd.timers.within(until, flushing).await.is_none() {
                    crowd.count("flush dropped");
                }
            } else {
                let _tally = flushing.await;
                crowd.count("flush");
            }
        });
        let told = move || engines.iter().all(|engine| engine.pending() == 0);
        self.enter(task.probed(told));
    }

    pub(crate) fn close(self: &Rc<Self>, within: Duration) {
        self.count("close");
        self.close_by.set(Some(self.now().after(within)));
        self.close_as("close", within);
    }

    /// Another handle is closed as well.
    fn close_again(self: &Rc<Self>) {
        let Some(by) = self.close_by.get() else { return };
        self.count("closed twice");
        self.close_as("second close", by.since(self.now()));
    }

    fn close_as(self: &Rc<Self>, name: &str, within: Duration) {
        let Some(shards) = self.shards.borrow().clone() else { return };
        let mut closing = shards.close(within);
        self.story.borrow_mut().closing = true;
        let crowd = Rc::clone(self);
        self.enter(Task::new(name.to_owned(), async move {
            let guard = closing.wait_until();
            let report = match crowd.timers.within(guard, &mut closing).await {
                Some(report) => report,
                None => closing.give_up(),
            };
            crowd.story.borrow_mut().report = Some(report);
        }));
    }

    /// A topic comes and goes: somebody waits for it to be known, and somebody else releases it meanwhile.
    pub(crate) fn pass_by(self: &Rc<Self>) {
        let Some(shards) = self.shards.borrow().clone() else { return };
        // None of the brokers has it, and there may be no room for it.
        let Ok(topic) = shards.topic(PASSING) else { return };
        let released = Rc::new(Cell::new(None));
        let (crowd, at, name) = (Rc::clone(self), Rc::clone(&released), topic.clone());
        self.enter(Task::new("who waits for a topic that is released".to_owned(), async move {
            let shards = crowd.shards.borrow().clone();
            let Some(shards) = shards else { return };
            let record = Record { value: Some(b"v"), ..Record::default() };
            let mut sending = shards.sending::<Delivery>(&name, &record);
            let until = sending.wait_until();
            crowd.elsewhere.update(|waiting| waiting + 1);
            let sent = crowd.timers.within(until, &mut sending).await;
            crowd.elsewhere.update(|waiting| waiting - 1);
            assert!(!matches!(sent, Some(Ok(_))), "a record is taken for a topic that nobody has");
            if let Some(released) = at.get() {
                crowd.count("a topic is released");
                let (now, due) = (crowd.now(), until.min(released).after(TURN));
                assert!(now <= due, "who waits for a topic is told at {now:?}, not by {due:?}");
            }
        }));
        let crowd = Rc::clone(self);
        let pause =
            self.now().after(Duration::from_micros(self.roll(0, PASSING_BY.as_micros() as u64)));
        self.enter(Task::new("who releases a topic".to_owned(), async move {
            crowd.timers.within(pause, core::future::pending::<()>()).await;
            let shards = crowd.shards.borrow().clone();
            if shards.is_some_and(|shards| shards.release_topic(&topic).is_ok()) {
                released.set(Some(crowd.now()));
            }
        }));
    }

    /// The last handle is gone.
    pub(crate) fn drop_producer(&self) {
        self.count("dropped without close");
        if let Some(shards) = self.shards.take() {
            shards.close_unattended();
        }
        self.story.borrow_mut().closing = true;
    }
}
