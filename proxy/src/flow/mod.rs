//! The record of one connection or request: who, what, how many bytes, when, and how it ended. The
//! access log is written from it, and metrics are counted, in one place each, when it is dropped.

mod count;
mod end;
mod line;
mod observer;
mod traffic;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use signet_mesh::PermitWhy;
use tokio::time::Instant;

pub(crate) use end::{Denial, Downstream, End, Policy, Routing, Shutdown, Upstream, whole};
pub(crate) use observer::{Connections, LiveConnection, Observed, Observer, Watching};
pub(crate) use traffic::Traffic;

use crate::metrics::{Meter, Spoken};

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
    /// The route that it took.
    route: Option<Arc<str>>,
    /// The endpoint that was tried last.
    upstream: Option<Arc<str>>,
    attempts: u32,
    /// Whether a fault of its route let it wait.
    delayed: bool,
    /// Whether it was not repeated because too many were.
    overloaded: bool,
    spoken: Spoken,
    /// The status of gRPC that the response has.
    grpc_status: Option<u16>,
    /// Who counts it, if it is known whom it goes to; else whoever counts its connection.
    meter: Option<Arc<Meter>>,
    end: Option<End>,
}

/// Whose connection it is.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// The port's name.
    pub(crate) port: Arc<str>,
    pub(crate) client: SocketAddr,
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
    /// Where a local application's bytes go.
    Destination(Arc<str>),
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
        let traffic = who.observed.as_ref().map(|it| it.open(meter));
        let mut flow = Self::new(who, What::Connection, started);
        if let Some(traffic) = traffic {
            flow.traffic = traffic;
        }
        flow
    }

    /// A request that begins now, by the `id` that its headers have.
    pub(crate) fn request<B>(who: Who, request: &http::Request<B>, id: HeaderValue) -> Self {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let is_copy = false;
        let what = What::Request {
            method,
            uri,
            id,
            is_copy,
        };
        Self::new(who, what, Instant::now())
    }

    /// A copy of it, if it is a request, which begins now.
    pub(crate) fn copy(&self) -> Option<Self> {
        let What::Request {
            method, uri, id, ..
        } = &self.what
        else {
            return None;
        };
        let what = What::Request {
            method: method.clone(),
            uri: uri.clone(),
            id: id.clone(),
            is_copy: true,
        };
        // What cuts the connection of its client does not cut it.
        let who = Who {
            cut: Cut::default(),
            ..self.who.clone()
        };
        Some(Self::new(who, what, Instant::now()))
    }

    fn new(who: Who, what: What, started: Instant) -> Self {
        Self {
            spoken: Spoken::Http,
            grpc_status: None,
            meter: None,
            who,
            what,
            started,
            answered: None,
            status: None,
            traffic: Arc::default(),
            permitted_by: None,
            route: None,
            upstream: None,
            attempts: 0,
            delayed: false,
            overloaded: false,
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

    /// Where the bytes are counted.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Notes what permitted it.
    pub(crate) fn permitted(&mut self, by: &PermitWhy) {
        self.permitted_by = Some(by.clone());
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

    /// Notes one more try, on this endpoint.
    pub(crate) fn tried(&mut self, endpoint: &Arc<str>) {
        self.upstream = Some(Arc::clone(endpoint));
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Notes the head of the response.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        self.answered = Some(Instant::now());
        self.grpc_status(headers);
    }

    /// Notes the trailers of the response.
    pub(crate) fn trailers(&mut self, trailers: &HeaderMap) {
        self.grpc_status(trailers);
    }

    fn grpc_status(&mut self, headers: &HeaderMap) {
        if self.spoken == Spoken::Grpc
            && let Some(status) = headers.get("grpc-status")
        {
            let status = status.to_str().ok().and_then(|text| text.parse().ok());
            self.grpc_status = status;
        }
    }

    /// Notes that it is a call of gRPC.
    pub(crate) fn of_grpc(&mut self) {
        self.spoken = Spoken::Grpc;
    }

    /// Whether it wants to know of messages of gRPC.
    pub(crate) fn counts_messages(&self) -> bool {
        self.spoken == Spoken::Grpc && self.who.observed.is_some()
    }

    /// Notes who counts it; whoever counts its connection if there is nobody else.
    pub(crate) fn counted_by(&mut self, meter: Option<&Arc<Meter>>) {
        if let Some(meter) = meter {
            self.meter = Some(Arc::clone(meter));
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
