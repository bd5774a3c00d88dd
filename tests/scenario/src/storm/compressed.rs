//! Storms in which batches are compressed: by every codec, in time, late, not at all, and with little memory.

use std::collections::BTreeMap;

use ottla_core::{Compression, Limits, wire::ApiKey};
use ottla_model::{CompressionType, Versions, compression::Codec};

use super::plan::{NODES, Plan, Step, What};
use crate::{
    codec::CodecService,
    dice::{Dice, Random},
    world::World,
};

/// Who has the codec, and how much memory there is.
#[derive(Clone, Debug)]
pub struct Codecs {
    /// The codec.
    pub service: CodecService,
    /// Which records do not compress.
    pub noisy: fn(u64) -> bool,
    /// Bytes a page, and pages.
    pub pages: (u32, u32),
}

/// What such storms come to.
const SEEN: [&str; 16] = [
    "codec answered too late",
    "codec failed",
    "codec made it larger",
    "codec never answered",
    "compressed",
    "compressed by gzip",
    "compressed by lz4",
    "compressed by snappy",
    "compressed by zstd",
    "compressed, and a record taken out",
    "compressed, and split",
    "lent, and a record taken out",
    "plain, as a broker takes it in no other way",
    "plain, as it is no smaller",
    "plain, as the codec failed",
    "plain, as there is no memory",
];

/// Cases that are come through in no other storm.
pub const OF_COMPRESSION: [&str; 5] =
    ["CancelledCompressed", "CancelledLent", "CodecRefused", "CodecTooLate", "SplitCompressed"];

impl Plan {
    /// The storm of a seed in which batches are compressed. One in six has a hostile broker, brokers that lose
    /// what nobody is told of, or brokers that ask who the client is.
    #[must_use]
    pub fn compressed(seed: u64) -> Self {
        let dice = &mut Random::new(seed ^ 0xc0_dec);
        let mut plan = match dice.roll(0, 5) {
            0 => Self::hostile(seed),
            1 => Self::losing(seed),
            2 => Self::secured(seed),
            _ => Self::of(seed),
        };
        // Most often the one that takes the least time.
        let compression = match dice.roll(0, 5) {
            0 => Compression::Gzip,
            1 => Compression::Snappy,
            2 => Compression::Zstd,
            _ => Compression::Lz4,
        };
        plan.config.compression = compression;
        let rarely = |dice: &mut dyn Dice| if dice.once_in(3) { dice.roll(2, 30) } else { 0 };
        let delay = match dice.roll(0, 3) {
            0 => (0, 0),
            1 => (0, dice.roll(1, 300)),
            2 => (0, dice.roll(300, 20_000)),
            _ => (1_000, dice.roll(20_000, 400_000)),
        };
        let service = CodecService {
            delay,
            fails: rarely(dice),
            swells: rarely(dice),
            loses: if dice.once_in(4) { dice.roll(3, 40) } else { 0 },
            repeats: rarely(dice),
            ..CodecService::default()
        };
        let noisy: fn(u64) -> bool = match dice.roll(0, 3) {
            0 => |id| id % 3 == 0,
            1 => |id| id % 7 < 5,
            _ => |_| false,
        };
        // Small pages, so that what comes from a codec takes several; and few of them, at times hardly enough.
        let size = dice.roll(32, 512) as u32;
        let bytes = match dice.roll(0, 2) {
            0 => dice.roll(3_000, 6_000) as u32,
            _ => dice.roll(6_000, 60_000) as u32,
        };
        let bytes = bytes.max(plan.config.batch_size * 5 / 4);
        plan.compression = Some(Codecs { service, noisy, pages: (size, bytes / size + 2) });
        if dice.once_in(3) {
            // What is compressed is too large as well. So many records are then that chains come to epochs which
            // they could otherwise be sent on from.
            plan.steps.retain(|step| !matches!(step.what, What::GoOnAt { .. }));
            plan.topic.max_message_bytes = dice.roll(140, 260) as usize;
        }
        plan.topic.compression = match dice.roll(0, 5) {
            0 => CompressionType::Uncompressed,
            1 => CompressionType::By(Codec::ALL[dice.roll(0, 3) as usize]),
            _ => CompressionType::Producer,
        };
        // In older versions a hostile broker has lies that look like an acknowledgement, of which nobody can know.
        if compression == Compression::Zstd && plan.hostile.is_none() && dice.once_in(2) {
            // Brokers that are older than zstd; most often some of them. They know topics by their names, and so
            // take what was sent to one that is no more.
            plan.steps.retain(|step| !matches!(step.what, What::Recreate));
            for node in &mut plan.cluster.nodes {
                if dice.once_in(u64::from(NODES) - 1) {
                    let old = dice.roll(3, 6) as i16;
                    let versions = core::mem::replace(&mut node.versions, Versions::none());
                    node.versions = versions.with(ApiKey::PRODUCE, 0, old);
                }
            }
        }
        // More of them are cancelled, and at once: they meet a codec.
        for _ in 0..dice.roll(0, 12) {
            let at = dice.roll(0, plan.steps.len() as u64 - 1) as usize;
            let what = What::Cancel(dice.roll(0, 8));
            let pause = core::time::Duration::from_micros(dice.roll(0, 2_000));
            plan.steps.insert(at, Step { what, pause });
        }
        plan
    }
}

impl Codecs {
    /// The limits of a producer with this memory.
    pub(super) fn limit(&self, limits: Limits) -> Limits {
        let (page_size, pages) = self.pages;
        Limits { page_size, pages, ..limits }
    }
}

/// Gives the world its codec.
pub(super) fn begin(world: &mut World<'_>, codecs: &Codecs) {
    world.codec = codecs.service.clone();
    world.noisy = codecs.noisy;
}

/// The codec is prompt and does not fail, though what it never answered stays so.
pub(super) fn heal(world: &mut World<'_>) {
    let codec = &mut world.codec;
    (codec.fails, codec.swells, codec.loses) = (0, 0, 0);
}

/// What the run came to.
pub(super) fn seen(world: &World<'_>, plan: &Plan) -> BTreeMap<&'static str, u64> {
    use ottla_core::Seen;
    let mut seen: BTreeMap<&str, u64> = SEEN.map(|name| (name, 0)).into();
    let stats = world.producer.stats().compression;
    let case = |case| u64::from(world.producer.internal_seen(case));
    let by = match plan.config.compression {
        Compression::Gzip => "compressed by gzip",
        Compression::Snappy => "compressed by snappy",
        Compression::Zstd => "compressed by zstd",
        Compression::Lz4 | Compression::None => "compressed by lz4",
    };
    for (name, count) in [
        (by, stats.compressed),
        ("compressed", stats.compressed),
        ("plain, as it is no smaller", stats.not_smaller),
        ("plain, as there is no memory", stats.no_memory),
        ("plain, as the codec failed", stats.failed),
        ("plain, as a broker takes it in no other way", stats.refused),
        ("lent, and a record taken out", case(Seen::CancelledLent)),
        ("compressed, and a record taken out", case(Seen::CancelledCompressed)),
        ("compressed, and split", case(Seen::SplitCompressed)),
        ("codec answered too late", case(Seen::CodecTooLate)),
    ] {
        *seen.entry(name).or_default() += count;
    }
    seen
}
