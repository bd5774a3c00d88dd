//! Moves bytes and time for one engine: driver, links, dialling and pacing. Touches the core under the
//! engine's lock, and links; nothing of the application's.

pub(crate) mod dial;
pub(crate) mod driver;
pub(crate) mod link_error;
pub(crate) mod links;
pub(crate) mod pacing;
pub(crate) mod transfer;
