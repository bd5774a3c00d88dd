//! Looking up names on one thread, however long the operating system takes for it.

use core::{net::SocketAddr, task::Waker};
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use crate::io::{address_resolution::resolve, network::Ready};

/// Look-ups that may wait for the thread; a producer has fewer connections that are being opened.
const QUEUE: usize = 64;

/// The thread's other end. The thread starts with the first look-up and ends with this.
#[derive(Debug)]
pub struct Resolver {
    requests: Option<SyncSender<Request>>,
    inbox: Arc<Inbox>,
}

/// Connections whose look-up is done.
#[derive(Debug)]
pub(crate) struct Inbox {
    done: Mutex<Vec<usize>>,
    waker: Waker,
}

/// A look-up under way, or done.
#[derive(Debug, Default)]
pub struct Lookup(Mutex<Option<io::Result<Vec<SocketAddr>>>>);

#[derive(Debug)]
struct Request {
    host: String,
    port: u16,
    index: usize,
    /// Gone once nobody wants to know any more.
    lookup: Weak<Lookup>,
}

impl Inbox {
    pub(crate) const fn new(waker: Waker) -> Self {
        Self { done: Mutex::new(Vec::new()), waker }
    }

    pub(crate) fn take(&self, ready: &mut Vec<Ready>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let indexes = done.drain(..);
        ready.extend(indexes.map(|index| Ready { index, readable: true, writable: true }));
    }

    fn put(&self, index: usize) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(index);
        self.waker.wake_by_ref();
    }
}

impl Lookup {
    /// The addresses, once they are known.
    pub fn take(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, result: io::Result<Vec<SocketAddr>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

impl Resolver {
    pub(crate) const fn new(inbox: Arc<Inbox>) -> Self {
        Self { requests: None, inbox }
    }

    /// Begins to look a host up for a connection; the inbox tells when it is done.
    ///
    /// # Errors
    ///
    /// Where there is no thread, or too many names are being looked up.
    pub fn look_up(&mut self, index: usize, host: &str, port: u16) -> io::Result<Arc<Lookup>> {
        let lookup = Arc::default();
        let request =
            Request { host: host.to_owned(), port, index, lookup: Arc::downgrade(&lookup) };
        let sent = self.requests()?.try_send(request);
        sent.map_err(|error| match error {
            TrySendError::Full(_) => io::Error::other("too many names are being looked up"),
            TrySendError::Disconnected(_) => io::Error::other("the resolver has ended"),
        })?;
        Ok(lookup)
    }

    fn requests(&mut self) -> io::Result<&SyncSender<Request>> {
        if self.requests.is_none() {
            let (sender, receiver) = sync_channel(QUEUE);
            let inbox = Arc::clone(&self.inbox);
            let thread = thread::Builder::new().name("ottla-resolver".to_owned());
            drop(thread.spawn(move || serve(&receiver, &inbox))?);
            self.requests = Some(sender);
        }
        self.requests.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

fn serve(requests: &Receiver<Request>, inbox: &Inbox) {
    while let Ok(request) = requests.recv() {
        if request.lookup.strong_count() == 0 {
            continue;
        }
        let result = resolve(&request.host, request.port);
        if let Some(lookup) = request.lookup.upgrade() {
            lookup.put(result);
            inbox.put(request.index);
        }
    }
}
