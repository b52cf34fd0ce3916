//! The node's SVID, checked and ready for TLS.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::{
    SpiffeId, TrustDomain,
    key::PrivateKey,
    tls::{Identity, IdentityError},
    x509,
};

use crate::{
    rotation::{Life, renew_at},
    storage::SavedSvid,
};

/// The SVID in use.
#[derive(Clone, Debug)]
pub(crate) struct NodeSvid {
    pub(super) id: SpiffeId,
    pub(super) identity: Arc<Identity>,
    pub(super) key: PrivateKey,
    pub(super) reattestable: bool,
    pub(super) not_after: SystemTime,
    pub(super) renew_at: SystemTime,
}

/// A certificate chain that cannot be this node's SVID.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadSvid {
    #[error("an empty certificate chain")]
    Empty,
    #[error("the certificate is no X.509-SVID: {0}")]
    Profile(#[from] x509::ProfileError),
    #[error("{0} is not an agent of trust domain {1}")]
    NotAnAgent(SpiffeId, TrustDomain),
    #[error("the certificate is for another key")]
    OtherKey,
    #[error("the certificate chain cannot be used")]
    Tls(#[from] IdentityError),
}

impl NodeSvid {
    /// Checks the chain and fixes when to renew it.
    pub(super) fn new(
        svid: SavedSvid,
        trust_domain: &TrustDomain,
        received: Option<SystemTime>,
        availability_target: Option<Duration>,
    ) -> Result<Self, BadSvid> {
        let first = svid.chain.first().ok_or(BadSvid::Empty)?;
        let leaf = x509::check_svid_leaf(first)?;
        let ours = leaf.id.trust_domain() == trust_domain;
        if !ours || !leaf.id.path().starts_with("/spire/agent/") {
            return Err(BadSvid::NotAnAgent(leaf.id, trust_domain.clone()));
        }
        if x509::public_key(first)? != svid.key.spki_der() {
            return Err(BadSvid::OtherKey);
        }
        let life = Life {
            from: received.map_or(leaf.not_before, |received| received.max(leaf.not_before)),
            until: leaf.not_after,
            serial: leaf.serial.as_bytes(),
        };
        Ok(Self {
            renew_at: renew_at(life, availability_target),
            not_after: leaf.not_after,
            identity: Arc::new(Identity::new(svid.chain, &svid.key)?),
            id: leaf.id,
            key: svid.key,
            reattestable: svid.reattestable,
        })
    }
}
