//! The parts of a response to produce that `kafka-protocol` does not write.

use std::{vec, vec::Vec};

use super::*;

const LEADER: CurrentLeader = CurrentLeader { leader_id: 1, leader_epoch: 2 };

/// Walks bytes that are all there.
fn items(bytes: &[u8]) -> Result<Vec<ProduceResponseItem<'_>>, DecodeError> {
    let mut walk = ProduceResponse::new(10);
    let (mut items, mut rest) = (Vec::new(), bytes);
    loop {
        match walk.step(rest)? {
            Step::Element { used, element } => {
                items.push(element);
                rest = &rest[used..];
            }
            Step::Skip { used, skip } => {
                rest = rest.get(used + skip..).ok_or(DecodeError::Truncated)?;
            }
            Step::Wait => return Err(DecodeError::Truncated),
            Step::Done { used } if used == rest.len() => return Ok(items),
            Step::Done { .. } => return Err(DecodeError::TrailingBytes(rest.len())),
        }
    }
}

/// A response of one partition with a current leader whose tagged field says `size`, followed
/// by `more`.
fn with_leader(size: u8, more: &[u8]) -> Vec<u8> {
    let d = dialect(ApiKey::PRODUCE, 10);
    let mut bytes = vec![0; 200];
    let mut w = Writer::new(&mut bytes);
    w.no_tagged_fields(d);
    write_response(&mut w, d, 1);
    let topic = Topic { name: Some("t"), id: Uuid::ZERO, partitions: 1 };
    write_response_topic(&mut w, d, &topic);
    let partition = Partition {
        index: 0,
        error: ErrorCode::NOT_LEADER_OR_FOLLOWER,
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
    };
    partition.write(&mut w, d);
    w.bytes(&[1, 0, 1, 0, size]); // no record errors, no message, one tagged field
    LEADER.write(&mut w, d);
    w.bytes(more);
    write_response_topic_end(&mut w, d);
    write_response_end(&mut w, d, 0, &[]);
    let len = w.finish().unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn skips_what_a_tagged_field_has_besides() {
    for more in [&[0][..], &[], &[1, 9, 2, 7, 7]] {
        let bytes = with_leader(8 + more.len() as u8, more);
        let items = items(&bytes).unwrap();
        assert!(items.contains(&ProduceResponseItem::CurrentLeader(LEADER)));
        assert_eq!(items.last(), Some(&ProduceResponseItem::Throttle(0)));
    }
}

#[test]
fn refuses_a_tagged_field_that_is_too_small() {
    for size in 0..8 {
        let bytes = with_leader(size, &[0]);
        assert_eq!(items(&bytes), Err(DecodeError::WrongLength));
    }
}

/// An empty response whose node endpoints are these bytes.
fn with_endpoints(size: u8, endpoints: &[u8]) -> Vec<u8> {
    let head = [0, 1, 0, 0, 0, 0, 1, 0, size];
    [&head[..], endpoints].concat()
}

#[test]
fn skips_what_comes_behind_the_endpoints_in_their_field() {
    let endpoint = [2, 0, 0, 0, 7, 2, b'h', 0, 0, 0, 9, 0, 0];
    let len = endpoint.len() as u8;
    let seen = [
        ProduceResponseItem::Throttle(0),
        ProduceResponseItem::NodeEndpoint(NodeEndpoint { node_id: 7, host: "h", port: 9 }),
    ];
    assert_eq!(items(&with_endpoints(len, &endpoint)), Ok(seen.to_vec()));
    let longer = [&endpoint[..], &[1, 2, 3]].concat();
    assert_eq!(items(&with_endpoints(len + 3, &longer)), Ok(seen.to_vec()));
    for short in 0..len {
        assert_eq!(items(&with_endpoints(short, &endpoint)), Err(DecodeError::WrongLength));
    }
}
