//! defmt's lines over UART0.

use core::cell::UnsafeCell;

use defmt::{Encoder, Logger, global_logger};

use crate::soc::log_uart;

#[global_logger]
struct Uart0;

struct Shared(UnsafeCell<Encoder>);

// SAFETY: one core, and no interrupt logs, so that only the main program comes here.
unsafe impl Sync for Shared {}

static ENCODER: Shared = Shared(UnsafeCell::new(Encoder::new()));

fn with_encoder(f: impl FnOnce(&mut Encoder)) {
    // SAFETY: only the main program comes here, and `f` does not come back to here: it writes to the
    // UART.
    f(unsafe { &mut *ENCODER.0.get() });
}

fn write(bytes: &[u8]) {
    let uart = log_uart();
    for byte in bytes {
        while !uart.can_write() {}
        uart.write(*byte);
    }
}

// SAFETY: defmt calls `acquire`, `write` and `release` in turn; there is one context that logs.
unsafe impl Logger for Uart0 {
    fn acquire() {
        with_encoder(|encoder| encoder.start_frame(write));
    }

    unsafe fn flush() {
        while log_uart().is_busy() {}
    }

    unsafe fn release() {
        with_encoder(|encoder| encoder.end_frame(write));
    }

    unsafe fn write(bytes: &[u8]) {
        with_encoder(|encoder| encoder.write(bytes, write));
    }
}
