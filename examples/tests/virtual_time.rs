//! The loop on virtual time: a freeze, a restart, cancels, deadlines, and that it sleeps.
#![allow(dead_code, reason = "the loop is a program of its own")]

use std::{collections::BTreeMap, time::Duration};

use ottla_core::{Cause, Instant, ProduceError, RecordOutcome, Report};

#[path = "../virtual_time.rs"]
mod virtual_time;

use virtual_time::{Lent, World};

const SECOND: Duration = Duration::from_secs(1);

/// What was told in the order of time, and how many turns the loop took while the broker was away.
fn day(seed: u64) -> (Vec<(Instant, Report<u64>)>, u64) {
    let mut memory = Lent::new();
    let mut world = World::new(memory.lend(), "readings", seed);
    assert_eq!(world.produce(0, b"0", None), Err(ProduceError::MetadataPending));
    world.pass(SECOND);
    assert!(world.is_ready());
    for token in 0..10 {
        world.produce(token, token.to_string().as_bytes(), None).unwrap();
    }
    world.pass(SECOND);
    assert_eq!(world.told.len(), 10);

    // Ten readings while the node is frozen, good for 300 ms each; the last is cancelled before that.
    world.cluster.freeze(1).unwrap();
    for token in 10..20 {
        let timeout = Some(Duration::from_millis(300));
        world.produce(token, token.to_string().as_bytes(), timeout).unwrap();
        world.pass(Duration::from_millis(20));
    }
    world.cancel(19);
    world.pass(SECOND);
    let answered = world.told.iter().filter(|(_, report)| report.token >= 10);
    assert_eq!(answered.count(), 10, "each was answered while the node was frozen");
    world.cluster.thaw(1).unwrap();
    world.pass(SECOND);

    // It is away for a minute.
    world.cluster.stop(1).unwrap();
    let (mut token, mut full) = (20, 0);
    while full == 0 {
        match world.produce(token, format!("{token} {}", ".".repeat(200)).as_bytes(), None) {
            Ok(()) => token += 1,
            Err(error) => {
                assert_eq!(error, ProduceError::Full);
                full += 1;
            }
        }
    }
    world.pass(5 * SECOND);
    let before = world.turns;
    world.pass(60 * SECOND);
    let away = world.turns - before;
    world.cluster.start(1).unwrap();
    world.pass(10 * SECOND);

    // And is restarted under way.
    for token in token..token + 10 {
        world.produce(token, token.to_string().as_bytes(), None).unwrap();
    }
    world.pass(Duration::from_millis(6));
    world.cluster.restart(1).unwrap();
    world.pass(10 * SECOND);
    check(&world, token + 10);
    (world.told, away)
}

/// All that was told is so in the log.
fn check(world: &World<'_>, tokens: u64) {
    let mut places = BTreeMap::new();
    for partition in 0..2 {
        for record in world.cluster.log("readings", partition) {
            let value = str::from_utf8(record.value.unwrap()).unwrap();
            let token: u64 = value.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(places.insert(token, (partition, record.offset)), None, "{token} twice");
        }
    }
    for token in 0..tokens {
        let of = world.told.iter().filter(|(_, report)| report.token == token);
        let of: Vec<_> = of.map(|(_, report)| report).collect();
        let last = of.last().unwrap();
        assert!(last.last && last.late == (of.len() == 2) && of.len() <= 2, "{of:?}");
        match last.outcome {
            RecordOutcome::Delivered { partition, offset, .. } => {
                let (at, found) = places[&token];
                assert_eq!(partition, at);
                assert!(offset.is_none_or(|offset| offset == found), "{token}");
            }
            RecordOutcome::NotDelivered(_) => assert!(!places.contains_key(&token), "{token}"),
            other => panic!("{token}: {other:?}"),
        }
    }
}

#[test]
fn a_day_on_virtual_time_is_told_truly_and_the_same_each_time() {
    let (told, _) = day(7);
    assert_eq!(told, day(7).0);
    let first: Vec<_> =
        told.iter().filter(|(_, r)| (10..20).contains(&r.token) && !r.late).collect();
    let cause = |known: bool, r: &RecordOutcome| match r {
        RecordOutcome::NotDelivered(why) if known => Some(why.cause),
        RecordOutcome::Unknown(why) if !known => Some(why.cause),
        RecordOutcome::Delivered { .. }
        | RecordOutcome::NotDelivered(_)
        | RecordOutcome::Unknown(_)
        | _ => None,
    };
    for (known, of) in [(false, Cause::Deadline), (true, Cause::Deadline), (true, Cause::Cancelled)]
    {
        assert!(first.iter().any(|(_, r)| cause(known, &r.outcome) == Some(of)), "{known}, {of}");
    }
}

#[test]
fn it_sleeps_while_the_broker_is_away() {
    let (_, turns) = day(8);
    println!("{turns} turns in a minute");
    // With reconnect.backoff.max.ms at a second and a fifth of jitter: a dial, its refusal, and what is due
    // of metadata. A turn of 100 µs is a hundredth of a core at 100 a second.
    assert!(turns > 60 && turns <= 60 * 10, "{turns}");
}
