//! What of a batch goes on the wire: its records as they are, or what a codec made of them.

use super::{Batch, PageLink};
use crate::{slots::Ix, wire::record::Attributes};

/// How a batch goes out. What its records are is in its own pages in any case, until it is done.
///
/// The order of its life, with one way back: to [`Undecided`](Self::Undecided), as long as no byte counts as
/// sent, where a record is taken out or the batch is split.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)] // so that `Plain` is 0, and an empty slot all zeros
pub(crate) enum Form {
    /// Its records as they are: nothing else is configured, or to be had.
    #[default]
    Plain,
    /// It is to be compressed when it is next in its partition and need not linger.
    Undecided,
    /// It is in the list of batches to be lent.
    Wanted,
    /// It was lent, and did not change since.
    Lent {
        /// Of a batch with records to be left out, a copy without them; else none, since its own pages were lent.
        copy: Ix<PageLink>,
        /// Bytes that were lent.
        len: u32,
    },
    /// What the codec made of it.
    Compressed {
        /// By which one, as the attributes tell it.
        codec: u8,
        /// Its pages.
        first_page: Ix<PageLink>,
        /// Its bytes.
        len: u32,
        /// Their checksum.
        crc: u32,
    },
}

#[cfg(feature = "compression")]
impl Form {
    /// The pages that it has beside the batch's own, and that are to be freed with it.
    pub(crate) const fn pages(self) -> Ix<PageLink> {
        match self {
            Self::Plain | Self::Undecided | Self::Wanted => Ix::NONE,
            Self::Lent { copy, .. } => copy,
            Self::Compressed { first_page, .. } => first_page,
        }
    }
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
    #[inline(always)]
    pub(crate) fn body(&self) -> Body {
        #[cfg(feature = "compression")]
        if let Form::Compressed { codec, first_page, len, crc } = self.form {
            return Body { first_page, len, crc, attributes: Attributes(codec.into()) };
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
        matches!(self.form, Form::Plain | Form::Compressed { .. })
    }

    /// Whether it goes out compressed.
    #[cfg(feature = "compression")]
    pub(crate) const fn is_compressed(&self) -> bool {
        matches!(self.form, Form::Compressed { .. })
    }
}
