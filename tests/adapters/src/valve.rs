//! A TCP line that lets so many bytes through and no more, and is cut when the test says so.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

/// How small its receive buffer is: what it does not let through stays with whoever sends.
const BUFFER: usize = 4_096;

/// A line before one address.
#[derive(Debug)]
pub struct Valve {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Bytes to the server that may still pass; `None`: all.
    left: Option<u64>,
    /// What is open, both ends of each.
    open: Vec<[TcpStream; 2]>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Valve {
    /// A line to `to`, open.
    ///
    /// # Panics
    ///
    /// Where this machine does not give what it needs.
    #[must_use]
    pub fn new(to: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_recv_buffer_size(BUFFER).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(64).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(to) else { continue };
                join(&shared, client, server);
            }
        });
        Self { address, state }
    }

    /// Where it is dialled.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets so many bytes to the server through from now on.
    pub fn allow(&self, bytes: u64) {
        self.state.lock().left = Some(bytes);
        self.state.changed.notify_all();
    }

    /// Lets everything through.
    pub fn open(&self) {
        self.state.lock().left = None;
        self.state.changed.notify_all();
    }

    /// Waits until all that was allowed has passed, for so long at most.
    pub fn wait(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut inner = self.state.lock();
        while inner.left.is_some_and(|left| left > 0) {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            let waited = self.state.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Cuts what is open; what waits is lost.
    pub fn cut(&self) {
        for stream in self.state.lock().open.drain(..).flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.state.changed.notify_all();
    }
}

fn join(state: &Arc<State>, client: TcpStream, server: TcpStream) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (Ok(to_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { return };
    let (Ok(one), Ok(other)) = (client.try_clone(), server.try_clone()) else { return };
    state.lock().open.push([one, other]);
    thread::spawn(move || copy(from_server, to_client));
    let state = Arc::clone(state);
    thread::spawn(move || measured(&state, client, server));
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

/// Copies what is allowed, and takes no more than that.
fn measured(state: &State, mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; BUFFER];
    loop {
        let mut inner = state.lock();
        while inner.left == Some(0) {
            let waited = state.changed.wait_timeout(inner, Duration::from_millis(20));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            if inner.left == Some(0) && from.peek(&mut [0]).is_ok_and(|len| len == 0) {
                break;
            }
        }
        let most = inner.left.map_or(BUFFER as u64, |left| left.clamp(1, BUFFER as u64));
        drop(inner);
        let read = from.read(&mut bytes[..most as usize]);
        let Some(len) = read.ok().filter(|len| *len > 0) else { break };
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
        let mut inner = state.lock();
        if let Some(left) = &mut inner.left {
            *left = left.saturating_sub(len as u64);
        }
        drop(inner);
        state.changed.notify_all();
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
