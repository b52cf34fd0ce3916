//! The only place that names a cryptographic library: `ring` signs with elliptic curves,
//! `aws-lc-rs` does RSA, verifies signatures, seals, and runs TLS. Everything else asks this
//! module.

pub mod key;
mod public;
mod seal;
#[cfg(test)]
pub(crate) mod testing;
mod verify;

pub use public::{PublicKeyKind, public_key_kind};
pub use seal::{BrokenSeal, SealError, SealingKey};
pub use verify::{BadSignature, Hash, Scheme, verify, verify_nonce};

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest;
use rustls::{
    SupportedCipherSuite,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs as tls},
};

use key::KeyError;

/// What every TLS endpoint of ours runs on. The hybrid post-quantum group X25519MLKEM768 is offered
/// first.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// What a client of a host outside of the mesh runs on, which may not have TLS 1.3 yet: the same,
/// and of TLS 1.2 what has forward secrecy and authenticated encryption.
pub fn outside_provider() -> Arc<CryptoProvider> {
    Arc::clone(&OUTSIDE)
}

/// Makes [`provider`] the default of the process, for libraries that look for one. Called first in
/// `main`; calling it again changes nothing.
pub fn install() {
    // The only error is that a default stands already, and then there is nothing to do.
    let _ = CryptoProvider::install_default(PROVIDER.as_ref().clone());
}

/// Random bytes from the operating system.
///
/// # Errors
/// The operating system gives none.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| KeyError::Random)?;
    Ok(bytes)
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    fixed(&digest::SHA256, bytes)
}

/// The SHA-1 of `bytes`. It names things (key identifiers, fingerprints) and protects nothing.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    fixed(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
}

fn fixed<const N: usize>(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let sum = digest::digest(algorithm, bytes);
    for (to, from) in out.iter_mut().zip(sum.as_ref()) {
        *to = *from;
    }
    out
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        cipher_suites: CIPHER_SUITES.to_vec(),
        kx_groups: KEY_EXCHANGE.to_vec(),
        ..tls::default_provider()
    })
});

static OUTSIDE: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let usual = tls::default_provider();
    let older = usual.cipher_suites.iter().copied();
    let older = older.filter(|suite| suite.tls13().is_none());
    Arc::new(CryptoProvider {
        cipher_suites: CIPHER_SUITES.iter().copied().chain(older).collect(),
        kx_groups: KEY_EXCHANGE.to_vec(),
        ..usual
    })
});

/// TLS 1.3 alone. AES-128 first, as Go and BoringSSL have it where the processor has AES: it takes
/// ten rounds instead of fourteen, and its handshake hashes with SHA-256, for which there is
/// hardware.
const CIPHER_SUITES: &[SupportedCipherSuite] = &[
    tls::cipher_suite::TLS13_AES_128_GCM_SHA256,
    tls::cipher_suite::TLS13_AES_256_GCM_SHA384,
    tls::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

const KEY_EXCHANGE: &[&dyn SupportedKxGroup] = &[
    tls::kx_group::X25519MLKEM768,
    tls::kx_group::X25519,
    tls::kx_group::SECP256R1,
    tls::kx_group::SECP384R1,
];

#[cfg(test)]
mod tests {
    use rustls::{CipherSuite, NamedGroup};

    use super::*;

    #[test]
    fn the_hybrid_post_quantum_group_is_offered_first() {
        let first = provider().kx_groups.first().map(|group| group.name());
        assert_eq!(first, Some(NamedGroup::X25519MLKEM768));
    }

    #[test]
    fn every_suite_is_of_tls_1_3_and_the_quickest_is_offered_first() {
        let provider = provider();
        let mut suites = provider.cipher_suites.iter();
        assert_eq!(
            suites.next().map(SupportedCipherSuite::suite),
            Some(CipherSuite::TLS13_AES_128_GCM_SHA256)
        );
        assert!(suites.all(|suite| suite.tls13().is_some()));
    }

    #[test]
    fn installing_twice_changes_nothing() {
        install();
        install();
        let installed = CryptoProvider::get_default().expect("a default");
        assert_eq!(
            installed.kx_groups.first().map(|group| group.name()),
            Some(NamedGroup::X25519MLKEM768)
        );
    }

    #[test]
    fn hashes_match_their_published_vectors() {
        assert_eq!(
            hex::encode(sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex::encode(sha1(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
    }

    #[test]
    fn random_bytes_differ_from_call_to_call() {
        assert_ne!(
            random::<32>().expect("bytes"),
            random::<32>().expect("bytes")
        );
    }
}
