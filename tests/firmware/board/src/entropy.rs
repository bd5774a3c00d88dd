//! What stands in for entropy: these boards have none.

use core::sync::atomic::{AtomicU32, Ordering};

/// Mixed with what comes next, so that no two calls give the same.
static STATE: AtomicU32 = AtomicU32::new(0);

/// Fills a buffer with the lowest bits of the clock, mixed: **a stand-in**, since neither board has a source of
/// entropy. Who watches the device can guess it. A real device must use its TRNG here, or a generator that was
/// seeded from one: who can foretell a nonce of SCRAM's can have what a broker said to it said again.
pub fn stand_in_for_entropy(bytes: &mut [u8]) -> bool {
    for byte in bytes {
        // In QEMU the counter goes with the time of the host, so that it differs from run to run.
        let cycles = cortex_m::peripheral::SYST::get_current();
        let state = STATE.load(Ordering::Relaxed) ^ cycles;
        let state = state.wrapping_mul(0x9e37_79b1).rotate_left(13).wrapping_add(0x7f4a_7c15);
        STATE.store(state, Ordering::Relaxed);
        *byte = (state ^ (state >> 16)) as u8;
    }
    true
}
