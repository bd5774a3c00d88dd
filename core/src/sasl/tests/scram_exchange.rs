//! SCRAM's messages: RFC 7677's example, numbers that Python's `hashlib` and `hmac` made, and brokers that lie.

use base64ct::{Base64, Encoding as _};
use std::{format, string::String, vec::Vec};

use super::{
    super::{
        hash::{Hash, Hashed},
        scram::{Nonce, Salt, ServerFirst, verify},
    },
    *,
};

fn sha_256<'a>(username: &'a str, password: &'a str) -> Credentials<'a> {
    Credentials::ScramSha256 { username, password, entropy: no_entropy }
}

/// What the client answers, and what it expects then. How many slices it took to have the keys.
fn prove(sasl: &mut Sasl<'_>, nonce: &str, first: &[u8]) -> (String, Hashed, u32) {
    let (mut room, mut signature) = ([0; 256], Hashed::NONE);
    for slices in 0..20_000 {
        let mut w = Writer::new(&mut room);
        if sasl.prove(&mut w, nonce.as_bytes(), first, &mut signature).unwrap() {
            let len = w.len();
            return (String::from_utf8(room[..len].to_vec()).unwrap(), signature, slices);
        }
        sasl.derive();
    }
    panic!("the keys are never there");
}

/// Credentials, the client's nonce, the broker's first message, the client's final one and the broker's.
const EXCHANGES: [(Credentials<'_>, &str, &str, &str, &str); 3] = [
    (
        Credentials::ScramSha256 { username: "user", password: "pencil", entropy: no_entropy },
        "rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
    (
        Credentials::ScramSha256 { username: "a,b=c", password: "pencil", entropy: no_entropy },
        "rOprNGfwEbeRWgbNEkqOabcd",
        "r=rOprNGfwEbeRWgbNEkqOabcd%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqOabcd%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=bcK6IMSc/DPvvvhivSBgBjs4FLii4TKVeCIHMpyqI8E=",
        "v=LmwFcyq7GQVgvwRDU0RN5SEr4wwvGJIehv+B3XN+4XE=",
    ),
    (
        Credentials::ScramSha512 {
            username: "alice",
            password: "alice-secret",
            entropy: no_entropy,
        },
        "rOprNGfwEbeRWgbNEkqOabcd",
        "r=rOprNGfwEbeRWgbNEkqOabcdu3eu7gn1,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=8192",
        "c=biws,r=rOprNGfwEbeRWgbNEkqOabcdu3eu7gn1,p=GOGuoiyfybd0MYig13H0U/VCr+LlCToFjCWafcbUMvABvotevrIZ2u9Gq/Ur/IScFQ3Dp12nHbMZhA9WgdcWpg==",
        "v=gBSBSo4uhGVUGBpeHaunwKsAohOVztnYf3RVDJFmHGFBFLsYxdQ2PJuvceIwsuIXnKg9EUKjfvBS+2E3hsJDTQ==",
    ),
];

#[test]
fn is_what_the_rfc_and_other_libraries_make_of_it() {
    for (credentials, nonce, first, last, signature) in EXCHANGES {
        let mut memory = [0; 64];
        let mut sasl = Sasl::new(&credentials, &mut memory).unwrap();
        let (proof, expected, _) = prove(&mut sasl, nonce, first.as_bytes());
        assert_eq!(proof, last);
        assert_eq!(verify(signature.as_bytes(), &expected), Ok(()));
    }
}

#[test]
fn keys_are_derived_in_slices_once_for_a_salt() {
    let mut memory = [0; 64];
    let mut sasl = Sasl::new(&sha_256("user", "pencil"), &mut memory).unwrap();
    let (_, nonce, first, ..) = EXCHANGES[0];
    assert_eq!(prove(&mut sasl, nonce, first.as_bytes()).2, 4_095_u32.div_ceil(16));
    assert_eq!(prove(&mut sasl, nonce, first.as_bytes()).2, 0, "they are kept");
    let other = first.replace("4096", "4097");
    assert_eq!(prove(&mut sasl, nonce, other.as_bytes()).2, 4_096_u32.div_ceil(16));
    // As many slices as it takes, whatever their length.
    let mut memory = [0; 64];
    let sasl = Sasl::new(&sha_256("user", "pencil"), &mut memory).unwrap();
    let mut sasl = sasl.with_iterations_per_call(u32::MAX);
    assert_eq!(prove(&mut sasl, nonce, first.as_bytes()).2, 1);
}

#[test]
fn a_nonce_is_made_of_entropy_or_not_at_all() {
    let refused = Err(AuthenticationFailure::NoEntropy);
    let mut nonce = Nonce::NONE;
    assert_eq!((nonce.renew(None), nonce.renew(Some(no_entropy))), (refused, refused));
    let made = nonce.renew(Some(|buffer| {
        buffer.fill(0xfb);
        true
    }));
    assert_eq!(made, Ok(()));
    let mut memory = [0; 64];
    let sasl = Sasl::new(&sha_256("a,b", "x"), &mut memory).unwrap();
    let said = sasl.first_message(nonce.as_bytes()).concat();
    assert_eq!(said, b"n,,n=a=2Cb,r=+/v7+/v7+/v7+/v7+/v7+/v7");
}

#[test]
fn a_broker_that_lies_is_told_by_what_it_did() {
    use AuthenticationFailure as Failure;
    let nonce = b"0123456789abcdef01234567";
    let read =
        |message: &str| ServerFirst::read(message.as_bytes(), nonce, &mut { Salt::NONE }).err();
    let ours = "r=0123456789abcdef01234567";
    let good = format!("{ours}xyz,s=c2FsdA==,i=4096");
    assert_eq!(read(&good), None);
    assert_eq!(read(&format!("{good},x=unknown")), None, "extensions may follow");
    let long = "x".repeat(105);
    let salt_65 = "QUFB".repeat(21) + "QUE=";
    for (message, expected) in [
        (String::new(), Failure::Malformed),
        (String::from("e=other-error"), Failure::Malformed),
        (format!("m=ext,{good}"), Failure::Malformed),
        (format!("{ours}xyz,i=4096,s=c2FsdA=="), Failure::Malformed),
        (format!("{ours}xyz,s=c2FsdA=="), Failure::Malformed),
        (format!("{ours},s=c2FsdA==,i=4096"), Failure::Nonce),
        (String::from("r=1123456789abcdef01234567xyz,s=c2FsdA==,i=4096"), Failure::Nonce),
        (format!("{ours}{long},s=c2FsdA==,i=4096"), Failure::Nonce),
        (format!("{ours}x\x7f,s=c2FsdA==,i=4096"), Failure::Nonce),
        (format!("{ours}xyz,s=,i=4096"), Failure::Salt),
        (format!("{ours}xyz,s=c2Fs!A==,i=4096"), Failure::Salt),
        (format!("{ours}xyz,s={salt_65},i=4096"), Failure::Salt),
        (format!("{ours}xyz,s=c2FsdA==,i="), Failure::Iterations),
        (format!("{ours}xyz,s=c2FsdA==,i=1"), Failure::Iterations),
        (format!("{ours}xyz,s=c2FsdA==,i=4095"), Failure::Iterations),
        (format!("{ours}xyz,s=c2FsdA==,i=16385"), Failure::Iterations),
        (format!("{ours}xyz,s=c2FsdA==,i=1000000000"), Failure::Iterations),
        (format!("{ours}xyz,s=c2FsdA==,i=99999999999999999999"), Failure::Iterations),
        (format!("{ours}xyz,s=c2FsdA==,i=-4096"), Failure::Iterations),
    ] {
        assert_eq!(read(&message), Some(expected), "{message}");
    }
}

#[test]
fn a_signature_is_right_to_its_last_bit_or_wrong() {
    for hash in [Hash::Sha256, Hash::Sha512] {
        let signature = hash.internal_hmac(b"key", &[b"said"]);
        let text = |bytes: &[u8]| {
            let mut room = [0; 128];
            format!("v={}", Base64::encode(bytes, &mut room).unwrap())
        };
        let right: Vec<u8> = signature.as_bytes().to_vec();
        let says = |message: &str| verify(message.as_bytes(), &signature).is_ok();
        assert!(says(&text(&right)) && says(&(text(&right) + ",x=extension")));
        for bit in 0..right.len() * 8 {
            let mut wrong = right.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!says(&text(&wrong)), "bit {bit}");
        }
        for wrong in ["", "v=", "e=invalid-proof", "E=x", &text(&right[1..]), &text(&right)[..20]] {
            assert!(!says(wrong), "{wrong}");
        }
        let longer: Vec<u8> = right.iter().chain(&[0]).copied().collect();
        assert!(!says(&text(&longer)));
        assert!(verify(b"v=", &Hashed::NONE).is_err(), "there is none");
    }
}
