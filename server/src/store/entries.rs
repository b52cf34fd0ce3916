//! Registration entries.

use std::collections::BTreeSet;
use std::time::SystemTime;

use signet_identity::entry::{Entry, EntryId};
use signet_identity::{TrustDomain, unix};
use sqlx::SqliteConnection;

use super::changes::{ChangeId, Changed};
use super::entry_row::{bind, entry_id, fold, select};
use super::error::StoreError;
use super::row;
use super::writer::Transaction;
use super::{Store, Written};

/// What became of a new entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CreateEntry {
    /// It is stored.
    Created,
    /// This one has the same SPIFFE ID, parent and selectors; nothing was stored.
    Similar(Box<Entry>),
    /// Another entry has this id; nothing was stored.
    IdTaken,
    /// No bundle of this trust domain is stored, so nothing can federate with it.
    NoBundle(TrustDomain),
}

/// What became of a change to an entry. `E` is why the new form was refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum UpdateEntry<E> {
    /// Stored as this, one revision later.
    Updated(Box<Entry>),
    /// There is no entry with this id.
    NotFound,
    /// It would have become similar to this one; nothing was stored.
    Similar(Box<Entry>),
    /// No bundle of this trust domain is stored.
    NoBundle(TrustDomain),
    /// The edit itself was refused.
    Refused(E),
}

impl Store {
    /// Stores a new entry.
    pub(crate) async fn create_entry(
        &self,
        entry: Entry,
    ) -> Result<Written<CreateEntry>, StoreError> {
        self.write(move |tx| Box::pin(async move { create(tx, &entry).await }))
            .await
    }

    /// Reads the entry, lets `edit` make the new form of it and stores that, all in one
    /// transaction, so that two updates at once cannot lose one another. The revision is
    /// counted here; `edit` cannot change the id.
    pub(crate) async fn update_entry<E: Send + 'static>(
        &self,
        id: EntryId,
        edit: impl FnOnce(Entry) -> Result<Entry, E> + Send + 'static,
    ) -> Result<Written<UpdateEntry<E>>, StoreError> {
        self.write(move |tx| Box::pin(async move { update(tx, &id, edit).await }))
            .await
    }

    /// Deletes an entry; false if there was none.
    pub(crate) async fn delete_entry(&self, id: EntryId) -> Result<Written<bool>, StoreError> {
        self.write(move |tx| Box::pin(async move { delete(tx, &id).await }))
            .await
    }

    /// Deletes the entries that expired at `now` or before, a bounded number at a time.
    pub(crate) async fn prune_expired_entries(
        &self,
        now: SystemTime,
    ) -> Result<Vec<EntryId>, StoreError> {
        let now = unix::seconds(now);
        let written = self
            .write(move |tx| {
                Box::pin(async move {
                    let ids: Vec<String> = sqlx::query_scalar(
                        "SELECT entry_id FROM entries WHERE expires_at <= $1 LIMIT $2",
                    )
                    .bind(now)
                    .bind(PRUNE)
                    .fetch_all(tx.conn())
                    .await?;
                    let mut gone = Vec::with_capacity(ids.len());
                    for id in ids {
                        let id = entry_id(&id)?;
                        delete(tx, &id).await?;
                        gone.push(id);
                    }
                    Ok(gone)
                })
            })
            .await?;
        Ok(written.value)
    }
}

/// All entries.
pub(super) async fn load(conn: &mut SqliteConnection) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as(select!("ORDER BY e.entry_id"))
        .fetch_all(conn)
        .await?;
    fold(rows)
}

/// The entries that a stretch of the change log names, as they are now.
pub(super) async fn load_changed(
    conn: &mut SqliteConnection,
    since: ChangeId,
    upto: ChangeId,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query_as(select!(
        "WHERE e.entry_id IN (SELECT key FROM changes
             WHERE change_id > $1 AND change_id <= $2 AND kind = 'entry')
         ORDER BY e.entry_id"
    ))
    .bind(since.0)
    .bind(upto.0)
    .fetch_all(conn)
    .await?;
    fold(rows)
}

/// Stores a new entry within a transaction; agents get their alias entry with this.
pub(super) async fn create(tx: &mut Transaction, entry: &Entry) -> Result<CreateEntry, StoreError> {
    if let Some(missing) = without_bundle(tx.conn(), &entry.federates_with).await? {
        return Ok(CreateEntry::NoBundle(missing));
    }
    if let Some(similar) = similar_to(tx.conn(), entry).await?.pop() {
        return Ok(CreateEntry::Similar(Box::new(similar)));
    }
    if !insert(tx.conn(), entry).await? {
        return Ok(CreateEntry::IdTaken);
    }
    federate(tx.conn(), entry).await?;
    tx.log(Changed::Entry(&entry.id)).await?;
    Ok(CreateEntry::Created)
}

/// Deletes one entry within a transaction; its federations go with it.
pub(super) async fn delete(tx: &mut Transaction, id: &EntryId) -> Result<bool, StoreError> {
    let gone = sqlx::query("DELETE FROM entries WHERE entry_id = $1")
        .bind(id.as_str())
        .execute(tx.conn())
        .await?
        .rows_affected();
    if gone == 0 {
        return Ok(false);
    }
    tx.log(Changed::Entry(id)).await?;
    Ok(true)
}

/// The entries that federate with a trust domain.
pub(super) async fn federating_with(
    conn: &mut SqliteConnection,
    trust_domain: &TrustDomain,
) -> Result<Vec<EntryId>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT entry_id FROM entry_federations WHERE trust_domain = $1 ORDER BY entry_id",
    )
    .bind(trust_domain.as_str())
    .fetch_all(conn)
    .await?;
    ids.iter().map(|id| entry_id(id)).collect()
}

/// Ends the federation of one entry with a trust domain, which counts as an update of it.
pub(super) async fn dissociate(
    tx: &mut Transaction,
    id: &EntryId,
    trust_domain: &TrustDomain,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM entry_federations WHERE entry_id = $1 AND trust_domain = $2")
        .bind(id.as_str())
        .bind(trust_domain.as_str())
        .execute(tx.conn())
        .await?;
    sqlx::query("UPDATE entries SET revision = revision + 1 WHERE entry_id = $1")
        .bind(id.as_str())
        .execute(tx.conn())
        .await?;
    tx.log(Changed::Entry(id)).await
}

async fn update<E>(
    tx: &mut Transaction,
    id: &EntryId,
    edit: impl FnOnce(Entry) -> Result<Entry, E>,
) -> Result<UpdateEntry<E>, StoreError> {
    let rows = sqlx::query_as(select!("WHERE e.entry_id = $1"))
        .bind(id.as_str())
        .fetch_all(tx.conn())
        .await?;
    let Some(current) = fold(rows)?.pop() else {
        return Ok(UpdateEntry::NotFound);
    };
    let revision = current.revision.saturating_add(1);
    let mut next = match edit(current) {
        Ok(next) => next,
        Err(refusal) => return Ok(UpdateEntry::Refused(refusal)),
    };
    next.id = id.clone();
    next.revision = revision;
    if let Some(missing) = without_bundle(tx.conn(), &next.federates_with).await? {
        return Ok(UpdateEntry::NoBundle(missing));
    }
    let mut similar = similar_to(tx.conn(), &next).await?;
    similar.retain(|similar| similar.id != next.id);
    if let Some(similar) = similar.pop() {
        return Ok(UpdateEntry::Similar(Box::new(similar)));
    }
    overwrite(tx.conn(), &next).await?;
    sqlx::query("DELETE FROM entry_federations WHERE entry_id = $1")
        .bind(id.as_str())
        .execute(tx.conn())
        .await?;
    federate(tx.conn(), &next).await?;
    tx.log(Changed::Entry(id)).await?;
    Ok(UpdateEntry::Updated(Box::new(next)))
}

/// The stored entries with the same SPIFFE ID, parent and selectors; the entry itself is one.
async fn similar_to(conn: &mut SqliteConnection, entry: &Entry) -> Result<Vec<Entry>, StoreError> {
    let selectors = row::selectors_json(&entry.selectors);
    let rows = sqlx::query_as(select!("WHERE e.similarity = $1"))
        .bind(row::similarity(
            &entry.spiffe_id,
            &entry.parent_id,
            &selectors,
        ))
        .fetch_all(conn)
        .await?;
    fold(rows)
}

/// The first of these trust domains whose bundle is not stored.
async fn without_bundle(
    conn: &mut SqliteConnection,
    trust_domains: &[TrustDomain],
) -> Result<Option<TrustDomain>, StoreError> {
    for trust_domain in trust_domains {
        let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM bundles WHERE trust_domain = $1")
            .bind(trust_domain.as_str())
            .fetch_one(&mut *conn)
            .await?;
        if found == 0 {
            return Ok(Some(trust_domain.clone()));
        }
    }
    Ok(None)
}

/// False if the id is taken.
async fn insert(conn: &mut SqliteConnection, entry: &Entry) -> Result<bool, StoreError> {
    let insert = sqlx::query(
        "INSERT INTO entries (entry_id, spiffe_id, parent_id, selectors, similarity,
             x509_svid_ttl, jwt_svid_ttl, admin, downstream, store_svid,
             disable_x509_svid_prefetch, jwt_svid_include_jti, dns_names, hint, expires_at,
             revision, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (entry_id) DO NOTHING",
    );
    Ok(bind(insert, entry).execute(conn).await?.rows_affected() == 1)
}

async fn overwrite(conn: &mut SqliteConnection, entry: &Entry) -> Result<(), StoreError> {
    let update = sqlx::query(
        "UPDATE entries SET spiffe_id = $2, parent_id = $3, selectors = $4, similarity = $5,
             x509_svid_ttl = $6, jwt_svid_ttl = $7, admin = $8, downstream = $9,
             store_svid = $10, disable_x509_svid_prefetch = $11, jwt_svid_include_jti = $12,
             dns_names = $13, hint = $14, expires_at = $15, revision = $16, created_at = $17
         WHERE entry_id = $1",
    );
    bind(update, entry).execute(conn).await?;
    Ok(())
}

async fn federate(conn: &mut SqliteConnection, entry: &Entry) -> Result<(), StoreError> {
    let distinct: BTreeSet<_> = entry.federates_with.iter().collect();
    for trust_domain in distinct {
        sqlx::query("INSERT INTO entry_federations (entry_id, trust_domain) VALUES ($1, $2)")
            .bind(entry.id.as_str())
            .bind(trust_domain.as_str())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Entries deleted in one transaction when they expire.
const PRUNE: i64 = 500;
