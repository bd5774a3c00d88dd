//! The producer, its peers, and what is known of it from outside.

use std::collections::{BTreeMap, BTreeSet};

use core::time::Duration;

use ottla_core::{
    CompressionId, Config, ConnId, Credentials, Event, Instant, Memory, Outcome, Output, Payload,
    Producer, Sasl, TopicId, wire::record::Records,
};
use ottla_model::{Cluster, NodeId, sasl::Mechanism};
use ottla_scenario::{
    Dice, Ledger, PASSWORD, Said, Tap, Tape, USER,
    trace::{Lane, Recorder, Tone},
};

use super::{
    Tally,
    laws::Pace,
    peers::Wire,
    room::Lent,
    scene::{NAMES, Scene, TOPICS},
};

/// Ids that were given out, dead ones among them, and some of another producer.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pub(super) conns: Vec<ConnId>,
    pub(super) topics: Vec<TopicId>,
    pub(super) compressions: Vec<CompressionId>,
}

/// All there is.
#[derive(Debug)]
pub(super) struct Machine<'m> {
    /// What chooses.
    pub(super) dice: Tape,
    pub(super) producer: Producer<'m>,
    /// The latest time that the producer was told.
    pub(super) now: Instant,
    pub(super) cluster: Cluster,
    /// The connections that the producer knows of, and it has not ended.
    pub(super) wires: BTreeMap<ConnId, Wire>,
    /// Nodes that were to lie: how long they want to be left alone is not known.
    pub(super) liars: BTreeSet<NodeId>,
    pub(super) ledger: Ledger,
    pub(super) ids: Ids,
    pub(super) pace: Pace,
    pub(super) config: Config<'static>,
    pub(super) lent: Lent,
    pub(super) logs_in: bool,
    /// Batches that somebody took to be compressed, and did not answer.
    pub(super) owed: Vec<CompressionId>,
    /// Records that were taken out.
    pub(super) cancelled: Vec<u64>,
    /// Records before this one are answered.
    pub(super) answered: u64,
    /// A token is wanted.
    pub(super) wants_token: bool,
    /// By when everything is told, since the producer is closing.
    pub(super) closing: Option<Instant>,
    /// `Output::Closed` came.
    pub(super) closed: bool,
    connections: u64,
    pub(super) trace: Option<Recorder>,
}

impl<'m> Machine<'m> {
    /// `None` where the configuration or the memory is refused.
    pub(super) fn new(
        scene: &Scene,
        lent: Lent,
        memory: Memory<'m>,
        dice: Tape,
        trace: Option<Recorder>,
    ) -> Option<Self> {
        let producer = Producer::new(&scene.config, memory, scene.seed).ok()?;
        let mut cluster = Cluster::new(scene.cluster.clone());
        for (name, partitions) in NAMES.iter().zip(scene.partitions) {
            cluster.create_topic_with(name, partitions, scene.topic.clone()).expect("a topic");
        }
        if trace.is_some() {
            cluster.watch();
        }
        let mut ledger = Ledger::default();
        // Peers lie and forget here: offsets are not held against logs.
        ledger.unjudged = true;
        let mut machine = Self {
            dice,
            producer,
            now: Instant::from_micros(1_000),
            cluster,
            wires: BTreeMap::new(),
            liars: BTreeSet::new(),
            ledger,
            ids: Ids::default(),
            pace: Pace::new(&lent),
            config: scene.config,
            lent,
            logs_in: scene.logs_in,
            owed: Vec::new(),
            cancelled: Vec::new(),
            answered: 0,
            wants_token: false,
            closing: None,
            closed: false,
            connections: 0,
            trace,
        };
        if scene.logs_in {
            machine.log_in(PASSWORD);
        }
        machine.call(|| format!("{:?}; {lent:?}; {:?}", scene.config, scene.cluster));
        // What nearly every run needs.
        for name in &NAMES[..TOPICS] {
            let registered = machine.producer.topic(machine.now, name);
            machine.ids.topics.extend(registered.ok());
        }
        Some(machine)
    }

    pub(super) fn tell(&self, lane: Lane, tone: Tone, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().tell(self.now, lane, tone, text());
        }
    }

    /// A call is made, or something happens to it.
    pub(super) fn call(&self, text: impl FnOnce() -> String) {
        self.tell(Lane::Client, Tone::Plain, text);
    }

    /// What happened in the cluster goes into the trace.
    pub(super) fn hear(&mut self) {
        if let Some(trace) = &self.trace {
            while let Some(inside) = self.producer.poll_trace() {
                trace.borrow_mut().tell(
                    self.now,
                    Lane::Client,
                    Tone::Plain,
                    format!("within: {inside:?}"),
                );
            }
            let happenings = self.cluster.take_happenings();
            trace.borrow_mut().happened(self.now, None, happenings, &Tap::default());
        }
    }

    pub(super) fn time(&self) -> Duration {
        Duration::from_micros(self.now.as_micros())
    }

    pub(super) fn log_in(&mut self, password: &str) {
        let username = USER;
        fn entropy(buffer: &mut [u8]) -> bool {
            buffer.fill(b'e');
            true
        }
        // What derives keys takes as long as a thousand calls.
        let mechanism = match self.dice.roll(0, 31) {
            0 => Mechanism::ScramSha256,
            1 => Mechanism::ScramSha512,
            2..=15 => Mechanism::OAuthBearer,
            _ => Mechanism::Plain,
        };
        let credentials = match mechanism {
            Mechanism::Plain => Credentials::Plain { username, password },
            Mechanism::ScramSha256 => Credentials::ScramSha256 { username, password, entropy },
            Mechanism::ScramSha512 => Credentials::ScramSha512 { username, password, entropy },
            Mechanism::OAuthBearer => Credentials::OAuthBearer,
        };
        self.call(|| format!("set_sasl({credentials:?})"));
        self.wants_token = false;
        if let Ok(sasl) = Sasl::heap(&credentials) {
            self.producer.set_sasl(sasl.with_iterations_per_call(1_024));
        }
    }

    /// Takes all outputs; tells whether there was one.
    pub(super) fn drain(&mut self) -> bool {
        let most = self.most_outputs();
        for count in 0.. {
            if !self.output() {
                return count > 0;
            }
            assert!(count < most, "more than {most} outputs of one call: {:?}", self.producer);
        }
        false
    }

    /// Takes one output; tells whether there was one.
    pub(super) fn output(&mut self) -> bool {
        let had = self.producer.has_output();
        let Some(output) = self.producer.poll_output() else {
            assert!(!had, "there was to be an output");
            assert!(!self.producer.has_output(), "no output, and there is one");
            return false;
        };
        assert!(!self.closed, "after the last output: {output:?}");
        if !matches!(output, Output::Event(Event::BatchOutcome(_))) {
            self.tell(Lane::Client, Tone::Plain, || format!("is told: {output:?}"));
        }
        match output {
            Output::Connect(id) => self.dialled(id),
            Output::Disconnect(id) => self.hang_up(id),
            Output::WantToken => {
                assert!(!self.wants_token, "a token is wanted that is wanted already");
                self.wants_token = true;
            }
            Output::Event(Event::BatchOutcome(settled)) => {
                let ids = self.ledger.records_of(&settled);
                if let Some(trace) = &self.trace {
                    trace.borrow_mut().said(self.now, &ids, &settled);
                }
                self.take_back(&settled, ids.len());
                self.ledger.settled(self.now, &settled, &self.cluster);
            }
            Output::Event(Event::Topic(topic)) => {
                let known = self.producer.topic_status(topic);
                assert!(known.is_some(), "a topic that is none: {topic:?}");
            }
            Output::Event(Event::Disconnected { conn, .. }) => {
                self.wires.remove(&conn);
            }
            Output::Event(_) => {}
            Output::Closed => self.closed = true,
            _ => {}
        }
        true
    }

    /// Holds what is handed back with an event against what the event is about.
    fn take_back(&mut self, settled: &ottla_core::BatchOutcome, records: usize) {
        let payload = self.producer.payload(settled.batch);
        let bytes: Vec<u8> = payload.into_iter().flatten().flatten().copied().collect();
        let read = Records::new(&bytes).map(|record| record.expect("a record"));
        let kept = read.filter(|record| record.head.attributes & Payload::WITHDRAWN == 0).count();
        let keeps = settled.last && !matches!(settled.outcome, Outcome::Delivered { .. });
        assert_eq!(kept, if keeps { records } else { 0 }, "handed back with {settled:?}");
    }

    fn dialled(&mut self, id: ConnId) {
        let address = self.producer.address(id);
        let address = address.unwrap_or_else(|| panic!("dialled without an address: {id:?}"));
        assert!(!address.host.is_empty() && address.port > 0, "dialled at {address:?}");
        let found = self
            .cluster
            .nodes()
            .find(|node| self.cluster.address(*node) == Some((address.host, address.port)));
        self.connections += 1;
        self.pace.dialled(self.now);
        let before = self.wires.insert(id, Wire::dialling(found));
        assert!(before.is_none(), "dialled twice: {id:?}");
        self.ids.conns.push(id);
        assert!(
            self.wires.len() <= self.lent.connections as usize,
            "{} connections at a time",
            self.wires.len()
        );
    }

    pub(super) fn tally(&self, calls: u64) -> Tally {
        let stats = self.producer.stats();
        let count = |is: fn(&Said) -> bool| {
            self.ledger.entries().filter_map(|entry| entry.last).filter(is).count() as u64
        };
        Tally {
            made: true,
            calls,
            records: self.ledger.next_id(),
            delivered: count(|said| matches!(said, Said::Delivered(_))),
            not_delivered: count(|said| matches!(said, Said::NotDelivered(_))),
            unknown: count(|said| matches!(said, Said::Unknown(_))),
            requests: stats.requests,
            connections: self.connections,
        }
    }
}
