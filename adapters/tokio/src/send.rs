//! A record on its way into the core.

use core::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use ottla_client::{Receipt, Record, SendError, Shards, Topic};
use tokio::{runtime::Handle, task::coop::consume_budget};

use crate::{runtime::until, turn};

type Patient<'a, R> = Pin<Box<dyn Future<Output = Result<R, SendError>> + core::marker::Send + 'a>>;

/// Ready once the record was taken, which most are at once: by hand, since an `async fn` moves all that it
/// was given before it begins.
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Send<'a, R> {
    shards: &'a Shards,
    runtime: &'a Handle,
    topic: &'a Topic,
    record: &'a Record<'a>,
    patient: Option<Patient<'a, R>>,
}

impl<'a, R> Send<'a, R> {
    pub(crate) const fn new(
        shards: &'a Shards,
        runtime: &'a Handle,
        topic: &'a Topic,
        record: &'a Record<'a>,
    ) -> Self {
        Self { shards, runtime, topic, record, patient: None }
    }
}

impl<'a, R: Receipt + 'a> Future for Send<'a, R> {
    type Output = Result<R, SendError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.patient.is_none() {
            // A task that sends and sends would never let the driver run on its thread. Before the
            // record is taken, as this may be dropped while it waits.
            if turn::is_due(this.record) {
                ready!(pin!(consume_budget()).poll(cx));
            }
            if let Some(receipt) = this.shards.send_now(this.topic, this.record) {
                return Poll::Ready(Ok(receipt));
            }
        }
        this.wait(cx)
    }
}

impl<'a, R: Receipt + 'a> Send<'a, R> {
    #[cold]
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, SendError>> {
        let Self { shards, runtime, topic, record, patient } = self;
        let begin = || -> Patient<'a, R> { Box::pin(send(shards, runtime, topic, record)) };
        patient.get_or_insert_with(begin).as_mut().poll(cx)
    }
}

/// Waits for memory or for the topic to be known.
async fn send<R: Receipt>(
    shards: &Shards,
    runtime: &Handle,
    topic: &Topic,
    record: &Record<'_>,
) -> Result<R, SendError> {
    let mut sending = shards.sending(topic, record);
    let Some(at) = shards.clock().std(sending.wait_until()) else {
        return sending.await;
    };
    match until(runtime, at, &mut sending).await {
        Some(result) => result,
        None => sending.give_up(),
    }
}
