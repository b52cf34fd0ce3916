//! The one door from errors to gRPC. What the caller did wrong goes out as it is; what went
//! wrong on our side is logged, and goes out as no more than that.

use std::error::Error;

use prost::Message as _;
use signet_daemon::log::LevelError;
use signet_identity::csr::CsrError;
use signet_proto::{
    google::rpc,
    spire::api::types::{self, PermissionDeniedDetails, permission_denied_details::Reason},
};
use tonic::{Code, Status};

use super::limit::TooMany;
use crate::{
    agents::{AdmitError, AgentsError, CreateTokenError, RenewError},
    attest::AttestError,
    bundles::BundlesError,
    ca::{IssueError, X509Error},
    registration::{CreateError, UpdateError},
    share::HasItsShare,
    store::StoreError,
};

/// The caller sent something that cannot be used.
pub(crate) fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

/// The caller sent a CSR that cannot be used.
pub(crate) fn bad_csr(error: CsrError) -> Status {
    invalid(format!("malformed CSR: {error}"))
}

/// The log level was not told or changed.
pub(super) fn level(error: LevelError) -> Status {
    match error {
        LevelError::NoLog => Status::failed_precondition(error.to_string()),
        LevelError::Unspecified | LevelError::Unknown(_) => invalid(error.to_string()),
    }
}

/// Something failed on our side: `what` for the log and the caller, `error` for the log alone.
pub(crate) fn internal(what: &'static str, error: &(dyn Error + 'static)) -> Status {
    tracing::error!(error, "{what}");
    Status::internal(format!("{what}; the server's log has the reason"))
}

/// PermissionDenied, with the reason where an agent looks for it: a `google.rpc.Status` in the
/// `grpc-status-details-bin` trailer.
pub(crate) fn permission_denied(message: String, reason: Option<Reason>) -> Status {
    let Some(reason) = reason else {
        return Status::permission_denied(message);
    };
    let details = PermissionDeniedDetails {
        reason: reason.into(),
    };
    let status = rpc::Status {
        code: Code::PermissionDenied.into(),
        message: message.clone(),
        details: vec![prost_types::Any {
            type_url: DETAILS_TYPE.to_owned(),
            value: details.encode_to_vec(),
        }],
    };
    Status::with_details(
        Code::PermissionDenied,
        message,
        status.encode_to_vec().into(),
    )
}

/// The status of one item of a batch that went well.
pub(crate) fn item_ok() -> types::Status {
    types::Status {
        code: Code::Ok.into(),
        message: "OK".to_owned(),
    }
}

/// The status of one item of a batch that did not.
pub(crate) fn item(status: &Status) -> types::Status {
    types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::unavailable(error.to_string()),
            StoreError::Closed => Self::unavailable("the server is stopping"),
            StoreError::DiskFull
            | StoreError::ReadOnly
            | StoreError::Locked
            | StoreError::Corrupt(_)
            | StoreError::Open { .. }
            | StoreError::Unreadable { .. }
            | StoreError::Database(_) => {
                internal("the database does not answer as it should", &error)
            }
        }
    }
}

impl From<CreateError> for Status {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Similar(_) | CreateError::IdTaken(_) => {
                Self::already_exists(error.to_string())
            }
            CreateError::NoBundle(_) => invalid(format!("failed to create entry: {error}")),
            CreateError::Id(_) => internal("no entry ID could be made", &error),
            CreateError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateError> for Status {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::NotFound => Self::not_found(error.to_string()),
            UpdateError::Similar(_) => Self::already_exists(error.to_string()),
            UpdateError::NoBundle(_) => invalid(format!("failed to update entry: {error}")),
            UpdateError::Invalid(_) => invalid(error.to_string()),
            UpdateError::Store(error) => error.into(),
        }
    }
}

impl From<BundlesError> for Status {
    fn from(error: BundlesError) -> Self {
        match error {
            BundlesError::Own(_) => invalid(error.to_string()),
            BundlesError::NotFound => Self::not_found(error.to_string()),
            BundlesError::Exists => Self::already_exists(error.to_string()),
            BundlesError::InUse(_) => Self::failed_precondition(error.to_string()),
            BundlesError::Store(error) => error.into(),
        }
    }
}

impl From<TooMany> for Status {
    fn from(error: TooMany) -> Self {
        Self::resource_exhausted(error.to_string())
    }
}

impl From<HasItsShare> for Status {
    fn from(error: HasItsShare) -> Self {
        Self::resource_exhausted(error.to_string())
    }
}

impl From<AttestError> for Status {
    fn from(error: AttestError) -> Self {
        match error {
            AttestError::UnknownType(_) => Self::failed_precondition(error.to_string()),
            AttestError::Malformed(error) => invalid(error.to_string()),
            AttestError::Refused(error) => {
                permission_denied(format!("failed to attest: {error}"), None)
            }
            AttestError::Ours(error) => internal("the node cannot be attested", &error),
            AttestError::Store(error) => error.into(),
        }
    }
}

impl From<AdmitError> for Status {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Banned => permission_denied(format!("failed to attest: {error}"), None),
            AdmitError::Token(error) => AttestError::from(error).into(),
            AdmitError::Selector(_) | AdmitError::EntryId(_) => {
                internal("the entry of the agent's alias cannot be made", &error)
            }
            AdmitError::Issue(error) => error.into(),
            AdmitError::Store(error) => error.into(),
        }
    }
}

impl From<RenewError> for Status {
    fn from(error: RenewError) -> Self {
        match error {
            RenewError::NotAttested => {
                permission_denied(error.to_string(), Some(Reason::AgentNotAttested))
            }
            RenewError::MustReattest => {
                permission_denied(error.to_string(), Some(Reason::AgentMustReattest))
            }
            RenewError::Issue(error) => error.into(),
            RenewError::Store(error) => error.into(),
        }
    }
}

impl From<AgentsError> for Status {
    fn from(error: AgentsError) -> Self {
        match error {
            AgentsError::NotFound => Self::not_found(error.to_string()),
            AgentsError::Store(error) => error.into(),
        }
    }
}

impl From<CreateTokenError> for Status {
    fn from(error: CreateTokenError) -> Self {
        match error {
            CreateTokenError::Unusable | CreateTokenError::Endless => invalid(error.to_string()),
            CreateTokenError::Exists => Self::already_exists(error.to_string()),
            CreateTokenError::Store(error) => error.into(),
        }
    }
}

impl From<IssueError> for Status {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::NotReady => Self::unavailable(error.to_string()),
            IssueError::NoJwtSvids => Self::unimplemented(error.to_string()),
            IssueError::X509(
                X509Error::PublicKey | X509Error::DnsName(_) | X509Error::Subject(_),
            ) => invalid(error.to_string()),
            IssueError::X509(
                X509Error::Authority(_)
                | X509Error::NoLifetime
                | X509Error::Signer(_)
                | X509Error::Random(_),
            )
            | IssueError::Jwt(_)
            | IssueError::Interrupted => internal("nothing can be signed", &error),
        }
    }
}

const DETAILS_TYPE: &str = "type.googleapis.com/spire.api.types.PermissionDeniedDetails";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::{Malformed, Refused, TokenError};

    #[test]
    fn the_reason_of_a_denial_reads_back() {
        let status = permission_denied("no".to_owned(), Some(Reason::AgentBanned));
        let decoded = rpc::Status::decode(status.details()).unwrap();
        assert_eq!(decoded.code, i32::from(Code::PermissionDenied));
        let detail = decoded.details.first().unwrap();
        assert_eq!(detail.type_url, DETAILS_TYPE);
        let detail = PermissionDeniedDetails::decode(&detail.value[..]).unwrap();
        assert_eq!(detail.reason(), Reason::AgentBanned);
        let plain = permission_denied("no".to_owned(), None);
        assert!(plain.details().is_empty());
    }

    #[test]
    fn a_node_is_told_what_is_wrong_with_its_evidence() {
        for (error, code) in [
            (Malformed::Pop("payload").into(), Code::InvalidArgument),
            (TokenError::Expired.into(), Code::InvalidArgument),
            (TokenError::UnknownOrUsed.into(), Code::InvalidArgument),
            (Refused::Proof.into(), Code::PermissionDenied),
            (
                AttestError::UnknownType("tpm".to_owned()),
                Code::FailedPrecondition,
            ),
        ] {
            let text = error.to_string();
            let status = Status::from(error);
            assert_eq!(status.code(), code);
            assert!(status.message().contains(&text), "{text}");
        }
    }

    #[test]
    fn an_agent_that_is_not_renewed_is_told_what_to_do() {
        for (error, reason) in [
            (RenewError::NotAttested, Reason::AgentNotAttested),
            (RenewError::MustReattest, Reason::AgentMustReattest),
        ] {
            let told = permission_denied(error.to_string(), Some(reason));
            let status = Status::from(error);
            assert_eq!(status.code(), Code::PermissionDenied);
            assert_eq!(status.details(), told.details());
        }
    }

    #[test]
    fn a_server_without_an_authority_says_try_again() {
        let status = Status::from(IssueError::NotReady);
        assert_eq!(status.code(), Code::Unavailable);
        let status = Status::from(IssueError::X509(X509Error::PublicKey));
        assert_eq!(status.code(), Code::InvalidArgument);
    }

    #[test]
    fn what_went_wrong_inside_does_not_go_out() {
        let corrupt = StoreError::Corrupt("page 7 of table bundles".to_owned());
        let status = Status::from(corrupt);
        assert_eq!(status.code(), Code::Internal);
        assert!(
            !status.message().contains("bundles"),
            "{}",
            status.message()
        );
    }

    #[test]
    fn a_busy_store_says_try_again() {
        assert_eq!(
            Status::from(StoreError::Overloaded).code(),
            Code::Unavailable
        );
    }
}
