//! PLAIN (RFC 4616), as `PlainSaslServer` has it.

use super::{Accounts, Refusal, Verdict};

/// Judges the one message: an authorization id, a user and a password, with NULs between. Where there
/// are more than two, Kafka does not look at what follows; here that is refused.
pub(super) fn judge(accounts: &Accounts, message: &[u8]) -> Result<Verdict, Refusal> {
    let message = core::str::from_utf8(message).map_err(|_| Refusal::Credentials)?;
    let fields: Vec<&str> = message.split('\0').collect();
    let &[authorization_id, user, password] = &fields[..] else {
        let len = fields.len();
        return Err(told(&format!("Invalid SASL/PLAIN response: expected 3 tokens, got {len}")));
    };
    if user.is_empty() {
        return Err(told("Authentication failed: username not specified"));
    }
    if password.is_empty() {
        return Err(told("Authentication failed: password not specified"));
    }
    if accounts.password(user) != Some(password) {
        return Err(told("Authentication failed: Invalid username or password"));
    }
    if !authorization_id.is_empty() && authorization_id != user {
        return Err(told(super::scram::OTHER_ID));
    }
    Ok(Verdict::Done { bytes: Vec::new(), principal: user.to_owned(), until: None })
}

fn told(words: &str) -> Refusal {
    Refusal::Told(words.to_owned())
}
