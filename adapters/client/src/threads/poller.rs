//! What a system's poller supplies.

use core::{task::Waker, time::Duration};
use std::io;

use crate::{
    io::{
        driver::Driver,
        network::{Network, Ready},
    },
    threads::resolver::Resolver,
};

/// What a thread sleeps on until a link may go on.
pub trait Poller: Send + Sized + 'static {
    /// Dials, and has links that the poller hears of.
    type Network: Network + Send;

    /// A poller, and what wakes it from whatever thread.
    ///
    /// # Errors
    ///
    /// Where the operating system gives none.
    fn new() -> io::Result<(Self, Waker)>;

    /// A network for it, which has names looked up by `resolver`.
    ///
    /// # Errors
    ///
    /// Where the operating system does not give what it needs.
    fn network(&self, resolver: Resolver) -> io::Result<Self::Network>;

    /// Waits until a link may go on, the poller is woken, or so much time is over, and adds who is ready.
    ///
    /// # Errors
    ///
    /// Where the poller is of no use any more.
    fn wait(
        &mut self,
        driver: &mut Driver<Self::Network>,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()>;
}
