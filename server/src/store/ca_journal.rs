//! What each server remembers of its own authorities: bytes that only `ca` reads.

use signet_identity::{TrustDomain, bundle::Bundle};

use super::{Store, Written, bundles, database::Connection, error::StoreError};

/// A new state of one server's authorities.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// Names the active set of authorities, by which the server finds its journal again.
    pub(crate) authority_set: String,
    /// The name under which it stood before, if that has changed.
    pub(crate) replaces: Option<String>,
    /// The journal itself.
    pub(crate) document: Vec<u8>,
}

impl Store {
    /// All journals, by authority set: of this server, and of others on the same database.
    pub(crate) async fn ca_journals(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let journals = sqlx::query_as(
            "SELECT authority_set, document FROM ca_journals ORDER BY authority_set",
        )
        .fetch_all(self.read())
        .await?;
        Ok(journals)
    }

    /// Stores a journal.
    pub(crate) async fn save_ca_journal(&self, journal: Journal) -> Result<(), StoreError> {
        self.write_unlogged(move |conn| Box::pin(async move { save(conn, &journal).await }))
            .await
    }

    /// Stores a journal and amends the own bundle (see `amend_bundle`) in one transaction, so
    /// that no authority exists which the bundle does not know.
    pub(crate) async fn save_authority(
        &self,
        journal: Journal,
        trust_domain: TrustDomain,
        edit: impl FnOnce(&mut Bundle) + Send + 'static,
    ) -> Result<Written<Bundle>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                save(tx.conn(), &journal).await?;
                bundles::amend(tx, trust_domain, edit).await
            })
        })
        .await
    }

    /// Forgets the journal of a server that is gone for good; false if there is none.
    pub(crate) async fn delete_ca_journal(
        &self,
        authority_set: String,
    ) -> Result<bool, StoreError> {
        self.write_unlogged(move |conn| Box::pin(async move { delete(conn, &authority_set).await }))
            .await
    }
}

async fn save(conn: &mut Connection, journal: &Journal) -> Result<(), StoreError> {
    if let Some(replaced) = &journal.replaces {
        delete(conn, replaced).await?;
    }
    sqlx::query(
        "INSERT INTO ca_journals (authority_set, document) VALUES ($1, $2)
         ON CONFLICT (authority_set) DO UPDATE SET document = excluded.document",
    )
    .bind(&journal.authority_set)
    .bind(&journal.document)
    .execute(conn)
    .await?;
    Ok(())
}

async fn delete(conn: &mut Connection, authority_set: &str) -> Result<bool, StoreError> {
    let gone = sqlx::query("DELETE FROM ca_journals WHERE authority_set = $1")
        .bind(authority_set)
        .execute(conn)
        .await?;
    Ok(gone.rows_affected() == 1)
}
