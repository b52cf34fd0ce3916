//! Replies that the proxy gives itself: every one says why, and names the request.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::{kind::Kind, outgoing::Outgoing};
use crate::{
    flow::{Downstream, End, Flow, Policy, Routing, Upstream},
    headers::X_REQUEST_ID,
};

/// The proxy's own response, which says why there is no other.
pub(crate) fn refuse(end: End, kind: Kind, mut flow: Flow) -> Response<Outgoing> {
    let response = reply(&end, kind, flow.request_id());
    flow.answered(response.status(), response.headers());
    flow.end(end);
    response.map(|body| Outgoing::own(body, flow))
}

/// The response of somebody who was asked, and has not permitted the request.
pub(crate) fn refuse_with(
    mut response: Response<Full<Bytes>>,
    end: End,
    mut flow: Flow,
) -> Response<Outgoing> {
    if let Some(id) = flow.request_id() {
        response.headers_mut().insert(X_REQUEST_ID, id.clone());
    }
    flow.answered(response.status(), response.headers());
    flow.end(end);
    response.map(|body| Outgoing::own(body, flow))
}

/// A reply in the caller's terms: a gRPC status for gRPC, text for everything else.
fn reply(end: &End, kind: Kind, id: Option<&HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = match kind {
        Kind::Grpc => grpc(end),
        Kind::Http => text(end, id),
    };
    if matches!(end, End::Routing(Routing::Overloaded(_))) {
        let overloaded = HeaderValue::from_static("true");
        response.headers_mut().insert(OVERLOADED, overloaded);
    }
    if matches!(end, End::Routing(Routing::OutOfMemory)) {
        let headers = response.headers_mut();
        headers.insert(LOCAL_OVERLOADED, HeaderValue::from_static("true"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if matches!(end, End::Policy(Policy::RateLimited)) {
        let limited = HeaderValue::from_static("true");
        response.headers_mut().insert(RATE_LIMITED, limited);
    }
    if matches!(end, End::Policy(Policy::BadToken(_))) {
        // RFC 6750 §3.
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
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
        End::Policy(Policy::RateLimited) => (StatusCode::TOO_MANY_REQUESTS, "8"),
        End::Policy(Policy::BadToken(_)) => (StatusCode::UNAUTHORIZED, "16"),
        End::Policy(_) => (StatusCode::FORBIDDEN, "7"),
        End::Routing(Routing::NoService(_) | Routing::BlackHole(_)) => {
            (StatusCode::BAD_GATEWAY, "14")
        }
        End::Routing(Routing::NoRoute(_)) => (StatusCode::NOT_FOUND, "12"),
        End::Upstream(Upstream::Timeout(_)) => (StatusCode::GATEWAY_TIMEOUT, "4"),
        End::Routing(_) | End::Upstream(_) | End::Shutdown(_) | End::Complete => {
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

/// Envoy's: the request was not sent, as its caller has sent too many.
const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
/// Envoy's: the request was not sent, as the proxy itself has too much to do.
const LOCAL_OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-local-overloaded");
/// Envoy's: the request was not sent, as there are too many.
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::flow::Denial;

    const ID: HeaderValue = HeaderValue::from_static("r-1");

    fn denied() -> End {
        End::Policy(Policy::Denied(Denial::of_test("no rule allows it")))
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
    fn a_request_that_is_too_much_is_answered_as_envoy_does() {
        let end = End::Routing(Routing::Overloaded("3 requests".into()));
        for (kind, status) in [(Kind::Http, 503), (Kind::Grpc, 200)] {
            let response = reply(&end, kind, Some(&ID));
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[OVERLOADED], "true");
        }
        let other = reply(&denied(), Kind::Http, Some(&ID));
        assert!(!other.headers().contains_key(OVERLOADED));
    }

    #[test]
    fn a_proxy_without_memory_left_says_so_and_when_to_come_again() {
        let end = End::Routing(Routing::OutOfMemory);
        for (kind, status) in [(Kind::Http, 503), (Kind::Grpc, 200)] {
            let response = reply(&end, kind, Some(&ID));
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[LOCAL_OVERLOADED], "true");
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        }
    }

    #[test]
    fn grpc_is_answered_as_grpc() {
        let response = reply(&denied(), Kind::Grpc, Some(&ID));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["grpc-message"], "no rule allows it");
    }
}
