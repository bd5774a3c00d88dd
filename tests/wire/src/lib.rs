//! Tests of `ottla_core::wire` against another implementation of the protocol, and what they share
//! with the fuzz targets: a driver that walks a message through a window, and every walk by its API.

use ottla_core::wire::{
    ApiKey, DecodeError, Step,
    api_versions::ApiVersionsResponse,
    describe_producers::{DescribeProducersRequest, DescribeProducersResponse},
    init_producer_id::InitProducerIdResponse,
    metadata::{MetadataRequest, MetadataResponse},
    produce::{ProduceRequest, ProduceResponse},
    sasl_response::{SaslItem, SaslResponse},
};

/// A walk whose elements are told as text, so that those of one window compare with those of
/// another.
pub type Walk = Box<dyn FnMut(&[u8]) -> Result<Step<String>, DecodeError>>;

macro_rules! told {
    ($walk:expr) => {{
        let mut walk = $walk;
        Box::new(move |input: &[u8]| {
            let step = walk.step(input)?;
            Ok(step.map(|element| format!("{element:?}")))
        })
    }};
}

/// The walk over what follows the correlation id of an API's response.
///
/// # Panics
/// There is no such walk.
#[must_use]
pub fn response(api: ApiKey, version: i16) -> Walk {
    match api {
        ApiKey::PRODUCE => told!(ProduceResponse::new(version)),
        ApiKey::METADATA => told!(MetadataResponse::new(version)),
        ApiKey::API_VERSIONS => told!(ApiVersionsResponse::new(version)),
        ApiKey::INIT_PRODUCER_ID => told!(InitProducerIdResponse::new(version)),
        ApiKey::DESCRIBE_PRODUCERS => told!(DescribeProducersResponse::new(version)),
        ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE => {
            let mut walk = SaslResponse::new(api, version);
            Box::new(move |input| Ok(walk.step(input)?.map(|item| sasl_item(&item))))
        }
        other => panic!("no walk for {other}"),
    }
}

/// An element of one of SASL's responses as text, with the bytes that its `Debug` hides.
#[must_use]
pub fn sasl_item(item: &SaslItem<'_>) -> String {
    match item {
        SaslItem::Bytes(told) => format!("Bytes({:?}, cut: {})", told.bytes, told.cut),
        SaslItem::Error(_)
        | SaslItem::Mechanism(_)
        | SaslItem::Message(_)
        | SaslItem::Lifetime(_) => format!("{item:?}"),
    }
}

/// The walk over what follows the header of an API's request, if requests of the API are walked.
#[must_use]
pub fn request(api: ApiKey, version: i16) -> Option<Walk> {
    match api {
        ApiKey::PRODUCE => Some(told!(ProduceRequest::new(version))),
        ApiKey::METADATA => Some(told!(MetadataRequest::new(version))),
        ApiKey::DESCRIBE_PRODUCERS => Some(told!(DescribeProducersRequest::new(version))),
        _ => None,
    }
}

/// Walks a message that arrives bit by bit through a window of `window` bytes, as a client does:
/// what is read or skipped leaves the window, and nothing arrives that has no room there.
///
/// `arrive` says how many bytes come when the walk waits for more.
///
/// # Errors
/// What the walk says; [`DecodeError::Truncated`] and [`DecodeError::TrailingBytes`] where the
/// walk ends behind or before the message.
///
/// # Panics
/// The walk breaks its word: it reads bytes that are not there, makes no progress, or waits in
/// spite of a full window.
pub fn drive(
    message: &[u8],
    window: usize,
    mut arrive: impl FnMut() -> usize,
    mut walk: impl FnMut(&[u8]) -> Result<Step<String>, DecodeError>,
) -> Result<Vec<String>, DecodeError> {
    let mut elements = Vec::new();
    let (mut read, mut arrived) = (0, 0);
    // Every step but one that waits moves on by a byte or more.
    for _ in 0..=2 * message.len() + 1 {
        let at_hand = &message[read..arrived];
        let (used, skip) = match walk(at_hand)? {
            Step::Element { used, element } => {
                elements.push(element);
                assert!(used > 0, "an element of no bytes");
                (used, 0)
            }
            Step::Skip { used, skip } => {
                assert!(used > 0 || skip > 0, "no progress");
                (used, skip)
            }
            Step::Done { used } => {
                assert!(used <= at_hand.len(), "read what is not there");
                return match message.len() - read - used {
                    0 => Ok(elements),
                    left => Err(DecodeError::TrailingBytes(left)),
                };
            }
            Step::Wait if arrived == message.len() => return Err(DecodeError::Truncated),
            Step::Wait => {
                assert!(at_hand.len() < window, "waits in spite of a full window");
                let room = window - at_hand.len();
                arrived = (arrived + arrive().clamp(1, room)).min(message.len());
                (0, 0)
            }
        };
        assert!(used <= at_hand.len(), "read what is not there");
        read += used;
        if skip > message.len() - read {
            return Err(DecodeError::Truncated);
        }
        read += skip;
        arrived = arrived.max(read);
    }
    panic!("more steps than bytes");
}

/// Walks a message that is there as a whole.
///
/// # Errors
/// As [`drive`].
pub fn drive_whole(
    message: &[u8],
    walk: impl FnMut(&[u8]) -> Result<Step<String>, DecodeError>,
) -> Result<Vec<String>, DecodeError> {
    drive(message, usize::MAX, || usize::MAX, walk)
}

/// Bytes that decide what is generated. When they run out, everything is zero and empty, so that
/// fewer bytes make a smaller case.
#[derive(Debug)]
pub struct Entropy<'a> {
    bytes: &'a [u8],
}

impl<'a> Entropy<'a> {
    /// Decides by `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((byte, rest)) => {
                self.bytes = rest;
                *byte
            }
            None => 0,
        }
    }

    /// True or false.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number from 0 to `max`.
    pub fn up_to(&mut self, max: usize) -> usize {
        let any = usize::from(self.byte()) << 8 | usize::from(self.byte());
        any % (max + 1)
    }

    /// Any number, the ends of its range and those near zero more often than others.
    pub fn int64(&mut self) -> i64 {
        match self.byte() % 6 {
            0 => i64::from(self.byte()),
            1 => -1,
            2 => i64::MIN,
            3 => i64::MAX,
            _ => (0..8).fold(0, |n, _| n << 8 | i64::from(self.byte())),
        }
    }

    /// Any number; see [`int64`](Self::int64).
    pub fn int32(&mut self) -> i32 {
        match self.byte() % 6 {
            0 => i32::from(self.byte()),
            1 => -1,
            2 => i32::MIN,
            3 => i32::MAX,
            _ => self.int64() as i32,
        }
    }

    /// Any number; see [`int64`](Self::int64).
    pub fn int16(&mut self) -> i16 {
        self.int32() as i16
    }

    /// A text of at most `max` bytes.
    pub fn text(&mut self, max: usize) -> String {
        let letter = char::from(b'a' + self.byte() % 26);
        let mut text = "é".repeat(usize::from(max > 1 && self.byte() % 8 == 1));
        let len = match self.byte() % 4 {
            0 => max,
            1 => 0,
            _ => self.up_to(max),
        };
        while text.len() < len {
            text.push(letter);
        }
        text
    }

    /// At most `max` bytes.
    pub fn bytes(&mut self, max: usize) -> Vec<u8> {
        let (first, len) = (self.byte(), self.up_to(max));
        (0..len).map(|i| first.wrapping_add(i as u8)).collect()
    }

    /// Something or nothing.
    pub fn maybe<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| some(self))
    }

    /// At most `max` of something.
    pub fn list<T>(&mut self, max: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let len = self.up_to(max);
        (0..len).map(|_| one(self)).collect()
    }
}
