//! The cache on disk: what lets an agent that restarts while its server is away serve at once.
//!
//! It is written by a task of its own a moment after the cache has changed, so nobody who is
//! served waits for it. A file that is not this agent's, or not whole, is set aside.

mod content;
mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::{SpiffeId, crypto::SealError, key::PrivateKey, tls::SharedIdentity};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cache::{Cache, Restored};
use file::{CacheFile, RefusedFile, UnwrittenFile};

/// The cache on disk.
#[derive(Debug)]
pub(crate) struct DiskCache {
    file: Arc<CacheFile>,
    /// The last write failed, which has been said.
    failing: bool,
}

impl DiskCache {
    /// The cache at `path`, sealed with what belongs to `key`.
    pub(crate) fn new(path: PathBuf, key: &PrivateKey) -> Result<Self, SealError> {
        let file = CacheFile::new(path, key, Path::new(MACHINE_ID))?;
        Ok(Self {
            file: Arc::new(file),
            failing: false,
        })
    }

    /// What an earlier run of `agent` has left, if it can be used.
    pub(crate) fn restore(&self, agent: &SpiffeId, now: SystemTime) -> Option<Restored> {
        match self.read(agent, now) {
            Ok(restored) => restored,
            Err(refused) => {
                self.refuse(&refused);
                None
            }
        }
    }

    /// Keeps what `cache` holds until shutdown, as the agent that `identity` says; one that has
    /// none any more, being banned, leaves nothing behind.
    pub(crate) async fn keep(
        mut self,
        cache: Cache,
        identity: SharedIdentity,
        shutdown: CancellationToken,
    ) {
        let mut changes = cache.changes();
        while let Some(Ok(())) = shutdown.run_until_cancelled(changes.changed()).await {
            shutdown.run_until_cancelled(sleep(SETTLE)).await;
            changes.borrow_and_update();
            self.write(&cache, &identity).await;
            shutdown.run_until_cancelled(sleep(PAUSE)).await;
        }
        self.write(&cache, &identity).await;
    }

    fn read(&self, agent: &SpiffeId, now: SystemTime) -> Result<Option<Restored>, RefusedFile> {
        let Some(bytes) = self.file.read(agent)? else {
            return Ok(None);
        };
        let restored = content::decode(&bytes, now)?;
        info!(
            entries = restored.change.entries.len(),
            x509_svids = restored.x509_svids.len(),
            jwt_svids = restored.jwt_svids.len(),
            "serving what an earlier run has kept, until the server is heard"
        );
        Ok(Some(restored))
    }

    fn refuse(&self, refused: &RefusedFile) {
        let reason = refused as &dyn std::error::Error;
        match self.file.set_aside() {
            Ok(aside) => warn!(
                error = reason,
                "the cache on disk is not used; it was moved to {}, and the server is asked",
                aside.display()
            ),
            Err(_) => warn!(
                error = reason,
                "the cache on disk is not used, and cannot be moved away; the server is asked"
            ),
        }
    }

    async fn write(&mut self, cache: &Cache, identity: &SharedIdentity) {
        let Some(agent) = identity.borrow().as_ref().map(|own| own.id().clone()) else {
            return;
        };
        let (file, snapshot) = (Arc::clone(&self.file), cache.snapshot());
        let written = spawn_blocking(move || file.write(&agent, &content::encode(&snapshot))).await;
        // An agent that was banned meanwhile removed the file before this one took its place.
        if identity.borrow().is_none() {
            self.remove().await;
            return;
        }
        match written {
            Ok(Ok(())) => self.failing = false,
            Ok(Err(error)) => self.unwritten(&error),
            Err(died) => warn!(error = %died, "the cache was not written to disk"),
        }
    }

    async fn remove(&self) {
        let file = Arc::clone(&self.file);
        match spawn_blocking(move || file.remove()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(
                error = &error as &dyn std::error::Error,
                "the cache of a banned agent stays on disk"
            ),
            Err(died) => warn!(error = %died, "the cache of a banned agent stays on disk"),
        }
    }

    fn unwritten(&mut self, error: &UnwrittenFile) {
        if !self.failing {
            warn!(
                error = error as &dyn std::error::Error,
                "the cache is not kept on disk; an agent that restarts without its server will \
                 find an older one"
            );
        }
        self.failing = true;
    }
}

/// What changes together is written together.
const SETTLE: Duration = Duration::from_millis(100);
/// Between two writes: a large cache that changes without end must not keep the disk busy.
const PAUSE: Duration = Duration::from_secs(5);
/// What systemd, and others with it, call a machine by.
const MACHINE_ID: &str = "/etc/machine-id";

#[cfg(test)]
mod tests;
