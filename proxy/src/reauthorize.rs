//! Whether a live connection may go on: asked again whenever the policy, the proxy's own
//! identity or the trust changes.

use std::sync::Arc;

use signet_identity::{
    TrustDomain,
    tls::{SharedIdentity, SharedTrust},
    trust::{Usage, VerifyError},
};
use signet_mesh::WorkloadModel;
use thiserror::Error;

use crate::{
    clock,
    flow::{End, Policy, Shutdown, whole},
    latest::change,
    peer::{Peer, Proven},
    source::SharedModel,
};

/// What connections are authorized by; every part is the latest.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The proxy's identity, absent while it has none.
    pub(crate) identity: SharedIdentity,
    /// The authorities of every trust domain.
    pub(crate) trust: SharedTrust,
    /// The model in force.
    pub(crate) model: SharedModel,
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
        current.model.mark_unchanged();
        current
    }

    /// The model in force now.
    pub(crate) fn model(&self) -> Arc<WorkloadModel> {
        Arc::clone(&self.model.borrow())
    }

    /// The trust domain of the proxy's own identity.
    pub(crate) fn trust_domain(&self) -> Option<TrustDomain> {
        let identity = self.identity.borrow();
        identity.as_ref().map(|own| own.id().trust_domain().clone())
    }

    /// Waits until a connection that `peer` opened must end; `denied` says what the model
    /// holds against it.
    pub(crate) async fn lost(
        mut self,
        peer: &Peer,
        denied: impl Fn(&WorkloadModel) -> Option<String>,
    ) -> Lost {
        loop {
            let lost = tokio::select! {
                () = change(&mut self.identity) => self.without_identity(),
                () = change(&mut self.trust) => self.untrusted(peer),
                () = change(&mut self.model) => {
                    denied(&self.model.borrow()).map(Lost::Denied)
                }
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
    /// authority that was withdrawn is, and one that revoked it. So the chain is judged at a time
    /// when it held. That nobody knows what was revoked since keeps new connections out, not those
    /// that there are.
    fn untrusted(&self, peer: &Peer) -> Option<Lost> {
        let Proven { leaf, chain } = peer.proven.as_ref()?;
        let now = clock::now().min(leaf.not_after);
        let trust = Arc::clone(&self.trust.borrow());
        match trust.verify(chain, Usage::Client, now) {
            Ok(_) | Err(VerifyError::RevocationsOutOfDate { .. }) => None,
            Err(why) => Some(Lost::Peer(why)),
        }
    }
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Identity => Self::Shutdown(Shutdown::Identity),
            Lost::Peer(_) => Self::Policy(Policy::Distrusted(whole(&lost))),
            Lost::Denied(why) => Self::Policy(Policy::Withdrawn(why.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, pin::pin, time::Duration};

    use signet_identity::{bundle::Bundle, trust::Trust};
    use signet_mesh::{Model, Workload};
    use tokio::{sync::watch, time::timeout};

    use super::*;
    use crate::testing::peer;

    /// The sources of a connection, and who changes them.
    struct Stage {
        identity: watch::Sender<Option<Arc<signet_identity::tls::Identity>>>,
        trust: watch::Sender<Arc<Trust>>,
        model: watch::Sender<Arc<WorkloadModel>>,
        sources: Sources,
        peer: Peer,
        authority: Bundle,
    }

    fn model() -> Arc<WorkloadModel> {
        let workload = Workload {
            namespace: "shop".to_owned(),
            labels: BTreeMap::new(),
        };
        Arc::new(Model::parse(&[]).unwrap().for_workload(&workload, "root"))
    }

    impl Stage {
        fn new() -> Self {
            let (peer, authority) = peer();
            let (identity, own) = watch::channel(None);
            let (trust, trusted) = watch::channel(Arc::new(Trust::new([&authority])));
            let (model, in_force) = watch::channel(model());
            Self {
                identity,
                trust,
                model,
                sources: Sources {
                    identity: own,
                    trust: trusted,
                    model: in_force,
                },
                peer,
                authority,
            }
        }

        /// How the connection ends after `change`, if it does within an hour.
        async fn lost(&self, denied: Option<&str>, change: impl FnOnce(&Self)) -> Option<End> {
            let sources = self.sources.as_of_now();
            let mut lost = pin!(sources.lost(&self.peer, |_| denied.map(str::to_owned)));
            let hour = Duration::from_secs(3600);
            assert!(
                timeout(hour, lost.as_mut()).await.is_err(),
                "nothing changed"
            );
            change(self);
            timeout(hour, lost).await.ok().map(End::from)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_that_objects_ends_a_connection_and_one_that_does_not_leaves_it() {
        let stage = Stage::new();
        let change = |stage: &Stage| drop(stage.model.send_replace(model()));
        assert!(stage.lost(None, change).await.is_none());
        let lost = stage.lost(Some("no rule allows it"), change).await;
        assert!(
            matches!(&lost, Some(End::Policy(Policy::Withdrawn(why))) if &**why == "no rule allows it"),
            "{lost:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_authority_that_is_withdrawn_ends_the_connections_of_its_peers() {
        let stage = Stage::new();
        let same = |stage: &Stage| {
            stage
                .trust
                .send_replace(Arc::new(Trust::new([&stage.authority])));
        };
        assert!(stage.lost(None, same).await.is_none());
        let nothing = Bundle::empty("example.org".parse().unwrap());
        let lost = stage.lost(None, |stage| {
            stage.trust.send_replace(Arc::new(Trust::new([&nothing])));
        });
        let lost = lost.await;
        assert!(
            matches!(&lost, Some(End::Policy(Policy::Distrusted(why)))
                if why.starts_with("the peer is no longer trusted: no authorities are known")),
            "{lost:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_without_identity_speaks_for_nobody() {
        let stage = Stage::new();
        let lost = stage.lost(None, |stage| drop(stage.identity.send_replace(None)));
        let lost = lost.await;
        assert!(
            matches!(lost, Some(End::Shutdown(Shutdown::Identity))),
            "{lost:?}"
        );
    }
}
