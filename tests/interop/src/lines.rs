//! Lines to send, each of which follows from a seed and its number.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::Result;

use crate::Message;

/// What stands between key and value in a file.
pub const SEPARATOR: &str = "<-key->";

/// Which lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// From empty to 900 kB, most of them short; a quarter has keys.
    Wide,
    /// 50 to 2,000 bytes, each unlike all others; half of them have keys.
    Steady,
}

/// Messages that can be written as lines of a file. Any of them can be made at any time, so that
/// nobody needs to hold them all.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    seed: u64,
    mix: Mix,
    /// How many.
    pub count: u32,
}

impl Lines {
    /// The first `count` lines of `seed`.
    #[must_use]
    pub const fn new(seed: u64, mix: Mix, count: u32) -> Self {
        Self { seed, mix, count }
    }

    /// The line with this number, from 0 on.
    #[must_use]
    pub fn line(&self, index: u32) -> Message {
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(index));
        let mut random = fastrand::Rng::with_seed(seed);
        let (keyed, length) = match self.mix {
            Mix::Wide => (index % 4 == 3, wide(&mut random, index)),
            Mix::Steady => (index % 2 == 1, random.usize(50..=2000)),
        };
        let mut value = bytes(&mut random, length);
        if self.mix == Mix::Steady {
            value[..8].copy_from_slice(format!("{index:08}").as_bytes());
        }
        let key = keyed.then(|| {
            let length = random.usize(0..24);
            bytes(&mut random, length)
        });
        Message { key, value: Some(value), ..Message::default() }
    }

    /// Writes all lines, and returns how many bytes that makes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<u64> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut written = 0;
        for index in 0..self.count {
            let line = self.line(index);
            let mut parts: Vec<&[u8]> = Vec::new();
            if let Some(key) = &line.key {
                parts.extend([key.as_slice(), SEPARATOR.as_bytes()]);
            }
            parts.extend([line.value.as_deref().unwrap_or_default(), b"\n"]);
            for part in parts {
                file.write_all(part)?;
                written += part.len() as u64;
            }
        }
        file.flush()?;
        Ok(written)
    }
}

/// Every 500th line is big, one in a hundred is empty.
fn wide(random: &mut fastrand::Rng, index: u32) -> usize {
    match index % 500 {
        250 => random.usize(10_000..=900_000),
        n if n % 100 == 7 => 0,
        n if n % 12 == 0 => random.usize(200..=5000),
        _ => random.usize(1..=200),
    }
}

/// What readings are made of.
const WORDS: [&[u8]; 16] = [
    b"{\"device\":\"",
    b"sensor-",
    b"\",\"value\":",
    b"\",\"unit\":\"celsius\"",
    b"0.",
    b"1",
    b"273",
    b"-15",
    b",",
    b":",
    b"\"humidity\":",
    b"\"ok\":true",
    b"}",
    b" ",
    b"null",
    b"\xc3\xa9",
];

/// Any bytes but the end of a line: a quarter of them noise, the others such as become smaller by compression.
fn bytes(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    if random.u8(..) < 64 {
        random.fill(&mut bytes);
    } else {
        let words = core::iter::repeat_with(|| WORDS[random.usize(..WORDS.len())]);
        for (byte, of_words) in bytes.iter_mut().zip(words.flatten()) {
            *byte = *of_words;
        }
    }
    for byte in bytes.iter_mut().filter(|byte| **byte == b'\n') {
        *byte = 0;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_follows_from_its_number() {
        let lines = Lines::new(3, Mix::Wide, 1000);
        assert_eq!(lines.line(250), lines.line(250));
        assert!(lines.line(250).value.is_some_and(|value| value.len() >= 10_000));
        assert_eq!(lines.line(7).value, Some(Vec::new()));
        assert_ne!(lines.line(251), Lines::new(4, Mix::Wide, 1000).line(251));
        let file = tempfile::NamedTempFile::new().unwrap();
        let written = lines.write(file.path()).unwrap();
        let read = std::fs::read(file.path()).unwrap();
        assert_eq!(read.len() as u64, written);
        assert_eq!(read.iter().filter(|byte| **byte == b'\n').count(), 1000);
    }
}
