//! What an adapter gives the driver: a way to dial, and connections that never block.

use std::io::{self, Read, Write};

use ottla_core::ConnId;

use crate::io::link_error::LinkError;

/// Opens connections.
pub trait Network {
    /// A connection, from the first attempt on. Callers write to it from their threads.
    type Link: Link + Send + 'static;

    /// Begins to open a connection. Must not block.
    ///
    /// # Errors
    ///
    /// Where it is clear at once that there will be none.
    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<Self::Link, LinkError>;
}

/// A non-blocking connection that sees to it that the driver runs again, with a [`Ready`] for it,
/// when what it answered `WouldBlock` to may go on.
pub trait Link: Read + Write {
    /// Reads what is there, though nobody was told of it. Here `WouldBlock` promises nothing.
    ///
    /// # Errors
    ///
    /// As [`Read::read`].
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize>;

    /// Goes on with opening it: true once it is open.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened.
    fn open(&mut self) -> Result<bool, LinkError>;
}

/// A connection slot whose link may go on.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // adapters make it
pub struct Ready {
    /// The slot's number.
    pub index: usize,
    /// Reading, or opening, may go on.
    pub readable: bool,
    /// Writing, or opening, may go on.
    pub writable: bool,
}
