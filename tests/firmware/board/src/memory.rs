//! How much of the memory is used.

use core::ptr::addr_of;

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
    static __sdata: u32;
    static __ebss: u32;
}

/// The deepest that the stack has been so far, in bytes, interrupts included. The start-up code
/// painted it; this looks for the end of the paint.
#[must_use]
pub fn stack_used() -> usize {
    let top = addr_of!(_stack_start) as usize;
    let mut at = addr_of!(_stack_end) as usize;
    // SAFETY: between the two symbols lies RAM that is the stack's, a whole number of words.
    while at < top && unsafe { (at as *const u32).read_volatile() } == STACK_PAINT_VALUE {
        at += size_of::<u32>();
    }
    top - at
}

/// Bytes of static memory: `.data` and `.bss`.
#[must_use]
pub fn static_memory() -> usize {
    addr_of!(__ebss) as usize - addr_of!(__sdata) as usize
}
