//! Messages spoilt on purpose, one thing at a time, each by a name.
//!
//! Some mutators change a value and write the message anew, so that all lengths, counts and checksums are right; others
//! change bytes of the message as it was written, so that just one of them is wrong. [`Mutator::keeps`] says which.

use core::ops::Range;

use crate::{
    batch::{HEADER, fix_crc},
    choice::{Choices, pick},
    generate::edge,
    messages::{Encoded, Frame, Kind, Part, Span, Struct, Value, varint},
};

macro_rules! mutators {
    ($($(#[$about:meta])* $name:ident $word:literal $keeps:ident,)+) => {
        /// A way to spoil a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutator {
            $($(#[$about])* $name,)+
        }

        impl Mutator {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// What stays right.
            #[must_use]
            pub const fn keeps(self) -> Keeps {
                match self {
                    $(Self::$name => Keeps::$keeps,)+
                }
            }
        }
    };
}

/// How much of a message stays right when it is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// It is still a message of its version: a value is odd.
    Message,
    /// The frame has the length that it says; what is in it is no message of its version, or may be none.
    Frame,
    /// The frame has another length than it says: who reads it may wait for more, or take what follows for another one.
    Nothing,
}

mutators! {
    /// One number is another: the largest, the smallest, -1…
    NumberEdge "number-edge" Message,
    /// A text or bytes have nothing in them.
    TextEmpty "text-empty" Message,
    /// A text is long.
    TextLong "text-long" Message,
    /// A text is not UTF-8.
    TextNotUtf8 "text-not-utf8" Frame,
    /// What may be null is null.
    Null "null" Message,
    /// What may not be null is null.
    NullForbidden "null-forbidden" Frame,
    /// An array has no element.
    ArrayEmpty "array-empty" Message,
    /// An element of an array is there twice.
    ElementTwice "element-twice" Message,
    /// An element of an array is left out.
    ElementDropped "element-dropped" Message,
    /// An array is in the other order.
    ArrayReversed "array-reversed" Message,
    /// There is a tagged field that nobody knows.
    TagUnknown "tag-unknown" Message,
    /// The same tagged field twice.
    TagTwice "tag-twice" Frame,
    /// A tagged field has another size than it says.
    TagSize "tag-size" Frame,
    /// More tagged fields are announced than there are.
    TagCount "tag-count" Frame,
    /// The correlation id is another.
    Correlation "correlation" Message,
    /// The header says another version than the body has.
    VersionOther "version-other" Frame,
    /// The header says a version that there is not.
    VersionUnknown "version-unknown" Frame,
    /// The header says another API.
    ApiOther "api-other" Frame,
    /// The header says an API that there is not.
    ApiUnknown "api-unknown" Frame,
    /// A length is one more than it is.
    LengthMore "length-more" Frame,
    /// A length is one less.
    LengthLess "length-less" Frame,
    /// A length is negative, or the largest varint.
    LengthNegative "length-negative" Frame,
    /// A length is the largest that there is.
    LengthHuge "length-huge" Frame,
    /// A count is one more than it is.
    CountMore "count-more" Frame,
    /// A count is one less.
    CountLess "count-less" Frame,
    /// A count is negative, or the largest varint.
    CountNegative "count-negative" Frame,
    /// A count is the largest that there is.
    CountHuge "count-huge" Frame,
    /// A varint has a byte more than it needs.
    VarintOverlong "varint-overlong" Frame,
    /// A varint does not end.
    VarintEndless "varint-endless" Frame,
    /// The message is cut off, and the frame is as long as what is left.
    CutNested "cut-nested" Frame,
    /// Bytes follow the message, in the same frame.
    Trailing "trailing" Frame,
    /// One bit is another.
    BitFlipped "bit-flipped" Frame,
    /// A batch's checksum is wrong.
    CrcWrong "crc-wrong" Message,
    /// A byte of a batch's records is another, and the checksum is right.
    CrcKept "crc-kept" Message,
    /// A batch says that it is longer or shorter.
    BatchLength "batch-length" Message,
    /// A batch says that it has more or fewer records.
    BatchCount "batch-count" Message,
    /// A batch's last offset does not fit its records.
    BatchLastOffset "batch-last-offset" Message,
    /// A batch is of another format.
    BatchMagic "batch-magic" Message,
    /// A batch has other attributes: compressed, transactional, of control…
    BatchAttributes "batch-attributes" Message,
    /// Two batches where one may be.
    BatchTwice "batch-twice" Message,
    /// A batch is cut off.
    BatchCut "batch-cut" Message,
    /// The frame says that it is longer.
    FrameLonger "frame-longer" Nothing,
    /// The frame says that it is shorter.
    FrameShorter "frame-shorter" Nothing,
    /// The frame's size is negative.
    FrameNegative "frame-negative" Nothing,
    /// The frame says that it is as long as can be.
    FrameHuge "frame-huge" Nothing,
    /// The frame says that it has no bytes.
    FrameEmpty "frame-empty" Nothing,
    /// The frame is cut off.
    FrameCut "frame-cut" Nothing,
}

impl Mutator {
    /// By its name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutator| mutator.name() == name)
    }
}

/// A message that was spoilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoilt {
    /// Its bytes, the frame's size first.
    pub bytes: Vec<u8>,
    /// Where something was done: `topics[0].name`.
    pub at: String,
}

/// Spoils a message; [`None`] where it has nothing that this mutator could spoil.
pub fn spoil(frame: &Frame, mutator: Mutator, choices: &mut dyn Choices) -> Option<Spoilt> {
    let spoilt = match mutator {
        Mutator::NumberEdge
        | Mutator::TextEmpty
        | Mutator::TextLong
        | Mutator::TextNotUtf8
        | Mutator::Null
        | Mutator::NullForbidden
        | Mutator::ArrayEmpty
        | Mutator::ElementTwice
        | Mutator::ElementDropped
        | Mutator::ArrayReversed
        | Mutator::TagUnknown
        | Mutator::TagTwice
        | Mutator::CrcWrong
        | Mutator::CrcKept
        | Mutator::BatchLength
        | Mutator::BatchCount
        | Mutator::BatchLastOffset
        | Mutator::BatchMagic
        | Mutator::BatchAttributes
        | Mutator::BatchTwice
        | Mutator::BatchCut => spoil_value(frame, mutator, choices),
        _ => spoil_bytes(frame.encode(), mutator, choices),
    };
    spoilt.filter(|spoilt| spoilt.bytes != frame.encode().bytes)
}

/// Where a value is that a mutator may change: the way from the body to it.
type Way = Vec<Step>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Field(usize),
    Element(usize),
}

/// A value and what the table says of it.
struct Place<'a> {
    way: Way,
    path: String,
    kind: &'a Kind,
    nullable: bool,
}

fn spoil_value(frame: &Frame, mutator: Mutator, choices: &mut dyn Choices) -> Option<Spoilt> {
    let api = frame.api;
    // What is not told is not spoilt either.
    let mut body = frame.body.clone();
    if matches!(mutator, Mutator::TagUnknown | Mutator::TagTwice) {
        if !api.is_flexible(frame.version) {
            return None;
        }
        let tag = u32::try_from(100 + choices.below(1 << 20)).unwrap_or(100);
        let mut spoilt = frame.clone();
        let len = choices.below(4);
        spoilt.body.unknown.push((tag, choices.bytes(len)));
        if mutator == Mutator::TagTwice {
            spoilt.body.unknown.push((tag, Vec::new()));
        }
        return Some(Spoilt { bytes: spoilt.encode().bytes, at: format!("tag {tag}") });
    }
    let mut places = Vec::new();
    list(api.fields(frame.direction), frame.version, &body, &mut Vec::new(), "", &mut places);
    places
        .retain(|place| at(&mut body, &place.way).is_some_and(|value| fits(mutator, place, value)));
    let place = pick(choices, &places)?;
    let (way, path) = (place.way.clone(), place.path.clone());
    let width = match place.kind {
        Kind::Int(len) => *len,
        _ => 1,
    };
    change(at(&mut body, &way)?, mutator, width, choices)?;
    let spoilt = Frame { body, ..frame.clone() };
    Some(Spoilt { bytes: spoilt.encode().bytes, at: path })
}

fn list<'a>(
    fields: &'a [crate::messages::Field],
    version: i16,
    body: &Struct,
    way: &mut Way,
    path: &str,
    places: &mut Vec<Place<'a>>,
) {
    for (index, (name, value)) in body.fields.iter().enumerate() {
        let Some(field) = fields.iter().find(|field| field.name == *name) else {
            continue;
        };
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{name}");
        way.push(Step::Field(index));
        list_value(&field.kind, field.is_nullable(version), version, value, way, &path, places);
        way.pop();
    }
}

fn list_value<'a>(
    kind: &'a Kind,
    nullable: bool,
    version: i16,
    value: &Value,
    way: &mut Way,
    path: &str,
    places: &mut Vec<Place<'a>>,
) {
    places.push(Place { way: way.clone(), path: path.to_owned(), kind, nullable });
    match (kind, value) {
        (Kind::Array(kind), Value::Array(elements)) => {
            for (index, value) in elements.iter().enumerate() {
                way.push(Step::Element(index));
                list_value(kind, false, version, value, way, &format!("{path}[{index}]"), places);
                way.pop();
            }
        }
        (Kind::Struct(fields), Value::Struct(body)) => {
            list(fields, version, body, way, path, places)
        }
        _ => {}
    }
}

fn at<'a>(body: &'a mut Struct, way: &[Step]) -> Option<&'a mut Value> {
    let (first, rest) = way.split_first()?;
    let Step::Field(index) = first else {
        return None;
    };
    let mut value = &mut body.fields.get_mut(*index)?.1;
    for step in rest {
        value = match (step, value) {
            (Step::Field(index), Value::Struct(body)) => &mut body.fields.get_mut(*index)?.1,
            (Step::Element(index), Value::Array(elements)) => elements.get_mut(*index)?,
            _ => return None,
        };
    }
    Some(value)
}

fn fits(mutator: Mutator, place: &Place<'_>, value: &Value) -> bool {
    match mutator {
        Mutator::NumberEdge => matches!(place.kind, Kind::Int(_) | Kind::Bool),
        Mutator::TextEmpty => matches!(place.kind, Kind::String | Kind::Bytes | Kind::Records),
        Mutator::TextLong | Mutator::TextNotUtf8 => matches!(place.kind, Kind::String),
        Mutator::Null => place.nullable && *value != Value::Null,
        Mutator::NullForbidden => {
            !place.nullable
                && !matches!(place.kind, Kind::Bool | Kind::Int(_) | Kind::Uuid | Kind::Struct(_))
        }
        Mutator::ArrayEmpty | Mutator::ElementTwice | Mutator::ElementDropped => {
            !value.elements().is_empty()
        }
        Mutator::ArrayReversed => value.elements().len() > 1,
        _ => matches!(place.kind, Kind::Records) && value.bytes().len() > HEADER,
    }
}

fn change(
    value: &mut Value,
    mutator: Mutator,
    width: usize,
    choices: &mut dyn Choices,
) -> Option<()> {
    match (mutator, value) {
        (Mutator::NumberEdge, value) => {
            let before = value.int();
            let other = (0..20).map(|_| edge(width, choices)).find(|number| *number != before);
            *value = Value::Int(other.unwrap_or(-1));
        }
        (Mutator::TextEmpty, value) => *value = Value::Bytes(Vec::new()),
        (Mutator::TextLong, value) => {
            *value = Value::Bytes(vec![b'x'; [250, 32_767].get(choices.below(2)).copied()?]);
        }
        (Mutator::TextNotUtf8, value) => *value = Value::Bytes(vec![b'a', 0xff, 0xc0, 0x80]),
        (Mutator::Null | Mutator::NullForbidden, value) => *value = Value::Null,
        (Mutator::ArrayEmpty, value) => *value = Value::Array(Vec::new()),
        (Mutator::ElementTwice, Value::Array(elements)) => {
            let element = pick(choices, elements)?.clone();
            elements.push(element);
        }
        (Mutator::ElementDropped, Value::Array(elements)) => {
            elements.remove(choices.below(elements.len()));
        }
        (Mutator::ArrayReversed, Value::Array(elements)) => elements.reverse(),
        (_, Value::Bytes(records)) => return spoil_batch(records, mutator, choices),
        _ => return None,
    }
    Some(())
}

fn spoil_batch(records: &mut Vec<u8>, mutator: Mutator, choices: &mut dyn Choices) -> Option<()> {
    let by = |choices: &mut dyn Choices| -> i32 {
        [1, -1, 1_000, i32::MAX, i32::MIN].get(choices.below(5)).copied().unwrap_or(1)
    };
    match mutator {
        Mutator::CrcWrong => {
            *records.get_mut(17 + choices.below(4))? ^= 1 << choices.below(8);
            return Some(());
        }
        Mutator::CrcKept => {
            let at = HEADER + choices.below(records.len().saturating_sub(HEADER));
            *records.get_mut(at)? ^= 1 << choices.below(8);
        }
        Mutator::BatchLength => {
            add(records, 8, by(choices))?;
            return Some(());
        }
        Mutator::BatchCount => add(records, 57, by(choices))?,
        Mutator::BatchLastOffset => add(records, 23, by(choices))?,
        Mutator::BatchMagic => {
            *records.get_mut(16)? = [0, 1, 3, 0xff].get(choices.below(4)).copied()?;
        }
        Mutator::BatchAttributes => {
            *records.get_mut(22)? ^=
                [1, 2, 3, 4, 5, 7, 8, 16, 32, 64].get(choices.below(10)).copied()?;
        }
        Mutator::BatchTwice => {
            let again = records.clone();
            records.extend(again);
            return Some(());
        }
        Mutator::BatchCut => {
            records.truncate(choices.below(records.len()));
            return Some(());
        }
        _ => return None,
    }
    fix_crc(records);
    Some(())
}

fn add(bytes: &mut [u8], at: usize, by: i32) -> Option<()> {
    let room: &mut [u8; 4] = bytes.get_mut(at..)?.first_chunk_mut()?;
    *room = i32::from_be_bytes(*room).wrapping_add(by).to_be_bytes();
    Some(())
}

fn spoil_bytes(
    mut encoded: Encoded,
    mutator: Mutator,
    choices: &mut dyn Choices,
) -> Option<Spoilt> {
    let wanted = |part: Part| match mutator {
        Mutator::Correlation => part == Part::CorrelationId,
        Mutator::VersionOther | Mutator::VersionUnknown => part == Part::ApiVersion,
        Mutator::ApiOther | Mutator::ApiUnknown => part == Part::ApiKey,
        Mutator::LengthMore
        | Mutator::LengthLess
        | Mutator::LengthNegative
        | Mutator::LengthHuge => matches!(part, Part::Length { .. }),
        Mutator::CountMore | Mutator::CountLess | Mutator::CountNegative | Mutator::CountHuge => {
            matches!(part, Part::Count { .. })
        }
        Mutator::TagSize => part == Part::TagSize,
        Mutator::TagCount => part == Part::TagCount,
        Mutator::VarintOverlong | Mutator::VarintEndless => matches!(
            part,
            Part::Length { compact: true }
                | Part::Count { compact: true }
                | Part::TagCount
                | Part::Tag
                | Part::TagSize
        ),
        // Not the header, of which nothing could be known.
        Mutator::CutNested | Mutator::FrameCut | Mutator::BitFlipped => {
            !matches!(part, Part::FrameSize | Part::ApiKey | Part::CorrelationId)
        }
        _ => part == Part::FrameSize,
    };
    let spans: Vec<Span> = encoded.spans.iter().filter(|span| wanted(span.part)).cloned().collect();
    let span = pick(choices, &spans)?.clone();
    let len = encoded.bytes.len();
    let old = encoded.bytes.get(span.at.clone())?.to_vec();
    let compact = matches!(
        span.part,
        Part::Length { compact: true }
            | Part::Count { compact: true }
            | Part::TagSize
            | Part::TagCount
    );
    let spoilt = match mutator {
        Mutator::LengthMore | Mutator::CountMore | Mutator::TagCount => step(&old, compact, 1)?,
        Mutator::LengthLess | Mutator::CountLess => step(&old, compact, -1)?,
        Mutator::TagSize => step(&old, true, if choices.once_in(2) { 1 } else { -1 })?,
        Mutator::LengthNegative | Mutator::CountNegative => negative(old.len(), compact),
        Mutator::LengthHuge | Mutator::CountHuge => huge(old.len(), compact),
        Mutator::VarintOverlong => overlong(&old),
        Mutator::VarintEndless => vec![0xff; 11],
        Mutator::Correlation => {
            let number = i32::from_be_bytes(old.clone().try_into().ok()?);
            let others = [number.wrapping_add(1), -1, i32::MIN, 0];
            let other = others.get(choices.below(4)).copied()?;
            if other == number {
                return None;
            }
            other.to_be_bytes().to_vec()
        }
        Mutator::VersionOther => {
            let version = i16::from_be_bytes(old.clone().try_into().ok()?);
            let by = if version == 0 || choices.once_in(2) { 1 } else { -1 };
            version.wrapping_add(by).to_be_bytes().to_vec()
        }
        Mutator::VersionUnknown => {
            [99, -1, i16::MAX].get(choices.below(3)).copied()?.to_be_bytes().to_vec()
        }
        Mutator::ApiOther => {
            let key = i16::from_be_bytes(old.clone().try_into().ok()?);
            let others: Vec<i16> = crate::messages::apis()
                .iter()
                .map(|api| api.key)
                .filter(|other| *other != key)
                .collect();
            // What deletes topics is not asked by accident.
            pick(choices, &others).copied().filter(|key| *key != 20)?.to_be_bytes().to_vec()
        }
        Mutator::ApiUnknown => {
            [999, -1, i16::MAX].get(choices.below(3)).copied()?.to_be_bytes().to_vec()
        }
        Mutator::FrameLonger => size_bytes(len, 1 + choices.below(1_000)),
        Mutator::FrameShorter => {
            let less =
                len.saturating_sub(4).saturating_sub(1 + choices.below(len.saturating_sub(8)));
            u32::try_from(less).unwrap_or(0).to_be_bytes().to_vec()
        }
        Mutator::FrameNegative => (-1_i32).to_be_bytes().to_vec(),
        Mutator::FrameHuge => i32::MAX.to_be_bytes().to_vec(),
        Mutator::FrameEmpty => 0_u32.to_be_bytes().to_vec(),
        Mutator::BitFlipped => {
            let mut flipped = old.clone();
            let at = choices.below(flipped.len());
            *flipped.get_mut(at)? ^= 1 << choices.below(8);
            flipped
        }
        Mutator::CutNested => {
            encoded.bytes.truncate(span.at.start);
            encoded.fix_size();
            return Some(Spoilt { bytes: encoded.bytes, at: span.path });
        }
        Mutator::FrameCut => {
            encoded.bytes.truncate(span.at.start.max(4));
            return Some(Spoilt { bytes: encoded.bytes, at: span.path });
        }
        Mutator::Trailing => {
            let more = 1 + choices.below(8);
            let more = choices.bytes(more);
            encoded.bytes.extend(more);
            encoded.fix_size();
            return Some(Spoilt { bytes: encoded.bytes, at: "end".to_owned() });
        }
        _ => return None,
    };
    replace(&mut encoded, span.at.clone(), &spoilt);
    if span.part != Part::FrameSize {
        encoded.fix_size();
    }
    Some(Spoilt { bytes: encoded.bytes, at: span.path })
}

fn replace(encoded: &mut Encoded, at: Range<usize>, with: &[u8]) {
    encoded.bytes.splice(at, with.iter().copied());
}

fn size_bytes(len: usize, more: usize) -> Vec<u8> {
    let size = len.saturating_sub(4).saturating_add(more);
    u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes().to_vec()
}

/// A number, as a varint or in its bytes, and by so much another.
fn step(old: &[u8], compact: bool, by: i64) -> Option<Vec<u8>> {
    if compact {
        let number =
            old.iter().rev().fold(0_u64, |number, byte| (number << 7) | u64::from(byte & 0x7f));
        return number.checked_add_signed(by).map(varint);
    }
    let start = if old.first().is_some_and(|first| *first >= 0x80) { -1_i64 } else { 0 };
    let number = old.iter().fold(start, |number, byte| (number << 8) | i64::from(*byte));
    let bytes = number.checked_add(by)?.to_be_bytes();
    bytes.get(8_usize.checked_sub(old.len())?..).map(<[u8]>::to_vec)
}

/// A length that is negative as its bytes have it; -1 is null, so that it is -2.
fn negative(len: usize, compact: bool) -> Vec<u8> {
    if compact {
        return vec![0xff, 0xff, 0xff, 0xff, 0x0f];
    }
    let mut bytes = vec![0xff; len];
    if let Some(last) = bytes.last_mut() {
        *last = 0xfe;
    }
    bytes
}

fn huge(len: usize, compact: bool) -> Vec<u8> {
    if compact {
        return vec![0xff, 0xff, 0xff, 0xff, 0x07];
    }
    let mut bytes = vec![0xff; len];
    if let Some(first) = bytes.first_mut() {
        *first = 0x7f;
    }
    bytes
}

fn overlong(old: &[u8]) -> Vec<u8> {
    let mut bytes = old.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last |= 0x80;
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        choice::Seeded,
        generate::{World, generate},
        messages::{Direction, apis, decode_request},
    };

    /// Requests of all APIs in all versions, spoilt by a mutator.
    fn each(mutator: Mutator, mut check: impl FnMut(&Frame, &Spoilt)) -> usize {
        let mut spoilt = 0;
        for seed in 0..4 {
            let mut choices = Seeded::new(seed);
            for api in apis() {
                for version in api.versions.min..=api.versions.max {
                    let world = World { wild: seed % 2 == 1, ..World::default() };
                    let body = generate(&api.request, version, &world, &mut choices);
                    let direction = Direction::Request;
                    let client_id = Some("c".to_owned());
                    let frame =
                        Frame { api, direction, version, correlation_id: 9, client_id, body };
                    if let Some(made) = spoil(&frame, mutator, &mut choices) {
                        check(&frame, &made);
                        spoilt += 1;
                    }
                }
            }
        }
        spoilt
    }

    #[test]
    fn each_mutator_spoils_something_and_keeps_what_it_says() {
        for mutator in Mutator::ALL {
            let name = mutator.name();
            let mut broken = 0;
            let spoilt = each(*mutator, |frame, made| {
                assert_ne!(made.bytes, frame.encode().bytes, "{name} at {}", made.at);
                let size = u32::from_be_bytes(*made.bytes.first_chunk().unwrap());
                let fits = usize::try_from(size).unwrap() + 4 == made.bytes.len();
                let read = decode_request(made.bytes.get(4..).unwrap());
                match mutator.keeps() {
                    Keeps::Message => {
                        assert!(fits && read.is_ok(), "{name}: {read:?}, at {}", made.at)
                    }
                    Keeps::Frame => assert!(fits, "{name} at {}", made.at),
                    Keeps::Nothing => assert!(!fits, "{name} at {}", made.at),
                }
                broken += usize::from(read.is_err());
            });
            assert!(spoilt > 0, "{name} spoils nothing");
            assert_eq!(Mutator::of(name), Some(*mutator));
            let breaks = !matches!(mutator.keeps(), Keeps::Message | Keeps::Nothing);
            assert!(!breaks || broken > 0, "{name} breaks nothing");
        }
    }
}
