//! What is asked of a runtime, from wherever.

use core::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use std::{panic::catch_unwind, time::Instant};

use ottla_client::BuildError;
use tokio::{
    runtime::Handle,
    time::{sleep, sleep_until},
};

/// Checks that a runtime has what a driver needs: better here than by a panic of its task.
pub(crate) fn check(runtime: &Handle) -> Result<(), BuildError> {
    let _entered = runtime.enter();
    // tokio has no other way to ask. Where it is without, its panic may be heard of on the way.
    let works = |touch: fn()| catch_unwind(AssertUnwindSafe(touch)).is_ok();
    if !works(|| drop(sleep(Duration::ZERO))) {
        return Err(BuildError::RuntimeWithout("time"));
    }
    if !works(touch_io) {
        return Err(BuildError::RuntimeWithout("io"));
    }
    Ok(())
}

/// Makes something that only a runtime with `io` can, and lets it go. Where the system does not give it,
/// nothing is found out.
#[cfg(unix)]
fn touch_io() {
    drop(tokio::net::UnixStream::pair());
}

#[cfg(not(unix))]
fn touch_io() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0");
    let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    if let Ok(socket) = socket {
        drop(tokio::net::UdpSocket::from_std(socket));
    }
}

/// Waits for a future until then at most, by a runtime's time, on whatever thread and executor.
pub(crate) async fn until<F: Future + Unpin>(
    runtime: &Handle,
    at: Instant,
    mut future: F,
) -> Option<F::Output> {
    let sleep = {
        let _entered = runtime.enter();
        sleep_until(at.into())
    };
    let mut sleep = pin!(sleep);
    poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}
