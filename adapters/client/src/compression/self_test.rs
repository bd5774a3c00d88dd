//! What a compressor has to show before it is used: a broker says little of what it cannot decompress, and says it late.

use crate::compression::{CompressionType, NotCompressed, codecs};

/// Compresses an input to so many bytes at most.
type Compress<'a> = dyn FnMut(&[u8], usize) -> Result<Vec<u8>, NotCompressed> + 'a;

/// Has a compressor compress some inputs, and holds what is decompressed of that against them.
///
/// # Errors
///
/// Where there is a difference, or nothing to decompress with.
pub(super) fn run(kind: CompressionType, compress: &mut Compress<'_>) -> Result<(), String> {
    if !codecs::is_known(kind) {
        return Err(format!(
            "there is nothing to test it with: build ottla with its feature `{kind}`"
        ));
    }
    // Twice, since a compressor may keep something of what it had before.
    for _ in 0..2 {
        for (name, plain) in inputs() {
            check(kind, compress, &plain).map_err(|why| {
                format!("its self-test failed, on {} bytes of {name}: {why}", plain.len())
            })?;
        }
    }
    Ok(())
}

fn check(kind: CompressionType, compress: &mut Compress<'_>, plain: &[u8]) -> Result<(), String> {
    // More than a batch would have, so that what cannot be made smaller is tested as well; as much as it has; and so
    // little that a compressor is left in the middle of it: the next batch must be right all the same.
    for most in [plain.len() * 2 + 256, plain.len() * 19 / 20, plain.len() / 8] {
        let compressed = match compress(plain, most) {
            Ok(compressed) => compressed,
            Err(NotCompressed::NotSmaller) if most < plain.len() => continue,
            Err(why) => return Err(why.to_string()),
        };
        if codecs::decode(kind, &compressed, plain.len())? != plain {
            return Err("it decompresses to something else".to_owned());
        }
    }
    Ok(())
}

/// Inputs of each kind: what is shorter than any match, what matches everywhere and nowhere, and text that
/// passes the ends of blocks, which are 32 KiB in snappy, 64 KiB in LZ4 and 128 KiB in zstd.
fn inputs() -> [(&'static str, Vec<u8>); 6] {
    let mut state = 0x9E37_79B9_u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let noise: Vec<u8> = (0..100_000).map(|_| (random() >> 8) as u8).collect();
    let mut text = Vec::new();
    let mut line = |text: &mut Vec<u8>| {
        let (id, value) = (random() % 50, random() % 10_000);
        text.extend_from_slice(format!("{{\"sensor\":\"s-{id}\",\"value\":{value}}}\n").as_bytes());
    };
    while text.len() < 140_000 {
        line(&mut text);
    }
    let mut mixed = noise[..1500].to_vec();
    mixed.extend_from_slice(&text[..4000]);
    mixed.extend_from_slice(&noise[..1500]);
    let short = text[..300].to_vec();
    [
        ("one value", vec![7]),
        ("text", short),
        ("noise", noise),
        ("zeros", vec![0; 70_000]),
        ("noise and text", mixed),
        ("text", text),
    ]
}
