//! The producer as tasks of an async runtime have it, over whatever a [`Runtime`] supplies.
//!
//! May touch: all of the layers below. No socket and no timer but by [`Runtime`].

pub(crate) mod drive;
pub(crate) mod link;
pub(crate) mod producer;
pub(crate) mod ready;
pub(crate) mod runtime;
pub(crate) mod send;
pub(crate) mod turn;

pub use producer::{Producer, Tasks};
pub use runtime::Runtime;
