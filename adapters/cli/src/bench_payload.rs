//! What `ottla bench` sends.

use core::iter;
use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

/// Different readings, so many that a batch has none twice that others do not have as well.
const READINGS: u32 = 10_000;
/// A file is kept in memory, and no line of it is a larger record than brokers take.
const LARGEST: u64 = 256 << 20;

/// Values that are sent one after the other, again and again.
#[derive(Debug)]
pub(crate) struct Payload {
    /// At least one.
    values: Vec<Vec<u8>>,
}

impl Payload {
    /// The lines of a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, is too large to be kept, or has no line.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.len() > LARGEST {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "more than 256 MiB"));
        }
        let bytes = fs::read(path)?;
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if bytes.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "there is no line in it"));
        }
        Ok(Self { values: bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect() })
    }

    /// Bytes that no compression on the way makes smaller, always the same.
    pub(crate) fn noise(size: usize) -> Self {
        let mut random = random();
        Self { values: vec![iter::repeat_with(|| random() as u8).take(size).collect()] }
    }

    /// Readings of sensors in JSON, of as many bytes each; where that is less than one takes, the rest is missing.
    pub(crate) fn readings(size: usize) -> Self {
        let mut random = random();
        let mut below = |bound: u32| random() % bound;
        let reading = |number: u32| {
            let mut text = format!(
                "{{\"device\":\"sensor-{:03}\",\"ts\":{},\"temperature\":{}.{:02},\"humidity\":{}",
                below(500),
                1_790_000_000_000 + u64::from(number) * 37,
                15 + below(15),
                below(100),
                below(100),
            );
            let mut channel = 1;
            while text.len() + 1 < size {
                text += &format!(",\"channel_{channel}\":{}", below(100_000));
                channel += 1;
            }
            text.truncate(size.saturating_sub(1));
            if size > 0 {
                text.push('}');
            }
            text.into_bytes()
        };
        Self { values: (0..READINGS).map(reading).collect() }
    }

    /// The value of a record, by its number.
    pub(crate) fn value(&self, number: u64) -> &[u8] {
        let at = number.checked_rem(self.values.len() as u64).unwrap_or(0);
        self.values.get(at as usize).map_or(&[], Vec::as_slice)
    }

    /// Bytes of a value, in the mean.
    pub(crate) fn mean(&self) -> f64 {
        let sum: usize = self.values.iter().map(Vec::len).sum();
        sum as f64 / self.values.len().max(1) as f64
    }
}

fn random() -> impl FnMut() -> u32 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_have_their_size_and_differ() {
        for size in [0, 1, 10, 100, 1_000] {
            let payload = Payload::readings(size);
            assert!((0..20).all(|number| payload.value(number).len() == size), "{size}");
        }
        let payload = Payload::readings(200);
        assert!(payload.value(0).starts_with(b"{\"device\":\"sensor-"));
        assert_ne!(payload.value(0), payload.value(1));
        assert_eq!(payload.value(0), payload.value(u64::from(READINGS)));
    }

    #[test]
    fn the_lines_of_a_file_are_sent_in_turns() {
        let file = std::env::temp_dir().join(format!("ottla-payload-{}", std::process::id()));
        fs::write(&file, "a\n\nccc\n").unwrap();
        let payload = Payload::read(&file).unwrap();
        let values: Vec<_> = (0..4).map(|number| payload.value(number)).collect();
        assert_eq!(values, [&b"a"[..], b"", b"ccc", b"a"]);
        assert!((payload.mean() - 4.0 / 3.0).abs() < 1e-9);
        fs::write(&file, "").unwrap();
        assert!(Payload::read(&file).unwrap_err().to_string().contains("no line"));
        fs::remove_file(&file).unwrap();
    }
}
