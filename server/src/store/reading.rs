//! What the directory reads: everything at start, then what changed. Each in one read
//! transaction, so that it is a state which the database really had.

use std::time::Duration;

use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
};
use sqlx::SqliteConnection;
use tokio::{sync::watch, time::timeout};

use super::{
    Store,
    agents::{self, Agent},
    bundles,
    changes::{self, ChangeId, Touched},
    entries,
    error::StoreError,
    row::Row,
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
    /// New or changed entries.
    pub(crate) entries: Vec<Entry>,
    /// Entries that are gone.
    pub(crate) gone_entries: Vec<EntryId>,
    /// New or changed agents.
    pub(crate) agents: Vec<Agent>,
    /// Agents that are gone.
    pub(crate) gone_agents: Vec<SpiffeId>,
    /// New or changed bundles.
    pub(crate) bundles: Vec<Bundle>,
    /// Trust domains whose bundle is gone.
    pub(crate) gone_bundles: Vec<TrustDomain>,
}

impl Store {
    /// Reads everything.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        timeout(DEADLINE, async {
            let mut tx = self.read().begin().await?;
            Ok(Snapshot {
                at: changes::newest(&mut tx).await?,
                entries: entries::load(&mut tx).await?,
                agents: agents::load(&mut tx).await?,
                bundles: bundles::load(&mut tx).await?,
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
                Some(upto) if upto == since => Ok(Some(Changes {
                    upto,
                    ..Changes::default()
                })),
                Some(upto) => read_changes(&mut tx, since, upto).await.map(Some),
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

async fn read_changes(
    conn: &mut SqliteConnection,
    since: ChangeId,
    upto: ChangeId,
) -> Result<Changes, StoreError> {
    let Touched {
        entries,
        agents,
        bundles,
    } = changes::touched(conn, since, upto).await?;
    let mut changes = Changes {
        upto,
        ..Changes::default()
    };
    if !entries.is_empty() {
        changes.entries = entries::load_changed(conn, since, upto).await?;
    }
    if !agents.is_empty() {
        changes.agents = agents::load_changed(conn, since, upto).await?;
    }
    if !bundles.is_empty() {
        changes.bundles = bundles::load_changed(conn, since, upto).await?;
    }
    changes.note_gone(Touched {
        entries,
        agents,
        bundles,
    })?;
    Ok(changes)
}

impl Changes {
    /// What the log names and no table has any more is gone.
    fn note_gone(&mut self, mut touched: Touched) -> Result<(), StoreError> {
        for entry in &self.entries {
            touched.entries.remove(entry.id.as_str());
        }
        for agent in &self.agents {
            touched.agents.remove(&agent.id.to_string());
        }
        for bundle in &self.bundles {
            touched.bundles.remove(bundle.trust_domain.as_str());
        }
        for key in &touched.entries {
            let at = Row {
                table: "changes",
                key,
            };
            self.gone_entries
                .push(key.parse().map_err(|error| at.bad(error))?);
        }
        for key in &touched.agents {
            let at = Row {
                table: "changes",
                key,
            };
            self.gone_agents.push(at.spiffe_id(key)?);
        }
        for key in &touched.bundles {
            let at = Row {
                table: "changes",
                key,
            };
            self.gone_bundles
                .push(TrustDomain::new(key).map_err(|error| at.bad(error))?);
        }
        Ok(())
    }
}

/// Even a million entries are read in a fraction of this.
const DEADLINE: Duration = Duration::from_secs(60);
