//! Where inputs come from, if not from a fuzzer.

use std::path::{Path, PathBuf};

use ottla_scenario::{Dice, Random};

/// Bytes of an input by chance, at most.
const MOST: u64 = 400;

/// An input by chance.
#[must_use]
pub fn by_chance(seed: u64) -> Vec<u8> {
    let mut dice = Random::new(seed);
    let len = dice.roll(1, MOST);
    (0..len).map(|_| dice.roll(0, 255) as u8).collect()
}

/// The committed inputs of a target, by their names: those that broke a law once, and some that come far.
#[must_use]
pub fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}
