//! Sends a request to the next hop and gives its response to the client.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, Uri, Version, header, uri};
use http_body_util::Either;
use hyper::body::Incoming;
use signet_mesh::HttpPath;

use super::{
    body::{FromNextHop, Outgoing},
    exchange::Exchange,
    headers,
    pool::{Pool, SendError},
    reply::{Reason, reply},
};
use crate::config::Protocol;

/// The response of the next hop, or the proxy's own that says why there is none.
pub(crate) async fn forward(
    mut request: Request<Incoming>,
    pool: &Arc<Pool>,
    mut exchange: Exchange,
) -> Response<Outgoing> {
    let is_grpc = is_grpc(&request);
    if let Some(why) = address(&mut request, pool.protocol()) {
        return refuse(Reason::BadRequest, why.to_owned(), is_grpc, exchange);
    }
    match pool.send(request).await {
        Ok((mut response, lease)) => {
            headers::strip_hop_by_hop(response.headers_mut());
            *response.version_mut() = Version::default();
            exchange.outcome.status = Some(response.status());
            response
                .map(|body| Outgoing::new(Either::Left(FromNextHop::new(body, lease)), exchange))
        }
        Err(error) => {
            let (reason, why) = explain(&error);
            refuse(reason, why, is_grpc, exchange)
        }
    }
}

/// The proxy's own reply.
pub(crate) fn refuse(
    reason: Reason,
    why: String,
    is_grpc: bool,
    mut exchange: Exchange,
) -> Response<Outgoing> {
    let response = reply(reason, &why, &exchange.request_id, is_grpc);
    exchange.outcome.status = Some(response.status());
    exchange.outcome.reason = Some(why);
    response.map(|body| Outgoing::new(Either::Right(body), exchange))
}

/// Why this request cannot be proxied at all, if so.
pub(crate) fn unsupported<B>(request: &Request<B>) -> Option<&'static str> {
    if request.method() == Method::CONNECT {
        return Some("CONNECT is not supported");
    }
    if request.headers().contains_key(header::UPGRADE) {
        return Some("protocol upgrades are not supported on HTTP ports; declare the port as TCP");
    }
    None
}

/// Brings the path into the one form that is judged and forwarded; says why it cannot.
pub(crate) fn normalize_path<B>(request: &mut Request<B>) -> Result<(), String> {
    let path = HttpPath::parse(request.uri().path()).map_err(|error| error.to_string())?;
    if !path.was_changed() {
        return Ok(());
    }
    let text = match request.uri().query() {
        Some(query) => format!("{}?{query}", path.as_str()),
        None => path.as_str().to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(text.parse().map_err(|_invalid| NOT_A_TARGET)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_invalid| NOT_A_TARGET)?;
    Ok(())
}

/// Whether the client speaks gRPC, and so wants to be refused in gRPC.
pub(crate) fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The host that the client asked: HTTP/2's authority, else the Host header.
pub(crate) fn host<B>(request: &Request<B>) -> Option<HeaderValue> {
    match request.uri().authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers().get(header::HOST).cloned(),
    }
}

/// Addresses the request as the next hop's protocol wants it; says why it cannot.
fn address(request: &mut Request<Incoming>, next: Protocol) -> Option<&'static str> {
    let Some(host) = host(request) else {
        return Some("the request names no host");
    };
    headers::strip_hop_by_hop(request.headers_mut());
    let mut parts = uri::Parts::default();
    let path = request.uri().path_and_query().cloned();
    parts.path_and_query = Some(path.unwrap_or_else(|| uri::PathAndQuery::from_static("/")));
    match next {
        Protocol::Http2 => {
            request.headers_mut().remove(header::HOST);
            let Ok(authority) = uri::Authority::try_from(host.as_bytes()) else {
                return Some("the host of the request is not valid");
            };
            parts.authority = Some(authority);
            parts.scheme = Some(uri::Scheme::HTTP);
            *request.version_mut() = Version::HTTP_2;
        }
        Protocol::Http | Protocol::Tcp => {
            request.headers_mut().insert(header::HOST, host);
            *request.version_mut() = Version::HTTP_11;
        }
    }
    match Uri::from_parts(parts) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => return Some(NOT_A_TARGET),
    }
    None
}

fn explain(error: &SendError) -> (Reason, String) {
    let reason = match error {
        SendError::Timeout { .. } => Reason::Timeout,
        SendError::Dial(_) | SendError::Broken { .. } | SendError::Stopping => Reason::Unavailable,
    };
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !why.ends_with(&text) {
            why = format!("{why}: {text}");
        }
        source = cause.source();
    }
    (reason, why)
}

const NOT_A_TARGET: &str = "the target of the request is not valid";
