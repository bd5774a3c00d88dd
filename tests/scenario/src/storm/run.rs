//! A plan is carried out.

use core::{panic::AssertUnwindSafe, time::Duration};
use std::panic::catch_unwind;

use ottla_core::{Config, Memory, ProduceError, TopicId, wire::ApiKey};
use ottla_model::{ClusterConfig, TimestampType};

use super::{
    compressed,
    coverage::Tally,
    faults::name_of,
    hostile,
    operator::Operator,
    plan::{End, Plan, TOPIC, What},
    secured,
    shrink::{Broken, quietly},
    wide::{self, Lent},
};
use crate::{
    dice::Dice,
    network::Weather,
    trace::{Lane, Recorder, Tone},
    world::World,
};

/// Runs a storm; what happens is put into the trace, if there is one.
///
/// # Panics
///
/// Where a law is broken.
pub fn run(plan: &Plan, trace: Option<Recorder>) -> Tally {
    let mut lent = Lent::of(plan);
    let brokers = lent.brokers();
    let (mut world, topic) = begin(plan, lent.memory(), None, trace);
    for step in &plan.steps {
        act(&mut world, plan, &step.what, topic);
        world.run_for(step.pause);
        check_prompt(&world, &plan.config);
        if world.producer.brokers().count() == brokers && plan.odd.is_some() {
            world.count("all broker slots taken");
        }
    }
    end(&mut world, plan, topic);
    Tally::of(&world, plan)
}

/// The world of a storm, in which its topic is known; the network has other dice than the seed's where there
/// are such.
pub(super) fn begin<'m>(
    plan: &Plan,
    memory: Memory<'m>,
    dice: Option<Box<dyn Dice>>,
    trace: Option<Recorder>,
) -> (World<'m>, TopicId) {
    let mut world = World::with_memory(&plan.config, plan.cluster.clone(), memory, plan.seed);
    if let Some(dice) = dice {
        world.dice = dice;
    }
    let partitions = plan.leaders.len() as u32;
    world.cluster.create_topic_with(TOPIC, partitions, plan.topic.clone()).expect("a topic");
    for (partition, node) in (0..).zip(&plan.leaders) {
        world.cluster.move_leader(TOPIC, partition, *node).expect("a leader");
    }
    if let Some(trace) = trace {
        world.record(trace);
    }
    if plan.losing {
        world.remember();
        world.count(scene(plan));
    }
    world.dated = plan.dated;
    if let Some(odd) = &plan.odd {
        wide::begin(&mut world, odd);
    }
    if let Some(codecs) = &plan.compression {
        compressed::begin(&mut world, codecs);
    }
    if let Some(node) = plan.hostile {
        world.cluster.make_hostile(node, plan.seed).expect("a node");
        world.ledger.exempt = hostile::own(plan);
    }
    world.set_wall_clock(plan.wall);
    for fault in &plan.first {
        world.count(name_of(fault));
        world.cluster.inject(fault.clone());
    }
    if let Some(login) = &plan.login {
        secured::begin(&mut world, login);
    }
    let topic = world.topic(TOPIC);
    if let Some(login) = &plan.login {
        secured::break_tokens(&mut world, login);
    }
    (world, topic)
}

/// The end of a storm: what was said is held against what is.
pub(super) fn end(world: &mut World<'_>, plan: &Plan, topic: TopicId) {
    match plan.end {
        End::Closed(within) => {
            world.close(within);
            heal(world, plan);
            world.run_for(Duration::from_secs(20));
            world.ledger.hold_but(&world.cluster, plan.laws, &world.excuses());
        }
        End::Healed => {
            heal(world, plan);
            let timeouts = plan.config.delivery_timeout + plan.config.resolve_timeout;
            let patience = timeouts + Duration::from_secs(60);
            let settled = world.run_until(patience, |world| world.producer.stats().batches == 0);
            assert!(settled, "not settled: {:?}", world.producer);
            check_prompt(world, &plan.config);
            if plan.hostile.is_some() {
                hostile::check_recovery(world, plan);
                hostile::check_busy(world);
            }
            world.close(Duration::from_secs(5));
            world.ledger.hold_but(&world.cluster, plan.laws, &world.excuses());
            assert_eq!(world.producer.stats().pages_used, 0, "pages are lost");
        }
    }
    if plan.odd.is_some() {
        wide::call_after_close(world, topic);
    }
}

/// Runs a storm, and tells which law it breaks, if it does.
///
/// # Errors
///
/// The law that is broken, as the panic says it.
pub fn attempt(plan: &Plan, trace: Option<Recorder>) -> Result<Tally, Broken> {
    quietly(|| catch_unwind(AssertUnwindSafe(|| run(plan, trace)))).map_err(Broken::of)
}

pub(super) fn act(world: &mut World<'_>, plan: &Plan, what: &What, topic: TopicId) {
    world.count(counted(what));
    if is_silent(what) {
        world.tell(Lane::Network, Tone::Trouble, || what.to_string());
    }
    match what {
        What::Produce(records) => {
            for (partition, len) in records {
                match world.produce(topic, *partition, *len) {
                    Err(ProduceError::Full) if plan.odd.is_some() => world.count("full"),
                    Ok(_) | Err(ProduceError::Full | ProduceError::MetadataPending) => {}
                    // Small tables have small records.
                    Err(ProduceError::RecordTooLarge { .. }) if plan.odd.is_some() => {}
                    // Somebody said so, and that is passed on.
                    Err(_) if plan.hostile.is_some() => {}
                    Err(error) => panic!("produce: {error}"),
                }
            }
        }
        What::Cancel(back) => {
            if let Some(id) = world.ledger.next_id().checked_sub(back + 1) {
                world.cancel(id);
            }
        }
        What::Misuse(misuse) => wide::misuse(world, *misuse, topic),
        What::Flush => {
            world.tell(Lane::Client, Tone::Plain, || what.to_string());
            world.producer.flush(world.now);
        }
        What::Weather(weather) => world.weather = weather.clone(),
        What::Cut(which) => drop(world.cut_one(*which)),
        What::CutAfter(bytes) => world.cut_after(*bytes),
        What::Deafen => world.deafen(),
        What::Unreachable(node) => {
            if !world.unreachable.contains(node) {
                world.unreachable.push(*node);
            }
        }
        What::Reachable => world.unreachable.clear(),
        What::Password { told } => {
            if let Some(login) = &plan.login {
                secured::change_password(world, login, *told);
            }
        }
        What::Sessions(length) => {
            if plan.login.is_some() {
                world.cluster.set_max_reauth(*length).expect("brokers that ask");
            }
        }
        What::Quiet => quiet(world, plan),
        What::Date(dated) => world.dated = *dated,
        What::GoOnAt { partition, epoch, sequence } => {
            if world.go_on_at(topic, *partition, *epoch, *sequence) {
                world.count("chain far on");
            }
        }
        What::Freeze(_)
        | What::Thaw(_)
        | What::Stop(_)
        | What::Start(_)
        | What::Lead(..)
        | What::Lag(..)
        | What::CatchUp(_)
        | What::Fault(_)
        | What::Throttle(..)
        | What::Delete(..)
        | What::Recreate
        | What::Lose(..)
        | What::Forget(_)
        | What::Crash(..) => operator(world, plan).act(what),
    }
}

fn operator<'a>(world: &'a mut World<'_>, plan: &Plan) -> Operator<'a> {
    let (cluster, counts) = (&mut world.cluster, &mut world.faults);
    Operator { cluster, counts, hostile: plan.hostile }
}

/// The name of a kind of trouble in the tally.
#[must_use]
pub const fn counted(what: &What) -> &'static str {
    match what {
        What::Cancel(_) => "cancel",
        What::Misuse(misuse) => misuse.name(),
        What::Cut(_) => "cut",
        What::CutAfter(_) => "cut at a byte",
        What::Deafen => "deaf",
        What::Freeze(_) => "freeze",
        What::Stop(_) => "stop",
        What::Throttle(..) => "throttle",
        What::Unreachable(_) => "unreachable",
        What::Delete(..) => "records deleted",
        What::Recreate => "topic made anew",
        What::Quiet => "state expired",
        What::Password { .. } => "password changed",
        What::Sessions(_) => "session's length changed",
        What::Forget(_) => "forgotten unnoticed",
        What::Crash(..) => "restart with loss",
        What::Date(_) => "another date",
        What::Lead(..)
        | What::Lose(..)
        | What::Lag(..)
        | What::CatchUp(_)
        | What::Produce(_)
        | What::Flush
        | What::Weather(_)
        | What::Thaw(_)
        | What::Start(_)
        | What::Fault(_)
        | What::Reachable
        | What::GoOnAt { .. } => "",
    }
}

/// Whether neither the core nor the cluster tells the trace of it.
const fn is_silent(what: &What) -> bool {
    matches!(
        what,
        What::Weather(_)
            | What::CutAfter(_)
            | What::Deafen
            | What::Fault(_)
            | What::Throttle(..)
            | What::Unreachable(_)
            | What::Reachable
            | What::Quiet
            | What::Password { .. }
            | What::Sessions(_)
            | What::Date(_)
            | What::GoOnAt { .. }
            | What::Misuse(_)
    )
}

/// What makes a difference to what is asked, in the tally.
fn scene(plan: &Plan) -> &'static str {
    let offer =
        |node: &ottla_model::NodeConfig| node.versions.range(ApiKey::DESCRIBE_PRODUCERS).is_some();
    if !plan.cluster.nodes.iter().all(offer) {
        "no such question"
    } else if !plan.cluster.may_read {
        "no right to ask"
    } else if plan.topic.timestamp_type == TimestampType::LogAppendTime {
        "append times"
    } else {
        ""
    }
}

/// Lets so much time pass that the brokers forget the producer. All of them run meanwhile: what the
/// client sent before is not to come to a broker that has forgotten it, as after a day of frost.
fn quiet(world: &mut World<'_>, plan: &Plan) {
    clear_faults(world);
    for node in world.cluster.nodes().collect::<Vec<_>>() {
        world.cluster.thaw(node).expect("a node");
    }
    let ClusterConfig { producer_id_expiration, producer_id_expiration_check, .. } = plan.cluster;
    world.run_for(producer_id_expiration + producer_id_expiration_check + Duration::from_secs(1));
}

/// Takes back the faults that did not strike: they do not count.
fn clear_faults(world: &mut World<'_>) {
    let left: Vec<&str> = world.cluster.faults().map(name_of).collect();
    for name in left {
        if let Some(count) = world.faults.get_mut(name) {
            *count -= 1;
        }
    }
    world.cluster.clear_faults();
}

/// All is well again.
fn heal(world: &mut World<'_>, plan: &Plan) {
    clear_faults(world);
    world.tell(Lane::Network, Tone::Plain, || "all is well again".to_owned());
    world.weather = Weather::FAIR;
    world.unreachable.clear();
    operator(world, plan).heal();
    compressed::heal(world);
    if let Some(login) = &plan.login {
        secured::heal(world, login);
    }
}

/// Law 1: whatever happens, a record is answered by its deadline.
pub(super) fn check_prompt(world: &World<'_>, config: &Config<'_>) {
    for entry in world.ledger.entries() {
        let deadline = entry.produced.after(config.delivery_timeout);
        match entry.first {
            Some((_, at)) => assert!(at <= deadline, "late: {entry:?}"),
            None => assert!(world.now <= deadline, "no answer at {:?}: {entry:?}", world.now),
        }
    }
}
