//! Registration entries.

use std::{
    collections::{BTreeSet, HashSet},
    time::SystemTime,
};

use signet_identity::{
    TrustDomain,
    entry::{Entry, EntryId},
    unix,
};
use sqlx::QueryBuilder;

use super::{
    Store, Written,
    database::{self, Connection, listed},
    entry_row::{self, COLUMNS, bind, entry_id},
    error::StoreError,
    object::{self, Object as _},
    row,
    writer::Transaction,
};

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
    /// Stores new entries in one transaction. Each stands for itself: what became of it is
    /// found at its place in the answer.
    pub(crate) async fn create_entries(
        &self,
        entries: Vec<Entry>,
    ) -> Result<Written<Vec<CreateEntry>>, StoreError> {
        self.write(move |tx| Box::pin(async move { create(tx, &entries).await }))
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

    /// Deletes entries in one transaction; false stands in the place of one that was not there.
    pub(crate) async fn delete_entries(
        &self,
        ids: Vec<EntryId>,
    ) -> Result<Written<Vec<bool>>, StoreError> {
        self.write(move |tx| Box::pin(async move { delete(tx, &ids).await }))
            .await
    }

    /// Deletes the entries that expired at `now` or before, a bounded number at a time.
    pub(crate) async fn prune_expired_entries(
        &self,
        now: SystemTime,
    ) -> Result<Written<Vec<EntryId>>, StoreError> {
        let now = unix::seconds(now);
        self.write(move |tx| {
            Box::pin(async move {
                let ids: Vec<String> = sqlx::query_scalar(
                    "SELECT entry_id FROM entries WHERE expires_at <= $1 LIMIT $2",
                )
                .bind(now)
                .bind(PRUNE)
                .fetch_all(tx.conn())
                .await?;
                let ids: Vec<_> = ids
                    .iter()
                    .map(|id| entry_id(id))
                    .collect::<Result<_, _>>()?;
                delete(tx, &ids).await?;
                Ok(ids)
            })
        })
        .await
    }
}

/// Stores new entries within a transaction, by a few statements for all of them; agents get
/// their alias entry with this.
pub(super) async fn create(
    tx: &mut Transaction,
    entries: &[Entry],
) -> Result<Vec<CreateEntry>, StoreError> {
    let mut outcomes = Vec::with_capacity(entries.len());
    for entry in entries {
        let missing = without_bundle(tx.conn(), &entry.federates_with).await?;
        outcomes.push(missing.map_or(CreateEntry::Created, CreateEntry::NoBundle));
    }
    let storable: Vec<&Entry> = entries
        .iter()
        .zip(&outcomes)
        .filter_map(|(entry, outcome)| (*outcome == CreateEntry::Created).then_some(entry))
        .collect();
    let mut stored = insert(tx.conn(), &storable).await?;
    let mut created = Vec::with_capacity(stored.len());
    for (entry, outcome) in entries.iter().zip(&mut outcomes) {
        if *outcome != CreateEntry::Created {
            continue;
        }
        if stored.remove(&Stored::of(entry)) {
            federate(tx.conn(), entry).await?;
            created.push(&entry.id);
        } else {
            let similar = similar_to(tx.conn(), entry).await?.pop();
            let similar = similar.map(|similar| CreateEntry::Similar(Box::new(similar)));
            *outcome = similar.unwrap_or(CreateEntry::IdTaken);
        }
    }
    tx.log::<Entry>(&created).await?;
    Ok(outcomes)
}

/// Deletes entries within a transaction; their federations go with them.
pub(super) async fn delete(tx: &mut Transaction, ids: &[EntryId]) -> Result<Vec<bool>, StoreError> {
    let gone: Vec<String> = sqlx::query_scalar(concat!(
        "DELETE FROM entries WHERE entry_id IN ",
        listed!("$1"),
        " RETURNING entry_id"
    ))
    .bind(database::list(ids))
    .fetch_all(tx.conn())
    .await?;
    let mut gone: HashSet<&str> = gone.iter().map(String::as_str).collect();
    let outcomes: Vec<bool> = ids.iter().map(|id| gone.remove(id.as_str())).collect();
    let deleted = ids.iter().zip(&outcomes).filter(|(_, gone)| **gone);
    let deleted: Vec<&EntryId> = deleted.map(|(id, _)| id).collect();
    tx.log::<Entry>(&deleted).await?;
    Ok(outcomes)
}

/// The entries that federate with a trust domain.
pub(super) async fn federating_with(
    conn: &mut Connection,
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
    tx.log::<Entry>(&[id]).await
}

async fn update<E>(
    tx: &mut Transaction,
    id: &EntryId,
    edit: impl FnOnce(Entry) -> Result<Entry, E>,
) -> Result<UpdateEntry<E>, StoreError> {
    let Some(current) = object::find::<Entry>(tx.conn(), id).await? else {
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
    tx.log::<Entry>(&[id]).await?;
    Ok(UpdateEntry::Updated(Box::new(next)))
}

/// The stored entries with the same SPIFFE ID, parent and selectors; the entry itself is one.
async fn similar_to(conn: &mut Connection, entry: &Entry) -> Result<Vec<Entry>, StoreError> {
    let selectors = row::selectors_json(&entry.selectors);
    let rows = object::select::<Entry>("WHERE e.similarity = $1")
        .bind(row::similarity(
            &entry.spiffe_id,
            &entry.parent_id,
            &selectors,
        ))
        .fetch_all(conn)
        .await?;
    Entry::from_rows(rows)
}

/// The first of these trust domains whose bundle is not stored.
async fn without_bundle(
    conn: &mut Connection,
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

/// What tells the rows of a batch apart: two of them may have the same id, or be similar.
#[derive(PartialEq, Eq, Hash, sqlx::FromRow)]
struct Stored {
    entry_id: String,
    similarity: Vec<u8>,
}

impl Stored {
    fn of(entry: &Entry) -> Self {
        let selectors = row::selectors_json(&entry.selectors);
        Self {
            entry_id: entry.id.as_str().to_owned(),
            similarity: row::similarity(&entry.spiffe_id, &entry.parent_id, &selectors),
        }
    }
}

/// Answers with those that are new; the id of the others is taken, or they are similar to one
/// that stands.
async fn insert(conn: &mut Connection, entries: &[&Entry]) -> Result<HashSet<Stored>, StoreError> {
    let mut stored = HashSet::with_capacity(entries.len());
    for some in entries.chunks(ROWS) {
        let mut insert = QueryBuilder::new("INSERT INTO entries (");
        insert.push(COLUMNS).push(") ");
        insert.push_values(some, |mut row, entry| entry_row::push(&mut row, entry));
        insert.push(" ON CONFLICT DO NOTHING RETURNING entry_id, similarity");
        // Its text depends on the number of rows: not worth keeping prepared.
        let insert = insert.build_query_as().persistent(false);
        stored.extend(insert.fetch_all(&mut *conn).await?);
    }
    Ok(stored)
}

async fn overwrite(conn: &mut Connection, entry: &Entry) -> Result<(), StoreError> {
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

async fn federate(conn: &mut Connection, entry: &Entry) -> Result<(), StoreError> {
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

/// Rows of one statement: a database bounds its values, and parses its text.
const ROWS: usize = 100;
/// Entries deleted in one transaction when they expire.
const PRUNE: i64 = 500;
