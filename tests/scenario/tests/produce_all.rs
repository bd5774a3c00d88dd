//! Many records in one call: all is as after so many single calls.

use core::time::Duration;

use ottla_core::{
    Config, Header, Limits, Memory, Partitioner, ProduceError, Record, Ticket, TopicId, Verdict,
};
use ottla_model::ClusterConfig;
use ottla_scenario::{Dice as _, Random, World, quick};

/// A record that is owned.
#[derive(Clone, Debug, Default)]
struct Owned {
    partition: Option<i32>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
}

/// Any record, one in some that is refused among them.
fn any(dice: &mut Random, at: i64) -> Owned {
    let bytes =
        |dice: &mut Random, most: u64| vec![dice.roll(0, 255) as u8; dice.roll(0, most) as usize];
    let most = if dice.once_in(20) { 1_500 } else { 60 };
    let named = if dice.once_in(150) { 99 } else { dice.roll(0, 5) as i32 };
    let value = if dice.once_in(200) { vec![7; 9_000] } else { bytes(dice, most) };
    let headers = (0..if dice.once_in(4) { dice.roll(1, 3) } else { 0 })
        .map(|n| (format!("h{n}"), (!dice.once_in(3)).then(|| bytes(dice, 20))));
    Owned {
        headers: headers.collect(),
        partition: dice.once_in(4).then_some(named),
        key: dice.once_in(3).then(|| bytes(dice, 9)),
        value: (!dice.once_in(10)).then_some(value),
        timestamp: if dice.once_in(150) { -5 } else { at + dice.roll(0, 3) as i64 - 1 },
    }
}

impl Owned {
    fn headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect()
    }

    fn with<'a>(&'a self, headers: &'a [Header<'a>]) -> Record<'a> {
        Record {
            partition: self.partition,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
            timestamp: self.timestamp,
        }
    }
}

/// A world whose topic of six partitions is known.
fn world(config: &Config<'_>, seed: u64) -> (World<'static>, TopicId) {
    let limits = Limits { page_size: 512, pages: 60, ..Limits::for_config(config) };
    let cluster = ClusterConfig::default();
    let mut world = World::with_memory(config, cluster, Memory::heap(limits), seed);
    world.cluster.create_topic("t", 6).expect("a topic");
    let topic = world.topic("t");
    (world, topic)
}

/// All that can be seen of a producer, and of the records that it took.
fn picture(world: &World<'_>, tickets: &[Ticket]) -> (Vec<u64>, String, Vec<Option<Vec<u8>>>) {
    let mut words = Vec::new();
    world.producer.internal_words(&mut |word| words.push(word));
    let bytes = |ticket: &Ticket| {
        let payload = world.producer.record(*ticket)?;
        let place = payload.topic_partition().1.to_be_bytes();
        let base = payload.base_timestamp().to_be_bytes();
        Some([&place[..], &base].into_iter().chain(payload).flatten().copied().collect())
    };
    let records = tickets.iter().map(bytes).collect();
    (words, format!("{:?}", world.producer.stats()), records)
}

#[test]
fn many_records_in_one_call_are_taken_as_by_single_calls() {
    let (mut refused, mut full, mut taken_before) = (0, 0, 0);
    for seed in 0..32 {
        let own = |_: Option<&[u8]>, value: Option<&[u8]>, partitions: u32| {
            value.map_or(0, <[u8]>::len) as u32 % partitions
        };
        let partitioner = match seed % 4 {
            0 => Partitioner::IgnoreKeys,
            1 => Partitioner::Custom(own),
            _ => Partitioner::Default,
        };
        let linger = if seed % 3 == 0 { Duration::ZERO } else { Duration::from_millis(5) };
        let config = Config { batch_size: 2_048, linger, max_request_size: 8_192, ..quick() };
        let config = Config { partitioner, ..config };
        let (mut one, topic) = world(&config, seed);
        let (mut all, same) = world(&config, seed);
        assert_eq!((topic, one.now), (same, all.now));
        let mut dice = Random::new(seed);
        let mut tickets = Vec::new();
        for _ in 0..40 {
            let now = one.now;
            let count = dice.roll(0, 60) as usize;
            let owned: Vec<_> = (0..count).map(|_| any(&mut dice, 1_700_000_000_000)).collect();
            let headers: Vec<_> = owned.iter().map(Owned::headers).collect();
            let records = || owned.iter().zip(&headers).map(|(owned, headers)| owned.with(headers));
            let (mut singly, mut expected) = (Vec::new(), Ok(()));
            for record in records() {
                match one.producer.produce(now, topic, &record) {
                    Ok(ticket) => singly.push(ticket),
                    Err(error) => {
                        expected = Err(error);
                        break;
                    }
                }
            }
            let (mut looked_at, mut together) = (0, Vec::new());
            let given = records().inspect(|_| looked_at += 1);
            let told = all.producer.produce_all(now, topic, given, |ticket| together.push(ticket));
            assert_eq!((told, &together), (expected, &singly), "seed {seed}");
            assert_eq!(looked_at, singly.len() + usize::from(expected.is_err()), "seed {seed}");
            tickets.extend(together);
            match expected {
                Ok(()) => {}
                Err(ProduceError::Full) => {
                    full += 1;
                    taken_before += usize::from(!singly.is_empty());
                    // With some taken out, and batches that are over, there is room.
                    for ticket in tickets.drain(..tickets.len() / 2) {
                        let verdict = one.producer.cancel(now, ticket);
                        assert_eq!(verdict, Verdict::NotDelivered);
                        assert_eq!(all.producer.cancel(now, ticket), verdict);
                    }
                    for world in [&mut one, &mut all] {
                        while world.producer.poll_output().is_some() {}
                    }
                }
                Err(_) => {
                    refused += 1;
                    taken_before += usize::from(!singly.is_empty());
                }
            }
            assert!(picture(&one, &tickets) == picture(&all, &tickets), "seed {seed}");
            if dice.once_in(8) {
                for world in [&mut one, &mut all] {
                    world.producer.flush(now);
                }
            }
        }
    }
    // So that this has seen what it is about.
    assert!(refused > 100 && full > 50 && taken_before > 100, "{refused} {full} {taken_before}");
}

#[test]
fn no_records_are_taken_of_a_topic_of_which_nothing_is_known_but_none_is_no_fault() {
    let (mut world, known) = world(&quick(), 1);
    let topic = world.producer.topic(world.now, "unheard-of").expect("room");
    let now = world.now;
    let mut none = |_| panic!("none was taken");
    let none_of_them: [Record<'_>; 0] = [];
    let said = world.producer.produce_all(now, topic, none_of_them, &mut none);
    assert_eq!(said, Ok(()));
    let one = [Record::default()];
    let said = world.producer.produce_all(now, topic, one.iter(), &mut none);
    assert_eq!(said, Err(ProduceError::MetadataPending));
    world.producer.close(now, now);
    let said = world.producer.produce_all(now, known, one.iter(), &mut none);
    assert_eq!(said, Err(ProduceError::Closing));
}
