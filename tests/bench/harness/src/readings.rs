//! What is compressed: telemetry as gateways send it, in JSON, the same in every run.

use core::fmt::Write as _;
use std::{fs, io, path::Path};

/// About so many bytes of it: more than a batch holds, so that none has the same record twice.
const BYTES: usize = 1 << 20;
/// How many devices take turns, by chance.
const DEVICES: u64 = 200;
/// When the first record was made, in milliseconds.
const START: u64 = 1_790_000_000_000;
/// What is measured, again and again, and between what its levels lie, in hundredths.
const CHANNELS: [(&str, u64, u64); 8] = [
    ("temp", 1_500, 3_500),
    ("hum", 2_000, 9_000),
    ("volt", 22_000, 24_000),
    ("amp", 100, 1_600),
    ("power", 10_000, 300_000),
    ("press", 98_000, 104_000),
    ("flow", 1_000, 20_000),
    ("vib", 10, 900),
];
/// What a record says beside numbers, as far as there is room.
const STATUS: &str = "normal operation, no alarm, calibration valid";

/// Writes records of `size` bytes to a file, one a line.
pub(crate) fn write(path: &Path, size: u32) -> io::Result<()> {
    let mut lines = String::new();
    for record in records(size as usize) {
        lines.push_str(&record);
        lines.push('\n');
    }
    fs::write(path, lines)
}

/// Each has the device, its own number of the record, the time, channels whose values are noise around a level of the
/// device and the channel, and a status that fills it up.
fn records(size: usize) -> Vec<String> {
    const REST: usize = r#","st":""}"#.len();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut sequences = vec![100_000_u64; DEVICES as usize];
    let mut time = START;
    let record = |_| {
        let device = noise.below(DEVICES);
        let sequence = &mut sequences[device as usize];
        *sequence += 1;
        time += noise.below(20);
        let mut text = format!(r#"{{"device":"gw-{device:04}","seq":{sequence},"ts":{time}"#);
        for (number, (name, from, to)) in (0..).zip(CHANNELS.iter().cycle()) {
            let level = from + (device * 7_919 + number * 104_729) % (to - from);
            // Some per cent of it.
            let value = level + noise.below(level / 50 + 10);
            let field = match number / CHANNELS.len() as u64 {
                0 => format!(r#","{name}":{}.{:02}"#, value / 100, value % 100),
                more => format!(r#","{name}{more}":{}.{:02}"#, value / 100, value % 100),
            };
            if text.len() + field.len() + REST > size {
                break;
            }
            text += &field;
        }
        let room = size - text.len() - REST;
        let _ = write!(text, r#","st":"{}"}}"#, &STATUS[..room.min(STATUS.len())]);
        text
    };
    (0..BYTES / size).map(record).collect()
}

/// Xorshift.
struct Noise(u64);

impl Noise {
    const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn records_are_json_of_their_size_and_no_two_are_the_same() {
        for size in [100, 1_000] {
            let records = records(size);
            assert_eq!(records.len(), BYTES / size);
            for record in &records {
                assert_eq!(record.len(), size, "{record}");
                serde_json::from_str::<serde_json::Value>(record).unwrap();
            }
            assert_eq!(records.iter().collect::<BTreeSet<_>>().len(), records.len());
        }
    }

    #[test]
    fn they_are_the_same_each_time_and_lines_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readings");
        write(&path, 100).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().eq(records(100)));
    }
}
