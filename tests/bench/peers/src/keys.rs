//! The keys that records have.

use bench_contestant::Arguments;
use bytes::Bytes;

/// How many different ones there are.
const KEYS: u64 = 10_000;

/// All keys, made once: that is no part of what is measured.
#[derive(Debug)]
pub struct Keys(Vec<Bytes>);

impl Keys {
    /// The keys, or none where records have none.
    #[must_use]
    pub fn new(arguments: &Arguments) -> Self {
        let count = if arguments.keyed { KEYS } else { 0 };
        Self((0..count).map(|number| Bytes::copy_from_slice(&Arguments::key(number))).collect())
    }

    /// The key of a record, by its number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Bytes> {
        if self.0.is_empty() { None } else { self.0.get((number % KEYS) as usize) }
    }
}
