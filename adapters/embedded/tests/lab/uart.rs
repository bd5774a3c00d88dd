//! A UART whose other end is a bridge to the first node, which connects again when it is closed.

use core::time::Duration;
use std::collections::VecDeque;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use ottla_core::Instant;

use super::{Framing, Lab, Wire};

#[derive(Debug)]
pub struct Uart {
    lab: Lab,
    wire: Option<Wire>,
    connects: Instant,
    /// How long the bridge takes to connect again.
    pub reconnect: Duration,
    /// Bytes that arrived, over whatever connection.
    fifo: VecDeque<u8>,
    /// The line takes so many more bytes, and then none before that time.
    pub stops: Option<(usize, Instant)>,
    /// The bridge loses its connection after so many more bytes of ours.
    pub cuts: Option<usize>,
    /// What was said to the bridge while it had no connection.
    pub lost: usize,
    /// Connections that the node closed.
    pub closed: usize,
    /// Where in its requests the line is, while nobody hangs up.
    said: Framing,
    /// So many more bytes arrive, and then none before that time.
    pub holds: Option<(usize, Instant)>,
}

impl Uart {
    pub fn new(lab: &Lab, reconnect: Duration) -> Self {
        Self {
            lab: lab.clone(),
            wire: None,
            connects: Instant::ZERO,
            reconnect,
            fifo: VecDeque::new(),
            stops: None,
            cuts: None,
            lost: 0,
            closed: 0,
            said: Framing::default(),
            holds: None,
        }
    }

    /// How many bytes of a size are the last thing that was said, if nobody hung up so far.
    pub fn in_size(&self) -> usize {
        self.said.size.len() % 4
    }

    fn advance(&mut self) {
        let state = &mut *self.lab.0.borrow_mut();
        if let Some(wire) = &mut self.wire {
            wire.advance(state);
            self.fifo.extend(wire.down.drain(..));
            if wire.is_closed() {
                self.wire = None;
                self.closed += 1;
                self.connects = state.now.after(self.reconnect);
            }
        }
        if self.wire.is_none() && self.connects <= state.now && state.cluster.is_up(1) {
            self.wire = Some(Wire::open(&state.cluster, 1));
        }
    }
}

impl ErrorType for Uart {
    type Error = ErrorKind;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        self.advance();
        let now = self.lab.now();
        self.holds = self.holds.filter(|(_, until)| now < *until);
        Ok(!self.fifo.is_empty() && self.holds.is_none_or(|(left, _)| left > 0))
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        self.advance();
        let now = self.lab.now();
        self.stops = self.stops.filter(|(_, until)| now < *until);
        Ok(self.stops.is_none_or(|(left, _)| left > 0))
    }
}

impl Read for Uart {
    /// A byte at a time, as from a data register.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        self.advance();
        if let Some((left, _)) = &mut self.holds {
            *left -= 1;
        }
        into[0] = self.fifo.pop_front().expect("read only when ready");
        Ok(1)
    }
}

impl Write for Uart {
    /// At most 16 bytes at a time, as into a FIFO.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.advance();
        let mut len = bytes.len().min(16);
        if let Some((left, _)) = &mut self.stops {
            assert!(*left > 0, "written only when ready");
            len = len.min(*left);
            *left -= len;
        }
        if self.cuts == Some(0)
            && let Some(wire) = self.wire.take()
        {
            self.cuts = None;
            self.lab.with(|state| wire.close(state));
            self.connects = self.lab.now().after(self.reconnect);
        }
        if let Some(left) = &mut self.cuts {
            len = len.min(*left);
            *left -= len;
        }
        self.said.pass(&bytes[..len]);
        match &mut self.wire {
            Some(wire) => wire.up.extend(&bytes[..len]),
            None => self.lost += len,
        }
        self.advance();
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        panic!("flush may block")
    }
}
