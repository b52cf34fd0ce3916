//! The line of the access log.

use http::Uri;
use signet_daemon::log;
use signet_mesh::RuleRef;
use tokio::time::Instant;
use tracing::{debug, field, info, warn};

use super::{End, Flow, Other, Routing, What};
use crate::{clock, config::AccessLogFormat};

impl Flow {
    /// Writes its line, if it is to have one.
    pub(super) fn write(&self, end: &End) {
        let recorder = &self.who.recorder;
        let code = self.status.map(|status| status.as_u16());
        let well = matches!(end, End::Complete) && code.is_none_or(|code| code < 500);
        if !recorder.access().have(code, well) {
            return;
        }
        match (recorder.format(), &self.what) {
            (AccessLogFormat::Signet, _) => self.say(end),
            // Istio says nothing of copies.
            (_, What::Request { is_copy: true, .. }) => {}
            (AccessLogFormat::IstioText, _) => log::line(&self.istio_text(end, clock::now())),
            (AccessLogFormat::IstioJson, _) => log::line(&self.istio_json(end, clock::now())),
        }
    }

    fn say(&self, end: &End) {
        macro_rules! line {
            ($level:ident, $text:expr) => {
                $level!(
                    target: ACCESS_LOG,
                    port = &*self.who.recorder.name,
                    peer = self.who.other.peer(),
                    client = %self.who.client,
                    destination_port = self.who.destination_port,
                    host = self.host(),
                    downstream_local_address = self.who.called.map(field::display),
                    requested_server_name = self.who.server_name.as_deref(),
                    destination = self.who.other.destination(),
                    route = self.route.as_deref(),
                    upstream = self.upstream(),
                    attempts = self.attempts(),
                    status = self.status.map(|status| status.as_u16()),
                    permitted_by = self.permitted_by.as_ref().map(field::display),
                    audited_by = self.audited_by(),
                    dry_run = self.would_be(),
                    reason = self.reason(end),
                    denial = end.denial(),
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

    pub(super) fn flags(&self, end: &End) -> &'static str {
        let flag = match (&self.what, end) {
            // A cluster without endpoints, as Istio has it.
            (What::Connection, End::Routing(Routing::BlackHole(_))) => "UH",
            (_, end) => end.flag(),
        };
        match (self.delayed, self.overloaded, flag) {
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

    pub(super) fn milliseconds(&self, until: Option<Instant>) -> Option<u64> {
        let took = until?.duration_since(self.started).as_millis();
        Some(u64::try_from(took).unwrap_or(u64::MAX))
    }
}

impl Other {
    fn peer(&self) -> Option<&str> {
        match self {
            Self::Peer(id) => Some(id),
            Self::Plaintext => Some("plaintext"),
            Self::Unknown | Self::Destination(_) | Self::Mesh => None,
        }
    }

    pub(super) fn destination(&self) -> Option<&str> {
        match self {
            Self::Destination(name) => Some(name),
            Self::Mesh => Some("mesh"),
            Self::Unknown | Self::Peer(_) | Self::Plaintext => None,
        }
    }
}

/// The path, or of a tunnel where it leads.
pub(super) fn target(uri: &Uri) -> &str {
    match (uri.path(), uri.authority()) {
        ("", Some(authority)) => authority.as_str(),
        (path, _) => path,
    }
}

/// The target of access log lines.
const ACCESS_LOG: &str = "signet_proxy::access";
