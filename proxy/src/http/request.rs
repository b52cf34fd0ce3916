//! A request, read once: what policy, the log and the next hop want to know of it, and that it is
//! one that can be proxied at all.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use hyper::body::Incoming;
use signet_mesh::HttpPath;

use super::{
    headers::{self, X_FORWARDED_CLIENT_CERT},
    reply::Kind,
};
use crate::{
    body::Body,
    flow::{Downstream, End, Flow, Who},
};

/// A request that can be judged and forwarded.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    pub(super) asks: Arc<Asks>,
    pub(super) kind: Kind,
    /// With its path in normal form.
    pub(super) inner: Request<Body>,
}

/// What is asked of whom.
#[derive(Debug)]
pub(crate) struct Asks {
    pub(crate) method: Method,
    /// In the one form that is judged and forwarded.
    pub(crate) path: HttpPath<'static>,
    /// HTTP/2's authority, else the Host header.
    pub(crate) host: HeaderValue,
}

/// A request that cannot be proxied: why, and in which terms it is to be told.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) end: End,
    pub(crate) kind: Kind,
}

impl HttpRequest {
    /// Reads a request that came in, and begins its record. What it says of its client's
    /// certificate is thrown away, whoever says it: only a proxy may.
    pub(crate) fn read(
        mut request: Request<Incoming>,
        who: Who,
    ) -> (Flow, Result<Self, Unreadable>) {
        request.headers_mut().remove(X_FORWARDED_CLIENT_CERT);
        let id = headers::request_id(request.headers_mut());
        let flow = Flow::request(who, &request, id);
        let kind = Kind::of(request.headers());
        let read = match asks(&mut request) {
            Ok(asks) => Ok(Self {
                asks: Arc::new(asks),
                kind,
                inner: request.map(|body| Body::of_client(body, flow.traffic())),
            }),
            Err(end) => Err(Unreadable { end, kind }),
        };
        (flow, read)
    }

    /// What is asked.
    pub(crate) fn asks(&self) -> &Arc<Asks> {
        &self.asks
    }

    /// In which terms the client wants to be answered.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// All headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Tells the next hop who asks.
    pub(crate) fn introduce(&mut self, client_cert: HeaderValue) {
        let headers = self.inner.headers_mut();
        headers.insert(X_FORWARDED_CLIENT_CERT, client_cert);
    }
}

fn asks(request: &mut Request<Incoming>) -> Result<Asks, End> {
    if let Some(why) = unsupported(request) {
        return Err(End::Downstream(Downstream::NotSupported(why)));
    }
    let host = host(request).ok_or_else(|| End::malformed("the request names no host"))?;
    let path = HttpPath::parse(request.uri().path()).map_err(End::malformed)?;
    let path = path.into_owned();
    if path.was_changed() {
        *request.uri_mut() = with_path(request.uri(), &path)?;
    }
    Ok(Asks {
        method: request.method().clone(),
        path,
        host,
    })
}

/// Why this request cannot be proxied at all, if so.
fn unsupported<B>(request: &Request<B>) -> Option<&'static str> {
    if request.method() == Method::CONNECT {
        return Some("CONNECT is not supported");
    }
    if request.headers().contains_key(header::UPGRADE) {
        return Some("protocol upgrades are not supported on HTTP ports; declare the port as TCP");
    }
    None
}

/// The host that the client asked: HTTP/2's authority, else the Host header.
fn host<B>(request: &Request<B>) -> Option<HeaderValue> {
    match request.uri().authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => request.headers().get(header::HOST).cloned(),
    }
}

fn with_path(uri: &Uri, path: &HttpPath<'_>) -> Result<Uri, End> {
    let text = match uri.query() {
        Some(query) => format!("{}?{query}", path.as_str()),
        None => path.as_str().to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    let invalid = || End::malformed(NOT_A_TARGET);
    parts.path_and_query = Some(text.parse().map_err(|_invalid| invalid())?);
    Uri::from_parts(parts).map_err(|_invalid| invalid())
}

/// A target that no URI can be made of.
pub(super) const NOT_A_TARGET: &str = "the target of the request is not valid";
