//! When whoever moves the bytes is to be woken.

#![forbid(unsafe_code)]
#![allow(unused_crate_dependencies)] // those of the library and the benchmarks

use ottla_core::ConnId;
use ottla_cost::{Rig, Shape};

/// What a batch of 16 KiB takes, and one record more, so that it is full.
const FULL: usize = 160;

fn fill(rig: &mut Rig, partition: i32) {
    for _ in 0..FULL {
        rig.produce(Some(partition), 100);
    }
}

fn is_urgent(rig: &Rig) -> bool {
    rig.producer.has_output() || rig.producer.has_urgent_write()
}

/// Has a request under way.
fn busy(rig: &mut Rig) -> ConnId {
    fill(rig, 0);
    let conn = rig.compose().expect("a request");
    rig.transmit(conn);
    assert!(rig.compose().is_none());
    conn
}

#[test]
fn a_full_batch_leaves_at_once_where_no_answer_is_to_come() {
    let mut rig = Rig::new(Shape::default());
    rig.produce(Some(0), 100);
    assert!(!rig.producer.needs_service(), "it lingers");
    fill(&mut rig, 0);
    assert!(rig.producer.needs_service() && is_urgent(&rig));
}

#[test]
fn behind_a_request_under_way_a_full_batch_may_wait_for_the_answer() {
    let mut rig = Rig::new(Shape::default());
    busy(&mut rig);
    fill(&mut rig, 1);
    assert!(rig.producer.needs_service() && !is_urgent(&rig));
    // And another, of another partition.
    fill(&mut rig, 2);
    assert!(rig.producer.needs_service() && !is_urgent(&rig));
    // Whoever looks for another reason takes them along.
    assert!(rig.compose().is_some());
}

#[test]
fn what_is_told_does_not_wait() {
    let mut rig = Rig::new(Shape::default());
    busy(&mut rig);
    fill(&mut rig, 1);
    assert!(!is_urgent(&rig));
    rig.producer.topic(ottla_cost::NOW, "another").expect("a topic");
    while rig.settled().is_some() {}
    rig.producer.close(ottla_cost::NOW, ottla_cost::NOW);
    assert!(is_urgent(&rig));
}
