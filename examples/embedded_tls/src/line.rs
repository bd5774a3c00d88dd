//! What is between a producer's run and the session that encrypts for it: two pipes, and who wants what.

use core::fmt;

use embassy_futures::select::{Either, select};
use embassy_sync::{blocking_mutex::raw::NoopRawMutex, pipe::Pipe, signal::Signal};
use embedded_io::ErrorKind;
use embedded_io_async::{ErrorType, Read, Write};
use heapless::String;
use ottla_core::Disconnect;
use ottla_embedded::Duplex;

/// Bytes in each direction. Fewer cost more turns, and nothing else: they are gathered again before they are encrypted.
const PIPE: usize = 128;
/// The longest name of a host.
const NAME: usize = 128;

/// Somebody to dial.
pub(crate) struct Call {
    pub(crate) host: String<NAME>,
    pub(crate) port: u16,
}

/// One connection slot. The run calls and hangs up; the session answers and loses.
pub(crate) struct Line {
    pub(crate) call: Signal<NoopRawMutex, Call>,
    pub(crate) answer: Signal<NoopRawMutex, Result<(), Disconnect>>,
    pub(crate) hung_up: Signal<NoopRawMutex, ()>,
    pub(crate) lost: Signal<NoopRawMutex, Disconnect>,
    /// What was written is to leave now.
    pub(crate) flush: Signal<NoopRawMutex, ()>,
    pub(crate) to_broker: Pipe<NoopRawMutex, PIPE>,
    pub(crate) from_broker: Pipe<NoopRawMutex, PIPE>,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self {
            call: Signal::new(),
            answer: Signal::new(),
            hung_up: Signal::new(),
            lost: Signal::new(),
            flush: Signal::new(),
            to_broker: Pipe::new(),
            from_broker: Pipe::new(),
        }
    }

    /// Has the session dial, and waits until it is through. Nothing of an earlier call is left.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<LineStream<'_>, Disconnect> {
        let host = String::try_from(host).map_err(|_| Disconnect::Unresolved)?;
        self.answer.reset();
        self.lost.reset();
        self.flush.reset();
        self.to_broker.clear();
        self.from_broker.clear();
        let stream = LineStream(self);
        self.call.signal(Call { host, port });
        // Should this future be dropped, the stream is, and the session hears of it.
        self.answer.wait().await?;
        Ok(stream)
    }

    /// Says that there is no connection, or none any more.
    pub(crate) fn lose(&self, cause: Disconnect) {
        self.answer.signal(Err(cause));
        self.lost.signal(cause);
    }
}

/// A connection as [`ottla_embedded::run`] sees it. Dropping it ends the session.
pub struct LineStream<'a>(&'a Line);

impl Drop for LineStream<'_> {
    fn drop(&mut self) {
        self.0.call.reset();
        self.0.hung_up.signal(());
    }
}

impl fmt::Debug for LineStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LineStream").finish_non_exhaustive()
    }
}

impl Duplex for LineStream<'_> {
    type Reader<'s>
        = LineReader<'s>
    where
        Self: 's;
    type Writer<'s>
        = LineWriter<'s>
    where
        Self: 's;

    fn split(&mut self) -> (LineReader<'_>, LineWriter<'_>) {
        (LineReader(self.0), LineWriter(self.0))
    }
}

/// The session was lost for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineError(pub Disconnect);

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for LineError {}

impl embedded_io::Error for LineError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The end to read from.
pub struct LineReader<'s>(&'s Line);

/// The end to write to.
pub struct LineWriter<'s>(&'s Line);

impl ErrorType for LineReader<'_> {
    type Error = LineError;
}

impl ErrorType for LineWriter<'_> {
    type Error = LineError;
}

impl Read for LineReader<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, LineError> {
        // What came before the end is read first.
        match select(self.0.from_broker.read(into), self.0.lost.wait()).await {
            Either::First(len) => Ok(len),
            Either::Second(Disconnect::Eof) => Ok(0),
            Either::Second(cause) => Err(LineError(cause)),
        }
    }
}

/// Where the session is lost, a write waits for ever: the reader is told, and ends the connection.
impl Write for LineWriter<'_> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, LineError> {
        Ok(self.0.to_broker.write(from).await)
    }

    async fn flush(&mut self) -> Result<(), LineError> {
        self.0.flush.signal(());
        Ok(())
    }
}
