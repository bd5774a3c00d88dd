//! A dictionary and seed corpora for other fuzzers.

use core::fmt::Write as _;
use std::{collections::BTreeSet, fs, io, path::Path};

use ottla_core::wire::ErrorCode;

use crate::{
    batch::Batch,
    choice::Seeded,
    generate::{World, generate},
    messages::{Api, Direction, Frame, apis},
    mutate::{Mutator, spoil},
};

/// How many seeds there are of each message in each version: the first is plain, the others are wild.
const SEEDS: u64 = 3;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Words of the dictionary.
    pub words: usize,
    /// Files of the corpora.
    pub seeds: usize,
}

/// Writes `kafka.dict`, which AFL++, libFuzzer and Jazzer read, and a corpus for each kind of input: `requests` (frames
/// with their sizes), `responses` (two bytes of API key, two of version, and the answer behind its size), `records` (record
/// batches), and, where they are wanted, `spoilt` (requests with one thing wrong each, named after it).
///
/// # Errors
/// What the file system says.
pub fn export(folder: &Path, spoilt: bool) -> io::Result<Exported> {
    fs::create_dir_all(folder)?;
    let words = dictionary();
    let text: String = words.iter().fold(String::new(), |mut text, (name, bytes)| {
        let _ = writeln!(text, "{name}=\"{}\"", escaped(bytes));
        text
    });
    fs::write(folder.join("kafka.dict"), text)?;
    let mut exported = Exported { words: words.len(), seeds: 0 };
    let mut write = |kind: &str, name: String, bytes: &[u8]| {
        let corpus = folder.join(kind);
        fs::create_dir_all(&corpus)?;
        exported.seeds += 1;
        fs::write(corpus.join(name), bytes)
    };
    for (api, version, seed, direction) in all() {
        let frame = frame(api, version, seed, direction);
        let bytes = frame.encode().bytes;
        let name = format!("{}-v{version}-{seed}", api.name);
        match direction {
            Direction::Request => write("requests", name, &bytes)?,
            Direction::Response => {
                let mut tagged = [api.key.to_be_bytes(), version.to_be_bytes()].concat();
                tagged.extend(bytes.get(4..).unwrap_or_default());
                write("responses", name, &tagged)?;
            }
        }
    }
    for (name, bytes) in batches() {
        write("records", name.to_owned(), &bytes)?;
    }
    if spoilt {
        for mutator in Mutator::ALL {
            for (api, version, seed, direction) in all() {
                if seed > 0 || direction == Direction::Response || version != api.versions.max {
                    continue;
                }
                let frame = frame(api, version, 0, direction);
                if let Some(made) = spoil(&frame, *mutator, &mut Seeded::new(1)) {
                    let name = format!("{}-v{version}-{}", api.name, mutator.name());
                    write("spoilt", name, &made.bytes)?;
                }
            }
        }
    }
    Ok(exported)
}

fn all() -> impl Iterator<Item = (&'static Api, i16, u64, Direction)> {
    let versions =
        |api: &'static Api| (api.versions.min..=api.versions.max).map(move |of| (api, of));
    let each = apis().iter().flat_map(versions);
    each.flat_map(|(api, version)| {
        (0..SEEDS).flat_map(move |seed| {
            [Direction::Request, Direction::Response].map(|of| (api, version, seed, of))
        })
    })
}

fn frame(api: &'static Api, version: i16, seed: u64, direction: Direction) -> Frame {
    let world = World { wild: seed > 0, ..World::default() };
    let body = generate(api.fields(direction), version, &world, &mut Seeded::new(seed));
    let client_id = Some("ottla-fuzz".to_owned());
    Frame { api, direction, version, correlation_id: 1, client_id, body }
}

fn batches() -> Vec<(&'static str, Vec<u8>)> {
    let plain = Batch::new(vec![b"a".to_vec(), b"b".to_vec()], 1_700_000_000_000);
    let idempotent = Batch { producer_id: 1_000, epoch: 0, sequence: 0, ..plain.clone() };
    let last = Batch { epoch: i16::MAX, sequence: i32::MAX, ..idempotent.clone() };
    let compressed = |codec| Batch { attributes: codec, ..plain.clone() }.encode();
    vec![
        ("empty", Batch::new(Vec::new(), 0).encode()),
        ("idempotent", idempotent.encode()),
        ("last-sequence", last.encode()),
        ("plain", plain.encode()),
        ("says-gzip", compressed(1)),
        ("says-snappy", compressed(2)),
        ("says-lz4", compressed(3)),
        ("says-zstd", compressed(4)),
        ("two", [plain.encode(), plain.encode()].concat()),
        ("wrong-crc", Batch { crc: 1, ..plain }.encode()),
    ]
}

/// Words by their names: headers of each API in each version, edges of numbers, lengths, and what texts may be.
fn dictionary() -> Vec<(String, Vec<u8>)> {
    let mut words: Vec<(String, Vec<u8>)> = Vec::new();
    for api in apis() {
        for version in api.versions.min..=api.versions.max {
            let header = [api.key.to_be_bytes(), version.to_be_bytes()].concat();
            words.push((format!("{}_v{version}", api.name), header));
        }
    }
    let codes: BTreeSet<ErrorCode> = apis().iter().flat_map(|api| api.errors.clone()).collect();
    for code in codes {
        let name = code.name().unwrap_or("error").to_owned();
        words.push((name, code.0.to_be_bytes().to_vec()));
    }
    let numbers: [(&str, &[u8]); 16] = [
        ("null_string", &[0xff, 0xff]),
        ("longest_string", &[0x7f, 0xff]),
        ("null_array", &[0xff, 0xff, 0xff, 0xff]),
        ("largest_count", &[0x7f, 0xff, 0xff, 0xff]),
        ("smallest_int32", &[0x80, 0, 0, 0]),
        ("largest_int64", &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("smallest_int64", &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("minus_one_int64", &[0xff; 8]),
        ("compact_null", &[0]),
        ("compact_empty", &[1]),
        ("largest_varint", &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("overlong_varint", &[0x80, 0]),
        ("endless_varint", &[0xff; 10]),
        ("magic_2", &[0, 0, 0, 0, 2]),
        ("no_producer", &[0xff; 14]),
        ("zero_uuid", &[0; 16]),
    ];
    words.extend(numbers.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
    let texts =
        ["ottla-fuzz", "127.0.0.1", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
    words.extend(texts.map(|text| (text.replace(['-', '.'], "_"), text.as_bytes().to_vec())));
    words
}

/// As the format has it: printable bytes as they are, the others by their numbers.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'"' | b'\\' => {
                let _ = write!(text, "\\{}", char::from(*byte));
            }
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_one_name_each_and_are_escaped() {
        let words = dictionary();
        let names: BTreeSet<_> = words.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), words.len());
        // As AFL++ takes them for names.
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_')));
        assert_eq!(escaped(b"a\"\\\x00\xff"), "a\\\"\\\\\\x00\\xff");
    }

    #[test]
    fn seeds_are_what_they_are_named_after() {
        for (api, version, seed, direction) in all() {
            let bytes = frame(api, version, seed, direction).encode().bytes;
            let bytes = bytes.get(4..).unwrap();
            match direction {
                Direction::Request => {
                    let read = crate::messages::decode_request(bytes).unwrap();
                    assert_eq!((read.api.key, read.version), (api.key, version));
                }
                Direction::Response => {
                    crate::messages::decode_response(api, version, bytes).unwrap();
                }
            }
        }
    }
}
