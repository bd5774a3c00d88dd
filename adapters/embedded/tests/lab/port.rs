//! The lab's streams for the polled API.

use core::task::Poll;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use ottla_core::{Disconnect, Instant};
use ottla_embedded::Port;

use super::{Lab, Weather, Wire, theirs};

#[derive(Debug)]
pub struct Socket {
    lab: Lab,
    pub weather: Weather,
    wire: Option<Wire>,
    /// How often `open` and `close` are to be asked before they are done.
    pub patience: u32,
    asked: u32,
    pub opened: u32,
}

impl Socket {
    pub fn new(lab: &Lab, weather: Weather) -> Self {
        Self { lab: lab.clone(), weather, wire: None, patience: 1, asked: 0, opened: 0 }
    }
}

impl Port for Socket {
    fn open(&mut self, _: Instant, host: &str, port: u16) -> Poll<Result<(), Disconnect>> {
        assert!(self.wire.is_none(), "opened twice");
        self.asked += 1;
        if !self.asked.is_multiple_of(self.patience + 1) {
            return Poll::Pending;
        }
        let state = self.lab.0.borrow();
        Poll::Ready(match state.node_at(host, port).filter(|node| state.cluster.is_up(*node)) {
            Some(node) => {
                self.wire = Some(theirs(|| Wire::open(&state.cluster, node)));
                self.opened += 1;
                Ok(())
            }
            None => Err(Disconnect::Refused),
        })
    }

    fn close(&mut self, _: Instant) -> Poll<()> {
        if let Some(wire) = self.wire.take() {
            self.lab.with(|state| wire.close(state));
        }
        self.asked += 1;
        if self.asked.is_multiple_of(self.patience + 1) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl ErrorType for Socket {
    type Error = ErrorKind;
}

impl ReadReady for Socket {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        let wire = self.wire.as_mut().expect("asked only while open");
        Ok(self.lab.with(|state| wire.readable(state, &self.weather)))
    }
}

impl WriteReady for Socket {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        let wire = self.wire.as_mut().expect("asked only while open");
        Ok(self.lab.with(|state| wire.writable(state, &self.weather)))
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        let wire = self.wire.as_mut().expect("read only while open");
        let read = self.lab.with(|state| wire.read(state, &mut self.weather, into));
        read.ok_or(ErrorKind::ConnectionReset)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let wire = self.wire.as_mut().expect("written only while open");
        let written = self.lab.with(|state| wire.write(state, &mut self.weather, bytes));
        written.ok_or(ErrorKind::BrokenPipe)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        panic!("flush may block")
    }
}
