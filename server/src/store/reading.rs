//! What the directory reads: everything at start, then what changed. Each in one read
//! transaction, so that it is a state which the database really had.

use std::time::Duration;

use signet_identity::{bundle::Bundle, entry::Entry};
use tokio::{sync::watch, time::timeout};

use super::{
    Store,
    agents::Agent,
    changes::{self, ChangeId, Logged},
    database::Connection,
    error::StoreError,
    object::{self, Delta, DeltaOf, Extent, Object},
};

/// What the directory takes over at a position. Rows are as they were when this was read, which may
/// be later still; reading them again with the next step does no harm.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Everything up to here is contained.
    pub(crate) upto: ChangeId,
    /// Since when.
    pub(crate) extent: Extent,
    /// Of the entries.
    pub(crate) entries: DeltaOf<Entry>,
    /// Of the agents.
    pub(crate) agents: DeltaOf<Agent>,
    /// Of the bundles.
    pub(crate) bundles: DeltaOf<Bundle>,
}

impl Store {
    /// Reads everything.
    pub(crate) async fn everything(&self) -> Result<Changes, StoreError> {
        timeout(DEADLINE, async {
            let mut tx = self.read().begin().await?;
            let upto = changes::newest(&mut tx).await?;
            read(&mut tx, upto, Source::Tables).await
        })
        .await
        .unwrap_or(Err(StoreError::Overloaded))
    }

    /// Reads what changed after `since`: at most one step of it, so that memory stays bounded
    /// after a long absence. `None` if the log does not reach back that far: read everything.
    pub(crate) async fn changes_since(
        &self,
        since: ChangeId,
    ) -> Result<Option<Changes>, StoreError> {
        timeout(DEADLINE, async {
            let mut tx = self.read().begin().await?;
            let Some(stretch) = changes::next_step(&mut tx, since).await? else {
                return Ok(None);
            };
            let logged = Logged::in_stretch(&mut tx, stretch).await?;
            read(&mut tx, stretch.upto, Source::Log(logged))
                .await
                .map(Some)
        })
        .await
        .unwrap_or(Err(StoreError::Overloaded))
    }

    /// The newest committed position that this process wrote, announced after each commit.
    pub(crate) fn committed(&self) -> watch::Receiver<ChangeId> {
        self.committed.clone()
    }
}

/// Where it says which objects to read.
enum Source {
    /// Nowhere: all of them.
    Tables,
    Log(Logged),
}

impl Source {
    async fn take<O: Object>(&mut self, conn: &mut Connection) -> Result<DeltaOf<O>, StoreError> {
        match self {
            Self::Tables => object::all(conn).await.map(Delta::only),
            Self::Log(logged) => logged.take(conn).await,
        }
    }

    /// Nothing is left over; how much was read.
    fn end(self) -> Result<Extent, StoreError> {
        match self {
            Self::Tables => Ok(Extent::Whole),
            Self::Log(logged) => logged.all_taken().map(|()| Extent::Part),
        }
    }
}

async fn read(
    conn: &mut Connection,
    upto: ChangeId,
    mut source: Source,
) -> Result<Changes, StoreError> {
    Ok(Changes {
        upto,
        entries: source.take(conn).await?,
        agents: source.take(conn).await?,
        bundles: source.take(conn).await?,
        extent: source.end()?,
    })
}

/// Even a million entries are read in a fraction of this.
const DEADLINE: Duration = Duration::from_secs(60);
