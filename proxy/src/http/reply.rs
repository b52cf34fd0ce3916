//! Replies that the proxy gives itself: every one says why, and names the request.

use std::fmt::Display;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::headers::X_REQUEST_ID;

/// Why the proxy answers instead of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The request cannot be judged or carried.
    BadRequest,
    /// Policy forbids it.
    Denied,
    /// What it asks is not supported.
    NotSupported,
    /// The next hop cannot be had.
    Unavailable,
    /// The next hop does not answer.
    Timeout,
}

impl Reason {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::NotSupported => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The code of gRPC for it (grpc/doc/statuscodes).
    fn grpc_status(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::BadRequest => "3",
            Self::Denied => "7",
            Self::NotSupported => "12",
            Self::Unavailable => "14",
            Self::Timeout => "4",
        })
    }
}

/// A reply in the caller's terms: a gRPC status for gRPC, text for everything else.
pub(crate) fn reply(
    reason: Reason,
    why: &dyn Display,
    request_id: &HeaderValue,
    is_grpc: bool,
) -> Response<Full<Bytes>> {
    let mut response = if is_grpc {
        grpc(reason, why)
    } else {
        text(reason, why, request_id)
    };
    response
        .headers_mut()
        .insert(X_REQUEST_ID, request_id.clone());
    response
}

fn text(reason: Reason, why: &dyn Display, id: &HeaderValue) -> Response<Full<Bytes>> {
    let id = id.to_str().unwrap_or("-");
    let mut response = Response::new(Full::from(format!("{why}\nrequest id: {id}\n")));
    *response.status_mut() = reason.status();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn grpc(reason: Reason, why: &dyn Display) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-status", reason.grpc_status());
    // The message is percent-encoded on the wire; what is not plain ASCII is left out.
    let message: String = why
        .to_string()
        .chars()
        .filter(|c| matches!(c, ' '..='~') && *c != '%')
        .collect();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const ID: HeaderValue = HeaderValue::from_static("r-1");

    #[tokio::test]
    async fn a_refusal_says_why_and_names_the_request() {
        let response = reply(Reason::Denied, &"no rule allows it", &ID, false);
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()[X_REQUEST_ID], "r-1");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "no rule allows it\nrequest id: r-1\n");
    }

    #[test]
    fn grpc_is_answered_as_grpc() {
        let response = reply(Reason::Denied, &"no rule allows it", &ID, true);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["grpc-message"], "no rule allows it");
    }
}
