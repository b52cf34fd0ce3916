//! Inbound HTTP: one decision per request, asked again while it runs.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use signet_mesh::{Decision, Http, Permit, Request as Question, WorkloadModel, WorkloadPolicy};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep},
};

use super::{Authenticated, Port, Reached};
use crate::{
    admission::{self, Bucket},
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
    peer::{Peer, Proven},
    reauthorize::Sources,
    route::Routed,
};

/// An inbound HTTP connection: what its requests share.
#[derive(Debug)]
struct Connection {
    port: Arc<Port>,
    reached: Reached,
    peer: Peer,
    who: Who,
    started: Instant,
    /// Empty for who has no certificate.
    certificate_hash: String,
    /// What bounds its requests.
    bucket: Option<Arc<Bucket>>,
    in_flight: InFlight,
}

impl Port {
    pub(super) async fn carry_http<S>(
        self: Arc<Self>,
        authenticated: Authenticated<S>,
        reached: Reached,
        who: Who,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Authenticated {
            stream,
            peer,
            sources,
        } = authenticated;
        let proven = peer.proven.as_ref();
        let connection = Arc::new(Connection {
            certificate_hash: proven.map(Proven::certificate_hash).unwrap_or_default(),
            bucket: self.admission.bucket(&peer),
            reached,
            in_flight: InFlight::default(),
            started: Instant::now(),
            port: self,
            peer,
            who,
        });
        let answer = |request| Arc::clone(&connection).answer(request);
        let lost = connection.lost(sources.clone());
        let ends = &connection.port.listener.ends;
        serve(stream, answer, connection.drain(), lost, ends).await;
    }
}

impl Connection {
    /// Ready when everything on the connection has to end, which is said of each request on it and
    /// of itself.
    async fn lost(&self, sources: Sources) {
        let objection = |model: &WorkloadModel| self.objection(model);
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
        let proven = self.peer.proven.as_ref();
        let left = proven.map(|proven| {
            let left = proven.leaf.not_after.duration_since(clock::now());
            left.unwrap_or_default()
        });
        let draining = self.port.listener.ends.drain.clone();
        async move {
            let Some(left) = left else {
                return draining.cancelled().await;
            };
            tokio::select! {
                () = sleep(left) => {}
                () = draining.cancelled() => {}
            }
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Outgoing> {
        let (mut flow, read) = HttpRequest::read(request, self.who.clone());
        let mut request = match read {
            Ok(request) => request,
            Err(unreadable) => return refuse(unreadable.end, unreadable.kind, flow),
        };
        match self.permit(&request, &mut flow) {
            Ok(ticket) => {
                if let Some(client_cert) = self.client_cert() {
                    request.introduce(client_cert);
                }
                let cluster = self.reached.cluster();
                let routed = Routed::as_it_is(request, cluster);
                forward(routed, Right::Permitted(ticket), flow).await
            }
            Err(denied) => refuse(End::Policy(denied), request.kind(), flow),
        }
    }

    /// Judges a request; permitted, it is among those in flight.
    fn permit(&self, request: &HttpRequest, flow: &mut Flow) -> Result<Ticket, Policy> {
        admission::take(self.bucket.as_deref())?;
        let model = self.port.listener.sources.model();
        let (admission, headers) = (&self.port.admission, request.headers());
        let facts = Facts {
            asks: Arc::clone(request.asks()),
            headers: match model.policy.reads_headers() {
                true => headers.clone(),
                false => HeaderMap::new(),
            },
            remote_ip: admission.remote_ip(&self.peer, headers),
            token: admission.token(headers)?,
        };
        if model.policy.has_notes() {
            flow.noted(self.ask(&facts, |question| model.policy.note(question)));
        }
        let permit = self.judge(&model.policy, &facts)?;
        // No await stands between this and the judgement, and the watch on the policy runs
        // on this thread: a change is noticed before or after both.
        Ok(self.in_flight.add(permit, facts))
    }

    fn judge(&self, policy: &WorkloadPolicy, facts: &Facts) -> Result<Permit, Policy> {
        match self.ask(facts, |question| policy.decide(question)) {
            Decision::Permit(permit) => Ok(permit),
            Decision::Denied(denied) => {
                let why = denied.public_reason();
                Err(Policy::Denied(Denial::new(&denied, why)))
            }
        }
    }

    /// Asks about a request.
    fn ask<T>(&self, facts: &Facts, answer: impl FnOnce(&Question<'_>) -> T) -> T {
        let mut question = self.port.question(&self.peer);
        question.remote_ip = facts.remote_ip;
        question.http = Some(Http {
            method: facts.asks.method.as_str(),
            path: &facts.asks.path,
            host: facts.asks.host.to_str().unwrap_or_default(),
            headers: &facts.headers,
            token: facts.token.as_deref(),
        });
        answer(&question)
    }

    fn objection(&self, model: &WorkloadModel) -> Option<String> {
        let of_requests = || {
            self.in_flight.find(|facts| {
                let denied = self.judge(&model.policy, facts).err()?;
                Some(End::Policy(denied).why().to_owned())
            })
        };
        self.peer.objection(model).or_else(of_requests)
    }

    /// What tells the application who asks.
    fn client_cert(&self) -> Option<HeaderValue> {
        let own = self.port.listener.sources.identity.borrow().clone()?;
        headers::client_cert(own.id(), &self.certificate_hash, self.peer.id()?)
    }
}
