//! Holds senders back while batches leave about as fast as they are filled.
//!
//! Where brokers take gigabytes in a second, but less than senders make, all of `buffer.memory` would fill, and each byte
//! would be fetched from memory again each time that it is touched. Where they are slower than that, it makes no
//! difference, and the buffer is what it is for: nobody is held (decision 58).

use core::time::Duration;

use ottla_core::Instant;

use crate::error::BuildError;

/// The property's name.
pub(crate) const HOLD_BYTES: &str = "hold.bytes";
/// What it is by default: together with what is in requests it stays in the cache of one processor.
pub(crate) const DEFAULT_HOLD: u64 = 768 * 1_024;

/// Bytes that fast brokers take in a microsecond.
const SPEED: u64 = 512;
/// What brokers may take beyond that: others have the processor now and then.
const PATIENCE: Duration = Duration::from_millis(10);
/// How long slow brokers are left alone. Doubled each time that they were slow again, up to [`DOUBLINGS`] times.
const REST: Duration = Duration::from_millis(100);
const DOUBLINGS: u32 = 5;
/// Nobody is held for longer at a time, however fast brokers are.
const LONGEST: Duration = Duration::from_millis(20);

/// The property's value.
///
/// # Errors
///
/// It is no number of bytes.
pub(crate) fn parse(value: &str) -> Result<u64, BuildError> {
    value.trim().parse().map_err(|_| BuildError::PropertyValue {
        name: HOLD_BYTES.to_owned(),
        value: value.to_owned(),
        expected: "bytes, or 0 to hold nobody",
    })
}

/// Whether senders that can wait are to do so, though there may be room.
#[derive(Debug)]
pub(crate) struct Hold {
    /// Bytes that are due, with which a hold begins.
    high: u64,
    /// And with which it ends: while senders wake, brokers are not to run dry.
    low: u64,
    on: bool,
    /// Since when somebody is held.
    since: Option<Instant>,
    /// When it was looked at last, and how many bytes were due then.
    looked: (Instant, u64),
    /// What brokers took beyond what fast ones take, in microseconds.
    spent: u64,
    /// Until when nobody is held.
    rests: Option<Instant>,
    /// How often in a row brokers were slow.
    slow: u32,
}

impl Hold {
    /// Of that many bytes, but of so much memory no more than a part; 0 is never.
    pub(crate) fn new(bytes: u64, batch_size: u32, memory: u64) -> Self {
        // Fewer batches would not fill the requests of a few partitions.
        let batch = u64::from(batch_size);
        let high = if bytes == 0 { u64::MAX } else { bytes.min(memory / 4).max(batch * 4) };
        Self {
            high,
            low: (high / 3).max(batch * 2),
            on: false,
            since: None,
            looked: (Instant::ZERO, 0),
            spent: 0,
            rests: None,
            slow: 0,
        }
    }

    /// Whether senders that can wait are to do so.
    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }

    /// When it is to be looked at again, if somebody is held.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let since = self.since?;
        let left = PATIENCE.saturating_sub(Duration::from_micros(self.spent));
        Some(self.looked.0.after(left).min(since.after(LONGEST)))
    }

    /// A batch was begun, and so many bytes are due.
    #[inline]
    pub(crate) const fn note(&mut self, due: u64) {
        self.on |= due >= self.high && self.rests.is_none();
    }

    /// Whether somebody is to be held, while so many bytes are due.
    pub(crate) fn begin(&mut self, now: Instant, due: u64) -> bool {
        if self.on && self.since.is_none() {
            if due > self.low {
                (self.since, self.looked) = (Some(now), (now, due));
            } else {
                // They left, and nobody has looked since.
                self.on = false;
            }
        }
        self.on
    }

    /// Looks how many bytes are due still. True where a hold ends with that, so that who is held is to be woken.
    pub(crate) fn look(&mut self, now: Instant, due: u64) -> bool {
        self.rests = self.rests.filter(|until| now < *until);
        if !self.on {
            return false;
        }
        let few = due <= self.low;
        let mut over = few;
        if let Some(since) = self.since {
            let (then, before) = self.looked;
            let took = now.since(then).as_micros() as u64;
            let left = before.saturating_sub(due);
            self.spent = self.spent.saturating_add(took).saturating_sub(left / SPEED);
            self.looked = (now, due);
            over |= now.since(since) >= LONGEST;
        }
        if few {
            self.slow = 0;
        } else if u128::from(self.spent) >= PATIENCE.as_micros() {
            self.rests = Some(now.after(REST * (1 << self.slow.min(DOUBLINGS))));
            self.slow = self.slow.saturating_add(1);
            self.spent = 0;
            over = true;
        }
        if over {
            self.end();
        }
        over
    }

    /// Nobody is held any longer.
    pub(crate) const fn end(&mut self) {
        self.on = false;
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: u64 = 16_384;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    /// With marks at 48 and at 16 batches, and 32 microseconds a batch.
    fn hold() -> Hold {
        Hold::new(DEFAULT_HOLD, BATCH as u32, 32 << 20)
    }

    /// With somebody who is held.
    fn held(hold: &mut Hold, now: u64, batches: u64) {
        hold.note(batches * BATCH);
        assert!(hold.begin(at(now), batches * BATCH));
    }

    fn look(hold: &mut Hold, now: u64, batches: u64) -> bool {
        hold.look(at(now), batches * BATCH)
    }

    #[test]
    fn begins_at_the_upper_mark_and_ends_at_the_lower() {
        let mut hold = hold();
        hold.note(48 * BATCH - 1);
        assert!(!hold.is_on());
        hold.note(48 * BATCH);
        assert!(hold.is_on());
        assert_eq!(hold.next_look(), None, "nobody is held");
        assert!(hold.begin(at(1_000), 48 * BATCH));
        assert_eq!(hold.next_look(), Some(at(11_000)));
        assert!(!hold.look(at(1_200), 16 * BATCH + 1) && hold.is_on());
        assert!(look(&mut hold, 1_400, 16) && !hold.is_on());
        assert_eq!(hold.next_look(), None);
    }

    #[test]
    fn nobody_is_held_for_what_has_left() {
        let mut hold = hold();
        assert!(!hold.begin(at(0), 48 * BATCH), "it has not begun");
        hold.note(48 * BATCH);
        assert!(!hold.begin(at(0), 16 * BATCH) && !hold.is_on());
        held(&mut hold, 0, 48);
        assert!(hold.begin(at(0), 16 * BATCH), "others are, and are to be woken first");
    }

    #[test]
    fn goes_on_for_as_long_as_batches_leave_fast() {
        let mut hold = hold();
        held(&mut hold, 0, 2_000);
        // 100 batches in 3 ms: 0.55 GB/s.
        for step in 1..=6 {
            assert!(!look(&mut hold, 3_000 * step, 2_000 - 100 * step));
        }
        // But not for ever.
        assert_eq!(hold.next_look(), Some(at(20_000)));
        assert!(look(&mut hold, 20_000, 1_350));
        hold.note(1_300 * BATCH);
        assert!(hold.is_on(), "they are fast, so that it begins again at once");
    }

    #[test]
    fn a_pause_is_forgiven_and_slow_brokers_are_left_alone() {
        let mut hold = hold();
        held(&mut hold, 0, 300);
        assert!(!look(&mut hold, 9_999, 300));
        // 250 batches would have taken 8 ms.
        assert!(!look(&mut hold, 10_500, 50));
        assert_eq!(hold.next_look(), Some(at(18_000)));
        assert!(!look(&mut hold, 17_999, 50));
        assert!(look(&mut hold, 18_000, 50));
        hold.note(300 * BATCH);
        assert!(!hold.is_on(), "it rests");
        assert!(!look(&mut hold, 117_999, 300));
        hold.note(300 * BATCH);
        assert!(!hold.is_on());
        assert!(!look(&mut hold, 118_000, 300));
        hold.note(300 * BATCH);
        assert!(hold.is_on());
    }

    #[test]
    fn rests_longer_each_time_until_brokers_are_fast_again() {
        let mut hold = hold();
        let mut now = 0;
        let rest = |hold: &mut Hold, now: &mut u64| {
            held(hold, *now, 300);
            assert!(look(hold, *now + 10_000, 300));
            *now += 10_000;
            let until = hold.rests.unwrap();
            let rest = until.since(at(*now));
            hold.look(until, 300 * BATCH);
            *now = until.as_micros();
            rest
        };
        for doublings in [0, 1, 2, 3, 4, 5, 5] {
            assert_eq!(rest(&mut hold, &mut now), REST * (1 << doublings));
        }
        held(&mut hold, now, 300);
        assert!(look(&mut hold, now + 100, 10));
        assert_eq!(rest(&mut hold, &mut now), REST);
    }

    #[test]
    fn marks_are_apart_and_zero_holds_nobody() {
        for (batch, memory) in [(1 << 20, 32 << 20), (BATCH as u32, 64 << 10), (u32::MAX, 1)] {
            let hold = Hold::new(DEFAULT_HOLD, batch, memory);
            assert!(hold.high >= hold.low + 2 * u64::from(batch), "{batch} {memory}");
        }
        let small = Hold::new(DEFAULT_HOLD, BATCH as u32, 2 << 20);
        assert_eq!((small.low, small.high), (524_288 / 3, 524_288));
        let mut never = Hold::new(0, BATCH as u32, 32 << 20);
        never.note(u64::MAX - 1);
        assert!(!never.is_on());
    }
}
