//! Both ends of a stream as the one that embedded-tls wants.

use core::cell::RefCell;

use embedded_io::{Error as _, ErrorKind};
use embedded_io_async::{ErrorType, Read, Write};

/// The length of a record's head.
const HEAD: usize = 5;
/// The kinds of records that there are to look at (RFC 8446, 5.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const ENCRYPTED: u8 = 23;
/// An encrypted record has at least its kind and a tag in it.
const SHORTEST_ENCRYPTED: usize = 17;

/// What comes. It is read record by record, and ends at one for which embedded-tls 0.19 would panic, although it need be
/// from nobody who has shown who he is: one that has nothing in it, and a handshake in the clear after the server's hello.
pub(crate) struct Received<R> {
    reader: R,
    head: heapless::Vec<u8, HEAD>,
    /// Bytes of a record that are still to come.
    left: usize,
    /// The server's hello was there: what follows is encrypted.
    is_encrypted: bool,
}

impl<R> Received<R> {
    pub(crate) const fn new(reader: R) -> Self {
        Self { reader, head: heapless::Vec::new(), left: 0, is_encrypted: false }
    }

    /// Whether these bytes, which come next, may be looked at.
    fn may_pass(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let of_record = self.left.min(bytes.len());
                self.left -= of_record;
                bytes = bytes.get(of_record..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            // It has room: it is emptied when it is full.
            let _ = self.head.push(*first);
            if let [kind, _, _, high, low] = *self.head {
                self.head.clear();
                self.left = usize::from(u16::from_be_bytes([high, low]));
                let is_sound = match kind {
                    CHANGE_CIPHER_SPEC => true,
                    ENCRYPTED => self.is_encrypted && self.left >= SHORTEST_ENCRYPTED,
                    _ => !self.is_encrypted,
                };
                self.is_encrypted |= kind == HANDSHAKE;
                if !is_sound {
                    return false;
                }
            }
        }
        true
    }
}

/// Both ends of a stream. Copies are the same stream: embedded-tls reads by one and writes by another.
pub(crate) struct Ends<'s, R, W> {
    reader: &'s RefCell<Received<R>>,
    writer: &'s RefCell<W>,
}

impl<'s, R, W> Ends<'s, R, W> {
    pub(crate) const fn new(reader: &'s RefCell<Received<R>>, writer: &'s RefCell<W>) -> Self {
        Self { reader, writer }
    }
}

impl<R, W> Clone for Ends<'_, R, W> {
    fn clone(&self) -> Self {
        Self { reader: self.reader, writer: self.writer }
    }
}

impl<R, W> ErrorType for Ends<'_, R, W> {
    type Error = ErrorKind;
}

/// Whoever was interrupted tries again, here and nowhere above: embedded-tls must not be asked again after an error.
const fn again(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Interrupted)
}

#[expect(clippy::await_holding_refcell_ref, reason = "embedded-tls has one reader at a time")]
impl<R: Read, W> Read for Ends<'_, R, W> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut received = self.reader.try_borrow_mut().map_err(|_| ErrorKind::Other)?;
        loop {
            match received.reader.read(into).await {
                Ok(len) if received.may_pass(into.get(..len).unwrap_or_default()) => {
                    return Ok(len);
                }
                Ok(_) => return Err(ErrorKind::InvalidData),
                Err(error) if again(error.kind()) => embassy_futures::yield_now().await,
                Err(error) => return Err(error.kind()),
            }
        }
    }
}

#[expect(clippy::await_holding_refcell_ref, reason = "embedded-tls has one writer at a time")]
impl<R, W: Write> Write for Ends<'_, R, W> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, ErrorKind> {
        let mut writer = self.writer.try_borrow_mut().map_err(|_| ErrorKind::Other)?;
        loop {
            match writer.write(from).await {
                Ok(0) => return Err(ErrorKind::WriteZero),
                Err(error) if again(error.kind()) => embassy_futures::yield_now().await,
                done => return done.map_err(|error| error.kind()),
            }
        }
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        let mut writer = self.writer.try_borrow_mut().map_err(|_| ErrorKind::Other)?;
        loop {
            match writer.flush().await {
                Err(error) if again(error.kind()) => embassy_futures::yield_now().await,
                done => return done.map_err(|error| error.kind()),
            }
        }
    }
}
