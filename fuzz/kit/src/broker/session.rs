//! Asking what a plan says, and taking down what comes back.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use ottla_core::wire::ErrorCode;

use super::{
    law::{Broken, Law},
    plan::{Flaw, Plan, Produce, Step, values_of},
    transcript::{Asked, Logged, Outcome, Transcript, Wrong, judge_offsets},
};
use crate::{
    batch::{Batch, ReadBatch},
    choice::{Choices, Seeded},
    generate::{World, generate},
    messages::{
        Api, Field, Kind, Meaning, Response, Struct, Value, VersionSpan, api_of, decode_request,
        decode_response,
    },
    mutate::{Keeps, Mutator, spoil},
    peer::{Peer, Ranges, Reply, request},
};

/// How many sequences share a topic.
const SEQUENCES_A_TOPIC: u32 = 20;
/// For how long an answer is awaited where more bytes were announced than are sent.
const SHORTLY: Duration = Duration::from_millis(50);
/// For how long Fetch may wait for records that nobody writes.
const FETCH_WAITS: Duration = Duration::from_millis(1_500);
/// The connection on which spoilt requests go.
const SPOILT: usize = 7;
/// The connection on which it is asked whether the broker lives.
const ALIVE: usize = 9;

/// A broker to which plans are put.
#[derive(Debug)]
pub struct Session {
    peer: Peer,
    prefix: String,
    partitions: i32,
    ranges: Ranges,
    answer_within: Duration,
    made: u32,
    runs: u32,
    topic: String,
    spoilt: String,
    /// Where the logs ended, by topic and partition.
    ends: BTreeMap<(String, i32), i64>,
}

impl Session {
    /// Begins; topics get names that begin with `prefix`.
    ///
    /// # Errors
    /// No topic can be made.
    pub fn new(
        peer: Peer,
        prefix: &str,
        partitions: i32,
        ranges: Ranges,
        answer_within: Duration,
    ) -> Result<Self> {
        let mut session = Self {
            peer,
            prefix: prefix.to_owned(),
            partitions,
            ranges,
            answer_within,
            made: 0,
            runs: 0,
            topic: String::new(),
            spoilt: String::new(),
            ends: BTreeMap::new(),
        };
        session.new_topics()?;
        Ok(session)
    }

    /// The broker.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// How many partitions the topic has.
    #[must_use]
    pub const fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The keys of the APIs that are spoken.
    #[must_use]
    pub fn apis(&self) -> Vec<i16> {
        self.ranges.keys().copied().collect()
    }

    /// Makes the next plan begin with new topics.
    pub const fn renew(&mut self) {
        self.runs = SEQUENCES_A_TOPIC;
    }

    /// Whether a new connection is answered.
    pub fn lives(&mut self) -> bool {
        let node = self.peer.seed();
        self.peer.hang_up(node, ALIVE);
        matches!(self.peer.ping(node, ALIVE), Ok(true))
    }

    /// Deletes the topics that were made. Returns how many are left, since the broker deletes none.
    ///
    /// # Errors
    /// There was no answer.
    pub fn clean_up(&mut self) -> Result<usize> {
        self.peer.delete_topics(&self.prefix)
    }

    fn new_topics(&mut self) -> Result<()> {
        self.made = self.made.saturating_add(1);
        self.topic = format!("{}-{}", self.prefix, self.made);
        self.spoilt = format!("{}-{}-spoilt", self.prefix, self.made);
        for topic in [self.topic.clone(), self.spoilt.clone()] {
            self.peer.create_topic(&topic, self.partitions)?;
        }
        // Where topics are made by asking for them, the broker says how many partitions they have.
        self.partitions = self.peer.partitions(&self.topic).min(self.partitions);
        Ok(())
    }

    /// Asks all that a plan says.
    ///
    /// # Errors
    /// The broker cannot be spoken to at all.
    pub fn run(&mut self, plan: &Plan) -> Result<Transcript> {
        if self.runs == SEQUENCES_A_TOPIC {
            self.runs = 0;
            self.new_topics()?;
        }
        self.runs += 1;
        let mut run = Run { producers: BTreeMap::new(), plan, spoilt_producer: None };
        let mut transcript =
            Transcript { was_read: self.peer.can_be_read(), ..Transcript::default() };
        for step in &plan.steps {
            let asked = match step {
                Step::Produce(produce) => self.produce(produce, &mut run)?,
                Step::Valid { api, seed } => self.valid(*api, *seed, &mut run)?,
                Step::Spoilt { api, mutator, seed } => {
                    self.spoilt(*api, mutator, *seed, &mut run)?
                }
            };
            transcript.asked.push(asked);
        }
        if !self.lives() {
            let within = self.answer_within;
            let what = format!("a new connection is not answered within {within:?}");
            transcript.broken.push(Broken::new(Law::Lives, None, what, String::new()));
            return Ok(transcript);
        }
        if transcript.was_read {
            self.read(&run, &mut transcript);
        }
        Ok(transcript)
    }

    fn read(&mut self, run: &Run<'_>, transcript: &mut Transcript) {
        let by_id: BTreeMap<i64, u8> =
            run.producers.iter().map(|(number, id)| (*id, *number)).collect();
        for (topic, chains) in [(self.topic.clone(), true), (self.spoilt.clone(), false)] {
            if !chains && run.spoilt_producer.is_none() {
                continue;
            }
            for partition in 0..self.partitions {
                let from = self.ends.get(&(topic.clone(), partition)).copied().unwrap_or(0);
                let (batches, end) = match self.peer.read_log(&topic, partition, from) {
                    Ok(read) => read,
                    Err(error) => {
                        let what = format!("{error:#}");
                        transcript.broken.push(Broken::new(
                            Law::Readable,
                            None,
                            what,
                            String::new(),
                        ));
                        continue;
                    }
                };
                self.ends.insert((topic.clone(), partition), end);
                let logged = batches.into_iter().map(|batch| Logged {
                    producer: by_id.get(&batch.producer_id).copied(),
                    batch: ReadBatch {
                        base_offset: batch.base_offset.saturating_sub(from),
                        ..batch
                    },
                });
                let logged: Vec<Logged> = logged.collect();
                judge_offsets(&logged, partition, &mut transcript.broken);
                if chains {
                    transcript.logs.insert(partition, logged);
                }
            }
        }
    }

    fn range(&self, key: i16) -> Option<(&'static Api, VersionSpan)> {
        Some((api_of(key)?, *self.ranges.get(&key)?))
    }

    fn produce(&mut self, step: &Produce, run: &mut Run<'_>) -> Result<Asked> {
        let (api, range) = self.range(0).context("Produce is not spoken")?;
        let spread = i32::from(range.max) - i32::from(range.min);
        let version = i32::from(range.min) + spread * i32::from(step.version) / 255;
        let version = i16::try_from(version).unwrap_or(range.max);
        let producer_id = match step.producer {
            None => -1,
            Some(number) => match run.producers.get(&number) {
                Some(id) => *id,
                None => {
                    let id = self.peer.new_producer()?;
                    run.producers.insert(number, id);
                    id
                }
            },
        };
        let batch = batch_of(step, run.plan.seed, producer_id);
        let partition = step.partition.min(self.partitions.saturating_sub(1));
        let told = Struct::of([
            ("index", i64::from(partition).into()),
            ("records", Value::Bytes(batch.encode())),
        ]);
        let topic = Struct::of([
            ("name", self.topic.as_str().into()),
            ("topic_id", Value::Uuid(self.peer.topic_id(&self.topic))),
            ("partitions", Value::Array(vec![Value::Struct(told)])),
        ]);
        let body = Struct::of([
            ("acks", i64::from(step.acks).into()),
            ("timeout_ms", 5_000.into()),
            ("topics", Value::Array(vec![Value::Struct(topic)])),
        ]);
        let leader = self.peer.leader(&self.topic, partition);
        let connection = 1 + usize::from(step.connection);
        let correlation_id = self.peer.next_correlation_id();
        let bytes = request(api, version, correlation_id, body).encode().bytes;
        if step.acks == 0 {
            self.peer.send(leader, connection, &bytes)?;
            // What comes after it on the connection is done after it.
            let outcome = match self.peer.ping(leader, connection) {
                Ok(true) => Outcome::NotAsked,
                _ => Outcome::Closed,
            };
            return Ok(Asked {
                version,
                at: String::new(),
                bytes: Vec::new(),
                outcome,
                broken: Vec::new(),
            });
        }
        let reply = self.peer.exchange(leader, connection, &bytes, self.answer_within)?;
        let mut asked = self.read_reply(api, version, correlation_id, &reply, true);
        let base = self.ends.get(&(self.topic.clone(), partition)).copied().unwrap_or(0);
        if let Outcome::Told { offset: Some(offset), errors } = &mut asked.outcome {
            // -1 is none.
            if *offset >= 0 && errors == &[0] {
                *offset = offset.saturating_sub(base);
            }
        }
        Ok(asked)
    }

    fn world(&mut self, run: &mut Run<'_>, wild: bool) -> Result<World> {
        let producer_id = match run.spoilt_producer {
            Some(id) => id,
            None => {
                let id = self.peer.new_producer()?;
                run.spoilt_producer = Some(id);
                id
            }
        };
        Ok(World {
            topics: vec![self.spoilt.clone()],
            topic_ids: vec![self.peer.topic_id(&self.spoilt)],
            partitions: self.partitions,
            nodes: self.peer.node_ids(),
            producer_id,
            now_ms: now_ms(),
            wild,
        })
    }

    fn valid(&mut self, key: i16, seed: u64, run: &mut Run<'_>) -> Result<Asked> {
        let Some((api, range)) = self.range(key) else {
            return Ok(Asked::not_sent());
        };
        let mut choices = Seeded::new(seed);
        let version = version_of(range, &mut choices);
        let world = self.world(run, false)?;
        let body = generate(&api.request, version, &world, &mut choices);
        let correlation_id = self.peer.next_correlation_id();
        let bytes = request(api, version, correlation_id, body).encode().bytes;
        let node = self.peer.leader(&self.spoilt, 0);
        let reply = self.peer.exchange(node, 1, &bytes, self.answer_within)?;
        let asked = self.read_reply(api, version, correlation_id, &reply, true);
        Ok(Asked { bytes, ..asked }.without_offset())
    }

    fn spoilt(&mut self, key: i16, mutator: &str, seed: u64, run: &mut Run<'_>) -> Result<Asked> {
        let (Some((api, range)), Some(mutator)) = (self.range(key), Mutator::of(mutator)) else {
            return Ok(Asked::not_sent());
        };
        let mut choices = Seeded::new(seed);
        let version = version_of(range, &mut choices);
        // What makes topics is spoilt in one thing alone.
        let wild = key != 19 && choices.once_in(3);
        let world = self.world(run, wild)?;
        let mut body = generate(&api.request, version, &world, &mut choices);
        if key == 3 {
            // Names that nobody has are not to become topics, where that can be said.
            body.set("allow_auto_topic_creation", 0.into());
        }
        let correlation_id = self.peer.next_correlation_id();
        let frame = request(api, version, correlation_id, body);
        let Some(made) = spoil(&frame, mutator, &mut choices) else {
            return Ok(Asked::not_sent());
        };
        let node = self.peer.leader(&self.spoilt, 0);
        let mut asked = self.put(node, &made.bytes, mutator)?;
        (asked.at, asked.bytes, asked.version) = (made.at, made.bytes, version);
        Ok(asked)
    }

    /// Sends a spoilt request with a sound one behind it, which says whether one is awaited for the first.
    fn put(
        &mut self,
        node: core::net::SocketAddr,
        bytes: &[u8],
        mutator: Mutator,
    ) -> Result<Asked> {
        self.peer.hang_up(node, SPOILT);
        let head =
            bytes.get(4..12).and_then(|head| <[u8; 8]>::try_from(head).ok()).unwrap_or_default();
        let [k0, k1, v0, v1, c0, c1, c2, c3] = head;
        let (key, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
        let correlation_id = i32::from_be_bytes([c0, c1, c2, c3]);
        let told = api_of(key).filter(|api| api.versions.contains(version));
        let plain = |outcome| Asked {
            version,
            at: String::new(),
            bytes: Vec::new(),
            outcome,
            broken: Vec::new(),
        };
        if mutator.keeps() == Keeps::Nothing {
            let reply = self.peer.exchange(node, SPOILT, bytes, SHORTLY)?;
            self.peer.hang_up(node, SPOILT);
            return Ok(plain(match reply {
                Reply::Answer(_) => Outcome::Told { errors: Vec::new(), offset: None },
                Reply::Closed => Outcome::Closed,
                Reply::Silent => Outcome::Waits,
                Reply::TooLarge(_) => Outcome::Unreadable,
            }));
        }
        let versions = api_of(18).context("the table has no ApiVersions")?;
        let ping_id = correlation_id.wrapping_add(1_000_000);
        let ping = request(versions, 0, ping_id, Struct::default()).encode().bytes;
        let within = if key == 1 { FETCH_WAITS } else { self.answer_within };
        let reply = self.peer.exchange(node, SPOILT, &[bytes, &ping].concat(), within)?;
        let asked = match &reply {
            Reply::Answer(answer) if answer.get(..4) == Some(&ping_id.to_be_bytes()) => {
                plain(Outcome::NotAsked)
            }
            Reply::Silent if key == 1 => plain(Outcome::Waits),
            reply => match told {
                Some(api) => {
                    // What is still a request of its version is answered as one.
                    let sound = bytes.get(4..).is_some_and(|frame| decode_request(frame).is_ok());
                    self.read_reply(api, version, correlation_id, reply, sound).without_offset()
                }
                None => plain(match reply {
                    Reply::Answer(_) => Outcome::Told { errors: Vec::new(), offset: None },
                    Reply::Closed => Outcome::Closed,
                    Reply::Silent => Outcome::Silent,
                    Reply::TooLarge(_) => Outcome::Unreadable,
                }),
            },
        };
        self.peer.hang_up(node, SPOILT);
        Ok(asked)
    }

    /// What an answer says, and what is wrong with it. `strictly` is for requests that are as they should be.
    fn read_reply(
        &self,
        api: &'static Api,
        version: i16,
        correlation_id: i32,
        reply: &Reply,
        strictly: bool,
    ) -> Asked {
        let mut asked = Asked {
            version,
            at: String::new(),
            bytes: Vec::new(),
            outcome: Outcome::Silent,
            broken: Vec::new(),
        };
        let Reply::Answer(bytes) = reply else {
            asked.outcome = match reply {
                Reply::Closed => Outcome::Closed,
                Reply::TooLarge(size) => {
                    asked.wrong(Law::Reads, api.name, format!("an answer of {size} bytes"));
                    Outcome::Unreadable
                }
                _ => Outcome::Silent,
            };
            return asked;
        };
        // A version of ApiVersions that is not spoken is answered in version 0, with an error.
        let read = decode_response(api, version, bytes).or_else(|error| {
            let plain = decode_response(api, 0, bytes).ok().filter(|_| api.key == 18);
            plain.filter(|plain| plain.body.int("error_code") != 0).ok_or(error)
        });
        let Response { correlation_id: told, body } = match read {
            Ok(read) => read,
            Err(error) => {
                let what = format!("the answer to {} v{version} is none: {error}", api.name);
                asked.wrong(Law::Reads, api.name, what);
                asked.outcome = Outcome::Unreadable;
                return asked;
            }
        };
        if told != correlation_id {
            let what = format!("the answer bears {told} and not {correlation_id}");
            asked.wrong(Law::Reads, api.name, what);
        }
        let mut errors = Vec::new();
        collect(&api.response, &body, &mut errors);
        errors.sort_unstable();
        errors.dedup();
        for error in errors.iter().filter(|error| strictly || **error == -1) {
            if *error == -1 {
                let what = format!("{} v{version}: UNKNOWN_SERVER_ERROR", api.name);
                asked.wrong(Law::NoException, api.name, what);
            } else if !api.errors.contains(&ErrorCode(*error)) {
                let what = format!("{} v{version}: {}", api.name, ErrorCode(*error));
                let kind = format!("{} {}", api.name, ErrorCode(*error));
                asked.wrong(Law::KnownError, &kind, what);
            }
        }
        let partitions = body.structs("topics").flat_map(|topic| topic.structs("partitions"));
        let offset = partitions.last().filter(|_| api.key == 0).map(|told| told.int("base_offset"));
        asked.outcome = Outcome::Told { errors, offset };
        asked
    }
}

impl Asked {
    fn wrong(&mut self, law: Law, kind: &str, what: String) {
        self.broken.push(Wrong { law, what, kind: kind.to_owned() });
    }

    /// Where the log ends of what is not read back is nothing to speak of.
    fn without_offset(mut self) -> Self {
        if let Outcome::Told { offset, .. } = &mut self.outcome {
            *offset = None;
        }
        self
    }

    const fn not_sent() -> Self {
        Self {
            version: -1,
            at: String::new(),
            bytes: Vec::new(),
            outcome: Outcome::NotSent,
            broken: Vec::new(),
        }
    }
}

/// What belongs to one run of a plan.
struct Run<'a> {
    plan: &'a Plan,
    /// The ids of the plan's producers.
    producers: BTreeMap<u8, i64>,
    /// That of whoever makes requests up.
    spoilt_producer: Option<i64>,
}

fn version_of(range: VersionSpan, choices: &mut dyn Choices) -> i16 {
    let count = usize::try_from(i32::from(range.max) - i32::from(range.min) + 1).unwrap_or(1);
    range.min.saturating_add(i16::try_from(choices.below(count)).unwrap_or(0))
}

/// The error codes of an answer.
fn collect(fields: &[Field], value: &Struct, errors: &mut Vec<i16>) {
    for field in fields {
        let Some(value) = value.get(field.name) else {
            continue;
        };
        if field.meaning == Meaning::Error {
            errors.push(i16::try_from(value.int()).unwrap_or(0));
        }
        match &field.kind {
            Kind::Array(kind) => {
                if let Kind::Struct(fields) = &**kind {
                    value.structs().for_each(|value| collect(fields, value, errors));
                }
            }
            Kind::Struct(fields) => {
                if let Some(value) = value.fields() {
                    collect(fields, value, errors);
                }
            }
            _ => {}
        }
    }
}

fn batch_of(step: &Produce, seed: u64, producer_id: i64) -> Batch {
    let values = values_of(step, seed);
    let records = i32::try_from(values.len()).unwrap_or(0);
    let mut batch = Batch {
        producer_id,
        epoch: step.epoch,
        sequence: step.sequence,
        ..Batch::new(values, now_ms())
    };
    match step.flaw {
        Some(Flaw::Crc) => batch.crc = 1,
        Some(Flaw::CountMore) => batch.count = Some(records.saturating_add(1)),
        Some(Flaw::LastOffset) => batch.last_offset_delta = Some(records),
        Some(Flaw::Transactional) => batch.attributes = 0x10,
        Some(Flaw::Control) => batch.attributes = 0x20,
        Some(Flaw::Codec) => batch.attributes = 7,
        Some(Flaw::BaseOffset) => batch.base_offset = 5,
        Some(Flaw::Magic) => batch.magic = 1,
        Some(Flaw::Empty) | None => {}
    }
    batch
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
