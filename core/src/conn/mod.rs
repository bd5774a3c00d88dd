//! One connection to a broker: its state, its requests, and how far each has come.

mod recv;
mod send;
#[cfg(feature = "_sasl")]
mod session;

pub(crate) use recv::{Read, Reader, longest_answer};
pub use send::Segments;
pub(crate) use send::Transmission;
#[cfg(feature = "_sasl")]
pub(crate) use session::{Session, Step};

use heapless::Deque;

use crate::{
    Disconnect, Instant,
    batch::{Batch, Marker},
    broker_slot::Broker,
    list::{Link, chains},
    partition_slot::Partition,
    slots::Ix,
    topic_slot::Topic,
    wire::{ApiKey, ErrorCode, VersionRange},
};

/// The most requests that a connection may have in flight: five that produce, and room for one of
/// each other kind. (ApiVersions is asked before any other.)
pub(crate) const MAX_REQUESTS: usize = 8;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug)]
#[repr(u8)] // so that `Free` is 0, and an empty slot all zeros
pub(crate) enum State {
    /// The slot holds no connection.
    Free,
    /// To be opened; `told` once the caller knows.
    Dialing {
        /// `Output::Connect` was taken.
        told: bool,
    },
    /// Open; the broker's versions are being asked for.
    Negotiating,
    /// Open, and its versions are known; the client says who it is. Requests that were made before may be
    /// in flight.
    #[cfg(feature = "_sasl")]
    Authenticating(Step),
    /// Open, and its versions are known.
    Ready,
    /// Over; the slot is free once the caller knows.
    Ended {
        /// Why.
        cause: Disconnect,
        /// The caller has a socket that it must close.
        close: bool,
    },
}

/// A request that was begun on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) correlation_id: i32,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    /// The first of its batches that is not answered yet.
    pub(crate) batches: Ix<Batch>,
    /// When its answer must be complete.
    pub(crate) deadline: Instant,
    /// The socket accepted all of it, so the broker may act on it.
    pub(crate) complete: bool,
}

/// The versions in which a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) produce: i16,
    pub(crate) metadata: i16,
    /// -1 where the broker has no producer ids.
    pub(crate) init_producer_id: i16,
    /// -1 where the broker cannot be asked what it knows of producers.
    pub(crate) describe_producers: i16,
    /// -1 where the broker has none of SASL's exchanges in frames.
    #[cfg(feature = "_sasl")]
    pub(crate) sasl_authenticate: i16,
}

/// APIs that a broker's versions are kept of, ApiVersions aside.
pub(crate) const OFFERS: usize = if cfg!(feature = "_sasl") { 5 } else { 4 };

/// The versions that a broker has of an API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    min: i16,
    /// The first beyond, so that none is all zeros.
    end: i16,
}

impl Offer {
    const NONE: Self = Self { min: 0, end: 0 };

    pub(crate) const fn new(range: VersionRange) -> Self {
        Self { min: range.min, end: range.max.saturating_add(1) }
    }

    /// `None` where there are none.
    pub(crate) fn range(self) -> Option<VersionRange> {
        (self.min < self.end).then_some(VersionRange { min: self.min, max: self.end - 1 })
    }
}

/// Where the answer that is being read has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The topic that the next parts belong to; none where it is not one of ours.
    pub(crate) topic: Ix<Topic>,
    /// Which of the topic's incarnations its id stands for, where it was given by id.
    pub(crate) incarnation: Option<u8>,
    /// The partition of the last part.
    pub(crate) partition: Ix<Partition>,
    /// The error of the whole answer, or of the partition that is being told of.
    pub(crate) error: ErrorCode,
    /// What is kept for the parts to come.
    pub(crate) kept: Kept,
}

/// What is kept of an answer from one part of it to the next.
#[derive(Clone, Copy, Debug)]
#[repr(u8)] // so that `Offers` is 0, and an empty slot all zeros
pub(crate) enum Kept {
    /// The broker's versions of Produce, Metadata, InitProducerId and DescribeProducers (and of
    /// SaslAuthenticate), as far as they were told. So each answer begins.
    Offers([Offer; OFFERS]),
    /// Nothing.
    Nothing,
    /// What the leader of the partition has last of this producer; -1 where it is of another epoch.
    LastSequence(i32),
    /// The partition's batch is refused, and what is said of its records is being read (KIP-467): it is in
    /// flight still, though in no request any more.
    Refused {
        /// The batch.
        batch: Ix<Batch>,
        /// How far its records are read.
        marker: Marker,
    },
}

impl Place {
    pub(crate) const EMPTY: Self = Self {
        topic: Ix::NONE,
        incarnation: None,
        partition: Ix::NONE,
        error: ErrorCode::NONE,
        kept: Kept::Offers([Offer::NONE; OFFERS]),
    };
}

/// A slot for a connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) generation: u16,
    pub(crate) state: State,
    pub(crate) broker: Ix<Broker>,
    /// When a connection that is being set up is given up.
    pub(crate) setup_deadline: Instant,
    pub(crate) requests: Deque<Request, MAX_REQUESTS>,
    pub(crate) tx: Transmission,
    pub(crate) rx: Reader,
    /// Where the answer that is being read has come to.
    pub(crate) place: Place,
    /// The version of ApiVersions that is asked for.
    pub(crate) api_versions: i16,
    pub(crate) versions: Versions,
    /// When it last sent or received something.
    pub(crate) used: Instant,
    /// The broker wants no request before this (KIP-219).
    pub(crate) throttled_until: Instant,
    /// A produce request of it was answered.
    pub(crate) served: bool,
    /// No new request: the slot is wanted for another broker.
    pub(crate) draining: bool,
    /// Place among the connections that may have something to write.
    pub(crate) write: Link<Self>,
    #[cfg(feature = "_sasl")]
    pub(crate) session: Session,
}

chains! {
    /// Connections that may have something to write.
    Writable: Conn, write;
}

impl Conn {
    pub(crate) const EMPTY: Self = Self {
        generation: 0,
        state: State::Free,
        broker: Ix::NONE,
        setup_deadline: Instant::ZERO,
        requests: Deque::new(),
        tx: Transmission::NOTHING,
        rx: Reader::EMPTY,
        place: Place::EMPTY,
        api_versions: 0,
        versions: Versions {
            produce: 0,
            metadata: 0,
            init_producer_id: 0,
            describe_producers: 0,
            #[cfg(feature = "_sasl")]
            sasl_authenticate: 0,
        },
        used: Instant::ZERO,
        throttled_until: Instant::ZERO,
        served: false,
        draining: false,
        write: Link::EMPTY,
        #[cfg(feature = "_sasl")]
        session: Session::EMPTY,
    };

    /// Forgets all of it but the generation.
    // All of it at once, since that is a matter of zeros; `..EMPTY` would have a copy of it in the flash.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn clear(&mut self, generation: u16) {
        *self = Self::EMPTY;
        self.generation = generation;
    }

    // Not `==`, which would compare the causes of those that ended, too.
    /// Whether the slot holds no connection.
    pub(crate) const fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    /// Whether the broker's versions are being asked for.
    pub(crate) const fn is_negotiating(&self) -> bool {
        matches!(self.state, State::Negotiating)
    }

    /// Whether it is open, and its versions are known.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Whether its id is alive for the caller.
    pub(crate) const fn is_alive(&self) -> bool {
        match self.state {
            State::Free | State::Ended { .. } => false,
            State::Dialing { .. } | State::Negotiating | State::Ready => true,
            #[cfg(feature = "_sasl")]
            State::Authenticating(_) => true,
        }
    }

    /// Whether it will be ready, or give its slot to another one: for that a question can wait.
    ///
    /// A slot that is free, or about to be, may remember that it was draining.
    pub(crate) fn is_in_transit(&self) -> bool {
        self.is_alive() && (!self.is_ready() || self.draining)
    }

    /// Whether it is one to be asked what any broker can be asked.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn is_at_leisure(&self, now: Instant) -> bool {
        self.is_ready() && !self.draining && self.throttled_until <= now
    }

    /// Whether bytes can pass.
    pub(crate) const fn is_open(&self) -> bool {
        match self.state {
            State::Negotiating | State::Ready => true,
            #[cfg(feature = "_sasl")]
            State::Authenticating(_) => true,
            State::Free | State::Dialing { .. } | State::Ended { .. } => false,
        }
    }

    /// Whether nothing is under way in either direction.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.is_empty() && self.tx.is_nothing()
    }

    /// Whether the last request is not begun: no byte of it was accepted by the socket.
    pub(crate) fn has_unsent(&self, correlation_id: i32) -> bool {
        self.tx.is_unsent()
            && self.requests.back().is_some_and(|last| last.correlation_id == correlation_id)
    }
}
