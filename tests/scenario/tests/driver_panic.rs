//! Whoever drives the core comes to a bad end in the middle of it: then nothing is told that is not so.

use core::{cell::Cell, panic::AssertUnwindSafe, time::Duration};
use std::{panic::catch_unwind, sync::Once};

use log::{Log, Metadata, Record};
use ottla_core::{Cause, Config, Event, Outcome, Output};
use ottla_model::ClusterConfig;
use ottla_scenario::{World, quick};

thread_local! {
    static FAILS: Cell<bool> = const { Cell::new(false) };
}

/// Panics at the next word about the outcome of a batch.
struct Fragile;

impl Log for Fragile {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if FAILS.get() && record.args().to_string().contains("records of batch") {
            FAILS.set(false);
            panic!("the logger panics");
        }
    }

    fn flush(&self) {}
}

#[test]
fn what_was_acknowledged_when_its_driver_died_is_not_told_as_not_delivered() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Fragile).expect("the first logger");
        log::set_max_level(log::LevelFilter::Debug);
    });
    let config = Config { linger: Duration::from_millis(1), ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    for _ in 0..3 {
        world.produce(topic, Some(0), 20).expect("room");
    }
    FAILS.set(true);
    let died = catch_unwind(AssertUnwindSafe(|| world.run_for(Duration::from_secs(1))));
    assert!(died.is_err());
    assert_eq!(world.cluster.end_offset("t", 0), 4);
    // As an adapter does whose driver dies.
    world.producer.close(world.now, world.now);
    let mut told = 0;
    while let Some(output) = world.producer.poll_output() {
        if let Output::Event(Event::BatchOutcome(settled)) = output {
            assert_eq!(settled.outcome, Outcome::Unknown(Cause::Closed));
            assert!(settled.last);
            told += settled.records;
        }
    }
    assert_eq!(told, 3);
}
