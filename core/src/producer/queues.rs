//! Where batches wait: for time to pass, and for what became of them to be told.

use crate::{
    batch::{Age, Batch, Events, Linger},
    list::List,
    slots::{Ix, Table},
};

/// The lists that batches are in.
///
/// One that is not settled is in exactly one of two: by age until something is told of it, and by when
/// `Unknown` was told from then on. In each all wait equally long, so that the first is due first.
#[derive(Debug)]
pub(super) struct Queues {
    untold: List<Batch, Age>,
    resolving: List<Batch, Age>,
    linger: List<Batch, Linger>,
    outputs: List<Batch, Events>,
    /// Through the same links: no batch lingers that is to be lent.
    #[cfg(feature = "compression")]
    wanted: List<Batch, Linger>,
    unsettled: u32,
    /// What all of them count as due.
    #[cfg(feature = "trace")]
    due_bytes: u64,
    /// The settled batch that the last output was about.
    shown: Ix<Batch>,
}

impl Queues {
    pub(super) const EMPTY: Self = Self {
        untold: List::EMPTY,
        resolving: List::EMPTY,
        linger: List::EMPTY,
        outputs: List::EMPTY,
        #[cfg(feature = "compression")]
        wanted: List::EMPTY,
        unsettled: 0,
        #[cfg(feature = "trace")]
        due_bytes: 0,
        shown: Ix::NONE,
    };

    /// A batch begins.
    #[inline(always)]
    pub(super) fn open(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        self.untold.push(batches, index);
        self.linger.push(batches, index);
        self.unsettled += 1;
    }

    /// A batch of which nothing was told has become two.
    #[inline(always)]
    pub(super) fn split(
        &mut self,
        batches: &mut Table<'_, Batch>,
        first: Ix<Batch>,
        second: Ix<Batch>,
    ) {
        self.untold.insert_after(batches, first, second);
        self.unsettled += 1;
        self.is_due(batches, first);
        self.is_due(batches, second);
    }

    /// `Unknown` is to be told of a batch, of which nothing was told.
    #[inline(always)]
    pub(super) fn tell_unknown(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        self.untold.remove(batches, index);
        self.resolving.push(batches, index);
        self.outputs.push(batches, index);
    }

    /// A batch is settled, of which nothing was told before, or `Unknown`.
    #[inline(always)]
    pub(super) fn settle(
        &mut self,
        batches: &mut Table<'_, Batch>,
        index: Ix<Batch>,
        untold: bool,
    ) {
        self.linger.remove(batches, index);
        if untold {
            self.untold.remove(batches, index);
        } else {
            self.resolving.remove(batches, index);
        }
        self.outputs.push(batches, index);
        self.unsettled -= 1;
        self.is_not_due(batches, index);
    }

    /// A batch need not linger any longer. It is not one that is to be lent to a codec.
    #[inline(always)]
    pub(super) fn end_linger(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        self.linger.remove(batches, index);
        self.is_due(batches, index);
    }

    /// Takes the batch out that has lingered for longest.
    #[inline(always)]
    pub(super) fn pop_lingering(&mut self, batches: &mut Table<'_, Batch>) -> Option<Ix<Batch>> {
        let first = self.linger.pop(batches)?;
        self.is_due(batches, first);
        Some(first)
    }

    /// What is in a batch waits for its broker.
    #[inline(always)]
    pub(super) fn is_due(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        #[cfg(feature = "trace")]
        self.count_due(batches.at_mut(index), |batch| batch.len);
        #[cfg(not(feature = "trace"))]
        let _ = (self, batches, index);
    }

    /// A batch is in a request, or settled.
    #[inline(always)]
    pub(super) fn is_not_due(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        #[cfg(feature = "trace")]
        self.count_due(batches.at_mut(index), |_| 0);
        #[cfg(not(feature = "trace"))]
        let _ = (self, batches, index);
    }

    #[cfg(feature = "trace")]
    #[inline(always)]
    fn count_due(&mut self, batch: &mut Batch, bytes: fn(&Batch) -> u32) {
        self.due_bytes -= u64::from(batch.due);
        batch.due = bytes(batch);
        self.due_bytes += u64::from(batch.due);
    }

    #[cfg(feature = "trace")]
    #[inline(always)]
    pub(super) const fn due_bytes(&self) -> u64 {
        self.due_bytes
    }

    /// The batch that has lingered for longest.
    #[inline(always)]
    pub(super) const fn lingering(&self) -> Ix<Batch> {
        self.linger.head()
    }

    /// The oldest batch of which nothing was told.
    #[inline(always)]
    pub(super) const fn untold(&self) -> Ix<Batch> {
        self.untold.head()
    }

    /// The batch of which `Unknown` was told first.
    #[inline(always)]
    pub(super) const fn resolving(&self) -> Ix<Batch> {
        self.resolving.head()
    }

    /// Batches that hold records and are not settled.
    #[inline(always)]
    pub(super) const fn unsettled(&self) -> u32 {
        self.unsettled
    }

    #[inline(always)]
    pub(super) const fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The first batch with something to tell; the others are those next to it.
    #[inline(always)]
    pub(super) const fn first_output(&self) -> Ix<Batch> {
        self.outputs.head()
    }

    /// Takes the first batch out that has something to tell.
    #[inline(always)]
    pub(super) fn pop_output(&mut self, batches: &mut Table<'_, Batch>) -> Option<Ix<Batch>> {
        self.outputs.pop(batches)
    }

    /// A batch that was taken out has more to tell, before any other.
    #[inline(always)]
    pub(super) fn push_output_again(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        self.outputs.push_front(batches, index);
    }

    /// A batch that does not linger is to be lent to a codec.
    #[cfg(feature = "compression")]
    pub(super) fn want(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        self.wanted.push(batches, index);
    }

    /// It is lent, or no more to be.
    #[cfg(feature = "compression")]
    pub(super) fn end_want(&mut self, batches: &mut Table<'_, Batch>, index: Ix<Batch>) {
        self.wanted.remove(batches, index);
    }

    /// The first batch that is to be lent to a codec.
    #[cfg(feature = "compression")]
    pub(super) const fn wanted(&self) -> Ix<Batch> {
        self.wanted.head()
    }

    /// The last that there is to tell of a batch is being told: it is kept until the next output.
    #[inline(always)]
    pub(super) const fn show(&mut self, index: Ix<Batch>) {
        self.shown = index;
    }

    /// The settled batch that the last output was about, if it was about one.
    #[inline(always)]
    pub(super) const fn shown(&self) -> Ix<Batch> {
        self.shown
    }

    /// There is to be another output.
    #[inline(always)]
    pub(super) const fn take_shown(&mut self) -> Ix<Batch> {
        core::mem::replace(&mut self.shown, Ix::NONE)
    }

    #[cfg(feature = "_internal")]
    #[inline(always)]
    pub(super) const fn by_age(&self) -> (&List<Batch, Age>, &List<Batch, Age>) {
        (&self.untold, &self.resolving)
    }

    #[cfg(all(feature = "_internal", feature = "compression"))]
    pub(super) const fn to_lend(&self) -> &List<Batch, Linger> {
        &self.wanted
    }

    #[cfg(feature = "_internal")]
    #[inline(always)]
    pub(super) const fn others(&self) -> (&List<Batch, Linger>, &List<Batch, Events>) {
        (&self.linger, &self.outputs)
    }
}
