//! What the directory reads: everything at start, then what changed. Each in one read
//! transaction, so that it is a state which the database really had.

use std::time::Duration;

use signet_identity::{bundle::Bundle, entry::Entry};
use tokio::{sync::watch, time::timeout};

use super::{
    Store,
    agents::Agent,
    changes::{self, ChangeId, Logged, Stretch},
    database::Connection,
    error::StoreError,
    object::{self, DeltaOf},
};

/// The whole state at one position of the change log.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The position.
    pub(crate) at: ChangeId,
    /// All entries.
    pub(crate) entries: Vec<Entry>,
    /// All agents.
    pub(crate) agents: Vec<Agent>,
    /// All bundles.
    pub(crate) bundles: Vec<Bundle>,
}

/// What is different at a later position. Rows are as they were when this was read, which may
/// be later still; reading them again with the next step does no harm.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Everything up to here is contained.
    pub(crate) upto: ChangeId,
    /// Of the entries.
    pub(crate) entries: DeltaOf<Entry>,
    /// Of the agents.
    pub(crate) agents: DeltaOf<Agent>,
    /// Of the bundles.
    pub(crate) bundles: DeltaOf<Bundle>,
}

impl Store {
    /// Reads everything.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        timeout(DEADLINE, async {
            let mut tx = self.read().begin().await?;
            Ok(Snapshot {
                at: changes::newest(&mut tx).await?,
                entries: object::all(&mut tx).await?,
                agents: object::all(&mut tx).await?,
                bundles: object::all(&mut tx).await?,
            })
        })
        .await
        .unwrap_or(Err(StoreError::Overloaded))
    }

    /// Reads what changed after `since`: at most one step of it, so that memory stays bounded
    /// after a long absence. `None` if the log does not reach back that far: read a snapshot.
    pub(crate) async fn changes_since(
        &self,
        since: ChangeId,
    ) -> Result<Option<Changes>, StoreError> {
        timeout(DEADLINE, async {
            let mut tx = self.read().begin().await?;
            match changes::next_step(&mut tx, since).await? {
                None => Ok(None),
                Some(stretch) => read_changes(&mut tx, stretch).await.map(Some),
            }
        })
        .await
        .unwrap_or(Err(StoreError::Overloaded))
    }

    /// The newest committed position that this process wrote, announced after each commit.
    pub(crate) fn committed(&self) -> watch::Receiver<ChangeId> {
        self.committed.clone()
    }
}

async fn read_changes(conn: &mut Connection, stretch: Stretch) -> Result<Changes, StoreError> {
    let mut logged = Logged::in_stretch(conn, stretch).await?;
    let changes = Changes {
        upto: stretch.upto,
        entries: logged.take(conn).await?,
        agents: logged.take(conn).await?,
        bundles: logged.take(conn).await?,
    };
    logged.all_taken()?;
    Ok(changes)
}

/// Even a million entries are read in a fraction of this.
const DEADLINE: Duration = Duration::from_secs(60);
