//! SCRAM (RFC 5802, RFC 7677), as `ScramSaslServer` has it, by RustCrypto's own crates: a witness that
//! shares nothing with the producer's code.

use core::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::{Accounts, LEAST_ITERATIONS, Refusal, SaslLie, Verdict, accounts::Stored, lie::Lies};

pub(super) const OTHER_ID: &str =
    "Authentication failed: Client requested an authorization id that is different from username";
/// So many letters are put behind the client's nonce.
const NONCE: usize = 24;
/// A lie about more iterations than these is not followed up: it would take minutes.
const MOST_ITERATIONS: u32 = 100_000;

/// The hash of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn mac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        // A key of any length will do.
        match self {
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .map(|mac| mac.chain_update(bytes).finalize().into_bytes().to_vec())
                .unwrap_or_default(),
            Self::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .map(|mac| mac.chain_update(bytes).finalize().into_bytes().to_vec())
                .unwrap_or_default(),
        }
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let password = password.as_bytes();
        match self {
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec()
            }
            Self::Sha512 => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec()
            }
        }
    }
}

/// What a broker keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys([hidden])")
    }
}

impl Keys {
    pub(super) fn new(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = hash.salted(password, salt, iterations);
        let client = hash.mac(&salted, b"Client Key");
        Self { stored: hash.of(&client), server: hash.mac(&salted, b"Server Key") }
    }

    /// Whether a proof is one of these keys. One of another length is more than Kafka can bear.
    fn prove(&self, hash: Hash, proof: &[u8], signed: &[u8]) -> Result<(), Refusal> {
        let signature = hash.mac(&self.stored, signed);
        let client: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        if proof.len() != signature.len() {
            return Err(Refusal::Hangup);
        }
        if hash.of(&client) == self.stored { Ok(()) } else { Err(Refusal::Credentials) }
    }
}

/// The exchange.
#[derive(Clone, Debug)]
pub(crate) struct Scram {
    hash: Hash,
    /// What the client's first message made of it.
    challenge: Option<Challenge>,
}

/// What was said so far.
#[derive(Clone, Debug)]
struct Challenge {
    user: String,
    /// `n,,` or `n,a=user,`: the client says it again.
    header: String,
    client_first: String,
    server_first: String,
    nonce: String,
    /// `None` where a lie was told that cannot be followed up.
    keys: Option<Keys>,
}

impl Scram {
    pub(super) const fn new(hash: Hash) -> Self {
        Self { hash, challenge: None }
    }

    /// Judges a message; a lie that fits is taken out of `lies`.
    pub(super) fn judge(
        &mut self,
        accounts: &mut Accounts,
        message: &[u8],
        lies: &mut Lies<'_>,
    ) -> Result<Verdict, Refusal> {
        let message = core::str::from_utf8(message).map_err(|_| Refusal::Credentials)?;
        match self.challenge.take() {
            None if lies.take(|lie| *lie == SaslLie::AtOnce).is_some() => {
                let user = First::read(message).ok_or(Refusal::Credentials)?.user;
                Ok(Verdict::Done { bytes: Vec::new(), principal: user, until: None })
            }
            None => {
                let challenge = self.first(accounts, message, lies)?;
                let said = challenge.server_first.clone().into_bytes();
                self.challenge = Some(challenge);
                Ok(Verdict::GoOn(said))
            }
            Some(challenge) => self.last(challenge, message, lies),
        }
    }

    fn first(
        &self,
        accounts: &mut Accounts,
        message: &str,
        lies: &mut Lies<'_>,
    ) -> Result<Challenge, Refusal> {
        let First { header, authorization_id, bare, user, nonce: theirs, token_auth } =
            First::read(message).ok_or(Refusal::Credentials)?;
        let ours = accounts.nonce(NONCE);
        // There are no delegation tokens.
        let stored = if token_auth { None } else { accounts.stored(&user, self.hash) };
        let Stored { mut salt, mut iterations, keys } = stored.ok_or(Refusal::Credentials)?;
        if !authorization_id.is_empty() && authorization_id != user {
            return Err(Refusal::Told(OTHER_ID.to_owned()));
        }
        if iterations < LEAST_ITERATIONS {
            return Err(Refusal::Credentials);
        }
        let mut keys = Some(keys);
        let mut nonce = format!("{theirs}{ours}");
        let mut told_salt = None;
        let lie = lies.take(|lie| {
            matches!(
                lie,
                SaslLie::Iterations(_)
                    | SaslLie::NonceNotExtended
                    | SaslLie::OtherNonce
                    | SaslLie::LongNonce(_)
                    | SaslLie::Salt(_)
                    | SaslLie::SaltNotBase64
            )
        });
        match lie {
            Some(SaslLie::Iterations(lie)) => iterations = lie,
            Some(SaslLie::NonceNotExtended) => nonce = theirs.to_owned(),
            Some(SaslLie::OtherNonce) => nonce = format!("{ours}{ours}"),
            Some(SaslLie::LongNonce(more)) => {
                let more = accounts.nonce(usize::try_from(more).unwrap_or(0));
                nonce = format!("{theirs}{more}");
            }
            Some(SaslLie::Salt(len)) => salt = accounts.noise(usize::try_from(len).unwrap_or(0)),
            Some(SaslLie::SaltNotBase64) => told_salt = Some("%%%%".to_owned()),
            _ => {}
        }
        if matches!(lie, Some(SaslLie::Iterations(_) | SaslLie::Salt(_))) {
            let password = accounts.password(&user).unwrap_or_default();
            let keys_of = || Keys::new(self.hash, password, &salt, iterations);
            keys = (iterations <= MOST_ITERATIONS).then(keys_of);
        }
        if told_salt.is_some() {
            keys = None;
        }
        let told_salt = told_salt.unwrap_or_else(|| BASE64.encode(&salt));
        let server_first = format!("r={nonce},s={told_salt},i={iterations}");
        let (header, client_first) = (header.to_owned(), bare.to_owned());
        Ok(Challenge { user, header, client_first, server_first, nonce, keys })
    }

    fn last(
        &self,
        challenge: Challenge,
        message: &str,
        lies: &mut Lies<'_>,
    ) -> Result<Verdict, Refusal> {
        let Challenge { user, header, client_first, server_first, nonce, keys } = challenge;
        let last = Last::read(message).ok_or(Refusal::Credentials)?;
        if last.nonce != nonce {
            return Err(Refusal::Credentials);
        }
        let keys = keys.ok_or(Refusal::Credentials)?;
        let signed = format!("{client_first},{server_first},{}", last.without_proof);
        let signed = signed.as_bytes();
        keys.prove(self.hash, &last.proof, signed)?;
        // Kafka does not look at what is said again of the header; here that must be the same.
        if last.header != header.as_bytes() {
            return Err(Refusal::Credentials);
        }
        let mut signature = self.hash.mac(&keys.server, signed);
        let lie = lies.take(|lie| {
            matches!(
                lie,
                SaslLie::WrongSignature
                    | SaslLie::NoSignature
                    | SaslLie::SignatureNotBase64
                    | SaslLie::ServerError
            )
        });
        if let (Some(SaslLie::WrongSignature), Some(byte)) = (&lie, signature.last_mut()) {
            *byte ^= 1;
        }
        let bytes = match lie {
            Some(SaslLie::NoSignature) => Vec::new(),
            Some(SaslLie::SignatureNotBase64) => b"v=%%%%".to_vec(),
            Some(SaslLie::ServerError) => b"e=other-error".to_vec(),
            _ => format!("v={}", BASE64.encode(&signature)).into_bytes(),
        };
        Ok(Verdict::Done { bytes, principal: user, until: None })
    }
}

/// The client's first message: `n,a=ID,n=USER,r=NONCE`, and extensions.
struct First<'a> {
    /// With its two commas.
    header: &'a str,
    authorization_id: String,
    /// What follows the header.
    bare: &'a str,
    user: String,
    nonce: &'a str,
    token_auth: bool,
}

impl<'a> First<'a> {
    fn read(message: &'a str) -> Option<Self> {
        let after = message.strip_prefix("n,")?;
        let (id, bare) = after.split_once(',')?;
        let header = message.strip_suffix(bare)?;
        let authorization_id =
            if id.is_empty() { String::new() } else { name(id.strip_prefix("a=")?)? };
        let mut fields = bare.split(',');
        let user = name(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        let mut token_auth = false;
        for field in fields {
            let (key, value) = field.split_once('=')?;
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return None;
            }
            token_auth |= key == "tokenauth" && value.eq_ignore_ascii_case("true");
        }
        is_nonce(nonce).then_some(Self { header, authorization_id, bare, user, nonce, token_auth })
    }
}

/// The client's last message: `c=HEADER,r=NONCE`, extensions, and `p=PROOF`.
struct Last<'a> {
    header: Vec<u8>,
    nonce: &'a str,
    without_proof: &'a str,
    proof: Vec<u8>,
}

impl<'a> Last<'a> {
    fn read(message: &'a str) -> Option<Self> {
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut fields = without_proof.split(',');
        let header = BASE64.decode(fields.next()?.strip_prefix("c=")?).ok()?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        Some(Self { header, nonce, without_proof, proof: BASE64.decode(proof).ok()? })
    }
}

/// A name as it was before its commas and equals signs were written as `=2C` and `=3D`.
fn name(written: &str) -> Option<String> {
    let mut parts = written.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = part.split_at_checked(2)?;
        name.push(match sign {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    (!name.is_empty()).then_some(name)
}

fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    #[test]
    fn the_rfcs_example_of_sha_256_holds() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let scram = Scram::new(Hash::Sha256);
        let challenge = Challenge {
            user: "user".to_owned(),
            header: "n,,".to_owned(),
            client_first: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
            server_first: format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            nonce: nonce.to_owned(),
            keys: Some(Keys::new(Hash::Sha256, "pencil", &salt, 4096)),
        };
        let said = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let (mut waiting, mut told) = (Vec::new(), None);
        let mut lies = Lies { waiting: &mut waiting, told: &mut told };
        let verdict = scram.last(challenge.clone(), &said, &mut lies);
        let bytes = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
        let done = Verdict::Done { bytes, principal: "user".to_owned(), until: None };
        assert_eq!(verdict, Ok(done));
        // Another proof, header or nonce is refused.
        for (from, to) in [("dHzb", "eHzb"), ("biws", "eSws"), ("r=rOpr", "r=sOpr")] {
            let said = said.replace(from, to);
            let refused = scram.last(challenge.clone(), &said, &mut lies);
            assert_eq!(refused, Err(Refusal::Credentials), "{said}");
        }
    }

    #[test]
    fn names_are_read_as_they_were() {
        assert_eq!(name("a=2Cb=3Dc").as_deref(), Some("a,b=c"));
        for broken in ["", "a=", "a=2", "a=2c", "a=b", "=41"] {
            assert_eq!(name(broken), None, "{broken}");
        }
    }

    #[test]
    fn broken_messages_are_not_read() {
        assert!(First::read("n,,n=user,r=abc,tokenauth=true").is_some_and(|m| m.token_auth));
        assert!(First::read("n,a=user,n=user,r=abc,x=y").is_some_and(|m| m.header == "n,a=user,"));
        for broken in
            ["", "n,,", "y,,n=u,r=a", "p=x,,n=u,r=a", "n,,n=u", "n,,n=u,r=", "n,,m=x,n=u,r=a"]
        {
            assert!(First::read(broken).is_none(), "{broken}");
        }
        for broken in ["", "c=biws,r=a", "c=%,r=a,p=AAAA", "c=biws,r=a,p=%"] {
            assert!(Last::read(broken).is_none(), "{broken}");
        }
    }
}
