//! Which ends of connections are news.

use core::{mem::discriminant, time::Duration};

use ottla_core::Disconnect;

use crate::error::ConnectionError;

/// Brokers whose last failure is remembered; beyond it all are forgotten.
const BROKERS: usize = 1024;
/// A connection that was open for so long was one: its end is news again.
const USEFUL: Duration = Duration::from_secs(10);

/// The last failure of each broker.
#[derive(Debug, Default)]
pub(crate) struct Losses(Vec<ConnectionError>);

impl Losses {
    /// Notes a failure; true if it is news: not the same again of a broker that was of no use in
    /// between. `open`: how long the connection was open, if it was.
    pub(crate) fn note(&mut self, failure: &ConnectionError, open: Option<Duration>) -> bool {
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

    fn failure(broker: &str, cause: Disconnect, error: Option<&str>) -> ConnectionError {
        ConnectionError { broker: broker.into(), cause, error: error.map(Into::into) }
    }

    #[test]
    fn the_same_again_is_no_news() {
        let mut losses = Losses::default();
        let refused = |broker| failure(broker, Disconnect::Refused, Some("connection refused"));
        let a = refused("a:1");
        assert_eq!(a.to_string(), "a:1: the connection could not be set up (connection refused)");
        assert!(losses.note(&a, None));
        assert!(!losses.note(&a, None));
        // Each broker for itself.
        assert!(losses.note(&refused("b:1"), None));
        assert!(!losses.note(&a, None));
        let unreachable = failure("a:1", Disconnect::Refused, Some("host unreachable"));
        assert!(losses.note(&unreachable, None));
        let eof = failure("a:1", Disconnect::Eof, None);
        assert!(losses.note(&eof, Some(Duration::ZERO)));
        assert!(!losses.note(&eof, Some(Duration::from_secs(1))));
        assert!(losses.note(&eof, Some(USEFUL)));
        for cause in [Disconnect::RequestTimedOut, Disconnect::Mute] {
            let silent = failure("a:1", cause, None);
            assert!(losses.note(&silent, Some(USEFUL)));
            assert!(!losses.note(&silent, Some(USEFUL)));
        }
    }
}
