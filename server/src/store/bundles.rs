//! Bundles: the trust domain's own, and those of the trust domains it federates with.

use std::time::Duration;

use prost::Message as _;
use signet_identity::{TrustDomain, bundle::Bundle, entry::EntryId};
use signet_proto::spire::api::types;

use super::{
    Store, Written, entries,
    error::StoreError,
    object::{self, Object},
    row::Row,
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
                if object::find::<Bundle>(tx.conn(), &bundle.trust_domain)
                    .await?
                    .is_some()
                {
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
                let Some(mut bundle) = object::find::<Bundle>(tx.conn(), &trust_domain).await?
                else {
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

/// `Store::amend_bundle` within a transaction.
pub(super) async fn amend(
    tx: &mut Transaction,
    trust_domain: TrustDomain,
    edit: impl FnOnce(&mut Bundle),
) -> Result<Bundle, StoreError> {
    let before = match object::find(tx.conn(), &trust_domain).await? {
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
    tx.log::<Bundle>(&[trust_domain]).await?;
    Ok(DeleteBundle::Deleted)
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
    tx.log::<Bundle>(&[&bundle.trust_domain]).await
}

impl Object for Bundle {
    type Key = TrustDomain;
    type Row = BundleRow;

    const KIND: &'static str = "bundle";
    const ROWS: &'static str = "SELECT trust_domain, document FROM bundles";
    const KEY: &'static str = "trust_domain";

    fn key(&self) -> &TrustDomain {
        &self.trust_domain
    }

    fn from_rows(rows: Vec<BundleRow>) -> Result<Vec<Self>, StoreError> {
        rows.into_iter().map(BundleRow::bundle).collect()
    }
}

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct BundleRow {
    trust_domain: String,
    document: Vec<u8>,
}

impl BundleRow {
    fn bundle(self) -> Result<Bundle, StoreError> {
        let at = Row {
            table: "bundles",
            key: &self.trust_domain,
        };
        let message = types::Bundle::decode(&self.document[..]).map_err(|error| at.bad(error))?;
        Bundle::from_proto(&message).map_err(|error| at.bad(error))
    }
}

/// How often others look for a new form of the own bundle; SPIRE's default.
const REFRESH_HINT: Duration = Duration::from_secs(5 * 60);
