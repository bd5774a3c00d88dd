//! What the engine's lock guards: the core, and all who wait for it.

use core::{mem, task::Waker};
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use ottla_core::{
    Cause, ConnId, Disconnect, Event, Instant, Outcome, Output, Producer, Ticket, TopicId,
    TopicStatus, Verdict,
};

use crate::{
    cell::Gone,
    clock::Recent,
    engine::Engine,
    error::Failure,
    lost::Losses,
    returned::{Returned, take_back},
    table::{News, Table},
    waiting::WaitList,
};

/// How many of those that wait for memory are woken when some is free. Each one that gets some
/// wakes the next; more than one are woken, as the first may be busy with something else.
const WAKE_AT_ONCE: usize = 8;

/// What the driver is to do with its links, in this order.
#[derive(Debug)]
pub(crate) enum Action {
    Connect(ConnId),
    Disconnect(ConnId),
}

/// What a caller is to do once the lock is free.
#[derive(Debug)]
pub(crate) enum Nudge {
    Nothing,
    /// There is nothing to do but to write.
    Write,
    /// The driver sleeps, and has something to do.
    Wake(Waker),
}

/// The other end of a connection.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// `host:port`.
    pub(crate) name: Arc<str>,
    pub(crate) opened: Option<Instant>,
    /// What the operating system said of its end.
    pub(crate) error: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) core: Producer<'static>,
    pub(crate) table: Table,
    /// What to tell once the lock is free.
    pub(crate) news: News,
    pub(crate) full: WaitList<()>,
    pub(crate) topics: WaitList<()>,
    /// With the number of the first book that is not waited for.
    pub(crate) flushes: WaitList<u64>,
    pub(crate) closes: WaitList<()>,
    pub(crate) actions: VecDeque<Action>,
    /// Of each connection slot.
    pub(crate) peers: Vec<Peer>,
    losses: Losses,
    /// The last failure, until a broker was of use again: some accept and do no more.
    pub(crate) failure: Option<Failure>,
    pub(crate) closed: bool,
    /// Reports that were taken to be told.
    taken: u64,
    /// And that were told.
    told: u64,
    /// What is to be handed back, once somebody closes the producer and waits for it.
    pub(crate) returned: Option<Vec<Returned>>,
    /// The driver's waker while it sleeps.
    driver: Option<Waker>,
    /// When the driver wakes by itself.
    armed: Instant,
    /// Batches that were begun since it went to sleep, and how many are reason enough to wake it.
    begun: u32,
    enough: u32,
    /// Whether a batch may wait at all.
    lingers: bool,
    /// Records that were taken; it wraps.
    pub(crate) records: u32,
    /// The time of the last record.
    pub(crate) recent: Recent,
}

impl State {
    /// `enough`: so many batches are not left to wait for the driver. `lingers`: others may be.
    pub(crate) fn new(
        core: Producer<'static>,
        engine: Weak<Engine>,
        enough: u32,
        lingers: bool,
    ) -> Self {
        Self {
            core,
            table: Table::new(engine),
            news: News::default(),
            full: WaitList::new(),
            topics: WaitList::new(),
            flushes: WaitList::new(),
            closes: WaitList::new(),
            actions: VecDeque::new(),
            peers: Vec::new(),
            losses: Losses::default(),
            failure: None,
            closed: false,
            taken: 0,
            told: 0,
            returned: None,
            driver: None,
            armed: Instant::NEVER,
            begun: 0,
            enough,
            lingers,
            records: 0,
            recent: Recent::NEVER,
        }
    }

    /// Lets time pass in the core and in the table.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.core.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.core.handle_timeout(now);
        }
        while let Some(ticket) = self.table.pop_due(now) {
            self.cancel(now, &ticket, Gone::Deadline);
        }
    }

    /// Takes what the core has to say.
    pub(crate) fn collect(&mut self, now: Instant) {
        while let Some(output) = self.core.poll_output() {
            self.dispatch(now, output);
        }
    }

    /// Takes the connections that have something to write.
    pub(crate) fn collect_writes(&mut self, now: Instant, writes: &mut Vec<ConnId>) {
        while let Some(conn) = self.core.poll_write(now) {
            writes.push(conn);
        }
    }

    /// After a call that seldom leaves something to do: whom to wake if the driver sleeps and has that to
    /// do now, or earlier than it thinks. `timer`: the call may have set a timer.
    pub(crate) fn nudge(&mut self, timer: bool) -> Option<Waker> {
        self.driver.as_ref()?;
        let due = self.core.needs_service() || (timer && self.wake_time() < self.armed);
        if due { self.driver.take() } else { None }
    }

    /// After a record was taken. `begun`: it is the first of its batch. `timer`: the call may have set a
    /// timer.
    pub(crate) fn nudge_for_record(&mut self, begun: bool, timer: bool) -> Nudge {
        self.records = self.records.wrapping_add(1);
        if self.driver.is_none() {
            return Nudge::Nothing;
        }
        self.begun += u32::from(begun);
        if self.core.has_output() || (timer && self.wake_time() < self.armed) {
            return self.driver.take().map_or(Nudge::Nothing, Nudge::Wake);
        }
        // A full batch of a busy connection goes with the answer that the driver waits for anyhow.
        let write = self.core.has_urgent_write()
            || (self.begun >= self.enough && self.core.needs_service());
        if write { Nudge::Write } else { Nudge::Nothing }
    }

    /// Whether what is to be written can be left to a caller: full batches that have time to linger.
    pub(crate) fn may_leave_writes(&self) -> bool {
        self.news.is_empty() && self.full.len() == 0 && self.flushes.len() == 0 && self.lingers
    }

    /// After a caller has written, while the driver sleeps: whom to wake for what is left. `again`: there
    /// is more to do with a link.
    pub(crate) fn nudge_after_writes(&mut self, again: bool) -> Option<Waker> {
        self.begun = 0;
        let due = again || self.core.has_output() || self.wake_time() < self.armed;
        if due { self.driver.take() } else { None }
    }

    /// After any other call: whom to wake if the driver sleeps.
    pub(crate) const fn rouse(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// The driver goes to sleep, until `at_last` at the latest. Returns until when; the caller has
    /// collected everything.
    pub(crate) fn rest(&mut self, waker: &Waker, at_last: Instant) -> Instant {
        self.driver = Some(waker.clone());
        self.begun = 0;
        self.armed = self.wake_time().min(at_last);
        self.armed
    }

    fn wake_time(&mut self) -> Instant {
        let core = self.core.poll_timeout().map(|(at, _)| at);
        let deadline = self.table.next_deadline();
        let times = core.into_iter().chain(deadline);
        times.min().unwrap_or(Instant::NEVER)
    }

    /// Cancels a record in the core and tells those that wait for it.
    pub(crate) fn cancel(&mut self, now: Instant, ticket: &Ticket, gone: Gone) -> Verdict {
        let verdict = self.core.cancel(now, *ticket);
        let verdict = self.table.cancelled(now, ticket, verdict, gone, &mut self.news);
        self.check_flushes();
        verdict
    }

    /// The end of the driver: nothing will happen any more, and whoever waits is told.
    pub(crate) fn end(&mut self, now: Instant) {
        if !self.closed {
            // The core still knows which batches never left.
            self.core.close(now, now);
            self.core.handle_timeout(now);
            self.collect(now);
        }
        for (batch, topic) in self.table.leftovers() {
            let topic = self.core.topic_name(topic);
            tracing::error!(topic, "a batch was left without an outcome");
            self.table.give_up(now, batch, Cause::Closed, &mut self.news);
        }
        self.actions.clear();
        self.closed = true;
        self.wake_all();
    }

    /// Everybody that waits is to look again.
    pub(crate) fn wake_all(&mut self) {
        let wakes = &mut self.news.wakes;
        self.full.wake_where(wakes, |()| true);
        self.topics.wake_where(wakes, |()| true);
        self.closes.wake_where(wakes, |()| true);
        self.flushes.wake_where(wakes, |_| true);
    }

    fn dispatch(&mut self, now: Instant, output: Output) {
        match output {
            Output::Connect(conn) => self.actions.push_back(Action::Connect(conn)),
            Output::Disconnect(conn) => self.actions.push_back(Action::Disconnect(conn)),
            Output::Event(event) => self.hear(now, &event),
            Output::Closed => {
                self.closed = true;
                self.wake_all();
            }
            _ => {}
        }
    }

    fn hear(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Settled(settled) => {
                if settled.late {
                    let topic = self.core.topic_name(settled.topic);
                    tracing::info!(
                        topic,
                        partition = settled.partition,
                        records = settled.records,
                        outcome = ?settled.outcome,
                        "late verdict"
                    );
                }
                if matches!(settled.outcome, Outcome::Delivered { .. }) {
                    self.failure = None;
                }
                if settled.last
                    && let Some(returned) = &mut self.returned
                {
                    take_back(&self.core, settled, returned);
                }
                self.table.settle(now, settled, &mut self.news);
                self.check_flushes();
            }
            Event::Topic(topic) => {
                if let Some(TopicStatus::Ready { .. }) = self.core.topic_status(*topic) {
                    self.failure = None;
                }
                self.log_topic(*topic);
                self.topics.wake_where(&mut self.news.wakes, |()| true);
            }
            Event::BufferAvailable => self.full.wake(WAKE_AT_ONCE, &mut self.news.wakes),
            Event::Disconnected { conn, cause } => self.lost(now, *conn, *cause),
            Event::Fatal(error) => {
                tracing::error!(%error, "the producer has ended");
                self.wake_all();
            }
            _ => {}
        }
    }

    fn log_topic(&self, topic: TopicId) {
        let name = self.core.topic_name(topic);
        match self.core.topic_status(topic) {
            Some(TopicStatus::Refused(error)) => {
                tracing::warn!(topic = name, %error, "the topic cannot be written to");
            }
            Some(TopicStatus::Pending(Some(error))) => {
                tracing::debug!(topic = name, %error, "the topic is not known yet");
            }
            Some(TopicStatus::Ready { partitions }) => {
                tracing::debug!(topic = name, partitions, "the topic is known");
            }
            _ => {}
        }
    }

    fn lost(&mut self, now: Instant, conn: ConnId, cause: Disconnect) {
        let Some(peer) = self.peers.get_mut(conn.index()) else {
            return;
        };
        if matches!(cause, Disconnect::Idle | Disconnect::Replaced | Disconnect::Closed) {
            tracing::debug!(broker = %peer.name, %cause, "connection closed");
            return;
        }
        let error = peer.error.take();
        let failure = Failure { broker: Arc::clone(&peer.name), cause, error };
        let Failure { broker, cause, error } = &failure;
        let error = error.as_deref();
        // The same again and again would hide what else there is to see.
        if self.losses.note(&failure, peer.opened.map(|opened| now.since(opened))) {
            tracing::warn!(%broker, %cause, error, "connection lost");
        } else {
            tracing::debug!(%broker, %cause, error, "connection lost again");
        }
        self.failure = Some(failure);
    }

    fn check_flushes(&mut self) {
        if self.flushes.len() > 0 {
            let table = &self.table;
            let wakes = &mut self.news.wakes;
            self.flushes.wake_where(wakes, |number| table.answered_before(*number));
        }
    }

    /// Takes the news with the room that `news` has, so that neither is ever allocated anew.
    pub(crate) fn take_news(&mut self, news: &mut News) {
        mem::swap(&mut self.news, news);
        self.taken += news.reports.len() as u64;
    }

    /// How many reports there were so far.
    pub(crate) const fn reports(&self) -> u64 {
        self.taken + self.news.reports.len() as u64
    }

    /// Whether so many reports were told.
    pub(crate) const fn has_told(&self, reports: u64) -> bool {
        self.told >= reports
    }

    /// Notes that the application has heard so many more reports. Those that flush or close waited
    /// for that.
    pub(crate) fn heard(&mut self, reports: usize, wakes: &mut Vec<Waker>) {
        self.told += reports as u64;
        let (table, closed) = (&self.table, self.closed);
        self.flushes.wake_where(wakes, |number| closed || table.answered_before(*number));
        self.closes.wake_where(wakes, |()| closed);
    }
}
