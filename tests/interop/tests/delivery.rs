//! Everything arrives, once, in order, where it is told to be.

use core::time::Duration;
use std::{collections::BTreeSet, time::Instant};

use ottla_interop::{
    Adapter, COMPRESSIONS, Command, Fates, Lines, LogCount, Message, Mix, Stream, cluster,
    compression, properties_of, rich, verify, version,
};
use ottla_kafka::Cluster;

const RICH: u32 = 6_000;
const PARTITIONS: i32 = 6;
const LIMIT: Duration = Duration::from_secs(300);
const LARGE: &str = "2097152";

#[test]
#[ignore = "needs Java and Maven"]
fn everything_arrives_once() {
    let cluster = cluster(3).unwrap();
    let input = Input::new(lines_to_send());
    let producers: BTreeSet<i64> =
        Adapter::ALL.into_iter().map(|driver| input.arrives(&cluster, driver, None)).collect();
    assert_eq!(producers.len(), 2, "two runs, two producer ids: {producers:?}");
}

/// By each type of compression, and at both ends of its levels.
#[test]
#[ignore = "needs Java and Maven"]
fn everything_arrives_by_each_compression() {
    let cluster = cluster(3).unwrap();
    let input = Input::new(lines_to_send() / 8);
    for compression in COMPRESSIONS {
        for driver in Adapter::ALL {
            input.arrives(&cluster, driver, Some(compression));
        }
    }
}

/// Lines, and the file that they are in.
struct Input {
    lines: Lines,
    file: tempfile::NamedTempFile,
}

impl Input {
    fn new(count: u32) -> Self {
        let lines = Lines::new(20_26, Mix::Wide, count);
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = lines.write(file.path()).unwrap();
        println!("Kafka {}: {count} lines, {:.1} MB", version(), bytes as f64 / 1e6);
        Self { lines, file }
    }

    /// Sends them to a topic, and reads them back; the id of the producer. `by`: how they are compressed, if that is not
    /// for the environment to say.
    #[allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]
    fn arrives(&self, cluster: &Cluster, driver: Adapter, by: Option<&str>) -> i64 {
        let Self { lines, file } = self;
        let count = lines.count;
        let compression = by.map(str::to_owned).or_else(compression);
        let topic = match by {
            Some(by) => format!("lines-{driver}-{}", by.replace(':', ".")),
            None => format!("lines-{driver}"),
        };
        let configs = [("max.message.bytes", LARGE), ("min.insync.replicas", "2")];
        cluster.create_topic(&topic, PARTITIONS, 3, &configs).unwrap();
        let compressed = by.map(properties_of).unwrap_or_default();
        let compressed = compressed.iter().map(|(name, value)| (&**name, &**value));
        let properties: Vec<_> = compressed.chain([("max.request.size", LARGE)]).collect();
        let bootstrap = cluster.bootstrap();
        let command = Command {
            bootstrap: &bootstrap,
            topic: &topic,
            file: file.path(),
            driver,
            properties: &properties,
            limit: LIMIT,
        };
        let ended = command.run().unwrap();
        println!("{topic}: {}", ended.line);
        assert_eq!(
            (ended.status, ended.summary),
            (Some(0), [u64::from(count), 0, 0]),
            "{}",
            ended.stderr
        );
        let begin = Instant::now();
        let log = cluster.read(&topic).unwrap();
        let found = verify(count, |index| lines.line(index), &ended.fates, &log).unwrap();
        assert_eq!((found.delivered, found.delivered_somewhere), (count, 0), "{found}");
        assert_eq!(partitions(&ended.fates), PARTITIONS as usize, "all of them are used");
        println!("{topic}: {found}; read back in {:?}", begin.elapsed());
        drop(log);
        let compression = compression.as_deref();
        let log = LogCount::compressed(cluster, &topic, compression.unwrap_or("none")).unwrap();
        println!("{topic}: {log}");
        assert_eq!((log.records, log.epochs), (u64::from(count), PARTITIONS as u64));
        assert_eq!(log.producers.len(), 1, "one run, one producer id");
        // Batches of noise go as they are.
        assert_eq!(compression.is_some(), 2 * log.compressed > log.batches, "{compression:?}");
        cluster.delete_topic(&topic).unwrap();
        log.producers.into_iter().next().unwrap()
    }
}

/// As `OTTLA_LINES` says.
fn lines_to_send() -> u32 {
    std::env::var("OTTLA_LINES").map_or(200_000, |count| count.parse().expect("a number of lines"))
}

fn partitions(fates: &Fates) -> usize {
    let told = fates.all().iter().filter_map(|fate| match fate.last() {
        Some(ottla_interop::Told::Delivered { partition, .. }) => Some(partition),
        _ => None,
    });
    told.collect::<BTreeSet<_>>().len()
}

/// Headers, nulls, tombstones, explicit partitions and create times, through the interfaces of
/// both adapters.
#[test]
#[ignore = "needs Java and Maven"]
fn every_part_of_a_record_arrives() {
    let cluster = cluster(3).unwrap();
    let bootstrap = cluster.bootstrap();
    for adapter in Adapter::ALL {
        let topic = format!("rich-{adapter}");
        cluster.create_topic(&topic, PARTITIONS, 3, &[]).unwrap();
        let message = |index| rich(index, PARTITIONS as u32);
        let before = now_ms();
        let stream = Stream::new(&bootstrap, &topic);
        let sent = stream.send(adapter, |index| (index < RICH).then(|| message(index))).unwrap();
        let after = now_ms();
        println!("{adapter}: {}", sent.story());
        sent.check_stats().unwrap();
        assert!(sent.close.complete);
        let log = cluster.read(&topic).unwrap();
        let count = verify(RICH, message, &sent.fates, &log).unwrap();
        println!("{adapter}: {count}");
        assert_eq!((count.delivered, count.delivered_somewhere), (RICH, 0));
        let stamped = log.iter().filter(|record| (before..=after).contains(&record.timestamp));
        let unstamped = (0..RICH).filter(|index| message(*index).timestamp.is_none());
        assert_eq!(stamped.count(), unstamped.count(), "without a time it is that of sending");
        let log = LogCount::of(&cluster, &topic).unwrap();
        println!("{adapter}: {log}");
        assert_eq!((log.records, log.producers.len()), (u64::from(RICH), 1));
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap()
}

/// Keys of all lengths from none to 300 bytes, of any bytes.
#[test]
#[ignore = "needs Java and Maven"]
fn keys_lie_where_java_puts_them() {
    const KEYS: u32 = 1_000;
    let cluster = cluster(1).unwrap();
    let bootstrap = cluster.bootstrap();
    let key = |index: u32| {
        let mut key = vec![0; if index < 301 { index as usize } else { index as usize * 7 % 301 }];
        fastrand::Rng::with_seed(u64::from(index)).fill(&mut key);
        key
    };
    let message = |index| Message {
        key: Some(key(index)),
        value: Some(index.to_be_bytes().to_vec()),
        ..Message::default()
    };
    let keys: Vec<Vec<u8>> = (0..KEYS).map(key).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    for partitions in [1, 2, 7, 48] {
        let java = cluster.tool().partitions_for(partitions, &keys).unwrap();
        for adapter in Adapter::ALL {
            let topic = format!("keys-{partitions}-{adapter}");
            cluster.create_topic(&topic, partitions, 1, &[]).unwrap();
            let stream = Stream::new(&bootstrap, &topic);
            let sent =
                stream.send(adapter, |index| (index < KEYS).then(|| message(index))).unwrap();
            let log = cluster.read(&topic).unwrap();
            let count = verify(KEYS, message, &sent.fates, &log).unwrap();
            assert_eq!(count.delivered, KEYS);
            for record in &log {
                // Found by the value: the consumer's word, not ours, on where it is.
                let value = record.value.as_deref().unwrap().try_into().unwrap();
                let index = u32::from_be_bytes(value) as usize;
                assert_eq!(record.partition, java[index], "key {:?}", keys[index]);
            }
            println!("{adapter}: {KEYS} keys lie where Java puts them among {partitions}");
        }
    }
}
