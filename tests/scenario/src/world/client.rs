//! What the world does as the producer's caller: records, and what is told of them.

use core::time::Duration;

use ottla_core::{
    BatchOutcome, Event, Header, Outcome, Output, Payload, ProduceError, Record, TopicId,
    TopicStatus, Verdict, wire::record::Records,
};

use super::{Shape, Socket, World};
use crate::{
    dice::{Dice, Random},
    ledger::number_of,
    trace::{Lane, Tone},
};

impl World<'_> {
    /// Registers a topic and runs until its partitions are known.
    ///
    /// # Panics
    ///
    /// Where they are not known within ten seconds.
    pub fn topic(&mut self, name: &str) -> TopicId {
        let topic = self.producer.topic(self.now, name).unwrap_or_else(|error| panic!("{error}"));
        let ready = |world: &Self| {
            matches!(world.producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
        };
        assert!(self.run_until(Duration::from_secs(10), ready), "topic {name} is not ready");
        topic
    }

    /// Produces a record that bears its own number, padded to `len` bytes.
    ///
    /// # Errors
    ///
    /// As [`Producer::produce`](ottla_core::Producer::produce).
    pub fn produce(
        &mut self,
        topic: TopicId,
        partition: Option<i32>,
        len: usize,
    ) -> Result<u64, ProduceError> {
        let id = self.ledger.next_id();
        let mut value = id.to_be_bytes().to_vec();
        value.resize(len.max(8), b'.');
        if (self.noisy)(id) {
            let mut noise = Random::new(id);
            value.iter_mut().skip(8).for_each(|byte| *byte = noise.roll(0, 255) as u8);
        }
        let timestamp = self.dated.at(self.now);
        let key = (self.keyed)(id).then_some(&b"key"[..]);
        let (number, null) = (id.to_be_bytes(), Header { key: "null", value: None });
        let headers = [Header { key: "", value: Some(b"of no name") }, null];
        let record = Record { partition, key, value: Some(&value), timestamp, headers: &[] };
        let record = match (self.shape)(id) {
            Shape::Value => record,
            Shape::Tombstone => Record { key: Some(&number), value: None, ..record },
            Shape::Headers => Record { key: Some(b""), headers: &headers, ..record },
        };
        let ticket = self.producer.produce(self.now, topic, &record)?;
        let name = self.producer.topic_name(topic).unwrap_or_default().to_owned();
        if let Some(trace) = &self.trace {
            trace.borrow_mut().produced(self.now, id);
        }
        Ok(self.ledger.produced(self.now, &name, ticket))
    }

    /// Cancels a record.
    pub fn cancel(&mut self, id: u64) -> Verdict {
        let verdict = self.producer.cancel(self.now, self.ledger.ticket(id));
        if verdict == Verdict::NotDelivered {
            self.tap.denied(&[id]);
        }
        self.tell(Lane::Client, Tone::of(verdict), || format!("cancel record {id}: {verdict:?}"));
        self.ledger.cancelled(self.now, id, verdict);
        verdict
    }

    /// Closes the core and runs until it is closed.
    ///
    /// # Panics
    ///
    /// Where that takes longer than it may.
    pub fn close(&mut self, within: Duration) {
        self.tell(Lane::Client, Tone::Plain, || format!("close within {within:?}"));
        self.producer.close(self.now, self.now.after(within));
        let closed = self.run_until(within + Duration::from_millis(1), |world| world.closed);
        assert!(closed, "not closed in time: {:?}", self.producer);
    }

    /// Has an idle partition's chain go on at this epoch and sequence; tells whether the core did.
    pub fn go_on_at(&mut self, topic: TopicId, partition: i32, epoch: i16, sequence: i32) -> bool {
        let moved = self.producer.internal_go_on_at(topic, partition as u32, epoch, sequence);
        if moved {
            let name = self.producer.topic_name(topic).unwrap_or_default().to_owned();
            self.tap.forget(&name, partition);
        }
        moved
    }

    /// Holds what is handed back with an event against what the event is about.
    fn take_back(&mut self, settled: &BatchOutcome) {
        let payload = self.producer.payload(settled.batch);
        let bytes: Vec<u8> = payload.into_iter().flatten().flatten().copied().collect();
        let records = Records::new(&bytes).map(|record| record.expect("a record"));
        let kept = records.filter(|record| record.head.attributes & Payload::WITHDRAWN == 0);
        let back: Vec<u64> =
            kept.filter_map(|record| number_of(record.key, record.value)).collect();
        let keeps = settled.last && !matches!(settled.outcome, Outcome::Delivered { .. });
        let due = if keeps { self.ledger.records_of(settled) } else { Vec::new() };
        assert_eq!(back, due, "handed back with {settled:?}");
        self.returned.extend(back.into_iter().map(|id| (id, settled.outcome)));
    }

    pub(super) fn drain(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.producer.poll_output() {
            moved = true;
            assert!(!self.closed, "after the last output: {output:?}");
            match output {
                Output::Connect(id) => self.dial(id),
                Output::Disconnect(id) => {
                    if matches!(self.sockets.get(&id), Some(Socket::Opening(..))) {
                        self.sockets.remove(&id);
                    }
                    self.hang_up(id, "by the client");
                }
                Output::Event(Event::BatchOutcome(settled)) => {
                    if !matches!(settled.outcome, Outcome::Delivered { .. }) {
                        self.last_failed = Some((settled, self.producer.last_error(settled.batch)));
                    }
                    if let Outcome::Delivered { base_offset, .. } = settled.outcome {
                        self.last_base_offset = base_offset;
                    }
                    if let Outcome::Delivered { log_append_time: Some(time), .. } = settled.outcome
                    {
                        self.last_append_time = Some(time);
                    }
                    if self.ignore_verdicts {
                        continue;
                    }
                    if matches!(settled.outcome, Outcome::NotDelivered(_)) {
                        self.tap.denied(&self.ledger.records_of(&settled));
                    }
                    if let Some(trace) = &self.trace {
                        let ids = self.ledger.records_of(&settled);
                        trace.borrow_mut().said(self.now, &ids, &settled);
                    }
                    self.take_back(&settled);
                    self.ledger.settled(self.now, &settled, &self.cluster);
                }
                Output::Event(event) => {
                    self.tell(Lane::Client, Tone::Faint, || {
                        if let Event::Disconnected { cause, .. } = &event {
                            format!("is told that a connection ended: {cause}")
                        } else {
                            format!("is told: {event:?}")
                        }
                    });
                    self.events.push((self.now, event));
                }
                Output::Closed => {
                    self.tell(Lane::Client, Tone::Plain, || "closed".to_owned());
                    self.closed = true;
                    assert!(self.sockets.is_empty(), "connections outlive the last output");
                }
                Output::WantToken => self.want_token(),
                other => panic!("output {other:?}"),
            }
        }
        assert!(!self.producer.has_output(), "no output was told, and there is one");
        moved
    }
}
