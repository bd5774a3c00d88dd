//! How a producer is made, whatever it runs on.

use core::fmt;
use std::sync::Arc;

use ottla_core::{Config, Limits};

#[cfg(feature = "sasl")]
use crate::engine::token_source::{OAuthToken, TokenError, TokenSource};
use crate::{
    client::{
        callbacks::{Callbacks, OwnPartitioner},
        shards::{MOST, Shards},
    },
    compression::{CompressionProperties, Compressor},
    delivery::outcome::Report,
    engine::hold::{self, Hold},
    error::BuildError,
    record::Record,
    security::{Security, SecurityProperties},
};

/// What a producer's engines run on.
pub trait Place: Sized {
    /// The producer that comes of it.
    type Producer;

    /// What its handles hold on to while it runs.
    #[doc(hidden)]
    type Running;

    /// The place where nobody has named one.
    #[doc(hidden)]
    fn find() -> Result<Self, BuildError>;

    /// Whether all is there that a producer needs.
    #[doc(hidden)]
    fn check(&self) -> Result<(), BuildError> {
        Ok(())
    }

    /// Gives each engine a driver.
    #[doc(hidden)]
    fn start(self, shards: Shards, security: &Security) -> Result<Self::Producer, BuildError>;
}

/// A producer to be, on a place `P` to run.
pub struct Builder<P> {
    properties: Vec<(String, String)>,
    limits: Option<Limits>,
    callbacks: Callbacks,
    shards: Option<usize>,
    security: SecurityProperties,
    compression: CompressionProperties,
    #[cfg(feature = "sasl")]
    pub(crate) token: Option<TokenSource>,
    place: Option<P>,
}

impl<P> fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties: Vec<(&str, &str)> = self
            .properties
            .iter()
            .map(|(name, value)| {
                let hidden = SecurityProperties::is_secret(name, value);
                (&**name, if hidden { "[hidden]" } else { value })
            })
            .collect();
        f.debug_struct("Builder")
            .field("properties", &properties)
            .field("limits", &self.limits)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

impl<P: Place> Default for Builder<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Place> Builder<P> {
    /// One without a property.
    #[must_use]
    pub fn new() -> Self {
        Self {
            properties: Vec::new(),
            limits: None,
            callbacks: Callbacks::default(),
            shards: None,
            security: SecurityProperties::default(),
            compression: CompressionProperties::default(),
            #[cfg(feature = "sasl")]
            token: None,
            place: None,
        }
    }

    /// Adds a property by Kafka's name, or librdkafka's; of two with one name the later one counts. It is judged by [`Builder::build`].
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds many.
    #[must_use]
    pub fn properties<N: AsRef<str>, V: AsRef<str>>(
        self,
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let add =
            |builder: Self, (name, value): (N, V)| builder.property(name.as_ref(), value.as_ref());
        properties.into_iter().fold(self, add)
    }

    /// Sets how much there is room for. By default it follows `buffer.memory` and `batch.size`.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets the report callback, for records that are sent with a token.
    ///
    /// It is called by the task or thread that moves all bytes, so it should be quick, and must not block, nor
    /// wait for a delivery, which only that one could bring. Where it holds a handle to the producer itself, dropping the others does not end it: close it.
    /// While records come very fast, reports are told a millisecond's worth at a time.
    #[must_use]
    pub fn on_report(mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.callbacks.on_report = Some(Arc::new(on_report));
        self
    }

    /// Sets who chooses the partition of a record that names none: it gets the topic's name, the record and how many
    /// partitions the topic has, and may keep state. `None` leaves the choice to `partitioner.class`, which goes by the
    /// key; a number that is no partition's is refused as
    /// [`ProduceError::UnknownPartition`](ottla_core::ProduceError::UnknownPartition).
    ///
    /// It is called by who sends, without a lock, once the topic is known; where it panics, the send does. A record that
    /// waits for memory keeps the partition that was chosen for it, and one that [`Delivery`](crate::Delivery) is never
    /// made of, because `try_send` found no room, was asked about all the same.
    #[must_use]
    pub fn partitioner(
        mut self,
        choose: impl Fn(&str, &Record<'_>, u32) -> Option<u32> + Send + Sync + 'static,
    ) -> Self {
        self.callbacks.partitioner = Some(OwnPartitioner::new(choose));
        self
    }

    /// Sets how many cores share the work, a power of two up to 256; by default it is one.
    ///
    /// Each has partitions of its own, those whose number modulo `shards` is the same, and for them a
    /// lock, a task or thread, a connection to each broker, a producer id, and an equal part of `buffer.memory`
    /// or of the limits' pages and batches. A record must fit into that part. The order of records of
    /// one partition is kept, and so is that of records of one key.
    ///
    /// A record without a key goes to a shard by the thread that sends it, so that threads do not wait
    /// for each other; fewer threads than shards use a part of the memory. It pays
    /// where one core is busy all the time and the machine has processors, and the runtime threads, for more.
    /// `on_report` is then called by all of them, and so by several threads at a time.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Sets a TLS configuration of one's own, instead of the properties `ssl.*`: another provider, another verifier,
    /// keys that are in no file. It says `security.protocol=SSL` as well.
    ///
    /// Early data must stay off: a request that is sent early can be replayed.
    #[cfg(feature = "_tls")]
    #[must_use]
    pub fn tls(mut self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.security.own = Some(config.into());
        self
    }

    /// Sets who compresses batches, in the place of what `compression.type` names: `make` is called once for each shard.
    /// What it makes is tested when the producer is built: see [`Compressor`].
    #[must_use]
    pub fn compressor<C: Compressor + 'static>(
        mut self,
        make: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        self.compression.own = Some(Arc::new(move || Some(Box::new(make()))));
        self
    }

    /// Sets who fetches tokens for `sasl.mechanism=OAUTHBEARER`. Asked where a connection needs one, once four fifths of
    /// the last one's lifetime are over; called on a thread of its own, so that it may wait for another service. Where
    /// it has none, it is asked again after `retry.backoff.max.ms`, and an older one is used as long as it is good.
    /// Each shard asks for itself.
    #[cfg(feature = "sasl")]
    #[must_use]
    pub fn token(
        mut self,
        fetch: impl Fn() -> Result<OAuthToken, TokenError> + Send + Sync + 'static,
    ) -> Self {
        self.token = Some(TokenSource::blocking(fetch));
        self
    }

    /// Sets where to run.
    pub(crate) fn place(mut self, place: P) -> Self {
        self.place = Some(place);
        self
    }

    /// Makes the producer. It needs no network for that.
    ///
    /// # Errors
    ///
    /// Where a property or the configuration is refused, there is not as much memory, or what it is to run on
    /// is not there: a runtime that has all that a producer needs, or a thread.
    pub fn build(self) -> Result<P::Producer, BuildError> {
        self.build_on(&Config::default())
    }

    /// As [`Builder::build`], with the properties on top of `config`.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn build_on(self, config: &Config<'_>) -> Result<P::Producer, BuildError> {
        let place = self.place.map_or_else(P::find, Ok)?;
        place.check()?;
        let mut config = *config;
        let mut secured = self.security;
        let mut compression = self.compression;
        let mut held = None;
        for (name, value) in &self.properties {
            if SecurityProperties::knows(name) {
                secured.set(name, value)?;
            } else if CompressionProperties::knows(name) {
                compression.set(name, value)?;
            } else if name == hold::HOLD_BYTES {
                held = Some(hold::parse(value)?);
            } else {
                config.set(name, value)?;
            }
        }
        let security = Security::new(&secured)?;
        config.secured = security.is_on();
        #[cfg(feature = "sasl")]
        let login = security.login(secured, self.token.is_some())?;
        #[cfg(not(feature = "sasl"))]
        secured.without_sasl()?;
        let shards = self.shards.unwrap_or(1);
        let compressors = compression.compressors(config.compression, shards.min(MOST))?;
        let shards =
            Shards::compressing(&config, self.limits, self.callbacks, shards, compressors)?;
        if let Some(bytes) = held {
            let memory = config.buffer_memory / shards.engines().len().max(1) as u64;
            for engine in shards.engines() {
                engine.lock().hold = Hold::new(bytes, config.batch_size, memory);
            }
        }
        #[cfg(feature = "_tls")]
        for broker in shards.first().lock().core.brokers() {
            security.check_host(broker.address.map_or("", |at| at.host))?;
        }
        #[cfg(feature = "sasl")]
        if let Some(login) = &login {
            for engine in shards.engines() {
                engine.authenticate(login, self.token.as_ref())?;
            }
        }
        place.start(shards, &security)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Place for Nowhere {
        type Producer = Shards;
        type Running = ();

        fn find() -> Result<Self, BuildError> {
            Ok(Self)
        }

        fn start(self, shards: Shards, _: &Security) -> Result<Shards, BuildError> {
            Ok(shards)
        }
    }

    #[test]
    fn hold_bytes_is_how_much_may_be_due() {
        let build = |bytes: Option<&str>, shards: usize| {
            let builder = Builder::<Nowhere>::new().property("bootstrap.servers", "a:1");
            let bytes = bytes.map(|bytes| (hold::HOLD_BYTES, bytes));
            builder.properties(bytes).shards(shards).build().map_err(|error| error.to_string())
        };
        let begins_with = |bytes: Option<&str>, shards: usize, due: u64| {
            let shards = build(bytes, shards).unwrap();
            shards.engines().iter().all(|engine| {
                let hold = &mut engine.lock().hold;
                hold.note(due - 1);
                let too_early = hold.is_on();
                hold.note(due);
                hold.is_on() && !too_early
            })
        };
        assert!(begins_with(None, 1, hold::DEFAULT_HOLD));
        assert!(begins_with(Some(" 200000 "), 2, 200_000));
        assert!(begins_with(Some("99999999999"), 4, 2 << 20), "a quarter of each one's memory");
        assert!(!begins_with(Some("0"), 2, u64::MAX - 1));
        let refused = build(Some("all"), 1).unwrap_err();
        assert!(
            refused.contains("hold.bytes") && refused.contains("0 to hold nobody"),
            "{refused}"
        );
    }
}
