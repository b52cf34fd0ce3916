//! The one door from errors to gRPC. What the caller did wrong goes out as it is; what went
//! wrong on our side is logged, and goes out as no more than that.

use std::error::Error;

use signet_proto::spire::api::types;
use tonic::{Code, Status};

use crate::federation::FederationError;
use crate::registration::{CreateError, UpdateError};
use crate::store::StoreError;

/// The caller sent something that cannot be used.
pub(crate) fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

/// Something failed on our side: `what` for the log and the caller, `error` for the log alone.
pub(crate) fn internal(what: &'static str, error: &(dyn Error + 'static)) -> Status {
    tracing::error!(error, "{what}");
    Status::internal(format!("{what}; the server's log has the reason"))
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

impl From<FederationError> for Status {
    fn from(error: FederationError) -> Self {
        match error {
            FederationError::Own(_) => invalid(error.to_string()),
            FederationError::NotFound => Self::not_found(error.to_string()),
            FederationError::Exists => Self::already_exists(error.to_string()),
            FederationError::InUse(_) => Self::failed_precondition(error.to_string()),
            FederationError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
