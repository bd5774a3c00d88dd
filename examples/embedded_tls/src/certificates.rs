//! Who the broker is, and who this client is.

use core::time::Duration;

use embedded_tls::{
    Aes128GcmSha256, Certificate, CertificateEntryRef, CertificateRef, CertificateVerifyRef,
    CryptoProvider, CryptoRngCore, SignatureScheme, TlsError, TlsVerifier,
};
use heapless::Vec;
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use rand_core::{CryptoRng, RngCore};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, ServerName,
    SignatureVerificationAlgorithm, TrustAnchor, UnixTime, alg_id,
};
use sha2::{Digest as _, Sha256};
use signature::{SignerMut, Verifier as _};
use webpki::{EndEntityCert, KeyUsage};

use crate::failure::Failure;

/// The largest certificate of a broker, in bytes. It must fit the buffer for what is received as well.
const LARGEST_CERTIFICATE: usize = 1_024;
/// The most certificates between a broker's own and the authority's.
const MOST_INTERMEDIATES: usize = 3;
/// The text that a server signs before the hash of the handshake (RFC 8446, 4.4.3), and what stands before it.
const SIGNED: &[u8] = b"TLS 1.3, server CertificateVerify\0";
const PADDING: [u8; 64] = [b' '; 64];
const SIGNED_BYTES: usize = PADDING.len() + SIGNED.len() + 32;

/// Who this client is, for listeners that ask (`ssl.client.auth`).
#[derive(Clone)]
pub struct Identity<'a> {
    /// The certificate, as DER.
    pub certificate: &'a [u8],
    /// Its key, of P-256.
    pub key: SigningKey,
}

/// What is the same for all connections.
#[derive(Clone)]
pub struct Settings<'a> {
    trusted: TrustAnchor<'a>,
    identity: Option<Identity<'a>>,
    entropy: fn(&mut [u8]) -> bool,
    wall_clock: fn() -> Option<Duration>,
}

impl<'a> Settings<'a> {
    /// `authority` is the certificate of whoever signs the brokers', as DER.
    ///
    /// `entropy` fills memory with random bytes, or says that it cannot: from the device's TRNG, or from a generator that was
    /// seeded from one. Who can foretell it can read all that is sent. `wall_clock` is the time since 1970, UTC. As long as it is not
    /// known, no connection is made.
    ///
    /// # Errors
    /// Where the authority's certificate cannot be read.
    pub fn new(
        authority: &'a CertificateDer<'a>,
        entropy: fn(&mut [u8]) -> bool,
        wall_clock: fn() -> Option<Duration>,
    ) -> Result<Self, Failure> {
        let trusted = webpki::anchor_from_trusted_cert(authority).map_err(Failure::Authority)?;
        Ok(Self { trusted, identity: None, entropy, wall_clock })
    }

    /// The same, and this client says who it is where a broker asks.
    #[must_use]
    pub fn with_identity(self, identity: Identity<'a>) -> Self {
        Self { identity: Some(identity), ..self }
    }

    pub(crate) fn now(&self) -> Option<UnixTime> {
        (self.wall_clock)().map(UnixTime::since_unix_epoch)
    }
}

/// What embedded-tls asks for in one handshake.
pub(crate) struct Provider<'a> {
    settings: &'a Settings<'a>,
    entropy: Entropy,
    verifier: Verifier<'a>,
}

impl<'a> Provider<'a> {
    pub(crate) const fn new(
        settings: &'a Settings<'a>,
        name: ServerName<'a>,
        now: UnixTime,
    ) -> Self {
        let verifier = Verifier {
            trusted: &settings.trusted,
            name,
            now,
            shown: None,
            proven: false,
            refusal: None,
        };
        let entropy = Entropy { source: settings.entropy, has_failed: false };
        Self { settings, entropy, verifier }
    }

    /// Why the certificate was refused, if it was.
    pub(crate) fn refusal(&self) -> Option<webpki::Error> {
        self.verifier.refusal.clone()
    }

    /// Whether there was no entropy, so that what was agreed on is no secret.
    pub(crate) const fn lacks_entropy(&self) -> bool {
        self.entropy.has_failed
    }

    /// Whether the peer has shown a certificate that is believed, and that it has its key. embedded-tls does not ask: in
    /// version 0.19 a handshake is complete with the peer's Finished, whatever came before it.
    pub(crate) const fn is_proven(&self) -> bool {
        self.verifier.proven
    }
}

impl CryptoProvider for Provider<'_> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = DerSignature;

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.entropy
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.verifier)
    }

    fn signer(&mut self) -> Result<(impl SignerMut<DerSignature>, SignatureScheme), TlsError> {
        let identity = self.settings.identity.as_ref().ok_or(TlsError::InvalidPrivateKey)?;
        Ok((identity.key.clone(), SignatureScheme::EcdsaSecp256r1Sha256))
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        self.settings.identity.as_ref().map(|identity| Certificate::X509(identity.certificate))
    }
}

/// The caller's entropy, as cryptography wants it.
struct Entropy {
    source: fn(&mut [u8]) -> bool,
    has_failed: bool,
}

impl RngCore for Entropy {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        if !(self.source)(into) {
            // A key that anybody can have, rather than a search for one without end. Nothing is sent by it.
            self.has_failed = true;
            into.fill(0x55);
        }
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(into);
        Ok(())
    }
}

impl CryptoRng for Entropy {}

/// Holds the broker's certificate against the authority, the name and the time, as webpki does for rustls: signatures,
/// dates, basicConstraints, name constraints, the extended key usage, and names and IP addresses of the SAN alone.
struct Verifier<'a> {
    trusted: &'a TrustAnchor<'a>,
    name: ServerName<'a>,
    now: UnixTime,
    /// The certificate that was shown and is believed, and the handshake up to it.
    shown: Option<(Vec<u8, LARGEST_CERTIFICATE>, Sha256)>,
    proven: bool,
    refusal: Option<webpki::Error>,
}

impl Verifier<'_> {
    fn believe(&mut self, shown: &CertificateRef<'_>) -> Result<(), webpki::Error> {
        let mut ders = shown.entries.iter().filter_map(|entry| match entry {
            CertificateEntryRef::X509(der) => Some(CertificateDer::from(*der)),
            CertificateEntryRef::RawPublicKey(_) => None,
        });
        let own = ders.next().ok_or(webpki::Error::BadDer)?;
        let between: Vec<_, MOST_INTERMEDIATES> = ders.take(MOST_INTERMEDIATES).collect();
        let certificate = EndEntityCert::try_from(&own)?;
        let anchors = core::slice::from_ref(self.trusted);
        let usage = KeyUsage::server_auth();
        certificate.verify_for_usage(&[&P256], anchors, &between, self.now, usage, None, None)?;
        certificate.verify_is_valid_for_subject_name(&self.name)
    }

    fn refuse(&mut self, why: webpki::Error) -> TlsError {
        self.refusal = Some(why);
        TlsError::InvalidCertificate
    }
}

impl TlsVerifier<Aes128GcmSha256> for Verifier<'_> {
    fn set_hostname_verification(&mut self, _: &str) -> Result<(), TlsError> {
        // It is known from the beginning.
        Ok(())
    }

    fn verify_certificate(
        &mut self,
        transcript: &Sha256,
        shown: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        self.shown = None;
        self.believe(&shown).map_err(|why| self.refuse(why))?;
        let Some(CertificateEntryRef::X509(own)) = shown.entries.first() else {
            return Err(self.refuse(webpki::Error::BadDer));
        };
        let own = Vec::from_slice(own).map_err(|_| TlsError::InsufficientSpace)?;
        self.shown = Some((own, transcript.clone()));
        Ok(())
    }

    fn verify_signature(&mut self, proof: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        let (own, transcript) = self.shown.take().ok_or(TlsError::InvalidHandshake)?;
        if proof.signature_scheme != SignatureScheme::EcdsaSecp256r1Sha256 {
            return Err(TlsError::InvalidSignatureScheme);
        }
        let mut signed = Vec::<u8, SIGNED_BYTES>::new();
        for part in [&PADDING[..], SIGNED, &transcript.finalize()] {
            signed.extend_from_slice(part).map_err(|_| TlsError::EncodeError)?;
        }
        let own = CertificateDer::from(&*own);
        let own = EndEntityCert::try_from(&own).map_err(|why| self.refuse(why))?;
        own.verify_signature(&P256, &signed, proof.signature).map_err(|why| self.refuse(why))?;
        self.proven = true;
        Ok(())
    }
}

/// ECDSA over P-256 with SHA-256.
#[derive(Debug)]
struct EcdsaP256;

static P256: EcdsaP256 = EcdsaP256;

impl SignatureVerificationAlgorithm for EcdsaP256 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}
