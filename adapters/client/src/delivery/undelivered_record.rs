//! Records that are handed back at the end.

use std::sync::Arc;

#[cfg(any(doc, test))]
use ottla_core::Cause;
use ottla_core::{BatchOutcome, Header, Outcome, Payload, Producer, Ticket, wire::record::Records};

use crate::{
    delivery::outcome::{RecordOutcome, Told, Why},
    record::Record,
};

/// A record that was not delivered when its producer was closed, with all that it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndeliveredRecord {
    /// Its topic.
    pub topic: Arc<str>,
    /// The partition that was chosen for it.
    pub partition: i32,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its create time, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// `NotDelivered`: it is safe to send it again, though with [`Cause::AtFault`] it will be refused again.
    /// `Unknown`: that could duplicate it.
    pub outcome: RecordOutcome,
}

impl UndeliveredRecord {
    /// A record as an application has kept it, to be told from others by its outcome and sent by
    /// [`with_record`](Self::with_record) like one that was handed back. The partition is -1 where the record names none,
    /// and so is the timestamp where it has none.
    #[must_use]
    pub fn new(topic: &str, record: &Record<'_>, outcome: RecordOutcome) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let headers = record.headers.iter();
        Self {
            topic: Arc::from(topic),
            partition: record.partition.unwrap_or(-1),
            key: owned(record.key),
            value: owned(record.value),
            headers: headers.map(|h| (h.key.to_owned(), owned(h.value))).collect(),
            timestamp: record.timestamp.unwrap_or(-1),
            outcome,
        }
    }

    /// The record as it can be sent again, to any partition; without a timestamp where it has none.
    pub fn with_record<T>(&self, send: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers = self.headers.iter();
        let headers = headers.map(|(key, value)| Header { key, value: value.as_deref() });
        let headers: Vec<Header<'_>> = headers.collect();
        send(&Record {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
            timestamp: Some(self.timestamp).filter(|ms| *ms >= 0),
            ..Record::default()
        })
    }
}

/// Copies the records of a batch that the core has told of just now, unless they are delivered.
/// `words` is what a broker said of each, as far as it did.
pub(crate) fn take_back(
    core: &Producer<'_>,
    settled: &BatchOutcome,
    told: &Told,
    words: &[Option<Arc<str>>],
    back: &mut Vec<UndeliveredRecord>,
) {
    let why = match told.outcome {
        Outcome::NotDelivered(cause) | Outcome::Unknown(cause) => Why::new(cause, told.last_error),
        Outcome::Delivered { .. } | _ => return,
    };
    let Some(payload) = core.payload(settled.batch) else {
        return;
    };
    let mut words = words.iter();
    copy(core, payload, back, || {
        let message = words.next().cloned().flatten();
        let why = Why { message, ..why.clone() };
        match settled.outcome {
            Outcome::Unknown(_) => RecordOutcome::Unknown(why),
            Outcome::NotDelivered(_) | Outcome::Delivered { .. } | _ => {
                RecordOutcome::NotDelivered(why)
            }
        }
    });
}

/// Copies one record that is about to be cancelled for this reason, as what it is if it can be.
pub(crate) fn take_one_back(
    core: &Producer<'_>,
    ticket: &Ticket,
    why: &Why,
) -> Option<UndeliveredRecord> {
    let mut back = Vec::new();
    let not_delivered = || RecordOutcome::NotDelivered(why.clone());
    copy(core, core.record(*ticket)?, &mut back, not_delivered);
    back.pop()
}

/// Copies records, each with its outcome.
fn copy(
    core: &Producer<'_>,
    payload: Payload<'_>,
    back: &mut Vec<UndeliveredRecord>,
    mut outcome: impl FnMut() -> RecordOutcome,
) {
    let (topic, partition) = payload.topic_partition();
    let topic: Arc<str> = Arc::from(core.topic_name(topic).unwrap_or_default());
    let base = payload.base_timestamp();
    let bytes: Vec<u8> = payload.flatten().copied().collect();
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    for record in Records::new(&bytes).map_while(Result::ok) {
        // The caller has taken this one out and knows.
        if record.head.attributes & Payload::WITHDRAWN != 0 {
            continue;
        }
        back.push(UndeliveredRecord {
            topic: Arc::clone(&topic),
            partition,
            key: owned(record.key),
            value: owned(record.value),
            headers: record.headers.map(|h| (h.key.to_owned(), owned(h.value))).collect(),
            timestamp: base + record.head.timestamp_delta,
            outcome: outcome(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_application_kept_is_sent_as_it_was() {
        let header = Header { key: "h", value: Some(b"v") };
        let record = Record {
            partition: Some(3),
            key: Some(b"k"),
            value: None,
            headers: &[header],
            timestamp: Some(4_711),
            ..Record::default()
        };
        let outcome = RecordOutcome::NotDelivered(Cause::Closed.into());
        let kept = UndeliveredRecord::new("t", &record, outcome);
        assert_eq!((&*kept.topic, kept.partition), ("t", 3));
        kept.with_record(|again| {
            assert_eq!((again.partition, again.key, again.value), (None, Some(&b"k"[..]), None));
            assert_eq!((again.headers, again.timestamp), (&[header][..], Some(4_711)));
        });
        let undated = Record { timestamp: None, ..record };
        let kept = UndeliveredRecord { timestamp: -1, ..kept };
        kept.with_record(|again| assert_eq!(again.timestamp, undated.timestamp));
    }
}
