//! Bundles: the trust domain's own, and those of the trust domains it federates with.

use std::time::Duration;

use prost::Message as _;
use signet_identity::{TrustDomain, bundle::Bundle, entry::EntryId};
use signet_proto::spire::api::types;
use sqlx::SqliteConnection;

use super::{
    Store, Written,
    changes::{ChangeId, Changed},
    entries,
    error::StoreError,
    row,
    writer::Transaction,
};

/// What happens to the entries that federate with a trust domain whose bundle is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeleteMode {
    /// While there are any, the bundle stays.
    Restrict,
    /// They are deleted too.
    Delete,
    /// They stay, without that federation.
    Dissociate,
}

/// What became of the deletion of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeleteBundle {
    /// It is gone.
    Deleted,
    /// There was none.
    NotFound,
    /// These entries hold it (`DeleteMode::Restrict`).
    InUse(Vec<EntryId>),
}

impl Store {
    /// Stores a bundle, whether or not there was one.
    pub(crate) async fn set_bundle(&self, bundle: Bundle) -> Result<Written<()>, StoreError> {
        self.write(move |tx| Box::pin(async move { put(tx, &bundle).await }))
            .await
    }

    /// Stores a bundle; false if the trust domain has one already.
    pub(crate) async fn create_bundle(&self, bundle: Bundle) -> Result<Written<bool>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if find(tx.conn(), &bundle.trust_domain).await?.is_some() {
                    return Ok(false);
                }
                put(tx, &bundle).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Reads the bundle, lets `edit` make the new form of it and stores that, in one
    /// transaction. `None` if there is no bundle. Nothing is written if nothing changes.
    pub(crate) async fn update_bundle(
        &self,
        trust_domain: TrustDomain,
        edit: impl FnOnce(&mut Bundle) + Send + 'static,
    ) -> Result<Written<Option<Bundle>>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(mut bundle) = find(tx.conn(), &trust_domain).await? else {
                    return Ok(None);
                };
                let before = bundle.clone();
                edit(&mut bundle);
                if bundle != before {
                    put(tx, &bundle).await?;
                }
                Ok(Some(bundle))
            })
        })
        .await
    }

    /// Like `update_bundle` for the own bundle, of which this server is the author: an empty
    /// one is made if there is none, each change counts its sequence number up, and it says how
    /// often to look for the next.
    pub(crate) async fn amend_bundle(
        &self,
        trust_domain: TrustDomain,
        edit: impl FnOnce(&mut Bundle) + Send + 'static,
    ) -> Result<Written<Bundle>, StoreError> {
        self.write(move |tx| Box::pin(async move { amend(tx, trust_domain, edit).await }))
            .await
    }

    /// Deletes a bundle, and does to the entries that need it what `mode` says, at once.
    pub(crate) async fn delete_bundle(
        &self,
        trust_domain: TrustDomain,
        mode: DeleteMode,
    ) -> Result<Written<DeleteBundle>, StoreError> {
        self.write(move |tx| Box::pin(async move { delete(tx, &trust_domain, mode).await }))
            .await
    }
}

/// All bundles.
pub(super) async fn load(conn: &mut SqliteConnection) -> Result<Vec<Bundle>, StoreError> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT trust_domain, document FROM bundles ORDER BY trust_domain")
            .fetch_all(conn)
            .await?;
    rows.iter()
        .map(|(key, document)| decode(key, document))
        .collect()
}

/// The bundles that a stretch of the change log names, as they are now.
pub(super) async fn load_changed(
    conn: &mut SqliteConnection,
    since: ChangeId,
    upto: ChangeId,
) -> Result<Vec<Bundle>, StoreError> {
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT trust_domain, document FROM bundles
         WHERE trust_domain IN (SELECT key FROM changes
             WHERE change_id > $1 AND change_id <= $2 AND kind = 'bundle')",
    )
    .bind(since.0)
    .bind(upto.0)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|(key, document)| decode(key, document))
        .collect()
}

/// `Store::amend_bundle` within a transaction.
pub(super) async fn amend(
    tx: &mut Transaction,
    trust_domain: TrustDomain,
    edit: impl FnOnce(&mut Bundle),
) -> Result<Bundle, StoreError> {
    let before = match find(tx.conn(), &trust_domain).await? {
        Some(bundle) => bundle,
        None => Bundle {
            trust_domain,
            x509_authorities: Vec::new(),
            jwt_authorities: Vec::new(),
            refresh_hint: None,
            sequence: 0,
        },
    };
    let mut bundle = before.clone();
    edit(&mut bundle);
    if bundle != before {
        // SPIFFE bundle §4.1.2: a publisher says so.
        bundle.refresh_hint.get_or_insert(REFRESH_HINT);
        bundle.sequence = before.sequence.saturating_add(1);
        put(tx, &bundle).await?;
    }
    Ok(bundle)
}

async fn delete(
    tx: &mut Transaction,
    trust_domain: &TrustDomain,
    mode: DeleteMode,
) -> Result<DeleteBundle, StoreError> {
    let users = entries::federating_with(tx.conn(), trust_domain).await?;
    match mode {
        DeleteMode::Restrict if users.is_empty() => {}
        DeleteMode::Restrict => return Ok(DeleteBundle::InUse(users)),
        DeleteMode::Delete => {
            entries::delete(tx, &users).await?;
        }
        DeleteMode::Dissociate => {
            for id in &users {
                entries::dissociate(tx, id, trust_domain).await?;
            }
        }
    }
    let gone = sqlx::query("DELETE FROM bundles WHERE trust_domain = $1")
        .bind(trust_domain.as_str())
        .execute(tx.conn())
        .await?
        .rows_affected();
    if gone == 0 {
        return Ok(DeleteBundle::NotFound);
    }
    tx.log(Changed::Bundle(trust_domain)).await?;
    Ok(DeleteBundle::Deleted)
}

async fn find(
    conn: &mut SqliteConnection,
    trust_domain: &TrustDomain,
) -> Result<Option<Bundle>, StoreError> {
    let document: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT document FROM bundles WHERE trust_domain = $1")
            .bind(trust_domain.as_str())
            .fetch_optional(conn)
            .await?;
    document
        .map(|document| decode(trust_domain.as_str(), &document))
        .transpose()
}

async fn put(tx: &mut Transaction, bundle: &Bundle) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO bundles (trust_domain, document) VALUES ($1, $2)
         ON CONFLICT (trust_domain) DO UPDATE SET document = excluded.document",
    )
    .bind(bundle.trust_domain.as_str())
    .bind(bundle.to_proto(None).encode_to_vec())
    .execute(tx.conn())
    .await?;
    tx.log(Changed::Bundle(&bundle.trust_domain)).await
}

fn decode(key: &str, document: &[u8]) -> Result<Bundle, StoreError> {
    let message =
        types::Bundle::decode(document).map_err(|error| row::unreadable("bundles", key, error))?;
    Bundle::from_proto(&message).map_err(|error| row::unreadable("bundles", key, error))
}

/// How often others look for a new form of the own bundle; SPIRE's default.
const REFRESH_HINT: Duration = Duration::from_secs(5 * 60);
