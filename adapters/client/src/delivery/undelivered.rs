//! Records that are handed back at the end.

use std::sync::Arc;

#[cfg(doc)]
use ottla_core::Cause;
use ottla_core::{Header, Outcome, Payload, Producer, Settled, wire::record::Records};

use crate::{
    delivery::outcome::{RecordOutcome, Told, Why},
    record::Record,
};

/// A record that was not delivered when its producer was closed, with all that it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Returned {
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

impl Returned {
    /// The record as it can be sent again, to any partition.
    pub fn with_record<T>(&self, send: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers = self.headers.iter();
        let headers = headers.map(|(key, value)| Header { key, value: value.as_deref() });
        let headers: Vec<Header<'_>> = headers.collect();
        send(&Record {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
            timestamp: Some(self.timestamp),
            ..Record::default()
        })
    }
}

/// Copies the records of a batch that the core has told of just now, unless they are delivered.
/// `words` is what a broker said of each, as far as it did.
pub(crate) fn take_back(
    core: &Producer<'_>,
    settled: &Settled,
    told: &Told,
    words: &[Option<Arc<str>>],
    back: &mut Vec<Returned>,
) {
    let why = match told.outcome {
        Outcome::NotDelivered(cause) | Outcome::Unknown(cause) => Why::new(cause, told.last_error),
        Outcome::Delivered { .. } | _ => return,
    };
    let Some(payload) = core.payload(settled.batch) else {
        return;
    };
    let topic: Arc<str> = Arc::from(core.topic_name(settled.topic).unwrap_or_default());
    let base = payload.base_timestamp();
    let bytes: Vec<u8> = payload.flatten().copied().collect();
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let mut words = words.iter();
    for record in Records::new(&bytes).map_while(Result::ok) {
        // The caller has taken this one out and knows.
        if record.head.attributes & Payload::WITHDRAWN != 0 {
            continue;
        }
        let message = words.next().cloned().flatten();
        let why = Why { message, ..why.clone() };
        back.push(Returned {
            topic: Arc::clone(&topic),
            partition: settled.partition,
            key: owned(record.key),
            value: owned(record.value),
            headers: record.headers.map(|h| (h.key.to_owned(), owned(h.value))).collect(),
            timestamp: base + record.head.timestamp_delta,
            outcome: match settled.outcome {
                Outcome::Unknown(_) => RecordOutcome::Unknown(why),
                Outcome::NotDelivered(_) | Outcome::Delivered { .. } | _ => {
                    RecordOutcome::NotDelivered(why)
                }
            },
        });
    }
}
