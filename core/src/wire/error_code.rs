//! Error codes by name, and what each proves.

use core::fmt;

/// An error code as a broker sent it; unknown ones are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // an open newtype
pub struct ErrorCode(pub i16);

/// What an answer to an attempt to produce proves about that attempt, and about no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // a truth of three values
pub enum Evidence {
    /// This attempt did not append the batch. An earlier one may have.
    NotAppended,
    /// This attempt may or may not have appended the batch.
    Ambiguous,
    /// The batch is in the log and acknowledged, by this attempt or by an earlier one.
    Appended,
}

/// What may mend an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Trying again, with newer metadata.
    Refresh,
    /// Trying again.
    Retry,
    /// Neither.
    Nothing,
}

macro_rules! error_codes {
    ($($code:literal $name:ident: $remedy:ident, $evidence:ident;)+) => {
        impl ErrorCode {
            $(
                #[doc = concat!("`", stringify!($name), "` (", stringify!($code), ").")]
                pub const $name: Self = Self($code);
            )+

            /// Every code that this crate has a name for, in order.
            pub const KNOWN: &'static [Self] = &[$(Self($code),)+];

            /// Kafka's name; `None` for a code that is newer than this crate.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)+
                    _ => None,
                }
            }

            const fn remedy(self) -> Remedy {
                match self.0 {
                    $($code => Remedy::$remedy,)+
                    _ => Remedy::Retry,
                }
            }

            /// What this answer to an attempt to produce proves about that attempt. An unknown
            /// code proves nothing.
            #[must_use]
            pub const fn evidence(self) -> Evidence {
                match self.0 {
                    $($code => Evidence::$evidence,)+
                    _ => Evidence::Ambiguous,
                }
            }
        }
    };
}

impl ErrorCode {
    /// Whether the same request may be answered otherwise when it is sent again. Unknown codes
    /// are retriable.
    ///
    /// Follows Java, save for four codes that Java gives up on: UNKNOWN_SERVER_ERROR and
    /// BROKER_NOT_AVAILABLE say nothing about the batch, so that asking again is the only way to
    /// the truth, INVALID_REPLICATION_FACTOR is what Metadata says while too few brokers are
    /// up to create the topic, and ILLEGAL_SASL_STATE is about the connection and not about the batch.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self.remedy(), Remedy::Retry | Remedy::Refresh)
    }

    /// Whether metadata must be asked for again before another attempt is of use.
    ///
    /// Unlike in Java, also at UNKNOWN_LEADER_EPOCH and BROKER_NOT_AVAILABLE: both say that the
    /// broker and this client disagree about the cluster.
    #[must_use]
    pub const fn refreshes_metadata(self) -> bool {
        matches!(self.remedy(), Remedy::Refresh)
    }

    /// Whether this is [`Self::NONE`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

// Codes, names and remedies are those of `org.apache.kafka.common.protocol.Errors` 4.4.0. The
// evidence is read from the broker's append path; a code that no broker answers to a produce
// request proves nothing, and so is ambiguous.
error_codes! {
    -1 UNKNOWN_SERVER_ERROR: Retry, Ambiguous;
    0 NONE: Nothing, Appended;
    1 OFFSET_OUT_OF_RANGE: Nothing, Ambiguous;
    2 CORRUPT_MESSAGE: Retry, NotAppended;
    3 UNKNOWN_TOPIC_OR_PARTITION: Refresh, Ambiguous;
    4 INVALID_FETCH_SIZE: Nothing, Ambiguous;
    5 LEADER_NOT_AVAILABLE: Refresh, Ambiguous;
    6 NOT_LEADER_OR_FOLLOWER: Refresh, Ambiguous;
    7 REQUEST_TIMED_OUT: Retry, Ambiguous;
    8 BROKER_NOT_AVAILABLE: Refresh, Ambiguous;
    9 REPLICA_NOT_AVAILABLE: Refresh, Ambiguous;
    10 MESSAGE_TOO_LARGE: Nothing, NotAppended;
    11 STALE_CONTROLLER_EPOCH: Nothing, Ambiguous;
    12 OFFSET_METADATA_TOO_LARGE: Nothing, Ambiguous;
    13 NETWORK_EXCEPTION: Refresh, Ambiguous;
    14 COORDINATOR_LOAD_IN_PROGRESS: Retry, Ambiguous;
    15 COORDINATOR_NOT_AVAILABLE: Retry, Ambiguous;
    16 NOT_COORDINATOR: Retry, Ambiguous;
    17 INVALID_TOPIC_EXCEPTION: Nothing, NotAppended;
    18 RECORD_LIST_TOO_LARGE: Nothing, NotAppended;
    19 NOT_ENOUGH_REPLICAS: Retry, NotAppended;
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND: Retry, Ambiguous;
    21 INVALID_REQUIRED_ACKS: Nothing, NotAppended;
    22 ILLEGAL_GENERATION: Nothing, Ambiguous;
    23 INCONSISTENT_GROUP_PROTOCOL: Nothing, Ambiguous;
    24 INVALID_GROUP_ID: Nothing, Ambiguous;
    25 UNKNOWN_MEMBER_ID: Nothing, Ambiguous;
    26 INVALID_SESSION_TIMEOUT: Nothing, Ambiguous;
    27 REBALANCE_IN_PROGRESS: Nothing, Ambiguous;
    28 INVALID_COMMIT_OFFSET_SIZE: Nothing, Ambiguous;
    29 TOPIC_AUTHORIZATION_FAILED: Nothing, NotAppended;
    30 GROUP_AUTHORIZATION_FAILED: Nothing, Ambiguous;
    31 CLUSTER_AUTHORIZATION_FAILED: Nothing, NotAppended;
    32 INVALID_TIMESTAMP: Nothing, NotAppended;
    33 UNSUPPORTED_SASL_MECHANISM: Nothing, Ambiguous;
    34 ILLEGAL_SASL_STATE: Retry, NotAppended;
    35 UNSUPPORTED_VERSION: Nothing, NotAppended;
    36 TOPIC_ALREADY_EXISTS: Nothing, Ambiguous;
    37 INVALID_PARTITIONS: Nothing, Ambiguous;
    38 INVALID_REPLICATION_FACTOR: Retry, Ambiguous;
    39 INVALID_REPLICA_ASSIGNMENT: Nothing, Ambiguous;
    40 INVALID_CONFIG: Nothing, Ambiguous;
    41 NOT_CONTROLLER: Retry, Ambiguous;
    42 INVALID_REQUEST: Nothing, NotAppended;
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT: Nothing, NotAppended;
    44 POLICY_VIOLATION: Nothing, NotAppended;
    45 OUT_OF_ORDER_SEQUENCE_NUMBER: Nothing, NotAppended;
    46 DUPLICATE_SEQUENCE_NUMBER: Nothing, Appended;
    47 INVALID_PRODUCER_EPOCH: Nothing, NotAppended;
    48 INVALID_TXN_STATE: Nothing, NotAppended;
    49 INVALID_PRODUCER_ID_MAPPING: Nothing, NotAppended;
    50 INVALID_TRANSACTION_TIMEOUT: Nothing, Ambiguous;
    51 CONCURRENT_TRANSACTIONS: Retry, NotAppended;
    52 TRANSACTION_COORDINATOR_FENCED: Nothing, Ambiguous;
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Nothing, NotAppended;
    54 SECURITY_DISABLED: Nothing, Ambiguous;
    55 OPERATION_NOT_ATTEMPTED: Nothing, Ambiguous;
    56 KAFKA_STORAGE_ERROR: Refresh, Ambiguous;
    57 LOG_DIR_NOT_FOUND: Nothing, Ambiguous;
    58 SASL_AUTHENTICATION_FAILED: Nothing, Ambiguous;
    59 UNKNOWN_PRODUCER_ID: Nothing, NotAppended;
    60 REASSIGNMENT_IN_PROGRESS: Nothing, Ambiguous;
    61 DELEGATION_TOKEN_AUTH_DISABLED: Nothing, Ambiguous;
    62 DELEGATION_TOKEN_NOT_FOUND: Nothing, Ambiguous;
    63 DELEGATION_TOKEN_OWNER_MISMATCH: Nothing, Ambiguous;
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: Nothing, Ambiguous;
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED: Nothing, Ambiguous;
    66 DELEGATION_TOKEN_EXPIRED: Nothing, Ambiguous;
    67 INVALID_PRINCIPAL_TYPE: Nothing, Ambiguous;
    68 NON_EMPTY_GROUP: Nothing, Ambiguous;
    69 GROUP_ID_NOT_FOUND: Nothing, Ambiguous;
    70 FETCH_SESSION_ID_NOT_FOUND: Retry, Ambiguous;
    71 INVALID_FETCH_SESSION_EPOCH: Retry, Ambiguous;
    72 LISTENER_NOT_FOUND: Refresh, Ambiguous;
    73 TOPIC_DELETION_DISABLED: Nothing, Ambiguous;
    74 FENCED_LEADER_EPOCH: Refresh, Ambiguous;
    75 UNKNOWN_LEADER_EPOCH: Refresh, Ambiguous;
    76 UNSUPPORTED_COMPRESSION_TYPE: Nothing, NotAppended;
    77 STALE_BROKER_EPOCH: Nothing, Ambiguous;
    78 OFFSET_NOT_AVAILABLE: Retry, Ambiguous;
    79 MEMBER_ID_REQUIRED: Nothing, Ambiguous;
    80 PREFERRED_LEADER_NOT_AVAILABLE: Refresh, Ambiguous;
    81 GROUP_MAX_SIZE_REACHED: Nothing, Ambiguous;
    82 FENCED_INSTANCE_ID: Nothing, Ambiguous;
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE: Refresh, Ambiguous;
    84 ELECTION_NOT_NEEDED: Refresh, Ambiguous;
    85 NO_REASSIGNMENT_IN_PROGRESS: Nothing, Ambiguous;
    86 GROUP_SUBSCRIBED_TO_TOPIC: Nothing, Ambiguous;
    87 INVALID_RECORD: Nothing, NotAppended;
    88 UNSTABLE_OFFSET_COMMIT: Retry, Ambiguous;
    89 THROTTLING_QUOTA_EXCEEDED: Retry, NotAppended;
    90 PRODUCER_FENCED: Nothing, NotAppended;
    91 RESOURCE_NOT_FOUND: Nothing, Ambiguous;
    92 DUPLICATE_RESOURCE: Nothing, Ambiguous;
    93 UNACCEPTABLE_CREDENTIAL: Nothing, Ambiguous;
    94 INCONSISTENT_VOTER_SET: Nothing, Ambiguous;
    95 INVALID_UPDATE_VERSION: Nothing, Ambiguous;
    96 FEATURE_UPDATE_FAILED: Nothing, Ambiguous;
    97 PRINCIPAL_DESERIALIZATION_FAILURE: Nothing, Ambiguous;
    98 SNAPSHOT_NOT_FOUND: Nothing, Ambiguous;
    99 POSITION_OUT_OF_RANGE: Nothing, Ambiguous;
    100 UNKNOWN_TOPIC_ID: Refresh, NotAppended;
    101 DUPLICATE_BROKER_REGISTRATION: Nothing, Ambiguous;
    102 BROKER_ID_NOT_REGISTERED: Nothing, Ambiguous;
    103 INCONSISTENT_TOPIC_ID: Refresh, NotAppended;
    104 INCONSISTENT_CLUSTER_ID: Nothing, Ambiguous;
    105 TRANSACTIONAL_ID_NOT_FOUND: Nothing, Ambiguous;
    106 FETCH_SESSION_TOPIC_ID_ERROR: Retry, Ambiguous;
    107 INELIGIBLE_REPLICA: Nothing, Ambiguous;
    108 NEW_LEADER_ELECTED: Nothing, Ambiguous;
    109 OFFSET_MOVED_TO_TIERED_STORAGE: Nothing, Ambiguous;
    110 FENCED_MEMBER_EPOCH: Nothing, Ambiguous;
    111 UNRELEASED_INSTANCE_ID: Nothing, Ambiguous;
    112 UNSUPPORTED_ASSIGNOR: Nothing, Ambiguous;
    113 STALE_MEMBER_EPOCH: Nothing, Ambiguous;
    114 MISMATCHED_ENDPOINT_TYPE: Nothing, Ambiguous;
    115 UNSUPPORTED_ENDPOINT_TYPE: Nothing, Ambiguous;
    116 UNKNOWN_CONTROLLER_ID: Nothing, Ambiguous;
    117 UNKNOWN_SUBSCRIPTION_ID: Nothing, Ambiguous;
    118 TELEMETRY_TOO_LARGE: Nothing, Ambiguous;
    119 INVALID_REGISTRATION: Nothing, Ambiguous;
    120 TRANSACTION_ABORTABLE: Nothing, NotAppended;
    121 INVALID_RECORD_STATE: Nothing, Ambiguous;
    122 SHARE_SESSION_NOT_FOUND: Retry, Ambiguous;
    123 INVALID_SHARE_SESSION_EPOCH: Retry, Ambiguous;
    124 FENCED_STATE_EPOCH: Nothing, Ambiguous;
    125 INVALID_VOTER_KEY: Nothing, Ambiguous;
    126 DUPLICATE_VOTER: Nothing, Ambiguous;
    127 VOTER_NOT_FOUND: Nothing, Ambiguous;
    128 INVALID_REGULAR_EXPRESSION: Nothing, Ambiguous;
    129 REBOOTSTRAP_REQUIRED: Nothing, Ambiguous;
    130 STREAMS_INVALID_TOPOLOGY: Nothing, Ambiguous;
    131 STREAMS_INVALID_TOPOLOGY_EPOCH: Nothing, Ambiguous;
    132 STREAMS_TOPOLOGY_FENCED: Nothing, Ambiguous;
    133 SHARE_SESSION_LIMIT_REACHED: Retry, Ambiguous;
    134 GROUP_DELETION_FAILED: Nothing, Ambiguous;
    135 STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED: Nothing, Ambiguous;
    136 CONTROLLER_ID_NOT_REGISTERED: Nothing, Ambiguous;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "unknown error code ({})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn errors_are_told_by_name() {
        assert_eq!(ErrorCode::NOT_LEADER_OR_FOLLOWER.to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
        assert_eq!(ErrorCode(999).to_string(), "unknown error code (999)");
    }

    #[test]
    fn an_unknown_code_proves_nothing_and_is_tried_again() {
        for code in [ErrorCode(137), ErrorCode(i16::MAX), ErrorCode(i16::MIN)] {
            assert_eq!(code.evidence(), Evidence::Ambiguous);
            assert!(code.is_retriable());
            assert!(!code.refreshes_metadata());
        }
    }

    #[test]
    fn only_two_codes_prove_an_append() {
        let appended = (i16::MIN..=i16::MAX)
            .map(ErrorCode)
            .filter(|code| code.evidence() == Evidence::Appended);
        assert!(appended.eq([ErrorCode::NONE, ErrorCode::DUPLICATE_SEQUENCE_NUMBER]));
    }

    #[test]
    fn what_is_refreshed_is_retriable() {
        for code in (i16::MIN..=i16::MAX).map(ErrorCode) {
            assert!(code.is_retriable() || !code.refreshes_metadata(), "{code}");
        }
    }
}
