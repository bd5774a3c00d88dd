//! A cluster on loopback TCP.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    io,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::{Cluster, ClusterConfig, NodeConfig, NodeId};

mod event_loop;
mod registered;
mod stream;

use event_loop::Loop;
use registered::Poller;
use stream::Tls;

/// A cluster that is served over TCP by one thread, until it is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

/// What the server's thread and its owner share.
#[derive(Debug)]
struct Shared {
    cluster: Mutex<Cluster>,
    poller: Poller,
    stop: AtomicBool,
    /// Someone had a hand on the cluster.
    changed: AtomicBool,
    start: Instant,
}

impl Shared {
    /// The cluster. A panic of someone who had it does not take it away from the others.
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Server {
    /// Listens at each address for one node and serves them. Port 0 is any free port.
    ///
    /// Addresses and nodes go together in their order; nodes that the configuration lacks are
    /// made, and those that no address is for are left out. Each node advertises the address that
    /// it is bound to, and the loopback address where that is unspecified. The configured start of
    /// the wall clock is replaced by the time it is.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::InvalidInput`] where there is no address.
    pub fn start(listen: &[SocketAddr], config: ClusterConfig) -> io::Result<Self> {
        Self::start_with(listen, config, None)
    }

    /// The same over TLS.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    #[cfg(feature = "tls")]
    pub fn start_tls(
        listen: &[SocketAddr],
        config: ClusterConfig,
        tls: Arc<rustls::ServerConfig>,
    ) -> io::Result<Self> {
        Self::start_with(listen, config, Some(tls))
    }

    #[allow(clippy::disallowed_methods)] // the one place with a real clock
    fn start_with(
        listen: &[SocketAddr],
        mut config: ClusterConfig,
        tls: Option<Tls>,
    ) -> io::Result<Self> {
        if listen.is_empty() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        config.nodes.truncate(listen.len());
        let mut listeners = Vec::with_capacity(listen.len());
        for (index, address) in listen.iter().enumerate() {
            if config.nodes.len() <= index {
                let highest = config.nodes.iter().map(|node| node.id).max();
                let id = highest.unwrap_or(0).saturating_add(1);
                config.nodes.push(NodeConfig::new(id));
            }
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let bound = listener.local_addr()?;
            if let Some(node) = config.nodes.get_mut(index) {
                node.host = advertised(bound.ip()).to_string();
                node.port = bound.port().into();
                listeners.push((node.id, listener));
            }
        }
        let addresses = listeners
            .iter()
            .map(|(_, listener)| listener.local_addr())
            .collect::<io::Result<_>>()?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let since_1970 = since_1970.unwrap_or_default().as_millis();
        config.start_ms = i64::try_from(since_1970).unwrap_or(i64::MAX);
        let shared = Arc::new(Shared {
            cluster: Mutex::new(Cluster::new(config)),
            poller: Poller::new()?,
            stop: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            start: Instant::now(),
        });
        let served = Loop::new(Arc::clone(&shared), listeners, tls)?;
        let thread =
            thread::Builder::new().name("ottla-model".to_owned()).spawn(move || served.run())?;
        Ok(Self { shared, addresses, thread: Some(thread) })
    }

    /// Where the nodes listen, in their order.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The `bootstrap.servers` of the cluster.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let with_cluster = |cluster: &mut Cluster| {
            let nodes: Vec<NodeId> = cluster.nodes().collect();
            let addresses = nodes.iter().filter_map(|node| cluster.address(*node));
            let addresses = addresses.map(|(host, port)| match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            });
            addresses.collect::<Vec<_>>().join(",")
        };
        self.with_cluster(with_cluster)
    }

    /// Looks at the cluster or changes it. Nothing is served meanwhile; what was changed is
    /// noticed at once.
    pub fn with_cluster<T>(&self, f: impl FnOnce(&mut Cluster) -> T) -> T {
        let result = f(&mut self.shared.lock());
        self.shared.changed.store(true, Ordering::Release);
        self.shared.poller.notify();
        result
    }

    /// The time of the run, as the cluster counts it.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.now()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.poller.notify();
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported already.
            let _ = thread.join();
        }
    }
}

/// The address to advertise for one that is listened at.
fn advertised(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}
