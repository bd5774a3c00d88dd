//! Why links end.

use core::fmt;
use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use ottla_core::Disconnect;

/// What the operating system says that has no descriptor left: EMFILE and ENFILE, which have the same
/// numbers on all of these systems.
#[cfg(unix)]
const EXHAUSTED: [i32; 2] = [24, 23];
/// WSAEMFILE and WSAENOBUFS.
#[cfg(windows)]
const EXHAUSTED: [i32; 2] = [10_024, 10_055];
#[cfg(not(any(unix, windows)))]
const EXHAUSTED: [i32; 0] = [];

/// What TLS has against a connection, in words for who has to mend it.
#[derive(Debug)]
pub(crate) struct TlsError(String);

#[cfg(feature = "_tls")]
impl TlsError {
    /// As an error of a stream, which [`LinkError::broken`] knows again.
    pub(crate) fn stream_error(words: impl Into<String>) -> io::Error {
        io::Error::other(Self(words.into()))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for TlsError {}

/// Why a link ended, or could not be had.
#[derive(Debug)]
#[non_exhaustive]
pub struct LinkError {
    /// In the core's words.
    pub cause: Disconnect,
    /// In the operating system's, if it was asked.
    pub error: Option<io::Error>,
}

impl LinkError {
    /// With what the operating system said.
    #[must_use]
    pub const fn new(cause: Disconnect, error: io::Error) -> Self {
        Self { cause, error: Some(error) }
    }

    /// Reading or writing failed. A reset is the peer's way of closing, too.
    #[must_use]
    pub fn broken(error: io::Error) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<TlsError>()) {
            return Self::new(Disconnect::Tls, error);
        }
        let closed =
            [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
        let closed = closed.contains(&error.kind());
        Self::new(if closed { Disconnect::Eof } else { Disconnect::Io }, error)
    }

    /// A connection could not be begun, or its host not be looked up: for the cause that is given, or
    /// for want of something of this machine's own.
    #[must_use]
    pub fn undialled(cause: Disconnect, error: io::Error) -> Self {
        let own = error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
            || error.kind() == ErrorKind::OutOfMemory;
        Self::new(if own { Disconnect::Exhausted } else { cause }, error)
    }

    /// What the operating system said, in few words.
    pub(crate) fn words(&self) -> Option<Arc<str>> {
        self.error.as_ref().map(|error| {
            let kind = error.kind().to_string();
            // What the standard library has no name for has words of its own.
            let named = error.kind() != ErrorKind::Other && kind != "uncategorized error";
            Arc::from(if named { kind } else { error.to_string() })
        })
    }
}

impl From<Disconnect> for LinkError {
    fn from(cause: Disconnect) -> Self {
        Self { cause, error: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_has_its_own_words() {
        let lost = LinkError::broken(io::Error::other("the cable is cut"));
        assert_eq!(lost.words().as_deref(), Some("the cable is cut"));
        assert_eq!(LinkError::broken(ErrorKind::ConnectionReset.into()).cause, Disconnect::Eof);
    }
}
