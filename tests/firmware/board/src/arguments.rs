//! What the test asked for: the semihosting command line.

use core::{cell::UnsafeCell, str::SplitAsciiWhitespace};

use cortex_m_semihosting::{nr, syscall};

/// The longest command line, with the zero that ends it.
const MAX: usize = 256;

struct Text(UnsafeCell<[u8; MAX]>);

// SAFETY: written once, by `arguments` before it lends it, and only read from then on.
unsafe impl Sync for Text {}

static TEXT: Text = Text(UnsafeCell::new([0; MAX]));

/// The words of the command line.
pub type Words = SplitAsciiWhitespace<'static>;

/// The words of QEMU's `-semihosting-config arg=…`; none where there is no such thing.
///
/// # Safety
///
/// It must be called once: it writes what the words of another call are read from.
pub(crate) unsafe fn arguments() -> Words {
    let block = [TEXT.0.get() as usize, MAX];
    // SAFETY: SYS_GET_CMDLINE writes at most as many bytes as the block says to where it says, and
    // puts the length in its second word; both are ours.
    let failed = unsafe { syscall(nr::GET_CMDLINE, &block) } != 0;
    // SAFETY: nobody writes to it any more.
    let text: &'static [u8; MAX] = unsafe { &*TEXT.0.get() };
    let len = if failed { 0 } else { text.iter().position(|byte| *byte == 0).unwrap_or(0) };
    let text = text.get(..len).unwrap_or_default();
    core::str::from_utf8(text).unwrap_or_default().split_ascii_whitespace()
}
