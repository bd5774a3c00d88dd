//! One request, from its bytes to the bytes of its answer.

use core::time::Duration;

use ottla_core::wire::{
    ApiKey, DecodeError, Dialect, Step, Writer, dialect,
    frame::{self, RequestHeader},
};

use crate::{
    Action, AnswerFate, Cluster, Happening, NodeId,
    cluster::NodeState,
    fault::Met,
    sasl::{Admission, Authentication},
    versions::FETCH,
};

mod api_versions;
mod describe_producers;
mod fetch;
mod hostile_responses;
mod init_producer_id;
mod metadata;
mod produce;
mod refused_requests;
mod sasl;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// It was handled. What there is to answer was written, and is held back for the first time;
    /// for the second one the connection is muted.
    Done { hold: Duration, mute: Duration },
    /// It was handled, and the way back is dead from here on.
    Silenced,
    /// It was not handled: the node froze.
    Frozen,
    /// The connection is to be closed.
    Close,
    /// The connection is to be closed after what there is to answer, both no earlier than after this
    /// time.
    Last { hold: Duration },
}

impl Handled {
    const DONE: Self = Self::Done { hold: Duration::ZERO, mute: Duration::ZERO };
}

/// A request that was read.
#[derive(Clone, Copy, Debug)]
struct Request<'a> {
    node: NodeId,
    now: Duration,
    header: RequestHeader<'a>,
    dialect: Dialect,
    /// What follows the header.
    body: &'a [u8],
    /// For how long the node throttles.
    throttle: Duration,
}

impl Request<'_> {
    const fn version(&self) -> i16 {
        self.header.api_version
    }

    fn throttle_ms(&self) -> i32 {
        i32::try_from(self.throttle.as_millis()).unwrap_or(i32::MAX)
    }

    /// Writes an answer, header and all.
    fn answer(&self, out: &mut Vec<u8>, body: impl Fn(&mut Writer<'_>)) {
        let RequestHeader { api_key, api_version, correlation_id, .. } = self.header;
        write_frame(out, |w| {
            frame::write_response_header(w, api_key, api_version, correlation_id);
            body(w);
        });
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unanswered {
    /// It is no such request: the connection closes.
    Malformed,
    /// Answers are not asked for, and something went wrong: the connection closes, so that the
    /// client may know.
    Failed,
}

impl From<DecodeError> for Unanswered {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

impl Cluster {
    /// Handles one frame, which comes without its size, and appends the answer to `out`.
    pub(crate) fn handle(
        &mut self,
        node: NodeId,
        now: Duration,
        frame: &[u8],
        authentication: &mut Authentication,
        out: &mut Vec<u8>,
    ) -> Handled {
        self.pass(now);
        let Some(running) = self.nodes.get(&node) else {
            return Handled::Close;
        };
        let versions = &running.config.versions;
        let throttle = running.throttle;
        if let Some((version, correlation_id)) = api_versions::asked(frame)
            && let Some(range) = versions.range(ApiKey::API_VERSIONS)
            && !versions.speaks(ApiKey::API_VERSIONS, version)
        {
            match authentication.admit(ApiKey::API_VERSIONS, now, &mut self.sasl_tally) {
                Admission::Handled => {}
                Admission::Hangup => return Handled::Close,
                Admission::Refused => {
                    api_versions::refuse_between(out, correlation_id);
                    return self.last_word();
                }
                Admission::Ended => return self.last_word(),
            }
            api_versions::refuse(out, correlation_id, range);
            return Handled::DONE;
        }
        let Ok((body, header)) = RequestHeader::read(frame) else {
            return Handled::Close;
        };
        // Where nobody authenticates, the old handshake is refused as the new one is.
        let old_handshake = header.api_key == ApiKey::SASL_HANDSHAKE
            && header.api_version == 0
            && self.accounts.is_none();
        if !versions.speaks(header.api_key, header.api_version) && !old_handshake {
            return Handled::Close;
        }
        let request = Request {
            node,
            now,
            header,
            dialect: dialect(header.api_key, header.api_version),
            body,
            throttle,
        };
        match authentication.admit(header.api_key, now, &mut self.sasl_tally) {
            Admission::Handled => {}
            Admission::Hangup => return Handled::Close,
            Admission::Refused => return self.refuse_between(&request, out),
            Admission::Ended => return self.last_word(),
        }
        if let Some(lie) = self.lie_about(node, header.api_key) {
            return self.tell_lie(&lie, &request, authentication, out);
        }
        let before = out.len();
        let RequestHeader { api_key: api, correlation_id, .. } = header;
        self.note(|| Happening::Asked { node, api, correlation_id });
        let mut met = None;
        let result = match header.api_key {
            ApiKey::PRODUCE => self.produce(&request, &mut met, out),
            ApiKey::METADATA => self.metadata(&request, &mut met, out),
            ApiKey::INIT_PRODUCER_ID => self.init_producer_id(&request, &mut met, out),
            ApiKey::API_VERSIONS => self.api_versions(&request, &mut met, out),
            ApiKey::DESCRIBE_PRODUCERS => self.describe_producers(&request, &mut met, out),
            FETCH => self.fetch(&request, out),
            ApiKey::SASL_HANDSHAKE => self.sasl_handshake(&request, authentication, &mut met, out),
            ApiKey::SASL_AUTHENTICATE => {
                self.sasl_authenticate(&request, authentication, &mut met, out)
            }
            _ => return Handled::Close,
        };
        let said = out.len() > before;
        let ending = authentication.ending.take();
        if api == ApiKey::API_VERSIONS && sasl::tells_no_error(out.get(before..)) {
            authentication.versions_told();
        }
        self.note(|| {
            let fate = fate(met.as_ref().map(|met| &met.action), result, said);
            Happening::Answered { node, correlation_id, fate }
        });
        match met.map(|met| met.action) {
            Some(Action::Freeze) => return Handled::Frozen,
            Some(Action::CloseBefore | Action::CloseAfter) => return Handled::Close,
            Some(Action::Swallow) => {
                out.truncate(before);
                return Handled::Silenced;
            }
            Some(Action::Hold(hold)) => {
                return match (result, ending) {
                    (Ok(()), None) => Handled::Done { hold, mute: throttle },
                    (Ok(()), Some(delay)) => Handled::Last { hold: hold.max(delay) },
                    (Err(_), _) => Handled::Close,
                };
            }
            Some(Action::Garbage(bytes)) => {
                out.truncate(before);
                out.extend_from_slice(&bytes);
            }
            Some(Action::WrongCorrelation(by)) => shift_correlation(out, before, by),
            Some(
                Action::Reject(_)
                | Action::Blame(_)
                | Action::AppendThenError { .. }
                | Action::Omit
                | Action::Twice
                | Action::Stray
                | Action::Lose { .. },
            )
            | None => {}
        }
        match (result, ending) {
            (Ok(()), None) => Handled::Done { hold: Duration::ZERO, mute: throttle },
            (Ok(()), Some(hold)) => Handled::Last { hold },
            (Err(_), _) => Handled::Close,
        }
    }

    /// Lets partitions lose something before the request is handled, if a fault wants that.
    fn lose(&mut self, met: Option<&Met>, asked: &[(&str, i32)]) {
        let Some((met, Action::Lose { records, state })) = met.map(|met| (met, &met.action)) else {
            return;
        };
        for (topic, partition) in asked.iter().filter(|(topic, index)| met.is_about(topic, *index))
        {
            let end = self.end_offset(topic, *partition);
            // Of what is not there nothing is lost.
            if *records > 0 {
                let _ = self.truncate(topic, *partition, end.saturating_sub(i64::from(*records)));
            }
            if *state {
                let _ = self.forget_producers(topic, *partition);
            }
        }
    }

    /// Lets a fault meet the request. `Err` where the request is not to be handled at all.
    fn meet(
        &mut self,
        request: &Request<'_>,
        asked: &[(&str, Option<i32>)],
    ) -> Result<Option<Met>, Met> {
        let met = self.faults.meet(request.header.api_key, request.node, asked);
        match met {
            Some(met) if met.action == Action::Freeze => {
                if let Ok(node) = self.node_mut(request.node) {
                    node.state = NodeState::Frozen;
                }
                Err(met)
            }
            Some(met) if met.action == Action::CloseBefore => Err(met),
            met => Ok(met),
        }
    }
}

/// What becomes of an answer that a fault may have met.
fn fate(action: Option<&Action>, result: Result<(), Unanswered>, said: bool) -> AnswerFate {
    match action {
        Some(Action::Freeze) => AnswerFate::Frozen,
        Some(Action::CloseBefore | Action::CloseAfter) => AnswerFate::Closed,
        Some(Action::Swallow) => AnswerFate::Swallowed,
        _ if result.is_err() => AnswerFate::Closed,
        Some(Action::Hold(time)) => AnswerFate::Held(*time),
        Some(Action::Garbage(_)) => AnswerFate::Garbage,
        Some(Action::WrongCorrelation(_) | Action::Omit | Action::Twice | Action::Stray) => {
            AnswerFate::Wrong
        }
        Some(
            Action::Reject(_)
            | Action::Blame(_)
            | Action::AppendThenError { .. }
            | Action::Lose { .. },
        )
        | None => {
            if said {
                AnswerFate::Sent
            } else {
                AnswerFate::NotAsked
            }
        }
    }
}

/// Walks over a message that is there as a whole.
fn walk<'a, T>(
    mut input: &'a [u8],
    mut step: impl FnMut(&'a [u8]) -> Result<Step<T>, DecodeError>,
    mut each: impl FnMut(T),
) -> Result<(), DecodeError> {
    loop {
        let (used, skip) = match step(input)? {
            Step::Element { used, element } => {
                each(element);
                (used, 0)
            }
            Step::Skip { used, skip } => (used, skip),
            Step::Wait => return Err(DecodeError::Truncated),
            // What may follow is of no interest, as in Kafka.
            Step::Done { .. } => return Ok(()),
        };
        input = input.get(used.saturating_add(skip)..).ok_or(DecodeError::Truncated)?;
    }
}

/// Appends a frame to `out`.
fn write_frame(out: &mut Vec<u8>, content: impl Fn(&mut Writer<'_>)) {
    let whole = |w: &mut Writer<'_>| {
        let size = frame::begin(w);
        content(w);
        frame::end(w, size, 0);
    };
    let len = Writer::measure(whole);
    let at = out.len();
    // A message that cannot be expressed is as long as the address space; nothing is said then.
    if len > usize::try_from(i32::MAX).unwrap_or(usize::MAX) {
        return;
    }
    out.resize(at.saturating_add(len), 0);
    whole(&mut Writer::new(out.get_mut(at..).unwrap_or_default()));
}

fn shift_correlation(out: &mut [u8], frame: usize, by: i32) {
    let at = frame.saturating_add(4)..frame.saturating_add(8);
    if let Some(bytes) = out.get_mut(at)
        && let Ok(id) = <[u8; 4]>::try_from(&*bytes)
    {
        let id = i32::from_be_bytes(id).wrapping_add(by);
        bytes.copy_from_slice(&id.to_be_bytes());
    }
}
