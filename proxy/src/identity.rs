//! The proxy's own identity: follows the Workload API and publishes what TLS needs.
//!
//! A withdrawn or expired identity is published as its absence, so that handshakes fail
//! and live connections close.

use std::{path::Path, sync::Arc};

use signet_identity::{
    bundle::{Bundle, X509Authority},
    key::PrivateKey,
    tls::{Identity, SharedIdentity, SharedTrust},
    trust::Trust,
};
use spiffe::{X509Context, X509Source, X509Svid, x509_source::X509SourceState};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;

/// Publishes the identity and the trust; run it until shutdown.
#[derive(Debug)]
pub(crate) struct Follower {
    endpoint: String,
    identity: watch::Sender<Option<Arc<Identity>>>,
    trust: watch::Sender<Arc<Trust>>,
}

impl Follower {
    /// A follower of the Workload API at `socket`, and what it publishes.
    pub(crate) fn new(socket: &Path) -> (Self, SharedIdentity, SharedTrust) {
        let (identity, shared_identity) = watch::channel(None);
        let (trust, shared_trust) = watch::channel(Arc::new(Trust::new(&[])));
        let endpoint = format!("unix:{}", socket.display());
        (
            Self {
                endpoint,
                identity,
                trust,
            },
            shared_identity,
            shared_trust,
        )
    }

    /// Follows the Workload API until `shutdown`.
    ///
    /// # Errors
    /// The endpoint is not usable at all, or the source ended; an agent that is away or
    /// has no identity for us yet is waited for.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        info!(endpoint = %self.endpoint, "waiting for an identity from the Workload API");
        let building = X509Source::builder().endpoint(&self.endpoint).build();
        let Some(source) = shutdown.run_until_cancelled(building).await else {
            return Ok(());
        };
        let source = source?;
        let mut updates = source.updated();
        let mut published = None;
        loop {
            let state = source.state();
            // The same revision is published again only when its SVID has expired since.
            if published != Some(state.revision()) || !state.is_usable() {
                self.publish(&state);
                published = Some(state.revision());
            }
            // The tick notices an SVID that expires while nothing else happens.
            let changed = timeout(EXPIRY_TICK, updates.changed());
            match shutdown.run_until_cancelled(changed).await {
                None => break,
                Some(Ok(Err(ended))) => {
                    self.withdraw(&ended.to_string());
                    return Err(ended.into());
                }
                Some(Ok(Ok(_)) | Err(_)) => {}
            }
        }
        source.shutdown().await;
        Ok(())
    }

    fn publish(&self, state: &X509SourceState) {
        match (state.context(), state.svid()) {
            (Ok(context), Ok(svid)) => self.accept(&context, &svid),
            (Err(reason), _) | (_, Err(reason)) => {
                self.withdraw(&reason.to_string());
            }
        }
    }

    fn accept(&self, context: &X509Context, svid: &X509Svid) {
        match identity_of(svid) {
            Ok(identity) => {
                let bundles: Vec<Bundle> = bundles_of(context);
                self.trust.send_if_modified(|current| {
                    let next = Arc::new(Trust::new(&bundles));
                    let changed = *current != next;
                    *current = next;
                    changed
                });
                self.hold(identity);
            }
            Err(error) => {
                let reason = format!("the agent sent an unusable SVID: {error:#}");
                if !self.withdraw(&reason) {
                    warn!(reason, "still without an identity");
                }
            }
        }
    }

    fn hold(&self, identity: Identity) {
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

    /// False if there was nothing to withdraw.
    fn withdraw(&self, reason: &str) -> bool {
        self.identity.send_if_modified(|current| {
            if current.take().is_none() {
                return false;
            }
            warn!(reason, "the identity is withdrawn: every connection closes");
            true
        })
    }
}

fn identity_of(svid: &X509Svid) -> anyhow::Result<Identity> {
    let chain = svid
        .cert_chain()
        .iter()
        .map(|der| der.as_bytes().to_vec().into())
        .collect();
    let key = PrivateKey::from_pkcs8(svid.private_key().as_bytes())?;
    Ok(Identity::new(chain, &key)?)
}

fn bundles_of(context: &X509Context) -> Vec<Bundle> {
    context
        .bundle_set()
        .iter()
        .map(|(trust_domain, bundle)| Bundle {
            trust_domain: trust_domain.clone(),
            x509_authorities: bundle
                .authorities()
                .iter()
                .map(|der| X509Authority {
                    der: der.as_bytes().to_vec().into(),
                    tainted: false,
                })
                .collect(),
            jwt_authorities: Vec::new(),
            refresh_hint: None,
            sequence: 0,
        })
        .collect()
}

const EXPIRY_TICK: std::time::Duration = std::time::Duration::from_secs(1);
