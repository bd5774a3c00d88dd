//! The controls of a proxy.

use core::{
    ops::{Range, RangeInclusive},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{
    Counters, Direction, Hangup, Heard, Shared,
    faults::{CutAfter, Faults, Link},
    random_cuts::Plan,
};

/// Some links of a [`crate::FaultProxy`], to break or to count. A fault stays until it is set
/// otherwise or [`Self::heal`] is called; it holds for open connections and for later ones.
#[derive(Clone, Debug)]
pub struct Links<'a> {
    shared: &'a Shared,
    range: Range<usize>,
}

impl<'a> Links<'a> {
    pub(super) const fn new(shared: &'a Shared, range: Range<usize>) -> Self {
        Self { shared, range }
    }

    fn links(&self) -> &'a [Link] {
        &self.shared.links[self.range.clone()]
    }

    fn set(&self, change: impl Fn(&mut Faults)) {
        for link in self.links() {
            link.faults.send_modify(&change);
        }
    }

    /// Cuts all connections open now, and returns how many these are.
    #[allow(clippy::must_use_candidate, reason = "called for the cut")]
    pub fn cut(&self, hangup: Hangup) -> u64 {
        let open = self.counters().open;
        self.set(|faults| faults.cut_now = (faults.cut_now.0 + 1, Some(hangup)));
        open
    }

    /// Cuts each connection, open or to come, after it has forwarded exactly `bytes` more bytes in
    /// `direction`; later bytes are lost. None ends that.
    pub fn cut_each_after(&self, direction: Direction, after: Option<(u64, Hangup)>) {
        static ORDERS: AtomicU64 = AtomicU64::new(1);
        let order = ORDERS.fetch_add(1, Ordering::Relaxed);
        self.set(|faults| {
            faults.cut_after[direction] =
                after.map(|(bytes, hangup)| CutAfter { order, bytes, hangup });
        });
    }

    /// Cuts `times` connections in all, each at a byte position of its own while data flows: after
    /// a random number of bytes out of `gap` on all these links and in both directions since the
    /// last cut, the next connection that forwards in a random direction is cut at most 100 bytes
    /// into that. So requests and responses are cut about as often, whatever their sizes. Each cut
    /// is a random [`Hangup`]. All that is random follows from `seed`.
    /// It returns at once; [`Self::cuts_left`] and [`Counters::cuts_in_data`] tell how far it is.
    /// A proxy has one such plan: a new one replaces the old, and `times` of 0 ends it.
    ///
    /// # Panics
    /// When `gap` is empty.
    pub fn cut_at_random(&self, seed: u64, times: u32, gap: RangeInclusive<u64>) {
        assert!(!gap.is_empty(), "no position in {gap:?}");
        *self.shared.plan() = Some(Plan::new(seed, self.range.clone(), times, gap));
    }

    /// How many cuts of [`Self::cut_at_random`] are still to come.
    #[must_use]
    pub fn cuts_left(&self) -> u32 {
        self.shared.plan().as_ref().map_or(0, Plan::left)
    }

    /// Swallows all bytes in `direction` while connections stay open, and news of their end too. A
    /// connection that lost bytes stays a black hole for good, as going on after a gap is nothing
    /// that TCP does; connections made after the fault is over are whole.
    pub fn blackhole(&self, direction: Direction, on: bool) {
        self.set(|faults| faults.blackhole[direction] = on);
    }

    /// Stops to read and to forward in `direction`, so that in the end the sender cannot write any
    /// more. Nothing is lost: the bytes go on when it is over.
    pub fn freeze(&self, direction: Direction, on: bool) {
        self.set(|faults| faults.frozen[direction] = on);
    }

    /// As [`Self::freeze`], but only of the connections that are open now: later ones pass, and can
    /// overtake what these hold. What a client sent is there still when it has hung up meanwhile.
    pub fn freeze_open(&self, direction: Direction, on: bool) {
        for link in self.links() {
            let number = if on { link.connections.load(Ordering::Relaxed) } else { 0 };
            link.faults.send_modify(|faults| faults.frozen_before[direction] = number);
        }
    }

    /// Delays each piece of at most 16 KiB in `direction`, one after the other: at most 16 KiB pass
    /// within `delay`.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.set(|faults| faults.delay[direction] = delay);
    }

    /// Refuses new connections ("connection refused"); open ones stay. It takes effect within
    /// milliseconds.
    pub fn refuse(&self, on: bool) {
        self.set(|faults| faults.refuse = on);
    }

    /// Ends all faults of these links, and the plan of random cuts if it concerns any of them.
    pub fn heal(&self) {
        self.set(|faults| *faults = Faults { cut_now: faults.cut_now, ..Faults::default() });
        let mut plan = self.shared.plan();
        plan.take_if(|plan| plan.concerns(&self.range));
    }

    /// Begins to keep all that arrives at the proxy, byte for byte, whatever becomes of it then.
    pub fn tap(&self) {
        for link in self.links() {
            link.tap.open();
        }
    }

    /// What arrived from clients since [`Self::tap`], one for each connection, in the order in which
    /// they were made, or what arrived from brokers for them.
    #[must_use]
    pub fn heard(&self, direction: Direction) -> Vec<Heard> {
        self.links().iter().flat_map(|link| link.tap.heard(direction)).collect()
    }

    /// What was counted, the sum over these links.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.links()
            .iter()
            .map(|link| Counters {
                connections: read(&link.connections),
                open: read(&link.open),
                bytes_to_broker: read(&link.bytes[Direction::ToBroker]),
                bytes_to_client: read(&link.bytes[Direction::ToClient]),
                bytes_swallowed: read(&link.swallowed),
                cuts: read(&link.cuts),
                cuts_in_data: read(&link.cuts_in_data),
            })
            .fold(Counters::default(), core::ops::Add::add)
    }
}
