//! Whether a live connection may go on: asked again whenever the policy, the proxy's own
//! identity or the trust changes.

use std::sync::Arc;

use signet_identity::{
    TrustDomain,
    tls::{SharedIdentity, SharedTrust},
    trust::{Usage, VerifyError},
};
use signet_mesh::WorkloadPolicy;
use thiserror::Error;
use tokio::sync::watch;

use crate::{clock, peer::Peer, policy::SharedPolicy};

/// What connections are authorized by; every part is the latest.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The proxy's identity, absent while it has none.
    pub(crate) identity: SharedIdentity,
    /// The authorities of every trust domain.
    pub(crate) trust: SharedTrust,
    /// The policies in force.
    pub(crate) policy: SharedPolicy,
}

/// Why a live connection must end.
#[derive(Debug, Error)]
pub(crate) enum Lost {
    #[error("the proxy's own identity is withdrawn")]
    Identity,
    #[error("the peer is no longer trusted")]
    Peer(#[source] VerifyError),
    #[error("{0}")]
    Denied(String),
}

impl Sources {
    /// The sources from now on: what changes later is noticed by [`Self::lost`].
    pub(crate) fn as_of_now(&self) -> Self {
        let mut current = self.clone();
        current.identity.mark_unchanged();
        current.trust.mark_unchanged();
        current.policy.mark_unchanged();
        current
    }

    /// The policy in force now.
    pub(crate) fn policy(&self) -> Arc<WorkloadPolicy> {
        Arc::clone(&self.policy.borrow())
    }

    /// The trust domain of the proxy's own identity.
    pub(crate) fn trust_domain(&self) -> Option<TrustDomain> {
        let identity = self.identity.borrow();
        identity.as_ref().map(|own| own.id().trust_domain().clone())
    }

    /// Waits until a connection that `peer` opened must end; `denied` says what the policy
    /// holds against it.
    pub(crate) async fn lost(
        mut self,
        peer: &Peer,
        denied: impl Fn(&WorkloadPolicy) -> Option<String>,
    ) -> Lost {
        loop {
            let lost = tokio::select! {
                () = change(&mut self.identity) => self.without_identity(),
                () = change(&mut self.trust) => self.untrusted(peer),
                () = change(&mut self.policy) => denied(&self.policy.borrow()).map(Lost::Denied),
            };
            if let Some(lost) = lost {
                return lost;
            }
        }
    }

    fn without_identity(&self) -> Option<Lost> {
        self.identity.borrow().is_none().then_some(Lost::Identity)
    }

    /// An SVID that has expired since is no objection to a connection that it opened; an
    /// authority that was withdrawn is. So the chain is judged at a time when it held.
    fn untrusted(&self, peer: &Peer) -> Option<Lost> {
        let now = clock::now().min(peer.leaf.not_after);
        let trust = Arc::clone(&self.trust.borrow());
        trust
            .verify(&peer.chain, Usage::Client, now)
            .err()
            .map(Lost::Peer)
    }
}

/// Waits until an identity is there at all, or again.
pub(crate) async fn identity(mut shared: SharedIdentity) {
    if shared.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the next value; for ever when there will be none.
pub(crate) async fn change<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
