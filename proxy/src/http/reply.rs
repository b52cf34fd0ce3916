//! Replies that the proxy gives itself: every one says why, and names the request.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::{
    flow::{Downstream, End, Upstream},
    headers::X_REQUEST_ID,
};

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

/// A reply in the caller's terms: a gRPC status for gRPC, text for everything else.
pub(crate) fn reply(end: &End, kind: Kind, id: Option<&HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = match kind {
        Kind::Grpc => grpc(end),
        Kind::Http => text(end, id),
    };
    if let Some(id) = id {
        response.headers_mut().insert(X_REQUEST_ID, id.clone());
    }
    response
}

/// The status of HTTP for it, and that of gRPC (grpc/doc/statuscodes).
fn status(end: &End) -> (StatusCode, &'static str) {
    match end {
        End::Downstream(Downstream::NotSupported(_)) => (StatusCode::NOT_IMPLEMENTED, "12"),
        End::Downstream(_) => (StatusCode::BAD_REQUEST, "3"),
        End::Policy(_) => (StatusCode::FORBIDDEN, "7"),
        End::Upstream(Upstream::Timeout(_)) => (StatusCode::GATEWAY_TIMEOUT, "4"),
        End::Upstream(_) | End::Shutdown(_) | End::Complete => {
            (StatusCode::SERVICE_UNAVAILABLE, "14")
        }
    }
}

fn text(end: &End, id: Option<&HeaderValue>) -> Response<Full<Bytes>> {
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or("-");
    let mut response = Response::new(Full::from(format!("{}\nrequest id: {id}\n", end.why())));
    *response.status_mut() = status(end).0;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn grpc(end: &End) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-status", HeaderValue::from_static(status(end).1));
    // The message is percent-encoded on the wire; what is not plain ASCII is left out.
    let plain = |c: &char| matches!(c, ' '..='~') && *c != '%';
    let message: String = end.why().chars().filter(plain).collect();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::flow::Policy;

    const ID: HeaderValue = HeaderValue::from_static("r-1");

    fn denied() -> End {
        End::Policy(Policy::Denied("no rule allows it".into()))
    }

    #[tokio::test]
    async fn a_refusal_says_why_and_names_the_request() {
        let response = reply(&denied(), Kind::Http, Some(&ID));
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(response.headers()[X_REQUEST_ID], "r-1");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "no rule allows it\nrequest id: r-1\n");
    }

    #[test]
    fn grpc_is_answered_as_grpc() {
        let response = reply(&denied(), Kind::Grpc, Some(&ID));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["grpc-message"], "no rule allows it");
    }
}
