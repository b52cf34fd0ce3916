//! A request as the next hop's protocol wants it.

use http::{HeaderValue, Method, Request, Uri, Version, header, request::Parts, uri};
use hyper::{body::Body as _, ext};

use super::{
    asks::{Asks, Switch},
    request::NOT_A_TARGET,
};
use crate::{body::Body, config::Protocol, flow::End};

/// Puts head and body together; it asks `asks`, of which the head may have another form.
///
/// # Errors
/// No target can be made of it.
pub(crate) fn addressed(
    mut head: Parts,
    body: Body,
    asks: &Asks,
    next: Protocol,
) -> Result<Request<Body>, End> {
    let host = &asks.host;
    match asks.switch {
        None => {}
        Some(Switch::WebSocket) => begin_web_socket(&mut head, next),
        Some(Switch::Tunnel) => return tunnel(head, body, host, next),
    }
    let mut parts = uri::Parts::default();
    // One without a path that ended with a `#` says that it is `/` and would be written as nothing.
    let path = head.uri.path_and_query();
    let path = path.filter(|path| path.as_str() != "/").cloned();
    parts.path_and_query = Some(path.unwrap_or_else(|| uri::PathAndQuery::from_static("/")));
    match next {
        Protocol::Http2 => {
            head.headers.remove(header::HOST);
            let authority = uri::Authority::try_from(host.as_bytes());
            parts.authority = Some(authority.map_err(|_invalid| End::malformed(NOT_A_TARGET))?);
            parts.scheme = Some(uri::Scheme::HTTP);
            head.version = Version::HTTP_2;
        }
        Protocol::Http | Protocol::Tcp => {
            head.version = Version::HTTP_11;
            // Without it, a GET whose length nobody knows would go on without its body.
            if !body.is_end_stream() && body.size_hint().exact().is_none() {
                let chunked = HeaderValue::from_static("chunked");
                head.headers.remove(header::CONTENT_LENGTH);
                head.headers.insert(header::TRANSFER_ENCODING, chunked);
            }
        }
    }
    head.uri = Uri::from_parts(parts).map_err(|_invalid| End::malformed(NOT_A_TARGET))?;
    Ok(Request::from_parts(head, body))
}

/// RFC 8441 §5 has another form for it than RFC 6455 §4.1.
fn begin_web_socket(head: &mut Parts, next: Protocol) {
    match next {
        Protocol::Http2 => {
            head.method = Method::CONNECT;
            head.extensions
                .insert(ext::Protocol::from_static("websocket"));
            head.headers.remove(header::UPGRADE);
            head.headers.remove(header::SEC_WEBSOCKET_KEY);
        }
        Protocol::Http | Protocol::Tcp => {
            let upgrade = HeaderValue::from_static("upgrade");
            head.headers.insert(header::CONNECTION, upgrade);
        }
    }
}

/// RFC 9112 §3.2.3, RFC 9113 §8.5: its target is host and port alone.
fn tunnel(
    mut head: Parts,
    body: Body,
    host: &HeaderValue,
    next: Protocol,
) -> Result<Request<Body>, End> {
    let authority = uri::Authority::try_from(host.as_bytes());
    let authority = authority.map_err(|_invalid| End::malformed(NOT_A_TARGET))?;
    head.uri = Uri::from(authority);
    head.version = match next {
        Protocol::Http2 => {
            head.headers.remove(header::HOST);
            Version::HTTP_2
        }
        Protocol::Http | Protocol::Tcp => Version::HTTP_11,
    };
    Ok(Request::from_parts(head, body))
}
