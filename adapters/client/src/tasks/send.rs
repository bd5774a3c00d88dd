//! A record on its way into the core.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{
    client::{
        send::SendFuture,
        shards::{Shards, Topic},
    },
    delivery::delivery_future::Receipt,
    error::SendError,
    record::Record,
    tasks::{
        cooperative_yield,
        runtime::{Runtime, until},
    },
};

pub(super) type Patient<'a, R> =
    Pin<Box<dyn Future<Output = Result<R, SendError>> + core::marker::Send + 'a>>;

/// Ready once the record was taken, which most are at once: by hand, since an `async fn` moves all that it
/// was given before it begins.
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Send<'a, A, R> {
    shards: &'a Shards,
    runtime: &'a A,
    topic: &'a Topic,
    record: &'a Record<'a>,
    patient: Option<Patient<'a, R>>,
}

impl<'a, A: Runtime, R> Send<'a, A, R> {
    pub(crate) const fn new(
        shards: &'a Shards,
        runtime: &'a A,
        topic: &'a Topic,
        record: &'a Record<'a>,
    ) -> Self {
        Self { shards, runtime, topic, record, patient: None }
    }
}

impl<'a, A: Runtime, R: Receipt + 'a> Future for Send<'a, A, R> {
    type Output = Result<R, SendError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.patient.is_none() {
            // A task that sends and sends would never let the driver run on its thread. Before the
            // record is taken, as this may be dropped while it waits.
            if cooperative_yield::is_due(this.record) {
                ready!(A::poll_turn(cx));
            }
            if let Some(receipt) = this.shards.send_now(this.topic, this.record) {
                return Poll::Ready(Ok(receipt));
            }
        }
        this.wait(cx)
    }
}

impl<'a, A: Runtime, R: Receipt + 'a> Send<'a, A, R> {
    #[cold]
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, SendError>> {
        let Self { shards, runtime, topic, record, patient } = self;
        let begin = || -> Patient<'a, R> {
            Box::pin(send(shards.sending(topic, record), shards, *runtime))
        };
        patient.get_or_insert_with(begin).as_mut().poll(cx)
    }
}

/// Waits for memory or for the topic to be known.
pub(super) async fn send<A: Runtime, R: Receipt>(
    mut sending: SendFuture<'_, R>,
    shards: &Shards,
    runtime: &A,
) -> Result<R, SendError> {
    let Some(at) = shards.clock().std(sending.wait_until()) else {
        return sending.await;
    };
    match until(runtime, at, &mut sending).await {
        Some(result) => result,
        None => sending.give_up(),
    }
}
