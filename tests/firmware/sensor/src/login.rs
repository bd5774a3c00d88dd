//! Who the sensor says it is.

use ottla_core::{Credentials, Producer, Sasl, SaslError};

/// Who the sensor says it is.
#[derive(Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "nobody else's")]
pub struct Login<'a> {
    /// The user; nobody is nobody, and is not said.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// It is not said, but proven: SCRAM-SHA-256 instead of PLAIN.
    #[cfg(all(feature = "password", feature = "scram"))]
    pub scram: bool,
    /// For SCRAM's nonces.
    #[cfg(feature = "scram")]
    pub entropy: ottla_core::Entropy,
}

impl Login<'_> {
    /// Nobody.
    pub(crate) const NONE: Self = Login {
        user: "",
        password: "",
        #[cfg(all(feature = "password", feature = "scram"))]
        scram: true,
        #[cfg(feature = "scram")]
        entropy: |_| false,
    };

    /// Has a producer say it.
    #[inline(never)]
    pub(crate) fn give<'m>(
        &self,
        producer: &mut Producer<'m>,
        memory: &'m mut [u8],
    ) -> Result<(), SaslError> {
        let (username, password) = (self.user, self.password);
        if username.is_empty() {
            return Ok(());
        }
        let credentials = match () {
            #[cfg(all(feature = "password", feature = "scram"))]
            () if !self.scram => Credentials::Plain { username, password },
            #[cfg(feature = "scram")]
            () => Credentials::ScramSha256 { username, password, entropy: self.entropy },
            #[cfg(not(feature = "scram"))]
            () => Credentials::Plain { username, password },
        };
        producer.set_sasl(Sasl::new(&credentials, memory)?);
        Ok(())
    }
}

impl core::fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}
