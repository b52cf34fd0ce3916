//! gRPC's codes in the spelling that scripts look for.

use std::{fmt, time::Duration};

use signet_daemon::log::code_name;
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
    }
}
