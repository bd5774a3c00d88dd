//! Sending a record, with back-pressure.

use core::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::sync::Arc;

use ottla_core::{Instant, ProduceError, TopicStatus};

use crate::{
    client::shards::{Shards, Topic, meet},
    delivery::delivery_future::{Delivery, Receipt},
    engine::{
        driver_sleep::Nudge,
        locked_core::Engine,
        state::State,
        wait_list::{Left, WaitList},
    },
    error::SendError,
    panic_containment::Wakes,
    record::Record,
};

/// A record on its way into the core: a future that is ready once the core took or refused it.
///
/// It knows no time. Who waits for it does so until `max.block.ms` is over and then calls
/// [`SendFuture::give_up`]. Dropped, it leaves nothing behind.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct SendFuture<'a, R = Delivery> {
    shards: &'a Shards,
    /// The one that is to take it. Before that is known, one that it waits for to know the topic.
    engine: &'a Arc<Engine>,
    /// Whether that is known.
    routed: bool,
    topic: &'a Topic,
    record: Record<'a>,
    deadline: Option<Instant>,
    /// Not read from the clock before it is needed.
    started: Option<Instant>,
    /// It started with others before it, so that it is later by now.
    follows: bool,
    /// The list that it waits in, and its key there.
    place: Option<(List, Option<u64>)>,
    receipt: PhantomData<fn() -> R>,
}

/// Of those who wait for memory, or for a topic to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Full,
    Topics,
}

impl List {
    const fn of(self, state: &mut State) -> &mut WaitList<()> {
        match self {
            Self::Full => &mut state.full,
            Self::Topics => &mut state.topics,
        }
    }
}

/// What is to be done with wakers once the lock is free: to drop it does it.
#[derive(Debug, Default)]
struct Parting {
    /// Whom to wake.
    next: Wakes,
    left: Option<Left>,
    waker: Option<Waker>,
}

impl Shards {
    /// Sends a record if there is room for it now.
    ///
    /// # Errors
    ///
    /// Where there is no room, the topic is not known yet, or the record is refused.
    pub fn try_send<R: Receipt>(&self, topic: &Topic, record: &Record<'_>) -> Result<R, SendError> {
        match self.send_now(topic, record) {
            Some(receipt) => Ok(receipt),
            None => self.refused(topic, record),
        }
    }

    /// The way that most records go: no deadline to be set, nothing to wait for. `None` where the record was
    /// not taken, for whatever reason.
    #[inline]
    pub fn send_now<R: Receipt>(&self, topic: &Topic, record: &Record<'_>) -> Option<R> {
        let told = record.token.is_none() || self.first().reports();
        if record.timeout.is_some() || !told || !self.owns(topic) {
            return None;
        }
        self.take_now(topic, record)
    }

    #[inline]
    fn take_now<R: Receipt>(&self, topic: &Topic, record: &Record<'_>) -> Option<R> {
        if let Some(only) = self.only() {
            return only.take_now(topic.id(), record, || {});
        }
        let mut record = *record;
        let engine = self.route(topic, &mut record)?;
        // It has no place that it must go to, so the next one goes where there is less of a crowd.
        let crowded = || {
            if record.partition.is_none() {
                meet(engine.clock().now());
            }
        };
        engine.take_now(topic.id(), &record, crowded)
    }

    #[cold]
    fn refused<R: Receipt>(&self, topic: &Topic, record: &Record<'_>) -> Result<R, SendError> {
        self.sending(topic, record).give_up()
    }

    /// Starts to send a record.
    pub fn sending<'a, R: Receipt>(
        &'a self,
        topic: &'a Topic,
        record: &Record<'a>,
    ) -> SendFuture<'a, R> {
        let started = record.timeout.map(|_| self.clock().now());
        let deadline = started.zip(record.timeout).map(|(at, timeout)| at.after(timeout));
        SendFuture {
            shards: self,
            engine: self.first(),
            routed: false,
            topic,
            record: *record,
            deadline,
            started,
            follows: false,
            place: None,
            receipt: PhantomData,
        }
    }

    /// Goes on to send a record, one of several for which time began to count when the first was sent.
    pub(crate) fn sending_since<'a, R: Receipt>(
        &'a self,
        topic: &'a Topic,
        record: &Record<'a>,
        started: Instant,
    ) -> SendFuture<'a, R> {
        let deadline = record.timeout.map(|timeout| started.after(timeout));
        let undated = Record { timeout: None, ..*record };
        let started = Some(started);
        SendFuture { deadline, started, follows: true, ..self.sending(topic, &undated) }
    }
}

impl<R: Receipt> SendFuture<'_, R> {
    /// Until when it may wait.
    #[must_use]
    pub fn wait_until(&self) -> Instant {
        let started = self.started.unwrap_or_else(|| self.engine.clock().now());
        let blocked = started.after(self.engine.max_block());
        self.deadline.map_or(blocked, |deadline| deadline.min(blocked))
    }

    /// Tries at once, and does not wait.
    ///
    /// # Errors
    ///
    /// Where the record is not taken; says what was waited for, and what stands in the way.
    pub fn give_up(mut self) -> Result<R, SendError> {
        self.check()?;
        self.attempt(None).map_err(|error| self.explain(error))
    }

    fn check(&self) -> Result<(), SendError> {
        if self.record.token.is_some() && !self.engine.reports() {
            return Err(SendError::NoReportCallback);
        }
        if !self.shards.owns(self.topic) {
            return Err(SendError::WrongProducer);
        }
        Ok(())
    }

    /// Finds the engine that is to take the record, once for all, so that a wait for memory keeps its
    /// place; or else one that has to know the topic first.
    fn route(&mut self) {
        if self.routed {
            return;
        }
        let engine = self.shards.route(self.topic, &mut self.record);
        self.routed = engine.is_some();
        let engine = engine.unwrap_or_else(|| self.shards.unaware(self.topic));
        if !Arc::ptr_eq(engine, self.engine) {
            self.leave_unlocked();
            self.engine = engine;
        }
    }

    /// Tries once. With a waker it waits where waiting helps.
    fn attempt(&mut self, waker: Option<&Waker>) -> Result<R, ProduceError> {
        loop {
            self.route();
            // As often as there are engines, at the most: each time another one knows the topic.
            if let Some(result) = self.attempt_there(waker) {
                return result;
            }
        }
    }

    /// `None` where the engine turns out to know the topic: so it need not be waited for.
    fn attempt_there(&mut self, waker: Option<&Waker>) -> Option<Result<R, ProduceError>> {
        // With the lock free, as it is dropped: a waker is not ours.
        let waker = waker.cloned();
        let mut state = self.engine.lock_beside();
        // The core would take it, and choose a partition by what it knows alone.
        if !self.routed && state.tells_of(self.topic.id()) {
            return None;
        }
        let now = match (&self.place, self.started) {
            // The first attempt comes right after it was read.
            (None, Some(started)) if !self.follows => started,
            (None, None) => state.now(self.engine.clock()),
            (Some(_), _) | (None, Some(_)) => self.engine.clock().now(),
        };
        self.started.get_or_insert(now);
        // Who has a deadline would lose time that it may not have.
        let patient = waker.is_some() && self.deadline.is_none();
        let result: Result<R, _> = if patient && state.holds_back(now, self.topic.id()) {
            Err(ProduceError::Full)
        } else {
            self.engine.produce_beside(&mut state, now, self.topic.id(), &self.record)
        };
        let parting = match (&result, waker) {
            (Err(ProduceError::Full), Some(waker)) => self.wait(&mut state, List::Full, waker),
            (Err(ProduceError::MetadataPending), Some(waker)) => {
                self.wait(&mut state, List::Topics, waker)
            }
            (_, waker) => Parting { waker, ..self.leave(&mut state) },
        };
        let nudge = match &result {
            Ok(receipt) => {
                let ticket = receipt.ticket();
                if let Some(at) = self.deadline {
                    state.table.set_deadline(&ticket, at);
                }
                state.nudge_for_record(&ticket, self.deadline.is_some())
            }
            Err(_) => state.nudge_for_refusal().map_or(Nudge::Nothing, Nudge::Wake),
        };
        drop(state);
        drop(parting);
        self.engine.follow(nudge);
        Some(result)
    }

    fn wait(&mut self, state: &mut State, list: List, waker: Waker) -> Parting {
        let mut parting = Parting::default();
        if self.place.is_none_or(|(of, _)| of != list) {
            parting = self.leave(state);
        }
        let (_, key) = self.place.get_or_insert((list, None));
        parting.waker = list.of(state).wait(key, (), waker);
        parting
    }

    fn explain(&self, error: ProduceError) -> SendError {
        let now = self.engine.clock().now();
        let waited = now.since(self.started.unwrap_or(now));
        let state = self.engine.lock_beside();
        let failure = state.obstacle(now);
        match error {
            ProduceError::Full => SendError::Full { waited, failure },
            ProduceError::MetadataPending => SendError::MetadataPending {
                topic: self.topic.shared_name(),
                waited,
                error: match state.core.topic_status(self.topic.id()) {
                    Some(TopicStatus::Pending(error)) => error,
                    _ => None,
                },
                failure,
            },
            ProduceError::UnknownTopic
            | ProduceError::Topic(_)
            | ProduceError::UnknownPartition { .. }
            | ProduceError::RecordTooLarge { .. }
            | ProduceError::InvalidTimestamp { .. }
            | ProduceError::Closing
            | ProduceError::NoProducerId(_)
            | _ => SendError::Refused(error),
        }
    }
}

impl<R: Receipt> Future for SendFuture<'_, R> {
    type Output = Result<R, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.check()?;
        match this.attempt(Some(cx.waker())) {
            Ok(receipt) => Poll::Ready(Ok(receipt)),
            Err(ProduceError::Full | ProduceError::MetadataPending) => Poll::Pending,
            Err(error) => Poll::Ready(Err(this.explain(error))),
        }
    }
}

impl<R> SendFuture<'_, R> {
    /// As [`SendFuture::leave`], with the lock free.
    fn leave_unlocked(&mut self) {
        if self.place.is_none() {
            return;
        }
        let engine = self.engine;
        let parting = self.leave(&mut engine.lock_beside());
        drop(parting);
    }

    /// Waits no longer. There may be memory for another, who is then woken.
    fn leave(&mut self, state: &mut State) -> Parting {
        let mut parting = Parting::default();
        if let Some((list, Some(key))) = self.place.take() {
            parting.left = list.of(state).leave(key);
            if list == List::Full && matches!(parting.left, Some(Left::Woken)) {
                state.full.wake(1, &mut parting.next);
            }
        }
        parting
    }
}

impl<R> Drop for SendFuture<'_, R> {
    fn drop(&mut self) {
        self.leave_unlocked();
    }
}
