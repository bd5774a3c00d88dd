//! What the proxy heard, as Kafka's frames.

use anyhow::{Context as _, Result, ensure};
use ottla_core::wire::{
    ApiKey, ErrorCode, Step,
    produce::{ProduceResponse, ProduceResponseItem},
};
use ottla_kafka::Heard;

/// A request that a client has sent as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of its connection.
    pub connection: u64,
    /// What is asked for.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// What its answer bears.
    pub correlation_id: i32,
    /// How long it is, with its size.
    pub bytes: usize,
}

/// The requests in what clients sent, but for unfinished ones.
///
/// # Errors
/// When it is no Kafka.
pub fn requests(heard: &[Heard]) -> Result<Vec<Request>> {
    let mut requests = Vec::new();
    for heard in heard {
        for frame in frames(&heard.bytes)? {
            let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
            ensure!(frame.len() >= 8, "a request of {} bytes", frame.len());
            requests.push(Request {
                connection: heard.connection,
                api: ApiKey(number(0)),
                version: number(2),
                correlation_id: i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]),
                bytes: frame.len() + 4,
            });
        }
    }
    Ok(requests)
}

/// What the answers bear that a client was sent, but for unfinished ones.
///
/// # Errors
/// When it is no Kafka.
pub fn correlation_ids(heard: &Heard) -> Result<Vec<i32>> {
    let frames = frames(&heard.bytes)?.into_iter();
    frames.map(|frame| answered(frame).context("a short answer")).collect()
}

/// What brokers say of the partitions of a produce request; `None` where there is no answer to it.
///
/// # Errors
/// When it is no Kafka.
pub fn verdicts(request: &Request, heard: &[Heard]) -> Result<Option<Vec<ErrorCode>>> {
    ensure!(request.api == ApiKey::PRODUCE, "{request:?} is not to produce");
    let heard = heard.iter().find(|heard| heard.connection == request.connection);
    let frames = heard.map_or(Ok(Vec::new()), |heard| frames(&heard.bytes))?;
    let answer = frames.iter().find(|frame| answered(frame) == Some(request.correlation_id));
    let answer = answer.and_then(|frame| frame.get(4..));
    let Some(mut rest) = answer else {
        return Ok(None);
    };
    let (mut walk, mut codes) = (ProduceResponse::new(request.version), Vec::new());
    loop {
        let used = match walk.step(rest).ok().context("no answer to a produce request")? {
            Step::Element { used, element } => {
                if let ProduceResponseItem::Partition(partition) = element {
                    codes.push(partition.error);
                }
                used
            }
            Step::Skip { used, skip } => used + skip,
            Step::Wait => anyhow::bail!("half an answer"),
            Step::Done { .. } => return Ok(Some(codes)),
        };
        rest = rest.get(used..).context("half an answer")?;
    }
}

/// The correlation id that an answer begins with.
fn answered(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

/// The frames that are there as a whole, without their sizes.
fn frames(mut bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut frames = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk() {
        let size = usize::try_from(i32::from_be_bytes(*size)).context("a negative size")?;
        let Some((frame, rest)) = rest.split_at_checked(size) else {
            break;
        };
        frames.push(frame);
        bytes = rest;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_are_found() {
        let mut bytes = vec![0, 0, 0, 9, 0, 0, 0, 13, 0, 0, 0, 7, b'x'];
        bytes.extend_from_slice(&[0, 0, 0, 200, 0, 3, 0]);
        let heard = [Heard { connection: 4, bytes, times: Vec::new() }];
        let produce = ApiKey::PRODUCE;
        let request =
            Request { connection: 4, api: produce, version: 13, correlation_id: 7, bytes: 13 };
        assert_eq!(requests(&heard).unwrap(), [request]);
        assert_eq!(verdicts(&request, &[]).unwrap(), None);
        let negative = Heard { connection: 0, bytes: vec![0xff; 4], times: Vec::new() };
        assert!(requests(&[negative]).is_err());
    }
}
