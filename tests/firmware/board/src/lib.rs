//! The boards of the firmware, as small as they can be: a stream, a clock in microseconds, a place
//! for logs, and the stack's high-water mark. All `unsafe` code of the firmware is here, because
//! registers, linker symbols and semihosting are.
//!
//! Exactly one of the features `lm3s6965evb` and `mps2-an386` is on. UART0 is for logs and UART1 for
//! the broker.
#![no_std]

mod arguments;
mod clock;
#[cfg(feature = "defmt")]
mod defmt_uart;
mod entropy;
mod link;
mod memory;
mod panic;
#[cfg_attr(feature = "lm3s6965evb", path = "lm3s6965evb.rs")]
#[cfg_attr(feature = "mps2-an386", path = "mps2_an386.rs")]
mod soc;

pub use arguments::Words;
pub use clock::{Clock, millis};
pub use cortex_m_rt::entry;
pub use entropy::stand_in_for_entropy;
pub use link::Link;
pub use memory::{stack_used, static_memory};
pub use soc::NAME;

/// What there is to use, once.
#[derive(Debug)]
pub struct Board {
    /// The stream to the broker.
    pub link: Link,
    /// Time since the start.
    pub clock: Clock,
    /// What the test asks for.
    pub arguments: Words,
}

impl Board {
    /// Sets the board up. `None` for all calls but the first.
    #[must_use]
    pub fn take() -> Option<Self> {
        let core = cortex_m::Peripherals::take()?;
        soc::start();
        // SAFETY: `Peripherals::take` gave them, so this is the first call.
        let arguments = unsafe { arguments::arguments() };
        Some(Self { link: Link::new(), clock: Clock::start(core.SYST), arguments })
    }
}

/// Ends the run: QEMU ends with 0 where it was a success, else with 1.
pub fn exit(success: bool) -> ! {
    use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS, exit};
    #[cfg(feature = "defmt")]
    defmt::flush();
    exit(if success { EXIT_SUCCESS } else { EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}
