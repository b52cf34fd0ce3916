//! What the node writes down, and the trust that follows the synchronized bundle.

use std::sync::Arc;

use signet_identity::{bundle::Bundle, trust::Trust};
use tokio::{sync::watch, task::spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    cache::Bundles,
    storage::{Storage, StorageError},
};

/// Hands the synchronized own bundle to the TLS side and to the disk.
#[derive(Debug)]
pub(crate) struct TrustKeeper {
    pub(super) trust: watch::Sender<Arc<Trust>>,
    pub(super) storage: Storage,
    pub(super) bundles: watch::Receiver<Arc<Bundles>>,
}

impl TrustKeeper {
    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut known = None;
        loop {
            let own = Arc::clone(&self.bundles.borrow_and_update().own);
            if known.as_ref() != Some(own.bundle()) {
                self.take_over(own.bundle()).await;
                known = Some(Arc::clone(own.bundle()));
            }
            let changed = shutdown.run_until_cancelled(self.bundles.changed()).await;
            if !matches!(changed, Some(Ok(()))) {
                return;
            }
        }
    }

    async fn take_over(&self, bundle: &Arc<Bundle>) {
        if bundle.x509_authorities.is_empty() {
            warn!("the server's bundle has no X.509 authorities; trusting the one before");
            return;
        }
        self.trust
            .send_replace(Arc::new(Trust::new([bundle.as_ref()])));
        let bundle = Arc::clone(bundle);
        warn_unkept(store(&self.storage, move |storage| storage.save_bundle(&bundle)).await);
    }
}

/// Writes off the async workers.
pub(super) async fn store(
    storage: &Storage,
    work: impl FnOnce(Storage) -> Result<(), StorageError> + Send + 'static,
) -> Result<(), StorageError> {
    let storage = storage.clone();
    let done = spawn_blocking(move || work(storage)).await;
    done.unwrap_or_else(|error| Err(StorageError::Interrupted(error.to_string())))
}

/// A full disk must not end a running agent; only its next start suffers.
pub(super) fn warn_unkept(kept: Result<(), StorageError>) {
    if let Err(error) = kept {
        warn!(
            error = &error as &dyn std::error::Error,
            "could not write the agent's files; a restart will find older ones"
        );
    }
}
