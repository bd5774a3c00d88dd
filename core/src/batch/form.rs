//! What of a batch goes on the wire: its records as they are, or what a codec made of them.

use super::{Batch, PageLink};
use crate::{slots::Ix, wire::record::Attributes};

/// How a batch goes out. What its records are is in its own pages in any case, until it is done.
///
/// The order of its life, with one way back: to [`Undecided`](Self::Undecided), as long as no byte counts as
/// sent, where a record is taken out or the batch is split.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Its records as they are: nothing else is configured, or to be had.
    Plain,
    /// It is to be compressed when it is next in its partition and need not linger.
    Undecided,
    /// It is in the list of batches to be lent.
    Wanted,
    /// It was lent, and did not change since.
    Lent,
    /// What the codec made of it.
    Compressed,
}

/// What a batch has beside its own pages, for the form that it is in. Not in [`Form`], so that an empty slot is all zeros,
/// of which there need not be a copy in flash.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    /// Pages that are to be freed with it: what the codec made; or, of a batch that is lent and has records to be left out,
    /// a copy without them.
    pub(crate) first_page: Ix<PageLink>,
    /// Bytes that the codec made, or that were lent.
    pub(crate) len: u32,
    /// The checksum of what the codec made.
    pub(crate) crc: u32,
}

#[cfg(feature = "compression")]
impl Packed {
    /// Nothing.
    pub(crate) const NONE: Self = Self { first_page: Ix::NONE, len: 0, crc: 0 };
}

/// What follows a batch's header on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    pub(crate) first_page: Ix<PageLink>,
    pub(crate) len: u32,
    pub(crate) crc: u32,
    pub(crate) attributes: Attributes,
}

impl Batch {
    /// Its bytes on the wire behind the header. A function of what never changes once it is bound, but where it
    /// is certainly not in the log.
    #[cfg_attr(any(target_pointer_width = "64", not(feature = "compression")), inline(always))]
    #[cfg_attr(all(not(target_pointer_width = "64"), feature = "compression"), inline(never))] // for small code
    pub(crate) fn body(&self) -> Body {
        #[cfg(feature = "compression")]
        if self.is_compressed() {
            let Packed { first_page, len, crc } = self.packed;
            return Body { first_page, len, crc, attributes: Attributes(self.codec.into()) };
        }
        Body {
            first_page: self.first_page,
            len: self.len,
            crc: self.crc,
            attributes: Attributes::default(),
        }
    }

    /// Whether it is decided how it goes out.
    #[cfg(feature = "compression")]
    pub(crate) const fn has_form(&self) -> bool {
        matches!(self.form, Form::Plain | Form::Compressed)
    }

    /// Whether it goes out compressed.
    #[cfg(feature = "compression")]
    pub(crate) const fn is_compressed(&self) -> bool {
        matches!(self.form, Form::Compressed)
    }
}
