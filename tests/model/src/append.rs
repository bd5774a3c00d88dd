//! Appending one batch to one partition, with Kafka's checks in Kafka's order.

use core::time::Duration;

use ottla_core::wire::{ErrorCode, Uuid};

use crate::{
    Cluster, NodeId, Storage, TimestampType,
    log::{Stamp, origin},
    producer_state::{Judged, Rules},
    record_batch::{self, Invalid, RecordError},
};

/// A batch that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The offset of its first record.
    pub(crate) base_offset: i64,
    /// The time that the broker gave it, -1 where the topic keeps create times. For a duplicate
    /// it is the latest timestamp of the batch, whatever the topic keeps: so Kafka answers.
    pub(crate) log_append_time_ms: i64,
    /// The first offset that is left in the log.
    pub(crate) log_start_offset: i64,
    /// Whether an earlier request had appended it.
    pub(crate) duplicate: bool,
    /// Whether it is of an epoch that the partition had not seen of its producer.
    pub(crate) new_epoch: bool,
}

/// Why a batch is not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The error.
    pub(crate) error: ErrorCode,
    /// The first offset that is left in the log, -1 where Kafka does not tell.
    pub(crate) log_start_offset: i64,
    /// The records at fault.
    pub(crate) record_errors: Vec<RecordError>,
    /// What Kafka says about it.
    pub(crate) message: Option<String>,
}

impl Refusal {
    /// An error with nothing besides.
    pub(crate) const fn new(error: ErrorCode) -> Self {
        Self { error, log_start_offset: -1, record_errors: Vec::new(), message: None }
    }

    fn at(error: ErrorCode, log_start_offset: i64) -> Self {
        Self { log_start_offset, ..Self::new(error) }
    }

    /// Finds fault with these records, whatever they are.
    pub(crate) fn blaming(numbers: &[i32]) -> Self {
        let error = |number: &i32| RecordError {
            batch_index: *number,
            message: format!("Record {number} is invalid"),
        };
        Self {
            record_errors: numbers.iter().map(error).collect(),
            ..Self::new(ErrorCode::INVALID_RECORD)
        }
    }

    fn invalid(invalid: Invalid, log_start_offset: i64) -> Self {
        Self {
            error: invalid.error,
            log_start_offset,
            record_errors: invalid.record_errors,
            message: invalid.message,
        }
    }
}

/// How a batch came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) node: NodeId,
    pub(crate) acks: i16,
    pub(crate) version: i16,
    pub(crate) now: Duration,
}

impl Cluster {
    /// Appends the one batch in `records`, or says why not.
    ///
    /// The order is that of `KafkaApis.handleProduceRequest`, `Partition.appendRecordsToLeader`
    /// and `UnifiedLog.append`: the partition exists; there is one batch of format v2; acks;
    /// leader; replicas in sync; base offset, size, checksum; records and their times; and only
    /// then duplicate, epoch, sequence. So no refusal of a retry proves that an earlier attempt
    /// was not appended.
    pub(crate) fn append(
        &mut self,
        topic: Uuid,
        partition: i32,
        records: &[u8],
        delivery: Delivery,
    ) -> Result<Appended, Refusal> {
        let now_ms = self.now_ms(delivery.now);
        let storage = self.config.storage;
        let unknown = Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let Some(found) = self.topics.get_mut(&topic) else {
            return Err(unknown);
        };
        let config = &found.config;
        let Some(target) =
            usize::try_from(partition).ok().and_then(|index| found.partitions.get_mut(index))
        else {
            return Err(unknown);
        };
        let batch = record_batch::only_batch(records, delivery.version).map_err(Refusal::new)?;
        if !(-1..=1).contains(&delivery.acks) {
            return Err(Refusal::new(ErrorCode::INVALID_REQUIRED_ACKS));
        }
        if target.leader != Some(delivery.node) {
            return Err(Refusal::new(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        }
        let in_sync = target.in_sync();
        let log = &mut target.log;
        let start = log.start_offset();
        if delivery.acks == -1 && in_sync < config.min_in_sync_replicas {
            return Err(Refusal::at(ErrorCode::NOT_ENOUGH_REPLICAS, start));
        }
        let Some(header) = record_batch::header(batch) else {
            return Err(Refusal::new(ErrorCode::CORRUPT_MESSAGE));
        };
        if header.base_offset != 0 {
            return Err(Refusal::at(ErrorCode::INVALID_RECORD, start));
        }
        if batch.len() > config.max_message_bytes {
            return Err(Refusal::new(ErrorCode::MESSAGE_TOO_LARGE));
        }
        if self.config.check_crc && !record_batch::is_intact(batch, &header) {
            return Err(Refusal::new(ErrorCode::CORRUPT_MESSAGE));
        }
        let name = format!("{}-{partition}", found.name);
        let deltas = self.config.check_offset_deltas;
        let unpacked =
            record_batch::unpacked(batch, &header).map_err(|error| Refusal::at(error, start))?;
        let plain = unpacked.as_deref().unwrap_or(batch);
        let max_timestamp = record_batch::validate(plain, &header, config, deltas, now_ms, &name)
            .map_err(|invalid| Refusal::invalid(invalid, start))?;
        let converted = record_batch::converted(&header, batch, unpacked.as_deref(), config);
        // What came plain and is packed now was read already.
        let unpacked = unpacked.or_else(|| converted.is_some().then(|| batch.into()));
        let (batch, header) =
            converted.as_ref().map_or((batch, header), |(batch, header)| (&**batch, *header));
        if batch.len() > config.max_message_bytes {
            return Err(Refusal::new(ErrorCode::MESSAGE_TOO_LARGE));
        }
        let unpacked = unpacked.filter(|_| header.attributes.compression() != 0);
        if let Some(origin) = origin(&header) {
            let rules = Rules {
                first_sequence: self.config.first_sequence,
                duplicates: self.config.duplicates,
                ever_written: log.ever_written,
                planted: self.config.planted,
            };
            match log.producers.check(origin, rules) {
                Ok(Judged::New) => {}
                Ok(Judged::Duplicate(duplicate)) => {
                    log.counts.duplicates += 1;
                    return Ok(Appended {
                        base_offset: duplicate.base_offset,
                        log_append_time_ms: duplicate.timestamp,
                        log_start_offset: start,
                        duplicate: true,
                        new_epoch: false,
                    });
                }
                Err(error) => return Err(Refusal::at(error, start)),
            }
        }
        let before = log.producers.last(header.producer_id).map(|(epoch, _)| epoch);
        let new_epoch = before != Some(header.producer_epoch);
        let by_broker = config.timestamp_type == TimestampType::LogAppendTime;
        let stamp = Stamp {
            now: delivery.now,
            leader_epoch: target.leader_epoch,
            timestamp_type: config.timestamp_type,
            max_timestamp: if by_broker { now_ms } else { max_timestamp },
        };
        let base_offset =
            log.append((batch, unpacked), &header, stamp, storage != Storage::Nothing);
        let appended = Appended {
            base_offset,
            log_append_time_ms: if by_broker { now_ms } else { -1 },
            log_start_offset: start,
            duplicate: false,
            new_epoch,
        };
        self.retain(topic, partition, batch.len());
        Ok(appended)
    }
}
