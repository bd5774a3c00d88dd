use std::{format, string::ToString as _};

#[cfg(feature = "oauthbearer")]
use core::time::Duration;

use super::*;

#[cfg_attr(not(feature = "_scram"), allow(dead_code))]
fn no_entropy(_: &mut [u8]) -> bool {
    false
}

const CREDENTIALS: &[Credentials<'_>] = &[
    #[cfg(feature = "plain")]
    Credentials::Plain { username: "alice", password: "alice-secret" },
    #[cfg(feature = "scram-sha-256")]
    Credentials::ScramSha256 { username: "alice", password: "alice-secret", entropy: no_entropy },
    #[cfg(feature = "scram-sha-512")]
    Credentials::ScramSha512 { username: "alice", password: "alice-secret", entropy: no_entropy },
];

#[test]
fn no_secret_is_shown() {
    for credentials in CREDENTIALS {
        let mut memory = [0; 64];
        let shown = format!("{credentials:?} {:?}", Sasl::new(credentials, &mut memory).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
    #[cfg(feature = "oauthbearer")]
    let token =
        Token { text: "top-secret", extensions: &[("a", "secret")], lifetime: Duration::ZERO };
    #[cfg(feature = "oauthbearer")]
    assert!(!format!("{token:?}").contains("secret"));
    let bytes = crate::wire::sasl_authenticate::AuthBytes::new(b"secret");
    assert!(!format!("{bytes:?}").contains("secret"));
}

#[test]
fn a_secret_is_wiped_when_it_is_of_no_more_use() {
    for credentials in CREDENTIALS {
        let mut memory = [7; 64];
        let sasl = Sasl::new(credentials, &mut memory).unwrap();
        assert_eq!(sasl.secret(), b"alice-secret");
        drop(sasl);
        assert_eq!(memory, [0; 64]);
    }
    #[cfg(feature = "plain")]
    {
        let mut memory = [7; 16];
        let refused = Sasl::new(&CREDENTIALS[0], &mut memory).map(|_| ());
        assert_eq!((refused, memory), (Err(SaslError::Memory { need: 17 }), [0; 16]));
    }
}

#[cfg(feature = "plain")]
#[test]
fn what_cannot_be_said_is_refused() {
    let mut memory = [0; 1024];
    let mut plain = |username: &str, password: &str| {
        Sasl::new(&Credentials::Plain { username, password }, &mut memory).map(|_| ())
    };
    assert_eq!(plain("", "x"), Err(SaslError::Empty));
    assert_eq!(plain("x", ""), Err(SaslError::Empty));
    assert_eq!(plain("x", "a\0b"), Err(SaslError::Character));
    assert_eq!(plain(&"x".repeat(256), "y"), Err(SaslError::TooLong));
    assert_eq!(plain("müller", "pässword"), Ok(()));
    #[cfg(feature = "scram-sha-256")]
    {
        let scram = |password| Credentials::ScramSha256 {
            username: "a,b=c",
            password,
            entropy: no_entropy,
        };
        let sasl = Sasl::new(&scram("p,=q"), &mut memory).unwrap();
        assert_eq!((sasl.username(), sasl.secret()), (&b"a=2Cb=3Dc"[..], &b"p,=q"[..]));
        drop(sasl);
        let refused = Sasl::new(&scram("pässword"), &mut memory).map(|_| ());
        assert_eq!(refused, Err(SaslError::Character));
    }
}

#[test]
fn mechanisms_are_listed_by_name() {
    let mut mechanisms = Mechanisms::NONE;
    assert_eq!(mechanisms.to_string(), "none");
    for name in ["GSSAPI", "SCRAM-SHA-512", "X-OURS"] {
        mechanisms.add(name.as_bytes());
    }
    assert_eq!(mechanisms.to_string(), "SCRAM-SHA-512, GSSAPI, others");
}

#[cfg(feature = "oauthbearer")]
mod tokens {
    use std::vec::Vec;

    use super::*;
    use crate::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + SECOND * seconds as u32
    }

    fn said(token: &Token<'_>) -> Result<Vec<u8>, SaslError> {
        let mut memory = [0; 256];
        let mut sasl = Sasl::new(&Credentials::OAuthBearer, &mut memory).unwrap();
        sasl.set_token(at(1), token)?;
        Ok(sasl.secret().to_vec())
    }

    #[test]
    fn are_said_as_the_rfc_has_it() {
        let extensions = [("logicalCluster", "lkc-1"), ("identityPoolId", "pool-1")];
        let token = Token { text: "a.b-c_d~e+f/g==", extensions: &extensions, lifetime: SECOND };
        let expected = b"n,,\x01auth=Bearer a.b-c_d~e+f/g==\x01logicalCluster=lkc-1\x01identityPoolId=pool-1\x01\x01";
        assert_eq!(said(&token), Ok(expected.to_vec()));
        let token = |text| Token { text, extensions: &[], lifetime: SECOND };
        for text in ["", "a b", "a\x01b", "ä"] {
            assert_eq!(said(&token(text)), Err(SaslError::Token));
        }
        for extension in [("auth", "x"), ("", "x"), ("a1", "x"), ("a", "x\x01y"), ("a", "ä")] {
            let refused = Token { text: "t", extensions: &[extension], lifetime: SECOND };
            assert_eq!(said(&refused), Err(SaslError::Extension));
        }
        let long = "x".repeat(300);
        assert_eq!(said(&token(&long)), Err(SaslError::Memory { need: 318 }));
    }

    #[test]
    fn are_asked_for_where_one_is_of_use_and_before_the_old_one_is_over() {
        let mut memory = [0; 64];
        let mut sasl = Sasl::new(&Credentials::OAuthBearer, &mut memory).unwrap();
        let ask = |sasl: &mut Sasl<'_>, seconds| {
            (sasl.tokens.ask(at(seconds)), sasl.tokens.take_output())
        };
        assert!(!sasl.tokens.has_output());
        assert_eq!(ask(&mut sasl, 1), (false, true));
        assert_eq!(ask(&mut sasl, 1), (false, false), "told once");
        let token = Token { text: "t", extensions: &[], lifetime: SECOND * 100 };
        sasl.set_token(at(10), &token).unwrap();
        assert_eq!(ask(&mut sasl, 89), (true, false));
        assert_eq!(ask(&mut sasl, 91), (false, true), "another one, while this one is good");
        sasl.tokens.refuse(at(95));
        assert_eq!(sasl.tokens.due(), at(95));
        assert_eq!(ask(&mut sasl, 94), (true, false), "better an old one than none");
        assert_eq!(ask(&mut sasl, 95), (false, true));
        sasl.tokens.refuse(at(200));
        assert_eq!(ask(&mut sasl, 111), (false, false), "that is over");
        assert_eq!(ask(&mut sasl, 200), (false, true));
    }

    #[test]
    fn one_that_finds_no_room_leaves_the_old_one_where_it_is() {
        let mut memory = [0; 64];
        let mut sasl = Sasl::new(&Credentials::OAuthBearer, &mut memory).unwrap();
        let token = |text| Token { text, extensions: &[], lifetime: SECOND * 100 };
        sasl.set_token(at(0), &token("good")).unwrap();
        let long = "x".repeat(64);
        let refused = sasl.set_token(at(1), &token(&long));
        assert_eq!(refused, Err(SaslError::Memory { need: 82 }));
        assert!(sasl.secret().ends_with(b"Bearer good\x01\x01") && sasl.tokens.ask(at(50)));
    }

    #[test]
    fn of_the_heap_may_be_of_any_size() {
        #[cfg(feature = "alloc")]
        {
            let mut sasl = Sasl::heap(&Credentials::OAuthBearer).unwrap();
            for len in [10, 4_000, 100, 60_000] {
                let text = "x".repeat(len);
                let token = Token { text: &text, extensions: &[], lifetime: SECOND };
                sasl.set_token(at(1), &token).unwrap();
                assert_eq!(sasl.secret().len(), len + 18);
            }
            let text = "x".repeat(65_536);
            let token = Token { text: &text, extensions: &[], lifetime: SECOND };
            assert_eq!(sasl.set_token(at(1), &token), Err(SaslError::TooLong));
        }
    }
}

#[cfg(all(feature = "scram-sha-256", feature = "scram-sha-512"))]
mod scram_exchange;
