//! What a connection has received: frames, and the elements in them, through a small window.

#[cfg(feature = "_sasl")]
use crate::wire::sasl_response::{SaslItem, SaslResponse};
use crate::wire::{
    ApiKey, DecodeError, Step,
    api_versions::{ApiVersionsItem, ApiVersionsResponse},
    describe_producers::{DescribeProducersItem, DescribeProducersResponse},
    frame::ResponseHead,
    init_producer_id::{InitProducerIdItem, InitProducerIdResponse},
    metadata::{MetadataItem, MetadataResponse},
    produce::{ProduceResponse, ProduceResponseItem},
};

/// No answer is longer, in bytes: Kafka's own bound on a request (`socket.request.max.bytes`).
const LONGEST: u32 = 100 << 20;

/// The most bytes that an answer to a request may take. Those that list nothing that grows with a
/// cluster are short, and the errors of a produce request are some words for each record at most.
pub(crate) const fn longest_answer(api: ApiKey) -> u32 {
    match api {
        ApiKey::API_VERSIONS | ApiKey::INIT_PRODUCER_ID => 64 << 10,
        #[cfg(feature = "_sasl")]
        ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE => 64 << 10,
        ApiKey::PRODUCE => 16 << 20,
        _ => LONGEST,
    }
}

/// Where the reader is in the response that it reads.
#[derive(Clone, Debug)]
#[repr(u8)] // so that `Head` is 0, and an empty slot all zeros
enum Walk {
    /// Between two responses.
    Head,
    ApiVersions(ApiVersionsResponse),
    Metadata(MetadataResponse),
    InitProducerId(InitProducerIdResponse),
    Produce(ProduceResponse),
    DescribeProducers(DescribeProducersResponse),
    #[cfg(feature = "_sasl")]
    Sasl(SaslResponse),
    /// Past the last element: what is left of the frame is of no interest.
    Rest,
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read<'a> {
    /// A response begins; the reader is to be given the walk over it.
    Response {
        /// The request that it answers.
        correlation_id: i32,
    },
    ApiVersions(ApiVersionsItem),
    Metadata(MetadataItem<'a>),
    InitProducerId(InitProducerIdItem),
    Produce(ProduceResponseItem<'a>),
    DescribeProducers(DescribeProducersItem<'a>),
    #[cfg(feature = "_sasl")]
    Sasl(SaslItem<'a>),
    /// The response is complete.
    Complete,
}

/// Reads responses element by element.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Bytes in the window.
    pub(crate) len: u32,
    /// Bytes of the frame that are not read.
    frame: u32,
    /// How many of them are of no interest.
    skip: u32,
    walk: Walk,
}

impl Reader {
    pub(crate) const EMPTY: Self = Self { len: 0, frame: 0, skip: 0, walk: Walk::Head };

    /// Bytes of the frame that are not read.
    pub(crate) const fn frame(&self) -> u32 {
        self.frame
    }

    /// Goes on with a walk over the answer to a request.
    // Each is made where it stays: one made for all of them to be moved there took 300 bytes of flash more.
    pub(crate) fn begin(&mut self, api: ApiKey, version: i16) {
        match api {
            ApiKey::API_VERSIONS => {
                self.walk = Walk::ApiVersions(ApiVersionsResponse::new(version));
            }
            ApiKey::METADATA => self.walk = Walk::Metadata(MetadataResponse::new(version)),
            ApiKey::INIT_PRODUCER_ID => {
                self.walk = Walk::InitProducerId(InitProducerIdResponse::new(version));
            }
            ApiKey::PRODUCE => self.walk = Walk::Produce(ProduceResponse::new(version)),
            ApiKey::DESCRIBE_PRODUCERS => {
                self.walk = Walk::DescribeProducers(DescribeProducersResponse::new(version));
            }
            #[cfg(feature = "_sasl")]
            ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE => {
                self.walk = Walk::Sasl(SaslResponse::new(api, version));
            }
            _ => self.walk = Walk::Rest,
        }
    }

    /// Reads the next thing from `window` at `at`, and moves `at` behind it; `None` until there
    /// are more bytes. `room` is what the window can hold in all.
    ///
    /// # Errors
    ///
    /// The bytes are no Kafka, or an element does not fit the window.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn read<'a>(
        &mut self,
        window: &'a [u8],
        at: &mut usize,
        room: usize,
    ) -> Result<Option<Read<'a>>, DecodeError> {
        loop {
            let input = window.get(*at..).unwrap_or_default();
            if matches!(self.walk, Walk::Head) {
                // As soon as it is there: who speaks something else may say no more than that.
                if let Some(len) = input.first_chunk().map(|len| u32::from_be_bytes(*len))
                    && len > LONGEST
                    && len <= i32::MAX as u32
                {
                    return Err(DecodeError::FrameLength(len));
                }
                let head = match ResponseHead::read(input) {
                    Ok((_, head)) => head,
                    Err(nom::Err::Incomplete(_)) => return Ok(None),
                    Err(nom::Err::Error(error) | nom::Err::Failure(error)) => return Err(error),
                };
                *at += ResponseHead::LEN;
                self.frame = head.remaining() as u32;
                self.walk = Walk::Rest;
                return Ok(Some(Read::Response { correlation_id: head.correlation_id }));
            }
            if self.skip > 0 {
                let skipped = (self.skip as usize).min(input.len());
                if skipped == 0 {
                    return Ok(None);
                }
                self.consume(at, skipped);
                self.skip -= skipped as u32;
                continue;
            }
            let input = input.get(..self.frame as usize).unwrap_or(input);
            let step = match &mut self.walk {
                Walk::Head | Walk::Rest => {
                    if self.frame == 0 {
                        self.walk = Walk::Head;
                        return Ok(Some(Read::Complete));
                    }
                    self.skip = self.frame;
                    continue;
                }
                Walk::ApiVersions(walk) => walk.step(input)?.map(Read::ApiVersions),
                Walk::Metadata(walk) => walk.step(input)?.map(Read::Metadata),
                Walk::InitProducerId(walk) => walk.step(input)?.map(Read::InitProducerId),
                Walk::Produce(walk) => walk.step(input)?.map(Read::Produce),
                Walk::DescribeProducers(walk) => walk.step(input)?.map(Read::DescribeProducers),
                #[cfg(feature = "_sasl")]
                Walk::Sasl(walk) => walk.step(input)?.map(Read::Sasl),
            };
            match step {
                Step::Element { used, element } => {
                    self.consume(at, used);
                    return Ok(Some(element));
                }
                Step::Skip { used, skip } => {
                    self.consume(at, used);
                    if skip > self.frame as usize {
                        return Err(DecodeError::Truncated);
                    }
                    self.skip = skip as u32;
                }
                Step::Done { used } => {
                    self.consume(at, used);
                    self.walk = Walk::Rest;
                }
                Step::Wait if input.len() == self.frame as usize => {
                    return Err(DecodeError::Truncated);
                }
                Step::Wait if input.len() >= room => {
                    return Err(DecodeError::TooLong { max: room });
                }
                Step::Wait => return Ok(None),
            }
        }
    }

    fn consume(&mut self, at: &mut usize, used: usize) {
        *at += used;
        self.frame = self.frame.saturating_sub(used as u32);
    }
}
