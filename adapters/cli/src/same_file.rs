//! Files that are read and written at once.

use std::{fs::Metadata, os::unix::fs::MetadataExt};

/// Whether both are one regular file, by whatever names. Terminals, pipes and devices are meant to be read
/// and written.
pub(crate) fn are_one_file(one: &Metadata, other: &Metadata) -> bool {
    one.is_file() && other.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino())
}
