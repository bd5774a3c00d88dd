//! Equal pages and the chains that batches make of them.

use crate::{
    slots::Slots,
    slots::{Ix, Table},
};

/// What follows a page in its chain, or in the list of free pages.
#[derive(Debug)]
pub(crate) struct PageLink {
    next: Ix<Self>,
}

impl PageLink {
    pub(crate) const EMPTY: Self = Self { next: Ix::NONE };
}

/// All record memory.
#[derive(Debug)]
pub(crate) struct Pages<'m> {
    bytes: Slots<'m, u8>,
    links: Table<'m, PageLink>,
    size: u32,
    free: Ix<PageLink>,
    free_count: u32,
    /// Pages from here on were never used; they join the free list when they are first taken, so
    /// that a large buffer costs no start-up time and no resident memory.
    untouched: u32,
}

impl<'m> Pages<'m> {
    pub(crate) fn new(bytes: Slots<'m, u8>, links: Slots<'m, PageLink>) -> Self {
        let links = Table::new(links, || PageLink::EMPTY);
        // Of all the memory there may be more than 32 bits can tell, but not of a page.
        let size = bytes.all().len().checked_div(links.len() as usize).unwrap_or(0) as u32;
        Self { bytes, size, free: Ix::NONE, free_count: links.len(), untouched: 0, links }
    }

    /// Bytes a page.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// All bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.all().len()
    }

    /// The number of pages.
    pub(crate) fn count(&self) -> u32 {
        self.links.len()
    }

    /// The number of free pages.
    pub(crate) const fn free(&self) -> u32 {
        self.free_count
    }

    /// For tests alone: how many pages are free, if the list of them says what the count does.
    #[cfg(feature = "_internal")]
    pub(crate) fn count_free(&self) -> Option<u32> {
        let untouched = self.links.len() - self.untouched;
        let (mut listed, mut page) = (0, self.free);
        while page.is_some() && listed <= self.links.len() {
            (listed, page) = (listed + 1, self.next(page));
        }
        (listed + untouched == self.free_count).then_some(self.free_count)
    }

    /// How many pages `len` bytes take.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // for small code
    pub(crate) fn needed(&self, len: u32) -> u32 {
        len.div_ceil(self.size.max(1))
    }

    pub(crate) fn next(&self, page: Ix<PageLink>) -> Ix<PageLink> {
        self.links.at(page).next
    }

    #[inline]
    pub(crate) fn page(&self, page: Ix<PageLink>) -> &[u8] {
        let start = page.number() as usize * self.size as usize;
        self.bytes.all().get(start..start + self.size as usize).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn page_mut(&mut self, page: Ix<PageLink>) -> &mut [u8] {
        let start = page.number() as usize * self.size as usize;
        self.bytes.all_mut().get_mut(start..start + self.size as usize).unwrap_or_default()
    }

    /// Some bytes of a page; none where the page has not as many.
    #[inline]
    pub(crate) fn part_mut(&mut self, page: Ix<PageLink>, at: u32, len: u32) -> &mut [u8] {
        let start = page.number() as usize * self.size as usize + at as usize;
        self.bytes.all_mut().get_mut(start..start + len as usize).unwrap_or_default()
    }

    /// Takes a free page and puts it behind `last`, which may be none.
    pub(crate) fn take(&mut self, last: Ix<PageLink>) -> Option<Ix<PageLink>> {
        let page = match self.free.some() {
            Some(page) => {
                self.free = self.links.at(page).next;
                page
            }
            None if self.untouched < self.links.len() => {
                self.untouched += 1;
                Ix::new(self.untouched - 1)
            }
            None => return None,
        };
        self.free_count -= 1;
        self.links.at_mut(page).next = Ix::NONE;
        if let Some(last) = last.some() {
            self.links.at_mut(last).next = page;
        }
        Some(page)
    }

    /// Frees the pages from `first` to the end of its chain.
    pub(crate) fn release(&mut self, first: Ix<PageLink>) {
        let mut page = first;
        while page.is_some() {
            let next = self.links.at(page).next;
            self.links.at_mut(page).next = self.free;
            self.free = page;
            self.free_count += 1;
            page = next;
        }
    }

    /// Ends a chain after `last` and frees what followed.
    pub(crate) fn truncate(&mut self, last: Ix<PageLink>) {
        let rest = self.next(last);
        self.links.at_mut(last).next = Ix::NONE;
        self.release(rest);
    }

    /// The first `len` bytes of a chain, page by page.
    pub(crate) fn chain(&self, first: Ix<PageLink>, len: u32) -> Chunks<'_> {
        Chunks { pages: self, page: first, left: len }
    }
}

/// The bytes of a chain, page by page.
#[derive(Clone, Debug)]
pub(crate) struct Chunks<'a> {
    pages: &'a Pages<'a>,
    page: Ix<PageLink>,
    left: u32,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 || self.page.is_none() {
            return None;
        }
        let page = self.pages.page(self.page);
        let len = self.left.min(self.pages.size);
        self.left -= len;
        self.page = self.pages.next(self.page);
        page.get(..len as usize)
    }
}
