//! A serial line that somebody else wires to a TCP connection.

use core::{fmt, task::Poll, time::Duration};

use embedded_io::{Error, ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use ottla_core::{
    Disconnect, Instant,
    wire::{ApiKey, dialect},
};

use crate::port::Port;

/// Bytes of a request's size.
const SIZE: u32 = 4;
/// A size that no broker takes, byte by byte.
const FILL: [u8; 32] = [0xff; 32];
/// Reads of noise at a time.
const DRAINS: usize = 8;

/// A UART whose other end is a TCP connection to a broker: QEMU's, a terminal server's, a modem's in
/// transparent mode. The other end opens the connection, and opens it again when the broker closes it.
///
/// The firmware cannot close that connection, but it can have the broker do it. To *hang up*, what is
/// left of the request begun is filled with 0xFF, and four more of them follow: a negative size, upon
/// which a broker closes the connection. Then the line must be quiet for a while; what arrives until
/// then was said to the old connection, and is dropped.
///
/// A request filled so is never acted on, in the *flexible* versions of a message (Produce from 9,
/// Metadata from 9, InitProducerId from 2): the last thing that a broker reads of one is a number whose
/// last byte has its high bit clear, and it finds none. In the older versions it would read the records
/// that are there. So a request in one of those is refused before its first byte, which needs a broker
/// of Kafka 2.8 or newer.
#[derive(Debug)]
pub struct Serial<U> {
    uart: U,
    quiet: Duration,
    line: Line,
    /// The size of the request begun, as it goes over the line.
    size: [u8; SIZE as usize],
    /// Bytes of it that the UART accepted; 0 between two requests.
    sent: u32,
    /// Bytes of it, its size included.
    total: u32,
}

#[derive(Clone, Copy, Debug)]
enum Line {
    /// Nothing was said since the last connection ended.
    Down,
    Up,
    /// So many bytes of 0xFF are to be written, after what is left of the size.
    HangingUp(u32),
    /// Until nothing arrives; something did at this time.
    Quieting(Instant),
}

/// Why a [`Serial`] took or gave no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SerialError<E> {
    /// The UART's own error.
    Uart(E),
    /// The request is of a version that could be acted on although it was not sent to its end: the
    /// broker is too old for a serial line.
    NotFlexible {
        /// The request's API key.
        api_key: i16,
        /// Its version.
        api_version: i16,
    },
    /// What was to be written does not begin as a request does.
    NotARequest,
}

impl<U> Serial<U> {
    /// A line whose other end holds no part of a request: the firmware was not reset in the middle of
    /// one.
    ///
    /// `quiet` is how long nothing must arrive before the line counts as connected anew. It must be
    /// longer than an answer is under way, and than the other end takes to connect again: bytes sent
    /// before that are lost, and cost a request's timeout.
    #[must_use]
    pub const fn new(uart: U, quiet: Duration) -> Self {
        let size = [0; SIZE as usize];
        Self { uart, quiet, line: Line::Down, size, sent: 0, total: 0 }
    }

    /// The same, where the other end may hold the beginning of a request from before a reset: the
    /// first thing is to hang up, with so many bytes for what is left of it. `max.request.size` does,
    /// unless the reset came in the middle of a request's size: 0xFF makes that a size of up to 65,535
    /// after two or three of its bytes, and of 16 MiB after one.
    #[must_use]
    pub const fn hang_up_first(mut self, longest: u32) -> Self {
        self.line = Line::HangingUp(longest.saturating_add(SIZE));
        self
    }

    /// The UART.
    pub const fn uart_mut(&mut self) -> &mut U {
        &mut self.uart
    }
}

impl<U: ReadReady + Read> Serial<U> {
    /// Drops what arrived; tells whether anything did.
    fn drain(&mut self) -> bool {
        let mut noise = [0; 16];
        let mut heard = false;
        for _ in 0..DRAINS {
            match self.uart.read_ready() {
                Ok(true) => heard |= !matches!(self.uart.read(&mut noise), Ok(0)),
                Ok(false) => break,
                // An overrun, say: there was something.
                Err(_) => return true,
            }
        }
        heard
    }
}

impl<U: WriteReady + Write> Serial<U> {
    /// Writes what is left to write to hang up; true when that is all.
    fn fill(&mut self, left: &mut u32) -> bool {
        loop {
            // A size that was begun is completed as it is: any other could be far larger.
            let rest = self.size.get(self.sent as usize..).filter(|_| self.sent > 0);
            let rest = rest.unwrap_or_default();
            let fill = FILL.get(..(*left).min(FILL.len() as u32) as usize).unwrap_or_default();
            let (bytes, is_size) = if rest.is_empty() { (fill, false) } else { (rest, true) };
            if bytes.is_empty() {
                return true;
            }
            // An error is a matter of time, as a line that is not ready is.
            if !matches!(self.uart.write_ready(), Ok(true)) {
                return false;
            }
            match self.uart.write(bytes) {
                Ok(0) | Err(_) => return false,
                Ok(len) if is_size => self.sent += len as u32,
                Ok(len) => *left = left.saturating_sub(len as u32),
            }
        }
    }
}

impl<U: Read + Write + ReadReady + WriteReady> Port for Serial<U> {
    fn open(&mut self, now: Instant, _host: &str, _port: u16) -> Poll<Result<(), Disconnect>> {
        if self.close(now).is_pending() {
            return Poll::Pending;
        }
        self.line = Line::Up;
        Poll::Ready(Ok(()))
    }

    fn close(&mut self, now: Instant) -> Poll<()> {
        loop {
            match self.line {
                Line::Down => return Poll::Ready(()),
                Line::Up => {
                    let rest = if self.sent == 0 { 0 } else { self.total - self.sent.max(SIZE) };
                    self.line = Line::HangingUp(rest.saturating_add(SIZE));
                }
                Line::HangingUp(mut left) => {
                    // What arrives is of the old connection, and must not stop up the line.
                    self.drain();
                    if !self.fill(&mut left) {
                        self.line = Line::HangingUp(left);
                        return Poll::Pending;
                    }
                    self.sent = 0;
                    self.line = Line::Quieting(now);
                }
                Line::Quieting(since) => {
                    if self.drain() {
                        self.line = Line::Quieting(now);
                        return Poll::Pending;
                    }
                    if now < since.after(self.quiet) {
                        return Poll::Pending;
                    }
                    self.line = Line::Down;
                }
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.line {
            Line::Quieting(since) => Some(since.after(self.quiet)),
            Line::Down | Line::Up | Line::HangingUp(_) => None,
        }
    }
}

impl<U: ErrorType> ErrorType for Serial<U> {
    type Error = SerialError<U::Error>;
}

impl<U: Read> Read for Serial<U> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        self.uart.read(buf).map_err(SerialError::Uart)
    }
}

impl<U: ReadReady> ReadReady for Serial<U> {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        self.uart.read_ready().map_err(SerialError::Uart)
    }
}

impl<U: WriteReady> WriteReady for Serial<U> {
    fn write_ready(&mut self) -> Result<bool, Self::Error> {
        self.uart.write_ready().map_err(SerialError::Uart)
    }
}

impl<U: Write> Write for Serial<U> {
    /// Writes a part of a request. The first of its parts must hold its size, its API key and its
    /// version, as those of the core do.
    fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.sent == 0 {
            self.begin(buf)?;
        }
        let left = (self.total - self.sent) as usize;
        let part = buf.get(..left.min(buf.len())).unwrap_or_default();
        let len = self.uart.write(part).map_err(SerialError::Uart)?;
        self.sent += len.min(part.len()) as u32;
        if self.sent == self.total {
            self.sent = 0;
        }
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        self.uart.flush().map_err(SerialError::Uart)
    }
}

impl<U: ErrorType> Serial<U> {
    /// Looks at the head of a request, of which nothing was written yet.
    fn begin(&mut self, buf: &[u8]) -> Result<(), SerialError<U::Error>> {
        let Some(&[a, b, c, d, key0, key1, version0, version1]) = buf.first_chunk() else {
            return Err(SerialError::NotARequest);
        };
        let size = [a, b, c, d];
        let api_key = i16::from_be_bytes([key0, key1]);
        let api_version = i16::from_be_bytes([version0, version1]);
        let Ok(len) = u32::try_from(i32::from_be_bytes(size)) else {
            return Err(SerialError::NotARequest);
        };
        // These may be acted on: they change nothing. Who says that it is 0xFF is not let in.
        let harmless = matches!(
            ApiKey(api_key),
            ApiKey::API_VERSIONS | ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE
        );
        if !harmless && !dialect(ApiKey(api_key), api_version).flexible {
            return Err(SerialError::NotFlexible { api_key, api_version });
        }
        self.size = size;
        self.total = len.saturating_add(SIZE);
        Ok(())
    }
}

impl<E: fmt::Debug> fmt::Display for SerialError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uart(error) => write!(f, "the UART failed: {error:?}"),
            Self::NotFlexible { api_key, api_version } => write!(
                f,
                "the broker is too old for a serial line: it speaks version {api_version} of API \
                 {api_key}"
            ),
            Self::NotARequest => f.write_str("what was to be written is no request"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SerialError<E> {}

impl<E: Error> Error for SerialError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Uart(error) => error.kind(),
            Self::NotFlexible { .. } => ErrorKind::Unsupported,
            Self::NotARequest => ErrorKind::InvalidInput,
        }
    }
}
