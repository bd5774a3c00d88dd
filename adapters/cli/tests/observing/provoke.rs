//! How each cause, and each last error, is brought about.

use core::time::Duration;

use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_model::{Action, BaseOffset, Cluster, Fault};

use crate::{
    doc_tables::Table::{self, Causes, LastErrors},
    run::Play,
};

const SHORT: Duration = Duration::from_millis(100);

/// Something that brings a cause or a last error about.
#[derive(Debug)]
pub(crate) struct Provocation {
    pub(crate) table: Table,
    /// The variant of `Cause` or of `LastError`.
    pub(crate) name: &'static str,
    pub(crate) properties: &'static [&'static str],
    /// Each record's own, in milliseconds; `--deadline`.
    pub(crate) deadline: Option<u64>,
    /// `--settle`, in milliseconds.
    pub(crate) settle: Option<u64>,
    /// What is wrong before the producer is there with a cluster of the one node 1, and a topic `t` of one
    /// partition.
    pub(crate) before: fn(&mut Cluster),
    pub(crate) play: fn(&mut Play<'_>),
}

const fn provoke(
    table: Table,
    name: &'static str,
    before: fn(&mut Cluster),
    play: fn(&mut Play<'_>),
) -> Provocation {
    Provocation { table, name, properties: &[], deadline: None, settle: None, before, play }
}

/// With a short `delivery.timeout.ms`, and no long search for the truth.
const fn in_vain(provocation: Provocation) -> Provocation {
    with(provocation, &["delivery.timeout.ms=1500", "resolve.timeout.ms=300"])
}

/// The same, and what is refused is not tried again before the time is over, so that it is not on its way then.
const fn refused(provocation: Provocation) -> Provocation {
    let properties = &[
        "delivery.timeout.ms=1500",
        "resolve.timeout.ms=300",
        "retry.backoff.ms=2000",
        "retry.backoff.max.ms=2000",
    ];
    with(provocation, properties)
}

const fn with(mut provocation: Provocation, properties: &'static [&'static str]) -> Provocation {
    provocation.properties = properties;
    provocation
}

const fn within(mut provocation: Provocation, deadline: u64) -> Provocation {
    provocation.deadline = Some(deadline);
    provocation
}

const fn settling(mut provocation: Provocation, settle: u64) -> Provocation {
    provocation.settle = Some(settle);
    provocation
}

fn one(play: &mut Play<'_>) {
    play.send();
}

fn reject(cluster: &mut Cluster, error: ErrorCode, times: u32) {
    cluster.inject(Fault::produce(Action::Reject(error)).times(times));
}

/// All batches come into the log, and no answer comes back.
fn mute(cluster: &mut Cluster) {
    cluster.inject(Fault::produce(Action::Swallow).times(u32::MAX));
}

fn leaderless(cluster: &mut Cluster) {
    cluster.remove_leader("t", 0).unwrap();
}

fn at(cluster: &mut Cluster, host: &str, port: u16) {
    cluster.set_address(1, host, port).unwrap();
}

fn no_id(cluster: &mut Cluster, error: ErrorCode, times: u32) {
    cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, Action::Reject(error)).times(times));
}

fn no_replicas(cluster: &mut Cluster) {
    reject(cluster, ErrorCode::NOT_ENOUGH_REPLICAS, u32::MAX);
}

/// The batch that comes next is in the log, as far as its answer goes.
fn appended(cluster: &mut Cluster) {
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let base_offset = BaseOffset::Kept;
    cluster.inject(Fault::produce(Action::AppendThenError { error, base_offset }));
}

fn two_of_which_the_first_is_bad(play: &mut Play<'_>) {
    play.cluster(|cluster| cluster.inject(Fault::produce(Action::Blame(vec![0]))));
    play.send();
    play.send();
}

const TOGETHER: &[&str] = &["linger.ms=400"];

pub(crate) static PROVOCATIONS: &[Provocation] = &[
    refused(provoke(Causes, "DeliveryTimeout", no_replicas, one)),
    in_vain(provoke(Causes, "DeliveryTimeout", mute, one)),
    provoke(Causes, "Cancelled", leaderless, |play| {
        play.send();
        play.cancel();
    }),
    provoke(Causes, "Cancelled", mute, |play| {
        play.send();
        play.logged(1);
        play.cancel();
        play.cluster(Cluster::clear_faults);
    }),
    within(in_vain(provoke(Causes, "Deadline", leaderless, one)), 1000),
    within(in_vain(provoke(Causes, "Deadline", mute, one)), 1000),
    in_vain(provoke(Causes, "Closed", leaderless, |play| {
        play.send();
        play.close(SHORT);
    })),
    in_vain(provoke(Causes, "Closed", mute, |play| {
        play.send();
        play.logged(1);
        play.close(SHORT);
    })),
    settling(
        with(
            provoke(Causes, "Closed", mute, |play| {
                play.send();
                play.wait();
                play.close(SHORT);
            }),
            &["delivery.timeout.ms=1500"],
        ),
        200,
    ),
    provoke(Causes, "Broker", |cluster| reject(cluster, ErrorCode::INVALID_RECORD, 1), one),
    provoke(
        Causes,
        "Broker",
        |cluster| {
            appended(cluster);
            reject(cluster, ErrorCode::INVALID_RECORD, 1);
        },
        one,
    ),
    with(provoke(Causes, "AtFault", |_| {}, two_of_which_the_first_is_bad), TOGETHER),
    with(provoke(Causes, "Neighbour", |_| {}, two_of_which_the_first_is_bad), TOGETHER),
    provoke(Causes, "Recreated", mute, |play| {
        play.send();
        play.logged(1);
        play.cluster(|cluster| {
            let _ = cluster.recreate_topic("t").unwrap();
        });
    }),
    in_vain(provoke(Causes, "ResolveTimeout", mute, one)),
    with(
        provoke(Causes, "Abandoned", mute, one),
        // So that it is on its way when that is over, and no answer can come a while later.
        &["delivery.timeout.ms=1500", "request.timeout.ms=2000", "on.unknown=abandon"],
    ),
    with(provoke(Causes, "NoAcks", |_| {}, one), &["acks=0", "enable.idempotence=false"]),
    provoke(
        Causes,
        "SequenceMismatch",
        |_| {},
        |play| {
            play.warm();
            play.cluster(|cluster| {
                appended(cluster);
                reject(cluster, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, 3);
            });
            play.send();
        },
    ),
    provoke(
        Causes,
        "NoProducerId",
        // What is taken meanwhile is told of when it is refused for good.
        |cluster| {
            no_id(cluster, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, 30);
            no_id(cluster, ErrorCode::CLUSTER_AUTHORIZATION_FAILED, u32::MAX);
        },
        one,
    ),
    provoke(
        Causes,
        "Forgotten",
        |_| {},
        |play| {
            play.warm();
            play.cluster(mute);
            play.send();
            play.logged(2);
            play.cluster(|cluster| {
                cluster.forget_producers("t", 0).unwrap();
                cluster.clear_faults();
            });
        },
    ),
    refused(provoke(LastErrors, "Answer", no_replicas, one)),
    in_vain(provoke(LastErrors, "NoLeader", leaderless, one)),
    with(
        provoke(
            LastErrors,
            "Topic",
            |cluster| {
                let _ = cluster.delete_topic("t").unwrap();
            },
            one,
        ),
        &["max.block.ms=1500"],
    ),
    in_vain(provoke(LastErrors, "Port", |cluster| at(cluster, "127.0.0.1", 0), one)),
    in_vain(provoke(LastErrors, "Host", |cluster| at(cluster, "", 9092), one)),
    in_vain(provoke(
        LastErrors,
        "Connection",
        |cluster| cluster.inject(Fault::produce(Action::CloseBefore).times(u32::MAX)),
        one,
    )),
    with(
        provoke(
            LastErrors,
            "Throttled",
            |_| {},
            |play| {
                play.warm();
                play.cluster(|cluster| cluster.set_throttle(1, Duration::from_secs(60)).unwrap());
                play.warm();
                play.send();
            },
        ),
        // A broker is not left alone for longer than a request may take.
        &["delivery.timeout.ms=1500", "request.timeout.ms=60000"],
    ),
    in_vain(provoke(
        LastErrors,
        "NoProducerId",
        |cluster| no_id(cluster, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, u32::MAX),
        one,
    )),
];
