//! The network as the shared driver sees it.

use std::io::{self, IoSlice, Read, Write};

use ottla_client::{Link, LinkError, Network};
use ottla_core::ConnId;

use crate::{
    network::{Key, Shared},
    tasks::meanwhile,
};

/// Opens connections for one engine.
#[derive(Debug)]
pub(crate) struct SimNet {
    /// Which.
    pub(crate) engine: usize,
    /// To where.
    pub(crate) net: Shared,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct SimLink {
    key: Key,
    net: Shared,
}

impl Network for SimNet {
    type Link = SimLink;

    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<SimLink, LinkError> {
        // Nobody has the engine's lock.
        meanwhile();
        let key = self.net.lock().dial(self.engine, conn.index(), host, port)?;
        Ok(SimLink { key, net: self.net.clone() })
    }
}

impl SimLink {
    /// In the middle of what the core does.
    fn meet_doom(&self) {
        let mut net = self.net.lock();
        let doomed = if net.driving {
            net.doomed.take_if(|doomed| *doomed == self.key.producer)
        } else {
            None
        };
        drop(net);
        if doomed.is_some() {
            std::panic::resume_unwind(Box::new("doom"));
        }
    }
}

impl Link for SimLink {
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.net.lock().try_read(self.key, window)
    }

    fn open(&mut self) -> Result<bool, LinkError> {
        meanwhile();
        Ok(self.net.lock().open(self.key)?)
    }
}

impl Read for SimLink {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.meet_doom();
        self.net.lock().read(self.key, window)
    }
}

impl Write for SimLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.meet_doom();
        self.net.lock().write(self.key, pieces.iter().map(|piece| &**piece))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.net.lock().close(self.key);
    }
}
