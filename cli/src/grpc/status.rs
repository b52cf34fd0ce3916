//! gRPC's codes in the spelling that scripts look for.

use std::{fmt, time::Duration};

use tonic::{Code, Status};

/// A call that was refused or had no answer: `rpc error: code = NotFound desc = …`.
#[derive(Debug)]
pub(crate) struct CallError(Status);

impl CallError {
    /// No answer in time.
    pub(crate) fn late(deadline: Duration) -> Self {
        let message = format!("no answer within {deadline:?}");
        Self(Status::new(Code::DeadlineExceeded, message))
    }

    /// Why, for those who treat one code in their own way.
    pub(crate) fn code(&self) -> Code {
        self.0.code()
    }

    /// The peer's own words.
    pub(crate) fn message(&self) -> &str {
        self.0.message()
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = code_name(i32::from(self.0.code()));
        write!(f, "rpc error: code = {code} desc = {}", self.0.message())
    }
}

impl std::error::Error for CallError {}

/// The name of a code, also of one that a peer made up.
pub(crate) fn code_name(code: i32) -> String {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    name.map_or_else(|| format!("Code({code})"), |&name| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_that_scripts_know() {
        let error = CallError::from(Status::not_found("agent not found"));
        assert_eq!(
            error.to_string(),
            "rpc error: code = NotFound desc = agent not found"
        );
        assert_eq!(code_name(i32::from(Code::AlreadyExists)), "AlreadyExists");
        assert_eq!(
            code_name(i32::from(Code::Unauthenticated)),
            "Unauthenticated"
        );
        assert_eq!(code_name(99), "Code(99)");
        assert_eq!(code_name(-1), "Code(-1)");
    }
}
