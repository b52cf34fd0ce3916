//! The proxy's own identity: follows the Workload API and publishes what TLS needs.
//!
//! A withdrawn or expired identity is published as its absence, so that handshakes fail
//! and live connections close. An agent that is away withdraws nothing: what is held stays in
//! use until it expires.

use std::{sync::Arc, time::Duration};

use signet_identity::{
    endpoint::Endpoint,
    tls::{Identity, SharedIdentity, SharedTrust},
    trust::Trust,
    workload_api::X509Context,
};
use signet_proto::workload::X509SvidResponse;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport};
use tracing::{error, info, warn};

use crate::{clock, workload_api::WorkloadApi};

/// Publishes the identity and the trust; run it until shutdown.
#[derive(Debug)]
pub(crate) struct Follower {
    endpoint: String,
    api: WorkloadApi,
    identity: watch::Sender<Option<Arc<Identity>>>,
    trust: watch::Sender<Arc<Trust>>,
}

/// Why one stream ended.
#[derive(Debug)]
enum End {
    /// Asking again cannot help (SPIFFE Workload Endpoint §6 and appendix A).
    ForGood(Status),
    /// There is no identity for us, or no longer.
    Denied(Status),
    /// The agent ended it, or is away.
    Away(String),
}

impl Follower {
    /// A follower of the Workload API at `endpoint`, and what it publishes.
    pub(crate) fn new(
        endpoint: &Endpoint,
    ) -> Result<(Self, SharedIdentity, SharedTrust), transport::Error> {
        let (identity, shared_identity) = watch::channel(None);
        let (trust, shared_trust) = watch::channel(Arc::new(Trust::default()));
        let follower = Self {
            endpoint: endpoint.to_string(),
            api: WorkloadApi::at(endpoint)?,
            identity,
            trust,
        };
        Ok((follower, shared_identity, shared_trust))
    }

    /// Follows the Workload API until `shutdown`.
    ///
    /// # Errors
    /// The agent refuses the call itself; one that is away or has no identity for us yet is
    /// waited for.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        info!(endpoint = %self.endpoint, "waiting for an identity from the Workload API");
        let following = async {
            tokio::select! {
                refused = self.follow() => Err(refused),
                () = self.expire() => Ok(()),
            }
        };
        match shutdown.run_until_cancelled(following).await {
            Some(Err(refused)) => Err(anyhow::Error::from(refused)
                .context(format!("the Workload API at {} refuses us", self.endpoint))),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Opens the stream again and again, more slowly while nothing comes of it; returns when
    /// that makes no sense and nothing is held any longer.
    async fn follow(&self) -> Status {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut accepted = false;
            let end = self.attach(&mut accepted).await;
            if accepted {
                pause = FIRST_PAUSE;
            }
            match end {
                End::ForGood(status) => {
                    error!("the Workload API refuses the call and is not asked again: {status}");
                    self.nothing_held().await;
                    return status;
                }
                End::Denied(status) => {
                    if !self.withdraw(status.message()) {
                        warn!("no identity for this proxy yet, asking again: {status}");
                    }
                    pause = pause.max(FIRST_PAUSE_DENIED);
                }
                End::Away(reason) => {
                    warn!(
                        reason,
                        "the Workload API is away: what is held stays in use"
                    );
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attach(&self, accepted: &mut bool) -> End {
        let mut stream = match self.api.x509_svids().await {
            Ok(stream) => stream,
            Err(status) => return End::of(status),
        };
        loop {
            match stream.message().await {
                Ok(Some(response)) => *accepted |= self.accept(&response),
                Ok(None) => return End::Away("it ended the stream".to_owned()),
                Err(status) => return End::of(status),
            }
        }
    }

    /// Takes a message whole; one that is not whole changes nothing (SPIFFE Workload API §4.5).
    fn accept(&self, response: &X509SvidResponse) -> bool {
        match X509Context::read(response) {
            Ok(context) => {
                let trust = context.trust();
                for issuer in trust.strange_revocations() {
                    warn!(
                        issuer,
                        "a list of revoked certificates is signed by none of the authorities; \
                         it counts only for chains of which an intermediate signed it"
                    );
                }
                self.trust_in(trust);
                self.hold(context.into_default().identity);
                true
            }
            Err(problem) => {
                warn!("discarded: the agent sent an unusable SVID or bundle: {problem}");
                false
            }
        }
    }

    fn trust_in(&self, trust: Trust) {
        self.trust.send_if_modified(|current| {
            let changed = **current != trust;
            *current = Arc::new(trust);
            changed
        });
    }

    fn hold(&self, identity: Identity) {
        if identity.not_after() <= clock::now() {
            self.withdraw("the agent sent an SVID that has expired");
            return;
        }
        let next = Arc::new(identity);
        self.identity.send_if_modified(|current| {
            if current
                .as_ref()
                .is_some_and(|held| held.chain() == next.chain())
            {
                return false;
            }
            info!(
                spiffe_id = %next.id(),
                expires_at = %clock::rfc3339(next.not_after()),
                "holding a new X509-SVID"
            );
            *current = Some(Arc::clone(&next));
            true
        });
    }

    /// Whether there was anything to withdraw.
    fn withdraw(&self, reason: &str) -> bool {
        let held = self.identity.send_if_modified(|current| {
            if current.take().is_none() {
                return false;
            }
            warn!(reason, "the identity is withdrawn: every connection closes");
            true
        });
        // The authorities came with the identity, and go with it.
        self.trust_in(Trust::default());
        held
    }

    /// Notices an SVID that expires while nothing else happens; never returns.
    async fn expire(&self) {
        loop {
            sleep(EXPIRY_TICK).await;
            let held = self.identity.borrow().clone();
            if held.is_some_and(|held| held.not_after() <= clock::now()) {
                self.withdraw("the SVID has expired");
            }
        }
    }

    async fn nothing_held(&self) {
        let mut identity = self.identity.subscribe();
        // The sender is ours: the wait does not fail.
        drop(identity.wait_for(Option::is_none).await);
    }
}

impl End {
    fn of(status: Status) -> Self {
        let code = status.code();
        if matches!(code, Code::InvalidArgument | Code::Unimplemented) {
            return Self::ForGood(status);
        }
        if code == Code::PermissionDenied {
            return Self::Denied(status);
        }
        Self::Away(status.to_string())
    }
}

/// A stream that brought something is opened again almost at once (SPIFFE Workload API §4.2).
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const FIRST_PAUSE_DENIED: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const EXPIRY_TICK: Duration = Duration::from_secs(1);
