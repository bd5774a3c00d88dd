//! Once a client is authenticated, neither its password nor what it was proven by is anywhere in the memory of its
//! producer: not in what it was lent, and not in the `Producer` itself. Only the memory that was lent for credentials has
//! the password, as long as it is needed.
//!
//! The process reads its own memory as the kernel shows it, while the producer lives.
#![cfg(target_os = "linux")]

use core::time::Duration;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit, Mac};
use ottla_core::{
    Credentials, Event, Instant, Outcome, Output, Producer, Record, Sasl, StaticMemory, Token,
    TopicStatus,
};
use ottla_model::{
    Cluster, ClusterConfig, Connection,
    sasl::{Mechanism, SaslConfig, Token as SaslToken},
};

type Lent = StaticMemory<2, 4, 1, 4, 8, 8, 256, 512, 440, 48>;

const PASSWORD: &str = "correct-horse-battery-staple";
const TOKEN: &str = "header.some-long-payload.signature";
/// As many iterations as the model's users have.
const ITERATIONS: u32 = 4_096;

fn entropy(bytes: &mut [u8]) -> bool {
    bytes.iter_mut().zip(1..).for_each(|(byte, number)| *byte = number);
    true
}

/// The bytes at an address of this process.
fn memory_at(address: usize, len: usize) -> Vec<u8> {
    let mut memory = File::open("/proc/self/mem").expect("this process's memory");
    memory.seek(SeekFrom::Start(address as u64)).expect("an address");
    let mut bytes = vec![0; len];
    memory.read_exact(&mut bytes).expect("mapped memory");
    bytes
}

/// Where a value lies, and how long it is.
fn place<T>(value: &T) -> (usize, usize) {
    (core::ptr::from_ref(value).addr(), size_of::<T>())
}

fn has((address, len): (usize, usize), secret: &[u8]) -> bool {
    memory_at(address, len).windows(secret.len()).any(|window| window == secret)
}

/// What both sides said to each other.
#[derive(Default)]
struct Said {
    ours: Vec<u8>,
    theirs: Vec<u8>,
}

/// What follows `mark` up to a character that is none of base64's.
fn base64_behind(said: &[u8], mark: &[u8]) -> Option<Vec<u8>> {
    let at = said.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let of_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    Some(said[at..].iter().take_while(of_base64).copied().collect())
}

/// PBKDF2 by another implementation of HMAC.
fn salted<M: Mac + KeyInit + Clone>(salt: &[u8]) -> Vec<u8> {
    let keyed = <M as KeyInit>::new_from_slice(PASSWORD.as_bytes()).expect("a key of any length");
    let mac = |parts: &[&[u8]]| {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let mut last = mac(&[salt, &1_u32.to_be_bytes()]);
    let mut sum = last.clone();
    for _ in 1..ITERATIONS {
        last = mac(&[&last]);
        sum.iter_mut().zip(&last).for_each(|(sum, last)| *sum ^= last);
    }
    sum
}

/// Runs a producer until a record is delivered. `look` is called whenever nothing is under way to the broker.
fn deliver(
    producer: &mut Producer<'_>,
    cluster: &mut Cluster,
    mut look: impl FnMut(&Said),
) -> Said {
    let (mut said, mut now) = (Said::default(), Instant::ZERO);
    let mut line: Option<(ottla_core::ConnId, Connection)> = None;
    let topic = producer.topic(now, "t").expect("a topic");
    let mut produced = false;
    for _ in 0..100_000 {
        now = now.after(Duration::from_micros(100));
        producer.handle_timeout(now);
        while let Some(output) = producer.poll_output() {
            match output {
                Output::Connect(conn) => {
                    assert!(line.is_none(), "one connection does");
                    line = Some((conn, Connection::new(cluster, 1)));
                    producer.handle_connected(now, conn);
                }
                Output::WantToken => {
                    let lifetime = Duration::from_secs(60);
                    let token = Token { text: TOKEN, extensions: &[], lifetime };
                    producer.handle_token(now, &token).expect("a token");
                }
                Output::Event(Event::BatchOutcome(batch)) => {
                    assert!(matches!(batch.outcome, Outcome::Delivered { .. }), "{batch:?}");
                    return said;
                }
                Output::Event(Event::Disconnected { cause, .. }) => panic!("{cause:?}"),
                Output::Disconnect(_) | Output::Event(_) | Output::Closed | _ => {}
            }
        }
        let ready = matches!(producer.topic_status(topic), Some(TopicStatus::Ready { .. }));
        if ready && !produced {
            let record = Record { value: Some(b"value"), ..Record::default() };
            producer.produce(now, topic, &record).expect("room");
            producer.flush(now);
            produced = true;
        }
        let Some((conn, server)) = &mut line else { continue };
        let time = Duration::from_micros(now.as_micros());
        while producer.prepare_write(now, *conn) {
            let bytes: Vec<u8> = producer.pending_write(*conn).flatten().copied().collect();
            said.ours.extend(&bytes);
            server.receive(cluster, time, &bytes);
            producer.handle_written(now, *conn, bytes.len());
        }
        look(&said);
        server.advance(cluster, time);
        let mut bytes = &*server.take_transmit();
        said.theirs.extend(bytes);
        while !bytes.is_empty() {
            let window = producer.rx_buffer(*conn);
            let len = window.len().min(bytes.len());
            window[..len].copy_from_slice(&bytes[..len]);
            producer.handle_received(now, *conn, len);
            bytes = &bytes[len..];
            look(&said);
        }
    }
    panic!("not delivered: {producer:?}");
}

fn cluster() -> Cluster {
    let until = Duration::from_secs(3_600);
    let token = SaslToken { text: TOKEN.to_owned(), principal: "alice".to_owned(), until };
    let sasl = SaslConfig::with(&Mechanism::ALL).user("alice", PASSWORD).token(token);
    let config = ClusterConfig { sasl: Some(sasl), ..ClusterConfig::with_nodes(1) };
    let mut cluster = Cluster::new(config);
    cluster.create_topic("t", 1).expect("a topic");
    cluster
}

/// Secrets, by what they are.
type Secrets = Vec<(&'static str, Vec<u8>)>;

/// The same text, once it was said as it is.
fn if_said(said: &Said, name: &'static str, text: &str) -> Option<Secrets> {
    let wire = said.ours.windows(text.len()).any(|window| window == text.as_bytes());
    wire.then(|| vec![(name, text.as_bytes().to_vec())])
}

/// Runs with these credentials. `secrets` finds in what was said, and in the credentials, what nobody is to find from
/// then on.
fn search(credentials: &Credentials<'_>, secrets: impl Fn(&Said) -> Option<Secrets>) {
    let mut lent = Lent::new();
    let mut room = [0x55; 128];
    let (lent_at, room_at) = (place(&lent), place(&room));
    let config = Lent::config("127.0.0.1:9092");
    let mut producer = Producer::new(&config, lent.lend(), 7).expect("a configuration");
    producer.set_sasl(Sasl::new(credentials, &mut room).expect("room"));
    let producer_at = place(&producer);
    // What is secret is known once it was said, and the same then.
    let mut known = Vec::new();
    let mut looks = 0;
    let said = deliver(&mut producer, &mut cluster(), |said| {
        if known.is_empty() {
            known = secrets(said).unwrap_or_default();
        }
        for (name, secret) in &known {
            assert!(secret.len() >= 16, "{name} is long enough to be searched for");
            assert!(!has(lent_at, secret), "{name} is in the memory that was lent to the producer");
            assert!(!has(producer_at, secret), "{name} is in the producer");
        }
        looks += usize::from(!known.is_empty());
    });
    assert!(looks >= 5 && secrets(&said).is_some(), "{looks}");
    // The search finds what is there: the broker's name, which is no secret, came with its metadata.
    assert!(has(lent_at, b"127.0.0.1"), "the broker's name is in the lent memory");
    // Where it must be, for the next connection.
    let kept = if matches!(credentials, Credentials::OAuthBearer) { TOKEN } else { PASSWORD };
    assert!(has(room_at, kept.as_bytes()), "the credentials are in their memory");
    drop(producer);
    assert_eq!(room, [0; 128], "wiped with the producer");
}

#[test]
fn a_password_that_was_said_is_nowhere() {
    let credentials = Credentials::Plain { username: "alice", password: PASSWORD };
    search(&credentials, |said| if_said(said, "the password", PASSWORD));
}

#[test]
fn a_token_that_was_said_is_nowhere() {
    search(&Credentials::OAuthBearer, |said| if_said(said, "the token", TOKEN));
}

/// Password, proof, and what the password makes with the salt.
fn of_scram<M: Mac + KeyInit + Clone>(said: &Said) -> Option<Secrets> {
    let proof = base64_behind(&said.ours, b",p=")?;
    let salt = base64_behind(&said.theirs, b",s=").expect("a salt was said");
    let salt = Base64::decode_vec(core::str::from_utf8(&salt).expect("ASCII")).expect("base64");
    let raw = Base64::decode_vec(core::str::from_utf8(&proof).expect("ASCII")).expect("base64");
    let salted = salted::<M>(&salt);
    Some(vec![
        ("the password", PASSWORD.as_bytes().to_vec()),
        ("the proof", proof),
        ("the proof, decoded", raw),
        ("the first half of the salted password", salted[..16].to_vec()),
        ("the salted password", salted),
    ])
}

#[test]
fn a_proof_and_what_it_was_made_of_are_nowhere() {
    let (username, password) = ("alice", PASSWORD);
    let credentials = Credentials::ScramSha256 { username, password, entropy };
    search(&credentials, of_scram::<Hmac<sha2::Sha256>>);
    let credentials = Credentials::ScramSha512 { username, password, entropy };
    search(&credentials, of_scram::<Hmac<sha2::Sha512>>);
}
