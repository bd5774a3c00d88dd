//! What a broker says in words.

use core::fmt::{self, Write as _};

use super::{
    Dialect,
    reader::{self, Read},
};

/// What a broker says in words about an error: its first bytes, as it sent them.
///
/// It is shown as one line: what is no UTF-8, and what moves a cursor, is shown as U+FFFD; an ellipsis
/// stands for what was cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    bytes: &'a [u8],
    cut: bool,
}

impl<'a> Text<'a> {
    /// So many bytes are kept of a longer one.
    pub const MAX_LEN: usize = 256;

    /// A text, or the first bytes of it.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let kept = bytes.get(..Self::MAX_LEN).unwrap_or(bytes);
        Self { bytes: kept, cut: kept.len() < bytes.len() }
    }

    /// The bytes that are kept, which may have been cut off.
    pub(super) const fn kept(bytes: &'a [u8], cut: bool) -> Self {
        Self { bytes, cut }
    }

    /// The bytes that are kept. A character may be cut off in its middle at the end.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads a string, or null, as far as it is kept; and how many bytes of it are left to be skipped.
    pub(super) fn read(input: &'a [u8], dialect: Dialect) -> Read<'a, (Option<Self>, usize)> {
        let (rest, len) = reader::string_len(input, dialect)?;
        let Some(len) = len else {
            return Ok((rest, (None, 0)));
        };
        let kept = len.min(Self::MAX_LEN);
        let (rest, bytes) = reader::bytes(rest, kept)?;
        Ok((rest, (Some(Self { bytes, cut: kept < len }), len.saturating_sub(kept))))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.bytes.utf8_chunks() {
            for char in chunk.valid().chars() {
                f.write_char(if char.is_control() { char::REPLACEMENT_CHARACTER } else { char })?;
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        f.write_str(if self.cut { "\u{2026}" } else { "" })
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Text<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(self));
    }
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString as _};

    use super::*;

    #[test]
    fn whatever_a_broker_says_is_one_line() {
        let said = Text::new(b"no key\r\n\x1b[2Jin \xc3\xa4 topic \xff\xc3");
        assert_eq!(
            said.to_string(),
            "no key\u{fffd}\u{fffd}\u{fffd}[2Jin \u{e4} topic \u{fffd}\u{fffd}"
        );
        assert_eq!(format!("{:?}", Text::new(b"no key")), "\"no key\"");
        let long = Text::new(&[b'x'; 300]).to_string();
        assert_eq!((long.len(), long.ends_with("x\u{2026}")), (Text::MAX_LEN + 3, true));
    }
}
