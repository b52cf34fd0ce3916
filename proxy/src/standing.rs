//! Whether a live connection may go on: asked again whenever the policy, the proxy's own
//! identity or the trust changes.

use std::sync::Arc;

use signet_identity::{
    tls::{SharedIdentity, SharedTrust},
    trust::{Usage, VerifyError},
};
use signet_mesh::WorkloadPolicy;
use thiserror::Error;
use tokio::sync::watch;

use crate::{clock, peer::Peer, policy::SharedPolicy};

/// What connections stand on; every part is the latest.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
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

impl Standing {
    /// The policy in force now.
    pub(crate) fn policy(&self) -> Arc<WorkloadPolicy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Waits until a connection that `peer` opened must end; `denied` says what the policy
    /// holds against it.
    pub(crate) async fn lost(
        mut self,
        peer: &Peer,
        denied: impl Fn(&WorkloadPolicy) -> Option<String>,
    ) -> Lost {
        loop {
            if let Some(lost) = self.objection(peer, &denied) {
                return lost;
            }
            self.changed().await;
        }
    }

    fn objection(
        &self,
        peer: &Peer,
        denied: impl Fn(&WorkloadPolicy) -> Option<String>,
    ) -> Option<Lost> {
        if self.identity.borrow().is_none() {
            return Some(Lost::Identity);
        }
        // An SVID that has expired since is no objection to a connection that it opened;
        // an authority that was withdrawn is. So the chain is judged at a time it held.
        let now = clock::now().min(peer.leaf.not_after);
        if let Err(error) = self.trust.borrow().verify(&peer.chain, Usage::Client, now) {
            return Some(Lost::Peer(error));
        }
        denied(&self.policy.borrow()).map(Lost::Denied)
    }

    async fn changed(&mut self) {
        // A sender that is gone changes nothing any more; the process is about to end.
        tokio::select! {
            () = change(&mut self.identity) => {}
            () = change(&mut self.trust) => {}
            () = change(&mut self.policy) => {}
        }
    }
}

/// Waits until an identity is there at all, or again.
pub(crate) async fn identity(shared: &mut SharedIdentity) {
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
