//! What happened in a run, in order: for people who look for what went wrong.
//!
//! Nothing is recorded unless [`World::record`](crate::World::record) asks for it.

mod html;
mod observe;

use core::{cell::RefCell, fmt};
use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use ottla_core::{BatchOutcome, ConnId, Instant, Verdict, wire::ApiKey};
use ottla_model::NodeId;

use crate::ledger::Said;

pub use html::Page;

/// A trace that outlives a run that ends in a panic.
pub type Recorder = Rc<RefCell<Trace>>;

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// In the core, or at its face.
    Client,
    /// Between the two.
    Network,
    /// At a broker.
    Broker(NodeId),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.pad("client"),
            Self::Network => f.pad("network"),
            Self::Broker(node) => f.pad(&format!("broker {node}")),
        }
    }
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What must be read to follow the story.
    Plain,
    /// What belongs to every run: connections, metadata.
    Faint,
    /// A record is delivered.
    Delivered,
    /// A record is not delivered.
    NotDelivered,
    /// It is not known what becomes of a record.
    Unknown,
    /// Trouble that was made.
    Trouble,
}

impl Tone {
    /// How a cancel sounds.
    #[must_use]
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::NotDelivered => Self::NotDelivered,
            Verdict::Unknown => Self::Unknown,
            Verdict::AlreadySettled | _ => Self::Plain,
        }
    }
}

/// A message on its way: from the event that it leaves to the one that it arrives at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leg {
    /// The connection, counted from 1.
    pub conn: u32,
    /// The request's number.
    pub correlation_id: i32,
    /// The answer, and not the request.
    pub answer: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// Where.
    pub lane: Lane,
    /// What kind of thing.
    pub tone: Tone,
    /// What, in one line.
    pub text: String,
    /// The numbers of the records that it is about.
    pub records: Vec<u64>,
    /// Messages that begin here.
    pub leaves: Vec<Leg>,
    /// Messages that end here as they should.
    pub arrives: Vec<Leg>,
    /// Messages that end here and never arrive.
    pub loses: Vec<Leg>,
}

/// A request as the trace follows it.
#[derive(Debug)]
struct Request {
    correlation_id: i32,
    api: ApiKey,
    bytes: usize,
    written: usize,
    records: Vec<u64>,
}

/// A connection as the trace follows it.
#[derive(Debug)]
struct Cable {
    number: u32,
    node: NodeId,
    requests: VecDeque<Request>,
    inbox: Vec<u8>,
    /// What comes is no answer to anything.
    deaf: bool,
}

/// What happened, in order.
#[derive(Debug, Default)]
pub struct Trace {
    /// All of it.
    pub events: Vec<Event>,
    cables: BTreeMap<ConnId, Cable>,
    connections: u32,
}

impl Trace {
    /// A trace to be handed to a world.
    #[must_use]
    pub fn recorder() -> Recorder {
        Recorder::default()
    }

    /// Something happened.
    pub fn tell(&mut self, at: Instant, lane: Lane, tone: Tone, text: impl Into<String>) {
        self.event(at, lane, tone, text.into());
    }

    fn event(&mut self, at: Instant, lane: Lane, tone: Tone, text: String) -> &mut Event {
        self.events.push(Event {
            at,
            lane,
            tone,
            text,
            records: Vec::new(),
            leaves: Vec::new(),
            arrives: Vec::new(),
            loses: Vec::new(),
        });
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    /// A record was produced.
    pub(crate) fn produced(&mut self, at: Instant, id: u64) {
        if let Some(last) = self.events.last_mut()
            && last.at == at
            && last.text.starts_with("produce ")
        {
            last.records.push(id);
            last.text = format!("produce {}", Records(&last.records));
            return;
        }
        let text = format!("produce {}", Records(&[id]));
        self.event(at, Lane::Client, Tone::Plain, text).records = vec![id];
    }

    /// Something was said of records.
    pub fn said(&mut self, at: Instant, ids: &[u64], settled: &BatchOutcome) {
        let (partition, how) = (settled.partition, if settled.late { "late, " } else { "" });
        let (tone, what) = match Said::of(&settled.outcome, 0) {
            Said::Delivered(Some(offset)) => {
                (Tone::Delivered, format!("Delivered (partition {partition}, offset {offset})"))
            }
            Said::Delivered(None) => (Tone::Delivered, "Delivered, offset unknown".to_owned()),
            Said::NotDelivered(cause) => (Tone::NotDelivered, format!("NotDelivered ({cause})")),
            Said::Unknown(cause) => (Tone::Unknown, format!("Unknown ({cause})")),
        };
        let text = format!("{}: {how}{what}", Records(ids));
        self.event(at, Lane::Client, tone, text).records = ids.to_vec();
    }

    /// The run as lines to read, what belongs to every run left out.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let told = self.events.iter().filter(|event| event.tone != Tone::Faint);
        told.map(|event| format!("{:>12} ms  {:<10}{}", millis(event.at), event.lane, event.text))
            .collect()
    }
}

/// A time in milliseconds, to the microsecond.
fn millis(at: Instant) -> String {
    let micros = at.as_micros();
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

/// Records by their numbers, runs of them drawn together.
struct Records<'a>(&'a [u64]);

impl fmt::Display for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b);
        f.write_str(if self.0.len() == 1 { "record " } else { "records " })?;
        for (place, run) in runs.enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            match run {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}–{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}
