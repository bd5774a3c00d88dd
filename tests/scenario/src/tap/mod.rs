//! A wire tap: what the core sends, held against the invariants I1 to I8 of the semantics at every
//! step.
//!
//! The tap believes nothing that the core says of itself. It sees what a passive box on the cable
//! sees, requests as they leave and answers as they arrive, and it knows which records were settled.

mod chain;
mod wire;

use std::collections::{BTreeMap, VecDeque};

use ottla_core::{
    ConnId, Instant,
    wire::{ApiKey, ErrorCode, record::BatchHeader},
};
use ottla_model::{Cluster, NodeId};

use chain::Chains;
use wire::{Answers, Heard, Part};

use crate::ledger::Ledger;

/// A batch that left the core, completely or in part, as often as it did.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When its first byte left.
    pub at: Instant,
    /// On which connection.
    pub conn: ConnId,
    /// To which node.
    pub node: NodeId,
    /// The number of the request.
    pub correlation_id: i32,
    /// The version of the request.
    pub version: i16,
    /// Its topic's name.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its header, as it left.
    pub header: BatchHeader,
    /// The numbers of its records; of foreign records there is none.
    pub ids: Vec<u64>,
    /// How many bytes the whole request has.
    pub request_len: usize,
    /// Whether all of the request left.
    pub complete: bool,
    /// When and what the broker answered.
    pub answer: Option<(Instant, ErrorCode)>,
    /// Nothing more can come of this attempt: answered, or its connection is over.
    pub over: bool,
}

/// A request that left.
#[derive(Debug)]
struct Request {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
    complete: bool,
    /// Its batches, by their place in `Tap::sent`.
    batches: Vec<usize>,
}

/// A request that waits for its socket: its bytes, and the partitions that were proven when it was
/// made.
type Ready = (Vec<u8>, Vec<(String, i32)>);

/// A connection as the tap sees it.
#[derive(Debug, Default)]
struct Cable {
    /// The request that is being written, as it was when its first byte left.
    whole: Vec<u8>,
    written: usize,
    /// The request that is ready and of which the socket has taken nothing yet.
    ready: Option<Ready>,
    requests: VecDeque<Request>,
    answers: Answers,
}

/// The tap.
#[derive(Debug, Default)]
pub struct Tap {
    /// Every batch that left, in order, once for each time that it left.
    pub sent: Vec<Sent>,
    cables: BTreeMap<ConnId, Cable>,
    chains: Chains,
    /// The names of topic ids, also of topics that are no more.
    names: BTreeMap<[u8; 16], String>,
}

impl Tap {
    /// What was sent to a partition, in order.
    pub fn to(&self, topic: &str, partition: i32) -> impl Iterator<Item = &Sent> {
        let topic = topic.to_owned();
        self.sent.iter().filter(move |sent| sent.topic == topic && sent.partition == partition)
    }

    /// The attempts at the batch that holds a record.
    pub fn attempts(&self, id: u64) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(move |sent| sent.ids.contains(&id))
    }

    /// A test moved a partition's chain: nothing that was sent before has to do with what comes.
    pub fn forget(&mut self, topic: &str, partition: i32) {
        self.chains.forget(topic, partition);
    }

    /// The core is about to write the first `len` bytes of these.
    ///
    /// # Panics
    ///
    /// Where an invariant is broken.
    pub fn writes(
        &mut self,
        now: Instant,
        place: Place,
        offered: &[u8],
        len: usize,
        view: View<'_>,
    ) {
        if len == 0 {
            self.look_ahead(place, offered, view);
            return;
        }
        let cable = self.cables.entry(place.conn).or_default();
        if cable.written == cable.whole.len() {
            cable.whole = offered.to_vec();
            cable.written = 0;
            self.begin(now, place, view);
        }
        let cable = self.cables.entry(place.conn).or_default();
        // I8: what the socket has not taken yet stays as it was.
        assert_eq!(offered, &cable.whole[cable.written..], "bytes changed under the socket's hand");
        cable.written += len;
        if cable.written == cable.whole.len()
            && let Some(request) = cable.requests.back_mut()
        {
            request.complete = true;
            for index in &request.batches {
                self.sent[*index].complete = true;
            }
        }
    }

    /// Takes note of what was proven when a request was made whose first byte has to wait: an
    /// error that comes meanwhile is not held against it.
    fn look_ahead(&mut self, place: Place, offered: &[u8], view: View<'_>) {
        self.learn_names(view);
        let Self { cables, chains, names, .. } = self;
        let cable = cables.entry(place.conn).or_default();
        let begun = cable.written < cable.whole.len();
        let known = cable.ready.as_ref().is_some_and(|(ready, _)| ready == offered);
        if begun || known {
            return;
        }
        let (header, body) = wire::request_header(offered);
        if header.api_key != ApiKey::PRODUCE {
            return;
        }
        let parts = wire::batches(body, header.api_version);
        let parts = parts.iter().map(|part| (name_of(names, part), part));
        let proven = parts.filter(|(topic, part)| chains.is_proven(topic, part, place.node));
        let proven = proven.map(|(topic, part)| (topic, part.partition)).collect();
        cable.ready = Some((offered.to_vec(), proven));
    }

    fn learn_names(&mut self, view: View<'_>) {
        for name in view.cluster.topics() {
            for id in view.cluster.lives(name) {
                self.names.entry(id.0).or_insert_with(|| name.to_owned());
                // What a hostile node makes of it.
                self.names.entry(id.0.map(|byte| !byte)).or_insert_with(|| name.to_owned());
            }
        }
    }

    /// Takes apart a request whose first byte leaves.
    fn begin(&mut self, now: Instant, place: Place, view: View<'_>) {
        self.learn_names(view);
        let Self { sent, cables, chains, names } = self;
        let cable = cables.entry(place.conn).or_default();
        let ready = cable.ready.take().filter(|(ready, _)| *ready == cable.whole);
        let proven = ready.map(|(_, proven)| proven).unwrap_or_default();
        let (header, body) = wire::request_header(&cable.whole);
        let mut request = Request {
            correlation_id: header.correlation_id,
            api: header.api_key,
            version: header.api_version,
            complete: false,
            batches: Vec::new(),
        };
        if request.api == ApiKey::PRODUCE {
            for part in wire::batches(body, header.api_version) {
                let topic = name_of(names, &part);
                if part.topic.name.is_none() {
                    // Its answer bears the same id.
                    names.entry(part.topic.id.0).or_insert_with(|| topic.clone());
                }
                let twice = request.batches.iter().any(|index: &usize| {
                    sent[*index].topic == topic && sent[*index].partition == part.partition
                });
                assert!(!twice, "two batches for {topic}-{} in one request", part.partition);
                let batch = Sent {
                    at: now,
                    conn: place.conn,
                    node: place.node,
                    correlation_id: header.correlation_id,
                    version: header.api_version,
                    topic,
                    partition: part.partition,
                    header: part.header,
                    ids: part.records.iter().filter_map(|record| record.id).collect(),
                    request_len: cable.whole.len(),
                    complete: false,
                    answer: None,
                    over: false,
                };
                let proven = proven.contains(&(batch.topic.clone(), batch.partition));
                chains.exposed(sent, &batch, &part, view.ledger, proven);
                request.batches.push(sent.len());
                sent.push(batch);
            }
        }
        cable.requests.push_back(request);
    }

    /// The core is about to read these bytes.
    pub fn reads(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        let Self { sent, cables, chains, names } = self;
        let Some(cable) = cables.get_mut(&conn) else { return };
        let Cable { answers, requests, .. } = cable;
        answers.push(bytes);
        loop {
            let front = requests.front().filter(|request| request.complete);
            let asked = front.map(|request| (request.correlation_id, request.api, request.version));
            match answers.next(asked) {
                Heard::Nothing => return,
                Heard::Partition { topic, id, partition, error } => {
                    let Some(request) = requests.front() else { return };
                    let name = topic.or_else(|| names.get(&id).cloned()).unwrap_or_default();
                    let about = request.batches.iter().find(|index| {
                        let batch = &sent[**index];
                        batch.topic == name && batch.partition == partition && !batch.over
                    });
                    if let Some(index) = about {
                        let batch = &mut sent[*index];
                        batch.answer = Some((now, error));
                        batch.over = true;
                        chains.answered(batch, error);
                    }
                }
                Heard::End => {
                    let request = requests.pop_front().expect("an answer is to a request");
                    for index in request.batches {
                        if !sent[index].over {
                            sent[index].over = true;
                            chains.lost(&sent[index]);
                        }
                    }
                }
            }
        }
    }

    /// A connection is over.
    pub fn closed(&mut self, conn: ConnId) {
        let Some(cable) = self.cables.remove(&conn) else { return };
        for index in cable.requests.into_iter().flat_map(|request| request.batches) {
            if !self.sent[index].over {
                self.sent[index].over = true;
                self.chains.lost(&self.sent[index]);
            }
        }
    }

    /// The core says that these records are not in the log.
    ///
    /// # Panics
    ///
    /// Where one may be in it (I7): an attempt at it left as a whole and was not refused.
    pub fn denied(&self, ids: &[u64]) {
        for id in ids {
            self.chains.denied(*id);
        }
    }
}

/// The name of a topic that is written to. An id that nobody knows was made up by a hostile node, and
/// stands for the only topic that there is.
fn known(names: &BTreeMap<[u8; 16], String>, id: &[u8; 16]) -> Option<String> {
    let first = || names.values().next().filter(|first| names.values().all(|name| name == *first));
    names.get(id).or_else(first).cloned()
}

/// The name of a batch's topic.
fn name_of(names: &BTreeMap<[u8; 16], String>, part: &Part<'_>) -> String {
    match part.topic.name {
        Some(name) => name.to_owned(),
        None => {
            let name = known(names, &part.topic.id.0);
            name.unwrap_or_else(|| format!("{:?}", part.topic.id))
        }
    }
}

/// A connection and where it leads.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The connection.
    pub conn: ConnId,
    /// The node at the other end.
    pub node: NodeId,
}

/// What the tap knows beside the cable.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// For the names of topic ids.
    pub cluster: &'a Cluster,
    /// For what is settled.
    pub ledger: &'a Ledger,
}
