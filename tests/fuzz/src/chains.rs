//! Certificates, chains of them, and requests for them.

use signet_identity::{
    csr,
    key::PrivateKey,
    trust::Usage,
    x509::{self, check_authority, check_issuer, check_svid_leaf},
};

use crate::world::{LEAF, TRUST, now};

/// A request is read only if it is signed; its key and names are then at hand.
pub(crate) fn csr(data: &[u8]) {
    if let Ok(request) = csr::parse(data) {
        assert!(!request.spki_der.is_empty());
    }
}

/// A certificate is never leaf and authority at once.
pub(crate) fn certificate(data: &[u8]) {
    let leaf = check_svid_leaf(data);
    let authority = check_authority(data);
    assert!(leaf.is_err() || authority.is_err());
    if let Ok(leaf) = leaf {
        assert!(!leaf.id.path().is_empty());
    }
    // What an authority of SPIFFE's must be is more than what any PKI asks.
    assert!(authority.is_err() || check_issuer(data).is_ok());
    if let Ok(key) = x509::public_key(data) {
        assert!(!key.is_empty());
    }
}

/// A chain is valid only with the one leaf that was ever signed.
pub(crate) fn chain(data: &[u8]) {
    let Ok(chain) = x509::split(data) else { return };
    assert_eq!(x509::concatenated(&chain), data);
    for usage in [Usage::Client, Usage::Server] {
        if let Ok(leaf) = TRUST.verify(&chain, usage, now()) {
            assert_eq!(chain.first().map(AsRef::as_ref), Some(LEAF));
            assert_eq!(leaf.id.to_string(), "spiffe://example.org/w");
        }
    }
}

/// Whether the leaf of the world leads to its authority.
pub(crate) fn world_is_valid() -> bool {
    let chain = include_bytes!("../corpus/chain/seed-valid");
    x509::split(chain).is_ok_and(|chain| TRUST.verify(&chain, Usage::Client, now()).is_ok())
}

/// PEM text of certificates and of keys.
pub(crate) fn pem(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(chain) = x509::chain_from_pem(text) {
        let again = x509::chain_from_pem(&x509::chain_to_pem(&chain));
        assert_eq!(again.expect("what we wrote"), chain);
    }
    if let Ok(key) = PrivateKey::from_pem(text) {
        let again = PrivateKey::from_pem(&key.to_pem()).expect("what we wrote");
        assert_eq!(again.spki_der(), key.spki_der());
    }
}
