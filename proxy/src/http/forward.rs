//! Sends a request that has the right to it to the next hop, and gives its response to the client.

use http::{HeaderValue, Request, Response, Uri, Version, header, uri};
use hyper::body::Body as _;

use super::{
    in_flight::Right,
    outgoing::Outgoing,
    reply::{Kind, reply},
    request::{HttpRequest, NOT_A_TARGET},
};
use crate::{
    body::Body,
    cluster::Endpoint,
    config::Protocol,
    flow::{End, Flow},
    headers,
};

/// The response of the next hop, or the proxy's own that says why there is none.
pub(crate) async fn forward(
    request: HttpRequest,
    right: Right,
    endpoint: &Endpoint,
    mut flow: Flow,
) -> Response<Outgoing> {
    if let Right::Permitted(ticket) = &right {
        flow.permitted(ticket.permit().why());
    }
    let kind = request.kind();
    let request = match addressed(request, endpoint.protocol()) {
        Ok(request) => request,
        Err(end) => return refuse(end, kind, flow),
    };
    match endpoint.send(request).await {
        Ok(answer) => {
            let (mut response, lease) = (answer.response, answer.lease);
            headers::strip_hop_by_hop(response.headers_mut());
            *response.version_mut() = Version::default();
            flow.answered(response.status());
            response.map(|body| Outgoing::new(Body::Incoming(body), lease, Some(right), flow))
        }
        Err(error) => refuse(error.into(), kind, flow),
    }
}

/// The proxy's own reply, which says why.
pub(crate) fn refuse(end: End, kind: Kind, mut flow: Flow) -> Response<Outgoing> {
    let response = reply(&end, kind, flow.request_id());
    flow.answered(response.status());
    flow.end(end);
    response.map(|body| Outgoing::new(Body::Whole(body), None, None, flow))
}

/// The request as the next hop's protocol wants it.
pub(super) fn addressed(request: HttpRequest, next: Protocol) -> Result<Request<Body>, End> {
    let HttpRequest {
        asks, mut inner, ..
    } = request;
    let mut parts = uri::Parts::default();
    // One without a path that ended with a `#` says that it is `/` and would be written as nothing.
    let path = inner.uri().path_and_query();
    let path = path.filter(|path| path.as_str() != "/").cloned();
    parts.path_and_query = Some(path.unwrap_or_else(|| uri::PathAndQuery::from_static("/")));
    match next {
        Protocol::Http2 => {
            inner.headers_mut().remove(header::HOST);
            let authority = uri::Authority::try_from(asks.host.as_bytes());
            parts.authority = Some(authority.map_err(|_invalid| End::malformed(NOT_A_TARGET))?);
            parts.scheme = Some(uri::Scheme::HTTP);
            *inner.version_mut() = Version::HTTP_2;
        }
        Protocol::Http | Protocol::Tcp => {
            *inner.version_mut() = Version::HTTP_11;
            // Without it, a GET whose length nobody knows would go on without its body.
            if !inner.body().is_end_stream() && inner.body().size_hint().exact().is_none() {
                let chunked = HeaderValue::from_static("chunked");
                let fields = inner.headers_mut();
                fields.remove(header::CONTENT_LENGTH);
                fields.insert(header::TRANSFER_ENCODING, chunked);
            }
        }
    }
    *inner.uri_mut() = Uri::from_parts(parts).map_err(|_invalid| End::malformed(NOT_A_TARGET))?;
    Ok(inner)
}
