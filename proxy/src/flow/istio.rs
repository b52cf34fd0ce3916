//! The access log in Istio's form: its default text, or JSON with its names.
//!
//! What a client wrote stays inside of its quotes, and in its line. Of a path its query is left
//! out, in which secrets may be. What a proxy of Signet does not know is as Envoy writes what is
//! not there: `-`, or null.

use std::time::SystemTime;

use http::HeaderValue;
use serde::Serialize;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tokio::time::Instant;

use super::{
    Downstream, End, Flow, Policy, Routing, Upstream, What,
    heard::{Heard, protocol},
    line::target,
};

/// What is told, in Istio's order and by its names; ours come after them.
#[derive(Debug, Serialize)]
struct Entry<'f> {
    start_time: String,
    method: Option<&'f str>,
    path: Option<&'f str>,
    protocol: Option<&'static str>,
    response_code: u16,
    response_flags: &'static str,
    response_code_details: Option<String>,
    connection_termination_details: Option<&'f str>,
    upstream_transport_failure_reason: Option<&'f str>,
    bytes_received: u64,
    bytes_sent: u64,
    duration: u64,
    upstream_service_time: Option<u64>,
    x_forwarded_for: Option<&'f str>,
    user_agent: Option<&'f str>,
    request_id: Option<&'f str>,
    authority: Option<&'f str>,
    upstream_host: Option<&'f str>,
    upstream_cluster: Option<&'f str>,
    upstream_local_address: Option<&'f str>,
    downstream_local_address: Option<String>,
    downstream_remote_address: String,
    requested_server_name: Option<&'f str>,
    route_name: Option<&'f str>,
    source_principal: Option<String>,
    destination_principal: Option<String>,
    /// Whose end of the call it is: `source` of what goes out, `destination` of what comes in.
    reporter: &'static str,
    /// The port that is called: of what comes in that of the application.
    destination_port: Option<u16>,
    /// What policy said, if it was asked: `permit` or `deny`.
    decision: Option<&'static str>,
    permitted_by: Option<String>,
    /// Why it was denied, in words that stay the same.
    reason_id: Option<&'f str>,
    reason: Option<&'f str>,
    trace_id: Option<String>,
}

impl Flow {
    /// Its line in Istio's text; `now` is its end.
    pub(super) fn istio_text(&self, end: &End, now: SystemTime) -> String {
        let entry = self.entry(end, now);
        let code = entry.response_code;
        let Entry {
            bytes_received,
            bytes_sent,
            duration,
            ..
        } = entry;
        let plain = |value: Option<&str>| escaped(value.unwrap_or("-"));
        format!(
            "[{}] \"{} {} {}\" {code} {} {} {} \"{}\" {bytes_received} {bytes_sent} {duration} {} \
             \"{}\" \"{}\" \"{}\" \"{}\" \"{}\" {} {} {} {} {} {}\n",
            entry.start_time,
            plain(entry.method),
            plain(entry.path),
            entry.protocol.unwrap_or("-"),
            entry.response_flags,
            word(entry.response_code_details.as_deref()),
            word(entry.connection_termination_details),
            plain(entry.upstream_transport_failure_reason),
            word(
                entry
                    .upstream_service_time
                    .map(|it| it.to_string())
                    .as_deref()
            ),
            plain(entry.x_forwarded_for),
            plain(entry.user_agent),
            plain(entry.request_id),
            plain(entry.authority),
            plain(entry.upstream_host),
            word(entry.upstream_cluster),
            word(entry.upstream_local_address),
            word(entry.downstream_local_address.as_deref()),
            entry.downstream_remote_address,
            word(entry.requested_server_name),
            word(entry.route_name),
        )
    }

    /// Its line as one object of JSON.
    pub(super) fn istio_json(&self, end: &End, now: SystemTime) -> String {
        // Nothing of it can fail to be written.
        let json = serde_json::to_string(&self.entry(end, now));
        let mut line = json.unwrap_or_default();
        line.push('\n');
        line
    }

    fn entry<'f>(&'f self, end: &'f End, now: SystemTime) -> Entry<'f> {
        let took = Instant::now().duration_since(self.started);
        let (method, path) = match &self.what {
            What::Request { method, uri, .. } => (Some(method.as_str()), Some(target(uri))),
            What::Connection => (None, None),
        };
        let heard = self.heard.as_deref();
        let said = |of: fn(&Heard) -> &Option<HeaderValue>| {
            heard.and_then(|it| of(it).as_ref()?.to_str().ok())
        };
        let is_answered = matches!(end, End::Complete) && self.upstream.is_some();
        let span = heard.and_then(|it| it.span.as_ref());
        let listen = Some(self.who.recorder.listen).filter(|it| !it.ip().is_unspecified());
        let local = self.who.called.or(listen);
        Entry {
            start_time: started(now.checked_sub(took).unwrap_or(now)),
            method,
            path,
            protocol: heard.map(|it| protocol(it.version)),
            response_code: self.status.map_or(0, |status| status.as_u16()),
            response_flags: self.flags(end),
            response_code_details: method.map(|_| details(end, is_answered)),
            connection_termination_details: None,
            upstream_transport_failure_reason: Some(end.why())
                .filter(|_| matches!(end, End::Upstream(Upstream::Unreachable(_)))),
            bytes_received: self.traffic.received(),
            bytes_sent: self.traffic.sent(),
            duration: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            upstream_service_time: self.milliseconds(self.answered).filter(|_| is_answered),
            x_forwarded_for: said(|it| &it.forwarded_for),
            user_agent: said(|it| &it.user_agent),
            request_id: self.request_id().and_then(|id| id.to_str().ok()),
            authority: said(|it| &it.authority),
            upstream_host: self.upstream.as_deref(),
            upstream_cluster: self.cluster(),
            upstream_local_address: None,
            downstream_local_address: local.map(|it| it.to_string()),
            downstream_remote_address: self.who.client.to_string(),
            requested_server_name: self.who.server_name.as_deref(),
            route_name: self.route.as_deref().filter(|it| !it.is_empty()),
            source_principal: self.source(),
            destination_principal: self.destination(),
            reporter: self.reporter(),
            destination_port: self.who.destination_port,
            decision: match (&self.permitted_by, end) {
                (_, End::Policy(_)) => Some("deny"),
                (Some(_), _) => Some("permit"),
                (None, _) => None,
            },
            permitted_by: self.permitted_by.as_ref().map(ToString::to_string),
            reason_id: end.denial(),
            reason: Some(end.why()).filter(|_| !matches!(end, End::Complete)),
            trace_id: span.map(|it| format!("{:032x}", it.trace_id)),
        }
    }
}

fn started(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at).format(TIME);
    at.unwrap_or_else(|_| "-".to_owned())
}

/// Envoy's `%RESPONSE_CODE_DETAILS%`, where it has a word for it.
fn details(end: &End, is_answered: bool) -> String {
    let details = match end {
        End::Complete if is_answered => "via_upstream",
        End::Complete => "direct_response",
        End::Downstream(Downstream::Gone | Downstream::Broken(_)) => "downstream_remote_disconnect",
        End::Downstream(Downstream::NotAuthenticated(_)) => "downstream_not_authenticated",
        End::Downstream(Downstream::Malformed(_)) => "downstream_malformed",
        End::Downstream(Downstream::NotSupported(_)) => "downstream_not_supported",
        End::Downstream(Downstream::Silent) => "stream_idle_timeout",
        End::Downstream(Downstream::Aged) => "max_duration_timeout",
        End::Policy(Policy::Denied(denial)) => {
            return format!("rbac_access_denied_matched_policy[{}]", denial.id());
        }
        End::Policy(Policy::RateLimited) => "local_rate_limited",
        End::Policy(Policy::BadToken(_)) => "jwt_authn_access_denied",
        End::Policy(Policy::Withdrawn(_)) => "rbac_access_withdrawn",
        End::Policy(Policy::Distrusted(_)) => "trust_withdrawn",
        End::Routing(Routing::NoService(_) | Routing::NoRoute(_)) => "route_not_found",
        // Istio has a route for it that answers itself.
        End::Routing(Routing::BlackHole(_)) => "direct_response",
        End::Routing(Routing::NoCluster(_)) => "cluster_not_found",
        End::Routing(Routing::NoEndpoint(_)) => "no_healthy_upstream",
        End::Routing(Routing::Overloaded(_)) => "upstream_reset_before_response_started{overflow}",
        End::Routing(Routing::Fault) => "fault_filter_abort",
        End::Routing(Routing::OutOfMemory) => "overload",
        End::Upstream(Upstream::Unreachable(_)) => {
            "upstream_reset_before_response_started{remote_connection_failure}"
        }
        End::Upstream(Upstream::Broken(_)) => {
            "upstream_reset_before_response_started{connection_termination}"
        }
        End::Upstream(Upstream::Timeout(_)) => "response_timeout",
        End::Shutdown(_) => "shutdown",
    };
    details.to_owned()
}

/// A value that stands without quotes: it has no white space, as Envoy has it.
fn word(value: Option<&str>) -> String {
    escaped(value.unwrap_or("-")).replace(' ', "_")
}

/// A value that ends neither its quotes nor its line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Envoy's `%START_TIME%`.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
