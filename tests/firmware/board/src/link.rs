//! UART1 as a byte stream: what is written to it comes to a TCP connection, and the other way round.
//!
//! It is polled. Both UARTs stop the sender while their buffer is full, as QEMU's do; on a wire that
//! takes flow control (RTS and CTS), or an interrupt and a ring.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::soc::{Uart, link_uart};

/// The stream to the broker.
#[derive(Debug)]
pub struct Link {
    uart: &'static Uart,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self { uart: link_uart() }
    }
}

impl ErrorType for Link {
    type Error = Infallible;
}

impl ReadReady for Link {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.uart.can_read())
    }
}

impl WriteReady for Link {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.uart.can_write())
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut len = 0;
        for place in buffer {
            if !self.uart.can_read() {
                if len > 0 {
                    break;
                }
                // `read` waits for the first byte.
                while !self.uart.can_read() {}
            }
            *place = self.uart.read();
            len += 1;
        }
        Ok(len)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut len = 0;
        for byte in bytes {
            if !self.uart.can_write() {
                if len > 0 {
                    break;
                }
                while !self.uart.can_write() {}
            }
            self.uart.write(*byte);
            len += 1;
        }
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while self.uart.is_busy() {}
        Ok(())
    }
}
