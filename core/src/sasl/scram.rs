//! SCRAM (RFC 5802, RFC 7677): its messages, and its keys.
//!
//! The salt is a user's and not a connection's, so that keys are kept: connections after the first cost four HMACs.

use super::{
    AuthenticationFailure, Entropy, Sasl, base64,
    hash::{Hash, Hashed, Keyed},
};
use crate::wire::{Writer, put};

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

    /// Makes another one, if there is entropy for it.
    pub(crate) fn renew(&mut self, entropy: Option<Entropy>) -> Result<(), AuthenticationFailure> {
        let mut random = [0; RANDOM];
        if !entropy.is_some_and(|entropy| entropy(&mut random)) {
            return Err(AuthenticationFailure::NoEntropy);
        }
        base64::write(&mut Writer::new(&mut self.0), &random);
        Ok(())
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A broker's first message, taken apart.
pub(crate) struct ServerFirst<'a> {
    nonce: &'a [u8],
    iterations: u32,
}

/// A user's salt.
pub(crate) struct Salt {
    bytes: [u8; LONGEST_SALT],
    len: u8,
}

impl Salt {
    pub(crate) const NONE: Self = Self { bytes: [0; LONGEST_SALT], len: 0 };

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<'a> ServerFirst<'a> {
    /// Reads `r=…,s=…,i=…`; extensions may follow, and are of no meaning here.
    #[inline(never)]
    pub(crate) fn read(
        mut message: &'a [u8],
        ours: &[u8],
        salt: &mut Salt,
    ) -> Result<Self, AuthenticationFailure> {
        let malformed = AuthenticationFailure::Malformed;
        let nonce = attribute(&mut message, b'r').ok_or(malformed)?;
        let printable = nonce.iter().all(|byte| (b'!'..=b'~').contains(byte));
        let longer = nonce.len() > ours.len() && nonce.len() <= LONGEST_NONCE;
        if !(longer && printable && nonce.starts_with(ours)) {
            return Err(AuthenticationFailure::Nonce);
        }
        let text = attribute(&mut message, b's').ok_or(malformed)?;
        salt.len = base64::read(text, &mut salt.bytes).unwrap_or(0) as u8;
        if salt.len == 0 {
            return Err(AuthenticationFailure::Salt);
        }
        let iterations = number(attribute(&mut message, b'i').ok_or(malformed)?);
        if !ITERATIONS.contains(&iterations) {
            return Err(AuthenticationFailure::Iterations);
        }
        Ok(Self { nonce, iterations })
    }
}

/// Takes the attribute of that name off the head of a message, which is then behind the comma.
#[inline(never)]
fn attribute<'a>(message: &mut &'a [u8], name: u8) -> Option<&'a [u8]> {
    let whole = *message;
    let end = whole.iter().position(|byte| *byte == b',').unwrap_or(whole.len());
    let (attribute, rest) = whole.split_at_checked(end)?;
    *message = rest.get(1..).unwrap_or_default();
    attribute.strip_prefix(&[name, b'='])
}

/// A decimal number; what is none, or too large a one, is one that is too large.
fn number(text: &[u8]) -> u32 {
    text.iter().fold(0_u32, |number, digit| match digit {
        b'0'..=b'9' => number.saturating_mul(10).saturating_add(u32::from(digit - b'0')),
        _ => u32::MAX,
    })
}

#[cfg(feature = "_internal")]
impl ServerFirst<'_> {
    /// Bytes of nonce and salt, and the iterations.
    pub(super) fn internal_sizes(&self, salt: &Salt) -> (usize, usize, u32) {
        (self.nonce.len(), salt.as_bytes().len(), self.iterations)
    }
}

/// What a password makes with a salt (PBKDF2, RFC 8018 §5.2); wiped when it is dropped.
pub(crate) struct Keys {
    salt: Salt,
    /// How many there are to be; none, while there are no keys.
    iterations: u32,
    /// How many of them are left.
    left: u32,
    /// The password, while there are.
    keyed: Keyed,
    /// The last iteration's, and then the client's key.
    client: Hashed,
    /// The sum of all iterations, and then the server's key.
    server: Hashed,
}

impl Keys {
    pub(crate) const NONE: Self = Self {
        salt: Salt::NONE,
        iterations: 0,
        left: 0,
        keyed: Keyed::NONE,
        client: Hashed::NONE,
        server: Hashed::NONE,
    };

    /// Begins to derive some: the first iteration is done.
    pub(super) fn begin(&mut self, hash: Hash, password: &[u8], salt: &Salt, iterations: u32) {
        self.keyed.set(hash, password);
        self.client.clear();
        self.keyed.mac(&[salt.as_bytes(), &1_u32.to_be_bytes()], &mut self.client);
        self.server = self.client.clone();
        put(&mut self.salt.bytes, salt.as_bytes());
        self.salt.len = salt.len;
        (self.iterations, self.left) = (iterations, iterations.saturating_sub(1));
    }
}

impl Sasl<'_> {
    fn hash(&self) -> Option<Hash> {
        Hash::of(self.mechanism())
    }

    /// Whether keys are being derived.
    pub(crate) const fn derives(&self) -> bool {
        self.keys.left > 0
    }

    /// Goes on with the keys for a slice; true once they are there.
    pub(crate) fn derive(&mut self) -> bool {
        let (hash, slice, keys) = (self.hash(), self.slice, &mut self.keys);
        let Some(hash) = hash.filter(|_| keys.left > 0) else {
            return false;
        };
        let now = slice.min(keys.left);
        for _ in 0..now {
            keys.keyed.mac(&[], &mut keys.client);
            keys.server.xor(&keys.client);
        }
        keys.left -= now;
        if keys.left > 0 {
            return false;
        }
        keys.keyed.set(hash, keys.server.as_bytes());
        for (key, name) in [(&mut keys.client, b"Client Key"), (&mut keys.server, b"Server Key")] {
            key.clear();
            keys.keyed.mac(&[name], key);
        }
        keys.keyed = Keyed::NONE;
        true
    }

    /// Writes the client's final message as an answer to the broker's first one, and says what that is to sign with:
    /// true, if the keys are there. Begins to derive them if they are not.
    pub(crate) fn prove(
        &mut self,
        w: &mut Writer<'_>,
        ours: &[u8],
        message: &[u8],
        signature: &mut Hashed,
    ) -> Result<bool, AuthenticationFailure> {
        let mut salt = Salt::NONE;
        let first = ServerFirst::read(message, ours, &mut salt)?;
        let hash = self.hash().ok_or(AuthenticationFailure::Malformed)?;
        // Those for another salt come to an end first.
        if self.derives() {
            return Ok(false);
        }
        let keys = &self.keys;
        if keys.salt.as_bytes() != salt.as_bytes() || keys.iterations != first.iterations {
            self.begin_keys(hash, &salt, first.iterations);
            return Ok(false);
        }
        // All that was said, in an order of its own: it is signed by both sides.
        let said: [&[u8]; 8] =
            [b"n=", self.username(), b",r=", ours, b",", message, b",c=biws,r=", first.nonce];
        let mut proof = keys.client.clone();
        hash.digest(&mut proof);
        hash.hmac(&mut proof, &said);
        proof.xor(&keys.client);
        *signature = keys.server.clone();
        hash.hmac(signature, &said);
        w.bytes(b"c=biws,r=");
        w.bytes(first.nonce);
        w.bytes(b",p=");
        base64::write(w, proof.as_bytes());
        Ok(true)
    }
}

#[cfg(feature = "_internal")]
impl Sasl<'_> {
    /// Derives the keys that a broker's first message asks for, and shows what a broker keeps of them: StoredKey and
    /// ServerKey.
    pub(super) fn internal_derive(
        &mut self,
        ours: &[u8],
        first: &[u8],
    ) -> Option<(Hashed, Hashed)> {
        let (mut written, mut signature) = ([0; 512], Hashed::NONE);
        self.prove(&mut Writer::new(&mut written), ours, first, &mut signature).ok()?;
        while !self.derive() {}
        let mut stored = self.keys.client.clone();
        self.hash()?.digest(&mut stored);
        Some((stored, self.keys.server.clone()))
    }
}

/// Whether the broker's final message has the signature that only it and the client can know.
pub(crate) fn verify(mut message: &[u8], signature: &Hashed) -> Result<(), AuthenticationFailure> {
    let mut bytes = [0; 64];
    // Or `e=` and a word, in whatever case.
    let text = attribute(&mut message, b'v').unwrap_or_default();
    let len = base64::read(text, &mut bytes).unwrap_or(0);
    if len > 0 && signature.is(bytes.get(..len).unwrap_or_default()) {
        Ok(())
    } else {
        Err(AuthenticationFailure::Signature)
    }
}
