//! LZ4 without a heap, for batches that lie in pages: small code first.

use core::num::NonZeroUsize;

/// What is before the first block: the magic number; version 1 and blocks that do not depend on each other, as Kafka
/// wants them; blocks of 64 KiB at most; and what xxHash says of those two bytes.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82];
/// A block without bytes ends the frame.
const END: [u8; 4] = [0; 4];
const LONGEST_BLOCK: usize = 65_536;
/// No match is shorter.
const LEAST: usize = 4;
/// No match begins within so many bytes of a block's end,
const NO_MATCH: usize = 12;
/// nor ends within so many.
const LITERALS: usize = 5;

/// Compresses batches to LZ4 frames, as Kafka takes them: for microcontrollers.
///
/// It finds what was there before by a hash table that the caller lends, of 512 to 4,096 slots of two bytes: the more,
/// the smaller the output. What is in the table from another batch does no harm. JSON readings of sensors become
/// 2.5 to 3 times smaller in batches of 2 to 8 KiB, with 1,024 slots.
#[derive(Debug)]
pub struct Lz4<'m> {
    table: &'m mut [u16],
}

impl<'m> Lz4<'m> {
    /// One that works with this table.
    #[must_use]
    pub const fn new(table: &'m mut [u16]) -> Self {
        Self { table }
    }

    /// Writes a frame with all bytes of `pages` to the beginning of `out`, and says how long it is.
    ///
    /// The pages follow each other; all but the last one are equally long, and that is no longer.
    /// What repeats is found across pages. The time that it takes is bounded by their bytes.
    ///
    /// `None` where `out` is too short, which should be no longer than what is worth to be sent instead; where 64 KiB
    /// become more; or where the pages are others than said.
    pub fn compress(&mut self, pages: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        let page_len = pages.first().and_then(|page| NonZeroUsize::new(page.len()));
        let page_len = page_len.unwrap_or(NonZeroUsize::MIN);
        let (mut len, mut whole) = (0, 0);
        for page in pages {
            if len != whole || page.len() > page_len.get() {
                return None;
            }
            len += page.len();
            whole += page_len.get();
        }
        let mut frame = Frame { pages, page_len, out, at: 0 };
        frame.put(&HEADER);
        let mut start = 0;
        while start < len {
            let place = frame.at;
            frame.at += 4;
            let end = len.min(start + LONGEST_BLOCK);
            self.block(&mut frame, start, end)?;
            let after = frame.at;
            let size = after - place - 4;
            if size > LONGEST_BLOCK {
                return None;
            }
            frame.at = place;
            frame.put(&(size as u32).to_le_bytes());
            frame.at = after;
            start = end;
        }
        frame.put(&END);
        (frame.at <= frame.out.len()).then_some(frame.at)
    }

    /// Writes the bytes from `start` to `end` as one block.
    fn block(&mut self, frame: &mut Frame<'_>, start: usize, end: usize) -> Option<()> {
        let (mut at, mut written) = (start, start);
        while at + NO_MATCH < end {
            let mut word = 0;
            for next in at..at + LEAST {
                word = word << 8 | u32::from(frame.byte(next));
            }
            let hash = word.wrapping_mul(0x9E37_79B1) >> 16;
            let slot = (hash as usize).wrapping_mul(self.table.len()) >> 16;
            let slot = self.table.get_mut(slot)?;
            let before = start + usize::from(core::mem::replace(slot, (at - start) as u16));
            let mut to = at;
            while to < end - LITERALS
                && before < at
                && frame.byte(before + (to - at)) == frame.byte(to)
            {
                to += 1;
            }
            if to - at >= LEAST {
                frame.sequence(written, at, at - before, to - at - LEAST);
                (at, written) = (to, to);
            } else {
                // Where nothing repeats, it is not looked for as closely.
                at += 1 + ((at - written) >> 6);
            }
        }
        frame.sequence(written, end, 0, 0);
        Some(())
    }
}

/// What is read, and what is written, by bytes: a device has more time than flash.
struct Frame<'a> {
    pages: &'a [&'a [u8]],
    page_len: NonZeroUsize,
    out: &'a mut [u8],
    /// So many bytes were written, or would have been, were there room.
    at: usize,
}

impl Frame<'_> {
    #[inline(never)]
    fn byte(&self, at: usize) -> u8 {
        let page = self.pages.get(at / self.page_len);
        page.and_then(|page| page.get(at % self.page_len)).copied().unwrap_or(0)
    }

    #[inline(never)]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.out.get_mut(self.at) {
            *place = byte;
        }
        self.at += 1;
    }

    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    /// Bytes as they are, from `from` to `to`, and then a match: how far back it is, and how much longer than the least.
    /// None is 0 back.
    fn sequence(&mut self, from: usize, to: usize, back: usize, more: usize) {
        let literals = to - from;
        self.push((literals.min(15) << 4 | more.min(15)) as u8);
        self.long(literals);
        for at in from..to {
            self.push(self.byte(at));
        }
        if back > 0 {
            self.put(&(back as u16).to_le_bytes());
            self.long(more);
        }
    }

    /// The rest of a length that does not fit in four bits.
    #[inline(never)]
    fn long(&mut self, len: usize) {
        let Some(mut rest) = len.checked_sub(15) else { return };
        while rest >= 255 {
            self.push(255);
            rest -= 255;
        }
        self.push(rest as u8);
    }
}
