//! What happened inside the core, for `tracing`.
//!
//! The core keeps it while the lock is held, and it is told once the lock is free, with all other news:
//! whoever listens may use the producer. Where nobody listens, nothing is made of it.

use ottla_core::{BatchOutcome, Cause, Outcome, Producer, TopicId, Trace, Turn, Verdict};
use tracing::{Level, level_filters::LevelFilter};

use crate::delivery::{
    notifications::Notifications,
    outcome::{RecordOutcome, Told, Why},
};

/// Takes what happened in the core, to be told.
pub(crate) fn collect(core: &mut Producer<'_>, news: &mut Notifications) {
    while let Some(trace) = core.poll_trace() {
        // What is kept without asking the listener, who might use the producer.
        if level(&trace) <= LevelFilter::current() {
            let topic = if let Trace::Partition { topic, .. } = trace {
                name(core, topic)
            } else {
                String::new()
            };
            news.note(move || tell(&trace, &topic));
        }
    }
}

/// Has it told that `late` records of a batch were `Unknown` before, and are no more.
pub(crate) fn late(
    core: &Producer<'_>,
    settled: &BatchOutcome,
    late: u64,
    news: &mut Notifications,
) {
    if late > 0 && LevelFilter::current() >= Level::INFO {
        let BatchOutcome { partition, outcome, .. } = *settled;
        let topic = name(core, settled.topic);
        news.note(move || tracing::info!(topic, partition, late, ?outcome, "final outcome"));
    }
}

/// Has the outcome of a batch told, where that is not as it should be.
pub(crate) fn settled(
    core: &Producer<'_>,
    settled: &BatchOutcome,
    told: &Told,
    news: &mut Notifications,
) {
    let BatchOutcome { partition, records, outcome, .. } = *settled;
    let level = match outcome {
        Outcome::Delivered { .. } => return,
        // As it was wished.
        Outcome::NotDelivered(cause) | Outcome::Unknown(cause)
            if matches!(cause, Cause::Cancelled | Cause::Closed | Cause::NoAcks) =>
        {
            Level::DEBUG
        }
        Outcome::NotDelivered(_) | Outcome::Unknown(_) | _ => Level::WARN,
    };
    if records > 0 && LevelFilter::current() >= level {
        let (topic, outcome) = (name(core, settled.topic), RecordOutcome::of(told, partition, 0));
        news.note(move || match level {
            Level::WARN => tracing::warn!(topic, partition, records, "{outcome}"),
            _ => tracing::debug!(topic, partition, records, "{outcome}"),
        });
    }
}

/// Has it told that a record was given up.
pub(crate) fn cancelled(why: &Why, verdict: Verdict, news: &mut Notifications) {
    if LevelFilter::current() >= Level::DEBUG {
        let why = why.clone();
        news.note(move || tracing::debug!(?verdict, "a record is given up: {why}"));
    }
}

fn name(core: &Producer<'_>, topic: TopicId) -> String {
    core.topic_name(topic).unwrap_or_default().to_owned()
}

fn level(trace: &Trace) -> Level {
    match trace {
        Trace::ProducerId { .. } | Trace::Partition { what: Turn::Leader(_), .. } => Level::INFO,
        Trace::Versions { .. } => Level::DEBUG,
        Trace::Partition { .. } | Trace::Throttled { .. } | Trace::Missed(_) | _ => Level::WARN,
    }
}

fn tell(trace: &Trace, topic: &str) {
    match *trace {
        Trace::Partition { partition, what, .. } => tell_turn(what, topic, partition),
        Trace::ProducerId { id, epoch } => tracing::info!(id, epoch, "producer id"),
        Trace::Throttled { node_id, by } => {
            tracing::warn!(node_id, ?by, "the broker throttles this client");
        }
        Trace::Versions { node_id, produce, metadata, init_producer_id } => {
            tracing::debug!(node_id, produce, metadata, init_producer_id, "versions");
        }
        Trace::Missed(missed) => tracing::warn!(missed, "more happened than was kept"),
        _ => {}
    }
}

fn tell_turn(what: Turn, topic: &str, partition: i32) {
    match what {
        Turn::Retry(code) => {
            tracing::warn!(topic, partition, %code, "the leader answers with an error; trying again");
        }
        Turn::Refused(code) => {
            tracing::warn!(topic, partition, %code, "the leader refuses a batch")
        }
        Turn::Fenced(code) => tracing::warn!(topic, partition, %code, "fenced"),
        Turn::Desync => tracing::warn!(topic, partition, "the leader expects another sequence"),
        Turn::Unremembered => {
            tracing::warn!(topic, partition, "the leader lost its record of this producer");
        }
        Turn::Forgotten => {
            tracing::warn!(topic, partition, "the leader may have forgotten this producer");
        }
        Turn::LogCut => {
            tracing::warn!(topic, partition, "the log was cut below what was acknowledged");
        }
        Turn::Epoch(epoch) => tracing::warn!(topic, partition, epoch, "a new epoch begins"),
        Turn::Leader(node_id) => tracing::info!(topic, partition, node_id, "another leader"),
        Turn::Leaderless(code) => {
            tracing::warn!(topic, partition, %code, "the partition has no leader");
        }
        _ => {}
    }
}
