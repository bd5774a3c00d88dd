//! Batches are compressed off the lock, one at a time: by the driver in its turns, or where nothing lingers by who
//! would write next. Decision 56.

use ottla_core::Compressed;

use crate::{
    clock::ThreadTime,
    compression::NotCompressed,
    engine::{codec::Codec, locked_core::Engine, state::State},
    gap::{self, Gap},
};

impl State {
    /// Whether there is a batch to be compressed, and nobody is at another one.
    #[inline]
    pub(crate) fn is_to_compress(&self) -> bool {
        self.core.wants_compression() && self.compressing.is_free()
    }
}

impl Engine {
    /// Compresses the next batch that is to be, if there is one and nobody is at another one. Holds the lock only to
    /// copy what is plain out, and what is compressed in.
    pub(crate) fn compress_next(&self) {
        let now = self.clock().now();
        let mut guard = self.lock_busy();
        let State { core, compressing, .. } = &mut *guard;
        let Some((id, mut codec)) = compressing.take(core, now) else {
            return;
        };
        drop(guard);
        gap::pass(Gap::Compressing);
        let start = ThreadTime::now(self.clock());
        let Codec { compressor, plain } = &mut *codec;
        // What is less than 5 % smaller is not worth what it costs who reads it, and the core would not take it.
        let answer = match compressor.compress(plain, plain.len() * 19 / 20) {
            Ok(bytes) => Compressed::Bytes(bytes),
            Err(NotCompressed::NotSmaller) => Compressed::NotSmaller,
            Err(NotCompressed::Failed) => Compressed::Failed,
        };
        let spent = start.elapsed(self.clock());
        let now = self.clock().now();
        let mut state = self.lock_busy();
        state.core.handle_compressed(now, id, answer);
        state.compressing.put(codec, spent);
    }

    /// Compresses a batch in the driver's stead, and writes it.
    pub(crate) fn compress_now(&self) {
        self.compress_next();
        let nudge = self.lock_busy().nudge_after_compressing();
        self.follow(nudge);
    }
}
