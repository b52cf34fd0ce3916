//! Files that cannot be used, and disks that fill up.

use std::path::Path;

use sqlx::{ConnectOptions as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::create;
use crate::{
    directory::testing::entry,
    store::{CreateEntry, OpenProblem, Store, StoreError, testing::TestStore},
};

async fn refusal(path: &Path) -> OpenProblem {
    match Store::open(path).await {
        Err(StoreError::Open {
            problem,
            path: named,
        }) => {
            assert_eq!(named, path);
            problem
        }
        other => panic!("{other:?}"),
    }
}

async fn raw(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    options.connect().await.expect("connect")
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused_at_once() {
    let test = TestStore::new().await;
    let problem = refusal(&test.path()).await;
    assert!(matches!(problem, OpenProblem::InUse(_)), "{problem:?}");
    assert!(problem.to_string().contains("another server"));
    // When the first one ends, its file is free.
    TestStore::in_directory(test.close().await).await;
}

#[tokio::test]
async fn a_truncated_database_is_refused() {
    let test = TestStore::new().await;
    for n in 0..200 {
        create(&test.store, entry(&format!("e{n}"), "/spire/agent/x", "/w")).await;
    }
    let path = test.path();
    let _directory = test.close().await;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("open");
    file.set_len(file.metadata().expect("length").len() / 2)
        .expect("truncate");
    let problem = refusal(&path).await;
    assert!(
        matches!(&problem, OpenProblem::Database(error) if matches!(**error, StoreError::Corrupt(_))),
        "{problem:?}"
    );
    assert!(problem.to_string().contains("backup"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = TempDir::new().expect("temporary directory");
    let path = directory.path().join("datastore.sqlite3");
    std::fs::write(&path, "not a database\n".repeat(100)).expect("write");
    let problem = refusal(&path).await;
    assert!(
        matches!(&problem, OpenProblem::Database(error) if matches!(**error, StoreError::Corrupt(_))),
        "{problem:?}"
    );
}

#[tokio::test]
async fn the_database_of_another_program_is_left_alone() {
    let directory = TempDir::new().expect("temporary directory");
    let path = directory.path().join("datastore.sqlite3");
    raw(&path)
        .await
        .execute("CREATE TABLE bundles (id INTEGER)")
        .await
        .expect("create");
    let problem = refusal(&path).await;
    assert!(
        matches!(&problem, OpenProblem::Foreign(table) if table == "bundles"),
        "{problem:?}"
    );
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let test = TestStore::new().await;
    let path = test.path();
    let _directory = test.close().await;
    let future =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                  VALUES (9999, 'later', TRUE, x'00', 0)";
    raw(&path).await.execute(future).await.expect("insert");
    let problem = refusal(&path).await;
    assert!(
        matches!(problem, OpenProblem::Newer { found: 9999, .. }),
        "{problem:?}"
    );
}

#[tokio::test]
async fn a_path_that_cannot_be_a_file_is_named() {
    let directory = TempDir::new().expect("temporary directory");
    let missing = directory.path().join("missing").join("datastore.sqlite3");
    let problem = refusal(&missing).await;
    assert!(problem.to_string().contains("missing"), "{problem}");
    let problem = refusal(directory.path()).await;
    assert!(matches!(problem, OpenProblem::File { .. }), "{problem:?}");
}

#[tokio::test]
async fn a_lock_of_another_process_fails_the_write_and_nothing_else() {
    let test = TestStore::new().await;
    let mut other = raw(&test.path()).await;
    other.execute("BEGIN IMMEDIATE").await.expect("lock");
    let refused = test
        .store
        .create_entry(entry("a", "/spire/agent/x", "/w"))
        .await;
    assert!(matches!(refused, Err(StoreError::Locked)), "{refused:?}");
    assert!(
        test.store
            .snapshot()
            .await
            .expect("read")
            .entries
            .is_empty()
    );
    other.execute("ROLLBACK").await.expect("unlock");
    assert_eq!(
        create(&test.store, entry("a", "/spire/agent/x", "/w")).await,
        CreateEntry::Created
    );
}

/// Lets the file grow no further: SQLite then says what it says on a full disk.
async fn limit_pages(store: &Store, pages: &'static str) {
    let limited = store.write_unlogged(move |conn| {
        Box::pin(async move { Ok(conn.execute(pages).await.map(|_| ())?) })
    });
    limited.await.expect("limit the file");
}

#[tokio::test]
async fn a_full_disk_fails_the_write_whole_and_is_survived() {
    let test = TestStore::new().await;
    limit_pages(&test.store, "PRAGMA max_page_count = 1").await;
    let mut last = Ok(());
    for n in 0..1000 {
        let mut large = entry(&format!("e{n}"), "/spire/agent/x", "/w");
        large.hint = "x".repeat(1000);
        last = test.store.create_entry(large).await.map(|_| ());
        if last.is_err() {
            break;
        }
    }
    assert!(matches!(last, Err(StoreError::DiskFull)), "{last:?}");
    let before = test.store.snapshot().await.expect("read");
    limit_pages(&test.store, "PRAGMA max_page_count = 1000000").await;
    let written = test
        .store
        .create_entry(entry("z", "/spire/agent/x", "/z"))
        .await
        .expect("write")
        .opened();
    assert_eq!(written.value, CreateEntry::Created);
    let after = test.store.snapshot().await.expect("read");
    assert_eq!(after.entries.len(), before.entries.len() + 1);
    assert_eq!(after.at.0, before.at.0 + 1);
    assert_eq!(after.at, written.change);
}

#[tokio::test]
async fn what_waits_when_the_server_stops_is_still_written() {
    let test = TestStore::new().await;
    let store = test.store.clone();
    let writes =
        (0..100).map(|n| store.create_entry(entry(&format!("e{n}"), "/spire/agent/x", "/w")));
    let writes = futures_util::future::join_all(writes);
    let (directory, outcomes) = tokio::join!(biased; test_close(test), writes);
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for outcome in outcomes {
        assert!(
            matches!(outcome, Ok(_) | Err(StoreError::Closed)),
            "{outcome:?}"
        );
    }
    let reopened = TestStore::in_directory(directory).await;
    assert_eq!(
        reopened.store.snapshot().await.expect("read").entries.len(),
        stored
    );
}

async fn test_close(test: TestStore) -> TempDir {
    test.close().await
}

#[tokio::test]
async fn an_emptied_database_with_a_log_is_refused_and_the_log_is_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("datastore.sqlite3");
    let log = directory.path().join("datastore.sqlite3-wal");
    for emptied in [false, true] {
        if emptied {
            std::fs::write(&path, b"").expect("write");
        }
        std::fs::write(&log, b"changes").expect("write");
        let problem = refusal(&path).await;
        assert!(matches!(problem, OpenProblem::Emptied(_)), "{problem:?}");
        assert!(problem.to_string().contains("-wal"), "{problem}");
        assert_eq!(std::fs::read(&log).expect("read"), b"changes");
    }
}

#[tokio::test]
async fn a_server_that_stops_leaves_one_whole_file_and_no_log() {
    let test = TestStore::new().await;
    create(&test.store, entry("e", "/spire/agent/x", "/w")).await;
    // A reader that is still there would keep SQLite from taking the log into the file.
    test.store.snapshot().await.expect("read");
    let log = test.directory.path().join("datastore.sqlite3-wal");
    assert!(log.exists());
    let _store = test.store.clone();
    let _directory = test.close().await;
    assert!(!log.exists());
}
