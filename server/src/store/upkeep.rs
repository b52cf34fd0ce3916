//! Takes away what has had its time: expired entries and join tokens, and old changes.

use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Store;
use super::error::StoreError;
use crate::clock;

/// Prunes every now and then until told to stop.
pub(crate) async fn upkeep(store: Store, shutdown: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = prune(&store, clock::now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "pruning will be tried again");
        }
    }
}

async fn prune(store: &Store, now: SystemTime) -> Result<(), StoreError> {
    loop {
        let gone = store.prune_expired_entries(now).await?;
        for id in &gone {
            tracing::info!(entry.id = %id, "deleted entry {id}, which has expired");
        }
        if gone.is_empty() {
            break;
        }
    }
    store.prune_join_tokens(now).await?;
    // A follower that was away for longer reads everything anew.
    let old = now.checked_sub(REMEMBER).unwrap_or(SystemTime::UNIX_EPOCH);
    while store.prune_changes(old).await? {}
    Ok(())
}

const EVERY: Duration = Duration::from_secs(60);
const REMEMBER: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::testing::{entry, now};
    use crate::store::ChangeId;
    use crate::store::testing::TestStore;

    #[tokio::test]
    async fn upkeep_takes_what_is_old_and_leaves_the_rest() {
        let test = TestStore::new().await;
        let mut expired = entry("a", "/spire/agent/x", "/w");
        expired.expires_at = Some(now());
        test.store.create_entry(expired).await.expect("create");
        test.store.create_entry(entry("b", "/spire/agent/x", "/w")).await.expect("create");
        prune(&test.store, now()).await.expect("prune");
        let snapshot = test.store.snapshot().await.expect("read");
        assert_eq!(snapshot.entries, [entry("b", "/spire/agent/x", "/w")]);
        assert!(test.store.changes_since(ChangeId(0)).await.expect("read").is_none());
    }
}
