//! The change log.

use std::time::{Duration, SystemTime};

use sqlx::Executor as _;

use super::{bundle, create};
use crate::{
    directory::testing::entry,
    store::{ChangeId, StoreError, testing::TestStore},
};

#[tokio::test]
async fn the_log_names_what_changed_and_the_rows_are_the_present_ones() {
    let test = TestStore::new().await;
    create(&test.store, entry("a", "/spire/agent/x", "/w")).await;
    create(&test.store, entry("b", "/spire/agent/x", "/w")).await;
    test.store
        .set_bundle(bundle("partner.org", 1))
        .await
        .expect("store");
    test.store
        .set_bundle(bundle("partner.org", 2))
        .await
        .expect("store");
    let gone = test
        .store
        .delete_entry("a".parse().expect("entry id"))
        .await
        .expect("delete")
        .opened();
    assert!(gone.value);

    let changes = test
        .store
        .changes_since(ChangeId(0))
        .await
        .expect("read")
        .expect("within reach");
    assert_eq!(changes.upto, gone.change);
    assert_eq!(
        changes.entries.changed,
        [entry("b", "/spire/agent/x", "/w")]
    );
    assert_eq!(changes.entries.gone, ["a".parse().expect("entry id")]);
    assert_eq!(changes.bundles.changed, [bundle("partner.org", 2)]);

    let nothing = test
        .store
        .changes_since(gone.change)
        .await
        .expect("read")
        .expect("within reach");
    assert_eq!(
        (nothing.upto, nothing.entries.is_empty()),
        (gone.change, true)
    );
}

#[tokio::test]
async fn a_pruned_log_sends_followers_to_the_snapshot() {
    let test = TestStore::new().await;
    for n in 0..5 {
        create(&test.store, entry(&format!("e{n}"), "/spire/agent/x", "/w")).await;
    }
    let future = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000);
    assert!(!test.store.prune_changes(future).await.expect("prune"));
    assert!(
        test.store
            .changes_since(ChangeId(2))
            .await
            .expect("read")
            .is_none()
    );
    let snapshot = test.store.snapshot().await.expect("read");
    assert_eq!((snapshot.at, snapshot.entries.len()), (ChangeId(5), 5));
    assert!(
        test.store
            .changes_since(ChangeId(4))
            .await
            .expect("read")
            .is_some()
    );
    assert!(
        test.store
            .changes_since(ChangeId(5))
            .await
            .expect("read")
            .is_some()
    );
    assert!(
        test.store
            .changes_since(ChangeId(6))
            .await
            .expect("read")
            .is_none()
    );
    // The log goes on where it was, also after a restart.
    let reopened = TestStore::in_directory(test.close().await).await;
    let written = reopened
        .store
        .create_entry(entry("next", "/spire/agent/x", "/w"))
        .await;
    assert_eq!(written.expect("create").opened().change, ChangeId(6));
}

#[tokio::test]
async fn a_change_of_an_unknown_kind_is_not_passed_over() {
    let test = TestStore::new().await;
    let by_hand = "PRAGMA ignore_check_constraints = ON;
                   INSERT INTO changes (kind, key, changed_at) VALUES ('other', 'k', 0)";
    let written = test.store.write(move |tx| {
        Box::pin(async move { Ok(tx.conn().execute(by_hand).await.map(|_| ())?) })
    });
    written.await.expect("write");
    let read = test.store.changes_since(ChangeId(0)).await;
    let refused = read.expect_err("unreadable");
    assert!(
        matches!(&refused, StoreError::Unreadable { key, .. } if key == "k"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_commit_is_announced() {
    let test = TestStore::new().await;
    let mut committed = test.store.committed();
    let written = test
        .store
        .create_entry(entry("a", "/spire/agent/x", "/w"))
        .await
        .expect("create")
        .opened();
    committed.changed().await.expect("announced");
    assert_eq!(*committed.borrow(), written.change);
}
