//! SCRAM (RFC 5802, RFC 7677): its messages, and its keys.
//!
//! The salt is a user's and not a connection's, so that keys are kept: connections after the first cost four HMACs.

use super::{
    AuthenticationFailure, Entropy, Sasl, base64,
    derivation::Derivation,
    hash::{Hash, Hashed},
};
use crate::wire::Writer;

/// Random bytes in a nonce: as many as 24 characters of base64 say.
const RANDOM: usize = 18;
/// Characters in a client's nonce.
pub(crate) const NONCE: usize = 24;
/// The most characters that a nonce may have with the broker's part.
const LONGEST_NONCE: usize = 128;
/// The most bytes that a salt may have.
const LONGEST_SALT: usize = 64;
/// Kafka's own bounds.
const ITERATIONS: core::ops::RangeInclusive<u32> = 4_096..=16_384;

/// A client's nonce: letters, digits, `+` and `/`.
#[derive(Clone, Copy)]
pub(crate) struct Nonce([u8; NONCE]);

impl Nonce {
    /// All zeros, as an empty slot is.
    pub(crate) const NONE: Self = Self([0; NONCE]);

    pub(crate) fn new(entropy: Entropy) -> Option<Self> {
        let mut random = [0; RANDOM];
        if !entropy(&mut random) {
            return None;
        }
        let mut nonce = [0; NONCE];
        base64::write(&mut Writer::new(&mut nonce), &random);
        Some(Self(nonce))
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// One that somebody else made, of 24 characters at most.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        let mut bytes = [0; NONCE];
        crate::wire::put(&mut bytes, text.as_bytes());
        Self(bytes)
    }
}

/// A broker's first message, taken apart.
pub(crate) struct ServerFirst<'a> {
    nonce: &'a [u8],
    salt: Salt,
    iterations: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt {
    bytes: [u8; LONGEST_SALT],
    len: u8,
}

impl Salt {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<'a> ServerFirst<'a> {
    /// Reads `r=…,s=…,i=…`; extensions may follow, and are of no meaning here.
    pub(crate) fn read(message: &'a [u8], ours: &Nonce) -> Result<Self, AuthenticationFailure> {
        let mut parts = message.split(|byte| *byte == b',');
        let mut part = |name: &[u8; 2]| {
            let part = parts.next().and_then(|part| part.strip_prefix(name));
            part.ok_or(AuthenticationFailure::Malformed)
        };
        let nonce = part(b"r=")?;
        let rest = nonce.strip_prefix(ours.as_bytes()).ok_or(AuthenticationFailure::Nonce)?;
        let printable = nonce.iter().all(|byte| (b'!'..=b'~').contains(byte));
        if rest.is_empty() || nonce.len() > LONGEST_NONCE || !printable {
            return Err(AuthenticationFailure::Nonce);
        }
        let mut bytes = [0; LONGEST_SALT];
        let text = part(b"s=")?;
        let len = base64::read(text, &mut bytes).ok_or(AuthenticationFailure::Salt)? as u8;
        if len == 0 {
            return Err(AuthenticationFailure::Salt);
        }
        let iterations = number(part(b"i=")?);
        let iterations = iterations.filter(|iterations| ITERATIONS.contains(iterations));
        let iterations = iterations.ok_or(AuthenticationFailure::Iterations)?;
        Ok(Self { nonce, salt: Salt { bytes, len }, iterations })
    }
}

/// A decimal number; too large a one is some other one that is too large.
fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(feature = "_internal")]
impl ServerFirst<'_> {
    /// Bytes of nonce and salt, and the iterations.
    pub(super) fn internal_sizes(&self) -> (usize, usize, u32) {
        (self.nonce.len(), self.salt.as_bytes().len(), self.iterations)
    }
}

/// What a password makes with a salt.
#[allow(clippy::large_enum_variant, reason = "there is one, and no heap")]
pub(crate) enum Keys {
    /// Nothing yet.
    None,
    /// It is being made.
    Deriving { salt: Salt, iterations: u32, work: Derivation },
    /// It is made.
    Known { salt: Salt, iterations: u32, client: Hashed, server: Hashed },
}

/// What a client is to do about its proof.
pub(crate) enum Proof {
    /// To wait until the keys are there.
    Wait,
    /// To say it, and to be told that.
    Ready {
        /// What the broker is to say.
        signature: Hashed,
    },
}

impl Sasl<'_> {
    fn hash(&self) -> Option<Hash> {
        Hash::of(self.mechanism())
    }

    /// Whether keys are being derived.
    pub(crate) const fn derives(&self) -> bool {
        matches!(self.keys, Keys::Deriving { .. })
    }

    /// Goes on with the keys for a slice; true once they are there.
    pub(crate) fn derive(&mut self) -> bool {
        let (hash, slice) = (self.hash(), self.slice);
        let Keys::Deriving { salt, iterations, work } = &mut self.keys else {
            return false;
        };
        let Some((salted, hash)) = work.go_on(slice).zip(hash) else {
            return false;
        };
        let client = hash.hmac(salted.as_bytes(), &[b"Client Key"]);
        let server = hash.hmac(salted.as_bytes(), &[b"Server Key"]);
        self.keys = Keys::Known { salt: *salt, iterations: *iterations, client, server };
        true
    }

    /// Writes the client's first message.
    pub(crate) fn write_client_first(&self, w: &mut Writer<'_>, nonce: &Nonce) {
        w.bytes(b"n,,n=");
        w.bytes(self.username());
        w.bytes(b",r=");
        w.bytes(nonce.as_bytes());
    }

    /// Writes the client's final message as an answer to the broker's first one, if the keys are there; begins to
    /// derive them if they are not.
    pub(crate) fn prove(
        &mut self,
        w: &mut Writer<'_>,
        nonce: &Nonce,
        message: &[u8],
    ) -> Result<Proof, AuthenticationFailure> {
        let first = ServerFirst::read(message, nonce)?;
        let hash = self.hash().ok_or(AuthenticationFailure::Malformed)?;
        match &self.keys {
            Keys::Known { salt, iterations, client, server }
                if *salt == first.salt && *iterations == first.iterations =>
            {
                // All that was said, in an order of its own: it is signed by both sides.
                let (name, ours) = (self.username(), nonce.as_bytes());
                let said: [&[u8]; 8] =
                    [b"n=", name, b",r=", ours, b",", message, b",c=biws,r=", first.nonce];
                let stored = hash.digest(client.as_bytes());
                let mut proof = hash.hmac(stored.as_bytes(), &said);
                proof.xor(client);
                let signature = hash.hmac(server.as_bytes(), &said);
                w.bytes(b"c=biws,r=");
                w.bytes(first.nonce);
                w.bytes(b",p=");
                base64::write(w, proof.as_bytes());
                Ok(Proof::Ready { signature })
            }
            // For another salt; it comes to an end first.
            Keys::Deriving { .. } => Ok(Proof::Wait),
            Keys::None | Keys::Known { .. } => {
                let ServerFirst { salt, iterations, .. } = first;
                let work = Derivation::new(hash, self.secret(), salt.as_bytes(), iterations);
                self.keys = Keys::Deriving { salt, iterations, work };
                Ok(Proof::Wait)
            }
        }
    }
}

#[cfg(feature = "_internal")]
impl Sasl<'_> {
    /// Derives the keys that a broker's first message asks for, and shows what a broker keeps of them: StoredKey and
    /// ServerKey.
    pub(super) fn internal_derive(
        &mut self,
        nonce: &Nonce,
        first: &[u8],
    ) -> Option<(Hashed, Hashed)> {
        let mut written = [0; 512];
        self.prove(&mut Writer::new(&mut written), nonce, first).ok()?;
        while !self.derive() {}
        let Keys::Known { client, server, .. } = &self.keys else {
            return None;
        };
        Some((self.hash()?.digest(client.as_bytes()), server.clone()))
    }
}

/// Whether the broker's final message has the signature that only it and the client can know.
pub(crate) fn verify(message: &[u8], signature: &Hashed) -> Result<(), AuthenticationFailure> {
    let mut parts = message.split(|byte| *byte == b',');
    let text = parts.next().and_then(|part| part.strip_prefix(b"v="));
    // Or `e=` and a word, in whatever case.
    let text = text.ok_or(AuthenticationFailure::Signature)?;
    let mut bytes = [0; 64];
    let len = base64::read(text, &mut bytes).ok_or(AuthenticationFailure::Signature)?;
    if signature.is(bytes.get(..len).unwrap_or_default()) {
        Ok(())
    } else {
        Err(AuthenticationFailure::Signature)
    }
}
