//! What is said, right and wrong.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{PLAIN, SESSION_MS, bearer, talk::Talk};

/// What is said, by whom it is begun.
pub(super) type Script = Box<dyn Fn(&mut Talk)>;

pub(super) fn script(name: &str, script: impl Fn(&mut Talk) + 'static) -> (String, Script) {
    (name.to_owned(), Box::new(script))
}

/// On a connection that nobody has come in by yet.
pub(super) fn strangers(tokens: &[String; 3]) -> Vec<(String, Script)> {
    let [alices, bobs, over] = tokens.clone();
    let mut scripts = vec![
        script("in", |t| {
            t.versions(4);
            t.plain();
            t.metadata(9);
            [4, 3, 99].into_iter().for_each(|version| t.versions(version));
            t.metadata(9);
        }),
        script("in without versions", |t| {
            t.plain();
            t.metadata(9);
        }),
        script("versions twice", |t| {
            [4, 4].into_iter().for_each(|version| t.versions(version));
        }),
        script("versions until they are known", |t| {
            [99, 98, 3, 3].into_iter().for_each(|version| t.versions(version));
        }),
        script("versions known and then not", |t| {
            [3, 99].into_iter().for_each(|version| t.versions(version));
        }),
        script("metadata first", |t| t.metadata(9)),
        script("a batch after versions", |t| {
            t.versions(3);
            t.produce(9, -1);
        }),
        script("authenticate first", |t| t.say(PLAIN)),
        script("the old authenticate", |t| {
            t.handshake("PLAIN");
            t.say_in(0, PLAIN);
            t.metadata(9);
        }),
        script("another mechanism", |t| {
            t.versions(3);
            t.handshake("GSSAPI");
            t.handshake("PLAIN");
        }),
        script("a message too many", |t| {
            t.plain();
            t.say(PLAIN);
            t.metadata(9);
        }),
    ];
    let messages: [&[u8]; 8] = [
        b"\0alice\0wrong",
        b"\0carol\0alice-secret",
        b"bob\0alice\0alice-secret",
        b"alice\0alice\0alice-secret",
        b"\0\0alice-secret",
        b"\0alice\0",
        b"alice",
        b"",
    ];
    for message in messages {
        scripts.push(script(&format!("PLAIN {:?}", String::from_utf8_lossy(message)), move |t| {
            t.handshake("PLAIN");
            t.say(message);
            t.metadata(9);
        }));
    }
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for first in [
            "n,,n=carol,r=abc",
            "n,,n=alice,r=abc,tokenauth=true",
            "n,,n=alice,r=abc,tokenauth=false",
            "n,,n=alice,r=abc,x=y",
            "n,,n=alice,r=abc,1=y",
            "n,a=alice,n=alice,r=abc",
            "n,a=bob,n=alice,r=abc",
            "n,alice,n=alice,r=abc",
            "y,,n=alice,r=abc",
            "n,,n=ali=ce,r=abc",
            "n,,n=alice,r=",
            "n,,n=,r=abc",
            "n,,n=alice",
            "",
        ] {
            for last in [
                "c=biws,r={nonce},p={proof}",
                "c=biws,r=abc,p={proof}",
                "c=biws,r={nonce},p=AAAA",
                "c=biws,r={nonce}",
                "c=biws,r={nonce},p=%",
                "",
            ] {
                let name = format!("{mechanism} {first:?} {last:?}");
                scripts.push(script(&name, move |t| {
                    t.handshake(mechanism);
                    t.say(first.as_bytes());
                    let said = String::from_utf8_lossy(&t.last).into_owned();
                    if let Some(nonce) = said.split(',').next().and_then(|f| f.strip_prefix("r=")) {
                        // As long as a right one.
                        let bytes = if mechanism == "SCRAM-SHA-256" { 32 } else { 64 };
                        let proof = BASE64_STANDARD.encode(vec![0; bytes]);
                        let last = last.replace("{nonce}", nonce).replace("{proof}", &proof);
                        t.say(last.as_bytes());
                    }
                    t.metadata(9);
                }));
            }
        }
    }
    let with = |text: &str| text.replace("TOKEN", &alices).into_bytes();
    for messages in [
        vec![bearer(&alices)],
        vec![bearer(&bobs)],
        vec![bearer(&over), vec![1]],
        vec![bearer(&over), bearer(&alices)],
        vec![bearer(&over), b"noise".to_vec()],
        vec![bearer("no-token"), vec![1]],
        vec![bearer("a/b")],
        vec![bearer("a+b")],
        vec![bearer("a~b")],
        vec![bearer("ab==")],
        vec![bearer("a=b")],
        vec![bearer("a!b")],
        vec![bearer("a b")],
        vec![bearer("a,b")],
        vec![bearer("")],
        vec![vec![1]],
        vec![with("n,a=alice,\x01auth=Bearer TOKEN\x01\x01")],
        vec![with("n,a=bob,\x01auth=Bearer TOKEN\x01\x01")],
        vec![with("n,,\x01auth=bEARER  TOKEN\x01\x01")],
        vec![with("n,,\x01auth=Basic TOKEN\x01\x01")],
        vec![with("n,,\x01auth=Bearer TOKEN\x01")],
        vec![with("n,,\x01auth=Bearer TOKEN\x01one=1 2\x01two=3\x01\x01")],
        vec![with("n,,\x01one=1\x01auth=Bearer TOKEN\x01\x01")],
        vec![with("n,,\x01auth=Bearer TOKEN\x01one1=1\x01\x01")],
        vec![with("n,,\x01auth=Bearer TOKEN\x01one=\x01\x01")],
        vec![with("n,,\x01one=1\x01\x01")],
        vec![with("y,,\x01auth=Bearer TOKEN\x01\x01")],
    ] {
        let names: Vec<_> = messages.iter().map(|m| String::from_utf8_lossy(m)).collect();
        let name = format!("OAUTHBEARER {names:?}");
        scripts.push(script(&name, move |t| {
            t.handshake("OAUTHBEARER");
            messages.iter().for_each(|message| t.say(message));
            t.metadata(9);
        }));
    }
    scripts
}

/// In the middle of an exchange, which may be the second one.
pub(super) fn between() -> Vec<(String, Script)> {
    let mut scripts = Vec::new();
    for again in [false, true] {
        let mut between = |what: &str, ask: fn(&mut Talk)| {
            let name = format!("{what} between, again: {again}");
            scripts.push(script(&name, move |t| {
                t.versions(3);
                if again {
                    t.plain();
                }
                t.handshake("PLAIN");
                ask(t);
                t.metadata(9);
            }));
        };
        between("versions", |t| t.versions(3));
        between("versions that nobody knows", |t| t.versions(99));
        between("handshake", |t| t.handshake("PLAIN"));
        between("metadata 1", |t| t.metadata(1));
        between("metadata 9", |t| t.metadata(9));
        between("metadata 12", |t| t.metadata(12));
        between("a batch 3", |t| t.produce(3, -1));
        between("a batch 8", |t| t.produce(8, -1));
        between("a batch 9", |t| t.produce(9, 1));
        between("a batch without an answer", |t| t.produce(9, 0));
        between("a producer id", Talk::init);
    }
    scripts
}

/// Of who was let in before.
pub(super) fn again() -> Vec<(String, Script)> {
    let over = SESSION_MS + 300;
    vec![
        script("again and again", |t| {
            t.plain();
            t.plain();
            t.metadata(9);
            t.plain();
            t.metadata(9);
            t.wait(1_000);
            t.plain();
            t.metadata(9);
        }),
        script("versions and again", |t| {
            t.plain();
            t.versions(4);
            t.plain();
            t.metadata(9);
        }),
        script("again by another mechanism", |t| {
            t.plain();
            t.handshake("SCRAM-SHA-256");
            t.say(b"n,,n=alice,r=abc");
            t.metadata(9);
        }),
        script("again by another mechanism, and something else", |t| {
            t.plain();
            t.handshake("SCRAM-SHA-256");
            t.metadata(9);
        }),
        script("again by none", |t| {
            t.plain();
            t.handshake("GSSAPI");
            t.metadata(9);
        }),
        script("again as another", |t| {
            t.plain();
            t.handshake("PLAIN");
            t.say(b"\0bob\0bob-secret");
            t.metadata(9);
        }),
        script("again with a wrong password", |t| {
            t.plain();
            t.handshake("PLAIN");
            t.say(b"\0alice\0wrong");
            t.metadata(9);
        }),
        script("again with something wrong", |t| {
            t.plain();
            t.handshake("PLAIN");
            t.say(b"");
            t.metadata(9);
        }),
        script("over", move |t| {
            t.plain();
            t.wait(over);
            t.metadata(9);
        }),
        script("over, by the old authenticate", move |t| {
            t.handshake("PLAIN");
            t.say_in(0, PLAIN);
            t.wait(over);
            t.metadata(9);
        }),
        script("over, and versions", move |t| {
            t.plain();
            t.wait(over);
            t.versions(3);
        }),
        script("over, and again", move |t| {
            t.plain();
            t.wait(over);
            t.plain();
            t.metadata(9);
        }),
    ]
}
