//! A store on a real file, for the tests of this crate.

use std::path::PathBuf;

use signet_identity::{
    bundle::Bundle,
    entry::{Entry, EntryId},
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Agent, ChangeId, CreateEntry, Followed, Store, StoreError, Written};

/// One entry at a time, as most tests want it.
impl Store {
    pub(crate) async fn create_entry(
        &self,
        entry: Entry,
    ) -> Result<Written<CreateEntry>, StoreError> {
        self.create_entries(vec![entry]).await.map(only)
    }

    pub(crate) async fn delete_entry(&self, id: EntryId) -> Result<Written<bool>, StoreError> {
        self.delete_entries(vec![id]).await.map(only)
    }
}

fn only<T>(written: Written<Vec<T>>) -> Written<T> {
    let mut written = written.opened();
    assert_eq!(written.value.len(), 1, "one answer for one question");
    Written::new(written.value.remove(0), written.change)
}

/// Everything, as tests look at it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) at: ChangeId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) bundles: Vec<Bundle>,
}

impl Store {
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let everything = self.everything().await?;
        Ok(Snapshot {
            at: everything.upto,
            entries: everything.entries.changed,
            agents: everything.agents.changed,
            bundles: everything.bundles.changed,
        })
    }
}

/// For a directory without a store.
pub(crate) fn followed() -> Followed {
    Followed::new()
}

/// A store in a directory of its own, with its writer running.
#[derive(Debug)]
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
    /// For the directory that follows the store, if there is one.
    followed: Option<Followed>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl TestStore {
    pub(crate) async fn new() -> Self {
        Self::in_directory(TempDir::new().expect("temporary directory")).await
    }

    /// Opens what an earlier store left in its directory.
    pub(crate) async fn in_directory(directory: TempDir) -> Self {
        let (store, writer, followed) = Store::open(&directory.path().join(FILE))
            .await
            .expect("open the store");
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(shutdown.clone()));
        Self {
            store,
            directory,
            followed: Some(followed),
            shutdown,
            tasks,
        }
    }

    pub(crate) fn follow(&mut self) -> Followed {
        self.followed.take().expect("one directory for a store")
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
