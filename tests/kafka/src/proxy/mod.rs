//! A TCP proxy on loopback that breaks connections on demand.

mod connection;
mod faults;
mod links;
mod random_cuts;
mod recording;
#[cfg(test)]
mod tests;

use core::{net::SocketAddr, sync::atomic::Ordering};
use std::{
    io,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use anyhow::{Result, ensure};
use faults::{Faults, Link};
use random_cuts::Plan;
use tokio::sync::oneshot;

pub use faults::{Counters, Direction, Hangup};
pub use links::Links;
pub use recording::Heard;

/// A TCP proxy on loopback with one listener per broker. It forwards bytes and knows nothing of
/// Kafka; its faults are those of a network: [`Links`] has them.
///
/// It works on a thread of its own, so it can be used from blocking and asynchronous tests alike.
/// Dropping it closes all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handles and the connections share.
#[derive(Debug)]
struct Shared {
    links: Vec<Link>,
    plan: Mutex<Option<Plan>>,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Option<Plan>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultProxy {
    /// A proxy that forwards what arrives at `listeners[i]` to `upstreams[i]`, which need not
    /// listen yet.
    ///
    /// # Errors
    /// When the listeners are not as many as the upstreams, or the system denies what is needed.
    pub fn new(listeners: Vec<TcpListener>, upstreams: &[SocketAddr]) -> Result<Self> {
        ensure!(listeners.len() == upstreams.len(), "as many listeners as upstreams are needed");
        let addresses =
            listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let links = upstreams.iter().map(|_| Link::default()).collect();
        let shared = Arc::new(Shared { links, plan: Mutex::new(None) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let listeners = {
            // Registering a listener needs the runtime's context.
            let _context = runtime.enter();
            listeners
                .into_iter()
                .map(|listener| {
                    listener.set_nonblocking(true)?;
                    tokio::net::TcpListener::from_std(listener)
                })
                .collect::<io::Result<Vec<_>>>()?
        };
        for ((index, listener), upstream) in listeners.into_iter().enumerate().zip(upstreams) {
            runtime.spawn(accept(Arc::clone(&shared), index, listener, *upstream));
        }
        let thread =
            std::thread::Builder::new().name("fault proxy".to_owned()).spawn(move || {
                // The sender never sends; it is dropped.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self { shared, addresses, stop: Some(stop), thread: Some(thread) })
    }

    /// A proxy before `upstreams` at free ports.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn to(upstreams: &[SocketAddr]) -> Result<Self> {
        Self::new(crate::ports::reserve(upstreams.len())?, upstreams)
    }

    /// Where it listens, in the order of the upstreams.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// All links, to break or to count.
    #[must_use]
    pub fn all(&self) -> Links<'_> {
        Links::new(&self.shared, 0..self.addresses.len())
    }

    /// The link to the upstream `index` alone.
    ///
    /// # Panics
    /// When there is no such link.
    #[must_use]
    pub fn link(&self, index: usize) -> Links<'_> {
        assert!(index < self.addresses.len(), "no link {index}");
        Links::new(&self.shared, index..index + 1)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts connections for one upstream. While they are to be refused there is no listener, so that
/// the kernel refuses them.
async fn accept(
    shared: Arc<Shared>,
    index: usize,
    listener: tokio::net::TcpListener,
    upstream: SocketAddr,
) {
    let link = &shared.links[index];
    let mut faults = link.faults.subscribe();
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            let healed = faults.wait_for(|faults| !faults.refuse).await.is_ok();
            if !healed {
                return;
            }
            listener = tokio::net::TcpListener::bind(address).await.ok();
            if listener.is_none() {
                tokio::time::sleep(core::time::Duration::from_millis(10)).await;
            }
            continue;
        };
        tokio::select! {
            refuse = faults.wait_for(|faults: &Faults| faults.refuse) => {
                if refuse.is_err() {
                    return;
                }
                drop(refuse);
                listener = None;
            }
            accepted = open.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let number = link.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    connection::serve(&shared, index, number, client, upstream).await;
                });
            }
        }
    }
}
