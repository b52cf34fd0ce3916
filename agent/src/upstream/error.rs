//! What can go wrong when the agent calls the server, by what the agent does about it.

use std::error::Error;

use prost::Message as _;
use signet_proto::{
    google::rpc,
    spire::api::types::{PermissionDeniedDetails, permission_denied_details},
};
use tonic::{Code, Status};

/// A call to the server that brought nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server does not take this agent's SVID.
    #[error("the server refuses this agent: {reason}")]
    Refused {
        /// Why, as the server states it.
        reason: Reason,
    },
    /// What was asked for does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// The server finds the request wrong.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// The server does not have this call.
    #[error("not implemented by the server: {0}")]
    Unimplemented(String),
    /// The answer makes no sense.
    #[error("unusable answer: {0}")]
    Answer(String),
    /// Everything else: network, time, faults of the server.
    #[error("{0}")]
    Failed(String),
}

/// Why a server refuses an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The agent's SVID has expired.
    Expired,
    /// The server does not know the agent.
    NotAttested,
    /// The SVID is not the agent's current one.
    NotActive,
    /// An administrator banned the agent.
    Banned,
    /// The agent must attest again instead of renewing.
    MustReattest,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Expired => "its SVID has expired",
            Self::NotAttested => "it is not attested",
            Self::NotActive => "its SVID is not the current one",
            Self::Banned => "it is banned",
            Self::MustReattest => "it must attest again",
        })
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let message = explain(&status);
        match status.code() {
            Code::PermissionDenied => match reason(&status) {
                Some(reason) => Self::Refused { reason },
                None => Self::Failed(message),
            },
            Code::NotFound => Self::NotFound(message),
            Code::InvalidArgument => Self::Invalid(message),
            Code::Unimplemented => Self::Unimplemented(message),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => Self::Failed(message),
        }
    }
}

/// The reason in the `grpc-status-details-bin` trailer, if there is one.
fn reason(status: &Status) -> Option<Reason> {
    use permission_denied_details::Reason as Wire;
    let details = rpc::Status::decode(status.details()).ok()?;
    let packed = details.details.iter().find(|any| {
        any.type_url
            .ends_with("/spire.api.types.PermissionDeniedDetails")
    })?;
    let details = PermissionDeniedDetails::decode(packed.value.as_slice()).ok()?;
    match Wire::try_from(details.reason).ok()? {
        Wire::Unknown => None,
        Wire::AgentExpired => Some(Reason::Expired),
        Wire::AgentNotAttested => Some(Reason::NotAttested),
        Wire::AgentNotActive => Some(Reason::NotActive),
        Wire::AgentBanned => Some(Reason::Banned),
        Wire::AgentMustReattest => Some(Reason::MustReattest),
    }
}

/// The status with what lies under it: a refused TLS handshake hides in the sources.
fn explain(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut source = status.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use prost_types::Any;

    use super::*;

    fn denied(type_url: &str, reason: permission_denied_details::Reason) -> Status {
        let details = PermissionDeniedDetails {
            reason: reason.into(),
        };
        let any = Any {
            type_url: type_url.to_owned(),
            value: details.encode_to_vec(),
        };
        let packed = rpc::Status {
            code: Code::PermissionDenied.into(),
            message: "denied".to_owned(),
            details: vec![any],
        };
        Status::with_details(
            Code::PermissionDenied,
            "denied",
            packed.encode_to_vec().into(),
        )
    }

    const URL: &str = "type.googleapis.com/spire.api.types.PermissionDeniedDetails";

    #[test]
    fn a_ban_is_known_by_its_detail() {
        let error = CallError::from(denied(URL, permission_denied_details::Reason::AgentBanned));
        assert!(matches!(
            error,
            CallError::Refused {
                reason: Reason::Banned
            }
        ));
    }

    #[test]
    fn a_refusal_without_detail_is_an_ordinary_error() {
        let error = CallError::from(Status::permission_denied("agent is banned"));
        assert!(matches!(error, CallError::Failed(_)), "{error}");
        let error = CallError::from(denied(
            "type.googleapis.com/other.Details",
            permission_denied_details::Reason::AgentBanned,
        ));
        assert!(matches!(error, CallError::Failed(_)), "{error}");
    }

    #[test]
    fn garbage_in_the_details_is_an_ordinary_error() {
        let status = Status::with_details(
            Code::PermissionDenied,
            "denied",
            vec![0xff, 0xff, 0xff].into(),
        );
        assert!(matches!(CallError::from(status), CallError::Failed(_)));
    }
}
