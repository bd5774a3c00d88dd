//! What the sensor is asked to do.

use core::time::Duration;

use ottla_embedded::DropPolicy;

use crate::pending_readings::Each;

/// What the sensor does with a new reading while there is no room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "nobody else's")]
pub enum OnFull {
    /// It waits with it.
    #[default]
    Wait,
    /// The oldest readings give way.
    DropOldest,
    /// The new one is dropped.
    DropNewest,
}

/// What the sensor is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The broker at the end of the line, as it calls itself: `host:port`.
    pub bootstrap: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// How many readings to take.
    pub readings: u32,
    /// How long after one reading the next is taken; at once, if zero.
    pub every: Duration,
    /// How old a reading may become before it is dropped; for ever, if zero.
    pub deadline: Duration,
    /// What to do while there is no room.
    pub on_full: OnFull,
    /// How long all of it may take.
    pub limit: Duration,
    /// Who the sensor says it is.
    #[cfg(feature = "_sasl")]
    pub login: crate::Login<'a>,
}

impl Default for Task<'_> {
    fn default() -> Self {
        Self {
            bootstrap: "localhost:9092",
            topic: "readings",
            readings: 1_000,
            every: Duration::ZERO,
            deadline: Duration::ZERO,
            on_full: OnFull::Wait,
            limit: Duration::from_secs(300),
            #[cfg(feature = "_sasl")]
            login: crate::Login::NONE,
        }
    }
}

impl<'a> Task<'a> {
    /// An empty list of readings under way, as this task wants it.
    #[must_use]
    pub const fn no_readings(&self) -> Each {
        Each::new(match self.on_full {
            OnFull::DropOldest => DropPolicy::OldestFirst,
            OnFull::Wait | OnFull::DropNewest => DropPolicy::NewestFirst,
        })
    }

    /// Reads `name=value` words: `bootstrap`, `topic`, `readings`, `every` and `deadline` (in
    /// milliseconds), `full` (`wait`, `oldest`, `newest`), `limit` (in seconds); with the features `password` or `scram`
    /// `user` and `password`, with both `mechanism` (`scram`, `plain`). What is not given is
    /// as in [`Default`]; what is not understood is given back.
    ///
    /// # Errors
    /// With the first word that is not understood.
    pub fn parse(words: impl Iterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut task = Self::default();
        for word in words {
            let (name, value) = word.split_once('=').ok_or(word)?;
            let number = || number(value).ok_or(word);
            match name {
                "bootstrap" => task.bootstrap = value,
                "topic" => task.topic = value,
                #[cfg(feature = "_sasl")]
                "user" => task.login.user = value,
                #[cfg(feature = "_sasl")]
                "password" => task.login.password = value,
                #[cfg(all(feature = "password", feature = "scram"))]
                "mechanism" => task.login.scram = value == "scram",
                "readings" => task.readings = number()?,
                "every" => task.every = millis(number()?),
                "deadline" => task.deadline = millis(number()?),
                "limit" => task.limit = Duration::from_secs(number()?.into()),
                "full" => {
                    task.on_full = match value {
                        "wait" => OnFull::Wait,
                        "oldest" => OnFull::DropOldest,
                        "newest" => OnFull::DropNewest,
                        _ => return Err(word),
                    }
                }
                _ => return Err(word),
            }
        }
        Ok(task)
    }
}

/// A number; by itself, as it is asked for in four places.
#[inline(never)]
fn number(value: &str) -> Option<u32> {
    value.parse().ok()
}

/// The same as `Duration::from_millis`, without a division of 64 bits, which a Cortex-M has not.
const fn millis(millis: u32) -> Duration {
    Duration::new((millis / 1_000) as u64, millis % 1_000 * 1_000_000)
}
