//! What the engine's lock guards: the core, and all who wait for it.

use core::{mem, sync::atomic::AtomicU64, task::Waker, time::Duration};
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use ottla_core::{
    Cause, ConnId, Disconnect, Event, Instant, Outcome, Output, Producer, Settled, Ticket, TopicId,
    TopicStatus, Verdict,
};

use crate::{
    clock::{Clock, Recent, Tick},
    contain::contain,
    delivery::batch_state::{By, Gone},
    delivery::notifications::News,
    delivery::outcome,
    delivery::tracker::Table,
    delivery::undelivered::{Returned, take_back},
    engine::locked_core::Engine,
    engine::partition_counts::Told,
    engine::wait_list::WaitList,
    error::Failure,
    io::link_error::Losses,
};

/// How many of those that wait for memory are woken when some is free. Each one that gets some
/// wakes the next; more than one are woken, as the first may be busy with something else.
const WAKE_AT_ONCE: usize = 8;

/// How long they wait for more of it.
const PATIENCE: Duration = Duration::from_millis(1);

/// A peer that is asked what it speaks, and is well, answers sooner.
const SILENCE: Duration = Duration::from_secs(1);

/// For so many batches callers look whether there are answers, if without them none may leave.
const SOME_BATCHES: u32 = 4;

/// So many reports are not left for the end of a nap.
const MANY_REPORTS: usize = 16_384;

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

/// What the driver does.
#[derive(Debug)]
enum Driving {
    /// It is at work, or about to be, and will see to everything.
    Awake,
    /// It sleeps, and is woken by links as well.
    Asleep(Waker),
    /// It naps: links do not wake it, and callers move bytes both ways.
    Napping(Waker),
}

impl Driving {
    const fn is_awake(&self) -> bool {
        matches!(self, Self::Awake)
    }

    fn wake(&mut self) -> Option<Waker> {
        match mem::replace(self, Self::Awake) {
            Self::Awake => None,
            Self::Asleep(waker) | Self::Napping(waker) => Some(waker),
        }
    }
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

/// What gathers before somebody is woken for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    /// Whether a batch may wait at all.
    pub(crate) lingers: bool,
    /// So many batches that were begun are not left to wait for the driver.
    pub(crate) batches: u32,
    /// For so many free pages those are woken at once that wait for memory.
    pub(crate) pages: u32,
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
    /// When those that wait for memory are woken at the latest, once there is some.
    pub(crate) relief: Option<Instant>,
    /// Reports that were taken to be told.
    taken: u64,
    /// And that were told.
    told: u64,
    /// What is to be handed back, once somebody closes the producer and waits for it.
    pub(crate) returned: Option<Vec<Returned>>,
    driver: Driving,
    /// When the driver wakes by itself.
    armed: Instant,
    /// A caller is about to write, and will look once more when it has.
    writing: bool,
    /// Batches that were begun since somebody wrote.
    begun: u32,
    gather: Gather,
    /// Records that were taken; it wraps.
    pub(crate) records: u32,
    /// The time of the last record.
    recent: Recent,
    /// Turns of the driver; they wrap.
    turns: u32,
    /// To whom it tells how many partitions topics have, where there are several shards.
    pub(crate) partitions: Told,
}

impl State {
    pub(crate) fn new(
        core: Producer<'static>,
        engine: Weak<Engine>,
        due: Arc<AtomicU64>,
        gather: Gather,
    ) -> Self {
        Self {
            core,
            table: Table::new(engine, due),
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
            relief: None,
            taken: 0,
            told: 0,
            returned: None,
            driver: Driving::Awake,
            armed: Instant::NEVER,
            writing: false,
            begun: 0,
            gather,
            records: 0,
            recent: Recent::NEVER,
            turns: 0,
            partitions: Told::default(),
        }
    }

    /// The time for a record that has no deadline.
    #[inline]
    pub(crate) fn now(&mut self, clock: &Clock) -> Instant {
        // The driver wakes from a nap each millisecond, and so keeps time.
        let tick = if self.naps() { Some(Tick::Turn(self.turns)) } else { clock.tick() };
        self.recent.now(clock, tick)
    }

    /// Lets time pass in the core and in the table.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.core.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.core.handle_timeout(now);
        }
        self.answer_due(now);
    }

    /// Cancels the records whose deadline is over.
    pub(crate) fn answer_due(&mut self, now: Instant) {
        while let Some(ticket) = self.table.pop_due(now) {
            self.cancel(now, &ticket, By::Deadline);
        }
    }

    /// Takes what the core has to say.
    pub(crate) fn collect(&mut self, now: Instant) {
        while let Some(output) = self.core.poll_output() {
            self.dispatch(now, output);
        }
        self.relieve(now);
    }

    /// Wakes those that wait for memory, if there is some for a while, or the first of it was freed long ago:
    /// to wake them for each batch that leaves would cost more than what they then do.
    fn relieve(&mut self, now: Instant) {
        let Some(latest) = self.relief else {
            return;
        };
        let stats = self.core.stats();
        let free = stats.pages.saturating_sub(stats.pages_used);
        if now >= latest || free >= self.gather.pages {
            self.relief = None;
            self.full.wake(WAKE_AT_ONCE, &mut self.news.wakes);
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
        if self.driver.is_awake() {
            return None;
        }
        let due = self.core.needs_service() || (timer && self.wake_time() < self.armed);
        if due { self.driver.wake() } else { None }
    }

    /// After a record was refused: whom to wake, where the driver may bring what it lacks.
    pub(crate) fn nudge_for_refusal(&mut self) -> Option<Waker> {
        if self.naps() { self.driver.wake() } else { self.nudge(true) }
    }

    /// After a record was taken. `timer`: it has a deadline.
    #[inline]
    pub(crate) fn nudge_for_record(&mut self, ticket: &Ticket, timer: bool) -> Nudge {
        self.records = self.records.wrapping_add(1);
        // A record that joins a batch sets no timer: the batch's own is running.
        let begun = ticket.index() == 0;
        self.begun += u32::from(begun);
        let timer = timer || begun;
        if self.driver.is_awake() || self.writing {
            return Nudge::Nothing;
        }
        if self.core.has_output() || (timer && self.wake_time() < self.armed) {
            return self.driver.wake().map_or(Nudge::Nothing, Nudge::Wake);
        }
        if self.is_to_be_written() { self.write() } else { Nudge::Nothing }
    }

    /// A full batch of a busy connection goes with the answer to the request under way. For that the driver
    /// waits; while it naps, it is for callers to look, and sooner where nothing more can leave without.
    fn is_to_be_written(&self) -> bool {
        let many = self.begun >= self.gather.batches;
        let stuck = || self.begun >= SOME_BATCHES && !self.core.needs_service();
        let look = self.naps() && (many || stuck());
        self.core.has_urgent_write() || look || (many && self.core.needs_service())
    }

    const fn write(&mut self) -> Nudge {
        self.writing = true;
        self.begun = 0;
        Nudge::Write
    }

    /// Whether nobody waits for anything that the driver alone would bring.
    pub(crate) fn may_nap(&self) -> bool {
        let waits = self.full.len() + self.topics.len() + self.flushes.len() + self.closes.len();
        waits == 0 && !self.closed
    }

    /// Whether a batch may wait for others.
    pub(crate) const fn lingers(&self) -> bool {
        self.gather.lingers
    }

    /// Whether links do not wake the driver, so that callers are to look after them.
    pub(crate) const fn naps(&self) -> bool {
        matches!(self.driver, Driving::Napping(_))
    }

    /// After a caller has moved bytes, while the driver slept: what is left. `again`: there is more to do
    /// with a link.
    pub(crate) fn nudge_after_writes(&mut self, again: bool) -> Nudge {
        self.writing = false;
        let due = again
            || self.core.has_output()
            || !self.actions.is_empty()
            || self.news.records() > MANY_REPORTS
            || self.wake_time() < self.armed;
        if due {
            self.driver.wake().map_or(Nudge::Nothing, Nudge::Wake)
        } else if self.driver.is_awake() || !self.is_to_be_written() {
            Nudge::Nothing
        } else {
            self.write()
        }
    }

    /// After any other call: whom to wake if the driver sleeps.
    pub(crate) fn rouse(&mut self) -> Option<Waker> {
        self.driver.wake()
    }

    /// The driver is at work.
    pub(crate) fn awake(&mut self) {
        self.driver = Driving::Awake;
        self.turns = self.turns.wrapping_add(1);
    }

    /// The driver goes to sleep, or naps, until `at_last` at the latest. Returns until when; the caller has
    /// collected everything.
    pub(crate) fn rest(&mut self, waker: &Waker, nap: bool, at_last: Instant) -> Instant {
        self.core.debug_assert_at_rest();
        let waker = waker.clone();
        self.driver = if nap { Driving::Napping(waker) } else { Driving::Asleep(waker) };
        (self.begun, self.writing) = (0, false);
        self.armed = self.wake_time().min(at_last);
        self.armed
    }

    pub(crate) fn wake_time(&mut self) -> Instant {
        let core = self.core.poll_timeout().map(|(at, _)| at);
        let deadline = self.table.next_deadline();
        let times = core.into_iter().chain(deadline).chain(self.relief);
        times.min().unwrap_or(Instant::NEVER)
    }

    /// Whether the core knows a topic's partitions, which it then tells to all shards.
    pub(crate) fn tells_of(&self, topic: TopicId) -> bool {
        let status = self.core.topic_status(topic);
        self.partitions.tell(topic, status);
        matches!(status, Some(TopicStatus::Ready { .. }))
    }

    /// Cancels a record in the core and tells those that wait for it.
    pub(crate) fn cancel(&mut self, now: Instant, ticket: &Ticket, by: By) -> Verdict {
        let gone = Gone { by, last_error: self.core.last_error(ticket.batch()) };
        let verdict = self.core.cancel(now, *ticket);
        let verdict = self.table.cancelled(now, ticket, verdict, &gone, &mut self.news);
        self.check_flushes();
        verdict
    }

    /// The end of the driver: nothing will happen any more, and whoever waits is told.
    pub(crate) fn end(&mut self, now: Instant) {
        if !self.closed {
            // The core still knows which batches never left. Where the driver ended in the middle of it, it
            // may not be fit to say so: then nothing is known.
            contain(|| {
                self.core.close(now, now);
                self.core.handle_timeout(now);
                self.collect(now);
            });
        }
        for (batch, topic) in self.table.leftovers() {
            let topic = self.core.topic_name(topic).map(str::to_owned);
            self.news.note(move || {
                tracing::error!(topic, "a batch was left without an outcome");
            });
            contain(|| self.table.give_up(now, batch, Cause::Closed, &mut self.news));
        }
        self.actions.clear();
        self.closed = true;
        self.wake_senders();
    }

    /// Nobody is left who would tell what was not told: those that flush or close need not wait for it.
    pub(crate) fn nobody_tells_more(&mut self, news: &mut News) {
        self.told = self.taken;
        self.flushes.wake_where(&mut news.wakes, |_| true);
        self.closes.wake_where(&mut news.wakes, |()| true);
    }

    /// No record is taken any more, at least for now: who waits for memory or for a topic would wait for
    /// nothing.
    pub(crate) fn wake_senders(&mut self) {
        let wakes = &mut self.news.wakes;
        self.full.wake_where(wakes, |()| true);
        self.topics.wake_where(wakes, |()| true);
    }

    fn dispatch(&mut self, now: Instant, output: Output) {
        match output {
            Output::Connect(conn) => self.actions.push_back(Action::Connect(conn)),
            Output::Disconnect(conn) => self.actions.push_back(Action::Disconnect(conn)),
            Output::Event(event) => self.hear(now, &event),
            Output::Closed => {
                self.closed = true;
                self.closes.wake_where(&mut self.news.wakes, |()| true);
            }
            _ => {}
        }
    }

    fn hear(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Settled(settled) => {
                if settled.late {
                    let topic = self.core.topic_name(settled.topic).map(str::to_owned);
                    let Settled { partition, records, outcome, .. } = *settled;
                    self.news.note(move || {
                        tracing::info!(topic, partition, records, ?outcome, "late verdict");
                    });
                }
                if matches!(settled.outcome, Outcome::Delivered { .. }) {
                    self.failure = None;
                }
                let told = outcome::Told::of(&self.core, settled);
                if settled.last
                    && let Some(returned) = &mut self.returned
                {
                    take_back(&self.core, settled, &told, returned);
                }
                self.table.settle(now, settled, told, &mut self.news);
                self.check_flushes();
            }
            Event::Topic(topic) => {
                if let Some(TopicStatus::Ready { .. }) = self.core.topic_status(*topic) {
                    self.failure = None;
                }
                self.tells_of(*topic);
                self.log_topic(*topic);
                self.topics.wake_where(&mut self.news.wakes, |()| true);
            }
            Event::BufferAvailable => {
                self.relief.get_or_insert(now.after(PATIENCE));
            }
            Event::Disconnected { conn, cause } => self.lost(now, *conn, *cause),
            Event::NoProducerId(why) => {
                let why = *why;
                self.news.note(move || tracing::error!(%why, "no record can be sent"));
                self.wake_senders();
            }
            Event::ProducerId => {
                self.news.note(|| tracing::info!("there is a producer id: records can be sent"));
            }
            _ => {}
        }
    }

    fn log_topic(&mut self, topic: TopicId) {
        let name = self.core.topic_name(topic).map(str::to_owned);
        let status = self.core.topic_status(topic);
        self.news.note(move || match status {
            Some(TopicStatus::Refused(error)) => {
                tracing::warn!(topic = name, %error, "the topic cannot be written to");
            }
            Some(TopicStatus::TooManyPartitions { partitions }) => {
                tracing::warn!(topic = name, partitions, "no room for all partitions of the topic");
            }
            Some(TopicStatus::Pending(Some(error))) => {
                tracing::debug!(topic = name, %error, "the topic is not known yet");
            }
            Some(TopicStatus::Ready { partitions }) => {
                tracing::debug!(topic = name, partitions, "the topic is known");
            }
            _ => {}
        });
    }

    fn lost(&mut self, now: Instant, conn: ConnId, cause: Disconnect) {
        let Some(peer) = self.peers.get_mut(conn.index()) else {
            return;
        };
        if matches!(cause, Disconnect::Idle | Disconnect::Replaced | Disconnect::Closed) {
            let broker = Arc::clone(&peer.name);
            self.news.note(move || tracing::debug!(%broker, %cause, "connection closed"));
            return;
        }
        let error = peer.error.take();
        let failure = Failure { broker: Arc::clone(&peer.name), cause, error };
        // The same again and again would hide what else there is to see.
        let fresh = self.losses.note(&failure, peer.opened.map(|opened| now.since(opened)));
        let Failure { broker, cause, error } = failure.clone();
        self.news.note(move || {
            let error = error.as_deref();
            if fresh {
                tracing::warn!(%broker, %cause, error, "connection lost");
            } else {
                tracing::debug!(%broker, %cause, error, "connection lost again");
            }
        });
        self.failure = Some(failure);
    }

    /// What stands in the way, as far as it is known: the last failure, or else a peer that takes connections
    /// and says nothing, though its time is not over.
    pub(crate) fn obstacle(&self, now: Instant) -> Option<Failure> {
        self.failure.clone().or_else(|| {
            let peers = self.core.unanswered().filter_map(|conn| self.peers.get(conn.index()));
            let opened =
                |peer: &&Peer| peer.opened.map_or(Duration::ZERO, |opened| now.since(opened));
            let peer = peers.max_by_key(opened).filter(|peer| opened(peer) >= SILENCE)?;
            let broker = Arc::clone(&peer.name);
            Some(Failure { broker, cause: Disconnect::Mute, error: None })
        })
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
        self.taken += news.records() as u64;
    }

    /// How many reports there were so far.
    pub(crate) const fn reports(&self) -> u64 {
        self.taken + self.news.records() as u64
    }

    /// Whether so many reports were told.
    pub(crate) const fn has_told(&self, reports: u64) -> bool {
        self.told >= reports
    }

    /// Notes that the application has heard these reports. Those that flush or close waited for that.
    pub(crate) fn heard(&mut self, news: &mut News) {
        self.told += news.records() as u64;
        self.table.told(news);
        let wakes = &mut news.wakes;
        let (table, closed) = (&self.table, self.closed);
        self.flushes.wake_where(wakes, |number| closed || table.answered_before(*number));
        self.closes.wake_where(wakes, |()| closed);
    }
}
