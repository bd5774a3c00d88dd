//! Nodes that lie: what a hostile node says in place of the truth, as data.

use std::collections::{BTreeMap, VecDeque};

use ottla_core::wire::{ApiKey, ErrorCode};

use crate::{Cluster, NodeId, cluster::AdminError, random::Random, sasl::SaslLie};

/// What a hostile node does with a request in place of answering it as it should.
///
/// Of partitions that another node leads it never says that a batch was appended: no client could
/// tell that from the truth. Of its own it may say anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It reads the request, and nothing more comes on this connection.
    Silence,
    /// It closes the connection.
    HangUp,
    /// The same, but for ApiVersions, which it answers.
    HangUpAfterVersions,
    /// These bytes in place of the answer.
    Garbage(Vec<u8>),
    /// An answer to another request.
    WrongCorrelation,
    /// Half of the answer, and then it closes the connection.
    HalfAnAnswer,
    /// The answer twice over.
    TwoAnswers,
    /// A frame that is announced to be so long.
    FrameLength(i32),
    /// The answer, and the wish not to be asked for so many milliseconds.
    Throttle(i32),
    /// ApiVersions: this API is not offered.
    Without(ApiKey),
    /// ApiVersions: this error, and no API.
    NoVersions(ErrorCode),
    /// InitProducerId: this error.
    NoProducerId(ErrorCode),
    /// InitProducerId: this id and epoch.
    ProducerId(i64, i16),
    /// Metadata: it leads every partition, at this epoch.
    LeadsAll(i32),
    /// Metadata: every partition is led as it is, at this epoch.
    Epoch(i32),
    /// Metadata: so many nodes that are none lead the partitions in turn; they are among the brokers
    /// as well, if so.
    InventedLeaders(i32, bool),
    /// Metadata: so many brokers beside those that there are.
    InventedBrokers(i32),
    /// Metadata: the other brokers listen on a port where nobody does.
    Addresses,
    /// Metadata: each topic has so many partitions, of which so many are listed.
    Partitions(u32, u32),
    /// Metadata: each topic has so many partitions, and its first one is listed as often.
    SamePartition(u32),
    /// Metadata: each topic has another id.
    TopicIds,
    /// Metadata: this error for each topic.
    TopicError(ErrorCode),
    /// Metadata: nothing of any topic.
    NoTopics,
    /// Metadata: the brokers are to be found anew.
    Rebootstrap,
    /// Produce: this error for each partition, and for those that it does not lead as well.
    Refuse(ErrorCode),
    /// Produce: not the leader; this one is, at this epoch.
    Hint(NodeId, i32),
    /// Produce: the batches of its own partitions lie at this offset, and are thrown away.
    Acknowledge(i64),
    /// Produce: nothing of any partition.
    LeaveOut,
    /// SaslHandshake or SaslAuthenticate: this.
    Sasl(SaslLie),
}

impl Lie {
    /// A word for each kind, as in [`Lie::KINDS`] and [`SaslLie::KINDS`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Silence => "hostile: silence",
            Self::HangUp | Self::HangUpAfterVersions => "hostile: hang-up",
            Self::Garbage(_) => "hostile: garbage",
            Self::WrongCorrelation => "hostile: wrong correlation id",
            Self::HalfAnAnswer => "hostile: half an answer",
            Self::TwoAnswers => "hostile: two answers",
            Self::FrameLength(_) => "hostile: frame length",
            Self::Throttle(_) => "hostile: throttle",
            Self::Without(_) => "hostile: API not offered",
            Self::NoVersions(_) => "hostile: no versions",
            Self::NoProducerId(_) => "hostile: no producer id",
            Self::ProducerId(..) => "hostile: odd producer id",
            Self::LeadsAll(_) => "hostile: leads all",
            Self::Epoch(_) => "hostile: leader epoch",
            Self::InventedLeaders(..) => "hostile: invented leaders",
            Self::InventedBrokers(_) => "hostile: invented brokers",
            Self::Addresses => "hostile: wrong addresses",
            Self::Partitions(..) | Self::SamePartition(_) => "hostile: partition count",
            Self::TopicIds => "hostile: topic ids",
            Self::TopicError(_) => "hostile: topic error",
            Self::NoTopics => "hostile: no topics",
            Self::Rebootstrap => "hostile: rebootstrap",
            Self::Refuse(_) => "hostile: refusal",
            Self::Hint(..) => "hostile: leader hint",
            Self::Acknowledge(_) => "hostile: false acknowledgement",
            Self::LeaveOut => "hostile: left out",
            Self::Sasl(lie) => lie.kind(),
        }
    }

    /// All kinds but those about SASL.
    pub const KINDS: [&'static str; 26] = [
        "hostile: API not offered",
        "hostile: false acknowledgement",
        "hostile: frame length",
        "hostile: garbage",
        "hostile: half an answer",
        "hostile: hang-up",
        "hostile: invented brokers",
        "hostile: invented leaders",
        "hostile: leader epoch",
        "hostile: leader hint",
        "hostile: leads all",
        "hostile: left out",
        "hostile: no producer id",
        "hostile: no topics",
        "hostile: no versions",
        "hostile: odd producer id",
        "hostile: partition count",
        "hostile: rebootstrap",
        "hostile: refusal",
        "hostile: silence",
        "hostile: throttle",
        "hostile: topic error",
        "hostile: topic ids",
        "hostile: two answers",
        "hostile: wrong addresses",
        "hostile: wrong correlation id",
    ];

    /// Which requests it is about; `None` is any.
    const fn api(&self) -> Option<ApiKey> {
        match self {
            Self::Silence
            | Self::HangUp
            | Self::HangUpAfterVersions
            | Self::Garbage(_)
            | Self::WrongCorrelation
            | Self::HalfAnAnswer
            | Self::TwoAnswers
            | Self::FrameLength(_)
            | Self::Throttle(_) => None,
            Self::Without(_) | Self::NoVersions(_) => Some(ApiKey::API_VERSIONS),
            Self::NoProducerId(_) | Self::ProducerId(..) => Some(ApiKey::INIT_PRODUCER_ID),
            Self::LeadsAll(_)
            | Self::Epoch(_)
            | Self::InventedLeaders(..)
            | Self::InventedBrokers(_)
            | Self::Addresses
            | Self::Partitions(..)
            | Self::SamePartition(_)
            | Self::TopicIds
            | Self::TopicError(_)
            | Self::NoTopics
            | Self::Rebootstrap => Some(ApiKey::METADATA),
            Self::Refuse(_) | Self::Hint(..) | Self::Acknowledge(_) | Self::LeaveOut => {
                Some(ApiKey::PRODUCE)
            }
            Self::Sasl(lie) if lie.is_about_handshake() => Some(ApiKey::SASL_HANDSHAKE),
            Self::Sasl(_) => Some(ApiKey::SASL_AUTHENTICATE),
        }
    }
}

/// A node that lies.
#[derive(Clone, Debug)]
pub(crate) struct Hostile {
    /// Each met once by a request that it is about, the first first.
    queued: VecDeque<Lie>,
    /// Each met by every request that it is about.
    standing: Vec<Lie>,
    /// Chooses what else it does.
    dice: Option<Random>,
    told: BTreeMap<&'static str, u64>,
}

impl Hostile {
    /// What to do with a request of this API; `None` is the truth.
    fn lie(&mut self, api: ApiKey, nodes: i32) -> Option<Lie> {
        let greets = api == ApiKey::API_VERSIONS;
        let about = |lie: &Lie| {
            let spared = greets && *lie == Lie::HangUpAfterVersions;
            !spared && lie.api().is_none_or(|about| about == api)
        };
        let lie = match self.queued.iter().position(about) {
            Some(at) => self.queued.remove(at),
            None => self.standing.iter().find(|lie| about(lie)).cloned(),
        };
        let lie = lie.or_else(|| invent(self.dice.as_mut()?, api, nodes))?;
        let count = self.told.entry(lie.kind()).or_default();
        *count = count.saturating_add(1);
        Some(lie)
    }
}

/// What a TLS port says to who does not speak TLS.
const TLS_ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 0x46];

/// What brokers say that will not give a producer id.
const NO_ID: [ErrorCode; 10] = [
    ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
    ErrorCode::UNSUPPORTED_VERSION,
    ErrorCode::INVALID_REQUEST,
    ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ErrorCode::SASL_AUTHENTICATION_FAILED,
    ErrorCode::INVALID_RECORD,
    ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ErrorCode::CONCURRENT_TRANSACTIONS,
    ErrorCode::UNKNOWN_SERVER_ERROR,
    ErrorCode(999),
];

/// What a leader may say again and again.
const REFUSALS: [ErrorCode; 12] = [
    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode::UNKNOWN_PRODUCER_ID,
    ErrorCode::INVALID_PRODUCER_EPOCH,
    ErrorCode::INVALID_PRODUCER_ID_MAPPING,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::UNKNOWN_TOPIC_ID,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::MESSAGE_TOO_LARGE,
    ErrorCode::TOPIC_AUTHORIZATION_FAILED,
];

const TOPIC_ERRORS: [ErrorCode; 5] = [
    ErrorCode::TOPIC_AUTHORIZATION_FAILED,
    ErrorCode::INVALID_TOPIC_EXCEPTION,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::LEADER_NOT_AVAILABLE,
    ErrorCode(999),
];

/// Makes something up, or, a third of the time, nothing.
fn invent(dice: &mut Random, api: ApiKey, nodes: i32) -> Option<Lie> {
    let roll = |dice: &mut Random, n: u64| dice.next() % n;
    if roll(dice, 3) == 0 {
        return None;
    }
    let code = |dice: &mut Random, of: &[ErrorCode]| {
        let at = usize::try_from(dice.next()).unwrap_or(0).checked_rem(of.len()).unwrap_or(0);
        of.get(at).copied().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR)
    };
    let epoch = |dice: &mut Random| if dice.next().is_multiple_of(2) { i32::MAX } else { 1_000 };
    if roll(dice, 4) == 0 {
        return Some(match roll(dice, 8) {
            0 => Lie::Silence,
            1 => Lie::HangUp,
            2 if roll(dice, 2) == 0 => Lie::Garbage(TLS_ALERT.to_vec()),
            2 => Lie::Garbage((0..60).map(|_| dice.next().to_be_bytes()[0]).collect()),
            3 => Lie::WrongCorrelation,
            4 => Lie::HalfAnAnswer,
            5 => Lie::TwoAnswers,
            6 => Lie::FrameLength(if roll(dice, 2) == 0 { i32::MAX } else { 0x1503_0100 }),
            _ => Lie::Throttle(if roll(dice, 2) == 0 { i32::MAX } else { 1_000 }),
        });
    }
    Some(match api {
        ApiKey::API_VERSIONS => match roll(dice, 6) {
            0 => Lie::Without(ApiKey::INIT_PRODUCER_ID),
            1 => Lie::NoVersions(ErrorCode::UNSUPPORTED_VERSION),
            // It would do nothing else otherwise.
            _ => return None,
        },
        ApiKey::INIT_PRODUCER_ID => match roll(dice, 4) {
            0 => Lie::ProducerId(i64::MAX, i16::MAX),
            1 => Lie::ProducerId(-7, 0),
            _ => Lie::NoProducerId(code(dice, &NO_ID)),
        },
        ApiKey::METADATA => match roll(dice, 11) {
            0 => Lie::LeadsAll(epoch(dice)),
            1 => Lie::Epoch(epoch(dice)),
            2 => Lie::InventedLeaders(200, false),
            3 => Lie::InventedLeaders(200, true),
            4 => Lie::InventedBrokers(200),
            5 => Lie::Addresses,
            6 => Lie::Partitions(16_384, if roll(dice, 2) == 0 { 16_384 } else { 3 }),
            7 => Lie::TopicIds,
            8 => Lie::TopicError(code(dice, &TOPIC_ERRORS)),
            9 => Lie::NoTopics,
            _ => Lie::Rebootstrap,
        },
        ApiKey::PRODUCE => match roll(dice, 4) {
            0 => {
                let node = i32::try_from(dice.next() % 1_000).unwrap_or(0);
                Lie::Hint(1 + node.checked_rem(nodes.saturating_add(1)).unwrap_or(0), epoch(dice))
            }
            1 => Lie::Acknowledge(if roll(dice, 2) == 0 { i64::MAX } else { 7 }),
            2 => Lie::LeaveOut,
            _ => Lie::Refuse(code(dice, &REFUSALS)),
        },
        ApiKey::SASL_HANDSHAKE => Lie::Sasl(SaslLie::invent(dice, true)?),
        ApiKey::SASL_AUTHENTICATE => Lie::Sasl(SaslLie::invent(dice, false)?),
        _ => return None,
    })
}

impl Cluster {
    /// Makes a node hostile: what it does is chosen by dice, a third of it the truth.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn make_hostile(&mut self, node: NodeId, seed: u64) -> Result<(), AdminError> {
        self.hostile(node)?.dice = Some(Random::new(seed));
        Ok(())
    }

    /// Has a node tell one lie to the next request that it is about.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn lie_once(&mut self, node: NodeId, lie: Lie) -> Result<(), AdminError> {
        self.hostile(node)?.queued.push_back(lie);
        Ok(())
    }

    /// Has a node tell a lie to every request that it is about.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn lie(&mut self, node: NodeId, lie: Lie) -> Result<(), AdminError> {
        self.hostile(node)?.standing.push(lie);
        Ok(())
    }

    /// Has a node tell the truth from now on.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`].
    pub fn make_honest(&mut self, node: NodeId) -> Result<(), AdminError> {
        let hostile = self.hostile(node)?;
        (hostile.dice, hostile.queued, hostile.standing) = (None, VecDeque::new(), Vec::new());
        Ok(())
    }

    /// How many producer ids were given out so far.
    #[must_use]
    pub const fn producer_ids_given(&self) -> i64 {
        self.next_producer_id
    }

    /// How often each kind of lie was told, by all nodes together.
    #[must_use]
    pub fn lies_told(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for (kind, count) in
            self.nodes.values().filter_map(|n| n.hostile.as_ref()).flat_map(|h| &h.told)
        {
            let sum: &mut u64 = all.entry(*kind).or_default();
            *sum = sum.saturating_add(*count);
        }
        all
    }

    fn hostile(&mut self, node: NodeId) -> Result<&mut Hostile, AdminError> {
        let node = self.node_mut(node)?;
        Ok(node.hostile.get_or_insert_with(|| Hostile {
            queued: VecDeque::new(),
            standing: Vec::new(),
            dice: None,
            told: BTreeMap::new(),
        }))
    }

    /// What a node does with a request in place of answering it as it should.
    pub(crate) fn lie_about(&mut self, node: NodeId, api: ApiKey) -> Option<Lie> {
        let nodes = i32::try_from(self.nodes.len()).unwrap_or(i32::MAX);
        self.nodes.get_mut(&node)?.hostile.as_mut()?.lie(api, nodes)
    }
}
