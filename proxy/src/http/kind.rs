//! In which terms a client is answered.

use http::{HeaderMap, header};

/// In which terms a client wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A gRPC call, whose outcome is a gRPC status.
    Grpc,
    /// Anything else.
    Http,
}

impl Kind {
    /// What the headers of a request say.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(header::CONTENT_TYPE);
        match kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
            true => Self::Grpc,
            false => Self::Http,
        }
    }
}

/// The status of HTTP for one of gRPC, as Envoy has it (googleapis' `google/rpc/code.proto` names
/// them).
pub(crate) fn http_of_grpc(status: u16) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
