//! The record of one connection or request: who, what, how many bytes, when, and how it ended. The
//! access log is written from it, and metrics are counted, in one place each, when it is dropped.

mod access;
mod count;
mod end;
mod heard;
mod istio;
mod line;
mod messages;
mod observer;
mod span;
mod telling;
mod traffic;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::AtomicU64},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use hyper::body::Frame;
use signet_mesh::{Noted, PermitWhy};
use tokio::time::Instant;

pub(crate) use end::{Denial, Downstream, End, Policy, Routing, Shutdown, Upstream, whole};
pub(crate) use messages::Messages;
pub(crate) use observer::{Connections, LiveConnection, Observed, Observer, Watching};
pub(crate) use telling::{Recorder, Telling, Tracers};
pub(crate) use traffic::Traffic;

use crate::metrics::Meter;
use count::Counting;
use heard::Heard;

/// What is known of a connection or a request.
#[derive(Debug)]
pub(crate) struct Flow {
    who: Who,
    what: What,
    started: Instant,
    /// When the head of the response was there.
    answered: Option<Instant>,
    status: Option<StatusCode>,
    traffic: Arc<Traffic>,
    /// What permitted it.
    permitted_by: Option<PermitWhy>,
    /// What policies say of it that change nothing.
    noted: Option<Box<Noted>>,
    /// The route that it took.
    route: Option<Arc<str>>,
    /// The endpoint that was tried last.
    upstream: Option<Arc<str>>,
    attempts: u32,
    /// Whether a fault of its route let it wait.
    delayed: bool,
    /// Whether it was not repeated because too many were.
    overloaded: bool,
    /// What metrics want to know of it, if it is a request that is counted.
    counting: Option<Box<Counting>>,
    /// What is kept of it for spans, and for Istio's lines.
    heard: Option<Box<Heard>>,
    end: Option<End>,
}

/// Whose connection it is.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// Who records it: that of its port.
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) client: SocketAddr,
    /// The port that is called, as policies and routes know it: of what comes in that of the
    /// application. None of what goes by a port that has but one destination.
    pub(crate) destination_port: Option<u16>,
    /// What a local application called, if that is known of its connection.
    pub(crate) called: Option<SocketAddr>,
    /// The server name that its connection begins with, if it is one of TLS.
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) other: Other,
    /// Why the whole connection was cut, once it is.
    pub(crate) cut: Cut,
    /// Its connection, if anybody wants to know of it.
    pub(crate) observed: Option<Arc<Observed>>,
}

/// Who is known by more than an address.
#[derive(Clone, Debug)]
pub(crate) enum Other {
    /// Nobody has shown an identity.
    Unknown,
    /// The client, by its SPIFFE ID.
    Peer(Arc<str>),
    /// A client in plaintext, who is nobody.
    Plaintext,
    /// Where a local application's bytes go.
    Destination(Arc<str>),
    /// Wherever routes and services of the mesh lead them; it is not known yet, or nowhere.
    Mesh,
}

/// Why a connection was cut: the end of all that was under way on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<OnceLock<End>>);

#[derive(Debug)]
enum What {
    Connection,
    Request {
        method: Method,
        uri: Uri,
        /// As the header has it, where the target names none.
        host: Option<HeaderValue>,
        id: HeaderValue,
        /// Whether it is a copy of one, of which nobody but who debugs wants to know.
        is_copy: bool,
    },
}

impl Flow {
    /// A connection that began at `started`.
    pub(crate) fn connection(who: Who, started: Instant) -> Self {
        Self::new(who, What::Connection, started)
    }

    /// A connection of any bytes, which count as those of what is observed; who counts it is known,
    /// or whoever counts connections of its kind.
    pub(crate) fn tcp(who: Who, started: Instant, meter: Option<&Arc<Meter>>) -> Self {
        let mut flow = Self::connection(who, started);
        flow.carries(meter);
        flow
    }

    /// It carries any bytes from now on, which count as those of what is observed; who counts it is
    /// known, or whoever counts connections of its kind. What is said of that first counts.
    pub(crate) fn carries(&mut self, meter: Option<&Arc<Meter>>) {
        if let Some(observed) = &self.who.observed {
            self.traffic = observed.open(meter);
        }
    }

    /// A request that begins now, by the `id` that its headers have.
    pub(crate) fn request<B>(who: Who, request: &http::Request<B>, id: HeaderValue) -> Self {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let host = request.headers().get(header::HOST).cloned();
        let is_copy = false;
        let what = What::Request {
            method,
            uri,
            host,
            id,
            is_copy,
        };
        let mut flow = Self::new(who, what, Instant::now());
        if flow.who.observed.is_some() {
            flow.counting = Some(Box::default());
        }
        flow
    }

    /// Whose it is.
    pub(crate) fn client(&self) -> SocketAddr {
        self.who.client
    }

    /// A copy of it, if it is a request, which begins now.
    pub(crate) fn copy(&self) -> Option<Self> {
        let What::Request {
            method,
            uri,
            host,
            id,
            ..
        } = &self.what
        else {
            return None;
        };
        let what = What::Request {
            method: method.clone(),
            uri: uri.clone(),
            host: host.clone(),
            id: id.clone(),
            is_copy: true,
        };
        // What cuts the connection of its client does not cut it. Nobody waits for it, so that it
        // is not counted, and Istio does not count it either.
        let who = Who {
            cut: Cut::default(),
            observed: None,
            ..self.who.clone()
        };
        Some(Self::new(who, what, Instant::now()))
    }

    fn new(who: Who, what: What, started: Instant) -> Self {
        Self {
            who,
            what,
            started,
            answered: None,
            status: None,
            traffic: Arc::default(),
            permitted_by: None,
            noted: None,
            route: None,
            upstream: None,
            attempts: 0,
            delayed: false,
            overloaded: false,
            counting: None,
            heard: None,
            end: None,
        }
    }

    /// The request's id, if it is one.
    pub(crate) fn request_id(&self) -> Option<&HeaderValue> {
        match &self.what {
            What::Connection => None,
            What::Request { id, .. } => Some(id),
        }
    }

    /// The host that a request is for.
    fn host(&self) -> Option<&str> {
        match &self.what {
            What::Connection => None,
            What::Request { uri, host, .. } => {
                let named = || host.as_ref()?.to_str().ok();
                uri.authority().map(|it| it.as_str()).or_else(named)
            }
        }
    }

    /// Where the bytes are counted.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Notes what permitted it.
    pub(crate) fn permitted(&mut self, by: &PermitWhy) {
        self.permitted_by = Some(by.clone());
    }

    /// Notes what policies say of it that change nothing.
    pub(crate) fn noted(&mut self, noted: Option<Box<Noted>>) {
        self.noted = noted;
    }

    /// Notes the port that it calls, by which it is routed.
    pub(crate) fn calls(&mut self, port: u16) {
        self.who.destination_port = Some(port);
    }

    /// Notes the route that it takes, and where that leads.
    pub(crate) fn routed(&mut self, route: &Arc<str>, destination: Arc<str>) {
        self.route = Some(Arc::clone(route));
        self.who.other = Other::Destination(destination);
    }

    /// Notes that a fault of its route lets it wait.
    pub(crate) fn delayed(&mut self) {
        self.delayed = true;
    }

    /// Notes that it is not repeated because too many are.
    pub(crate) fn overloaded(&mut self) {
        self.overloaded = true;
    }

    /// Notes one more try, on this endpoint, which has to be `peer` if it can be but one.
    pub(crate) fn tried(&mut self, endpoint: &Arc<str>, peer: Option<&Arc<str>>) {
        if let Some(heard) = &mut self.heard {
            heard.peer = peer.cloned();
        }
        self.upstream = Some(Arc::clone(endpoint));
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Notes the head of the response.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        self.answered = Some(Instant::now());
        if let Some(counting) = &mut self.counting {
            counting.head(headers);
        }
    }

    /// Notes what came of the body of the response.
    pub(crate) fn frame(&mut self, frame: &Frame<Bytes>) {
        if let Some(counting) = &mut self.counting {
            counting.frame(frame);
        }
    }

    /// Notes that it is a call of gRPC. Where messages of its client are to be counted, if anybody
    /// wants to know.
    pub(crate) fn of_grpc(&mut self) -> Option<Arc<AtomicU64>> {
        Some(self.counting.as_mut()?.of_grpc())
    }

    /// Notes who counts it; whoever counts its connection if there is nobody else.
    pub(crate) fn counted_by(&mut self, meter: Option<&Arc<Meter>>) {
        if let Some(counting) = &mut self.counting {
            counting.by(meter);
        }
    }

    /// Ends it; what ended it first is what it ended by.
    pub(crate) fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let cut = self.who.cut.0.get();
        // Nobody ended it: whoever it was for has let go of it.
        let gone = End::Downstream(Downstream::Gone);
        let end = self.end.as_ref().or(cut).unwrap_or(&gone);
        if let Some(observed) = &self.who.observed {
            self.count(end, observed);
        }
        self.report(end);
        self.write(end);
    }
}

impl Cut {
    /// Ends, by `end`, all that is under way on the connection; the first one counts.
    pub(crate) fn set(&self, end: End) {
        // A second reason would come too late to cut anything.
        let _ = self.0.set(end);
    }
}

#[cfg(test)]
mod tests;
