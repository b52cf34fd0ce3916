//! The span of a request, in OpenTelemetry's words where it has them (semantic conventions, HTTP
//! spans), and else in those of Istio and Envoy.

use http::Version;
use signet_daemon::spans::{Attribute, Span, SpanKind};
use signet_mesh::Side;
use tokio::time::Instant;

use super::{End, Flow, What, heard::Heard, line::target};
use crate::trace::{Begun, cut};

impl Flow {
    /// Hands over its span, if it has one.
    pub(super) fn report(&self, end: &End) {
        let Some(heard) = &self.heard else {
            return;
        };
        let (Some(begun), What::Request { method, .. }) = (&heard.span, &self.what) else {
            return;
        };
        let recorder = &self.who.recorder;
        let method = method.as_str();
        // Low in number, as the conventions want it: paths are not.
        let name = match &self.route {
            Some(route) if !route.is_empty() => format!("{method} {route}"),
            Some(_) | None => method.to_owned(),
        };
        let error = self.error(end);
        let mut attributes = self.attributes(heard, end);
        if let Some((kind, _)) = &error {
            attributes.push(Attribute::text("error.type", kind.clone()));
        }
        self.add_tags(begun, &mut attributes);
        let (kind, peer) = match recorder.side {
            Side::Client => (
                SpanKind::Client,
                self.upstream.as_deref().and_then(|it| it.parse().ok()),
            ),
            Side::Server => (SpanKind::Server, Some(self.who.client)),
        };
        begun.report(Span {
            trace_id: begun.trace_id,
            span_id: begun.span_id,
            parent_id: begun.parent_id,
            trace_state: begun.trace_state.clone(),
            service: recorder.service(),
            kind,
            name,
            start: begun.start,
            took: Instant::now().duration_since(self.started),
            error: error.map(|(_, why)| why),
            peer,
            attributes,
        });
    }

    fn attributes(&self, heard: &Heard, end: &End) -> Vec<Attribute> {
        let text = |name, value: Option<&str>| value.map(|it| Attribute::text(name, cut(it)));
        let header = |name, value: &Option<http::HeaderValue>| {
            text(name, value.as_ref().and_then(|it| it.to_str().ok()))
        };
        let (method, path) = match &self.what {
            What::Request { method, uri, .. } => (Some(method.as_str()), Some(target(uri))),
            What::Connection => (None, None),
        };
        let version = match heard.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        let status = self.status.map(|status| status.as_u16());
        let retries = self.attempts.saturating_sub(1);
        let id = self.request_id().and_then(|id| id.to_str().ok());
        let client = self.who.client.ip().to_string();
        let (source, destination) = (self.source(), self.destination());
        [
            text("http.request.method", method),
            text("url.path", path),
            text("url.scheme", Some("http")),
            status.map(|it| Attribute::number("http.response.status_code", it)),
            text("network.protocol.version", Some(version)),
            header("server.address", &heard.authority),
            text("client.address", Some(&client)),
            header("user_agent.original", &heard.user_agent),
            (retries > 0).then(|| Attribute::number("http.request.resend_count", retries)),
            self.grpc_status()
                .map(|it| Attribute::number("rpc.grpc.status_code", it)),
            Some(Attribute::number(
                "http.request.body.size",
                self.traffic.received(),
            )),
            Some(Attribute::number(
                "http.response.body.size",
                self.traffic.sent(),
            )),
            text("source.principal", source.as_deref()),
            text("destination.principal", destination.as_deref()),
            text("route_name", self.route.as_deref()),
            text("upstream_cluster", self.cluster()),
            text("upstream_address", self.upstream.as_deref()),
            text("response_flags", Some(self.flags(end))),
            text("denial", end.denial()),
            text("guid:x-request-id", id),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What Istio says of a workload, and what documents say of a request.
    fn add_tags(&self, begun: &Begun, attributes: &mut Vec<Attribute>) {
        let own = self.who.recorder.own();
        let of_istio = [
            ("istio.namespace", own.namespace()),
            ("istio.canonical_service", own.canonical_service()),
            ("istio.canonical_revision", own.canonical_revision()),
        ];
        if begun.has_istio_tags {
            let known = of_istio.into_iter();
            let known = known.filter_map(|(name, value)| Some(Attribute::text(name, value?)));
            attributes.extend(known);
        }
        for tag in &begun.tags {
            // One of a document goes before one of ours.
            attributes.retain(|other| other.name != tag.name);
            attributes.push(tag.clone());
        }
    }

    /// What kind of error it was, and why, if it was one: for a server, what it is to blame for.
    fn error(&self, end: &End) -> Option<(String, String)> {
        let status = self.status.map(|status| status.as_u16());
        let least = match self.who.recorder.side {
            Side::Client => 400,
            Side::Server => 500,
        };
        let why = Some(end.why()).filter(|_| !matches!(end, End::Complete));
        let why = || why.unwrap_or_default().to_owned();
        if let Some(status) = status.filter(|status| *status >= least) {
            return Some((status.to_string(), why()));
        }
        if let Some(status) = self.grpc_status().filter(|status| *status != 0) {
            return Some((status.to_string(), why()));
        }
        match (status, end) {
            (_, End::Complete | End::Policy(_)) | (Some(_), End::Routing(_)) => None,
            (_, broken) => Some((self.flags(broken).to_owned(), why())),
        }
    }
}
