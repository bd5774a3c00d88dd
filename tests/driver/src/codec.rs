//! What compresses in storms: the model's codecs, whose output is never twice the same, and the LZ4 that is built in.

use core::sync::atomic::{AtomicU64, Ordering};
use std::{panic::resume_unwind, sync::Arc};

use ottla_client::{
    CompressionType, Compressor, NotCompressed,
    internal::{self, MakeCompressor},
};
use ottla_model::compression::Codec;
use ottla_scenario::{Dice, Random, storm::Plan};

/// What it does, once in so many times; 0 is never.
#[derive(Clone, Copy)]
struct Manners {
    panics: u64,
    fails: u64,
    swells: u64,
}

struct Toy {
    kind: CompressionType,
    codec: Codec,
    /// Instead of the model's.
    built_in: Option<Box<dyn Compressor>>,
    manners: Manners,
    dice: Random,
    /// Batches that were compressed so far, by all of a storm.
    count: Arc<AtomicU64>,
}

impl Compressor for Toy {
    fn compression_type(&self) -> CompressionType {
        self.kind
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        let mut falls = |times| times > 0 && self.dice.once_in(times);
        let Manners { panics, fails, swells } = self.manners;
        let (panics, fails, swells) = (falls(panics), falls(fails), falls(swells));
        if panics {
            resume_unwind(Box::new("a compressor's panic"));
        }
        if fails {
            return Err(NotCompressed::Failed);
        }
        if swells {
            return Err(NotCompressed::NotSmaller);
        }
        if let Some(built_in) = &mut self.built_in {
            return built_in.compress(plain, out);
        }
        let way = self.count.fetch_add(1, Ordering::Relaxed) % 9;
        let packed = self.codec.pack_otherwise(plain, way as u8);
        let place = out.get_mut(..packed.len()).ok_or(NotCompressed::NotSmaller)?;
        place.copy_from_slice(&packed);
        Ok(packed.len())
    }
}

/// What compresses in the storm of a plan, if anything does.
pub(crate) fn compressor_of(plan: &Plan) -> Option<(CompressionType, MakeCompressor)> {
    let compression = plan.config.compression;
    let kind = CompressionType::ALL.into_iter().find(|kind| kind.id() == compression.code())?;
    let codec = Codec::of(compression.code())?;
    let dice = &mut Random::new(plan.seed ^ 0x0c0_dec5);
    let own = dice.once_in(2);
    let service =
        plan.compression.as_ref().map(|codecs| codecs.service.clone()).unwrap_or_default();
    let panics = if dice.once_in(4) { dice.roll(2, 30) } else { 0 };
    let manners = Manners { panics, fails: service.fails, swells: service.swells };
    let (count, seed) = (Arc::new(AtomicU64::new(0)), plan.seed);
    let make = move || -> Option<Box<dyn Compressor>> {
        let built_in = if own { internal::compressor(kind, 0) } else { None };
        let dice = Random::new(seed ^ count.load(Ordering::Relaxed));
        let count = Arc::clone(&count);
        Some(Box::new(Toy { kind, codec, built_in, manners, dice, count }))
    };
    Some((kind, Arc::new(make)))
}
