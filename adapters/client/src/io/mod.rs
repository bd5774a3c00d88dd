//! Moves bytes and time for one engine. May touch: links, and the core under the engine's lock.
//!
//! Driver, links, dialling and pacing. Nothing that an application calls.

pub(crate) mod address_resolution;
pub(crate) mod driver;
pub(crate) mod handshakes;
pub(crate) mod link_error;
pub(crate) mod links;
pub(crate) mod nap_decision;
pub(crate) mod network;
#[cfg(feature = "_tls")]
mod tls;
pub(crate) mod transfer;
mod transport;
