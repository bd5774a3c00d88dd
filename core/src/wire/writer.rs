//! The one writer of messages.

use super::{BufferTooSmall, Dialect, Uuid, varint};

/// Writes a message to a buffer, and counts on where the buffer ends.
///
/// Past the end nothing more is stored, so that no write needs a check of its own:
/// [`finish`](Self::finish) tells how many bytes the message takes, whether or not it fit.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: usize,
}

/// A number of fixed width that is not known yet: `N` bytes to be filled in later.
#[derive(Debug)]
#[must_use = "a gap that is not filled stays zero"]
pub struct Gap<const N: usize> {
    at: usize,
}

/// Puts bytes at the head of `room`, if they fit. The compiler sees that no length differs, so that
/// there is no panic in it.
#[inline]
pub(crate) fn put(room: &mut [u8], bytes: &[u8]) {
    if let Some((head, _)) = room.split_at_mut_checked(bytes.len()) {
        head.copy_from_slice(bytes);
    }
}

impl<'a> Writer<'a> {
    /// Writes from the head of `buf`.
    pub const fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// How many bytes `write` writes.
    pub fn measure(write: impl FnOnce(&mut Writer<'_>)) -> usize {
        let mut writer = Writer::new(&mut []);
        write(&mut writer);
        writer.len
    }

    /// How many bytes were written, or would have been in a larger buffer.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes were written.
    ///
    /// # Errors
    /// The buffer is too small, or a value cannot be expressed: what it holds is no message.
    pub const fn finish(self) -> Result<usize, BufferTooSmall> {
        if self.len <= self.buf.len() {
            Ok(self.len)
        } else {
            Err(BufferTooSmall { needed: self.len })
        }
    }

    /// Writes bytes as they are.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn bytes(&mut self, bytes: &[u8]) {
        if let Some(room) = self.buf.get_mut(self.len..) {
            put(room, bytes);
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    /// Writes an INT8.
    pub fn int8(&mut self, value: i8) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes an INT16.
    pub fn int16(&mut self, value: i16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes an INT32.
    pub fn int32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes an INT64.
    pub fn int64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes a UINT32.
    pub fn uint32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes a BOOLEAN.
    pub fn boolean(&mut self, value: bool) {
        self.bytes(&[u8::from(value)]);
    }

    /// Writes a UUID.
    pub fn uuid(&mut self, value: Uuid) {
        self.bytes(&value.0);
    }

    /// Writes an UNSIGNED_VARINT.
    pub fn uvarint(&mut self, value: u32) {
        self.base128(u64::from(value));
    }

    /// Writes a VARINT.
    pub fn varint(&mut self, value: i32) {
        self.uvarint(varint::zigzag_32(value));
    }

    /// Writes a VARLONG.
    pub fn varlong(&mut self, value: i64) {
        self.base128(varint::zigzag_64(value));
    }

    fn base128(&mut self, value: u64) {
        let mut bytes = [0; varint::MAX_LEN_64];
        let len = varint::put_u64(&mut bytes, value);
        self.bytes(bytes.get(..len).unwrap_or_default());
    }

    /// Writes a string that may not be null.
    pub fn string(&mut self, text: &str, dialect: Dialect) {
        self.nullable_string(Some(text), dialect);
    }

    /// Writes a string; at most 32,767 bytes can be expressed.
    pub fn nullable_string(&mut self, text: Option<&str>, dialect: Dialect) {
        let len = match text.map(|text| i16::try_from(text.len())) {
            None => -1,
            Some(Ok(len)) => len,
            Some(Err(_)) => return self.inexpressible(),
        };
        if dialect.flexible {
            self.compact_len(text.map(str::len));
        } else {
            self.int16(len);
        }
        self.bytes(text.unwrap_or_default().as_bytes());
    }

    /// Writes the length of bytes or records that follow; at most 2^31 − 1 can be expressed.
    pub fn bytes_len(&mut self, len: Option<usize>, dialect: Dialect) {
        let classic = match len.map(i32::try_from) {
            None => -1,
            Some(Ok(len)) => len,
            Some(Err(_)) => return self.inexpressible(),
        };
        if dialect.flexible {
            self.compact_len(len);
        } else {
            self.int32(classic);
        }
    }

    /// Writes the count of an array; `None` is a null array.
    #[inline(never)] // inlined, it is smaller nowhere and faster nowhere
    pub fn count(&mut self, count: Option<u32>, dialect: Dialect) {
        match count.map(usize::try_from) {
            None => self.bytes_len(None, dialect),
            Some(Ok(count)) => self.bytes_len(Some(count), dialect),
            Some(Err(_)) => self.inexpressible(),
        }
    }

    /// Writes an array of INT32.
    pub fn int32_array(&mut self, values: &[i32], dialect: Dialect) {
        self.bytes_len(Some(values.len()), dialect);
        for value in values {
            self.int32(*value);
        }
    }

    /// Writes a section of tagged fields with nothing in it, where the dialect has one.
    pub fn no_tagged_fields(&mut self, dialect: Dialect) {
        if dialect.flexible {
            self.uvarint(0);
        }
    }

    /// Writes one tagged field, its value by `write`. The section's count comes before it.
    pub fn tagged_field(&mut self, tag: u32, write: impl Fn(&mut Writer<'_>)) {
        self.uvarint(tag);
        match u32::try_from(Writer::measure(&write)) {
            Ok(size) => self.uvarint(size),
            Err(_) => return self.inexpressible(),
        }
        write(self);
    }

    /// Leaves room for a number of fixed width.
    pub fn gap<const N: usize>(&mut self) -> Gap<N> {
        let at = self.len;
        self.bytes(&[0; N]);
        Gap { at }
    }

    /// Fills a gap.
    #[allow(clippy::needless_pass_by_value)] // a gap is filled once
    pub fn fill<const N: usize>(&mut self, gap: Gap<N>, bytes: [u8; N]) {
        if let Some(room) = self.buf.get_mut(gap.at..) {
            put(room, &bytes);
        }
    }

    /// How many bytes were written since the end of `gap`.
    #[must_use]
    pub const fn len_since<const N: usize>(&self, gap: &Gap<N>) -> usize {
        self.len.saturating_sub(gap.at.saturating_add(N))
    }

    fn compact_len(&mut self, len: Option<usize>) {
        match len.map_or(Some(0), |len| u32::try_from(len).ok().and_then(|len| len.checked_add(1)))
        {
            Some(len) => self.uvarint(len),
            None => self.inexpressible(),
        }
    }

    /// Makes the message one that no buffer can hold.
    pub(super) const fn inexpressible(&mut self) {
        self.len = usize::MAX;
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;
    use crate::wire::{ApiKey, dialect};

    #[test]
    fn stores_nothing_past_the_end_but_counts() {
        let mut buf = [0xaa; 5];
        let mut w = Writer::new(&mut buf);
        w.int32(1);
        w.int32(2); // does not fit
        w.int8(3); // would fit where the one before did not
        assert_eq!(w.finish(), Err(BufferTooSmall { needed: 9 }));
        assert_eq!(buf, [0, 0, 0, 1, 0xaa]);
    }

    #[test]
    fn measures_what_it_writes() {
        let write = |w: &mut Writer<'_>| {
            w.varlong(i64::MIN);
            w.string("ottla", dialect(ApiKey::PRODUCE, 9));
        };
        assert_eq!(Writer::measure(write), 10 + 1 + 5);
    }

    #[test]
    fn fills_a_gap() {
        let mut buf = [0xaa; 6];
        let mut w = Writer::new(&mut buf);
        w.int8(1);
        let gap = w.gap::<4>();
        w.int8(2);
        assert_eq!(w.len_since(&gap), 1);
        w.fill(gap, 7_u32.to_be_bytes());
        assert_eq!(w.finish(), Ok(6));
        assert_eq!(buf, [1, 0, 0, 0, 7, 2]);
    }

    #[test]
    fn fills_no_gap_that_did_not_fit() {
        let mut buf = [0xaa; 3];
        let mut w = Writer::new(&mut buf);
        let gap = w.gap::<4>();
        w.fill(gap, [1; 4]);
        assert_eq!(w.finish(), Err(BufferTooSmall { needed: 4 }));
        assert_eq!(buf, [0xaa; 3]);
    }

    #[test]
    fn a_text_that_the_protocol_cannot_express_fits_nowhere() {
        let text: String = core::iter::repeat_n('x', 32_768).collect();
        for version in [3, 9] {
            let d = dialect(ApiKey::PRODUCE, version);
            assert_eq!(Writer::measure(|w| w.string(&text, d)), usize::MAX);
            assert!(Writer::measure(|w| w.string(&text[1..], d)) < 32_800);
        }
    }
}
