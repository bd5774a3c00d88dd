//! A place in a batch's bytes, which lie in a chain of pages.

use super::{PageLink, Pages};
use crate::slots::Ix;

/// A place in a chain of pages; `at` may be the page's end.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    page: Ix<PageLink>,
    at: u32,
}

impl Cursor {
    pub(super) const fn new(page: Ix<PageLink>, at: u32) -> Self {
        Self { page, at }
    }

    pub(super) const fn start(page: Ix<PageLink>) -> Self {
        Self { page, at: 0 }
    }

    pub(super) const fn page(&self) -> Ix<PageLink> {
        self.page
    }

    pub(super) const fn at(&self) -> u32 {
        self.at
    }

    /// Goes on by one byte without looking at it.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Moves from the end of a page to the start of the next.
    pub(super) fn settle(&mut self, pages: &Pages<'_>) {
        if self.at == pages.size() && pages.next(self.page).is_some() {
            *self = Self { page: pages.next(self.page), at: 0 };
        }
    }

    pub(super) fn byte(&mut self, pages: &Pages<'_>) -> u8 {
        self.settle(pages);
        let byte = pages.page(self.page).get(self.at as usize).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    pub(super) fn varint(&mut self, pages: &Pages<'_>) -> i64 {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(pages);
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    pub(super) fn skip(&mut self, pages: &Pages<'_>, len: i64) {
        for _ in 0..len {
            self.byte(pages);
        }
    }
}
