//! Join tokens. Only their hashes are stored: who reads the database cannot join with them.

use std::time::SystemTime;

use signet_identity::{SpiffeId, crypto, unix};

use super::{Store, error::StoreError, row::Row, writer::Transaction};

/// What is kept of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenHash([u8; 32]);

/// A token that can still be used, or has expired and not been pruned yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinToken {
    /// When it ends.
    pub(crate) expires_at: SystemTime,
    /// The SPIFFE ID that the agent which uses it also gets.
    pub(crate) alias: Option<SpiffeId>,
}

impl TokenHash {
    /// The hash of a token as the operator sees it.
    pub(crate) fn of(token: &str) -> Self {
        Self(crypto::sha256(token.as_bytes()))
    }
}

impl Store {
    /// Stores a new token; false if there is one with this value already.
    pub(crate) async fn create_join_token(
        &self,
        hash: TokenHash,
        token: JoinToken,
    ) -> Result<bool, StoreError> {
        self.write_unlogged(move |conn| {
            Box::pin(async move {
                let inserted = sqlx::query(
                    "INSERT INTO join_tokens (token_hash, expires_at, alias)
                     VALUES ($1, $2, $3) ON CONFLICT (token_hash) DO NOTHING",
                )
                .bind(hash.0.to_vec())
                .bind(unix::seconds(token.expires_at))
                .bind(token.alias.map(|alias| alias.to_string()))
                .execute(conn)
                .await?;
                Ok(inserted.rows_affected() == 1)
            })
        })
        .await
    }

    /// Looks at a token without using it up: `Attestation` does that.
    pub(crate) async fn join_token(
        &self,
        hash: TokenHash,
    ) -> Result<Option<JoinToken>, StoreError> {
        let found: Option<(i64, Option<String>)> =
            sqlx::query_as("SELECT expires_at, alias FROM join_tokens WHERE token_hash = $1")
                .bind(hash.0.to_vec())
                .fetch_optional(self.read())
                .await?;
        let Some((expires_at, alias)) = found else {
            return Ok(None);
        };
        let at = Row {
            table: "join_tokens",
            key: "(hashed)",
        };
        Ok(Some(JoinToken {
            expires_at: at.time(expires_at)?,
            alias: alias.map(|alias| at.spiffe_id(&alias)).transpose()?,
        }))
    }

    /// Deletes the tokens that expired before `now`.
    pub(crate) async fn prune_join_tokens(&self, now: SystemTime) -> Result<u64, StoreError> {
        let now = unix::seconds(now);
        self.write_unlogged(move |conn| {
            Box::pin(async move {
                let gone = sqlx::query("DELETE FROM join_tokens WHERE expires_at < $1")
                    .bind(now)
                    .execute(conn)
                    .await?;
                Ok(gone.rows_affected())
            })
        })
        .await
    }
}

/// Uses a token up within a transaction; false if it is unknown, used or expired.
pub(super) async fn consume(
    tx: &mut Transaction,
    hash: &TokenHash,
    now: SystemTime,
) -> Result<bool, StoreError> {
    let used = sqlx::query("DELETE FROM join_tokens WHERE token_hash = $1 AND expires_at > $2")
        .bind(hash.0.to_vec())
        .bind(unix::seconds(now))
        .execute(tx.conn())
        .await?;
    Ok(used.rows_affected() == 1)
}
