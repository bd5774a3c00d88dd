//! The producer as an async application holds it.

use core::{future::Future, time::Duration};
use std::sync::Arc;

use ottla_core::Ticket;

#[cfg(feature = "sasl")]
use crate::engine::token_source::{OAuthToken, TokenError, TokenSource};
use crate::{
    client::{
        builder::{Builder, Place},
        flush_close::CloseReport,
        producer,
        shards::{Shards, Topic},
    },
    delivery::{delivery_future::Delivery, outcome::OutcomeCounts},
    error::{BuildError, SendError},
    record::Record,
    security::Security,
    tasks::{
        drive::Drive,
        runtime::{Runtime, until},
        send::Send,
    },
};

/// A handle to a producer. Clones are handles to the same one, and cheap.
///
/// When the last handle is dropped, the producer goes on in the background until what was sent is
/// settled, for at most `delivery.timeout.ms`; [`Producer::close`] waits for that and tells.
///
/// It lives on the runtime that it was built on, and can be used from anywhere else. While that runtime
/// does not run, be it that its only thread is blocked, nothing is sent, and no time passes for those
/// that wait: `send`, `flush` and `close` return only when it runs again. A record's own deadline is
/// answered all the same to who asks: [`Delivery::try_outcome`], [`Delivery::cancel`], or a delivery
/// that is polled.
pub type Producer<R> = producer::Producer<Tasks<R>>;

/// Runs a producer's engines as tasks of a runtime.
#[derive(Debug)]
pub struct Tasks<R>(R);

impl<R: Runtime> Place for Tasks<R> {
    type Producer = Producer<R>;
    type Running = R;

    fn find() -> Result<Self, BuildError> {
        R::current().map(Self)
    }

    fn check(&self) -> Result<(), BuildError> {
        self.0.check()
    }

    fn start(self, shards: Shards, security: &Security) -> Result<Producer<R>, BuildError> {
        let Self(runtime) = self;
        for engine in shards.engines() {
            runtime.spawn(Drive::new(Arc::clone(engine), runtime.clone(), security.clone()));
        }
        Ok(Producer::of(shards, runtime))
    }
}

impl<R: Runtime> Builder<Tasks<R>> {
    /// Sets the runtime to run on; by default it is the one that `build` is called in. The producer may be
    /// used from other threads and executors; see [`Producer`].
    #[must_use]
    pub fn runtime(self, runtime: impl Into<R>) -> Self {
        self.place(Tasks(runtime.into()))
    }

    /// As [`Builder::token`], by a future that runs as a task of its own on the producer's runtime.
    #[cfg(feature = "sasl")]
    #[must_use]
    pub fn token_future<F>(
        mut self,
        fetch: impl Fn() -> F + core::marker::Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<OAuthToken, TokenError>> + core::marker::Send + 'static,
    {
        self.token = Some(TokenSource::new(move |wanted| {
            // The driver asks, which is a task of that runtime.
            if let Ok(runtime) = R::current() {
                let fetched = fetch();
                runtime.spawn(async move { wanted.answer(fetched.await) });
            }
        }));
        self
    }
}

impl<R: Runtime> Producer<R> {
    /// Sends a record. Waits for memory, or for the topic to be known, up to `max.block.ms` or the record's
    /// own timeout.
    ///
    /// The record is copied before this returns. Dropping the future before means that the record
    /// was not taken. To drop the delivery is to detach from it.
    ///
    /// # Errors
    ///
    /// Where the record was not taken; with a token also where there is no `on_report`.
    pub fn send<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
    ) -> impl Future<Output = Result<Delivery, SendError>> + 'a {
        Send::new(self.shards(), self.running(), topic, record)
    }

    /// As [`Producer::send`], for a record of which only `on_report` is told, if it has a token. The ticket
    /// is for [`Producer::cancel`]; it holds on to nothing, and so costs a little less than a delivery.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub fn send_detached<'a>(
        &'a self,
        topic: &'a Topic,
        record: &'a Record<'a>,
    ) -> impl Future<Output = Result<Ticket, SendError>> + 'a {
        Send::new(self.shards(), self.running(), topic, record)
    }

    /// As [`Producer::send`], if the record can be taken at once.
    ///
    /// # Errors
    ///
    /// Where it cannot; the record is still the caller's.
    pub fn try_send(&self, topic: &Topic, record: &Record<'_>) -> Result<Delivery, SendError> {
        self.shards().try_send(topic, record)
    }

    /// Sends what is buffered at once, and waits until each record that was taken before has an
    /// answer. Returns how many answers of which kind came meanwhile.
    pub async fn flush(&self) -> OutcomeCounts {
        self.shards().flush().await
    }

    /// Takes no more records, and waits until all are settled, but not much longer than `timeout`:
    /// what has no answer by then gets one, which may be `Unknown`.
    pub async fn close(&self, timeout: Duration) -> CloseReport {
        let mut closing = self.shards().close(timeout);
        let guard = self.shards().clock().std(closing.wait_until());
        let Some(guard) = guard else {
            return closing.await;
        };
        match until(self.running(), guard, &mut closing).await {
            Some(report) => report,
            None => closing.give_up(),
        }
    }
}
