//! ARM MPS2 with the image AN386 (Cortex-M4F): ARM DAI 0386. Its UARTs are CMSDK's, of one byte each
//! way.

use core::fmt;

use volatile_register::RW;

/// The board, as QEMU calls it.
pub const NAME: &str = "mps2-an386";

/// The system clock.
pub(crate) const CLOCK_HZ: u32 = 25_000_000;
const BAUD: u32 = 115_200;

/// A CMSDK UART.
#[repr(C)]
pub(crate) struct Uart {
    data: RW<u32>,
    state: RW<u32>,
    control: RW<u32>,
    _interrupts: RW<u32>,
    /// The clock by the baud rate.
    divisor: RW<u32>,
}

const STATE_WRITE_FULL: u32 = 1;
const STATE_READ_FULL: u32 = 1 << 1;

impl Uart {
    fn start(&self) {
        // SAFETY: writes to this peripheral's own registers.
        unsafe { self.divisor.write(CLOCK_HZ / BAUD) };
        // SAFETY: as above; the transmitter and the receiver.
        unsafe { self.control.write(0b11) };
    }

    pub(crate) fn can_read(&self) -> bool {
        self.state.read() & STATE_READ_FULL != 0
    }

    pub(crate) fn can_write(&self) -> bool {
        self.state.read() & STATE_WRITE_FULL == 0
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.can_write()
    }

    pub(crate) fn read(&self) -> u8 {
        self.data.read() as u8
    }

    pub(crate) fn write(&self, byte: u8) {
        // SAFETY: a byte for the transmitter.
        unsafe { self.data.write(u32::from(byte)) };
    }
}

impl fmt::Debug for Uart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uart")
    }
}

#[cfg(feature = "defmt")]
pub(crate) fn log_uart() -> &'static Uart {
    // SAFETY: UART0 is there, and used by the log alone.
    unsafe { &*(0x4000_4000 as *const Uart) }
}

pub(crate) fn link_uart() -> &'static Uart {
    // SAFETY: UART1 is there, and used by the link alone.
    unsafe { &*(0x4000_5000 as *const Uart) }
}

/// Both UARTs on; the clock is on from the start.
pub(crate) fn start() {
    link_uart().start();
    #[cfg(feature = "defmt")]
    log_uart().start();
}
