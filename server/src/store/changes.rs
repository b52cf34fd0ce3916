//! The change log: which entries, agents and bundles changed, in commit order and without
//! gaps. The follower reads positions and then the current rows, never contents of the log, so
//! reading a change twice or two at once does no harm.

use std::{collections::BTreeSet, time::SystemTime};

use signet_identity::{SpiffeId, TrustDomain, entry::EntryId, unix};
use sqlx::SqliteConnection;

use super::{Store, Written, error::StoreError, row};

/// A position in the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct ChangeId(pub(crate) i64);

/// One thing that changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Changed<'a> {
    Entry(&'a EntryId),
    Agent(&'a SpiffeId),
    Bundle(&'a TrustDomain),
}

/// The distinct things that changed within a stretch of the log.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) entries: BTreeSet<String>,
    pub(super) agents: BTreeSet<String>,
    pub(super) bundles: BTreeSet<String>,
}

impl Changed<'_> {
    pub(super) async fn append(
        self,
        conn: &mut SqliteConnection,
        now: SystemTime,
    ) -> Result<ChangeId, StoreError> {
        let (kind, key) = match self {
            Self::Entry(id) => ("entry", id.as_str().to_owned()),
            Self::Agent(id) => ("agent", id.to_string()),
            Self::Bundle(trust_domain) => ("bundle", trust_domain.as_str().to_owned()),
        };
        let id = sqlx::query_scalar(
            "INSERT INTO changes (kind, key, changed_at) VALUES ($1, $2, $3) RETURNING change_id",
        )
        .bind(kind)
        .bind(key)
        .bind(unix::seconds(now))
        .fetch_one(conn)
        .await?;
        Ok(ChangeId(id))
    }
}

/// Notes that these entries change; answers with the last position, if there is any.
pub(super) async fn append_entries(
    conn: &mut SqliteConnection,
    ids: &[&EntryId],
    now: SystemTime,
) -> Result<Option<ChangeId>, StoreError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let appended = sqlx::query(
        "INSERT INTO changes (kind, key, changed_at)
         SELECT 'entry', value, $2 FROM json_each($1)",
    )
    .bind(row::ids_json(ids.iter().copied()))
    .bind(unix::seconds(now))
    .execute(conn)
    .await?;
    Ok(Some(ChangeId(appended.last_insert_rowid())))
}

impl Store {
    /// Forgets changes from before `before`, a bounded number at a time; true if more remain.
    /// The newest one stays, as it tells a follower where the log is.
    pub(crate) async fn prune_changes(&self, before: SystemTime) -> Result<bool, StoreError> {
        let before = unix::seconds(before);
        let Written { value, .. } = self
            .write(move |tx| {
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
                    .execute(tx.conn())
                    .await?;
                    Ok(gone.rows_affected() == PRUNE.unsigned_abs())
                })
            })
            .await?;
        Ok(value)
    }
}

/// The newest position.
pub(super) async fn newest(conn: &mut SqliteConnection) -> Result<ChangeId, StoreError> {
    let id: Option<i64> = sqlx::query_scalar("SELECT MAX(change_id) FROM changes")
        .fetch_one(conn)
        .await?;
    Ok(ChangeId(id.unwrap_or(0)))
}

/// Up to where one step may read after `since`, or `None` if the log no longer reaches back
/// that far and everything must be read anew.
pub(super) async fn next_step(
    conn: &mut SqliteConnection,
    since: ChangeId,
) -> Result<Option<ChangeId>, StoreError> {
    let oldest: Option<i64> = sqlx::query_scalar("SELECT MIN(change_id) FROM changes")
        .fetch_one(&mut *conn)
        .await?;
    let newest = newest(conn).await?;
    // A log that is behind us is another one: the file was replaced by a backup.
    if newest < since || oldest.is_some_and(|oldest| oldest > since.0.saturating_add(1)) {
        return Ok(None);
    }
    Ok(Some(newest.min(ChangeId(since.0.saturating_add(STEP)))))
}

/// What changed after `since`, up to and with `upto`.
pub(super) async fn touched(
    conn: &mut SqliteConnection,
    since: ChangeId,
    upto: ChangeId,
) -> Result<Touched, StoreError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT kind, key FROM changes WHERE change_id > $1 AND change_id <= $2")
            .bind(since.0)
            .bind(upto.0)
            .fetch_all(conn)
            .await?;
    let mut touched = Touched::default();
    for (kind, key) in rows {
        match kind.as_str() {
            "entry" => touched.entries.insert(key),
            "agent" => touched.agents.insert(key),
            "bundle" => touched.bundles.insert(key),
            other => {
                return Err(row::unreadable(
                    "changes",
                    &key,
                    format!("unknown kind {other:?}"),
                ));
            }
        };
    }
    Ok(touched)
}

/// Changes that a follower takes in one step.
const STEP: i64 = 10_000;
/// Changes that are forgotten in one transaction.
const PRUNE: i64 = 5_000;
