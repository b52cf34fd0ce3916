//! The change log: which objects changed, in commit order and without gaps. The follower reads
//! positions and then the current rows, never contents of the log, so reading a change twice or
//! two at once does no harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use signet_identity::unix;

use super::{
    Store,
    database::{self, Connection, listed},
    error::StoreError,
    object::{self, DeltaOf, Object},
    row,
};

/// A position in the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct ChangeId(pub(crate) i64);

/// What came after one position, up to and with another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) since: ChangeId,
    pub(super) upto: ChangeId,
}

/// The keys that a stretch names, by their kind.
#[derive(Debug)]
pub(super) struct Logged {
    stretch: Stretch,
    keys: BTreeMap<String, BTreeSet<String>>,
}

/// Notes that these objects change; answers with the last position, if there is any.
pub(super) async fn append<O: Object>(
    conn: &mut Connection,
    keys: &[&O::Key],
    now: SystemTime,
) -> Result<Option<ChangeId>, StoreError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let appended = sqlx::query(concat!(
        "INSERT INTO changes (kind, key, changed_at) SELECT $1, value, $2 FROM ",
        listed!("$3")
    ))
    .bind(O::KIND)
    .bind(unix::seconds(now))
    .bind(database::list(keys))
    .execute(conn)
    .await?;
    Ok(Some(ChangeId(database::last_inserted(&appended))))
}

impl Store {
    /// Forgets changes from before `before`, a bounded number at a time; true if more remain.
    /// The newest one stays, as it tells a follower where the log is.
    pub(crate) async fn prune_changes(&self, before: SystemTime) -> Result<bool, StoreError> {
        let before = unix::seconds(before);
        self.write_unlogged(move |conn| {
            Box::pin(async move {
                let gone = sqlx::query(
                    "DELETE FROM changes WHERE change_id IN (
                         SELECT change_id FROM changes
                         WHERE changed_at < $1
                           AND change_id < (SELECT MAX(change_id) FROM changes)
                         ORDER BY change_id LIMIT $2)",
                )
                .bind(before)
                .bind(PRUNE)
                .execute(conn)
                .await?;
                Ok(gone.rows_affected() == PRUNE.unsigned_abs())
            })
        })
        .await
    }
}

/// The newest position.
pub(super) async fn newest(conn: &mut Connection) -> Result<ChangeId, StoreError> {
    let id: Option<i64> = sqlx::query_scalar("SELECT MAX(change_id) FROM changes")
        .fetch_one(conn)
        .await?;
    Ok(ChangeId(id.unwrap_or(0)))
}

/// What one step may read after `since`, or `None` if the log no longer reaches back that far
/// and everything must be read anew.
pub(super) async fn next_step(
    conn: &mut Connection,
    since: ChangeId,
) -> Result<Option<Stretch>, StoreError> {
    let oldest: Option<i64> = sqlx::query_scalar("SELECT MIN(change_id) FROM changes")
        .fetch_one(&mut *conn)
        .await?;
    let newest = newest(conn).await?;
    // A log that is behind us is another one: the file was replaced by a backup.
    if newest < since || oldest.is_some_and(|oldest| oldest > since.0.saturating_add(1)) {
        return Ok(None);
    }
    let upto = newest.min(ChangeId(since.0.saturating_add(STEP)));
    Ok(Some(Stretch { since, upto }))
}

impl Logged {
    /// What a stretch of the log names.
    pub(super) async fn in_stretch(
        conn: &mut Connection,
        stretch: Stretch,
    ) -> Result<Self, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT kind, key FROM changes WHERE change_id > $1 AND change_id <= $2",
        )
        .bind(stretch.since.0)
        .bind(stretch.upto.0)
        .fetch_all(conn)
        .await?;
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (kind, key) in rows {
            keys.entry(kind).or_default().insert(key);
        }
        Ok(Self { stretch, keys })
    }

    /// Takes out what is named of one family: the objects as they are now. What the log names
    /// and no table has any more is gone.
    pub(super) async fn take<O: Object>(
        &mut self,
        conn: &mut Connection,
    ) -> Result<DeltaOf<O>, StoreError> {
        let Some(mut keys) = self.keys.remove(O::KIND) else {
            return Ok(DeltaOf::default());
        };
        let rows = object::with_key::<O>(
            "IN (SELECT key FROM changes
                 WHERE kind = $1 AND change_id > $2 AND change_id <= $3)",
        )
        .bind(O::KIND)
        .bind(self.stretch.since.0)
        .bind(self.stretch.upto.0)
        .fetch_all(conn)
        .await?;
        let changed = O::from_rows(rows)?;
        for object in &changed {
            keys.remove(&object.key().to_string());
        }
        let gone = keys.iter().map(|key| {
            key.parse()
                .map_err(|error| row::unreadable("changes", key, error))
        });
        Ok(DeltaOf {
            gone: gone.collect::<Result<_, _>>()?,
            changed,
        })
    }

    /// All families have taken theirs: a kind that is left is none that we know.
    pub(super) fn all_taken(self) -> Result<(), StoreError> {
        match self.keys.first_key_value() {
            None => Ok(()),
            Some((kind, keys)) => {
                let key = keys.first().map_or("", String::as_str);
                Err(row::unreadable(
                    "changes",
                    key,
                    format!("unknown kind {kind:?}"),
                ))
            }
        }
    }
}

/// Changes that a follower takes in one step.
const STEP: i64 = 10_000;
/// Changes that are forgotten in one transaction.
const PRUNE: i64 = 5_000;
