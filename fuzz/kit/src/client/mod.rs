//! Odd and hostile answers to a client, and judges of what it does.
//!
//! The client is a command. It speaks to a model cluster through a [`Tap`], which hears all that is said and spoils answers;
//! an [`Episode`] is calm at first, then stormy, then well again. [`judge`] holds what was seen against the laws.

mod acts;
mod attempts;
mod command;
mod episode;
mod judge;
mod tap;

pub use acts::{Act, Deed, acts};
pub use attempts::{Answer, Attempt, Attempts};
pub use command::{Acknowledged, Client, kill_running};
pub use episode::{Bounds, Episode, Seen, run};
pub use judge::{Broken, Law, judge};
pub use tap::{Heard, Spoil, Tap};
