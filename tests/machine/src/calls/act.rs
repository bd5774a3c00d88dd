//! One call, or something that happens to the producer, as the input says.

use core::time::Duration;

use ottla_core::{
    BatchId, Compressed, CompressionId, ConnId, Disconnect, Header, Instant, Record, Ticket, Token,
    TopicId, Verdict,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, BaseOffset, Fault, Lie, NodeId};
use ottla_scenario::{
    Dice, PASSWORD,
    trace::{Lane, Tone},
};

use super::{
    foreign::foreign,
    machine::Machine,
    peers::Wire,
    scene::{NAMES, TOPICS, duration},
};

/// Zeros of which records are made that are larger than any memory: as one part, or as many.
static ZEROS: [u8; 16 << 20] = [0; 16 << 20];

/// What the core has rules of its own for.
const COMMON: [ErrorCode; 8] = [
    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode::UNKNOWN_PRODUCER_ID,
    ErrorCode::INVALID_PRODUCER_EPOCH,
    ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::UNKNOWN_TOPIC_ID,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::REQUEST_TIMED_OUT,
];

impl Machine<'_> {
    /// Does what the input says next.
    pub(super) fn act(&mut self) {
        self.pace.begin();
        match self.dice.roll(0, 63) {
            0..=7 => self.rest(),
            8..=11 => {
                let timers = 1 + self.dice.roll(0, 15);
                self.live(timers);
            }
            12 => {
                let timers = 1 + self.dice.roll(0, 127);
                self.live(timers);
            }
            13..=23 => self.produce(),
            24 | 25 => self.produce_many(),
            26..=28 => self.cancel(),
            29 => {
                self.call(|| "flush".to_owned());
                let when = self.when();
                self.producer.flush(when);
            }
            30 => self.register(),
            31 => self.release(),
            32..=34 => self.tell_time(),
            35 | 36 => {
                for _ in 0..=self.dice.roll(0, 3) {
                    self.output();
                }
            }
            37 | 38 => self.write_a_little(),
            39 | 40 => self.read_a_little(),
            41 | 42 => self.disconnect(),
            43 | 44 => self.report(),
            45..=48 => self.lie(),
            49..=51 => self.fault(),
            52 | 53 => self.spoil_one(),
            54..=57 => self.govern(),
            58 => self.look(),
            59 => self.codec(),
            60 => self.clock(),
            61 => self.who(),
            62 => self.wear_out(),
            _ => self.close(),
        }
    }

    /// A time: mostly now, at times one that was before.
    fn when(&mut self) -> Instant {
        match self.dice.roll(0, 7) {
            0 => Instant::from_micros(self.now.as_micros() / 2),
            1 => Instant::ZERO,
            _ => self.now,
        }
    }

    /// A topic's id: one of the producer's, be it dead, or another one's.
    fn any_topic(&mut self) -> Option<TopicId> {
        let count = self.ids.topics.len() as u64;
        match self.dice.roll(0, 15) {
            0 => Some(foreign().topic),
            1 if count > 0 => Some(self.ids.topics[self.dice.roll(0, count.min(256) - 1) as usize]),
            _ if count > 0 => {
                // One of the newest.
                let back = self.dice.roll(0, count.min(TOPICS as u64) - 1) as usize;
                Some(self.ids.topics[self.ids.topics.len() - 1 - back])
            }
            _ => None,
        }
    }

    fn any_conn(&mut self) -> Option<ConnId> {
        let open = self.open_wires();
        if !open.is_empty() && !self.dice.once_in(8) {
            return Some(open[self.dice.roll(0, open.len() as u64 - 1) as usize]);
        }
        let all = &self.ids.conns;
        if all.is_empty() || self.dice.once_in(4) {
            let others = &foreign().conns;
            return Some(others[self.dice.roll(0, others.len() as u64 - 1) as usize]);
        }
        let place = self.dice.roll(0, (all.len() as u64).min(256) - 1) as usize;
        Some(self.ids.conns[place])
    }

    fn any_ticket(&mut self) -> Ticket {
        let count = self.ledger.next_id();
        if count == 0 || self.dice.once_in(32) {
            let others = &foreign().tickets;
            return others[self.dice.roll(0, others.len() as u64 - 1) as usize];
        }
        let id = self.any_record(count);
        self.ledger.ticket(id)
    }

    /// The number of a record, most often of a new one.
    fn any_record(&mut self, count: u64) -> u64 {
        let back = if self.dice.once_in(4) { 65_536 } else { 16 };
        count - 1 - self.dice.roll(0, back.min(count) - 1)
    }

    fn any_batch(&mut self) -> BatchId {
        self.any_ticket().batch()
    }

    fn produce(&mut self) {
        let Some(topic) = self.any_topic() else { return };
        let partition = match self.dice.roll(0, 7) {
            0 => None,
            1 => Some(self.dice.roll(0, 65_535) as i32 - 8),
            2 => Some(if self.dice.once_in(2) { i32::MIN } else { i32::MAX }),
            _ => Some(self.dice.roll(0, 4) as i32),
        };
        let timestamp = match self.dice.roll(0, 15) {
            0 => i64::MAX - self.dice.roll(0, 1) as i64,
            1 => i64::MIN,
            2 => -1,
            3 => self.dice.roll(0, u64::MAX) as i64,
            _ => 1_700_000_000_000 + (self.now.as_micros() / 1_000) as i64,
        };
        let kind = self.dice.roll(0, 31);
        let mut headers: Vec<Header<'_>> = Vec::new();
        let (key, value): (Option<&[u8]>, Option<&[u8]>) = match kind {
            0 => (None, None),
            1 => (Some(&[]), Some(&[])),
            2 => (Some(&ZEROS[..self.dice.roll(0, 65_535) as usize]), None),
            3 => (None, Some(&ZEROS[..self.dice.roll(0, 65_535) as usize])),
            4 => {
                for _ in 0..self.dice.roll(1, 16) {
                    let len = self.dice.roll(0, 63) as usize;
                    let value = (len % 4 != 3).then(|| &ZEROS[..len]);
                    let name = if len.is_multiple_of(2) { "a" } else { "" };
                    headers.push(Header { key: name, value });
                }
                (Some(b"key"), Some(b"value"))
            }
            5 => {
                // About as long as a number of 31 or 32 bits, in parts of 16 MiB, so that it takes no memory.
                let parts = if self.dice.once_in(2) { 128 } else { 256 };
                headers.resize(parts - 1, Header { key: "", value: Some(&ZEROS) });
                let less = self.dice.roll(0, 4_095) as usize;
                (None, Some(&ZEROS[..ZEROS.len() - less]))
            }
            6 | 7 => (Some(b"key"), Some(&ZEROS[..self.dice.roll(0, 255) as usize])),
            _ => (None, Some(&ZEROS[..self.dice.roll(0, 255) as usize])),
        };
        let record = Record { partition, key, value, headers: &headers, timestamp };
        self.take(topic, &record);
    }

    fn take(&mut self, topic: TopicId, record: &Record<'_>) {
        let when = self.when();
        let before = self.producer.stats();
        let result = self.producer.produce(when, topic, record);
        self.call(|| {
            let Record { partition, key, value, headers, timestamp } = record;
            let len = |part: &Option<&[u8]>| part.map(<[u8]>::len);
            let taken = result.map(|_| self.ledger.next_id());
            format!(
                "produce to {topic:?}, {partition:?}: key {:?}, value {:?}, {} headers, at \
                 {timestamp}: record {taken:?}",
                len(key),
                len(value),
                headers.len(),
            )
        });
        match result {
            Ok(ticket) => {
                let name = self.producer.topic_name(topic).expect("a topic that takes records");
                self.ledger.produced(self.now, name, ticket);
                assert!(self.closing.is_none(), "a record is taken after close");
                assert!(topic != foreign().topic, "a record for another producer's topic is taken");
            }
            Err(_) => {
                let after = self.producer.stats();
                assert_eq!(before.pages_used, after.pages_used, "what was refused takes pages");
            }
        }
    }

    /// Records until there is no room, or as many as the input says.
    fn produce_many(&mut self) {
        let Some(topic) = self.any_topic() else { return };
        let (partition, len) = (self.dice.roll(0, 3) as i32, self.dice.roll(0, 127) as usize);
        for _ in 0..self.dice.roll(1, 32) {
            let value = Some(&ZEROS[..len]);
            let record = Record { partition: Some(partition), value, ..Record::default() };
            self.take(topic, &record);
        }
    }

    fn cancel(&mut self) {
        let (when, count) = (self.when(), self.ledger.next_id());
        if count == 0 || self.dice.once_in(32) {
            let verdict = self.producer.cancel(when, foreign().tickets[0]);
            assert_eq!(verdict, Verdict::Foreign);
            return;
        }
        let again = self.cancelled.last().filter(|_| self.dice.once_in(4));
        let id = again.copied().unwrap_or_else(|| self.any_record(count));
        let verdict = self.producer.cancel(when, self.ledger.ticket(id));
        self.tell(Lane::Client, Tone::of(verdict), || format!("cancel record {id}: {verdict:?}"));
        self.ledger.cancelled(self.now, id, verdict);
        if verdict == Verdict::NotDelivered {
            self.cancelled.push(id);
        }
    }

    fn register(&mut self) {
        let name = NAMES[self.dice.roll(0, NAMES.len() as u64 - 1) as usize];
        let when = self.when();
        let result = self.producer.topic(when, name);
        self.call(|| format!("topic {name:?}: {result:?}"));
        if let Ok(topic) = result {
            assert_eq!(self.producer.topic_name(topic), Some(name));
            if !self.ids.topics.contains(&topic) {
                self.ids.topics.push(topic);
            }
        }
    }

    fn release(&mut self) {
        let Some(topic) = self.any_topic() else { return };
        let when = self.when();
        let may = self.producer.may_release(topic);
        let result = self.producer.release_topic(when, topic);
        self.call(|| format!("release_topic {topic:?}: {result:?}"));
        assert_eq!(may, result, "whether a topic may be released");
        if result.is_ok() {
            assert_eq!(self.producer.topic_name(topic), None, "a topic that is no more");
        }
    }

    /// Time goes on, or it is told wrong.
    fn tell_time(&mut self) {
        let at = match self.dice.roll(0, 7) {
            0 => self.when(),
            1 => self.now.after(duration(&mut self.dice)).min(Self::LAST.max(self.now)),
            2 => self
                .producer
                .poll_timeout()
                .map_or(self.now, |(at, _)| at)
                .min(Self::LAST.max(self.now)),
            3 => self.now.after(Duration::from_micros(1)),
            4 => self.now.after(Duration::from_micros(self.dice.roll(0, 65_535))),
            _ => self.now.after(Duration::from_millis(self.dice.roll(0, 255))),
        };
        self.pass(at);
    }

    fn write_a_little(&mut self) {
        let polled =
            if self.dice.once_in(2) { None } else { self.producer.poll_writable(self.now) };
        let Some(id) = polled.or_else(|| self.any_conn()) else { return };
        if self.dice.once_in(4) {
            let _ = self.producer.prepare_write(self.now, id);
        }
        let most = self.dice.roll(0, 255) as usize;
        let told = match self.dice.roll(0, 15) {
            0 => Some(usize::MAX),
            1 => Some(0),
            _ => None,
        };
        let wrote = self.write(id, most, told);
        self.call(|| format!("handle_written on {id:?}: {wrote:?} of at most {most}"));
    }

    fn read_a_little(&mut self) {
        let Some(id) = self.any_conn() else { return };
        self.answer(id);
        let most = 1 + self.dice.roll(0, 63) as usize;
        if self.dice.once_in(16) {
            // More than came, or on a connection that is none.
            let len = self.dice.roll(0, 65_535) as usize;
            self.call(|| format!("handle_received on {id:?} of {len} bytes that did not come"));
            if let Some(wire) = self.wires.get_mut(&id) {
                wire.spoilt();
            }
            self.producer.handle_received(self.now, id, len);
        } else {
            self.read(id, most);
        }
    }

    fn disconnect(&mut self) {
        let Some(id) = self.any_conn() else { return };
        let cause = [
            Disconnect::Unresolved,
            Disconnect::Refused,
            Disconnect::Exhausted,
            Disconnect::SetupTimeout,
            Disconnect::Eof,
            Disconnect::Io,
            Disconnect::Tls,
            Disconnect::Idle,
        ][self.dice.roll(0, 7) as usize];
        self.call(|| format!("handle_disconnected {id:?}: {cause:?}"));
        self.disconnected(id, cause);
    }

    /// What was reported before is reported again, or what did not happen.
    fn report(&mut self) {
        let Some(id) = self.any_conn() else { return };
        match self.dice.roll(0, 3) {
            0 => {
                self.call(|| format!("handle_connected {id:?}, again"));
                let open = self.wires.get(&id).is_some_and(|wire| wire.reported);
                if open || !self.wires.contains_key(&id) {
                    self.producer.handle_connected(self.now, id);
                }
            }
            1 => {
                self.open(id);
            }
            2 => {
                self.answer(id);
            }
            _ => drop(self.write_all()),
        }
    }

    fn any_node(&mut self) -> NodeId {
        self.dice.roll(1, self.cluster.nodes().count() as u64) as NodeId
    }

    fn any_code(&mut self) -> ErrorCode {
        match self.dice.roll(0, 7) {
            0 => ErrorCode(self.dice.roll(0, 65_535) as i16),
            1..=3 => COMMON[self.dice.roll(0, COMMON.len() as u64 - 1) as usize],
            _ => {
                let place = self.dice.roll(0, ErrorCode::KNOWN.len() as u64 - 1);
                ErrorCode::KNOWN[place as usize]
            }
        }
    }

    /// A node is to lie once.
    fn lie(&mut self) {
        let node = self.any_node();
        let code = self.any_code();
        let nodes = self.cluster.nodes().count() as u64;
        let far = |dice: &mut dyn Dice| match dice.roll(0, 3) {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => -1,
            _ => dice.roll(0, 7) as i64,
        };
        let dice = &mut self.dice;
        let epoch = |dice: &mut dyn Dice| far(dice).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let lie = match dice.roll(0, 27) {
            0 => Lie::Silence,
            1 => Lie::HangUp,
            2 => Lie::HangUpAfterVersions,
            3 => Lie::WrongCorrelation,
            4 => Lie::HalfAnAnswer,
            5 => Lie::TwoAnswers,
            6 => Lie::FrameLength(epoch(dice)),
            7 => Lie::Throttle(epoch(dice)),
            8 => {
                Lie::Without(ApiKey::SPOKEN[dice.roll(0, ApiKey::SPOKEN.len() as u64 - 1) as usize])
            }
            9 => Lie::NoVersions(code),
            10 => Lie::NoProducerId(code),
            11 => Lie::ProducerId(far(dice), epoch(dice) as i16),
            12 => Lie::LeadsAll(epoch(dice)),
            13 => Lie::Epoch(epoch(dice)),
            14 => Lie::InventedLeaders(dice.roll(0, 12) as i32, dice.once_in(2)),
            15 => Lie::InventedBrokers(dice.roll(0, 12) as i32),
            16 => Lie::Addresses,
            17 => Lie::Partitions(dice.roll(0, 20) as u32, dice.roll(0, 20) as u32),
            18 => Lie::SamePartition(dice.roll(0, 20) as u32),
            19 => Lie::TopicIds,
            20 => Lie::TopicError(code),
            21 => Lie::NoTopics,
            22 => Lie::Rebootstrap,
            23 => Lie::Refuse(code),
            24 => Lie::Hint(1 + dice.roll(0, nodes) as NodeId, epoch(dice)),
            25 | 26 => Lie::Acknowledge(far(dice)),
            _ => Lie::LeaveOut,
        };
        self.tell(Lane::Broker(node), Tone::Trouble, || format!("is to lie: {lie:?}"));
        self.liars.insert(node);
        if self.dice.once_in(4) {
            self.cluster.lie(node, lie).expect("a node");
        } else {
            self.cluster.lie_once(node, lie).expect("a node");
        }
    }

    /// Requests to come are met by something.
    fn fault(&mut self) {
        let api = match self.dice.roll(0, 7) {
            0 => ApiKey::METADATA,
            1 => ApiKey::INIT_PRODUCER_ID,
            2 => ApiKey::API_VERSIONS,
            3 => ApiKey::DESCRIBE_PRODUCERS,
            _ => ApiKey::PRODUCE,
        };
        let code = self.any_code();
        let base_offset = match self.dice.roll(0, 2) {
            0 => BaseOffset::Kept,
            1 => BaseOffset::Unknown,
            _ => BaseOffset::Min,
        };
        let action = match self.dice.roll(0, 13) {
            0..=2 => Action::Reject(code),
            3 => Action::Blame((0..self.dice.roll(0, 3) as i32).collect()),
            4 | 5 => Action::AppendThenError { error: code, base_offset },
            6 => Action::Swallow,
            7 => Action::Hold(Duration::from_millis(self.dice.roll(0, 255))),
            8 => Action::CloseBefore,
            9 => Action::CloseAfter,
            10 => Action::Omit,
            11 => Action::Twice,
            12 => Action::Stray,
            _ => {
                let (records, state) = (self.dice.roll(0, 4) as u32, self.dice.once_in(2));
                Action::Lose { records, state }
            }
        };
        let times = if self.dice.once_in(8) { u32::MAX } else { 1 + self.dice.roll(0, 3) as u32 };
        let fault = Fault::new(api, action).times(times);
        self.tell(Lane::Network, Tone::Trouble, || format!("to come: {fault:?}"));
        self.cluster.inject(fault);
    }

    fn spoil_one(&mut self) {
        let Some(id) = self.any_conn() else { return };
        self.answer(id);
        self.spoil(id);
    }

    /// Something is done to the cluster.
    fn govern(&mut self) {
        let node = self.any_node();
        let name = NAMES[self.dice.roll(0, TOPICS as u64 - 1) as usize];
        let partitions = self.cluster.partitions(name).max(1);
        let partition = self.dice.roll(0, u64::from(partitions) - 1) as i32;
        let what = self.dice.roll(0, 15);
        self.tell(Lane::Broker(node), Tone::Trouble, || {
            format!("act {what} on {name}-{partition}")
        });
        // What the cluster refuses is as good as not done.
        let cluster = &mut self.cluster;
        let _ = match what {
            0 | 1 => cluster.move_leader(name, partition, node),
            2 => cluster.stop(node),
            3 => cluster.start(node),
            4 => cluster.freeze(node),
            5 => cluster.thaw(node),
            6 => cluster.restart(node),
            7 => cluster.remove_leader(name, partition),
            8 => cluster.recreate_topic(name).map(drop),
            9 => cluster.delete_topic(name).map(drop),
            10 => cluster.grow_topic(name, partitions + 1),
            11 => cluster.forget_producers(name, partition),
            12 => cluster.set_in_sync_replicas(name, partition, self.dice.roll(0, 3) as u32),
            13 | 14 => {
                let throttle = Duration::from_millis(self.dice.roll(0, 255));
                if let Some(trace) = &self.trace {
                    let (lane, text) = (Lane::Broker(node), format!("throttles by {throttle:?}"));
                    trace.borrow_mut().tell(self.now, lane, Tone::Trouble, text);
                }
                // An answer that was made before says what it said.
                let owed = |wire: &&mut Wire| wire.is_owed(node, cluster);
                self.wires.values_mut().filter(owed).for_each(Wire::spoilt);
                cluster.set_throttle(node, throttle)
            }
            _ => cluster.claim_leader(name, partition, Some((node, i32::MAX))).map(drop),
        };
        self.hear();
    }

    /// What is only looked at.
    fn look(&mut self) {
        let (ticket, batch) = (self.any_ticket(), self.any_batch());
        let topic = self.any_topic();
        let producer = &self.producer;
        let bytes = producer.record(ticket).into_iter().flatten().flatten().count();
        let _ = (bytes, producer.last_error(batch), producer.payload(batch).is_some());
        let _ =
            (producer.needs_service(), producer.has_urgent_write(), producer.unanswered().count());
        let _ = (producer.waiting().count(), producer.errors().count(), producer.stats());
        let _ = (format!("{producer:?}").len(), producer.authentication_message());
        if let Some(topic) = topic {
            let _ = (producer.topic_status(topic), producer.topic_name(topic));
        }
        assert_eq!(producer.poll_timeout(), producer.poll_timeout(), "to look changes nothing");
        let mut traces = 0;
        while self.producer.poll_trace().is_some() {
            traces += 1;
            assert!(traces < 100_000, "traces without end");
        }
    }

    /// A codec that takes and does not answer, answers twice, or what nobody asked.
    fn codec(&mut self) {
        if self.dice.once_in(2)
            && let Some(batch) = self.producer.poll_compress(self.now)
        {
            let id = batch.id();
            self.ids.compressions.push(id);
            self.owed.push(id);
            self.call(|| format!("poll_compress: {id:?}"));
            return;
        }
        let all = self.ids.compressions.len() as u64;
        let others = &foreign().compressions;
        let id: CompressionId = if all == 0 || self.dice.once_in(8) {
            others[self.dice.roll(0, others.len() as u64 - 1) as usize]
        } else {
            let back = self.dice.roll(0, all.min(16) - 1);
            self.ids.compressions[(all - 1 - back) as usize]
        };
        // What is no codec's work would be told of by the broker, who is not believed here anyhow.
        let answer = match self.dice.roll(0, 3) {
            0 => Compressed::NotSmaller,
            1 => Compressed::Failed,
            2 => Compressed::Bytes(&[]),
            _ => Compressed::Bytes(&ZEROS[..self.dice.roll(0, 255) as usize]),
        };
        self.call(|| format!("handle_compressed({id:?}): {answer:?}"));
        self.producer.handle_compressed(self.now, id, answer);
    }

    /// The wall clock.
    fn clock(&mut self) {
        let ms = match self.dice.roll(0, 4) {
            0 => None,
            1 => Some(i64::MIN),
            2 => Some(i64::MAX),
            3 => Some(self.dice.roll(0, 65_535) as i64),
            _ => Some(1_700_000_000_000 + (self.now.as_micros() / 1_000) as i64),
        };
        let when = self.when();
        self.call(|| format!("set_wall_clock({ms:?})"));
        self.producer.set_wall_clock(when, ms);
    }

    /// Who the client is.
    fn who(&mut self) {
        match self.dice.roll(0, 7) {
            0 if self.logs_in => self.log_in("wrong"),
            1 => self.log_in(PASSWORD),
            2 | 3 => {
                self.call(|| "handle_no_token".to_owned());
                self.wants_token = false;
                self.producer.handle_no_token(self.now);
            }
            4 | 5 => drop(self.give_token()),
            _ => {
                let texts = ["", "a token", "token", "token with\u{1}character"];
                let text = texts[self.dice.roll(0, 3) as usize];
                let lifetime = duration(&mut self.dice);
                let token = Token { text, extensions: &[("auth", "x"), ("", "y")], lifetime };
                self.call(|| format!("handle_token({text:?}, for {lifetime:?})"));
                self.wants_token = false;
                let _ = self.producer.handle_token(self.now, &token);
            }
        }
    }

    /// Slots come to their last lives.
    fn wear_out(&mut self) {
        if !self.dice.once_in(8) {
            return;
        }
        self.call(|| "slots that are free go into their last lives".to_owned());
        self.producer.internal_wear_out();
    }

    fn close(&mut self) {
        if !self.dice.once_in(4) {
            return;
        }
        let deadline = match self.dice.roll(0, 3) {
            0 => Instant::ZERO,
            1 => Instant::NEVER,
            2 => self.now,
            _ => self.now.after(Duration::from_millis(self.dice.roll(0, 255))),
        };
        self.call(|| format!("close by {deadline:?}"));
        self.close_by(deadline);
    }
}
