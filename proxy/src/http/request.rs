//! A request, read once: what policy, the log and the next hop want to know of it, and that it is
//! one that can be proxied at all. What policy judges is what goes on: its headers are already
//! those of the next hop, its path and host have one reading.

use std::{net::IpAddr, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version, header, request::Parts, uri::Authority,
};
use hyper::body::{Body as _, Incoming};
use signet_mesh::{HashCall, HttpCall, HttpPath};

use super::{
    asks::{Asks, Switch},
    kind::Kind,
    switch::Switching,
    tunnel::Tunnels,
};
use crate::{
    body::{Body, Replayable},
    config::Protocol,
    flow::{Downstream, End, Flow, Who},
    headers::{self, X_FORWARDED_CLIENT_CERT},
};

/// A request that can be judged and forwarded.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    asks: Arc<Asks>,
    kind: Kind,
    /// The client's side, if it wants to switch protocols.
    switching: Option<Box<Switching>>,
    /// With its path in normal form.
    inner: Request<Body>,
}

/// A request that cannot be proxied: why, and in which terms it is to be told.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) end: End,
    pub(crate) kind: Kind,
}

impl HttpRequest {
    /// Reads a request that came in, and begins its record. What it says of its client's
    /// certificate is thrown away, whoever says it: only a proxy may. What concerns one hop goes
    /// before anything is set, or `connection` could name what the proxy says.
    pub(crate) fn read(
        mut request: Request<Incoming>,
        who: Who,
    ) -> (Flow, Result<Self, Unreadable>) {
        let supported = supported(&mut request);
        let fields = request.headers_mut();
        headers::strip_hop_by_hop(fields);
        fields.remove(X_FORWARDED_CLIENT_CERT);
        let id = headers::request_id(fields);
        let switching = supported.and_then(|wanted| match wanted {
            None => Ok(None),
            Some(Wanted { to, tunnels }) => {
                let switching = Switching::of(&mut request, to, tunnels)?;
                Ok(Some(Box::new(switching)))
            }
        });
        let mut flow = Flow::request(who, &request, id);
        flow.hear(&mut request);
        let kind = Kind::of(request.headers());
        let messages = match kind {
            Kind::Grpc => flow.of_grpc(),
            Kind::Http => None,
        };
        let asked = switching.and_then(|switching| {
            let switch = switching.as_ref().map(|it| it.to);
            Ok((asks(&mut request, switch)?, switching))
        });
        let read = match asked {
            Ok((asks, switching)) => Ok(Self {
                asks: Arc::new(asks),
                kind,
                switching,
                inner: request.map(|body| match messages {
                    None => Body::of_client(body, flow.traffic()),
                    Some(messages) => Body::of_grpc_client(body, flow.traffic(), messages),
                }),
            }),
            Err(end) => Err(Unreadable { end, kind }),
        };
        (flow, read)
    }

    /// What is asked.
    pub(crate) fn asks(&self) -> &Arc<Asks> {
        &self.asks
    }

    /// What its client speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        match self.version() {
            Version::HTTP_2 => Protocol::Http2,
            _ => Protocol::Http,
        }
    }

    /// The version of HTTP that it came by.
    pub(crate) fn version(&self) -> Version {
        self.inner.version()
    }

    /// In which terms the client wants to be answered.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// All headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// All headers, to be changed.
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.inner.headers_mut()
    }

    /// What stands behind the `?` of its target.
    pub(crate) fn query(&self) -> Option<&str> {
        self.inner.uri().query()
    }

    /// From now on, it has another query, or none if that is empty.
    ///
    /// # Errors
    /// No target can be made of it.
    pub(crate) fn set_query(&mut self, query: &str) -> Result<(), Arc<str>> {
        let query = Some(query).filter(|query| !query.is_empty());
        let uri = with(self.inner.uri(), self.inner.uri().path(), query);
        *self.inner.uri_mut() = uri.ok_or(NOT_A_TARGET)?;
        Ok(())
    }

    /// What routes are chosen by; `port` is what the client called.
    pub(crate) fn call(&self, port: u16) -> HttpCall<'_> {
        HttpCall {
            method: self.asks.method.as_str(),
            scheme: "http",
            authority: self.host(),
            path: &self.asks.path,
            query: self.inner.uri().query(),
            headers: self.inner.headers(),
            port,
        }
    }

    /// What keys are made of; `source` is the client.
    pub(crate) fn hash_call(&self, source: IpAddr) -> HashCall<'_> {
        HashCall {
            headers: self.inner.headers(),
            query: self.inner.uri().query(),
            source,
        }
    }

    /// The host that is asked, with its port if it has one.
    pub(crate) fn host(&self) -> &str {
        self.asks.host.to_str().unwrap_or_default()
    }

    /// From now on, another path is asked for.
    ///
    /// # Errors
    /// No target can be made of it.
    pub(crate) fn set_path(&mut self, path: HttpPath<'static>) -> Result<(), End> {
        *self.inner.uri_mut() = with_path(self.inner.uri(), &path)?;
        Arc::make_mut(&mut self.asks).path = path;
        Ok(())
    }

    /// From now on, another host is asked.
    ///
    /// # Errors
    /// It is no value of a header.
    pub(crate) fn set_host(&mut self, host: &str) -> Result<(), End> {
        let host = HeaderValue::from_str(host).map_err(|_invalid| End::malformed(NOT_A_HOST))?;
        self.inner.headers_mut().insert(header::HOST, host.clone());
        Arc::make_mut(&mut self.asks).host = host;
        Ok(())
    }

    /// Another one that asks the same, with another body.
    pub(crate) fn copy(&self, body: Body) -> Self {
        let mut inner = Request::new(body);
        *inner.method_mut() = self.inner.method().clone();
        *inner.uri_mut() = self.inner.uri().clone();
        *inner.version_mut() = self.inner.version();
        *inner.headers_mut() = self.inner.headers().clone();
        Self {
            asks: Arc::clone(&self.asks),
            kind: self.kind,
            switching: None,
            inner,
        }
    }

    /// The client's side, if it wants to switch protocols.
    pub(crate) fn take_switching(&mut self) -> Option<Box<Switching>> {
        self.switching.take()
    }

    /// From now on what comes of its body is kept; none if there is no body.
    pub(crate) fn keep_body(&mut self) -> Option<Replayable> {
        if self.inner.body().is_end_stream() {
            return None;
        }
        let body = std::mem::replace(self.inner.body_mut(), Body::empty());
        let kept = Replayable::new(body);
        *self.inner.body_mut() = kept.replay().unwrap_or_else(Body::empty);
        Some(kept)
    }

    /// What it is made of: what is asked, the head, and the body.
    pub(crate) fn into_parts(self) -> (Arc<Asks>, Parts, Body) {
        let (head, body) = self.inner.into_parts();
        (self.asks, head, body)
    }

    /// Tells the next hop who asks.
    pub(crate) fn introduce(&mut self, client_cert: HeaderValue) {
        let headers = self.inner.headers_mut();
        headers.insert(X_FORWARDED_CLIENT_CERT, client_cert);
    }
}

fn asks(request: &mut Request<Incoming>, switch: Option<Switch>) -> Result<Asks, End> {
    let host = host(request)?;
    request.headers_mut().insert(header::HOST, host.clone());
    if switch == Some(Switch::Tunnel) {
        return Ok(Asks {
            method: request.method().clone(),
            path: HttpPath::none(),
            host,
            switch,
        });
    }
    let path = HttpPath::parse(request.uri().path()).map_err(End::malformed)?;
    if path.as_str() == "*" && request.method() != Method::OPTIONS {
        return Err(End::malformed(NOT_A_TARGET));
    }
    let path = path.into_owned();
    if path.was_changed() {
        *request.uri_mut() = with_path(request.uri(), &path)?;
    }
    Ok(Asks {
        method: request.method().clone(),
        path,
        host,
        switch,
    })
}

/// What a request wants to switch to, and where that is to run.
struct Wanted {
    to: Switch,
    tunnels: Tunnels,
}

/// Whether this request can be proxied at all, and what it wants to switch to.
fn supported(request: &mut Request<Incoming>) -> Result<Option<Wanted>, End> {
    let not = |why| Err(End::Downstream(Downstream::NotSupported(why)));
    if let Some(tunnels) = request.extensions_mut().remove::<Tunnels>() {
        let wanted = Switch::wanted(request)?;
        if let Some(to) = wanted {
            return Ok(Some(Wanted { to, tunnels }));
        }
    } else if request.method() == Method::CONNECT {
        return not("CONNECT is not supported here");
    }
    // `chunked` ends with this hop. Another coding would be taken off here and not be told of.
    let codings = request.headers().get_all(header::TRANSFER_ENCODING);
    let mut codings = codings.iter();
    let plain = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !plain || codings.next().is_some() {
        return not("no transfer coding but chunked is supported");
    }
    Ok(None)
}

/// The host that the client asked: the target's authority, else the Host header. One that could be
/// taken for two is refused; a target's authority overrules the Host header of HTTP/1.1
/// (RFC 9112 §3.2.2), in HTTP/2 they have to agree (RFC 9113 §8.3.1).
fn host<B>(request: &Request<B>) -> Result<HeaderValue, End> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let header = named.next();
    if named.next().is_some() {
        return Err(End::malformed("the request names more than one host"));
    }
    let Some(target) = request.uri().authority() else {
        let header = header.ok_or_else(|| End::malformed("the request names no host"))?;
        return Authority::try_from(header.as_bytes())
            .ok()
            .and_then(|authority| only_host(&authority))
            .ok_or_else(|| End::malformed(NOT_A_HOST));
    };
    let differs = |host: &HeaderValue| {
        !host
            .as_bytes()
            .eq_ignore_ascii_case(target.as_str().as_bytes())
    };
    if request.version() == Version::HTTP_2 && header.is_some_and(differs) {
        return Err(End::malformed(
            "the Host header names another host than the request does",
        ));
    }
    only_host(target).ok_or_else(|| End::malformed(NOT_A_HOST))
}

/// An authority that is host and port; what stands before an `@` would pass for the host in some
/// readers (RFC 9110 §4.2.4).
fn only_host(authority: &Authority) -> Option<HeaderValue> {
    let text = authority.as_str();
    let plain = !text.contains('@') && !authority.host().is_empty();
    plain.then(|| HeaderValue::from_str(text).ok()).flatten()
}

fn with_path(uri: &Uri, path: &HttpPath<'_>) -> Result<Uri, End> {
    with(uri, path.as_str(), uri.query()).ok_or_else(|| End::malformed(NOT_A_TARGET))
}

fn with(uri: &Uri, path: &str, query: Option<&str>) -> Option<Uri> {
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// A target that no URI can be made of.
pub(super) const NOT_A_TARGET: &str = "the target of the request is not valid";
const NOT_A_HOST: &str = "the host of the request is not valid";
