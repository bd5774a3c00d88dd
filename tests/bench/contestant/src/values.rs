//! What the records hold.

use std::{fs, ops::Deref};

use anyhow::{Context as _, Result, ensure};

use crate::Arguments;

/// The values of records, made once: that is no part of what is measured.
#[derive(Debug)]
pub struct Values<T> {
    values: Vec<T>,
}

impl<T: From<Vec<u8>> + Deref<Target = [u8]>> Values<T> {
    /// The lines of the file that the arguments name, or else noise.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its lines are not all as long as the arguments say.
    pub fn new(arguments: &Arguments) -> Result<Self> {
        let Some(path) = &arguments.values else {
            return Ok(Self { values: vec![noise(arguments.size).into()] });
        };
        let bytes = fs::read(path).with_context(|| format!("--values {}", path.display()))?;
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|byte| *byte == b'\n');
        let values: Vec<T> = lines.map(|line| line.to_vec().into()).collect();
        let fits = values.iter().all(|value| value.len() == arguments.size);
        ensure!(fits, "--values: not each line has {} bytes", arguments.size);
        Ok(Self { values })
    }

    /// All of them, in turns, without an end.
    pub fn turns(&self) -> impl Iterator<Item = &T> {
        self.values.iter().cycle()
    }

    /// The first of them.
    ///
    /// # Panics
    ///
    /// Never: there is one at least.
    #[must_use]
    pub fn first(&self) -> &T {
        self.values.first().expect("one value at least")
    }
}

/// Bytes that no compression on the way makes smaller.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn arguments(size: &str) -> Arguments {
        Arguments::parse_from(["x", "--bootstrap", "a:1", "--topic", "t", "--size", size])
    }

    #[test]
    fn without_a_file_all_are_the_same_noise() {
        let values = Values::<Vec<u8>>::new(&arguments("100")).unwrap();
        let all: Vec<_> = values.turns().take(3).collect();
        assert!(all.iter().all(|value| value.len() == 100 && *value == values.first()));
    }

    #[test]
    fn the_lines_of_a_file_come_in_turns_and_must_have_the_size() {
        let path = std::env::temp_dir().join(format!("bench-values-{}", std::process::id()));
        fs::write(&path, "ab\ncd\n").unwrap();
        let named = |size| Arguments { values: Some(path.clone()), ..arguments(size) };
        let values = Values::<Vec<u8>>::new(&named("2")).unwrap();
        let all: Vec<_> = values.turns().take(3).cloned().collect();
        assert_eq!(all, [b"ab", b"cd", b"ab"]);
        assert!(Values::<Vec<u8>>::new(&named("3")).is_err());
        fs::remove_file(&path).unwrap();
        assert!(Values::<Vec<u8>>::new(&named("2")).is_err());
    }
}
