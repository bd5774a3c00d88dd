//! A client that authenticates, and may do so wrongly.

use core::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ottla_core::wire::{
    ApiKey, ErrorCode, Wire, sasl_authenticate,
    sasl_handshake::SaslHandshakeRequest,
    sasl_response::{SaslItem, SaslResponse},
};
use ottla_model::{
    Cluster, ClusterConfig,
    sasl::{Mechanism, SaslConfig, Token, User},
};
use sha2::{Digest as _, Sha256, Sha512};

use crate::wire_client::{Client, T0, at_ms, read, request, versions_request, with_topic};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "alice-secret";
pub(crate) const TOKEN: &str = "a-token";
/// Until when the token holds.
pub(crate) const TOKEN_ENDS: Duration = Duration::from_secs(20);

/// All mechanisms, two users, and a token.
pub(crate) fn sasl() -> SaslConfig {
    let token = |text: &str, principal: &str| Token {
        text: text.to_owned(),
        principal: principal.to_owned(),
        until: TOKEN_ENDS,
    };
    SaslConfig::with(&Mechanism::ALL)
        .user(USER, PASSWORD)
        .user("bob", "bob-secret")
        .token(token(TOKEN, USER))
        .token(token("bobs-token", "bob"))
}

pub(crate) fn cluster(sasl: SaslConfig) -> Cluster {
    with_topic(ClusterConfig { sasl: Some(sasl), ..ClusterConfig::default() })
}

pub(crate) fn session_of(ms: u64) -> Cluster {
    cluster(sasl().max_reauth(at_ms(ms)))
}

/// The user with so many iterations.
pub(crate) fn iterations(iterations: u32) -> Cluster {
    let mut config = sasl();
    config.users[0] = User { iterations, ..User::new(USER, PASSWORD) };
    cluster(config)
}

pub(crate) fn handshake_request(mechanism: &str) -> Vec<u8> {
    request(ApiKey::SASL_HANDSHAKE, 1, 50, |w, d| SaslHandshakeRequest { mechanism }.write(w, d))
}

pub(crate) fn authenticate_request(version: i16, message: &[u8]) -> Vec<u8> {
    request(ApiKey::SASL_AUTHENTICATE, version, 51, |w, d| {
        sasl_authenticate::write_request_head(w, d, message.len());
        w.bytes(message);
        sasl_authenticate::write_request_end(w, d);
    })
}

pub(crate) fn read_handshake(frame: &[u8]) -> (ErrorCode, Vec<String>) {
    let mut walk = SaslResponse::new(ApiKey::SASL_HANDSHAKE, 1);
    let (mut error, mut mechanisms) = (ErrorCode(-2), Vec::new());
    for item in read(frame, |input| walk.step(input)) {
        match item {
            SaslItem::Error(told) => error = told,
            SaslItem::Mechanism(name) => mechanisms.push(name.to_string()),
            SaslItem::Message(_) | SaslItem::Bytes(_) | SaslItem::Lifetime(_) => panic!("{item:?}"),
        }
    }
    (error, mechanisms)
}

/// What SaslAuthenticate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) error: ErrorCode,
    pub(crate) words: Option<String>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) lifetime: Option<i64>,
}

impl Said {
    pub(crate) fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes).unwrap()
    }

    /// The words of a refusal.
    pub(crate) fn refusal(&self) -> &str {
        assert_eq!(self.error, ErrorCode::SASL_AUTHENTICATION_FAILED, "{self:?}");
        assert!(self.bytes.is_empty(), "{self:?}");
        self.words.as_deref().unwrap()
    }
}

pub(crate) fn read_authenticate(version: i16, frame: &[u8]) -> Said {
    let mut walk = SaslResponse::new(ApiKey::SASL_AUTHENTICATE, version);
    let mut said = Said { error: ErrorCode(-2), ..Said::default() };
    for item in read(frame, |input| walk.step(input)) {
        match item {
            SaslItem::Error(error) => said.error = error,
            SaslItem::Message(words) => said.words = words.map(|w| w.to_string()),
            SaslItem::Bytes(bytes) => said.bytes = bytes.bytes.to_vec(),
            SaslItem::Lifetime(ms) => said.lifetime = Some(ms),
            SaslItem::Mechanism(name) => panic!("{name}"),
        }
    }
    said
}

impl Client {
    /// A client that has asked for versions.
    pub(crate) fn greeted(cluster: &mut Cluster) -> Self {
        let mut client = Self::new(cluster, 1);
        assert!(!client.call(cluster, T0, &versions_request(4)).is_empty());
        client
    }

    pub(crate) fn handshake(
        &mut self,
        cluster: &mut Cluster,
        now: Duration,
        mechanism: Mechanism,
    ) -> ErrorCode {
        let answer = self.call(cluster, now, &handshake_request(mechanism.name()));
        read_handshake(&answer).0
    }

    /// One message, in version 2.
    pub(crate) fn says(&mut self, cluster: &mut Cluster, now: Duration, message: &[u8]) -> Said {
        let answer = self.call(cluster, now, &authenticate_request(2, message));
        read_authenticate(2, &answer)
    }

    /// The handshake, and the first message.
    pub(crate) fn begins(
        &mut self,
        cluster: &mut Cluster,
        now: Duration,
        mechanism: Mechanism,
        message: &[u8],
    ) -> Said {
        assert_eq!(self.handshake(cluster, now, mechanism), ErrorCode::NONE);
        self.says(cluster, now, message)
    }

    /// All of it, with what is right; the lifetime that is told.
    pub(crate) fn authenticates(
        &mut self,
        cluster: &mut Cluster,
        now: Duration,
        mechanism: Mechanism,
    ) -> i64 {
        let said = match mechanism {
            Mechanism::Plain => self.begins(cluster, now, mechanism, &plain(USER, PASSWORD)),
            Mechanism::OAuthBearer => self.begins(cluster, now, mechanism, &bearer(TOKEN)),
            Mechanism::ScramSha256 | Mechanism::ScramSha512 => {
                let (client, said) = self.scram(cluster, now, mechanism, USER, PASSWORD);
                assert_eq!(said.text(), client.server_last, "the server's signature");
                said
            }
        };
        assert_eq!((said.error, said.words.as_deref()), (ErrorCode::NONE, Some("")));
        said.lifetime.unwrap()
    }

    /// SCRAM, as far as it gets.
    pub(crate) fn scram(
        &mut self,
        cluster: &mut Cluster,
        now: Duration,
        mechanism: Mechanism,
        user: &str,
        password: &str,
    ) -> (ScramClient, Said) {
        let mut client = ScramClient::new(mechanism);
        let first = client.first(user);
        let said = self.begins(cluster, now, mechanism, first.as_bytes());
        let last = client.last(password, said.text());
        let said = self.says(cluster, now, last.as_bytes());
        (client, said)
    }

    /// Whether the node has ended the connection, with nothing more to say.
    pub(crate) fn is_cut_off(&mut self, cluster: &mut Cluster, now: Duration) -> bool {
        self.connection.advance(cluster, now);
        assert!(self.connection.take_transmit().is_empty());
        self.connection.is_closed()
    }
}

pub(crate) fn plain(user: &str, password: &str) -> Vec<u8> {
    format!("\0{user}\0{password}").into_bytes()
}

pub(crate) fn bearer(token: &str) -> Vec<u8> {
    format!("n,,\x01auth=Bearer {token}\x01\x01").into_bytes()
}

/// SCRAM's arithmetic, from the RFC.
pub(crate) struct ScramClient {
    mechanism: Mechanism,
    pub(crate) client_first: String,
    /// What it says last of its header, in base64, and of the nonce, where that is not what is right.
    pub(crate) header: &'static str,
    pub(crate) nonce: Option<String>,
    /// What the server has to say last.
    pub(crate) server_last: String,
}

impl ScramClient {
    pub(crate) fn new(mechanism: Mechanism) -> Self {
        let (client_first, server_last) = (String::new(), String::new());
        Self { mechanism, client_first, header: "biws", nonce: None, server_last }
    }

    fn hash(&self, bytes: &[u8]) -> Vec<u8> {
        if self.mechanism == Mechanism::ScramSha512 {
            return Sha512::digest(bytes).to_vec();
        }
        Sha256::digest(bytes).to_vec()
    }

    fn mac(&self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        if self.mechanism == Mechanism::ScramSha512 {
            let mac = Hmac::<Sha512>::new_from_slice(key).unwrap().chain_update(bytes);
            return mac.finalize().into_bytes().to_vec();
        }
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(bytes);
        mac.finalize().into_bytes().to_vec()
    }

    pub(crate) fn first(&mut self, user: &str) -> String {
        self.client_first = format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL");
        format!("n,,{}", self.client_first)
    }

    /// The last message to what the server said, whatever it is.
    pub(crate) fn last(&mut self, password: &str, server_first: &str) -> String {
        let field = |name: &str| {
            let mut fields = server_first.split(',');
            fields.find_map(|field| field.strip_prefix(name)).unwrap().to_owned()
        };
        let salt = BASE64.decode(field("s=")).unwrap_or_default();
        // Whoever is told of more has better things to do.
        let iterations: u32 = field("i=").parse::<u32>().unwrap().min(20_000);
        // PBKDF2 with one block, by hand.
        let mut last = self.mac(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
        let mut salted = last.clone();
        for _ in 1..iterations {
            last = self.mac(password.as_bytes(), &last);
            salted.iter_mut().zip(&last).for_each(|(a, b)| *a ^= b);
        }
        let client_key = self.mac(&salted, b"Client Key");
        let server_key = self.mac(&salted, b"Server Key");
        let nonce = self.nonce.clone().unwrap_or_else(|| field("r="));
        let without_proof = format!("c={},r={nonce}", self.header);
        let signed = format!("{},{server_first},{without_proof}", self.client_first);
        let signature = self.mac(&self.hash(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.server_last = format!("v={}", BASE64.encode(self.mac(&server_key, signed.as_bytes())));
        format!("{without_proof},p={}", BASE64.encode(proof))
    }
}
