//! Slots, lent or owned, and by index, without a way to panic.

use core::marker::PhantomData;

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

    /// As [`Slots::grow`].
    #[cfg(feature = "alloc")]
    pub(crate) fn grow(&mut self, len: u32, empty: impl Fn() -> T) -> bool {
        self.slots.grow(len as usize, empty)
    }

    // Each use is a bounds check and a multiplication: inlined, they are a fifth of all code.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn at(&self, index: Ix<T>) -> &T {
        let slot = self.slots.all().get(index.number() as usize);
        debug_assert!(slot.is_some(), "no slot {index:?}");
        slot.unwrap_or(&self.spare)
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn at_mut(&mut self, index: Ix<T>) -> &mut T {
        let slot = self.slots.all_mut().get_mut(index.number() as usize);
        debug_assert!(slot.is_some(), "no slot {index:?}");
        slot.unwrap_or(&mut self.spare)
    }

    /// The slot of an index, or none of one that is none.
    #[inline]
    pub(crate) fn get(&self, index: Ix<T>) -> Option<&T> {
        self.slots.all().get(index.number() as usize)
    }

    /// The slot of an index, or none of one that is none.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: Ix<T>) -> Option<&mut T> {
        self.slots.all_mut().get_mut(index.number() as usize)
    }

    /// A slot, and one of no meaning to work with.
    #[cfg(feature = "compression")]
    pub(crate) fn with_spare(&mut self, index: Ix<T>) -> Option<(&T, &mut T)> {
        let slot = self.slots.all().get(index.number() as usize)?;
        Some((slot, &mut self.spare))
    }

    /// The slot of no meaning.
    #[cfg(feature = "compression")]
    pub(crate) const fn spare_mut(&mut self) -> &mut T {
        &mut self.spare
    }

    /// Two slots at once; none where one of them is none, or both are the same.
    pub(crate) fn both_mut(&mut self, one: Ix<T>, other: Ix<T>) -> Option<[&mut T; 2]> {
        let numbers = [one, other].map(|index| index.number() as usize);
        self.slots.all_mut().get_disjoint_mut(numbers).ok()
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

/// A slice, lent or owned.
#[derive(Debug)]
pub(crate) struct Slots<'m, T>(Source<'m, T>);

#[derive(Debug)]
enum Source<'m, T> {
    Lent(&'m mut [T]),
    #[cfg(feature = "alloc")]
    Owned(alloc::vec::Vec<T>),
}

/// The heap has not as many bytes.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub(crate) struct NoMemory(pub(crate) u64);

impl<T> Default for Slots<'_, T> {
    /// None at all.
    fn default() -> Self {
        Self(Source::Lent(&mut []))
    }
}

#[cfg(feature = "alloc")]
impl Slots<'_, u8> {
    /// Zeros, which the system can give without touching them: what is never used stays free.
    pub(crate) fn bytes(len: u64) -> Result<Self, NoMemory> {
        let refused = NoMemory(len);
        let Ok(len) = usize::try_from(len) else {
            return Err(refused);
        };
        // There is no way to ask for zeros that may be refused. Where as many bytes were to be had just
        // now, zeros are.
        let mut probe = alloc::vec::Vec::<u8>::new();
        probe.try_reserve_exact(len).map_err(|_| refused)?;
        drop(probe);
        Ok(Self(Source::Owned(alloc::vec![0; len])))
    }
}

impl<'m, T> Slots<'m, T> {
    pub(crate) const fn lent(slots: &'m mut [T]) -> Self {
        Self(Source::Lent(slots))
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn owned(len: usize, empty: impl Fn() -> T) -> Result<Self, NoMemory> {
        let mut slots = Self(Source::Owned(alloc::vec::Vec::new()));
        let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
        if slots.grow(len, empty) { Ok(slots) } else { Err(NoMemory(bytes)) }
    }

    /// Has as many slots as that, if they are from the heap and that has the memory.
    #[cfg(feature = "alloc")]
    pub(crate) fn grow(&mut self, len: usize, empty: impl Fn() -> T) -> bool {
        match &mut self.0 {
            Source::Owned(slots) => {
                let fits = slots.try_reserve_exact(len.saturating_sub(slots.len())).is_ok();
                if fits {
                    slots.resize_with(len, empty);
                }
                fits
            }
            Source::Lent(_) => false,
        }
    }

    /// Whether they are from the heap.
    #[cfg(all(feature = "alloc", feature = "_sasl"))]
    pub(crate) const fn is_owned(&self) -> bool {
        matches!(self.0, Source::Owned(_))
    }

    pub(crate) fn all(&self) -> &[T] {
        match &self.0 {
            Source::Lent(slots) => slots,
            #[cfg(feature = "alloc")]
            Source::Owned(slots) => slots,
        }
    }

    pub(crate) fn all_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Source::Lent(slots) => slots,
            #[cfg(feature = "alloc")]
            Source::Owned(slots) => slots,
        }
    }
}
