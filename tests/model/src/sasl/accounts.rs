//! Who may come in, as the cluster knows them while it runs.

use core::{fmt, time::Duration};
use std::collections::BTreeMap;

use super::{
    Mechanism, SaslConfig, SaslTally, Token, User,
    scram::{Hash, Keys},
};
use crate::{AdminError, Cluster, random::Random};

/// So that salts and nonces are other numbers than the cluster's ids.
const OF_ITS_OWN: u64 = 0x5a51_5a51_5a51_5a51;
const SALT: usize = 18;

/// Users, tokens and rules. Nothing of it is shown.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) max_reauth: Option<Duration>,
    pub(crate) failed_authentication_delay: Duration,
    users: BTreeMap<String, Account>,
    tokens: BTreeMap<String, Token>,
    random: Random,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

/// A user. The salts are the user's own: each connection is told the same.
#[derive(Clone)]
struct Account {
    user: User,
    sha_256: Credential,
    sha_512: Credential,
}

/// What a broker stores for SCRAM.
#[derive(Clone)]
struct Credential {
    salt: Vec<u8>,
    /// Made when they are first asked for.
    keys: Option<Keys>,
}

/// What SCRAM asks of a user.
pub(super) struct Stored {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
    pub(super) keys: Keys,
}

impl Accounts {
    pub(crate) fn new(config: &SaslConfig, seed: u64) -> Self {
        let mut accounts = Self {
            mechanisms: config.mechanisms.clone(),
            max_reauth: config.max_reauth,
            failed_authentication_delay: config.failed_authentication_delay,
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            random: Random::new(seed ^ OF_ITS_OWN),
        };
        for user in &config.users {
            accounts.put(user.clone());
        }
        for token in &config.tokens {
            accounts.tokens.insert(token.text.clone(), token.clone());
        }
        accounts
    }

    fn put(&mut self, user: User) {
        let mut credential = || Credential { salt: self.random.bytes(SALT), keys: None };
        let (sha_256, sha_512) = (credential(), credential());
        self.users.insert(user.name.clone(), Account { user, sha_256, sha_512 });
    }

    pub(super) fn password(&self, user: &str) -> Option<&str> {
        self.users.get(user).map(|account| account.user.password.as_str())
    }

    pub(super) fn token(&self, text: &str) -> Option<&Token> {
        self.tokens.get(text)
    }

    pub(super) fn stored(&mut self, user: &str, hash: Hash) -> Option<Stored> {
        let account = self.users.get_mut(user)?;
        let User { password, iterations, .. } = &account.user;
        let credential = match hash {
            Hash::Sha256 => &mut account.sha_256,
            Hash::Sha512 => &mut account.sha_512,
        };
        let Credential { salt, keys } = credential;
        let keys = keys.get_or_insert_with(|| Keys::new(hash, password, salt, *iterations));
        Some(Stored { salt: salt.clone(), iterations: *iterations, keys: keys.clone() })
    }

    /// Letters and digits.
    pub(super) fn nonce(&mut self, len: usize) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
        let bytes = self.random.bytes(len).into_iter();
        bytes.filter_map(|b| LETTERS.get(usize::from(b % 32))).map(|b| char::from(*b)).collect()
    }

    pub(super) fn noise(&mut self, len: usize) -> Vec<u8> {
        self.random.bytes(len)
    }
}

impl Cluster {
    /// Gives a user another password, and with it other salts; whoever is in stays in. A user that
    /// there is not is made.
    ///
    /// # Errors
    /// [`AdminError::NoSasl`].
    pub fn set_password(&mut self, user: &str, password: &str) -> Result<(), AdminError> {
        let accounts = self.accounts_mut()?;
        let old = accounts.users.get(user).map(|account| account.user.iterations);
        let mut user = User::new(user, password);
        user.iterations = old.unwrap_or(user.iterations);
        accounts.put(user);
        Ok(())
    }

    /// Takes a user away; whoever is in stays in.
    ///
    /// # Errors
    /// [`AdminError::NoSasl`].
    pub fn remove_user(&mut self, user: &str) -> Result<(), AdminError> {
        self.accounts_mut()?.users.remove(user);
        Ok(())
    }

    /// Lets another token open the door.
    ///
    /// # Errors
    /// [`AdminError::NoSasl`].
    pub fn add_token(&mut self, token: Token) -> Result<(), AdminError> {
        self.accounts_mut()?.tokens.insert(token.text.clone(), token);
        Ok(())
    }

    /// Takes a token away; whoever is in stays in.
    ///
    /// # Errors
    /// [`AdminError::NoSasl`].
    pub fn revoke_token(&mut self, token: &str) -> Result<(), AdminError> {
        self.accounts_mut()?.tokens.remove(token);
        Ok(())
    }

    /// Sets for how long sessions that begin from now on last at most; `None` is for ever.
    ///
    /// # Errors
    /// [`AdminError::NoSasl`].
    pub fn set_max_reauth(&mut self, session: Option<Duration>) -> Result<(), AdminError> {
        self.accounts_mut()?.max_reauth = session;
        Ok(())
    }

    /// What clients did about SASL so far.
    #[must_use]
    pub const fn sasl_tally(&self) -> &SaslTally {
        &self.sasl_tally
    }

    fn accounts_mut(&mut self) -> Result<&mut Accounts, AdminError> {
        self.accounts.as_mut().ok_or(AdminError::NoSasl)
    }
}
