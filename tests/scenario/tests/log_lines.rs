//! What the core tells `log`: few lines, and those that explain a run.

use core::time::Duration;
use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use ottla_core::Config;
use ottla_model::ClusterConfig;
use ottla_scenario::World;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Listener;

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ottla"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            LINES.lock().expect("one thread").push(line);
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_run_is_told_in_few_lines() {
    log::set_logger(&Listener).expect("the only logger");
    log::set_max_level(LevelFilter::Debug);
    let mut world = World::new(&Config::default(), ClusterConfig::with_nodes(1), 3);
    world.cluster.create_topic("readings", 1).expect("a topic");
    let topic = world.topic("readings");
    for _ in 0..100 {
        world.produce(topic, Some(0), 40).expect("room");
    }
    world.run_for(Duration::from_secs(1));
    world.cluster.restart(1).expect("a node");
    world.produce(topic, Some(0), 40).expect("room");
    world.close(Duration::from_secs(30));
    let lines = LINES.lock().expect("one thread");
    let told = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert!(told("INFO connected to ") >= 2, "{lines:?}");
    assert!(told("WARN disconnected from ") >= 1, "{lines:?}");
    assert_eq!(told("INFO producer id "), 1, "{lines:?}");
    assert!(
        told("DEBUG 100 records of batch 0: Delivered { base_offset: Some(0)") == 1,
        "{lines:?}"
    );
    assert!(lines.len() < 20, "{lines:?}");
}
