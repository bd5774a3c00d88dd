//! Who plays the broker by leaving out what it cannot do: a server of TLS 1.3 that shakes hands and proves nothing.
//!
//! It has the broker's certificate, which is no secret, and not its key.

mod common;

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use aes_gcm::{AeadInPlace as _, Aes128Gcm, KeyInit as _};
use common::{authority, dial, listener, sign};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use ottla_example_embedded_tls::{Failure, Settings};
use ottla_model::{ClusterConfig, serve::Server};
use p256::{PublicKey, ecdh::EphemeralSecret, ecdsa::SigningKey};
use rand_core::OsRng;
use sha2::{Digest as _, Sha256};
use signature::Signer as _;

/// What it does in place of proving who it is.
#[derive(Clone, Copy, Debug)]
enum Trick {
    /// It shows no certificate.
    NothingShown,
    /// It shows the broker's, and does not sign.
    NothingSigned,
    /// It shows the broker's, and signs with a key of its own.
    SignedByAnother,
    /// It signs, and shows nothing.
    SignedUnseen,
    /// It shows nothing, and sends a record in which there is nothing.
    EmptyRecord,
}

const HANDSHAKE: u8 = 22;
const P256: [u8; 2] = [0, 0x17];

fn with_length(bytes: usize, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u64).to_be_bytes()[8 - bytes..], body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &with_length(3, body)].concat()
}

/// RFC 8446, 7.1.
fn expand<const N: usize>(secret: &[u8], label: &str, context: &[u8]) -> [u8; N] {
    let label = with_length(1, format!("tls13 {label}").as_bytes());
    let info = [&(N as u16).to_be_bytes()[..], &label, &with_length(1, context)].concat();
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with_length(2, body)].concat()
}

/// The client's public key: it has the only extension with 65 bytes of P-256.
fn key_of(client_hello: &[u8]) -> PublicKey {
    let start = [&P256[..], &[0, 65]].concat();
    let at = client_hello.windows(4).position(|window| window == start).unwrap() + 4;
    PublicKey::from_sec1_bytes(&client_hello[at..at + 65]).unwrap()
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut body).unwrap();
    body
}

fn serve(mut stream: TcpStream, certificate: &[u8], trick: Trick) {
    let hello = receive(&mut stream);
    let secret = EphemeralSecret::random(&mut OsRng);
    let public = p256::EncodedPoint::from(secret.public_key());
    let share = [&P256[..], &with_length(2, public.as_bytes())].concat();
    let extensions = [extension(43, &[3, 4]), extension(51, &share)].concat();
    let fields = [&[3, 3][..], &[7; 32], &[0], &[0x13, 1, 0], &with_length(2, &extensions)];
    let answer = message(2, &fields.concat());
    let shared = secret.diffie_hellman(&key_of(&hello));
    let mut transcript = Sha256::new().chain_update(&hello).chain_update(&answer);

    let (early, _) = Hkdf::<Sha256>::extract(Some(&[0; 32]), &[0; 32]);
    let derived: [u8; 32] = expand(&early, "derived", &Sha256::digest([]));
    let (base, _) = Hkdf::<Sha256>::extract(Some(&derived), shared.raw_secret_bytes());
    let hash = transcript.clone().finalize();
    let traffic: [u8; 32] = expand(&base, "s hs traffic", &hash);
    let (key, iv): ([u8; 16], [u8; 12]) =
        (expand(&traffic, "key", &[]), expand(&traffic, "iv", &[]));

    let mut flight = message(8, &[0, 0]);
    if !matches!(trick, Trick::NothingShown | Trick::SignedUnseen) {
        let entry = [with_length(3, certificate), vec![0, 0]].concat();
        flight.extend(message(11, &[vec![0], with_length(3, &entry)].concat()));
    }
    transcript.update(&flight);
    if matches!(trick, Trick::SignedByAnother | Trick::SignedUnseen) {
        let mut signed = vec![b' '; 64];
        signed.extend(b"TLS 1.3, server CertificateVerify\0");
        signed.extend(transcript.clone().finalize());
        let signature: p256::ecdsa::DerSignature = SigningKey::random(&mut OsRng).sign(&signed);
        let proof = message(15, &[vec![4, 3], with_length(2, signature.as_bytes())].concat());
        transcript.update(&proof);
        flight.extend(proof);
    }
    let finished: [u8; 32] = expand(&traffic, "finished", &[]);
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(&finished).unwrap();
    mac.update(&transcript.finalize());
    flight.extend(message(20, &mac.finalize().into_bytes()));
    flight.push(HANDSHAKE);
    if matches!(trick, Trick::EmptyRecord) {
        flight.clear();
    }

    let head = [&[23, 3, 3][..], &(flight.len() as u16 + 16).to_be_bytes()].concat();
    let tag = Aes128Gcm::new(&key.into()).encrypt_in_place_detached(&iv.into(), &head, &mut flight);
    let clear = [&[HANDSHAKE, 3, 3][..], &with_length(2, &answer)].concat();
    stream.write_all(&[clear, head, flight, tag.unwrap().to_vec()].concat()).unwrap();
    // Until the client goes away.
    drop(stream.read_to_end(&mut Vec::new()));
}

async fn meets(trick: Trick) -> Option<Failure> {
    let authority = authority();
    let broker = sign(&authority, &["localhost"], |_| {});
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let certificate = broker.certificate.clone();
    thread::spawn(move || serve(listener.accept().unwrap().0, &certificate, trick));
    let settings = Settings::new(authority.der(), common::entropy, common::wall_clock).unwrap();
    let failure = dial("localhost", port, &settings).await;
    println!("{trick:?}: {failure:?}");
    failure
}

#[tokio::test]
async fn who_proves_nothing_is_not_the_broker() {
    assert!(matches!(meets(Trick::NothingShown).await, Some(Failure::Unproven)));
    assert!(matches!(meets(Trick::NothingSigned).await, Some(Failure::Unproven)));
    assert!(matches!(
        meets(Trick::SignedByAnother).await,
        Some(Failure::Certificate(webpki::Error::InvalidSignatureForPublicKey))
    ));
    assert!(matches!(meets(Trick::SignedUnseen).await, Some(Failure::Tls(_))));
}

/// embedded-tls 0.19 takes the last byte of what is in a record, and panics where there is none.
#[tokio::test]
async fn a_record_with_nothing_in_it_ends_the_connection() {
    assert!(matches!(meets(Trick::EmptyRecord).await, Some(Failure::NotTls)));
}

/// embedded-tls 0.19 has an `unimplemented!` for it.
#[tokio::test]
async fn a_handshake_in_the_clear_ends_a_session() {
    let authority = authority();
    let broker = sign(&authority, &["localhost"], |_| {});
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = listener(&broker, &[], None);
    let server = Server::start_tls(&[any], ClusterConfig::with_nodes(1), config).unwrap();
    let between = TcpListener::bind(any).unwrap();
    let (port, to) = (between.local_addr().unwrap().port(), server.addresses()[0]);
    thread::spawn(move || {
        let (mut client, _) = between.accept().unwrap();
        let mut broker = TcpStream::connect(to).unwrap();
        let (mut from_client, mut to_broker) =
            (client.try_clone().unwrap(), broker.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from_client, &mut to_broker));
        // The broker's part of the handshake, and nothing after it: no request was made.
        broker.set_read_timeout(Some(Duration::from_millis(80))).unwrap();
        drop(std::io::copy(&mut broker, &mut client));
        let hello = message(2, &[&[3, 3][..], &[7; 32], &[0, 0x13, 1, 0, 0, 0]].concat());
        client.write_all(&[&[HANDSHAKE, 3, 3][..], &with_length(2, &hello)].concat()).unwrap();
        drop(client.read_to_end(&mut Vec::new()));
    });
    let settings = Settings::new(authority.der(), common::entropy, common::wall_clock).unwrap();
    let failure = dial("localhost", port, &settings).await;
    assert!(matches!(failure, Some(Failure::NotTls)), "{failure:?}");
}
