//! `ottla broker --dump`: what comes into the logs.

use core::fmt;

use ottla_core::wire::record::BatchHeader;
use ottla_model::{Cluster, Happening, Judgement, LoggedBatch, LoggedRecord, serve::Server};

use crate::stdout_stderr::OUT;

/// Prints what happened to the logs since the last time. False where nobody reads it any more.
pub(crate) fn dump(server: &Server) -> bool {
    let lines = server.with_cluster(news);
    lines.iter().all(|line| OUT.line(format_args!("{line}")))
}

/// What happened to the logs since the last time: a line for each record that was appended, after one for its batch
/// where that is compressed, and one for each batch that was not appended, because it is there.
fn news(cluster: &mut Cluster) -> Vec<String> {
    let mut lines = Vec::new();
    for happening in cluster.take_happenings() {
        let Happening::Judged { topic, partition, header: Some(header), judgement, .. } = happening
        else {
            continue;
        };
        let place = |offset: i64| format!("{topic}-{partition} @ offset {offset}");
        let batch = format!("records={} {}", header.records_count, By::from(&header));
        match judgement {
            Judgement::Appended { base_offset, .. } => {
                let stored = cluster.batch_at(&topic, partition, base_offset);
                let records = stored.iter().flat_map(LoggedBatch::records);
                lines
                    .extend(stored.as_ref().and_then(|stored| packed(&place(base_offset), stored)));
                let before = lines.len();
                lines.extend(records.map(|record| line(&place(record.offset), &record)));
                if lines.len() == before {
                    // It is compressed, and this program was built without; or more came at once than is kept.
                    lines.push(format!("{}: cannot be read: {batch}", place(base_offset)));
                }
            }
            Judgement::Duplicate { base_offset } => lines.push(format!(
                "{}: recognised as a duplicate, and not appended: {batch}",
                place(base_offset)
            )),
            Judgement::Refused(_) => {}
        }
    }
    lines
}

fn line(place: &str, record: &LoggedRecord<'_>) -> String {
    let LoggedRecord { key, value, producer_id, producer_epoch, sequence, .. } = record;
    let by = By { producer_id: *producer_id, epoch: *producer_epoch, sequence: *sequence };
    format!("{place}: key={} value={} {by}", Bytes(*key), Bytes(*value))
}

/// A line on a batch that came compressed, and could be read.
fn packed(place: &str, batch: &LoggedBatch<'_>) -> Option<String> {
    let name = match batch.header.attributes.compression() {
        1 => "gzip",
        2 => "snappy",
        3 => "lz4",
        4 => "zstd",
        _ => return None,
    };
    let (bytes, plain) = (batch.bytes.len(), batch.plain_len());
    let (records, by) = (batch.header.records_count, By::from(&batch.header));
    (plain > 0).then(|| {
        format!("{place}: compressed by {name}, {plain} bytes to {bytes}: records={records} {by}")
    })
}

/// Who wrote something.
struct By {
    producer_id: i64,
    epoch: i16,
    sequence: i32,
}

impl From<&BatchHeader> for By {
    fn from(header: &BatchHeader) -> Self {
        let BatchHeader { producer_id, producer_epoch, base_sequence, .. } = *header;
        Self { producer_id, epoch: producer_epoch, sequence: base_sequence }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { producer_id, epoch, sequence } = self;
        write!(f, "producer_id={producer_id} epoch={epoch} sequence={sequence}")
    }
}

/// What a record holds, such that any bytes are one line, and nothing is mistaken for `null`.
struct Bytes<'a>(Option<&'a [u8]>);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            None => f.write_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use ottla_blocking::{Producer, Record};
    use ottla_model::{Action, ClusterConfig, Fault};

    use super::*;

    #[test]
    fn the_logs_are_told_record_by_record_and_a_batch_that_comes_again_is_a_duplicate() {
        let server = Server::start(&["127.0.0.1:0".parse().unwrap()], ClusterConfig::default());
        let server = server.unwrap();
        server.with_cluster(|cluster| {
            cluster.create_topic("t", 1).unwrap();
            cluster.watch();
        });
        let producer = Producer::from_properties([
            ("bootstrap.servers", server.bootstrap_servers().as_str()),
            ("request.timeout.ms", "500"),
            ("linger.ms", "0"),
        ])
        .unwrap();
        let topic = producer.topic("t").unwrap();
        let send = |record: &Record<'_>| {
            let outcome = producer.send(&topic, record).unwrap().final_outcome();
            outcome.wait_timeout(Duration::from_secs(20)).unwrap()
        };
        assert!(send(&Record { key: Some(b"k\n"), ..Record::default() }).is_delivered());
        // Its answer is lost, so that it is sent again.
        server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Swallow)));
        assert!(send(&Record { value: Some(b"null \xff"), ..Record::default() }).is_delivered());
        let told = server.with_cluster(news);
        let id = told[0].split("producer_id=").nth(1).unwrap().split(' ').next().unwrap();
        let want = [
            format!(r#"t-0 @ offset 0: key="k\n" value=null producer_id={id} epoch=0 sequence=0"#),
            format!(
                r#"t-0 @ offset 1: key=null value="null \xff" producer_id={id} epoch=0 sequence=1"#
            ),
            format!(
                "t-0 @ offset 1: recognised as a duplicate, and not appended: records=1 \
                 producer_id={id} epoch=0 sequence=1"
            ),
        ];
        assert_eq!(told, want);
        assert!(server.with_cluster(news).is_empty());
    }
}
