//! A request that may be sent once more.
//!
//! Whoever ends a connection that is at rest may do so in the moment in which a request goes out on
//! it, and the request's end says nothing about the next hop (RFC 9112 §9.5).

use std::time::Duration;

use http::{HeaderMap, Method, Request, Uri, Version};
use hyper::body::Body as _;

use crate::body::Body;

/// What is kept of a request, to send it on a new connection if the one that it is sent on ends
/// before there is an answer.
#[derive(Debug)]
pub(super) struct OnceMore {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
}

impl OnceMore {
    /// Of a request that goes out on a connection which nobody used for so long. None if that was
    /// in use just now, so that nobody had a reason to end it, or if the request may not be sent
    /// twice (RFC 9110 §9.2.2), or has a body, which is gone then.
    pub(super) fn of(request: &Request<Body>, rested: Duration) -> Option<Self> {
        let may_be_repeated = request.method().is_idempotent() && request.body().is_end_stream();
        (rested >= AT_REST && may_be_repeated).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
        })
    }

    /// The request again, if it failed because its connection ended.
    pub(super) fn after(self, error: &hyper::Error) -> Option<Request<Body>> {
        let ended = !(error.is_user() || error.is_parse());
        ended.then(|| {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = self.method;
            *request.uri_mut() = self.uri;
            *request.version_mut() = self.version;
            *request.headers_mut() = self.headers;
            request
        })
    }
}

/// From when on a connection may be about to end: whoever ends one sooner after an answer has
/// seldom another reason than the request itself.
const AT_REST: Duration = Duration::from_millis(250);
