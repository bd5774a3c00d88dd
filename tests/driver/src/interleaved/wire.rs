//! Sockets without time, and the broker behind them: a thread that answers whenever the checker lets it.

use core::{cell::RefCell, task::Waker};
use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    sync::{Arc, PoisonError},
    task::Wake,
};

use ottla_model::{Cluster, ClusterConfig};
use ottla_scenario::Weather;
use shuttle::sync::{Condvar, Mutex, MutexGuard};

use crate::network::{Key, Net, Shared, TOPIC, Woken};

/// Of the topic.
pub(super) const PARTITIONS: u32 = 2;

thread_local! {
    // Where the next producer dials. All of shuttle's threads are one.
    static NEXT: RefCell<Option<Wire>> = const { RefCell::new(None) };
}

/// Sockets, the broker behind them, and who sleeps on either side.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    net: Shared,
    signals: Arc<Signals>,
}

#[derive(Debug)]
struct Signals {
    state: Mutex<State>,
    poller: Condvar,
    broker: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The poller is to end its wait.
    woken: bool,
    ready: Vec<Woken>,
    /// Of tasks, for their sockets.
    wakers: BTreeMap<Key, Waker>,
    /// The broker has something to read.
    sent: bool,
    over: bool,
}

impl Signals {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Signals {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.lock().woken = true;
        self.poller.notify_one();
    }
}

impl Wire {
    pub(super) fn new() -> Self {
        let mut cluster = Cluster::new(ClusterConfig::with_nodes(1));
        cluster.create_topic(TOPIC, PARTITIONS).expect("a topic");
        let net = Shared::new(cluster, 1);
        net.lock().weather = Weather { latency: (0, 0), ..Weather::FAIR };
        let (state, poller, broker) = (Mutex::default(), Condvar::new(), Condvar::new());
        Self { net, signals: Arc::new(Signals { state, poller, broker }) }
    }

    /// The next producer dials here.
    pub(super) fn be_next(&self) {
        NEXT.set(Some(self.clone()));
    }

    /// The one that was said to be.
    pub(super) fn next() -> Option<Self> {
        NEXT.take()
    }

    pub(super) fn net(&self) -> std::sync::MutexGuard<'_, Net> {
        self.net.lock()
    }

    /// Wakes a poller.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.signals))
    }

    /// Waits until it was woken or there are sockets that may go on; or not, and returns those that there are.
    pub(super) fn poll(&self, waits: bool) -> Vec<Woken> {
        let mut state = self.signals.lock();
        while waits && !state.woken && state.ready.is_empty() {
            state = self.signals.poller.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.woken = false;
        core::mem::take(&mut state.ready)
    }

    /// Wakes a task once its socket may go on, be it that it may since it was asked in vain.
    pub(super) fn register(&self, key: Key, waker: &Waker) {
        let mut state = self.signals.lock();
        let known = state.ready.iter().position(|woken| woken.key == key);
        match known.map(|at| state.ready.swap_remove(at)) {
            Some(_) => {
                drop(state);
                waker.wake_by_ref();
            }
            None => drop(state.wakers.insert(key, waker.clone())),
        }
    }

    pub(super) fn write(&self, key: Key, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.net().write(key, pieces.iter().map(|piece| &**piece));
        self.notify_broker();
        written
    }

    pub(super) fn close(&self, key: Key) {
        self.net().close(key);
        self.signals.lock().wakers.remove(&key);
        self.notify_broker();
    }

    /// Something was sent, or asked for in vain.
    fn notify_broker(&self) {
        self.signals.lock().sent = true;
        self.signals.broker.notify_one();
    }

    /// Has [`Wire::serve`] return.
    pub(super) fn end(&self) {
        self.signals.lock().over = true;
        self.signals.broker.notify_one();
    }

    /// Answers what comes, at some time after it has come.
    pub(super) fn serve(&self) {
        loop {
            let mut state = self.signals.lock();
            while !state.sent && !state.over {
                state = self.signals.broker.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !core::mem::take(&mut state.sent) {
                return;
            }
            drop(state);
            let mut net = self.net();
            // There and back.
            for _ in 0..4 {
                net.advance();
            }
            let ready = core::mem::take(&mut net.ready);
            drop(net);
            let mut state = self.signals.lock();
            let mut wakers = Vec::new();
            for woken in ready {
                match state.wakers.remove(&woken.key) {
                    Some(waker) => wakers.push(waker),
                    None => state.ready.push(woken),
                }
            }
            drop(state);
            self.signals.poller.notify_one();
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}
