//! Storms in which one of the brokers is hostile: it leads some partitions, and answers what it likes.

use core::time::Duration;
use std::collections::BTreeSet;

use ottla_core::{Cause, Instant};

use super::plan::{NODES, Plan, TOPIC, What};
use crate::{
    dice::{Dice, Random},
    ledger::Said,
    world::World,
};

/// All of them, since nobody can find a cluster by a hostile broker alone.
const SERVERS: &str = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094";
/// When the hostile broker is silent and all else is well, each partition that an honest one leads
/// takes a record within this time.
const RECOVERY: Duration = Duration::from_secs(30);
/// The most attempts at a record within a second, and the most dials. A backoff of 30 ms, the shortest
/// that grows no more, leaves room for 42 a second at each of three brokers; cuts and leaders that move
/// come on top.
const BUSY: usize = 200;

impl Plan {
    /// The storm of a seed in which one broker is hostile among honest ones.
    ///
    /// Its partitions are its own from beginning to end: what it says of them nobody can judge. What
    /// is said of the others is held against the logs as ever.
    #[must_use]
    pub fn hostile(seed: u64) -> Self {
        let dice = &mut Random::new(seed ^ 0x7_2a17);
        let mut plan = Self::of(seed);
        let node = dice.roll(1, u64::from(NODES)) as i32;
        plan.hostile = Some(node);
        plan.config.bootstrap_servers = SERVERS;
        if plan.leaders.iter().all(|leader| *leader == node) {
            plan.leaders[0] = node % i32::from(NODES) + 1;
        }
        let mut steps = core::mem::take(&mut plan.steps);
        steps.retain(|step| plan.allows(&step.what));
        plan.steps = steps;
        plan
    }

    /// Whether something may happen, as all may where no broker is hostile.
    pub(super) fn allows(&self, what: &What) -> bool {
        let Some(node) = self.hostile else { return true };
        let own = |partition: i32| self.leaders[partition as usize] == node;
        let leads = matches!(what, What::Lead(at, to) if *to == node || own(*at));
        let stops = matches!(what, What::Stop(stopped) if *stopped == node);
        // With a topic made anew leaders would be dealt out anew.
        !leads && !stops && !matches!(what, What::Recreate)
    }
}

/// The partitions that the hostile broker leads.
pub fn own(plan: &Plan) -> BTreeSet<i32> {
    let leaders = (0..).zip(&plan.leaders);
    leaders.filter(|(_, leader)| Some(**leader) == plan.hostile).map(|(own, _)| own).collect()
}

/// The hostile broker is silent and all else is well: records come through again.
pub(super) fn check_recovery(world: &mut World<'_>, plan: &Plan) {
    let own = own(plan);
    let mut left: BTreeSet<i32> =
        (0..plan.leaders.len() as i32).filter(|honest| !own.contains(honest)).collect();
    let topic = world.topic(TOPIC);
    let (end, mut tried) = (world.now.after(RECOVERY), Vec::new());
    while !left.is_empty() {
        assert!(world.now < end, "partitions do not recover: {left:?}");
        for partition in &left {
            if let Ok(id) = world.produce(topic, Some(*partition), 20) {
                tried.push((*partition, id));
            }
        }
        world.producer.flush(world.now);
        world.run_for(Duration::from_millis(200));
        let delivered = |id| {
            let last = world.last(id);
            // With acks=0 there is no better word.
            matches!(last, Some(Said::Delivered(_) | Said::Unknown(Cause::NoAcks)))
        };
        left.retain(|partition| !tried.iter().any(|(at, id)| at == partition && delivered(*id)));
    }
}

/// No record and no broker is tried faster than backoffs allow.
pub(super) fn check_busy(world: &World<'_>) {
    let most = busiest(world.dials.iter().copied());
    assert!(most <= BUSY, "too busy: {most} dials within a second");
    let mut attempts = std::collections::BTreeMap::<u64, Vec<Instant>>::new();
    for sent in &world.tap.sent {
        if let Some(id) = sent.ids.first() {
            attempts.entry(*id).or_default().push(sent.at);
        }
    }
    for (id, times) in attempts {
        let most = busiest(times.into_iter());
        assert!(most <= BUSY, "too busy: {most} attempts within a second at record {id}");
    }
}

/// How many of these lie within one second, where most do.
fn busiest(times: impl Iterator<Item = Instant>) -> usize {
    let times: Vec<Instant> = times.collect();
    let mut first = 0;
    (0..times.len())
        .map(|last| {
            while times[last].since(times[first]) > Duration::from_secs(1) {
                first += 1;
            }
            last - first + 1
        })
        .max()
        .unwrap_or(0)
}
