//! Which versions ottla and a broker have in common.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, ensure};
use ottla_core::wire::{ApiKey, VersionRange, negotiate};

/// ApiVersions version 0 without a client id: every broker answers it, and it can be read without
/// the codecs that are to be tested. It holds the size, the key, the version, a correlation id and
/// the null client id.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

/// For each API that ottla speaks, what the broker offers, and what is spoken then.
///
/// # Errors
/// When the broker does not answer.
pub fn spoken(broker: &str) -> Result<String> {
    let mut stream = TcpStream::connect(broker)?;
    stream.write_all(&REQUEST)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size))?];
    stream.read_exact(&mut answer)?;
    // The correlation id, the error, and the length of the array come first.
    let (head, apis) = answer.split_at_checked(10).context("too short")?;
    ensure!(head[..6] == [0, 0, 0, 7, 0, 0], "refused: {head:?}");
    let mut words = Vec::new();
    for api in apis.chunks_exact(6) {
        let number = |at: usize| i16::from_be_bytes([api[at], api[at + 1]]);
        let (key, theirs) = (ApiKey(number(0)), VersionRange { min: number(2), max: number(4) });
        if let (Some(name), Some(ours)) = (key.name(), key.versions()) {
            let version = negotiate(ours, theirs).context("no version in common")?;
            words.push(format!("{name} v{version} of {}..={}", theirs.min, theirs.max));
        }
    }
    Ok(words.join(", "))
}
