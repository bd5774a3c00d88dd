//! SASL: who the client says it is, and how it proves that. Without sockets and without a heap.
//!
//! Secrets lie in memory that the caller lends, or that is the producer's own, and are wiped when they are of
//! no more use. Nothing here shows one.

#[cfg(feature = "_scram")]
mod base64;
mod failure;
#[cfg(feature = "_scram")]
mod hash;
#[cfg(all(feature = "_internal", feature = "_scram"))]
mod internal;
#[cfg(feature = "_scram")]
pub(crate) mod scram;
#[cfg(feature = "oauthbearer")]
mod token;

use core::fmt;

pub use failure::{AuthenticationFailure, Mechanisms};
#[cfg(feature = "_scram")]
pub(crate) use hash::Hashed;
use heapless::String;
#[cfg(all(feature = "_internal", feature = "_scram"))]
pub use internal::{internal_read_scram, internal_scram_keys};
#[cfg(feature = "oauthbearer")]
pub use token::Token;
#[cfg(feature = "oauthbearer")]
pub(crate) use token::Tokens;

use crate::{slots::Slots, wire::Writer};

/// Fills a buffer with random bytes that nobody can foretell; false where there are none to be had.
pub type Entropy = fn(&mut [u8]) -> bool;

/// A SASL mechanism, by its name in Kafka's `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Mechanism {
    /// `PLAIN` (RFC 4616): the password itself is sent.
    #[cfg(feature = "plain")]
    Plain,
    /// `SCRAM-SHA-256` (RFC 7677).
    #[cfg(feature = "scram-sha-256")]
    ScramSha256,
    /// `SCRAM-SHA-512`.
    #[cfg(feature = "scram-sha-512")]
    ScramSha512,
    /// `OAUTHBEARER` (RFC 7628, KIP-255): a token is sent.
    #[cfg(feature = "oauthbearer")]
    OAuthBearer,
}

impl Mechanism {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "plain")]
            Self::Plain => "PLAIN",
            #[cfg(feature = "scram-sha-256")]
            Self::ScramSha256 => "SCRAM-SHA-256",
            #[cfg(feature = "scram-sha-512")]
            Self::ScramSha512 => "SCRAM-SHA-512",
            #[cfg(feature = "oauthbearer")]
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    pub(crate) const fn is_scram(self) -> bool {
        match self {
            #[cfg(feature = "plain")]
            Self::Plain => false,
            #[cfg(feature = "oauthbearer")]
            Self::OAuthBearer => false,
            #[cfg(feature = "scram-sha-256")]
            Self::ScramSha256 => true,
            #[cfg(feature = "scram-sha-512")]
            Self::ScramSha512 => true,
        }
    }

    /// Whether a name or a password may have that byte.
    const fn may_say(self, byte: u8) -> bool {
        if self.is_scram() { matches!(byte, b' '..=b'~') } else { byte != 0 }
    }

    /// Whether it is about a user with a password.
    const fn has_user(self) -> bool {
        match self {
            #[cfg(feature = "plain")]
            Self::Plain => true,
            #[cfg(feature = "oauthbearer")]
            Self::OAuthBearer => false,
            #[cfg(feature = "scram-sha-256")]
            Self::ScramSha256 => true,
            #[cfg(feature = "scram-sha-512")]
            Self::ScramSha512 => true,
        }
    }
}

/// What a client authenticates by. Shown without its secret.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Credentials<'a> {
    /// [`Mechanism::Plain`].
    #[cfg(feature = "plain")]
    Plain {
        /// `sasl.username`.
        username: &'a str,
        /// `sasl.password`.
        password: &'a str,
    },
    /// [`Mechanism::ScramSha256`].
    #[cfg(feature = "scram-sha-256")]
    ScramSha256 {
        /// `sasl.username`.
        username: &'a str,
        /// `sasl.password`.
        password: &'a str,
        /// For nonces. The seed of a producer would not do: who knows one nonce before it is used can have
        /// a broker's part of it said again.
        entropy: Entropy,
    },
    /// [`Mechanism::ScramSha512`].
    #[cfg(feature = "scram-sha-512")]
    ScramSha512 {
        /// `sasl.username`.
        username: &'a str,
        /// `sasl.password`.
        password: &'a str,
        /// As with SHA-256.
        entropy: Entropy,
    },
    /// [`Mechanism::OAuthBearer`]: tokens are asked for by [`Output::WantToken`](crate::Output::WantToken).
    #[cfg(feature = "oauthbearer")]
    OAuthBearer,
    /// None that there is: a mechanism that has a user's name has `'a` as well.
    #[cfg(not(any(feature = "plain", feature = "_scram")))]
    #[doc(hidden)]
    Never(core::convert::Infallible, core::marker::PhantomData<&'a str>),
}

impl<'a> Credentials<'a> {
    /// The mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        match self {
            #[cfg(feature = "plain")]
            Self::Plain { .. } => Mechanism::Plain,
            #[cfg(feature = "scram-sha-256")]
            Self::ScramSha256 { .. } => Mechanism::ScramSha256,
            #[cfg(feature = "scram-sha-512")]
            Self::ScramSha512 { .. } => Mechanism::ScramSha512,
            #[cfg(feature = "oauthbearer")]
            Self::OAuthBearer => Mechanism::OAuthBearer,
            #[cfg(not(any(feature = "plain", feature = "_scram")))]
            Self::Never(never, _) => match *never {},
        }
    }

    const fn parts(&self) -> (&'a str, &'a str, Option<Entropy>) {
        match self {
            #[cfg(feature = "plain")]
            Self::Plain { username, password } => (username, password, None),
            #[cfg(feature = "scram-sha-256")]
            Self::ScramSha256 { username, password, entropy } => {
                (username, password, Some(*entropy))
            }
            #[cfg(feature = "scram-sha-512")]
            Self::ScramSha512 { username, password, entropy } => {
                (username, password, Some(*entropy))
            }
            #[cfg(feature = "oauthbearer")]
            Self::OAuthBearer => ("", "", None),
            #[cfg(not(any(feature = "plain", feature = "_scram")))]
            Self::Never(never, _) => match *never {},
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [hidden]", self.mechanism().name())
    }
}

/// Why credentials, or a token, were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SaslError {
    /// The user's name or the password is empty.
    Empty,
    /// SCRAM's names and passwords are printable ASCII here; PLAIN's have no NUL. (SASLprep, which makes one
    /// text of several that look alike, is not done: it would be a wrong password that nobody understands.)
    Character,
    /// The user's name is longer than 255 bytes, or the password or token than 65,535.
    TooLong,
    /// The lent memory is too small.
    Memory {
        /// How many bytes there must be.
        need: u32,
    },
    /// The token has a character that is none of RFC 6750's `b64token`.
    Token,
    /// The name of an extension is not of letters, or is `auth`; or its value has a character that
    /// may not be (RFC 7628 §3.1).
    Extension,
    /// The producer has no SASL, or another mechanism than OAUTHBEARER.
    NoTokenWanted,
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("sasl.username and sasl.password must not be empty"),
            Self::Character => f.write_str(
                "sasl.username and sasl.password: expected printable ASCII (for PLAIN: no NUL)",
            ),
            Self::TooLong => f.write_str(
                "sasl.username may have 255 bytes, and sasl.password, or a token, 65535",
            ),
            Self::Memory { need } => write!(f, "the lent memory must have {need} bytes for SASL"),
            Self::Token => f.write_str("the token has a character that no token may have"),
            Self::Extension => f.write_str(
                "an extension of the token must be named by letters, and have a printable value",
            ),
            Self::NoTokenWanted => {
                f.write_str("no token is wanted: sasl.mechanism is not OAUTHBEARER")
            }
        }
    }
}

impl core::error::Error for SaslError {}

/// How a producer authenticates: credentials in memory of their own, and what is kept between connections.
///
/// Given to [`Producer::set_sasl`](crate::Producer::set_sasl). Shown without its secrets, which are wiped when it is
/// dropped.
// As other things are that are moved as a whole: the function that copies those is there already.
#[repr(align(8))]
pub struct Sasl<'m> {
    /// The user's name as the mechanism says it, and the password behind it; or the message that has the token.
    memory: Slots<'m, u8>,
    mechanism: Mechanism,
    username: u16,
    secret: u32,
    #[cfg(feature = "_scram")]
    entropy: Option<Entropy>,
    #[cfg(feature = "_scram")]
    pub(crate) keys: scram::Keys,
    /// PBKDF2's iterations a call.
    #[cfg(feature = "_scram")]
    pub(crate) slice: u32,
    #[cfg(feature = "oauthbearer")]
    pub(crate) tokens: Tokens,
    /// What a broker said of its last refusal.
    said: String<160>,
}

impl<'m> Sasl<'m> {
    /// Takes the credentials over into lent memory: as many bytes as user name and password have together, for
    /// SCRAM two more for each `,` and `=` in the name; or as the largest token has with its extensions, and 18 more.
    ///
    /// # Errors
    ///
    /// [`SaslError`] names what cannot be.
    pub fn new(credentials: &Credentials<'_>, memory: &'m mut [u8]) -> Result<Self, SaslError> {
        Self::with(credentials, Slots::lent(memory))
    }

    /// The same in memory from the heap.
    ///
    /// # Errors
    ///
    /// [`SaslError`] names what cannot be.
    #[cfg(feature = "alloc")]
    pub fn heap(credentials: &Credentials<'_>) -> Result<Sasl<'static>, SaslError> {
        let (username, password, _) = credentials.parts();
        let name = Writer::measure(|w| write_name(w, credentials.mechanism(), username));
        Sasl::with(credentials, heap_of(name.saturating_add(password.len()))?)
    }

    fn with(credentials: &Credentials<'_>, mut memory: Slots<'m, u8>) -> Result<Self, SaslError> {
        let mechanism = credentials.mechanism();
        let (username, password, entropy) = credentials.parts();
        if mechanism.has_user() {
            check(username, password)?;
        }
        let mut writer = Writer::new(memory.all_mut());
        write_name(&mut writer, mechanism, username);
        let name = writer.len();
        writer.bytes(password.as_bytes());
        let fits = match writer.finish() {
            Ok(len) if memory.all().iter().take(len).all(|byte| mechanism.may_say(*byte)) => Ok(()),
            Ok(_) => Err(SaslError::Character),
            Err(short) => Err(SaslError::Memory { need: short.needed as u32 }),
        };
        if let Err(error) = fits {
            wipe(memory.all_mut());
            return Err(error);
        }
        #[cfg(not(feature = "_scram"))]
        let _ = entropy;
        Ok(Self {
            memory,
            mechanism,
            username: name as u16,
            secret: password.len() as u32,
            #[cfg(feature = "_scram")]
            entropy,
            #[cfg(feature = "_scram")]
            keys: scram::Keys::NONE,
            #[cfg(feature = "_scram")]
            slice: 16,
            #[cfg(feature = "oauthbearer")]
            tokens: Tokens::NONE,
            said: String::new(),
        })
    }

    /// How many of PBKDF2's iterations are made in one call of
    /// [`handle_timeout`](crate::Producer::handle_timeout); 16 by itself, which take some 2 ms on a Cortex-M3 at
    /// 50 MHz, and 20 µs on a server. A broker asks for 4,096 to 16,384, once, and again only where a user's
    /// salt has changed.
    #[cfg(feature = "_scram")]
    #[must_use]
    pub fn with_iterations_per_call(mut self, iterations: u32) -> Self {
        self.slice = iterations.max(1);
        self
    }

    /// The mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    pub(crate) fn username(&self) -> &[u8] {
        piece(&self.memory, 0, self.username.into())
    }

    /// The password, or the message that has the token.
    pub(crate) fn secret(&self) -> &[u8] {
        piece(&self.memory, self.username, self.secret)
    }

    /// Begins to derive keys.
    #[cfg(feature = "_scram")]
    fn begin_keys(&mut self, hash: hash::Hash, salt: &scram::Salt, iterations: u32) {
        let password = piece(&self.memory, self.username, self.secret);
        self.keys.begin(hash, password, salt, iterations);
    }

    #[cfg(feature = "_scram")]
    pub(crate) const fn is_scram(&self) -> bool {
        self.mechanism.is_scram()
    }

    #[cfg(feature = "_scram")]
    pub(crate) const fn entropy(&self) -> Option<Entropy> {
        self.entropy
    }

    /// The mechanism's first message, with the nonce where it has one.
    pub(crate) fn first_message<'a>(&'a self, nonce: &'a [u8]) -> [&'a [u8]; 4] {
        if self.mechanism.is_scram() {
            [b"n,,n=", self.username(), b",r=", nonce]
        } else {
            [b"\0", self.username(), b"\0", self.secret()]
        }
    }

    /// Keeps what a broker said of its refusal.
    pub(crate) fn note_said(&mut self, text: &[u8]) {
        self.said.clear();
        // As much of it as there is room for. Brokers say such things in ASCII, and a device has better things to
        // keep in its flash than what takes UTF-8 apart.
        for byte in text {
            let char = if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
            if self.said.push(char).is_err() {
                break;
            }
        }
    }

    pub(crate) fn said(&self) -> Option<&str> {
        (!self.said.is_empty()).then_some(self.said.as_str())
    }

    /// Room for a secret of that length, the one before wiped.
    #[cfg(feature = "oauthbearer")]
    fn make_room(&mut self, len: usize) -> Result<&mut [u8], SaslError> {
        // Judged first: what there is stays where the new one finds no room.
        #[cfg(feature = "alloc")]
        let other = match self.memory.is_owned() && self.memory.all().len() < len {
            true => Some(heap_of(len)?),
            false => None,
        };
        #[cfg(not(feature = "alloc"))]
        let other = None;
        let room = other.as_ref().unwrap_or(&self.memory).all().len();
        let need = SaslError::Memory { need: u32::try_from(len).unwrap_or(u32::MAX) };
        if room < len {
            return Err(need);
        }
        self.secret = 0;
        wipe(self.memory.all_mut());
        if let Some(other) = other {
            self.memory = other;
        }
        self.memory.all_mut().get_mut(..len).ok_or(need)
    }
}

#[cfg(feature = "alloc")]
fn heap_of(len: usize) -> Result<Slots<'static, u8>, SaslError> {
    Slots::bytes(len as u64).map_err(|_| SaslError::Memory { need: len as u32 })
}

/// A piece of what is in memory.
#[inline(never)]
fn piece<'a>(memory: &'a Slots<'_, u8>, start: u16, len: u32) -> &'a [u8] {
    let rest = memory.all().get(usize::from(start)..).unwrap_or_default();
    rest.get(..len as usize).unwrap_or_default()
}

/// Wipes bytes. One by one: as a whole it would be a call of Rust's library, which is ten times as long.
#[inline(never)]
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.iter_mut().for_each(zeroize::Zeroize::zeroize);
}

/// A user's name as the mechanism says it.
fn write_name(w: &mut Writer<'_>, mechanism: Mechanism, name: &str) {
    for byte in name.bytes() {
        match byte {
            b',' if mechanism.is_scram() => w.bytes(b"=2C"),
            b'=' if mechanism.is_scram() => w.bytes(b"=3D"),
            byte => w.bytes(&[byte]),
        }
    }
}

fn check(username: &str, password: &str) -> Result<(), SaslError> {
    if username.is_empty() || password.is_empty() {
        return Err(SaslError::Empty);
    }
    if username.len() > 255 || password.len() > 65_535 {
        return Err(SaslError::TooLong);
    }
    Ok(())
}

impl Drop for Sasl<'_> {
    fn drop(&mut self) {
        wipe(self.memory.all_mut());
    }
}

impl fmt::Debug for Sasl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sasl({} [hidden])", self.mechanism.name())
    }
}

#[cfg(test)]
mod tests;
