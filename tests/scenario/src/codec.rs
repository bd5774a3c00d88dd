//! Who has the codec: takes batches as the core lends them, and answers when it is done, or not at all.

use ottla_core::{Compressed, Compression, CompressionId, Instant};
use ottla_model::compression::Codec;

use crate::{
    dice::Dice,
    trace::{Lane, Tone},
    world::World,
};

/// What compresses batches. It takes as many as there are, as threads would, and is done with each on its own time.
#[derive(Clone, Debug, Default)]
pub struct CodecService {
    /// How long it takes over a batch, in microseconds: at least, and at most.
    pub delay: (u64, u64),
    /// It fails, once in so many times; 0 is never.
    pub fails: u64,
    /// What it makes is no smaller, once in so many times.
    pub swells: u64,
    /// It never answers, once in so many times.
    pub loses: u64,
    /// It answers twice, once in so many times.
    pub repeats: u64,
    /// It takes nothing for now. Nothing else of a core that is at rest is due meanwhile.
    pub rests: bool,
    /// The batches that it was lent, in order, with how many bytes there were.
    pub lent: Vec<(CompressionId, usize)>,
    /// When it is done with which, and what it says then.
    pub(crate) due: Vec<(Instant, CompressionId, Made)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Made {
    Bytes(Vec<u8>),
    NotSmaller,
    Nothing,
}

/// The model's codec for a configuration; `None` where nothing is compressed.
#[must_use]
pub fn codec_of(compression: Compression) -> Option<Codec> {
    Codec::of(compression.code())
}

impl CodecService {
    pub(crate) fn next(&self) -> Instant {
        self.due.iter().map(|(at, ..)| *at).min().unwrap_or(Instant::NEVER)
    }

    /// How many batches it is busy with.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.due.len()
    }

    fn take_due(&mut self, now: Instant) -> Option<(CompressionId, Made)> {
        let place = self.due.iter().position(|(at, ..)| *at <= now)?;
        let (_, id, made) = self.due.swap_remove(place);
        Some((id, made))
    }
}

impl World<'_> {
    /// Has the codec take what there is, and say what it is done with; tells whether there was anything.
    pub(crate) fn compress(&mut self) -> bool {
        let mut moved = false;
        while !self.codec.rests
            && let Some(batch) = self.producer.poll_compress(self.now)
        {
            moved = true;
            let (id, size) = (batch.id(), batch.size());
            let codec = codec_of(batch.compression()).expect("a batch is lent to a codec");
            let bytes: Vec<u8> = batch.flatten().copied().collect();
            assert_eq!(bytes.len(), size, "a batch that is lent is as long as is said");
            self.take(id, codec, &bytes);
        }
        while let Some((id, made)) = self.codec.take_due(self.now) {
            moved = true;
            let answer = match &made {
                Made::Bytes(bytes) => Compressed::Bytes(bytes),
                Made::NotSmaller => Compressed::NotSmaller,
                Made::Nothing => Compressed::Failed,
            };
            self.tell(Lane::Client, Tone::Faint, || format!("a codec is done: {}", said(&answer)));
            self.producer.handle_compressed(self.now, id, answer);
        }
        moved
    }

    fn take(&mut self, id: CompressionId, codec: Codec, plain: &[u8]) {
        let before = |earlier: &(CompressionId, usize)| earlier.0 == id;
        assert!(!self.codec.lent.iter().any(before), "lent twice under one id: {id:?}");
        self.codec.lent.push((id, plain.len()));
        self.tell(Lane::Client, Tone::Faint, || format!("a codec takes {} bytes", plain.len()));
        let falls = |dice: &mut dyn Dice, times| times > 0 && dice.once_in(times);
        if falls(&mut *self.dice, self.codec.loses) {
            self.count("codec never answered");
            return;
        }
        let made = if falls(&mut *self.dice, self.codec.fails) {
            self.count("codec failed");
            Made::Nothing
        } else if falls(&mut *self.dice, self.codec.swells) {
            self.count("codec made it larger");
            // Whether it says so, or leaves it to be seen.
            let swollen = [plain, &[0]].concat();
            if self.dice.once_in(2) { Made::NotSmaller } else { Made::Bytes(swollen) }
        } else {
            // Never the same for the same bytes, as far as the codec lets it: what is compressed twice shows.
            let way = self.codec.lent.len() % 9;
            Made::Bytes(codec.pack_otherwise(plain, way as u8))
        };
        let (low, high) = self.codec.delay;
        for _ in 0..=u8::from(falls(&mut *self.dice, self.codec.repeats)) {
            let wait = self.dice.roll(low, high);
            let at = Instant::from_micros(self.now.as_micros() + wait);
            self.codec.due.push((at, id, made.clone()));
        }
    }
}

fn said(answer: &Compressed<'_>) -> String {
    match answer {
        Compressed::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Compressed::NotSmaller => "no fewer bytes".to_owned(),
        Compressed::Failed => "it failed".to_owned(),
    }
}
