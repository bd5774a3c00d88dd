//! Values of messages, made up.

use crate::{
    batch::Batch,
    choice::{Choices, pick},
    messages::{Field, Kind, Meaning, Struct, Value},
};

/// What there is to speak of.
#[derive(Clone, Debug)]
pub struct World {
    /// Names of topics.
    pub topics: Vec<String>,
    /// Their ids, in the same order, as far as they are known.
    pub topic_ids: Vec<[u8; 16]>,
    /// How many partitions each has.
    pub partitions: i32,
    /// Ids of nodes.
    pub nodes: Vec<i32>,
    /// A producer id that was given out.
    pub producer_id: i64,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// Values that mean nothing in particular may be any. Otherwise they are those that do no harm.
    pub wild: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            topics: vec!["ottla-fuzz".to_owned()],
            topic_ids: Vec::new(),
            partitions: 3,
            nodes: vec![1],
            producer_id: 1_000,
            now_ms: 1_700_000_000_000,
            wild: true,
        }
    }
}

/// How long made up arrays are at most.
const MOST_ELEMENTS: usize = 3;

/// A message of these fields.
pub fn generate(
    fields: &[Field],
    version: i16,
    world: &World,
    choices: &mut dyn Choices,
) -> Struct {
    let mut made = Struct::default();
    for field in fields.iter().filter(|field| field.is_in(version)) {
        // A tagged field may as well not be told.
        if field.tag.is_some() && (!world.wild || choices.once_in(2)) {
            continue;
        }
        made.fields.push((field.name, value(field, version, world, choices)));
    }
    made
}

fn value(field: &Field, version: i16, world: &World, choices: &mut dyn Choices) -> Value {
    let meaning = if world.wild && choices.once_in(8) { Meaning::Nothing } else { field.meaning };
    if field.is_nullable(version) {
        let null = match meaning {
            Meaning::Null => true,
            Meaning::Records | Meaning::Topic => false,
            _ => choices.once_in(4),
        };
        if null {
            return Value::Null;
        }
    }
    of_kind(&field.kind, meaning, version, world, choices)
}

fn of_kind(
    kind: &Kind,
    meaning: Meaning,
    version: i16,
    world: &World,
    choices: &mut dyn Choices,
) -> Value {
    match kind {
        Kind::Bool => Value::Int(match meaning {
            Meaning::True => 1,
            Meaning::Zero => 0,
            _ => i64::from(choices.once_in(2)),
        }),
        Kind::Int(len) => Value::Int(within(number(meaning, *len, world, choices), *len)),
        Kind::Uuid => Value::Uuid(match meaning {
            Meaning::TopicId => pick(choices, &world.topic_ids).copied().unwrap_or_default(),
            Meaning::NoTopicId => [0; 16],
            _ if choices.once_in(2) => [0; 16],
            _ => choices.bytes(16).try_into().unwrap_or_default(),
        }),
        Kind::String => Value::Bytes(text(meaning, world, choices).into_bytes()),
        Kind::Bytes => {
            let len = choices.below(20);
            Value::Bytes(choices.bytes(len))
        }
        Kind::Records => {
            let values = (0..=choices.below(3)).map(|_| choices.bytes(5)).collect();
            let batch = Batch {
                producer_id: if choices.once_in(2) { world.producer_id } else { -1 },
                ..Batch::new(values, world.now_ms)
            };
            let named = batch.producer_id >= 0;
            let (epoch, sequence) = if named { (0, 0) } else { (-1, -1) };
            Value::Bytes(Batch { epoch, sequence, ..batch }.encode())
        }
        Kind::Array(_) if meaning == Meaning::Empty => Value::Array(Vec::new()),
        Kind::Array(kind) => {
            let least = usize::from(!world.wild);
            let count = least + choices.below(MOST_ELEMENTS);
            let elements = (0..count).map(|_| of_kind(kind, meaning, version, world, choices));
            Value::Array(elements.collect())
        }
        Kind::Struct(fields) => Value::Struct(generate(fields, version, world, choices)),
    }
}

fn number(meaning: Meaning, len: usize, world: &World, choices: &mut dyn Choices) -> i64 {
    let below = |choices: &mut dyn Choices, n: usize| i64::try_from(choices.below(n)).unwrap_or(0);
    match meaning {
        Meaning::Partition => below(choices, usize::try_from(world.partitions).unwrap_or(1)),
        Meaning::PartitionCount => 1 + below(choices, 3),
        Meaning::Replication => 1,
        Meaning::Node => pick(choices, &world.nodes).copied().map_or(1, i64::from),
        Meaning::Replica | Meaning::MinusOne => -1,
        Meaning::Port => 9092,
        Meaning::ProducerId => world.producer_id,
        Meaning::Acks => [-1, 1].get(choices.below(2)).copied().unwrap_or(-1),
        Meaning::Milliseconds => 1 + below(choices, 1_000),
        Meaning::Size => 1 + below(choices, 1 << 20),
        Meaning::Flag => below(choices, 2),
        Meaning::ListTimestamp => -below(choices, 3),
        Meaning::Offset => below(choices, 10),
        Meaning::Error if world.wild => below(choices, 138) - 1,
        Meaning::ApiKey => below(choices, 80),
        Meaning::Version => below(choices, 14),
        Meaning::Epoch | Meaning::LeaderEpoch | Meaning::Zero | Meaning::Error => 0,
        _ if !world.wild => 0,
        _ => edge(len, choices),
    }
}

/// A number of those that programs fall over.
pub(crate) fn edge(len: usize, choices: &mut dyn Choices) -> i64 {
    let bits = u32::try_from(len.saturating_mul(8)).unwrap_or(64);
    let max = i64::MAX >> 64_u32.saturating_sub(bits);
    match choices.below(10) {
        0 => max,
        1 => -max - 1,
        2 => -1,
        3 => 1,
        4 => max - 1,
        5 => -2,
        6 => max / 2 + 1,
        7 => 0,
        _ => within(choices.number().cast_signed(), len),
    }
}

/// The same as so many bytes have it.
fn within(number: i64, len: usize) -> i64 {
    let bits = 64_u32.saturating_sub(u32::try_from(len.saturating_mul(8)).unwrap_or(64));
    (number << bits) >> bits
}

fn text(meaning: Meaning, world: &World, choices: &mut dyn Choices) -> String {
    match meaning {
        Meaning::Topic => pick(choices, &world.topics).cloned().unwrap_or_default(),
        Meaning::Host => "127.0.0.1".to_owned(),
        Meaning::Group => format!("ottla-fuzz-{}", choices.below(3)),
        Meaning::Mechanism => {
            let known = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", ""];
            pick(choices, &known).map_or_else(String::new, |name| (*name).to_owned())
        }
        Meaning::Software => "ottla-fuzz".to_owned(),
        _ => {
            let words = ["", "a", "ü", "a/b", ".", "..", "__consumer_offsets", "\u{0}"];
            match choices.below(10) {
                9 => "x".repeat(1 + choices.below(300)),
                at => words.get(at).map_or_else(String::new, |word| (*word).to_owned()),
            }
        }
    }
}
