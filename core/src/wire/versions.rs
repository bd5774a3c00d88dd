//! API keys, and the versions that are spoken of each.

use core::fmt;

use super::Dialect;

/// An inclusive range of API versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the protocol has these two
pub struct VersionRange {
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

impl VersionRange {
    /// Whether `version` is in the range.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// The highest version that both ranges have; `None` where they have none in common.
///
/// Kafka 4.x says that Produce starts at 0 although it refuses versions below 3 (KAFKA-18659):
/// harmless, because only the highest common version is of interest.
#[must_use]
pub const fn negotiate(ours: VersionRange, theirs: VersionRange) -> Option<i16> {
    let max = if ours.max < theirs.max { ours.max } else { theirs.max };
    if ours.contains(max) && theirs.contains(max) { Some(max) } else { None }
}

/// An API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // an open newtype
pub struct ApiKey(pub i16);

macro_rules! api_keys {
    ($($code:literal $name:ident: $versions:expr, flexible $flexible:expr;)+) => {
        impl ApiKey {
            $(
                #[doc = concat!("`", stringify!($name), "` (", stringify!($code), ").")]
                pub const $name: Self = Self($code);
            )+

            /// Kafka's name; `None` for keys that this crate does not speak.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)+
                    _ => None,
                }
            }

            /// The versions that this crate reads and writes; `None` where it has no codec.
            #[must_use]
            pub const fn versions(self) -> Option<VersionRange> {
                match self.0 {
                    $($code => $versions,)+
                    _ => None,
                }
            }

            /// The first flexible version (KIP-482): compact lengths and tagged fields.
            #[must_use]
            pub const fn flexible_from(self) -> Option<i16> {
                match self.0 {
                    $($code => $flexible,)+
                    _ => None,
                }
            }
        }
    };
}

const fn versions(min: i16, max: i16) -> Option<VersionRange> {
    Some(VersionRange { min, max })
}

// From the schemas in kafka-clients 4.4.0, `common/message/*.json`.
api_keys! {
    0 PRODUCE: versions(3, 13), flexible Some(9);
    3 METADATA: versions(1, 13), flexible Some(9);
    17 SASL_HANDSHAKE: versions(1, 1), flexible None;
    18 API_VERSIONS: versions(0, 4), flexible Some(3);
    22 INIT_PRODUCER_ID: versions(0, 5), flexible Some(2);
    36 SASL_AUTHENTICATE: versions(0, 2), flexible Some(2);
    61 DESCRIBE_PRODUCERS: versions(0, 0), flexible Some(0);
}

impl ApiKey {
    /// Every API that this crate has a codec for.
    pub const SPOKEN: [Self; 7] = [
        Self::PRODUCE,
        Self::METADATA,
        Self::API_VERSIONS,
        Self::INIT_PRODUCER_ID,
        Self::DESCRIBE_PRODUCERS,
        Self::SASL_HANDSHAKE,
        Self::SASL_AUTHENTICATE,
    ];
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "unknown API key ({})", self.0),
        }
    }
}

/// How a version of an API lays out its messages. Unknown APIs are taken as not flexible, and
/// versions below 0 as 0: before that no message has any field, and arrays of nothing never end.
#[must_use]
pub const fn dialect(api: ApiKey, version: i16) -> Dialect {
    let version = if version < 0 { 0 } else { version };
    let flexible = match api.flexible_from() {
        Some(first) => version >= first,
        None => false,
    };
    Dialect { version, flexible }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn keys_are_told_by_name() {
        assert_eq!(ApiKey::PRODUCE.to_string(), "PRODUCE (0)");
        assert_eq!(ApiKey(99).to_string(), "unknown API key (99)");
    }

    #[test]
    fn negotiates_the_highest_common_version() {
        let range = |min, max| VersionRange { min, max };
        let ours = range(3, 13);
        assert_eq!(negotiate(ours, range(0, 13)), Some(13));
        assert_eq!(negotiate(ours, range(0, 9)), Some(9));
        assert_eq!(negotiate(ours, range(0, 20)), Some(13));
        assert_eq!(negotiate(ours, range(13, 20)), Some(13));
        assert_eq!(negotiate(ours, range(0, 2)), None);
        assert_eq!(negotiate(ours, range(14, 20)), None);
        assert_eq!(negotiate(ours, range(13, 3)), None);
    }

    #[test]
    fn versions_become_flexible() {
        for (api, first) in [
            (ApiKey::PRODUCE, 9),
            (ApiKey::METADATA, 9),
            (ApiKey::INIT_PRODUCER_ID, 2),
            (ApiKey::API_VERSIONS, 3),
            (ApiKey::SASL_AUTHENTICATE, 2),
        ] {
            assert!(!dialect(api, first - 1).flexible);
            assert!(dialect(api, first).flexible);
        }
        assert!(dialect(ApiKey::DESCRIBE_PRODUCERS, 0).flexible);
        assert!(!dialect(ApiKey::SASL_HANDSHAKE, 1).flexible);
        assert!(!dialect(ApiKey(99), 99).flexible);
        assert_eq!(dialect(ApiKey::PRODUCE, -1).version, 0);
    }
}
