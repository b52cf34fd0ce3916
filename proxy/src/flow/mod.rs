//! The record of one connection or request: who, what, how many bytes, when, and how it ended. The
//! access log is written from it, in one place, when it is dropped.

mod end;

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderValue, Method, StatusCode, Uri};
use signet_mesh::{Noted, PermitWhy, RuleRef};
use tokio::time::Instant;
use tracing::{debug, field, info, warn};

pub(crate) use end::{Downstream, End, Policy, Routing, Shutdown, Upstream, whole};

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

/// Bytes of a flow, as its client sees them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Flow {
    /// A connection that began at `started`.
    pub(crate) fn connection(who: Who, started: Instant) -> Self {
        Self::new(who, What::Connection, started)
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

    /// Whose it is.
    pub(crate) fn client(&self) -> SocketAddr {
        self.who.client
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

    /// Notes what policies say of it that change nothing.
    pub(crate) fn noted(&mut self, noted: Option<Box<Noted>>) {
        self.noted = noted;
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
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.answered = Some(Instant::now());
    }

    /// Ends it; what ended it first is what it ended by.
    pub(crate) fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    fn write(&self, end: &End) {
        macro_rules! line {
            ($level:ident, $text:expr) => {
                $level!(
                    target: ACCESS_LOG,
                    port = &*self.who.port,
                    peer = self.who.other.peer(),
                    client = %self.who.client,
                    destination = self.who.other.destination(),
                    route = self.route.as_deref(),
                    upstream = self.upstream(),
                    attempts = self.attempts(),
                    status = self.status.map(|status| status.as_u16()),
                    permitted_by = self.permitted_by.as_ref().map(field::display),
                    audited_by = self.audited_by(),
                    dry_run = self.would_be(),
                    reason = self.reason(end),
                    response_flags = self.flags(end),
                    bytes_received = self.traffic.received(),
                    bytes_sent = self.traffic.sent(),
                    duration_ms = self.milliseconds(Some(Instant::now())),
                    upstream_ms = self.milliseconds(self.answered),
                    request_id = self.request_id().map(|id| id.to_str().unwrap_or("-")),
                    "{}",
                    $text
                )
            };
        }
        match &self.what {
            What::Request {
                method,
                uri,
                is_copy: true,
                ..
            } => {
                line!(debug, format_args!("copy of {method} {}", target(uri)));
            }
            What::Request { method, uri, .. } => {
                line!(info, format_args!("{method} {}", target(uri)));
            }
            What::Connection if end.is_refusal() => {
                line!(warn, format_args!("connection {end}"));
            }
            What::Connection => line!(info, format_args!("connection {end}")),
        }
    }

    fn audited_by(&self) -> Option<field::DisplayValue<&RuleRef>> {
        let noted = self.noted.as_deref()?;
        noted.audited.as_ref().map(field::display)
    }

    fn would_be(&self) -> Option<&str> {
        self.noted.as_deref()?.would_be.as_deref()
    }

    /// Of what a route decides, where it was tried last.
    fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref().filter(|_| self.route.is_some())
    }

    fn attempts(&self) -> Option<u32> {
        self.route.as_ref().map(|_| self.attempts)
    }

    fn flags(&self, end: &End) -> &'static str {
        match (self.delayed, self.overloaded, end.flag()) {
            (true, false, "FI") => "DI,FI",
            (true, false, "-") => "DI",
            (true, true, "-") => "DI,UO",
            (false, true, "-") => "UO",
            (_, _, flag) => flag,
        }
    }

    /// A connection's line says it in its message.
    fn reason<'e>(&self, end: &'e End) -> Option<&'e str> {
        match (&self.what, end) {
            (What::Connection, _) | (What::Request { .. }, End::Complete) => None,
            (What::Request { .. }, end) => Some(end.why()),
        }
    }

    fn milliseconds(&self, until: Option<Instant>) -> Option<u64> {
        let took = until?.duration_since(self.started).as_millis();
        Some(u64::try_from(took).unwrap_or(u64::MAX))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let cut = self.who.cut.0.get();
        match self.end.as_ref().or(cut) {
            Some(end) => self.write(end),
            // Nobody ended it: whoever it was for has let go of it.
            None => self.write(&End::Downstream(Downstream::Gone)),
        }
    }
}

impl Other {
    fn peer(&self) -> Option<&str> {
        match self {
            Self::Peer(id) => Some(id),
            Self::Plaintext => Some("plaintext"),
            Self::Unknown | Self::Destination(_) => None,
        }
    }

    fn destination(&self) -> Option<&str> {
        match self {
            Self::Destination(name) => Some(name),
            Self::Unknown | Self::Peer(_) | Self::Plaintext => None,
        }
    }
}

impl Cut {
    /// Ends, by `end`, all that is under way on the connection; the first one counts.
    pub(crate) fn set(&self, end: End) {
        // A second reason would come too late to cut anything.
        let _ = self.0.set(end);
    }
}

impl Traffic {
    /// Counts bytes that came from the client.
    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(wide(bytes), Ordering::Relaxed);
    }

    /// Counts bytes that went to the client.
    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(wide(bytes), Ordering::Relaxed);
    }

    /// Bytes that came from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that went to the client.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The path, or of a tunnel where it leads.
fn target(uri: &Uri) -> &str {
    match (uri.path(), uri.authority()) {
        ("", Some(authority)) => authority.as_str(),
        (path, _) => path,
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The target of access log lines.
const ACCESS_LOG: &str = "signet_proxy::access";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{lines, who};

    fn request() -> Flow {
        let request = http::Request::get("/hello?who").body(()).unwrap();
        Flow::request(who(), &request, HeaderValue::from_static("r-1"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_one_line_with_who_what_bytes_times_and_its_end() {
        let (told, ()) = lines(async {
            let mut flow = request();
            flow.who.other = Other::Peer("spiffe://example.org/web".into());
            flow.permitted(&PermitWhy::NoAllowPolicy);
            tokio::time::sleep(std::time::Duration::from_millis(7)).await;
            flow.answered(StatusCode::OK);
            flow.traffic().add_sent(5);
            flow.end(End::Complete);
        })
        .await;
        assert_eq!(told.lines().count(), 1, "{told}");
        for part in [
            "GET /hello port=\"web\" peer=\"spiffe://example.org/web\" client=127.0.0.1:9 status=200",
            "permitted_by=permitted: no ALLOW policy restricts this workload response_flags=\"-\" bytes_received=0 bytes_sent=5",
            "duration_ms=7 upstream_ms=7 request_id=\"r-1\"",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[tokio::test]
    async fn what_ended_a_flow_first_is_what_it_ended_by() {
        let (told, ()) = lines(async {
            let mut flow = request();
            flow.end(End::Upstream(Upstream::Timeout("no answer".into())));
            flow.end(End::Complete);
        })
        .await;
        assert!(
            told.contains("reason=\"no answer\" response_flags=\"UT\""),
            "{told}"
        );
    }

    #[tokio::test]
    async fn a_cut_ends_whatever_is_under_way_on_the_connection() {
        let (told, ()) = lines(async {
            let flow = request();
            flow.who
                .cut
                .set(End::Policy(Policy::Withdrawn("denied now".into())));
            drop(flow);
        })
        .await;
        assert!(told.contains("reason=\"denied now\""), "{told}");
    }

    #[tokio::test]
    async fn a_connection_that_was_refused_is_a_warning() {
        let (told, ()) = lines(async {
            let mut flow = Flow::connection(who(), Instant::now());
            flow.end(End::Policy(Policy::Denied("no rule".into())));
        })
        .await;
        assert!(
            told.contains("WARN") && told.contains("connection denied: no rule"),
            "{told}"
        );
    }
}
