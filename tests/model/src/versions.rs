//! Which versions of which APIs a node speaks.

use std::collections::BTreeMap;

use ottla_core::wire::{ApiKey, VersionRange};

/// FETCH, which the core does not know: for who reads the logs back, and because librdkafka takes a broker without it for
/// one that does not know record batches, and sends message sets.
pub(crate) const FETCH: ApiKey = ApiKey(1);
/// The versions of it that are spoken.
const FETCH_VERSIONS: VersionRange = VersionRange { min: 4, max: 11 };

/// The version ranges of a node, as ApiVersions tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions(BTreeMap<ApiKey, VersionRange>);

impl Versions {
    /// No API at all: the base for rare mixtures.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// As Kafka 2.8: no topic ids, Produce to 9, Metadata to 11.
    #[must_use]
    pub fn kafka_2_8() -> Self {
        Self::of(9, 11, 4, 3).with(FETCH, 4, 11)
    }

    /// As Kafka 3.9: topic ids in Metadata, not in Produce.
    #[must_use]
    pub fn kafka_3_9() -> Self {
        Self::of(11, 12, 5, 4).with(FETCH, 4, 11)
    }

    /// As Kafka 4.x: topic ids in Produce.
    #[must_use]
    pub fn kafka_4() -> Self {
        Self::of(13, 13, 5, 4).with(FETCH, 4, 11)
    }

    fn of(produce: i16, metadata: i16, init_producer_id: i16, api_versions: i16) -> Self {
        // Produce is said to begin at 0 although it does not (KAFKA-18659): `speaks` knows better.
        Self::none()
            .with(ApiKey::PRODUCE, 0, produce)
            .with(ApiKey::METADATA, 1, metadata)
            .with(ApiKey::API_VERSIONS, 0, api_versions)
            .with(ApiKey::INIT_PRODUCER_ID, 0, init_producer_id)
            .with(ApiKey::DESCRIBE_PRODUCERS, 0, 0)
            .with(ApiKey::SASL_HANDSHAKE, 0, 1)
            .with(ApiKey::SASL_AUTHENTICATE, 0, 2)
    }

    /// The same with another range for one API.
    #[must_use]
    pub fn with(mut self, api: ApiKey, min: i16, max: i16) -> Self {
        self.0.insert(api, VersionRange { min, max });
        self
    }

    /// The same without one API.
    #[must_use]
    pub fn without(mut self, api: ApiKey) -> Self {
        self.0.remove(&api);
        self
    }

    /// The range of one API.
    #[must_use]
    pub fn range(&self, api: ApiKey) -> Option<VersionRange> {
        self.0.get(&api).copied()
    }

    /// All ranges, by API key.
    pub fn ranges(&self) -> impl Iterator<Item = (ApiKey, VersionRange)> + '_ {
        self.0.iter().map(|(&api, &range)| (api, range))
    }

    /// How many APIs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no API at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request of this version is handled: in range, and there is a codec.
    #[must_use]
    pub fn speaks(&self, api: ApiKey, version: i16) -> bool {
        let contains = |range: Option<VersionRange>| range.is_some_and(|r| r.contains(version));
        let ours = if api == FETCH { Some(FETCH_VERSIONS) } else { api.versions() };
        contains(self.range(api)) && contains(ours)
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::kafka_4()
    }
}
