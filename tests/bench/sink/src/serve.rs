//! The connections of one broker.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use ottla_core::wire::{ApiKey, frame::RequestHeader};
use ottla_model::{Cluster, Connection};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::produce::{Offsets, answer};

/// Room for what was read and not handled yet; it grows for larger requests.
const ROOM: usize = 1 << 20;

/// One broker.
#[derive(Clone)]
pub(crate) struct Node {
    id: i32,
    cluster: Arc<Mutex<Cluster>>,
    offsets: Arc<Offsets>,
    /// Requests to produce are not answered.
    stall: bool,
    tls: Option<Arc<ServerConfig>>,
}

impl Node {
    pub(crate) const fn new(
        id: i32,
        cluster: Arc<Mutex<Cluster>>,
        offsets: Arc<Offsets>,
        stall: bool,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        Self { id, cluster, offsets, stall, tls }
    }

    /// Serves whoever comes.
    pub(crate) fn accept(self, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let node = self.clone();
            // A small stack: there may be hundreds.
            let thread = thread::Builder::new().stack_size(256 * 1024);
            let served = thread.spawn(move || {
                if let Err(error) = node.serve(stream) {
                    eprintln!("bench-sink: a connection ended: {error:#}");
                }
            });
            if let Err(error) = served {
                eprintln!("bench-sink: no thread: {error}");
            }
        }
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.answer_all(stream),
            Some(config) => {
                let tls = ServerConnection::new(Arc::clone(config))?;
                self.answer_all(StreamOwned::new(tls, stream))
            }
        }
    }

    fn answer_all(&self, mut stream: impl Read + Write) -> Result<()> {
        let mut others = Connection::new(&self.lock(), self.id);
        let mut input = vec![0; ROOM];
        let mut output = Vec::new();
        let (mut from, mut to) = (0, 0);
        loop {
            let len = stream.read(&mut input[to..])?;
            if len == 0 {
                return Ok(());
            }
            to += len;
            while let Some(frame) = next_frame(&input[from..to])? {
                from += frame.len();
                self.handle(&mut others, frame, &mut output)?;
            }
            if !output.is_empty() {
                stream.write_all(&output)?;
                output.clear();
            }
            // What is left is the beginning of a request, which is to have room for its end.
            let needed = size(&input[from..to])?.unwrap_or(0);
            if from > 0 && (from == to || from + needed > input.len() || to == input.len()) {
                input.copy_within(from..to, 0);
                (from, to) = (0, to - from);
            }
            if needed > input.len() {
                input.resize(needed, 0);
            }
        }
    }

    fn handle(&self, others: &mut Connection, frame: &[u8], output: &mut Vec<u8>) -> Result<()> {
        let key = frame.get(4..6).and_then(|key| key.try_into().ok()).map(i16::from_be_bytes);
        if key.map(ApiKey) == Some(ApiKey::PRODUCE) {
            self.offsets.received.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
            if self.stall {
                return Ok(());
            }
            let read = RequestHeader::read(&frame[4..]);
            let (body, header) = read.map_err(|error| anyhow::anyhow!("no header: {error:?}"))?;
            return answer(&header, body, &self.offsets, output);
        }
        let mut cluster = self.lock();
        // Time stands still: nothing expires.
        others.receive(&mut cluster, Duration::ZERO, frame);
        anyhow::ensure!(!others.is_closed(), "a request that is not understood");
        output.extend_from_slice(&others.take_transmit());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that the first frame takes with its size, if its size is there.
fn size(input: &[u8]) -> Result<Option<usize>> {
    let Some(size) = input.first_chunk() else {
        return Ok(None);
    };
    let size = usize::try_from(i32::from_be_bytes(*size)).context("a negative size")?;
    anyhow::ensure!(size < 100 << 20, "a request of {size} bytes");
    Ok(Some(size + 4))
}

/// The first frame, its size included, if it is there as a whole.
fn next_frame(input: &[u8]) -> Result<Option<&[u8]>> {
    Ok(size(input)?.and_then(|size| input.get(..size)))
}
