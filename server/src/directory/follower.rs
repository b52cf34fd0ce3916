//! The task that keeps the directory up to date: it reads where the change log stands, takes
//! over the rows that it names, and does so again when woken or after a while.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::Directory;
use crate::store::{ChangeId, Store, StoreError};

/// Follows the change log; `run` it until the server stops.
#[derive(Debug)]
pub(crate) struct Follower {
    store: Store,
    directory: Directory,
    committed: watch::Receiver<ChangeId>,
}

impl Follower {
    pub(super) fn new(store: Store, directory: Directory) -> Self {
        let committed = store.committed();
        Self {
            store,
            directory,
            committed,
        }
    }

    /// Follows until told to stop. The timer alone would be correct; being woken is faster.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut failing = false;
        loop {
            self.committed.mark_unchanged();
            match self.catch_up().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the directory cannot follow the database; calls are answered from what it knew before"
                        );
                    }
                    failing = true;
                }
            }
            let woken = timeout(if failing { RETRY } else { POLL }, self.woken(failing));
            if shutdown.run_until_cancelled(woken).await.is_none() {
                return;
            }
        }
    }

    async fn woken(&mut self, failing: bool) {
        // After a failure the timer decides, lest each write meet the same failure at once.
        if failing || self.committed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            let at = self.directory.at();
            match self.store.changes_since(at).await? {
                Some(changes) if changes.upto == at => return Ok(()),
                Some(changes) => self.directory.apply(changes),
                None => self.directory.apply(self.store.everything().await?),
            }
        }
    }
}

const POLL: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
