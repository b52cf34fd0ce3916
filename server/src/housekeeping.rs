//! Removes what has expired: entries, join tokens, and the tail of the change log.

use std::time::{Duration, SystemTime};

use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    clock::Reading,
    directory::Directory,
    store::{Store, StoreError},
};

/// The task that removes; `run` it until the server stops.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    store: Store,
    directory: Directory,
}

impl Housekeeping {
    pub(crate) fn new(store: Store, directory: Directory) -> Self {
        Self { store, directory }
    }

    /// Cleans up every few minutes until told to stop; not just after the clock was set, which may
    /// be to a wrong time.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut ticks = time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = Reading::take();
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let reading = Reading::take();
            let jumped = reading.jumped_since(&before);
            before = reading;
            if jumped {
                continue;
            }
            if let Err(error) = self.clean(reading.now).await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "what has expired could not be removed; trying again later"
                );
            }
        }
    }

    async fn clean(&self, now: SystemTime) -> Result<(), StoreError> {
        for _ in 0..MOST_PASSES {
            let written = self.store.prune_expired_entries(now).await?;
            let gone = self.directory.seen(written).await;
            if gone.is_empty() {
                break;
            }
            info!(count = gone.len(), "removed expired entries");
        }
        if let Some(before) = now.checked_sub(TOKENS_KEPT) {
            let gone = self.store.prune_join_tokens(before).await?;
            if gone > 0 {
                info!(count = gone, "removed expired join tokens");
            }
        }
        let Some(before) = now.checked_sub(CHANGES_KEPT) else {
            return Ok(());
        };
        for _ in 0..MOST_PASSES {
            if !self.store.prune_changes(before).await? {
                break;
            }
        }
        Ok(())
    }
}

const EVERY: Duration = Duration::from_secs(5 * 60);
/// For a while, an agent that comes too late is told that its token expired.
const TOKENS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
const CHANGES_KEPT: Duration = Duration::from_secs(12 * 60 * 60);
/// Each pass is bounded by the store; the rest waits for the next time.
const MOST_PASSES: usize = 100;
