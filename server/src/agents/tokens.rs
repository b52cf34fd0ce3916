//! Join tokens: made by an administrator, used once by an agent.

use std::time::{Duration, SystemTime};

use signet_identity::{SpiffeId, unix};
use tracing::info;
use uuid::Uuid;

use super::Agents;
use crate::{
    attest::id_of_token,
    store::{JoinToken, StoreError, TokenHash},
};

/// What is asked of a new token.
pub(crate) struct NewToken {
    /// The token itself, if it is not to be random.
    pub(crate) value: Option<String>,
    /// How long it admits.
    pub(crate) ttl: Duration,
    /// The SPIFFE ID that the agent which uses it also gets.
    pub(crate) alias: Option<SpiffeId>,
}

/// A token as its maker sees it, once.
pub(crate) struct Token {
    pub(crate) value: String,
    pub(crate) expires_at: SystemTime,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateTokenError {
    /// It becomes a part of the agent's SPIFFE ID, and cannot.
    #[error("the token cannot be part of a SPIFFE ID; use letters, digits, '-', '_' and '.'")]
    Unusable,
    /// Its end is beyond all time.
    #[error("ttl is too large")]
    Endless,
    /// There is one with this value.
    #[error("token already exists")]
    Exists,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Agents {
    /// Makes a join token.
    pub(crate) async fn create_token(
        &self,
        new: NewToken,
        now: SystemTime,
    ) -> Result<Token, CreateTokenError> {
        let value = new.value.unwrap_or_else(|| Uuid::new_v4().to_string());
        let trust_domain = self.directory.trust_domain();
        if value.contains('/') || id_of_token(&value, trust_domain).is_err() {
            return Err(CreateTokenError::Unusable);
        }
        let expires_at = now.checked_add(new.ttl).ok_or(CreateTokenError::Endless)?;
        let token = JoinToken {
            expires_at,
            alias: new.alias,
        };
        let hash = TokenHash::of(&value);
        if !self.store.create_join_token(hash, token).await? {
            return Err(CreateTokenError::Exists);
        }
        info!(
            expires_at = unix::seconds(expires_at),
            "created a join token"
        );
        Ok(Token { value, expires_at })
    }
}
