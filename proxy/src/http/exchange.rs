//! One request and its response, from the first header to the last byte: the line in the
//! access log, and the entry among the requests in flight.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use http::{HeaderValue, Method, StatusCode, Uri};
use tracing::info;

use super::in_flight::Ticket;

/// What the access log says of a request; written when dropped.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The port's name.
    pub(crate) port: Arc<str>,
    /// Who asked: a SPIFFE ID, or `-` for a local application.
    pub(crate) peer: Arc<str>,
    pub(crate) client: SocketAddr,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) request_id: HeaderValue,
    pub(crate) started: Instant,
    pub(crate) outcome: Outcome,
    /// Removes the request from those in flight.
    pub(crate) ticket: Option<Ticket>,
}

/// How an exchange went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) status: Option<StatusCode>,
    /// The reason of a reply that is the proxy's own.
    pub(crate) reason: Option<String>,
    pub(crate) sent: u64,
    pub(crate) broken: bool,
}

impl Exchange {
    /// Counts bytes of the response's body.
    pub(crate) fn add_sent(&mut self, bytes: usize) {
        self.outcome.sent += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Notes that the response was cut off by the next hop.
    pub(crate) fn broken(&mut self) {
        self.outcome.broken = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let outcome = &self.outcome;
        info!(
            target: ACCESS_LOG,
            port = &*self.port,
            peer = &*self.peer,
            client = %self.client,
            status = outcome.status.map_or(0, |status| status.as_u16()),
            permitted_by = self.ticket.as_ref().map(|ticket| tracing::field::display(ticket.permit())),
            reason = outcome.reason.as_deref(),
            bytes_sent = outcome.sent,
            cut_off = outcome.broken.then_some(true),
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id = self.request_id.to_str().unwrap_or("-"),
            "{} {}",
            self.method,
            self.uri.path(),
        );
    }
}

/// The target of access log lines.
pub(crate) const ACCESS_LOG: &str = "signet_proxy::access";
