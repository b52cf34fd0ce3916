//! A store on a real file, for the tests of this crate.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Store;

/// A store in a directory of its own, with its writer running.
#[derive(Debug)]
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl TestStore {
    pub(crate) async fn new() -> Self {
        Self::in_directory(TempDir::new().expect("temporary directory")).await
    }

    /// Opens what an earlier store left in its directory.
    pub(crate) async fn in_directory(directory: TempDir) -> Self {
        let (store, writer) = Store::open(&directory.path().join(FILE))
            .await
            .expect("open the store");
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(shutdown.clone()));
        Self {
            store,
            directory,
            shutdown,
            tasks,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }

    /// Stops the writer as a server does at its end.
    pub(crate) async fn close(mut self) -> TempDir {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.directory
    }
}

const FILE: &str = "datastore.sqlite3";
