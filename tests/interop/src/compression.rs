//! By what batches are compressed.

/// Each type, and both ends of its levels, as [`properties_of`] takes them.
pub const COMPRESSIONS: [&str; 7] =
    ["gzip:1", "gzip:9", "snappy", "lz4", "zstd:-7", "zstd:1", "zstd:4"];

/// By what all batches of a run are compressed that says nothing else of it: `OTTLA_COMPRESSION`, a type such as `lz4`, or
/// one with a level such as `zstd:4`.
#[must_use]
pub fn compression() -> Option<String> {
    std::env::var("OTTLA_COMPRESSION").ok()
}

/// A type without its level.
#[must_use]
pub(crate) fn kind(compression: &str) -> &str {
    compression.split_once(':').map_or(compression, |(kind, _)| kind)
}

/// The properties that a type, with a level or without, stands for.
#[must_use]
pub fn properties_of(compression: &str) -> Vec<(String, String)> {
    let kind = kind(compression);
    let level = compression
        .split_once(':')
        .map(|(kind, level)| (format!("compression.{kind}.level"), level.to_owned()));
    [("compression.type".to_owned(), kind.to_owned())].into_iter().chain(level).collect()
}
