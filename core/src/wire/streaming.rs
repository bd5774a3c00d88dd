//! What walks are made of: atoms, which are read as a whole, and sections of tagged fields.

use nom::Err;

use super::{
    DecodeError, Dialect,
    reader::{self, Read},
};

/// The most bytes that a walk over a response reads as a whole, and so the smallest window that
/// any response can be read through.
///
/// A topic's name has at most 249 bytes and a host's at most 255, so no atom of a legal response
/// comes near.
pub const MAX_ATOM: usize = 512;

/// Reads an atom: how many bytes it took and its value, or `None` if it is not there yet.
///
/// # Errors
/// Those of `read`, and [`DecodeError::TooLong`] where [`MAX_ATOM`] bytes do not hold it: whatever
/// the window's size, the same bytes give the same answer.
pub(super) fn small_atom<'a, T>(
    input: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Read<'a, T>,
) -> Result<Option<(usize, T)>, DecodeError> {
    let at_hand = input.get(..MAX_ATOM).unwrap_or(input);
    match large_atom(at_hand, read) {
        Ok(None) if at_hand.len() == MAX_ATOM => Err(DecodeError::TooLong { max: MAX_ATOM }),
        result => result,
    }
}

/// Reads an atom of any size.
pub(super) fn large_atom<'a, T>(
    input: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Read<'a, T>,
) -> Result<Option<(usize, T)>, DecodeError> {
    match read(input) {
        Ok((rest, value)) => Ok(Some((input.len() - rest.len(), value))),
        Err(Err::Incomplete(_)) => Ok(None),
        Err(Err::Error(error) | Err::Failure(error)) => Err(error),
    }
}

/// Reads an atom, or returns [`Step::Wait`] from the function around it.
macro_rules! atom {
    ($input:expr, $read:expr) => {
        match $crate::wire::streaming::small_atom($input, $read)? {
            Some(atom) => atom,
            None => return Ok($crate::wire::Step::Wait),
        }
    };
}
pub(super) use atom;

/// Returns a step that read `used` bytes, all told.
macro_rules! element {
    ($used:expr, $element:expr) => {
        return Ok($crate::wire::Step::Element { used: $used, element: $element })
    };
}
pub(super) use element;

/// Where a walk is in a section of tagged fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Tags {
    /// Before the count.
    #[default]
    Count,
    /// Before a field's tag, or at the end.
    Fields(u32),
}

/// A step in a section of tagged fields.
pub(super) enum Tag {
    /// The head of a field: `size` bytes of value follow.
    Field { used: usize, tag: u32, size: usize },
    /// The section's count.
    Count { used: usize },
    /// More bytes are needed.
    Wait,
    /// The section is over.
    Over,
}

impl Tags {
    /// Goes on. A dialect without tagged fields has sections that are over at once. A section
    /// that is over starts anew.
    pub(super) fn step(&mut self, input: &[u8], dialect: Dialect) -> Result<Tag, DecodeError> {
        if !dialect.flexible {
            return Ok(Tag::Over);
        }
        match *self {
            Self::Count => {
                let Some((used, count)) = small_atom(input, reader::uvarint)? else {
                    return Ok(Tag::Wait);
                };
                *self = Self::Fields(count);
                Ok(Tag::Count { used })
            }
            Self::Fields(0) => {
                *self = Self::Count;
                Ok(Tag::Over)
            }
            Self::Fields(left) => {
                let head = |input| {
                    let (rest, tag) = reader::uvarint(input)?;
                    let (rest, size) = reader::uvarint(rest)?;
                    Ok((rest, (tag, reader::length(size)?)))
                };
                let Some((used, (tag, size))) = small_atom(input, head)? else {
                    return Ok(Tag::Wait);
                };
                *self = Self::Fields(left.saturating_sub(1));
                Ok(Tag::Field { used, tag, size })
            }
        }
    }

    /// Skips on.
    fn skip(&mut self, input: &[u8], dialect: Dialect) -> Result<Skipped, DecodeError> {
        Ok(match self.step(input, dialect)? {
            Tag::Field { used, size, .. } => Skipped::Within { used, skip: size },
            Tag::Count { used } => Skipped::Within { used, skip: 0 },
            Tag::Wait => Skipped::Wait,
            Tag::Over => Skipped::Over,
        })
    }
}

/// A field that a walk has no interest in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dull {
    /// A field that the version does not have.
    Nothing,
    /// An INT32.
    Int32,
    /// An array of INT32, or null.
    Int32Array,
    /// A string, or null.
    String,
    /// The rest of a tagged field.
    Bytes(usize),
    /// A section of tagged fields.
    Tags,
}

/// How far [`Dull::skip`] came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// These bytes lead past the field.
    Past { used: usize, skip: usize },
    /// These bytes lead on, and the field goes on behind them.
    Within { used: usize, skip: usize },
    /// More bytes are needed.
    Wait,
    /// The field is over; no byte was read.
    Over,
}

impl Dull {
    /// This field if the version has it.
    pub(super) const fn when(self, there: bool) -> Self {
        if there { self } else { Self::Nothing }
    }

    /// Skips the field, or goes on to.
    // Where its kind is known, little is left of it; small machines do with one copy.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub(super) fn skip(
        self,
        tags: &mut Tags,
        input: &[u8],
        dialect: Dialect,
    ) -> Result<Skipped, DecodeError> {
        let sized = match self {
            Self::Nothing | Self::Bytes(0) => return Ok(Skipped::Over),
            Self::Tags => return tags.skip(input, dialect),
            Self::Int32 => Some((0, 4)),
            Self::Bytes(skip) => Some((0, skip)),
            Self::String => small_atom(input, |i| reader::string_len(i, dialect))?
                .map(|(used, len)| (used, len.unwrap_or(0))),
            Self::Int32Array => match small_atom(input, |i| reader::nullable_count(i, dialect))? {
                Some((used, count)) => {
                    let skip = usize::try_from(count.unwrap_or(0))
                        .ok()
                        .and_then(|count| count.checked_mul(4))
                        .ok_or(DecodeError::LengthOverflow)?;
                    Some((used, skip))
                }
                None => None,
            },
        };
        Ok(match sized {
            Some((used, skip)) => Skipped::Past { used, skip },
            None => Skipped::Wait,
        })
    }
}

/// Skips a dull field and moves a walk on to `next`, returning from the function around it where
/// the field has bytes.
macro_rules! skip {
    ($walk:ident, $dull:expr, $next:expr, $input:expr) => {
        match $crate::wire::streaming::Dull::skip($dull, &mut $walk.tags, $input, $walk.dialect)? {
            $crate::wire::streaming::Skipped::Past { used, skip } => {
                $walk.at = $next;
                return Ok($crate::wire::Step::Skip { used, skip });
            }
            $crate::wire::streaming::Skipped::Within { used, skip } => {
                return Ok($crate::wire::Step::Skip { used, skip });
            }
            $crate::wire::streaming::Skipped::Wait => return Ok($crate::wire::Step::Wait),
            $crate::wire::streaming::Skipped::Over => $walk.at = $next,
        }
    };
}
pub(super) use skip;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ApiKey, dialect};

    #[test]
    fn an_atom_is_the_same_whatever_the_window() {
        let d = dialect(ApiKey::METADATA, 1);
        let mut bytes = [b'x'; 2 * MAX_ATOM];
        for (len, expected) in [
            (MAX_ATOM - 2, Ok(Some(MAX_ATOM))),
            (MAX_ATOM - 1, Err(DecodeError::TooLong { max: MAX_ATOM })),
        ] {
            bytes[..2].copy_from_slice(&(len as i16).to_be_bytes());
            for window in [MAX_ATOM, MAX_ATOM + 1, bytes.len()] {
                let read = small_atom(&bytes[..window], |i| reader::string(i, d));
                assert_eq!(read.map(|atom| atom.map(|(used, _)| used)), expected);
            }
            let read = small_atom(&bytes[..MAX_ATOM - 1], |i| reader::string(i, d));
            assert_eq!(read, Ok(None));
        }
    }

    #[test]
    fn a_section_of_fields_starts_anew() {
        let d = dialect(ApiKey::METADATA, 9);
        let mut tags = Tags::default();
        for _ in 0..2 {
            assert_eq!(tags.skip(&[1], d), Ok(Skipped::Within { used: 1, skip: 0 }));
            let step = tags.skip(&[9, 0xe8, 0x07], d);
            assert_eq!(step, Ok(Skipped::Within { used: 3, skip: 1000 }));
            assert_eq!(tags.skip(&[], d), Ok(Skipped::Over));
        }
    }
}
