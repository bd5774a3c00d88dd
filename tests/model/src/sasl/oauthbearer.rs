//! OAUTHBEARER (RFC 7628), as `OAuthBearerSaslServer` has it.

use core::time::Duration;

use super::{Accounts, Refusal, Verdict};

/// What is told of a token that is not known, or that is over.
const INVALID: &str = r#"{"status":"invalid_token"}"#;
/// Ends each pair; and alone, it is the answer to [`INVALID`].
const CONTROL_A: u8 = 1;

/// The exchange: what was refused once is refused for good when the client has acknowledged it.
#[derive(Clone, Debug, Default)]
pub(crate) struct OAuthBearer {
    refused: bool,
}

impl OAuthBearer {
    pub(super) fn judge(
        &mut self,
        accounts: &Accounts,
        now: Duration,
        message: &[u8],
    ) -> Result<Verdict, Refusal> {
        if message == [CONTROL_A] && self.refused {
            return Err(Refusal::Told(INVALID.to_owned()));
        }
        self.refused = false;
        let (authorization_id, token) = read(message)?;
        let Some(token) = accounts.token(token).filter(|token| now < token.until) else {
            self.refused = true;
            return Ok(Verdict::GoOn(INVALID.into()));
        };
        let principal = &token.principal;
        if !authorization_id.is_empty() && authorization_id != principal {
            return Err(Refusal::Told(format!(
                "Authentication failed: Client requested an authorization id ({authorization_id}) \
                 that is different from the token's principal name ({principal})"
            )));
        }
        let until = Some(token.until);
        Ok(Verdict::Done { bytes: Vec::new(), principal: principal.clone(), until })
    }
}

/// The authorization id and the token: `n,a=ID,^Aauth=Bearer TOKEN^AKEY=VALUE^A^A`.
fn read(message: &[u8]) -> Result<(&str, &str), Refusal> {
    let (id, auth) = fields(message).ok_or(Refusal::Credentials)?;
    let (scheme, token) = auth.split_once(' ').ok_or(Refusal::Credentials)?;
    let token = token.trim_start_matches(' ');
    let core = token.trim_end_matches('=');
    let punctuation = b"-._~+/";
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || punctuation.contains(&byte);
    if core.is_empty() || !core.bytes().all(allowed) {
        return Err(Refusal::Credentials);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Hangup);
    }
    Ok((id, token))
}

/// The authorization id, and what `auth` is.
fn fields(message: &[u8]) -> Option<(&str, &str)> {
    let message = core::str::from_utf8(message).ok()?;
    let control_a = char::from(CONTROL_A);
    let (header, pairs) = message.split_once(control_a)?;
    let id = header.strip_prefix("n,")?.strip_suffix(',')?;
    let id = if id.is_empty() { id } else { id.strip_prefix("a=").filter(|id| !id.is_empty())? };
    // Each pair ends with one, and so do all of them.
    let pairs = pairs.strip_suffix(control_a)?.strip_suffix(control_a)?;
    let mut auth = None;
    for pair in pairs.split(control_a) {
        let (key, value) = pair.split_once('=')?;
        let named = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !named || value.is_empty() || !value.bytes().all(is_in_values) {
            return None;
        }
        if key == "auth" {
            auth = Some(value);
        }
    }
    Some((id, auth?))
}

fn is_in_values(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_with_and_without_extensions() {
        let read = |text: &'static str| read(text.as_bytes());
        assert_eq!(read("n,,\x01auth=Bearer a-b_c.9\x01\x01"), Ok(("", "a-b_c.9")));
        assert_eq!(read("n,a=me,\x01auth=bearer  t\x01\x01"), Ok(("me", "t")));
        let extended = "n,,\x01auth=Bearer t\x01logicalCluster=lkc-1\x01identityPoolId=p q\x01\x01";
        assert_eq!(read(extended), Ok(("", "t")));
        assert_eq!(read("n,,\x01auth=Basic t\x01\x01"), Err(Refusal::Hangup));
        for broken in [
            "",
            "n,,",
            "n,,\x01\x01",
            "n,,\x01auth=Bearer t\x01",
            "y,,\x01auth=Bearer t\x01\x01",
            "n,me,\x01auth=Bearer t\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Bearer a!b\x01\x01",
            "n,,\x01auth=Bearer a=b\x01\x01",
            "n,,\x01auth=Bearer t\x01k1=v\x01\x01",
            "n,,\x01auth=Bearer t\x01k=\x01\x01",
            "n,,\x01k=v\x01\x01",
        ] {
            assert_eq!(read(broken), Err(Refusal::Credentials), "{broken:?}");
        }
    }
}
