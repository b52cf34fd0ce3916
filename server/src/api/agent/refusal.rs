//! How refusals of the CA, of attestation and of the rate limits look on the wire.
//!
//! What the caller did wrong is told; what went wrong here is logged, and told as `internal`.

use signet_identity::csr::CsrError;
use tonic::Status;

use crate::{
    api::{
        caller::TooMany,
        status::{internal, invalid},
    },
    attest::{AttestError, PopError, TokenError},
    ca::{IssueError, X509Error},
};

impl From<TooMany> for Status {
    fn from(refused: TooMany) -> Self {
        Self::resource_exhausted(refused.to_string())
    }
}

/// A CSR that cannot be used is its sender's fault.
pub(in crate::api) fn bad_csr(refused: CsrError) -> Status {
    invalid(format!("malformed CSR: {refused}"))
}

impl From<TokenError> for Status {
    fn from(refused: TokenError) -> Self {
        invalid(refused.to_string())
    }
}

impl From<PopError> for Status {
    fn from(refused: PopError) -> Self {
        match refused {
            PopError::Malformed(_) => invalid(refused.to_string()),
            PopError::Unsuitable(_) | PopError::Untrusted(_) | PopError::Proof => {
                Self::permission_denied(format!("failed to attest: {refused}"))
            }
            PopError::Selector(_) | PopError::Nonce(_) => {
                internal("the node cannot be attested", &refused)
            }
        }
    }
}

impl From<AttestError> for Status {
    fn from(refused: AttestError) -> Self {
        match refused {
            AttestError::UnknownType(_) => Self::failed_precondition(refused.to_string()),
            AttestError::Token(error) => error.into(),
            AttestError::Pop(error) => error.into(),
            AttestError::Id(_) => invalid(refused.to_string()),
            AttestError::Store(error) => error.into(),
        }
    }
}

impl From<IssueError> for Status {
    fn from(refused: IssueError) -> Self {
        match refused {
            IssueError::NotReady => Self::unavailable(refused.to_string()),
            IssueError::X509(X509Error::PublicKey | X509Error::DnsName(_) | X509Error::Subject) => {
                invalid(refused.to_string())
            }
            IssueError::X509(
                X509Error::Authority(_) | X509Error::NoLifetime | X509Error::Key(_),
            )
            | IssueError::Jwt(_)
            | IssueError::Interrupted => internal("nothing can be signed", &refused),
        }
    }
}
