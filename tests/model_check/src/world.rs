//! The core, its connections and the broker, moved by one action at a time.

use core::time::Duration;
use std::collections::VecDeque;

use ottla_core::{
    Config, ConnId, Disconnect, Event, Instant, Limits, Memory, OnUnknown, Output, Producer,
    Record, TopicId, TopicStatus,
};

use crate::{
    Action, Cost, Scope,
    broker::{Broker, Verdict},
    broker_frames::{self, Asks, PORT, Request, TOPIC, WALL_MS},
    ledger::{Ledger, Said},
};

/// A connection as the core has it.
#[derive(Debug)]
pub(crate) struct Link {
    id: ConnId,
    pub(crate) node: u8,
    pub(crate) open: bool,
    /// A produce request waits to be written.
    pub(crate) pending: bool,
    /// Half of it is written.
    pub(crate) half: bool,
    /// Requests that the node has not taken.
    pub(crate) up: VecDeque<Request>,
    /// Answers that the core has not got.
    pub(crate) down: VecDeque<(Request, Verdict)>,
}

/// Everything there is.
#[derive(Debug)]
pub struct World<'s> {
    pub(crate) scope: &'s Scope,
    now: Instant,
    pub(crate) core: Producer<'static>,
    topic: TopicId,
    pub(crate) links: Vec<Link>,
    /// What lies unread in sockets that the core has closed, with the node that may read it.
    pub(crate) ghosts: Vec<(u8, VecDeque<Request>)>,
    /// The broker.
    pub broker: Broker,
    /// What was said.
    pub ledger: Ledger,
    pub(crate) troubles: u8,
    pub(crate) impatience: u8,
}

/// No deadline of a connection or of metadata ever comes: a cut stands for all of them.
const NEVER: Duration = Duration::from_secs(1 << 40);

fn config(scope: &Scope) -> Config<'static> {
    Config {
        bootstrap_servers: "h:9000",
        client_id: "",
        linger: Duration::ZERO,
        // No two records fit into one batch, or all do that wait.
        batch_size: if scope.shared_batches { 200 } else { 61 },
        max_request_size: 512,
        delivery_timeout: Duration::from_secs(1_000),
        resolve_timeout: Duration::from_secs(100),
        request_timeout: NEVER,
        metadata_max_age: NEVER,
        rebootstrap_trigger: NEVER,
        connections_max_idle: NEVER,
        connection_setup_timeout: NEVER,
        connection_setup_timeout_max: NEVER,
        // Without jitter there are fewer states. A frame that is not begun is a kind of backoff.
        retry_backoff: Duration::ZERO,
        retry_backoff_max: Duration::ZERO,
        reconnect_backoff: Duration::ZERO,
        reconnect_backoff_max: Duration::ZERO,
        on_unknown: if scope.abandon { OnUnknown::Abandon } else { OnUnknown::Resolve },
        ..Config::default()
    }
}

const LIMITS: Limits = Limits {
    connections: 3,
    brokers: 4,
    topics: 1,
    partitions: 1,
    batches: 8,
    page_size: 64,
    pages: 16,
    rx_window: 512,
    tx_window: 256,
    name: 4,
};

impl<'s> World<'s> {
    /// A core that knows its producer id and the leader, to whom it has a connection.
    ///
    /// # Panics
    /// Where the handshake does not come that far.
    #[must_use]
    pub fn new(scope: &'s Scope) -> Self {
        let core = Producer::new(&config(scope), Memory::heap(LIMITS), 7);
        let mut core = core.unwrap_or_else(|error| panic!("{error}"));
        let now = Instant::from_micros(1);
        core.set_wall_clock(now, Some(WALL_MS));
        let topic = core.topic(now, TOPIC).unwrap_or_else(|error| panic!("{error}"));
        let mut world = Self {
            scope,
            now,
            core,
            topic,
            links: Vec::new(),
            ghosts: Vec::new(),
            broker: Broker::new(scope.zero_first, scope.unclean),
            ledger: Ledger::default(),
            troubles: scope.troubles,
            impatience: scope.impatience,
        };
        world.settle();
        world.apply(Action::Connect(0));
        let status = world.core.topic_status(topic);
        assert_eq!(status, Some(TopicStatus::Ready { partitions: 1 }));
        if scope.near_wrap {
            assert!(world.core.internal_go_on_at(topic, 0, 0, i32::MAX - 1), "producer id");
        }
        world
    }

    /// Does one thing, and what follows from it at once.
    ///
    /// # Panics
    /// Where the core does not come to rest.
    pub fn apply(&mut self, action: Action) {
        match action.cost() {
            Cost::Nothing => {}
            Cost::Trouble => self.troubles -= 1,
            Cost::Impatience => self.impatience -= 1,
        }
        match action {
            Action::Produce => self.produce(),
            Action::Cancel(record) => {
                let verdict = self.core.cancel(self.now, self.ledger.ticket(record));
                self.ledger.cancelled(record, verdict);
            }
            Action::Wait => {
                let (at, _) = self.core.poll_timeout().expect("a deadline");
                self.now = self.now.max(at);
                self.core.handle_timeout(self.now);
            }
            Action::Connect(link) => {
                let link = &mut self.links[usize::from(link)];
                link.open = true;
                self.core.handle_connected(self.now, link.id);
            }
            Action::Refuse(link) => {
                let link = self.links.remove(usize::from(link));
                self.core.handle_disconnected(self.now, link.id, Disconnect::Refused);
            }
            Action::WriteHalf(link) => self.write(link.into(), true),
            Action::Write(link) => self.write(link.into(), false),
            Action::Cut(link) => {
                let id = self.hang_up(link.into());
                self.core.handle_disconnected(self.now, id, Disconnect::Io);
            }
            Action::Serve(link, course) => {
                let link = &mut self.links[usize::from(link)];
                let request = link.up.pop_front().expect("a request");
                let Asks::Append(batch) = &request.asks else { panic!("{request:?}") };
                let verdict = self.broker.serve(link.node, batch, course);
                link.down.push_back((request, verdict));
            }
            Action::Answer(link) => {
                let (request, verdict) =
                    self.links[usize::from(link)].down.pop_front().expect("an answer");
                self.receive(link.into(), &broker_frames::verdict(&request, &verdict));
            }
            Action::Straggle(ghost) => self.straggle(ghost.into()),
            Action::MoveLeader => self.broker.move_leader(false),
            Action::LoseLeader => self.broker.move_leader(true),
            Action::Forget => self.broker.forget(),
            Action::Restart => {
                self.broker.restart();
                self.ghosts.clear();
                while !self.links.iter().all(|link| !link.open) {
                    let open = self.links.iter().position(|link| link.open).expect("one is");
                    let id = self.links.remove(open).id;
                    self.core.handle_disconnected(self.now, id, Disconnect::Eof);
                }
            }
        }
        self.settle();
        self.ledger.check(&self.broker, self.scope.forgetful);
    }

    fn produce(&mut self) {
        // So that no two deadlines are the same.
        self.now = self.now.after(Duration::from_micros(1));
        let number = self.ledger.entries.len() as u8;
        let value = [number];
        let record = Record { value: Some(&value), timestamp: WALL_MS, ..Record::default() };
        let ticket = self.core.produce(self.now, self.topic, &record);
        self.ledger.produced(ticket.unwrap_or_else(|error| panic!("{error}")));
    }

    /// Writes the produce request that a connection has, or half of it.
    fn write(&mut self, place: usize, half: bool) {
        let link = &mut self.links[place];
        let bytes: Vec<u8> = self.core.pending_write(link.id).flatten().copied().collect();
        if !link.half {
            let request = Request::read(&bytes);
            let Asks::Append(batch) = &request.asks else { panic!("{request:?}") };
            self.ledger.exposed(batch);
            link.up.push_back(request);
        }
        let len = if half { bytes.len() / 2 } else { bytes.len() };
        link.half = half;
        self.core.handle_written(self.now, link.id, len);
    }

    /// Takes a connection away from the core. What it has written whole may still be read.
    fn hang_up(&mut self, place: usize) -> ConnId {
        let mut link = self.links.remove(place);
        if link.half {
            link.up.pop_back();
        }
        link.up.retain(|request| matches!(request.asks, Asks::Append(_)));
        if !link.up.is_empty() {
            self.ghosts.push((link.node, link.up));
        }
        link.id
    }

    fn straggle(&mut self, ghost: usize) {
        let (node, up) = &mut self.ghosts[ghost];
        if let Some(Request { asks: Asks::Append(batch), .. }) = up.pop_front() {
            self.broker.serve(*node, &batch, crate::broker::Course::Plain);
        }
        if up.is_empty() {
            self.ghosts.remove(ghost);
        }
    }

    fn receive(&mut self, place: usize, bytes: &[u8]) {
        let id = self.links[place].id;
        self.core.rx_buffer(id)[..bytes.len()].copy_from_slice(bytes);
        self.core.handle_received(self.now, id, bytes.len());
    }

    /// Does all that is nobody's choice.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let mut moved = self.drain();
            if self.core.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                self.core.handle_timeout(self.now);
                moved = true;
            }
            moved |= self.shake_hands();
            moved |= self.core.has_output();
            if !moved {
                self.core.debug_assert_at_rest();
                return;
            }
        }
        panic!("the core does not come to rest: {:?}", self.core);
    }

    fn drain(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.core.poll_output() {
            moved = true;
            match output {
                Output::Connect(id) => {
                    let port = self.core.address(id).expect("a connection leads somewhere").port;
                    let node = (port - PORT) as u8;
                    let place = self.links.partition_point(|link| link.node <= node);
                    let (up, down) = Default::default();
                    let link =
                        Link { id, node, open: false, pending: false, half: false, up, down };
                    self.links.insert(place, link);
                }
                Output::Disconnect(id) => {
                    if let Some(place) = self.links.iter().position(|link| link.id == id) {
                        self.hang_up(place);
                    }
                }
                Output::Event(Event::BatchOutcome(settled)) => {
                    self.ledger.settled(&settled, &self.broker);
                }
                Output::Event(_) => {}
                Output::Closed | _ => panic!("output {output:?}"),
            }
        }
        while self.core.poll_writable(self.now).is_some() {}
        moved
    }

    /// Writes and answers everything but produce requests.
    fn shake_hands(&mut self) -> bool {
        let mut moved = false;
        for place in 0..self.links.len() {
            let link = &mut self.links[place];
            if !link.open || link.half {
                continue;
            }
            link.pending = self.core.prepare_write(self.now, link.id);
            if link.pending {
                let bytes: Vec<u8> = self.core.pending_write(link.id).flatten().copied().collect();
                // A produce request is API 0.
                if bytes[4..6] != [0, 0] {
                    link.up.push_back(Request::read(&bytes));
                    self.core.handle_written(self.now, link.id, bytes.len());
                    moved = true;
                    continue;
                }
            }
            if link.down.is_empty()
                && let Some(Asks::AtOnce(api)) = link.up.front().map(|request| &request.asks)
            {
                let api = *api;
                let request = link.up.pop_front().expect("it is there");
                let bytes = broker_frames::at_once(&mut self.broker, &request, api);
                self.receive(place, &bytes);
                moved = true;
            }
        }
        moved
    }

    /// Lets all go well from here on: every record gets its last word, and one more is delivered.
    /// What still lies in closed sockets arrives first, or last.
    pub fn quiesce(&mut self, stragglers_first: bool) {
        (self.troubles, self.impatience) = (0, u8::MAX);
        let stragglers = |world: &mut Self| {
            while !world.ghosts.is_empty() {
                world.apply(Action::Straggle(0));
            }
        };
        if stragglers_first {
            stragglers(self);
        }
        self.run_until_told();
        stragglers(self);
        for other in [true, false] {
            if self.ledger.broken.is_some() {
                return;
            }
            self.apply(Action::Produce);
            self.run_until_told();
            match self.ledger.entries.last().map(|entry| entry.said) {
                Some(Said::Delivered(Some(_))) => return,
                // A leader that knows of nothing but a batch that was given up may have forgotten what came
                // after it, for all that the core can tell: so what is in doubt is lost, and no more.
                Some(Said::Unknown) if other => {}
                last => {
                    let how = format!("with all well again, a new record is told {last:?}");
                    self.ledger.broken.get_or_insert(how);
                }
            }
        }
    }

    fn run_until_told(&mut self) {
        for _ in 0..500 {
            let untold = |said| matches!(said, Said::Nothing | Said::UnknownYet);
            if self.ledger.broken.is_some()
                || !self.ledger.entries.iter().any(|entry| untold(entry.said))
            {
                return;
            }
            match self.routine() {
                Some(action) => self.apply(action),
                None if self.impatience > 0 && self.core.poll_timeout().is_some() => {
                    self.apply(Action::Wait);
                }
                None => break,
            }
        }
        let said: Vec<Said> = self.ledger.entries.iter().map(|entry| entry.said).collect();
        let how = format!("with all well again, records still wait for their last word: {said:?}");
        self.ledger.broken.get_or_insert(how);
    }
}
