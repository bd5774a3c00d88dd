//! Everything that a caller can call who authenticates.

use core::hint::black_box;

use ottla_core::{Instant, Producer, Sasl, SaslError};

#[cfg(feature = "oauthbearer")]
use crate::input::duration;
use crate::input::{Input, see};

/// Memory for credentials.
pub(crate) struct Credentials([u8; 512]);

impl Credentials {
    pub(crate) const fn new() -> Self {
        Self([0; 512])
    }

    /// Has a producer authenticate.
    #[inline(never)]
    pub(crate) fn give<'m>(&'m mut self, producer: &mut Producer<'m>, input: &mut Input<'_>) {
        match sasl(black_box(&mut self.0), input) {
            Ok(sasl) => {
                see(&sasl.mechanism());
                producer.set_sasl(black_box(sasl));
            }
            Err(error) => say(&error),
        }
    }
}

fn sasl<'m>(memory: &'m mut [u8], input: &mut Input<'_>) -> Result<Sasl<'m>, SaslError> {
    let (username, password) = (input.str(), input.str());
    let mut credentials = None;
    match input.u8() & 3 {
        #[cfg(feature = "oauthbearer")]
        0 => credentials = Some(ottla_core::Credentials::OAuthBearer),
        #[cfg(feature = "scram-sha-256")]
        1 => {
            credentials =
                Some(ottla_core::Credentials::ScramSha256 { username, password, entropy });
        }
        #[cfg(feature = "scram-sha-512")]
        2 => {
            credentials =
                Some(ottla_core::Credentials::ScramSha512 { username, password, entropy });
        }
        #[cfg(feature = "plain")]
        3 => credentials = Some(ottla_core::Credentials::Plain { username, password }),
        _ => {}
    }
    let _ = (username, password);
    let Some(credentials) = credentials else { return Err(SaslError::Empty) };
    let sasl = Sasl::new(black_box(&credentials), memory)?;
    #[cfg(any(feature = "scram-sha-256", feature = "scram-sha-512"))]
    let sasl = sasl.with_iterations_per_call(input.u32() & 63);
    Ok(sasl)
}

#[cfg(any(feature = "scram-sha-256", feature = "scram-sha-512"))]
fn entropy(bytes: &mut [u8]) -> bool {
    bytes.fill(black_box(7));
    black_box(true)
}

/// What is done while a producer runs.
#[inline(never)]
pub(crate) fn step(producer: &mut Producer<'_>, now: Instant, input: &mut Input<'_>) {
    see(&producer.authentication_message());
    #[cfg(feature = "oauthbearer")]
    token(producer, now, input);
    let _ = (now, input);
}

#[cfg(feature = "oauthbearer")]
fn token(producer: &mut Producer<'_>, now: Instant, input: &mut Input<'_>) {
    if input.bool() {
        producer.handle_no_token(now);
        return;
    }
    let extensions = [(input.str(), input.str())];
    let (text, lifetime) = (input.str(), duration(input));
    let token = ottla_core::Token { text, extensions: &extensions, lifetime };
    if let Err(error) = producer.handle_token(now, black_box(&token)) {
        say(&error);
    }
}

#[cfg(feature = "format")]
fn say(error: &SaslError) {
    crate::format::show(black_box(error));
}

#[cfg(not(feature = "format"))]
fn say(error: &SaslError) {
    see(error);
}
