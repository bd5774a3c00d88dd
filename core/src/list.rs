//! Lists through the slots of a table.

use core::marker::PhantomData;

use crate::slots::{Ix, Table};

/// A slot's neighbours in a list. All zeros where it is in none.
#[derive(Debug)]
pub(crate) struct Link<T> {
    /// The slot before it, or `FIRST`; none where it is in no list.
    before: Ix<T>,
    next: Ix<T>,
}

impl<T> Link<T> {
    pub(crate) const EMPTY: Self = Self { before: Ix::NONE, next: Ix::NONE };
    /// What stands before the first slot of a list: no table is so long.
    const FIRST: Ix<T> = Ix::new(u32::MAX - 1);

    /// Whether the slot is in a list of this kind.
    pub(crate) const fn is_listed(&self) -> bool {
        self.before.is_some()
    }

    pub(crate) const fn next(&self) -> Ix<T> {
        self.next
    }

    pub(crate) fn prev(&self) -> Ix<T> {
        if self.before == Self::FIRST { Ix::NONE } else { self.before }
    }
}

/// A kind of list: which of a slot's links it goes through.
pub(crate) trait Chain<T> {
    fn link_mut(slot: &mut T) -> &mut Link<T>;

    #[cfg(feature = "_internal")]
    fn link(slot: &T) -> &Link<T>;
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
        if link.is_listed() {
            return;
        }
        *link = Link { before: self.tail.some().unwrap_or(Link::FIRST), next: Ix::NONE };
        match self.tail.some() {
            Some(tail) => C::link_mut(table.at_mut(tail)).next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    /// Puts a slot that is not listed before all others.
    pub(crate) fn push_front(&mut self, table: &mut Table<'_, T>, index: Ix<T>) {
        let next = core::mem::replace(&mut self.head, index);
        *C::link_mut(table.at_mut(index)) = Link { before: Link::FIRST, next };
        match next.some() {
            Some(next) => C::link_mut(table.at_mut(next)).before = index,
            None => self.tail = index,
        }
    }

    /// Puts a slot behind another one that is listed.
    pub(crate) fn insert_after(&mut self, table: &mut Table<'_, T>, place: Ix<T>, index: Ix<T>) {
        let next = core::mem::replace(&mut C::link_mut(table.at_mut(place)).next, index);
        *C::link_mut(table.at_mut(index)) = Link { before: place, next };
        match next.some() {
            Some(next) => C::link_mut(table.at_mut(next)).before = index,
            None => self.tail = index,
        }
    }

    /// Takes a slot out; one that is not listed stays out.
    pub(crate) fn remove(&mut self, table: &mut Table<'_, T>, index: Ix<T>) {
        let link = C::link_mut(table.at_mut(index));
        if !link.is_listed() {
            return;
        }
        let (before, prev, next) = (link.before, link.prev(), link.next);
        *link = Link::EMPTY;
        match prev.some() {
            Some(prev) => C::link_mut(table.at_mut(prev)).next = next,
            None => self.head = next,
        }
        match next.some() {
            Some(next) => C::link_mut(table.at_mut(next)).before = before,
            None => self.tail = prev,
        }
    }

    /// Takes the first slot out.
    pub(crate) fn pop(&mut self, table: &mut Table<'_, T>) -> Option<Ix<T>> {
        let head = self.head.some()?;
        let link = C::link_mut(table.at_mut(head));
        let next = link.next;
        *link = Link::EMPTY;
        self.head = next;
        match next.some() {
            Some(next) => C::link_mut(table.at_mut(next)).before = Link::FIRST,
            None => self.tail = Ix::NONE,
        }
        Some(head)
    }
}

/// Declares kinds of lists: a name, the slot's type and the field that holds the link.
macro_rules! chains {
    ($($(#[$doc:meta])* $name:ident: $slot:ty, $field:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) enum $name {}
        impl $crate::list::Chain<$slot> for $name {
            fn link_mut(slot: &mut $slot) -> &mut $crate::list::Link<$slot> { &mut slot.$field }
            #[cfg(feature = "_internal")]
            fn link(slot: &$slot) -> &$crate::list::Link<$slot> { &slot.$field }
        }
    )+ };
}
pub(crate) use chains;
