//! Every version of Kafka that is tested takes records.

use core::time::Duration;

use ottla_interop::{Adapter, Command, Lines, LogCount, Mix, spoken, verify};
use ottla_kafka::{Cluster, Config, VERSIONS};

const LINES: u32 = 5_000;

/// Whatever `OTTLA_KAFKA_VERSION` says.
#[test]
#[ignore = "needs Java and Maven"]
fn every_version() {
    let lines = Lines::new(5, Mix::Wide, LINES);
    let file = tempfile::NamedTempFile::new().unwrap();
    lines.write(file.path()).unwrap();
    for version in VERSIONS {
        let cluster = Cluster::start(&Config::new(version, 1).unwrap()).unwrap();
        let bootstrap = cluster.bootstrap();
        println!("Kafka {version}: {}", spoken(&bootstrap).unwrap());
        for driver in Adapter::ALL {
            let topic = format!("lines-{driver}");
            cluster.create_topic(&topic, 3, 1, &[]).unwrap();
            let command = Command {
                bootstrap: &bootstrap,
                topic: &topic,
                file: file.path(),
                driver,
                properties: &[],
                limit: Duration::from_secs(120),
            };
            let ended = command.run().unwrap();
            println!("Kafka {version}, {driver}: {}", ended.line);
            assert_eq!((ended.status, ended.summary[0]), (Some(0), u64::from(LINES)));
            let log = cluster.read(&topic).unwrap();
            let count = verify(LINES, |index| lines.line(index), &ended.fates, &log).unwrap();
            let log = LogCount::of(&cluster, &topic).unwrap();
            println!("Kafka {version}, {driver}: {count}; {log}");
            assert_eq!((count.delivered, log.producers.len()), (LINES, 1));
        }
    }
}
