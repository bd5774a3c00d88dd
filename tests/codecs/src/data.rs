//! Bytes as applications send them, and as they do not.

/// Numbers that look random, from a seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next one.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// The next one, below a bound.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// More than a fuzzer makes, in one of 32 cases, so that blocks and buffers come to their ends.
#[must_use]
pub fn stretched(bytes: &[u8], how: u8) -> Vec<u8> {
    match how {
        0..4 => [bytes, &Kind::Random.bytes(100_000, how.into()), bytes].concat(),
        4..8 => bytes.repeat(80_000 / (bytes.len() + 1) + 1),
        _ => bytes.to_vec(),
    }
}

/// A kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Readings of sensors.
    Json,
    /// Lines of numbers and words.
    Csv,
    /// What does not repeat.
    Random,
    /// What is all the same.
    Zeros,
    /// Short and long runs of a byte, and runs of runs.
    Runs,
    /// Pieces of all the others.
    Mixed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Json, Self::Csv, Self::Random, Self::Zeros, Self::Runs, Self::Mixed];

    /// So many bytes of it.
    #[must_use]
    pub fn bytes(self, length: usize, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        let mut bytes = Vec::with_capacity(length + 4096);
        while bytes.len() < length {
            self.piece(&mut random, &mut bytes);
        }
        bytes.truncate(length);
        bytes
    }

    fn piece(self, random: &mut Random, bytes: &mut Vec<u8>) {
        match self {
            Self::Json => bytes.extend_from_slice(reading(random).as_bytes()),
            Self::Csv => {
                let (a, b, c) = (random.next(), random.below(1_000_000), random.below(50));
                let word = ["ok", "late", "failed", "unknown"][random.below(4) as usize];
                bytes.extend_from_slice(format!("{a},{b}.{c:02},{word},{}\n", c * 7).as_bytes());
            }
            Self::Random => bytes.extend_from_slice(&random.next().to_le_bytes()[..6]),
            Self::Zeros => bytes.extend_from_slice(&[0; 1024]),
            Self::Runs => {
                let (byte, bits) = (random.next() as u8, random.below(14));
                let run = vec![byte; random.below(1 << bits) as usize + 1];
                bytes.extend_from_slice(&run);
                if random.below(3) == 0 {
                    let from = bytes.len() - random.below(bytes.len() as u64) as usize;
                    bytes.extend_from_within(from..);
                }
            }
            Self::Mixed => {
                let kind = Self::ALL[random.below(5) as usize];
                let bits = random.below(16);
                let piece = kind.bytes(random.below(1 << bits) as usize, random.next());
                bytes.extend_from_slice(&piece);
            }
        }
    }
}

fn reading(random: &mut Random) -> String {
    let (device, value) = (random.below(200), random.below(10_000));
    let time = 1_764_370_000_000 + random.below(1_000_000);
    format!(
        "{{\"device\":\"pump-{device:04}\",\"ts\":{time},\"temp\":{value},\"state\":\"running\"}}"
    )
}
