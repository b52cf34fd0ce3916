//! Inbound HTTP: one decision per request, asked again while it runs.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use signet_mesh::{Decision, Http, Permit, WorkloadPolicy};
use tokio::time::{Instant, sleep};

use super::{Authenticated, Port};
use crate::{
    clock,
    flow::{Denial, End, Flow, Policy, Shutdown, Who},
    forward::forward,
    headers,
    http::{
        in_flight::{Facts, InFlight, Right, Ticket},
        outgoing::Outgoing,
        reply::refuse,
        request::HttpRequest,
        serve::serve,
    },
    peer::Peer,
    reauthorize::Sources,
    route::Routed,
};

/// An inbound HTTP connection: what its requests share.
#[derive(Debug)]
struct Connection {
    port: Arc<Port>,
    peer: Peer,
    who: Who,
    started: Instant,
    certificate_hash: String,
    in_flight: InFlight,
}

impl Port {
    pub(super) async fn carry_http(self: Arc<Self>, authenticated: Authenticated, who: Who) {
        let Authenticated {
            stream,
            peer,
            sources,
        } = authenticated;
        let connection = Arc::new(Connection {
            certificate_hash: peer.certificate_hash(),
            in_flight: InFlight::default(),
            started: Instant::now(),
            port: self,
            peer,
            who,
        });
        let answer = |request| Arc::clone(&connection).answer(request);
        let lost = connection.lost(sources.clone());
        serve(stream, answer, connection.drain(), lost).await;
    }
}

impl Connection {
    /// Ready when everything on the connection has to end, which is said of each request on it and
    /// of itself.
    async fn lost(&self, sources: Sources) {
        let objection = |policy: &WorkloadPolicy| self.objection(policy);
        let end = tokio::select! {
            lost = sources.lost(&self.peer, objection) => lost.into(),
            () = self.port.listener.ends.cut.cancelled() => End::Shutdown(Shutdown::Stopping),
        };
        self.who.cut.set(end);
        drop(Flow::connection(self.who.clone(), self.started));
    }

    /// Ready when the port drains or the client's SVID has expired: an identity that is renewed
    /// comes back on a new connection.
    fn drain(&self) -> impl Future<Output = ()> {
        let left = self
            .peer
            .leaf
            .not_after
            .duration_since(clock::now())
            .unwrap_or_default();
        let draining = self.port.listener.ends.drain.clone();
        async move {
            tokio::select! {
                () = sleep(left) => {}
                () = draining.cancelled() => {}
            }
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Outgoing> {
        let (flow, read) = HttpRequest::read(request, self.who.clone());
        let mut request = match read {
            Ok(request) => request,
            Err(unreadable) => return refuse(unreadable.end, unreadable.kind, flow),
        };
        match self.permit(&request) {
            Ok(ticket) => {
                if let Some(client_cert) = self.client_cert() {
                    request.introduce(client_cert);
                }
                let routed = Routed::as_it_is(request, self.port.cluster());
                forward(routed, Right::Permitted(ticket), flow).await
            }
            Err(denied) => refuse(End::Policy(denied), request.kind(), flow),
        }
    }

    /// Judges a request; permitted, it is among those in flight.
    fn permit(&self, request: &HttpRequest) -> Result<Ticket, Policy> {
        let model = self.port.listener.sources.model();
        let facts = Facts {
            asks: Arc::clone(request.asks()),
            headers: match model.policy.reads_headers() {
                true => request.headers().clone(),
                false => HeaderMap::new(),
            },
        };
        let permit = self.judge(&model.policy, &facts)?;
        // No await stands between this and the judgement, and the watch on the policy runs
        // on this thread: a change is noticed before or after both.
        Ok(self.in_flight.add(permit, facts))
    }

    fn judge(&self, policy: &WorkloadPolicy, facts: &Facts) -> Result<Permit, Policy> {
        let mut question = self.port.question(&self.peer);
        question.http = Some(Http {
            method: facts.asks.method.as_str(),
            path: &facts.asks.path,
            host: facts.asks.host.to_str().unwrap_or_default(),
            headers: &facts.headers,
        });
        match policy.decide(&question) {
            Decision::Permit(permit) => Ok(permit),
            Decision::Denied(denied) => {
                let why = denied.public_reason();
                Err(Policy::Denied(Denial::new(&denied, why)))
            }
        }
    }

    fn objection(&self, policy: &WorkloadPolicy) -> Option<String> {
        self.in_flight.find(|facts| {
            let denied = self.judge(policy, facts).err()?;
            Some(End::Policy(denied).why().to_owned())
        })
    }

    /// What tells the application who asks.
    fn client_cert(&self) -> Option<HeaderValue> {
        let own = self.port.listener.sources.identity.borrow().clone()?;
        headers::client_cert(own.id(), &self.certificate_hash, &self.peer.leaf.id)
    }
}
