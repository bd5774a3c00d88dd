//! Bytes into lines.

use core::ops::Range;

/// One line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// What is in it, without the `\n` at its end.
    Bytes(&'a [u8]),
    /// It has this many bytes, more than a record may have, and was not kept.
    TooLong(u64),
}

/// Some lines in a row.
#[derive(Debug)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where each line is; `Err` is the length of one that was not kept.
    places: Vec<Result<Range<usize>, u64>>,
    /// The first one's number, counted from one.
    first: u64,
    /// How much was read up to here, in bytes.
    pub(crate) read: u64,
}

impl Lines {
    /// The lines with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Line<'_>)> {
        (self.first..).zip(self.places.iter().map(|place| match place {
            Ok(range) => Line::Bytes(self.bytes.get(range.clone()).unwrap_or_default()),
            Err(length) => Line::TooLong(*length),
        }))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Each line by itself.
    pub(crate) fn singly(&self) -> impl Iterator<Item = Self> {
        self.iter().map(|(first, line)| {
            let (bytes, place) = match line {
                Line::Bytes(bytes) => (bytes.to_vec(), Ok(0..bytes.len())),
                Line::TooLong(length) => (Vec::new(), Err(length)),
            };
            Self { bytes, places: vec![place], first, read: self.read }
        })
    }
}

/// Splits bytes at each `\n` as they come, and holds no more than one line of the largest size.
#[derive(Debug)]
pub(crate) struct Splitter {
    /// The largest line that is kept, in bytes.
    max: usize,
    /// The begin of a line whose end has not come.
    begun: Vec<u8>,
    /// Bytes of a line that grew too long, all of them.
    dropped: u64,
    next: u64,
    read: u64,
}

impl Splitter {
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, begun: Vec::new(), dropped: 0, next: 1, read: 0 }
    }

    /// Takes what was read. Returns the lines that ended in it.
    pub(crate) fn push(&mut self, input: &[u8]) -> Lines {
        self.read += input.len() as u64;
        let mut lines = self.lines();
        let mut rest = input;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (part, after) = rest.split_at(end);
            self.grow(part);
            self.end_line(&mut lines);
            rest = after.get(1..).unwrap_or_default();
        }
        self.grow(rest);
        lines
    }

    /// There is no more: what was begun is a line too.
    pub(crate) fn finish(&mut self) -> Lines {
        let mut lines = self.lines();
        if !self.begun.is_empty() || self.dropped > 0 {
            self.end_line(&mut lines);
        }
        lines
    }

    const fn lines(&self) -> Lines {
        Lines { bytes: Vec::new(), places: Vec::new(), first: self.next, read: self.read }
    }

    fn grow(&mut self, part: &[u8]) {
        if self.dropped > 0 || self.begun.len() + part.len() > self.max {
            self.dropped += (self.begun.len() + part.len()) as u64;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, lines: &mut Lines) {
        self.next += 1;
        lines.places.push(match core::mem::take(&mut self.dropped) {
            0 => {
                let start = lines.bytes.len();
                lines.bytes.append(&mut self.begun);
                Ok(start..lines.bytes.len())
            }
            length => Err(length),
        });
    }
}

/// A line's key and value. Without a separator, or where the line has none, there is no key.
pub(crate) fn split_key<'a>(
    line: &'a [u8],
    separator: Option<&[u8]>,
) -> (Option<&'a [u8]>, &'a [u8]) {
    let found = separator.and_then(|separator| {
        let at = memchr::memmem::find(line, separator)?;
        Some((line.get(..at)?, line.get(at + separator.len()..)?))
    });
    found.map_or((None, line), |(key, value)| (Some(key), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the lines of an input are, if it comes in pieces of `piece` bytes.
    fn lines(input: &[u8], max: usize, piece: usize) -> Vec<(u64, Result<Vec<u8>, u64>)> {
        let mut splitter = Splitter::new(max);
        let mut parts: Vec<Lines> = input.chunks(piece).map(|part| splitter.push(part)).collect();
        parts.push(splitter.finish());
        let owned = |line: Line<'_>| match line {
            Line::Bytes(bytes) => Ok(bytes.to_vec()),
            Line::TooLong(length) => Err(length),
        };
        let all = parts.iter().flat_map(Lines::iter);
        all.map(|(number, line)| (number, owned(line))).collect()
    }

    #[test]
    fn a_line_ends_at_the_newline_and_keeps_all_else() {
        for piece in 1..20 {
            let got = lines(b"one\r\n\ntwo\nlast", 100, piece);
            let want: [&[u8]; 4] = [b"one\r", b"", b"two", b"last"];
            let want: Vec<_> = (1..).zip(want.map(|line| Ok(line.to_vec()))).collect();
            assert_eq!(got, want, "in pieces of {piece}");
        }
        assert!(lines(b"", 100, 1).is_empty());
        assert_eq!(lines(b"\n", 100, 1), [(1, Ok(vec![]))]);
    }

    #[test]
    fn a_line_that_is_too_long_is_measured_and_not_kept() {
        for piece in 1..20 {
            let got = lines(b"1234\n12345\n123456789\n1\n12345", 4, piece);
            let want = [Ok(b"1234".to_vec()), Err(5), Err(9), Ok(b"1".to_vec()), Err(5)];
            assert_eq!(got, (1..).zip(want).collect::<Vec<_>>(), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_key_ends_at_the_first_separator() {
        let split = |line: &'static str| split_key(line.as_bytes(), Some(b"::"));
        assert_eq!(split("k::v::w"), (Some(&b"k"[..]), &b"v::w"[..]));
        assert_eq!(split("::v"), (Some(&b""[..]), &b"v"[..]));
        assert_eq!(split("k:v"), (None, &b"k:v"[..]));
        assert_eq!(split_key(b"k:v", None), (None, &b"k:v"[..]));
    }
}
