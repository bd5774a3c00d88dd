//! The judge of what came into the log.

use core::fmt;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

/// How many values of a topic are wrong before no more of them are shown.
const SHOWN: usize = 10;

/// What was found, all of it as it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Readings in the log.
    pub readings: u32,
    /// Readings that are not, and of which that was said.
    pub dropped: u32,
}

impl fmt::Display for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} readings once each and in order", self.readings)?;
        if self.dropped > 0 {
            write!(f, ", and the {} that were dropped are not there", self.dropped)?;
        }
        Ok(())
    }
}

/// Checks that of the readings `0..count`, those that `dropped` does not take are in `log` exactly
/// once, in order, on their partition (the number modulo `partitions`), and that the others are not,
/// nor anything else.
///
/// # Errors
/// With what is not so.
pub fn judge(
    log: &[(i32, Vec<u8>)],
    partitions: u32,
    count: u32,
    dropped: impl Fn(u32) -> bool,
) -> Result<Arrived> {
    let mut last: BTreeMap<i32, u32> = BTreeMap::new();
    let mut times: Vec<u32> = vec![0; count as usize];
    let mut wrong = Vec::new();
    for (partition, value) in log {
        let number = number(value).with_context(|| format!("{value:?} is no reading"))?;
        let Some(times) = times.get_mut(number as usize) else {
            bail!("reading {number} of {count}");
        };
        *times += 1;
        if number % partitions != *partition as u32 {
            wrong.push(format!("reading {number} is on partition {partition}"));
        }
        if let Some(before) = last.insert(*partition, number)
            && before >= number
        {
            wrong.push(format!("reading {number} comes after {before}"));
        }
    }
    let mut arrived = Arrived::default();
    for (number, times) in (0..).zip(times) {
        match (dropped(number), times) {
            (false, 1) => arrived.readings += 1,
            (true, 0) => arrived.dropped += 1,
            (true, _) => wrong.push(format!("reading {number} was dropped, and is there")),
            (false, 0) => wrong.push(format!("reading {number} is lost")),
            (false, times) => wrong.push(format!("reading {number} is there {times} times")),
        }
    }
    let shown = wrong.get(..SHOWN.min(wrong.len())).unwrap_or_default().join("\n");
    ensure!(wrong.is_empty(), "{} faults:\n{shown}", wrong.len());
    Ok(arrived)
}

/// The number of a reading: what it begins with, or in JSON the number so called.
fn number(value: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(value).ok()?;
    let (number, _) = match text.split_once("\"reading\":") {
        Some((_, rest)) => rest.split_once(',')?,
        None => text.split_once(' ')?,
    };
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(numbers: &[u32]) -> Vec<(i32, Vec<u8>)> {
        numbers.iter().map(|n| ((n % 2) as i32, format!("{n} 20.00").into_bytes())).collect()
    }

    #[test]
    fn what_is_as_it_must_be_passes_and_nothing_else() {
        let judged = |numbers: &[u32]| judge(&log(numbers), 2, 4, |_| false);
        assert_eq!(judged(&[0, 1, 2, 3]).unwrap(), Arrived { readings: 4, dropped: 0 });
        assert_eq!(judged(&[1, 3, 0, 2]).unwrap().readings, 4, "partitions have no common order");
        for numbers in [&[0, 1, 2][..], &[0, 1, 2, 3, 3], &[2, 1, 0, 3], &[0, 1, 2, 3, 4]] {
            assert!(judged(numbers).is_err(), "{numbers:?}");
        }
        assert!(judge(&[(1, b"0 1".to_vec())], 2, 1, |_| false).is_err(), "another partition");
        assert!(judge(&[(0, b"x".to_vec())], 2, 1, |_| false).is_err(), "no reading");
        let json = b"{\"reading\":0,\"celsius\":1.0}".to_vec();
        assert_eq!(judge(&[(0, json)], 1, 1, |_| false).unwrap().readings, 1);
    }

    #[test]
    fn what_was_dropped_must_not_be_there() {
        let dropped = |number| number == 1;
        let arrived = Arrived { readings: 2, dropped: 1 };
        assert_eq!(judge(&log(&[0, 2]), 2, 3, dropped).unwrap(), arrived);
        assert!(judge(&log(&[0, 1, 2]), 2, 3, dropped).is_err());
    }
}
