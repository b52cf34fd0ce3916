//! The node's own identity: attested, kept on disk, renewed around half of its life, attested
//! again when the server asks for it. Nothing that a server or a network does ends the agent,
//! except a ban that the server states over a verified connection.

mod attest;
mod identity;
mod join_token;
mod keep;
mod log;
mod step;
mod x509pop;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    csr::{self, CsrError, Subject},
    key::{KeyError, KeyType, PrivateKey},
    tls::{Identity, SharedIdentity},
    trust::Trust,
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use attest::{AttestError, NodeAttestor};
pub(crate) use identity::NodeSvid;
pub(crate) use join_token::JoinToken;
pub(crate) use keep::TrustKeeper;
pub(crate) use x509pop::X509Pop;

use crate::{
    backoff::{Backoff, nap},
    cache::Bundles,
    clock,
    status::Status,
    storage::{Saved, SavedSvid, Storage, StorageError},
    upstream::{self, CallError, LineError, Reason, Target, Upstream},
};
use identity::BadSvid;
use keep::{store, warn_unkept};
use step::{Step, step};

/// How the node is to attest and renew.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) attestor: NodeAttestor,
    pub(crate) availability_target: Option<Duration>,
}

/// The keeper of the node's SVID.
#[derive(Debug)]
pub(crate) struct Node {
    settings: Settings,
    storage: Storage,
    svid: Option<NodeSvid>,
    /// The own bundle that is known so far, from disk or bootstrap; none means that the first
    /// connection is not verified, which the configuration allowed explicitly.
    bundle: Option<Bundle>,
    identity: watch::Sender<Option<Arc<Identity>>>,
    trust: watch::Sender<Arc<Trust>>,
    upstream: Upstream,
    refusal: watch::Receiver<Option<Reason>>,
    status: Status,
}

/// Why the node has no identity, or no fresh one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error("the server has banned this agent; its SVID is removed")]
    Banned,
    #[error(transparent)]
    Attest(#[from] AttestError),
    #[error("the server did not renew the agent's SVID: {0}")]
    Renew(#[source] CallError),
    #[error("the server's answer is not used: {0}")]
    Svid(#[from] BadSvid),
    #[error("making the agent's key")]
    Key(#[from] KeyError),
    #[error("making the agent's certificate request")]
    Csr(#[from] CsrError),
    #[error("the agent's files: {0}")]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the server's bundle is of trust domain {0}, not {1}")]
    OtherTrustDomain(TrustDomain, TrustDomain),
    #[error("the server's bundle has no X.509 authorities")]
    EmptyBundle,
}

impl Node {
    /// Takes up what an earlier run left, or starts with what the configuration trusts.
    pub(crate) fn new(
        settings: Settings,
        storage: Storage,
        saved: Saved,
        bootstrap: Option<Bundle>,
        status: Status,
    ) -> Result<Self, NodeError> {
        let bundle = saved.bundle.or(bootstrap);
        let identity = watch::Sender::new(None);
        let trust = watch::Sender::new(Arc::new(Trust::new(bundle.as_ref())));
        let upstream = Upstream::new(
            &settings.target,
            &settings.trust_domain,
            identity.subscribe(),
            trust.subscribe(),
        )?;
        let refusal = upstream.refusal();
        let mut node = Self {
            settings,
            storage,
            svid: None,
            bundle,
            identity,
            trust,
            upstream,
            refusal,
            status,
        };
        // Without a bundle nobody could be asked with the SVID.
        if let Some(svid) = saved.svid.filter(|_| node.bundle.is_some()) {
            match node.checked(svid, None) {
                Ok(svid) => node.take_up(svid),
                Err(error) => warn!(%error, "the SVID of an earlier run is of no use"),
            }
        }
        Ok(node)
    }

    /// The line that carries this node's SVID.
    pub(crate) fn upstream(&self) -> Upstream {
        self.upstream.clone()
    }

    /// The SVID in use; none while the node has none.
    pub(crate) fn identity(&self) -> SharedIdentity {
        self.identity.subscribe()
    }

    /// Whether there is an SVID that is valid at `now`.
    pub(crate) fn is_attested(&self, now: SystemTime) -> bool {
        self.svid.as_ref().is_some_and(|svid| svid.not_after > now)
    }

    /// The own bundle, once the node is attested.
    pub(crate) fn bundle(&self) -> Option<&Bundle> {
        self.bundle.as_ref()
    }

    /// Waits until the node has an SVID that is valid now; `false` means shutdown.
    pub(crate) async fn establish(
        &mut self,
        shutdown: &CancellationToken,
    ) -> Result<bool, NodeError> {
        log::bundle(self.bundle.as_ref());
        if self.is_attested(clock::now()) {
            log::loaded(self.svid.as_ref());
            self.status.attested();
            return Ok(true);
        }
        info!(
            name: "agent_svid_missing",
            attestor = self.settings.attestor.kind(),
            trust_domain = self.settings.trust_domain.id_string(),
            "this node has no valid SVID; starting node attestation"
        );
        // What is wrong on this node is said at once; what is wrong elsewhere may heal.
        self.settings.attestor.check()?;
        let mut backoff = attempts();
        while !shutdown.is_cancelled() {
            match shutdown.run_until_cancelled(self.attest()).await {
                Some(Ok(())) => return Ok(true),
                Some(Err(error)) => self.fail(error, &mut backoff, shutdown).await?,
                None => {}
            }
        }
        Ok(false)
    }

    /// Keeps the SVID fresh until shutdown, or until the agent is banned.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), NodeError> {
        let mut backoff = attempts();
        while !shutdown.is_cancelled() {
            let refusal = *self.refusal.borrow_and_update();
            let now = clock::now();
            let work = match step(self.svid.as_ref(), refusal, now) {
                Step::Stop => return self.stop().await,
                Step::Wait { until } => {
                    let pause = sleep(nap(Some(until), now));
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = pause => {}
                        _ = self.refusal.changed() => {}
                    }
                    continue;
                }
                Step::Attest => shutdown.run_until_cancelled(self.attest()).await,
                Step::Renew => shutdown.run_until_cancelled(self.renew()).await,
            };
            match work {
                Some(Ok(())) => backoff.reset(),
                Some(Err(error)) => self.fail(error, &mut backoff, &shutdown).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// Follows the own bundle as it is synchronized: the next connection trusts what it says.
    pub(crate) fn trust_keeper(&self, bundles: watch::Receiver<Arc<Bundles>>) -> TrustKeeper {
        TrustKeeper {
            trust: self.trust.clone(),
            storage: self.storage.clone(),
            bundles,
        }
    }

    async fn attest(&mut self) -> Result<(), NodeError> {
        let (key, csr) = self.key_and_csr().await?;
        let Settings {
            target,
            trust_domain,
            ..
        } = &self.settings;
        let verified = self.bundle.is_some();
        let trust = verified.then(|| self.trust.subscribe());
        let channel = upstream::one_way(target, trust_domain, trust)?;
        let outcome = self.settings.attestor.attest(channel, csr).await;
        let attested = match outcome {
            Err(AttestError::Call(CallError::Refused {
                reason: Reason::Banned,
            })) if verified => {
                return self.stop().await;
            }
            other => other?,
        };
        self.learn(attested.bundle).await?;
        let svid = SavedSvid {
            chain: attested.chain,
            key,
            reattestable: attested.reattestable,
        };
        let again = self.svid.is_some();
        self.adopt(svid).await?;
        log::attested(self.svid.as_ref(), again);
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), NodeError> {
        let (key, csr) = self.key_and_csr().await?;
        let answer = self.upstream.renew_agent(csr).await;
        let svid = SavedSvid {
            chain: answer.map_err(NodeError::Renew)?,
            key,
            reattestable: false,
        };
        self.adopt(svid).await?;
        log::renewed(self.svid.as_ref());
        Ok(())
    }

    /// A fresh key, kept before the server hears of it, and its CSR. The server takes the agent's
    /// name from the attestation, so the CSR names nobody.
    async fn key_and_csr(&self) -> Result<(PrivateKey, Vec<u8>), NodeError> {
        let key = PrivateKey::generate(KeyType::EcP256)?;
        let csr = csr::build(&key, Subject::spire(), None, &[])?;
        let current = self.svid.as_ref().map(|svid| svid.key.clone());
        let (first, next) = (current.is_none(), key.clone());
        let kept = self
            .store(move |storage| storage.save_keys(current.as_ref(), &next))
            .await;
        // A full disk must not let a running agent's SVID expire; before the first attestation it
        // is better to stop here than to use up a join token for nothing.
        match kept {
            Err(error) if first => return Err(error.into()),
            other => warn_unkept(other),
        }
        Ok((key, csr))
    }

    /// Keeps a new SVID and makes it the one in use. In this order: once the server has seen the
    /// new one it refuses the one before, and after a crash that would be all there is.
    async fn adopt(&mut self, svid: SavedSvid) -> Result<(), NodeError> {
        let checked = self.checked(svid.clone(), Some(clock::now()))?;
        warn_unkept(self.store(move |storage| storage.save_svid(&svid)).await);
        self.take_up(checked);
        self.status.attested();
        Ok(())
    }

    /// An SVID that this node can use. `received` is unknown for one from disk.
    fn checked(
        &self,
        svid: SavedSvid,
        received: Option<SystemTime>,
    ) -> Result<NodeSvid, NodeError> {
        let target = self.settings.availability_target;
        let svid = NodeSvid::new(svid, &self.settings.trust_domain, received, target)?;
        Ok(svid)
    }

    /// Makes an SVID the one in use.
    fn take_up(&mut self, svid: NodeSvid) {
        self.identity.send_replace(Some(Arc::clone(&svid.identity)));
        self.svid = Some(svid);
        self.upstream.renew();
    }

    async fn learn(&mut self, bundle: Bundle) -> Result<(), NodeError> {
        let own = &self.settings.trust_domain;
        if bundle.trust_domain != *own {
            return Err(NodeError::OtherTrustDomain(
                bundle.trust_domain,
                own.clone(),
            ));
        }
        if bundle.x509_authorities.is_empty() {
            return Err(NodeError::EmptyBundle);
        }
        self.trust.send_replace(Arc::new(Trust::new([&bundle])));
        let saved = bundle.clone();
        warn_unkept(self.store(move |storage| storage.save_bundle(&saved)).await);
        self.bundle = Some(bundle);
        Ok(())
    }

    async fn store(
        &self,
        work: impl FnOnce(Storage) -> Result<(), StorageError> + Send + 'static,
    ) -> Result<(), StorageError> {
        store(&self.storage, work).await
    }

    /// The only way out that a server has: the ban is verified, the SVID is given up.
    async fn stop(&self) -> Result<(), NodeError> {
        warn!(
            name: "agent_ban_obeyed",
            error = %NodeError::Banned,
            "this agent gives up its SVID and stops"
        );
        self.identity.send_replace(None);
        self.store(|storage| storage.forget_svid()).await?;
        Err(NodeError::Banned)
    }

    /// Says what went wrong and waits before the next attempt.
    async fn fail(
        &self,
        error: NodeError,
        backoff: &mut Backoff,
        shutdown: &CancellationToken,
    ) -> Result<(), NodeError> {
        if let NodeError::Banned = error {
            return Err(error);
        }
        let pause = backoff.pause();
        warn!(
            name: "attestation_failed",
            error = &error as &dyn std::error::Error,
            "no new SVID for the agent; next attempt in {pause:.1?}"
        );
        let valid = self.is_attested(clock::now());
        self.status.not_renewed(valid, &error);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(pause) => {}
        }
        Ok(())
    }
}

fn attempts() -> Backoff {
    Backoff::new(Duration::from_millis(500), Duration::from_secs(60))
}

#[cfg(test)]
mod tests;
