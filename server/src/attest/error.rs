//! Why a node is not attested, by whose fault: what the agent sent, who it is, or ours.

use signet_identity::{id::IdError, key::KeyError, selector::SelectorError, trust::VerifyError};

use crate::store::StoreError;

/// Why a node was not attested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    /// The attestor is not configured.
    #[error("no node attestor {0:?} is configured on this server")]
    UnknownType(String),
    /// What the agent sent cannot be used.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The evidence is understood and not good enough.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The server cannot attest the node.
    #[error(transparent)]
    Ours(#[from] Ours),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the agent sent cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// The token is no good; for SPIRE this is an invalid argument, whatever the reason.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The evidence or the answer of x509pop cannot be read.
    #[error("the x509pop {0} is malformed")]
    Pop(&'static str),
    /// The evidence would make an id that is none.
    #[error("the evidence does not make a valid agent ID")]
    Id(#[source] IdError),
}

/// Why a join token does not admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It cannot be a token at all.
    #[error("the join token is empty or is not text")]
    Malformed,
    /// Nobody made it, or it admitted an agent already. These two look the same on purpose.
    #[error("failed to attest: join token does not exist or has already been used")]
    UnknownOrUsed,
    /// Its time is over.
    #[error("join token expired")]
    Expired,
}

/// The evidence is understood and not good enough.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The leaf cannot be used for a proof of possession.
    #[error("the node's certificate cannot be used: {0}")]
    Unsuitable(&'static str),
    /// The chain does not lead to a configured CA.
    #[error("certificate verification failed: {0}")]
    Untrusted(#[source] VerifyError),
    /// The agent does not have the key.
    #[error("challenge response verification failed")]
    Proof,
}

/// The server cannot attest the node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ours {
    /// A name in the certificate does not make a selector.
    #[error("the node's certificate makes no valid selector")]
    Selector(#[from] SelectorError),
    /// There is no randomness for a nonce.
    #[error("no challenge can be made")]
    Nonce(#[from] KeyError),
    /// The challenge cannot be written.
    #[error("the challenge cannot be written")]
    Challenge(#[from] serde_json::Error),
}

impl From<TokenError> for AttestError {
    fn from(error: TokenError) -> Self {
        Malformed::from(error).into()
    }
}
