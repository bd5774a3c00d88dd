//! Moving bytes between the core and one non-blocking stream.

use std::io::{self, ErrorKind, IoSlice, Write};

use ottla_core::{ConnId, Disconnect, Instant, Producer, Remark};

use crate::io::link_error::LinkError;

/// Pieces a vectored write has at most.
const PIECES: usize = 64;
/// Bytes written, about, before others get their turn with the core.
const WRITE_TURN: usize = 256 * 1024;
/// Reads before others get their turn.
const READ_TURN: usize = 16;

/// Why moving bytes stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The core has nothing to write, or has done with the connection.
    CoreDone,
    /// The stream takes or has nothing now.
    Blocked,
    /// Enough for one turn; there may be more.
    TurnOver,
}

/// Writes what the core has for `conn`; fails where the connection is to be ended.
pub(crate) fn write(
    core: &mut Producer<'_>,
    now: Instant,
    conn: ConnId,
    stream: &mut impl Write,
) -> Result<Moved, LinkError> {
    let mut written = 0;
    while core.prepare_write(now, conn) {
        if written >= WRITE_TURN {
            return Ok(Moved::TurnOver);
        }
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        let segments = core.pending_write(conn).filter(|segment| !segment.is_empty());
        for (piece, segment) in pieces.iter_mut().zip(segments) {
            *piece = IoSlice::new(segment);
            count += 1;
        }
        let pieces = pieces.get(..count).unwrap_or_default();
        if pieces.is_empty() {
            break;
        }
        match stream.write_vectored(pieces) {
            Ok(0) => return Err(Disconnect::Io.into()),
            Ok(len) => {
                core.handle_written(now, conn, len);
                written += len;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Moved::Blocked),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(LinkError::broken(error)),
        }
    }
    Ok(Moved::CoreDone)
}

/// Has the stream hand on what it has taken; blocked where that does not go.
pub(crate) fn flush(stream: &mut impl Write, moved: Moved) -> Result<Moved, LinkError> {
    loop {
        match stream.flush() {
            Ok(()) => return Ok(moved),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Moved::Blocked),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(LinkError::broken(error)),
        }
    }
}

/// Reads what there is for `conn`, with `read`, and has `hear` told what brokers say of records; fails where the connection has ended.
pub(crate) fn read(
    core: &mut Producer<'_>,
    now: Instant,
    conn: ConnId,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    hear: &mut dyn FnMut(&Remark<'_>),
) -> Result<Moved, LinkError> {
    for _ in 0..READ_TURN {
        let window = core.rx_buffer(conn);
        if window.is_empty() {
            return Ok(Moved::CoreDone);
        }
        match read(window) {
            Ok(0) => return Err(Disconnect::Eof.into()),
            Ok(len) => core.handle_received_with(now, conn, len, hear),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Moved::Blocked),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(LinkError::broken(error)),
        }
    }
    Ok(Moved::TurnOver)
}
