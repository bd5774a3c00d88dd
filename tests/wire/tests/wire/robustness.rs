//! Broken bytes: a walk ends, without a panic, and the same whatever the window.

use ottla_core::wire::{
    ApiKey, api_versions::ApiVersionsRequest, dialect, frame::RequestHeader,
    init_producer_id::InitProducerIdRequest, read_whole, record::Batch, sasl_authenticate,
    sasl_handshake::SaslHandshakeRequest,
};
use ottla_wire_tests::{drive, drive_whole, request, response};
use proptest::prelude::*;

use crate::{responses::cases, versions};

/// What may happen to bytes.
#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Delete(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Set(at, byte) => *at.get_mut(bytes) = *byte,
            Self::Flip(at, bit) => *at.get_mut(bytes) ^= 1 << (bit % 8),
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Delete(at, len) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + len);
                bytes.drain(at..end);
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    // Bytes that make lengths extreme come often.
    let byte = || prop_oneof![Just(0), Just(1), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
    prop_oneof![
        3 => (at(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (at(), any::<u8>()).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        1 => (at(), prop::collection::vec(byte(), 1..20)).prop_map(|(at, new)| Mutation::Insert(at, new)),
        1 => (at(), 1_usize..20).prop_map(|(at, len)| Mutation::Delete(at, len)),
        1 => at().prop_map(Mutation::Cut),
    ]
}

/// Any bytes as any message: nothing panics, every walk ends, and the window makes no difference.
fn read_as_anything(bytes: &[u8], api: ApiKey, version: i16) {
    let whole = drive_whole(bytes, response(api, version));
    let windowed = drive(bytes, 512, || 7, response(api, version));
    assert_eq!(whole, windowed, "{api} v{version}");
    if let Some(walk) = request(api, version) {
        let _ = drive_whole(bytes, walk);
    }
    let d = dialect(api, version);
    let _ = read_whole::<ApiVersionsRequest<'_>>(bytes, d);
    let _ = read_whole::<InitProducerIdRequest<'_>>(bytes, d);
    let _ = read_whole::<SaslHandshakeRequest<'_>>(bytes, d);
    let _ = sasl_authenticate::read_request(bytes, d);
    let _ = RequestHeader::read(bytes);
    if let Ok((batch, _)) = Batch::split(bytes) {
        for record in batch.iter().flatten() {
            assert_eq!(record.headers.len(), record.headers.count());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mutated_responses_end(
        entropy in prop::collection::vec(any::<u8>(), 0..400),
        mutations in prop::collection::vec(mutation(), 1..5),
    ) {
        for mut case in cases(&entropy) {
            for mutation in &mutations {
                mutation.apply(&mut case.bytes);
            }
            read_as_anything(&case.bytes, case.api, case.version);
        }
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for api in ApiKey::SPOKEN {
            // Below and above what is spoken, too.
            for version in versions(api).chain([-1, i16::MIN, 99]) {
                read_as_anything(&bytes, api, version);
            }
        }
    }
}
