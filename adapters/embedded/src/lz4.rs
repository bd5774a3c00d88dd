//! LZ4 without a heap, for batches that lie in pages.

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
/// the smaller the output. It keeps nothing else, and nothing from one call to the next. JSON readings of sensors become
/// 2.5 to 3 times smaller in batches of 2 to 8 KiB, with 1,024 slots.
#[derive(Debug)]
pub struct Lz4<'m> {
    table: &'m mut [u16],
    /// The hash's highest bits are the slot.
    shift: u32,
}

impl<'m> Lz4<'m> {
    /// One that works with this table. Of its length it uses the largest power of two, up to 65,536.
    #[must_use]
    pub const fn new(table: &'m mut [u16]) -> Self {
        let bits = match table.len().checked_ilog2() {
            Some(bits) if bits < 16 => bits,
            Some(_) => 16,
            None => 0,
        };
        Self { table, shift: 32 - bits }
    }

    /// Writes a frame with all bytes of `pages` to the beginning of `out`, and says how long it is.
    ///
    /// The pages follow each other; all but the last one are equally long, and none is longer than 65,536 bytes.
    /// What repeats is found across pages. The time that it takes is bounded by their bytes.
    ///
    /// `None` where `out` is too short, which should be no longer than what is worth to be sent instead; where 64 KiB
    /// become more; or where the pages are others than said.
    pub fn compress(&mut self, pages: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        let page_len = pages.first().map_or(0, |page| page.len());
        let mut rest = pages;
        while let Some((page, later)) = rest.split_first() {
            if page.len() != page_len && (page.len() > page_len || !later.is_empty()) {
                return None;
            }
            rest = later;
        }
        let page_len = page_len.max(1);
        let mut out = Output { bytes: out, at: 0 };
        out.put(&HEADER)?;
        for pages in pages.chunks(LONGEST_BLOCK.checked_div(page_len)?.max(1)) {
            let input = Input { pages, page_len, len: pages.iter().map(|page| page.len()).sum() };
            if input.len > LONGEST_BLOCK {
                return None;
            }
            let start = out.at;
            out.put(&END)?;
            if input.len == 0 {
                // The block without bytes is the end.
                return Some(out.at);
            }
            self.block(&input, &mut out)?;
            let len = out.at.checked_sub(start + 4).filter(|len| *len <= LONGEST_BLOCK)?;
            out.bytes.get_mut(start..start + 4)?.copy_from_slice(&(len as u32).to_le_bytes());
        }
        out.put(&END)?;
        Some(out.at)
    }

    /// Writes one block.
    fn block(&mut self, input: &Input<'_>, out: &mut Output<'_>) -> Option<()> {
        self.table.fill(0);
        let (mut at, mut written) = (0, 0);
        let mut misses = 0_usize;
        while at + NO_MATCH < input.len {
            let here = input.rest_of_page(at)?;
            let Some(word) = here.first_chunk::<LEAST>() else {
                // Four bytes of two pages are not looked at: that is one in a hundred.
                at += here.len();
                continue;
            };
            let slot = self.slot(*word)?;
            let before = usize::from(core::mem::replace(slot, at as u16));
            if before < at && input.rest_of_page(before)?.first_chunk() == Some(word) {
                let most = input.len - LITERALS - at;
                let len = LEAST + input.common(before + LEAST, at + LEAST, most - LEAST)?;
                out.sequence(input, written, at, Some((at - before, len)))?;
                at += len;
                written = at;
                misses = 0;
                // What ends a match often begins the next one.
                if let Some(word) = input.rest_of_page(at - 2)?.first_chunk::<LEAST>() {
                    *self.slot(*word)? = (at - 2) as u16;
                }
            } else {
                // Where nothing repeats, it is not looked for as closely.
                misses += 1;
                at += 1 + (misses >> 6);
            }
        }
        out.sequence(input, written, input.len, None)
    }

    fn slot(&mut self, word: [u8; LEAST]) -> Option<&mut u16> {
        let hash = u32::from_le_bytes(word).wrapping_mul(0x9E37_79B1);
        self.table.get_mut(hash.checked_shr(self.shift).unwrap_or(0) as usize)
    }
}

/// What one block is made of.
struct Input<'a> {
    pages: &'a [&'a [u8]],
    page_len: usize,
    len: usize,
}

impl<'a> Input<'a> {
    /// The bytes from a place on, up to the end of its page.
    fn rest_of_page(&self, at: usize) -> Option<&'a [u8]> {
        let page = at.checked_div(self.page_len)?;
        self.pages.get(page)?.get(at - page * self.page_len..)
    }

    /// How many bytes are the same from two places on, up to `most`.
    fn common(&self, mut left: usize, mut right: usize, most: usize) -> Option<usize> {
        let mut len = 0;
        while len < most {
            let (lefts, rights) = (self.rest_of_page(left)?, self.rest_of_page(right)?);
            let step = lefts.len().min(rights.len()).min(most - len);
            let same = lefts.iter().zip(rights).take(step).take_while(|(l, r)| l == r).count();
            len += same;
            if same < step || step == 0 {
                break;
            }
            (left, right) = (left + step, right + step);
        }
        Some(len)
    }
}

/// What is written, up to a place.
struct Output<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.bytes.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    /// Bytes as they are, from `from` to `to`, and then a match: how far back it is, and how long.
    fn sequence(
        &mut self,
        input: &Input<'_>,
        mut from: usize,
        to: usize,
        found: Option<(usize, usize)>,
    ) -> Option<()> {
        let literals = to - from;
        let more = found.map_or(0, |(_, len)| len - LEAST);
        self.put(&[(literals.min(15) << 4 | more.min(15)) as u8])?;
        self.long(literals)?;
        while from < to {
            let rest = input.rest_of_page(from)?;
            let rest = rest.get(..to - from).unwrap_or(rest);
            self.put(rest)?;
            from += rest.len();
        }
        if let Some((back, _)) = found {
            self.put(&(back as u16).to_le_bytes())?;
            self.long(more)?;
        }
        Some(())
    }

    /// The rest of a length that does not fit in four bits.
    fn long(&mut self, len: usize) -> Option<()> {
        let Some(mut rest) = len.checked_sub(15) else { return Some(()) };
        while rest >= 255 {
            self.put(&[255])?;
            rest -= 255;
        }
        self.put(&[rest as u8])
    }
}
