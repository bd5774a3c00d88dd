//! What the engine's lock guards: the core, and all who wait for it.

use core::{mem, time::Duration};
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use ottla_core::{
    Cause, ConnId, Disconnect, Event, Instant, Outcome, Output, Producer, Ticket, TopicId,
    TopicStatus, Verdict,
};

#[cfg(feature = "sasl")]
use crate::engine::token_source::Tokens;
use crate::{
    clock::{Clock, Recent, Tick},
    delivery::{
        calls_to_engine::EngineCalls,
        delivery_table::Table,
        notifications::Notifications,
        outcome::{self, Why},
        undelivered_record::{UndeliveredRecord, take_back, take_one_back},
    },
    engine::{
        codec::Compressing,
        connection_losses::Losses,
        crowd::Crowd,
        destination::Destination,
        driver_sleep::{Driving, Gather},
        hold::Hold,
        partition_counts::Told,
        tracing_events,
        wait_list::WaitList,
    },
    error::ConnectionError,
    gap::{self, Gap},
    panic_containment::contain,
    sync::atomic::AtomicU64,
};

/// How long they wait for more of it.
const PATIENCE: Duration = Duration::from_millis(1);

/// A peer that is asked what it speaks, and is well, answers sooner.
const SILENCE: Duration = Duration::from_secs(1);

/// What the driver is to do with its links, in this order.
#[derive(Debug)]
pub(crate) enum Action {
    Connect(ConnId),
    Disconnect(ConnId),
    #[cfg(feature = "sasl")]
    WantToken,
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
    pub(crate) news: Notifications,
    pub(crate) full: WaitList<()>,
    pub(crate) topics: WaitList<()>,
    /// With the number of the first entry that is not waited for.
    pub(crate) flushes: WaitList<u64>,
    pub(crate) closes: WaitList<()>,
    pub(crate) actions: VecDeque<Action>,
    /// Of each connection slot.
    pub(crate) peers: Vec<Peer>,
    losses: Losses,
    /// The last failure, until a broker was of use again: some accept and do no more.
    pub(crate) failure: Option<ConnectionError>,
    pub(crate) closed: bool,
    /// When those that wait for memory are woken at the latest, once there is some.
    pub(crate) relief: Option<Instant>,
    /// Whether those that can wait do so before memory is full.
    pub(crate) hold: Hold,
    /// Reports that were taken to be told.
    taken: u64,
    /// And that were told.
    told: u64,
    /// What is to be handed back, once somebody closes the producer and waits for it.
    pub(crate) returned: Option<Vec<UndeliveredRecord>>,
    pub(super) driver: Driving,
    /// When the driver wakes by itself.
    pub(super) armed: Instant,
    /// A caller is about to write, and will look once more when it has.
    pub(super) writing: bool,
    /// Batches that were begun since somebody wrote.
    pub(super) begun: u32,
    pub(super) gather: Gather,
    /// The lanes that are open.
    pub(crate) lanes: Vec<Destination>,
    pub(crate) crowd: Crowd,
    /// Lanes brought records into the core since it was last looked what that made due.
    pub(super) brought_in: bool,
    /// The driver sleeps for a millisecond at most, so that nothing is forgotten in lanes.
    pub(super) watched: bool,
    /// Records that were taken; it wraps.
    pub(crate) records: u32,
    /// Tickets of records that are taken together: empty, but for while they are.
    pub(super) run: Vec<Ticket>,
    /// The time of the last record.
    recent: Recent,
    /// Turns of the driver; they wrap.
    pub(super) turns: u32,
    /// To whom it tells how many partitions topics have, where there are several shards.
    pub(crate) partitions: Told,
    pub(crate) compressing: Compressing,
    #[cfg(feature = "sasl")]
    pub(super) tokens: Tokens,
}

impl State {
    pub(crate) fn new(
        core: Producer<'static>,
        engine: Weak<dyn EngineCalls>,
        due: Arc<AtomicU64>,
        gather: Gather,
        hold: Hold,
        compressing: Compressing,
    ) -> Self {
        Self {
            core,
            table: Table::new(engine, due),
            news: Notifications::default(),
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
            hold,
            taken: 0,
            told: 0,
            returned: None,
            driver: Driving::Awake,
            armed: Instant::NEVER,
            writing: false,
            begun: 0,
            gather,
            lanes: Vec::new(),
            crowd: Crowd::default(),
            brought_in: false,
            watched: false,
            records: 0,
            run: Vec::new(),
            recent: Recent::NEVER,
            turns: 0,
            partitions: Told::default(),
            compressing,
            #[cfg(feature = "sasl")]
            tokens: Tokens::default(),
        }
    }

    /// The time for a record that has no deadline.
    #[inline]
    pub(crate) fn now(&mut self, clock: &Clock) -> Instant {
        let tick = self.tick(clock);
        self.recent.now(clock, tick)
    }

    /// What moves on before the time of a record is too old.
    #[inline]
    pub(crate) fn tick(&self, clock: &Clock) -> Option<Tick> {
        // The driver wakes from a nap each millisecond, and so keeps time.
        if self.naps() { Some(Tick::Turn(self.turns)) } else { clock.tick() }
    }

    /// Lets time pass in the core and in the table.
    pub(crate) fn let_pass(&mut self, now: Instant) {
        if self.core.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.core.handle_timeout(now);
        }
        self.answer_due(now);
    }

    /// Cancels the records whose deadline is over.
    pub(crate) fn answer_due(&mut self, now: Instant) {
        while let Some(ticket) = self.table.pop_due(now) {
            self.cancel(now, &ticket, Cause::Deadline);
        }
    }

    /// Takes what the core has to say.
    pub(crate) fn collect(&mut self, now: Instant) {
        while let Some(output) = self.core.poll_output() {
            self.dispatch(now, output);
        }
        tracing_events::collect(&mut self.core, &mut self.news);
        self.relieve(now);
    }

    /// Takes the connections that have something to write.
    pub(crate) fn collect_writes(&mut self, now: Instant, writes: &mut Vec<ConnId>) {
        while let Some(conn) = self.core.poll_writable(now) {
            writes.push(conn);
        }
    }

    /// Whether the core knows a topic's partitions, which it then tells to all shards.
    pub(crate) fn tells_of(&self, topic: TopicId) -> bool {
        let status = self.core.topic_status(topic);
        self.partitions.tell(topic, status);
        matches!(status, Some(TopicStatus::Ready { .. }))
    }

    /// Cancels a record in the core, for its caller or its deadline, and tells those that wait for it.
    pub(crate) fn cancel(&mut self, now: Instant, ticket: &Ticket, cause: Cause) -> Verdict {
        let why = Why::new(cause, self.core.last_error(ticket.batch()));
        // Who cancels has decided; whose time is over while the producer closes gets the record back.
        let back = match (&self.returned, cause) {
            (Some(_), Cause::Deadline) => take_one_back(&self.core, ticket, &why),
            _ => None,
        };
        let verdict = self.core.cancel(now, *ticket);
        if let (Some(returned), Some(back), Verdict::NotDelivered) =
            (&mut self.returned, back, verdict)
        {
            returned.push(back);
        }
        let verdict = self.table.cancelled(now, ticket, verdict, &why, &mut self.news);
        tracing_events::cancelled(&why, verdict, &mut self.news);
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
                gap::pass(Gap::Ending);
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
    pub(crate) fn nobody_tells_more(&mut self, news: &mut Notifications) {
        self.told = self.taken;
        self.flushes.wake_where(&mut news.wakes, |_| true);
        self.closes.wake_where(&mut news.wakes, |()| true);
    }

    fn dispatch(&mut self, now: Instant, output: Output) {
        match output {
            Output::Connect(conn) => self.actions.push_back(Action::Connect(conn)),
            Output::Disconnect(conn) => self.actions.push_back(Action::Disconnect(conn)),
            Output::Event(event) => self.hear(now, &event),
            #[cfg(feature = "sasl")]
            Output::WantToken => self.actions.push_back(Action::WantToken),
            Output::Closed => {
                self.closed = true;
                self.closes.wake_where(&mut self.news.wakes, |()| true);
            }
            _ => {}
        }
    }

    fn hear(&mut self, now: Instant, event: &Event) {
        match event {
            Event::BatchOutcome(settled) => {
                if matches!(settled.outcome, Outcome::Delivered { .. }) {
                    self.failure = None;
                }
                let told = outcome::Told::of(&self.core, settled);
                if settled.last
                    && let Some(returned) = &mut self.returned
                {
                    let words = self.table.words_on(settled);
                    take_back(&self.core, settled, &told, &words, returned);
                }
                tracing_events::settled(&self.core, settled, &told, &mut self.news);
                let late = self.table.settle(now, settled, told, &mut self.news);
                tracing_events::late(&self.core, settled, late, &mut self.news);
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
        let (broker, opened) = (Arc::clone(&peer.name), peer.opened);
        #[cfg(feature = "sasl")]
        let error = error.or_else(|| self.authentication_error(cause));
        let failure = ConnectionError { broker, cause, error };
        // The same again and again would hide what else there is to see.
        let fresh = self.losses.note(&failure, opened.map(|opened| now.since(opened)));
        let ConnectionError { broker, cause, error } = failure.clone();
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
    pub(crate) fn obstacle(&self, now: Instant) -> Option<ConnectionError> {
        self.failure.clone().or_else(|| {
            let peers = self.core.unanswered().filter_map(|conn| self.peers.get(conn.index()));
            let opened =
                |peer: &&Peer| peer.opened.map_or(Duration::ZERO, |opened| now.since(opened));
            let peer = peers.max_by_key(opened).filter(|peer| opened(peer) >= SILENCE)?;
            let broker = Arc::clone(&peer.name);
            Some(ConnectionError { broker, cause: Disconnect::Mute, error: None })
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
    pub(crate) fn take_news(&mut self, news: &mut Notifications) {
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
    pub(crate) fn heard(&mut self, news: &mut Notifications) {
        self.told += news.records() as u64;
        self.table.told(news);
        let wakes = &mut news.wakes;
        let (table, closed) = (&self.table, self.closed);
        self.flushes.wake_where(wakes, |number| closed || table.answered_before(*number));
        self.closes.wake_where(wakes, |()| closed);
    }
}
