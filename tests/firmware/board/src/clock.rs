//! Time in microseconds, from SysTick. QEMU has no cycle counter (DWT).

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;

use crate::soc::CLOCK_HZ;

/// Microseconds from one interrupt to the next. Seldom enough that a virtual machine that is not run
/// for a while loses none: two that are due at a time are one.
const TICK: u32 = 100_000;
const CYCLES_A_MICROSECOND: u32 = CLOCK_HZ / 1_000_000;
/// SysTick counts them down; it has 24 bits.
const CYCLES: u32 = TICK * CYCLES_A_MICROSECOND;
const _: () = assert!(CYCLES <= 1 << 24, "SysTick does not count so far");

/// Ticks since the start. A load and a store do for it, as nobody else writes, and every Cortex-M has
/// those. It begins again after 13 years.
static TICKS: AtomicU32 = AtomicU32::new(0);

/// Time since the start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The latest time that was told.
    last: u64,
}

impl Clock {
    pub(crate) fn start(mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(CYCLES - 1);
        systick.clear_current();
        systick.enable_counter();
        systick.enable_interrupt();
        Self { last: 0 }
    }

    /// Microseconds since the start; never less than what was told before.
    pub fn micros(&mut self) -> u64 {
        // Just after a tick the counter may have begun anew while the interrupt is still to come.
        self.last = self.last.max(micros());
        self.last
    }
}

/// Milliseconds since the start, for the log.
pub fn millis() -> u32 {
    let (ticks, cycles) = read();
    ticks.wrapping_mul(TICK / 1_000).wrapping_add(cycles / (1_000 * CYCLES_A_MICROSECOND))
}

fn micros() -> u64 {
    let (ticks, cycles) = read();
    u64::from(ticks) * u64::from(TICK) + u64::from(cycles / CYCLES_A_MICROSECOND)
}

/// Ticks, and how many cycles of the next one are over.
fn read() -> (u32, u32) {
    loop {
        let ticks = TICKS.load(Ordering::Relaxed);
        let left = SYST::get_current();
        // Where the tick came between the two, they do not belong together.
        if ticks == TICKS.load(Ordering::Relaxed) {
            return (ticks, (CYCLES - 1).saturating_sub(left));
        }
    }
}

#[exception]
fn SysTick() {
    TICKS.store(TICKS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
