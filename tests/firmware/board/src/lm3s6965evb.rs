//! TI Stellaris LM3S6965 (Cortex-M3, 64 KiB of RAM, 256 KiB of flash): data sheet SPMS018. Its UARTs
//! are ARM's PL011.

use core::fmt;

use volatile_register::{RO, RW};

/// The board, as QEMU calls it.
pub const NAME: &str = "lm3s6965evb";

/// The system clock after [`start`].
pub(crate) const CLOCK_HZ: u32 = 50_000_000;
const BAUD: u32 = 115_200;

const RCC_MAIN_OSCILLATOR_OFF: u32 = 1;
const RCC_SOURCE: u32 = 0x30;
const RCC_CRYSTAL: u32 = 0x7c0;
const RCC_CRYSTAL_8_MHZ: u32 = 0x0e << 6;
const RCC_BYPASS: u32 = 1 << 11;
const RCC_PLL_OFF: u32 = 1 << 13;
const RCC_USE_DIVIDER: u32 = 1 << 22;
const RCC_DIVIDER: u32 = 0xf << 23;
/// 200 MHz by 4.
const RCC_DIVIDER_4: u32 = 3 << 23;
const PLL_LOCKED: u32 = 1 << 6;

/// The clocks of the two UARTs, and of the ports that their pins are on (A and D).
const UARTS: u32 = 0b11;
const PORTS: u32 = 0b1001;

/// System control, as far as it is used.
#[repr(C)]
struct System {
    _0: [u32; 20],
    /// 0x050: raw interrupt status.
    interrupts: RO<u32>,
    _1: [u32; 3],
    /// 0x060: run-mode clock configuration.
    clock: RW<u32>,
    _2: [u32; 40],
    /// 0x104: run-mode clock gates of UARTs and others.
    gates_1: RW<u32>,
    /// 0x108: run-mode clock gates of ports and others.
    gates_2: RW<u32>,
}

/// A port, as far as it is used.
#[repr(C)]
struct Port {
    _0: [u32; 264],
    /// 0x420: which pins belong to a peripheral.
    alternate: RW<u32>,
    _1: [u32; 62],
    /// 0x51c: which pins are digital.
    digital: RW<u32>,
}

/// A PL011.
#[repr(C)]
pub(crate) struct Uart {
    data: RW<u32>,
    _0: [u32; 5],
    /// 0x018: flags.
    flags: RO<u32>,
    _1: [u32; 2],
    /// 0x024: the whole and the fraction (in 64ths) of the clock by 16 times the baud rate.
    whole: RW<u32>,
    fraction: RW<u32>,
    /// 0x02c: 8 bits, queues on.
    line: RW<u32>,
    control: RW<u32>,
}

const FLAG_BUSY: u32 = 1 << 3;
const FLAG_NOTHING_READ: u32 = 1 << 4;
const FLAG_FULL: u32 = 1 << 5;

impl Uart {
    fn start(&self) {
        let divisor = (CLOCK_HZ * 4 + BAUD / 2) / BAUD;
        // SAFETY: writes to this peripheral's own registers; the order is the data sheet's.
        unsafe { self.control.write(0) };
        // SAFETY: as above.
        unsafe { self.whole.write(divisor >> 6) };
        // SAFETY: as above.
        unsafe { self.fraction.write(divisor & 0x3f) };
        // SAFETY: as above.
        unsafe { self.line.write(0x70) };
        // SAFETY: as above; the receiver, the transmitter and the UART itself.
        unsafe { self.control.write(0x301) };
    }

    pub(crate) fn can_read(&self) -> bool {
        self.flags.read() & FLAG_NOTHING_READ == 0
    }

    pub(crate) fn can_write(&self) -> bool {
        self.flags.read() & FLAG_FULL == 0
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.flags.read() & FLAG_BUSY != 0
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
    unsafe { &*(0x4000_c000 as *const Uart) }
}

pub(crate) fn link_uart() -> &'static Uart {
    // SAFETY: UART1 is there, and used by the link alone.
    unsafe { &*(0x4000_d000 as *const Uart) }
}

/// The system clock at 50 MHz, and both UARTs on.
pub(crate) fn start() {
    // SAFETY: system control is there, and used here alone.
    let system: &System = unsafe { &*(0x400f_e000 as *const System) };
    // SAFETY: the data sheet's order (5.3): off the PLL, set it up, wait for it, on it.
    unsafe { system.clock.modify(|rcc| (rcc | RCC_BYPASS) & !RCC_USE_DIVIDER) };
    let off = RCC_MAIN_OSCILLATOR_OFF | RCC_SOURCE | RCC_CRYSTAL | RCC_PLL_OFF;
    // SAFETY: as above.
    unsafe { system.clock.modify(|rcc| (rcc & !off) | RCC_CRYSTAL_8_MHZ) };
    // SAFETY: as above.
    unsafe {
        system.clock.modify(|rcc| (rcc & !RCC_DIVIDER) | RCC_DIVIDER_4 | RCC_USE_DIVIDER);
    }
    while system.interrupts.read() & PLL_LOCKED == 0 {}
    // SAFETY: as above.
    unsafe { system.clock.modify(|rcc| rcc & !RCC_BYPASS) };
    // SAFETY: clocks on.
    unsafe { system.gates_1.modify(|gates| gates | UARTS) };
    // SAFETY: clocks on.
    unsafe { system.gates_2.modify(|gates| gates | PORTS) };
    cortex_m::asm::delay(8);
    // Pins 0 and 1 of A for UART0, 2 and 3 of D for UART1.
    for (port, pins) in [(0x4000_4000, 0b0011), (0x4000_7000, 0b1100)] {
        // SAFETY: this port is there, and used here alone.
        let port: &Port = unsafe { &*(port as *const Port) };
        // SAFETY: these pins are the UART's.
        unsafe { port.alternate.modify(|on| on | pins) };
        // SAFETY: these pins are the UART's.
        unsafe { port.digital.modify(|on| on | pins) };
    }
    link_uart().start();
    #[cfg(feature = "defmt")]
    log_uart().start();
}
