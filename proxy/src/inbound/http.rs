//! Inbound HTTP: one decision per request, asked again while it runs.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use signet_mesh::{
    Decision, Http, Permit, Request as Question, Token, WorkloadModel, WorkloadPolicy,
    WorkloadRequestAuthentication,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep},
};

use super::{Authenticated, Port, Reached, check::Refusal};
use crate::{
    admission::{self, Bucket, Carried, Changes, Shown},
    clock,
    flow::{Denial, End, Flow, Policy, Shutdown, Who},
    forward::forward,
    headers,
    http::{
        in_flight::{Facts, InFlight, Right, Ticket},
        kind::Kind,
        outgoing::Outgoing,
        reply::{refuse, refuse_with},
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
    peer: Box<Peer>,
    who: Who,
    started: Instant,
    /// Empty for who has no certificate.
    certificate_hash: String,
    /// What bounds its requests.
    bucket: Option<Arc<Bucket>>,
    in_flight: InFlight,
}

/// What becomes of a request that comes in.
#[derive(Debug)]
enum Admitted {
    /// Policy permits it.
    Permitted(Ticket),
    /// Policy wants others to be asked before.
    ToAsk(Box<Facts>),
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
        if let Some(end) = self.port.listener.overload.objection() {
            return refuse(end, request.kind(), flow);
        }
        match self.admit(&mut request, &mut flow) {
            Ok(Admitted::Permitted(ticket)) => self.forward(request, ticket, flow).await,
            Ok(Admitted::ToAsk(facts)) => {
                Box::pin(self.ask_and_answer(request, *facts, flow)).await
            }
            Err(denied) => refuse(End::Policy(denied), request.kind(), flow),
        }
    }

    async fn forward(
        &self,
        mut request: HttpRequest,
        ticket: Ticket,
        flow: Flow,
    ) -> Response<Outgoing> {
        if let Some(client_cert) = self.client_cert() {
            request.introduce(client_cert);
        }
        let cluster = self.reached.cluster();
        let routed = Routed::as_it_is(request, cluster);
        forward(routed, Right::Permitted(ticket), flow).await
    }

    /// Answers a request that others may have to be asked about.
    async fn ask_and_answer(
        &self,
        mut request: HttpRequest,
        mut facts: Facts,
        mut flow: Flow,
    ) -> Response<Outgoing> {
        let changes = match self.ask_providers(&mut request, &mut facts).await {
            Ok(changes) => changes,
            Err(Refusal { end, answer }) => {
                return match (answer, request.kind()) {
                    (Some(answer), Kind::Http) => refuse_with(*answer, end, flow),
                    (Some(_), Kind::Grpc) | (None, _) => refuse(end, request.kind(), flow),
                };
            }
        };
        // Time has passed: what counts is the model that is in force now.
        let model = self.port.listener.sources.model();
        let mut response = match self.permit(&model, facts, &mut flow) {
            Ok(ticket) => self.forward(request, ticket, flow).await,
            Err(denied) => refuse(End::Policy(denied), request.kind(), flow),
        };
        for changes in changes {
            changes.apply_to_response(response.headers_mut());
        }
        response
    }

    /// Judges a request, unless others have to be asked first.
    fn admit(&self, request: &mut HttpRequest, flow: &mut Flow) -> Result<Admitted, Policy> {
        admission::take(self.bucket.as_deref())?;
        let model = self.port.listener.sources.model();
        let facts = self.facts(request, &model)?;
        match model.policy.has_providers() {
            true => Ok(Admitted::ToAsk(Box::new(facts))),
            false => self.permit(&model, facts, flow).map(Admitted::Permitted),
        }
    }

    /// What a request is judged by.
    fn facts(&self, request: &mut HttpRequest, model: &WorkloadModel) -> Result<Facts, Policy> {
        let token = self.token(request, &model.request_authentication)?;
        let (admission, headers) = (&self.port.admission, request.headers());
        Ok(Facts {
            asks: Arc::clone(request.asks()),
            headers: read_headers(headers, &model.policy),
            remote_ip: admission.remote_ip(&self.peer, headers),
            token,
            approved: Vec::new(),
        })
    }

    /// The token of a request, which goes on as the documents want it.
    fn token(
        &self,
        request: &mut HttpRequest,
        rules: &WorkloadRequestAuthentication,
    ) -> Result<Option<Arc<Token>>, Policy> {
        let admission = &self.port.admission;
        if !admission.reads_tokens(rules) {
            return Ok(None);
        }
        let query = request.query().map(str::to_owned);
        let carried = Carried {
            headers: request.headers_mut(),
            query: query.as_deref(),
        };
        let Shown { token, query } = admission.token(rules, carried)?;
        if let Some(query) = query {
            request.set_query(&query).map_err(Policy::BadToken)?;
        }
        Ok(token)
    }

    /// Asks all who are to be asked, and changes the request as they say; what they change of its
    /// response is handed back.
    async fn ask_providers(
        &self,
        request: &mut HttpRequest,
        facts: &mut Facts,
    ) -> Result<Vec<Changes>, Refusal> {
        let model = self.port.listener.sources.model();
        let mut of_response = Vec::new();
        for asked in self.ask(facts, |question| model.policy.asks(question)) {
            let changes = self.port.asked(&self.peer, &asked, Some(request)).await?;
            changes.apply(request.headers_mut());
            of_response.extend(Some(changes).filter(Changes::has_response));
            facts.approved.push(asked.provider);
        }
        facts.headers = read_headers(request.headers(), &model.policy);
        Ok(of_response)
    }

    /// Judges a request; permitted, it is among those in flight.
    fn permit(
        &self,
        model: &WorkloadModel,
        facts: Facts,
        flow: &mut Flow,
    ) -> Result<Ticket, Policy> {
        if model.policy.has_notes() {
            flow.noted(self.ask(&facts, |question| model.policy.note(question)));
        }
        let permit = self.judge(&model.policy, &facts)?;
        // No await stands between this and the judgement, and the watch on the policy runs
        // on this thread: a change is noticed before or after both.
        Ok(self.in_flight.add(permit, facts))
    }

    fn judge(&self, policy: &WorkloadPolicy, facts: &Facts) -> Result<Permit, Policy> {
        match self.ask(facts, |question| {
            policy.decide_approved(question, &facts.approved)
        }) {
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

/// The headers, if a policy reads them.
fn read_headers(headers: &HeaderMap, policy: &WorkloadPolicy) -> HeaderMap {
    match policy.reads_headers() {
        true => headers.clone(),
        false => HeaderMap::new(),
    }
}
