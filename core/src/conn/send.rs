//! What a connection has to write: a request's head with the batches' pages put in where they go.

use crate::{
    batch::{Batch, Chunks, Pages},
    slots::{Ix, Table},
};

/// The request that is being written. There is at most one a connection: the next one is made when
/// the socket has accepted all of this one, so that as little as possible counts as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transmission {
    /// Bytes of the head: framing and batch headers.
    pub(crate) head: u32,
    /// Bytes of the request, pages and all; 0 while there is none.
    pub(crate) total: u32,
    /// Bytes that the socket has accepted.
    pub(crate) sent: u32,
}

impl Transmission {
    pub(crate) const NOTHING: Self = Self { head: 0, total: 0, sent: 0 };

    pub(crate) const fn is_nothing(&self) -> bool {
        self.total == 0
    }

    pub(crate) const fn is_unsent(&self) -> bool {
        self.total > 0 && self.sent == 0
    }
}

/// What is to be written next, in order: pieces of core memory, lent for a vectored write.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    head: &'a [u8],
    at: usize,
    next: Ix<Batch>,
    chunks: Option<Chunks<'a>>,
    sources: Option<(&'a Table<'a, Batch>, &'a Pages<'a>)>,
    skip: usize,
    /// A token, and where in the head it goes.
    #[cfg(feature = "oauthbearer")]
    token: Option<(&'a [u8], usize)>,
}

impl<'a> Segments<'a> {
    pub(crate) const NOTHING: Segments<'static> = Segments {
        head: &[],
        at: 0,
        next: Ix::NONE,
        chunks: None,
        sources: None,
        skip: 0,
        #[cfg(feature = "oauthbearer")]
        token: None,
    };

    /// The pieces of a request whose head is `head` and whose first batch is `first`, after the
    /// first `skip` bytes.
    pub(crate) fn new(
        head: &'a [u8],
        first: Ix<Batch>,
        batches: &'a Table<'a, Batch>,
        pages: &'a Pages<'a>,
        skip: u32,
    ) -> Self {
        let sources = Some((batches, pages));
        // Spelled out: `..NOTHING` would have it lie in the flash.
        Segments {
            head,
            at: 0,
            next: first,
            chunks: None,
            sources,
            skip: skip as usize,
            #[cfg(feature = "oauthbearer")]
            token: None,
        }
    }

    /// The pieces of a request in whose head a token goes at `cut`, after the first `skip` bytes.
    #[cfg(feature = "oauthbearer")]
    pub(crate) fn with_token(head: &'a [u8], token: &'a [u8], cut: u32, skip: u32) -> Self {
        let token = Some((token, cut as usize));
        Segments { head, token, skip: skip as usize, ..Segments::NOTHING }
    }

    fn piece(&mut self) -> Option<&'a [u8]> {
        if let Some(chunk) = self.chunks.as_mut().and_then(Iterator::next) {
            return Some(chunk);
        }
        #[cfg(feature = "oauthbearer")]
        if let Some((token, cut)) = self.token {
            if self.at < cut {
                return self.head.get(core::mem::replace(&mut self.at, cut)..cut);
            }
            self.token = None;
            return Some(token);
        }
        let (start, end) = match (self.sources, self.next.some()) {
            (Some((batches, pages)), Some(next)) => {
                let batch = batches.at(next);
                self.next = batch.next_in_request;
                let body = batch.body();
                self.chunks = Some(pages.chain(body.first_page, body.len));
                (self.at, batch.cut as usize)
            }
            _ if self.at < self.head.len() => (self.at, self.head.len()),
            _ => return None,
        };
        self.at = end;
        self.head.get(start..end)
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let piece = self.piece()?;
            let skip = self.skip.min(piece.len());
            self.skip -= skip;
            if let Some(rest) = piece.get(skip..).filter(|rest| !rest.is_empty()) {
                return Some(rest);
            }
        }
    }
}
