//! How connections end, and which ends are news.

use core::{mem::discriminant, time::Duration};
use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use ottla_core::Disconnect;

use crate::error::Failure;

/// Brokers whose last failure is remembered; beyond it all are forgotten.
const BROKERS: usize = 1024;
/// A connection that was open for so long was one: its end is news again.
const USEFUL: Duration = Duration::from_secs(10);

/// What the operating system says that has no descriptor left: EMFILE and ENFILE, which have the same
/// numbers on all of these systems.
#[cfg(unix)]
const EXHAUSTED: [i32; 2] = [24, 23];
/// WSAEMFILE and WSAENOBUFS.
#[cfg(windows)]
const EXHAUSTED: [i32; 2] = [10_024, 10_055];
#[cfg(not(any(unix, windows)))]
const EXHAUSTED: [i32; 0] = [];

/// Why a link ended, or could not be had.
#[derive(Debug)]
#[non_exhaustive]
pub struct Lost {
    /// In the core's words.
    pub cause: Disconnect,
    /// In the operating system's, if it was asked.
    pub error: Option<io::Error>,
}

impl Lost {
    /// With what the operating system said.
    #[must_use]
    pub const fn new(cause: Disconnect, error: io::Error) -> Self {
        Self { cause, error: Some(error) }
    }

    /// Reading or writing failed. A reset is the peer's way of closing, too.
    #[must_use]
    pub fn broken(error: io::Error) -> Self {
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

impl From<Disconnect> for Lost {
    fn from(cause: Disconnect) -> Self {
        Self { cause, error: None }
    }
}

/// The last failure of each broker.
#[derive(Debug, Default)]
pub(crate) struct Losses(Vec<Failure>);

impl Losses {
    /// Notes a failure; true if it is news: not the same again of a broker that was of no use in
    /// between. `open`: how long the connection was open, if it was.
    pub(crate) fn note(&mut self, failure: &Failure, open: Option<Duration>) -> bool {
        // One that gives no answer may be open for long.
        let useful = open.is_some_and(|open| open >= USEFUL)
            && !matches!(failure.cause, Disconnect::RequestTimedOut | Disconnect::Mute);
        let Some(known) = self.0.iter_mut().find(|known| known.broker == failure.broker) else {
            if self.0.len() == BROKERS {
                self.0.clear();
            }
            self.0.push(failure.clone());
            return true;
        };
        // A broken peer need not break the protocol with the same numbers each time.
        let same = discriminant(&known.cause) == discriminant(&failure.cause)
            && known.error == failure.error;
        known.clone_from(failure);
        useful || !same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(broker: &str, lost: Lost) -> Failure {
        Failure { broker: broker.into(), cause: lost.cause, error: lost.words() }
    }

    #[test]
    fn the_same_again_is_no_news() {
        let mut losses = Losses::default();
        let refused = || Lost::new(Disconnect::Refused, ErrorKind::ConnectionRefused.into());
        let a = failure("a:1", refused());
        assert_eq!(a.to_string(), "a:1: the connection could not be set up (connection refused)");
        assert!(losses.note(&a, None));
        assert!(!losses.note(&a, None));
        // Each broker for itself.
        assert!(losses.note(&failure("b:1", refused()), None));
        assert!(!losses.note(&a, None));
        let unreachable = Lost::new(Disconnect::Refused, ErrorKind::HostUnreachable.into());
        assert!(losses.note(&failure("a:1", unreachable), None));
        let eof = failure("a:1", Disconnect::Eof.into());
        assert!(losses.note(&eof, Some(Duration::ZERO)));
        assert!(!losses.note(&eof, Some(Duration::from_secs(1))));
        assert!(losses.note(&eof, Some(USEFUL)));
        for cause in [Disconnect::RequestTimedOut, Disconnect::Mute] {
            let silent = failure("a:1", cause.into());
            assert!(losses.note(&silent, Some(USEFUL)));
            assert!(!losses.note(&silent, Some(USEFUL)));
        }
    }

    #[test]
    fn what_has_no_name_has_its_own_words() {
        let lost = Lost::broken(io::Error::other("the cable is cut"));
        assert_eq!(lost.words().as_deref(), Some("the cable is cut"));
        assert_eq!(Lost::broken(ErrorKind::ConnectionReset.into()).cause, Disconnect::Eof);
    }
}
