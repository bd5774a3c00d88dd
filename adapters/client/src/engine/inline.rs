//! Callers that wait for an answer and meanwhile do what the driver would do.

use std::time::Instant as StdInstant;

use crate::{delivery::handle::Delivery, delivery::outcome::RecordOutcome};

/// A driver that a caller can take over while it naps. To hand an answer from thread to thread costs as
/// much as the answer itself took.
pub trait Attendant: Send + Sync {
    /// Drives until `done`, or until then. Does nothing where the driver does not nap.
    fn attend(&self, until: Option<StdInstant>, done: &mut dyn FnMut() -> bool);
}

impl Delivery {
    /// Drives until the first answer is there, or until then, if the driver lets its callers. `None` where
    /// the answer is to be waited for.
    #[must_use]
    pub fn attend(&self, until: Option<StdInstant>) -> Option<RecordOutcome> {
        let outcome = self.try_outcome();
        if outcome.is_some() {
            return outcome;
        }
        let attendant = self.engine()?.attendant()?;
        attendant.attend(until, &mut || self.known().is_some());
        self.known()
    }
}
