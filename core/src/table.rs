//! Slots by index, and lists through them, without a way to panic.

use core::marker::PhantomData;

use crate::memory::Slots;

/// The place of a slot in its table, or none; none is all zeros, so that empty memory is.
pub(crate) struct Ix<T>(u32, PhantomData<fn() -> T>);

impl<T> Ix<T> {
    pub(crate) const NONE: Self = Self(0, PhantomData);

    pub(crate) const fn new(index: u32) -> Self {
        Self(index.wrapping_add(1), PhantomData)
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// The number of the slot, from zero; `u32::MAX` for none.
    pub(crate) const fn number(self) -> u32 {
        self.0.wrapping_sub(1)
    }

    /// This index, if it is one.
    pub(crate) const fn some(self) -> Option<Self> {
        if self.0 == 0 { None } else { Some(self) }
    }
}

impl<T> Clone for Ix<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ix<T> {}
impl<T> PartialEq for Ix<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Ix<T> {}
impl<T> core::fmt::Debug for Ix<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.some() {
            Some(index) => write!(f, "#{}", index.number()),
            None => f.write_str("-"),
        }
    }
}

/// Slots of one kind. An index that is none or out of range leads to a spare slot of no meaning,
/// so that no access can panic; debug builds refuse it.
#[derive(Debug)]
pub(crate) struct Table<'m, T> {
    slots: Slots<'m, T>,
    spare: T,
}

impl<'m, T> Table<'m, T> {
    /// Takes the slots over and empties them.
    pub(crate) fn new(mut slots: Slots<'m, T>, empty: impl Fn() -> T) -> Self {
        for slot in slots.all_mut() {
            *slot = empty();
        }
        Self { slots, spare: empty() }
    }

    pub(crate) fn len(&self) -> u32 {
        self.slots.all().len() as u32
    }

    #[inline]
    pub(crate) fn at(&self, index: Ix<T>) -> &T {
        let slot = self.slots.all().get(index.number() as usize);
        debug_assert!(slot.is_some(), "no slot {index:?}");
        slot.unwrap_or(&self.spare)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, index: Ix<T>) -> &mut T {
        let slot = self.slots.all_mut().get_mut(index.number() as usize);
        debug_assert!(slot.is_some(), "no slot {index:?}");
        slot.unwrap_or(&mut self.spare)
    }

    /// The slot of a number that came from outside, if there is one.
    #[inline]
    pub(crate) fn find(&self, number: u32) -> Option<(Ix<T>, &T)> {
        self.slots.all().get(number as usize).map(|slot| (Ix::new(number), slot))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ix<T>, &T)> {
        self.slots.all().iter().zip(0..).map(|(slot, number)| (Ix::new(number), slot))
    }

    /// Every index of the table.
    pub(crate) fn indices(&self) -> impl Iterator<Item = Ix<T>> + use<T> {
        (0..self.len()).map(Ix::new)
    }
}

/// A slot's neighbours in a list.
#[derive(Debug)]
pub(crate) struct Link<T> {
    prev: Ix<T>,
    next: Ix<T>,
    listed: bool,
}

impl<T> Link<T> {
    pub(crate) const EMPTY: Self = Self { prev: Ix::NONE, next: Ix::NONE, listed: false };

    /// Whether the slot is in a list of this kind.
    pub(crate) const fn is_listed(&self) -> bool {
        self.listed
    }

    pub(crate) const fn next(&self) -> Ix<T> {
        self.next
    }

    pub(crate) const fn prev(&self) -> Ix<T> {
        self.prev
    }
}

/// A kind of list: which of a slot's links it goes through.
pub(crate) trait Chain<T> {
    fn link_mut(slot: &mut T) -> &mut Link<T>;
}

/// A list through the slots of a table, in order of insertion.
#[derive(Debug)]
pub(crate) struct List<T, C> {
    head: Ix<T>,
    tail: Ix<T>,
    chain: PhantomData<fn() -> C>,
}

impl<T, C: Chain<T>> List<T, C> {
    pub(crate) const EMPTY: Self = Self { head: Ix::NONE, tail: Ix::NONE, chain: PhantomData };

    pub(crate) const fn head(&self) -> Ix<T> {
        self.head
    }

    pub(crate) const fn tail(&self) -> Ix<T> {
        self.tail
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Appends a slot; one that is listed already stays where it is.
    pub(crate) fn push(&mut self, table: &mut Table<'_, T>, index: Ix<T>) {
        let link = C::link_mut(table.at_mut(index));
        if link.listed {
            return;
        }
        *link = Link { prev: self.tail, next: Ix::NONE, listed: true };
        match self.tail.some() {
            Some(tail) => C::link_mut(table.at_mut(tail)).next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    /// Takes a slot out; one that is not listed stays out.
    pub(crate) fn remove(&mut self, table: &mut Table<'_, T>, index: Ix<T>) {
        let link = C::link_mut(table.at_mut(index));
        if !link.listed {
            return;
        }
        let (prev, next) = (link.prev, link.next);
        *link = Link::EMPTY;
        match prev.some() {
            Some(prev) => C::link_mut(table.at_mut(prev)).next = next,
            None => self.head = next,
        }
        match next.some() {
            Some(next) => C::link_mut(table.at_mut(next)).prev = prev,
            None => self.tail = prev,
        }
    }

    /// Takes the first slot out.
    pub(crate) fn pop(&mut self, table: &mut Table<'_, T>) -> Option<Ix<T>> {
        let head = self.head.some()?;
        self.remove(table, head);
        Some(head)
    }
}

/// Declares kinds of lists: a name, the slot's type and the field that holds the link.
macro_rules! chains {
    ($($(#[$doc:meta])* $name:ident: $slot:ty, $field:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) enum $name {}
        impl $crate::table::Chain<$slot> for $name {
            fn link_mut(slot: &mut $slot) -> &mut $crate::table::Link<$slot> { &mut slot.$field }
        }
    )+ };
}
pub(crate) use chains;
