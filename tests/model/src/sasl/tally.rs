//! What clients did about SASL, right and wrong, for who judges them.

use std::collections::BTreeMap;

use ottla_core::wire::ApiKey;

/// How often what was done, by all connections together. The maps are of what a client must not do, and
/// of what it was refused for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslTally {
    /// First authentications of a connection that succeeded.
    pub authenticated: u64,
    /// Later ones of the same connection that did.
    pub reauthenticated: u64,
    /// Those that began when the session was over already, which a broker lets pass.
    pub late: u64,
    /// Authentications that were refused, by what was wrong.
    pub refused: BTreeMap<&'static str, u64>,
    /// Requests before authentication that may not be then, a second ApiVersions among them.
    pub before: BTreeMap<ApiKey, u64>,
    /// Requests between SaslHandshake and the end of the exchange that are none of it.
    pub between: BTreeMap<ApiKey, u64>,
    /// Requests when the session was over, a new handshake excepted.
    pub expired: BTreeMap<ApiKey, u64>,
    /// Handshakes within a second after the last one that began a re-authentication.
    pub too_soon: u64,
    /// Requests on connections on which the node told a lie about SASL that nobody may believe, by the
    /// kind of the lie.
    pub believed: BTreeMap<&'static str, u64>,
}

impl SaslTally {
    /// Counts one more.
    pub(crate) fn count<K: Ord>(of: &mut BTreeMap<K, u64>, what: K) {
        let count = of.entry(what).or_default();
        *count = count.saturating_add(1);
    }

    /// How many requests came that no client should send: before, between, and after the end of a
    /// session, and on the strength of a lie.
    #[must_use]
    pub fn violations(&self) -> u64 {
        let by_api = [&self.before, &self.between, &self.expired];
        let believed = self.believed.values();
        by_api.into_iter().flat_map(BTreeMap::values).chain(believed).sum()
    }
}
