//! Inbound HTTP: one decision per request, asked again while it runs.

use std::{fmt::Display, future::Future, sync::Arc, time::Instant};

use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use signet_mesh::{Decision, Http, HttpPath, Permit, WorkloadPolicy};
use tokio::time::sleep;
use tracing::warn;

use super::{Authenticated, Port};
use crate::{
    clock,
    http::{
        body::Outgoing,
        exchange::{Exchange, Outcome},
        forward::{self, refuse},
        headers::{self, X_FORWARDED_CLIENT_CERT},
        in_flight::{Facts, InFlight, Ticket},
        reply::Reason,
        serve::serve,
    },
    peer::Peer,
};

/// An inbound HTTP connection: what its requests share.
#[derive(Debug)]
struct Connection {
    port: Arc<Port>,
    peer: Peer,
    peer_id: Arc<str>,
    certificate_hash: String,
    in_flight: InFlight,
}

/// A request that must not go on, and why.
struct Refusal {
    reason: Reason,
    why: String,
}

impl Refusal {
    fn bad(why: impl Display) -> Self {
        Self {
            reason: Reason::BadRequest,
            why: why.to_string(),
        }
    }
}

impl Port {
    pub(super) async fn carry_http(self: Arc<Self>, authenticated: Authenticated) {
        let Authenticated {
            stream,
            peer,
            sources,
        } = authenticated;
        let connection = Arc::new(Connection {
            peer_id: peer.leaf.id.to_string().into(),
            certificate_hash: peer.certificate_hash(),
            in_flight: InFlight::default(),
            port: Arc::clone(&self),
            peer,
        });
        let objection = |policy: &WorkloadPolicy| connection.objection(policy);
        let lost = sources.lost(&connection.peer, objection);
        let answer = |request| Arc::clone(&connection).answer(request);
        if let Some(lost) = serve(stream, answer, connection.drain(), lost).await {
            warn!(
                port = &*self.name,
                peer = &*connection.peer_id,
                "connection cut: {lost}"
            );
        }
    }
}

impl Connection {
    /// Ready when the proxy stops or the client's SVID has expired: an identity that is
    /// renewed comes back on a new connection.
    fn drain(&self) -> impl Future<Output = ()> {
        let left = self
            .peer
            .leaf
            .not_after
            .duration_since(clock::now())
            .unwrap_or_default();
        let stopping = self.port.shutdown.clone();
        async move {
            tokio::select! {
                () = sleep(left) => {}
                () = stopping.cancelled() => {}
            }
        }
    }

    async fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> Response<Outgoing> {
        // Whatever the header claims comes from outside.
        request.headers_mut().remove(X_FORWARDED_CLIENT_CERT);
        let exchange = self.exchange(&mut request);
        if let Some(why) = forward::unsupported(&request) {
            let why = why.to_owned();
            return refuse(
                Reason::NotSupported,
                why,
                forward::is_grpc(&request),
                exchange,
            );
        }
        match self.permit(&mut request) {
            Ok(ticket) => self.forward(request, ticket, exchange).await,
            Err(refusal) => {
                let is_grpc = forward::is_grpc(&request);
                refuse(refusal.reason, refusal.why, is_grpc, exchange)
            }
        }
    }

    /// The ticket is the proof that policy permits the request.
    async fn forward(
        &self,
        mut request: Request<Incoming>,
        ticket: Ticket,
        mut exchange: Exchange,
    ) -> Response<Outgoing> {
        exchange.ticket = Some(ticket);
        self.introduce(&mut request);
        forward::forward(request, &self.port.pool, exchange).await
    }

    fn exchange(&self, request: &mut Request<Incoming>) -> Exchange {
        Exchange {
            port: Arc::clone(&self.port.name),
            peer: Arc::clone(&self.peer_id),
            client: self.peer.address,
            request_id: headers::request_id(request.headers_mut()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            started: Instant::now(),
            outcome: Outcome::default(),
            ticket: None,
        }
    }

    /// Judges a request; permitted, it is among those in flight.
    fn permit(&self, request: &mut Request<Incoming>) -> Result<Ticket, Refusal> {
        forward::normalize_path(request).map_err(Refusal::bad)?;
        let policy = self.port.sources.policy();
        let facts = Facts {
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: forward::host(request)
                .ok_or_else(|| Refusal::bad("the request names no host"))?,
            headers: if policy.reads_headers() {
                request.headers().clone()
            } else {
                HeaderMap::new()
            },
        };
        let permit = self.judge(&policy, &facts)?;
        // No await stands between this and the judgement, and the watch on the policy runs
        // on this thread: a change is noticed before or after both.
        Ok(self.in_flight.add(permit, facts))
    }

    fn judge(&self, policy: &WorkloadPolicy, facts: &Facts) -> Result<Permit, Refusal> {
        let path = HttpPath::parse(facts.uri.path()).map_err(Refusal::bad)?;
        let mut question = self.port.question(&self.peer);
        question.http = Some(Http {
            method: facts.method.as_str(),
            path: &path,
            host: facts.host.to_str().unwrap_or_default(),
            headers: &facts.headers,
        });
        match policy.decide(&question) {
            Decision::Permit(permit) => Ok(permit),
            Decision::Denied(denied) => Err(Refusal {
                reason: Reason::Denied,
                why: denied.public_reason(),
            }),
        }
    }

    fn objection(&self, policy: &WorkloadPolicy) -> Option<String> {
        self.in_flight
            .find(|facts| self.judge(policy, facts).err().map(|refusal| refusal.why))
    }

    /// Tells the application who asks.
    fn introduce(&self, request: &mut Request<Incoming>) {
        let own = self.port.sources.identity.borrow().clone();
        let value: Option<HeaderValue> = own.and_then(|own| {
            headers::client_cert(own.id(), &self.certificate_hash, &self.peer.leaf.id)
        });
        if let Some(value) = value {
            request.headers_mut().insert(X_FORWARDED_CLIENT_CERT, value);
        }
    }
}
