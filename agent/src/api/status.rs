//! The one place where the Workload API's errors become gRPC codes.
//!
//! The codes matter: to a client `PermissionDenied` means "drop what you hold", `Unavailable`
//! means "keep it and come again", `InvalidArgument` means "do not come again" (SPIFFE Workload
//! Endpoint §6).

use signet_daemon::log::LevelError;
use signet_identity::{id::IdError, jwt, selector::SelectorError, x509::ProfileError};
use tonic::Status;

use crate::{cache, upstream::CallError, workload::AttestError};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The connection brought no peer; only a socket of ours carries calls.
    #[error("the connection does not say who its peer is")]
    NoPeer,
    /// The caller could not be attested.
    #[error(transparent)]
    NotAttested(#[from] AttestError),
    /// No entry matches the caller.
    #[error("no identity issued")]
    NoIdentity,
    /// The caller has identities, but none that may act for other workloads.
    #[error("caller not configured as an authorized delegate")]
    NotADelegate,
    /// A delegate's request that does not say whom it is about.
    #[error("{0}")]
    Whom(&'static str),
    /// Selectors that are none.
    #[error("requested selectors are invalid: {0}")]
    BadSelectors(#[source] SelectorError),
    /// The process that a delegate names could not be attested.
    #[error("the process cannot be attested: {0}")]
    NoSuchWorkload(#[source] AttestError),
    /// An entry matches, but its SVID is not signed yet.
    #[error("the SVID is not signed yet; the agent keeps asking its server")]
    NotSigned,
    /// A mandatory field has its default value.
    #[error("{0} must be specified")]
    Missing(&'static str),
    /// A SPIFFE ID that is none.
    #[error("requested SPIFFE ID is invalid: {0}")]
    BadId(#[source] IdError),
    /// No JWT-SVID to be had.
    #[error(transparent)]
    NoToken(#[from] cache::JwtError),
    /// A JWT-SVID that is not valid.
    #[error("{0}")]
    BadToken(#[from] jwt::JwtError),
    /// This user has all the streams it may have.
    #[error("too many streams are open for this user")]
    TooManyStreams,
    /// An answer took too long.
    #[error("the server did not answer in time")]
    Late,
    /// The agent ends.
    #[error("the agent is shutting down")]
    Stopping,
    /// The log level was not told or changed.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// The agent's own certificates, which were good when they came.
    #[error("the agent's SVID cannot be read: {0}")]
    OwnSvid(#[source] ProfileError),
    /// An incubating profile that is switched off.
    #[error("the WIT profile is not supported")]
    NoWit,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::NoIdentity | Refusal::NotADelegate => Self::permission_denied(message),
            Refusal::NoSuchWorkload(_) => Self::not_found(message),
            Refusal::NoPeer => Self::unauthenticated(message),
            Refusal::NotAttested(error) => not_attested(&error),
            Refusal::Missing(_)
            | Refusal::BadId(_)
            | Refusal::BadToken(_)
            | Refusal::Level(LevelError::Unspecified | LevelError::Unknown(_))
            | Refusal::Whom(_)
            | Refusal::BadSelectors(_) => Self::invalid_argument(message),
            Refusal::NoToken(error) => no_token(&error),
            Refusal::NotSigned | Refusal::TooManyStreams | Refusal::Late | Refusal::Stopping => {
                Self::unavailable(message)
            }
            Refusal::Level(LevelError::NoLog) => Self::failed_precondition(message),
            Refusal::OwnSvid(_) => Self::internal(message),
            Refusal::NoWit => Self::unimplemented(message),
        }
    }
}

fn not_attested(error: &AttestError) -> Status {
    match error {
        AttestError::Invisible
        | AttestError::Gone
        | AttestError::Changed(_)
        | AttestError::PathNotText(_)
        | AttestError::TooLarge { .. }
        | AttestError::Selector(_) => Status::unauthenticated(error.to_string()),
        // The agent's own trouble: what exactly is in its log, and the caller may try again.
        AttestError::Unreadable { .. }
        | AttestError::Executable(_)
        | AttestError::Names { .. }
        | AttestError::NoHash
        | AttestError::Late
        | AttestError::BrokenOff => {
            Status::unavailable("workload attestation failed; the agent's log says why")
        }
    }
}

fn no_token(error: &cache::JwtError) -> Status {
    match error {
        cache::JwtError::NotAuthorized(_) => Refusal::NoIdentity.into(),
        cache::JwtError::Refused(_) => Status::invalid_argument(error.to_string()),
        // A decision of the server's operator, and the same for everybody.
        cache::JwtError::Unavailable(CallError::Unimplemented(message)) => {
            Status::unavailable(format!("could not fetch JWT-SVID: {message}"))
        }
        cache::JwtError::Unavailable(_) => {
            Status::unavailable("could not fetch JWT-SVID; the agent's log says why")
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn who_cannot_be_attested_is_not_told_to_drop_its_identity() {
        let code = |error| Status::from(Refusal::NotAttested(error)).code();
        assert_eq!(code(AttestError::Gone), Code::Unauthenticated);
        assert_eq!(code(AttestError::Late), Code::Unavailable);
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(code(AttestError::Executable(denied)), Code::Unavailable);
    }

    #[test]
    fn the_agents_own_trouble_is_not_described_to_callers() {
        let error = AttestError::Unreadable {
            path: "/proc/1/exe".to_owned(),
            source: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
        };
        let status = Status::from(Refusal::NotAttested(error));
        assert!(!status.message().contains("/proc"));
    }

    #[test]
    fn a_server_that_signs_no_tokens_is_told_of_as_spires_agent_does_and_others_faults_are_not() {
        let status = |error| Status::from(Refusal::NoToken(cache::JwtError::Unavailable(error)));
        let disabled = "Unimplemented: JWT functionality is disabled".to_owned();
        let status_of_disabled = status(CallError::Unimplemented(disabled));
        assert_eq!(status_of_disabled.code(), Code::Unavailable);
        assert_eq!(
            status_of_disabled.message(),
            "could not fetch JWT-SVID: Unimplemented: JWT functionality is disabled"
        );
        let failed = status(CallError::Failed("10.0.0.7 is gone".to_owned()));
        assert_eq!(failed.code(), Code::Unavailable);
        assert!(!failed.message().contains("10.0.0.7"), "{failed}");
    }

    #[test]
    fn no_identity_has_the_words_that_clients_know() {
        let status = Status::from(Refusal::NoIdentity);
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(status.message(), "no identity issued");
    }
}
