//! Any bytes as a request with its header: nothing panics, every walk ends, and what is read and
//! written again is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_core::wire::{
    ApiKey, Writer, api_versions::ApiVersionsRequest, dialect, frame::RequestHeader,
    init_producer_id::InitProducerIdRequest, read_whole, sasl_authenticate,
    sasl_handshake::SaslHandshakeRequest,
};
use ottla_wire_tests::{drive, drive_whole, request};

fuzz_target!(|input: &[u8]| {
    let Ok((body, header)) = RequestHeader::read(input) else {
        return;
    };
    let again = written(|w| header.write(w));
    assert_eq!(RequestHeader::read(&again), Ok((&[][..], header)));

    let (api, version) = (header.api_key, header.api_version);
    let d = dialect(api, version);
    macro_rules! same_again {
        ($message:ty) => {
            if let Ok(message) = read_whole::<$message>(body, d) {
                use ottla_core::wire::Wire;
                let again = written(|w| message.write(w, d));
                assert_eq!(read_whole(&again, d), Ok(message));
            }
        };
    }
    match api {
        ApiKey::API_VERSIONS => same_again!(ApiVersionsRequest<'_>),
        ApiKey::INIT_PRODUCER_ID => same_again!(InitProducerIdRequest<'_>),
        ApiKey::SASL_HANDSHAKE => same_again!(SaslHandshakeRequest<'_>),
        ApiKey::SASL_AUTHENTICATE => {
            if let Ok(message) = sasl_authenticate::read_request(body, d) {
                let again = written(|w| {
                    sasl_authenticate::write_request_head(w, d, message.len());
                    w.bytes(message);
                    sasl_authenticate::write_request_end(w, d);
                });
                assert_eq!(sasl_authenticate::read_request(&again, d), Ok(message));
            }
        }
        _ => {
            let (Some(walk), Some(by_byte)) = (request(api, version), request(api, version)) else {
                return;
            };
            let whole = drive_whole(body, walk);
            // A request has atoms of any size, so the window has none.
            let by_byte = drive(body, usize::MAX, || 1, by_byte);
            assert_eq!(whole, by_byte, "{api} v{version}");
        }
    }
});

fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; Writer::measure(&write)];
    write(&mut Writer::new(&mut bytes));
    bytes
}
