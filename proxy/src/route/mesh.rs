//! The routes and services of the mesh: which of them a request takes, by the host it calls.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use signet_mesh::{
    Called, CorsDecision, Fault, Forward, HeaderChanges, HttpCall, HttpDecision, HttpPath, Mirror,
    Protocol as Spoken, Redirect, Routed as Decided, To, WeightedDestination, WorkloadModel,
    host_and_port,
};
use tracing::debug;

use super::{
    How, LocalAnswer, Retries, Route, Routed,
    egress::judge,
    unknown::{Nowhere, Unknown},
};
use crate::{
    cluster::{Cluster, Clusters, Copies, Copy},
    config::Protocol,
    flow::{End, Flow, Routing},
    http::{kind::Kind, request::HttpRequest},
    port::Thread,
    reauthorize::Sources,
};

/// The way into the mesh that a port is.
#[derive(Debug)]
pub(crate) struct Mesh {
    sources: Sources,
    clusters: Arc<Clusters>,
    copies: Copies,
    /// The port that is called by a request whose host has none.
    port: Option<u16>,
    unknown: Unknown,
}

/// A route to a destination.
struct Destined<'r> {
    decided: Decided<'r>,
    forward: &'r Forward,
    weighted: &'r WeightedDestination,
    /// What the client speaks.
    client: Protocol,
}

/// What a fault makes of a request.
enum Drawn {
    Nothing,
    Delay(Duration),
    Abort(LocalAnswer),
}

/// What a route makes of a request that goes to a destination.
struct Onward {
    cluster: Arc<Cluster>,
    path: Option<HttpPath<'static>>,
    authority: Option<String>,
    how: How,
}

impl Mesh {
    /// A way to all services of the model in force.
    pub(crate) fn new(thread: &Thread, port: Option<u16>, unknown: Unknown) -> Self {
        Self {
            sources: thread.sources.clone(),
            clusters: Arc::clone(&thread.clusters),
            copies: thread.copies.clone(),
            port,
            unknown,
        }
    }

    /// Voids kept connections.
    pub(super) fn renew(&self) {
        self.clusters.renew();
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What becomes of calls of what no document names.
    pub(super) fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    /// The model in force.
    pub(super) fn model(&self) -> Arc<WorkloadModel> {
        self.sources.model()
    }

    pub(super) fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// What is spoken at an address and port, if a service says so.
    pub(crate) fn spoken_at(&self, called: SocketAddr) -> Option<Spoken> {
        self.model().spoken_at(called.ip(), called.port())
    }

    /// `original` is where the client called, if that is known.
    pub(super) fn route(
        &self,
        request: HttpRequest,
        original: Option<SocketAddr>,
        flow: &mut Flow,
    ) -> Result<Route, End> {
        let model = self.sources.model();
        let (host, named) = host_and_port(request.host());
        let called = original.map(|it| it.port());
        let port = called.unwrap_or_else(|| model.called_port(&host, named, self.port));
        flow.calls(port);
        let call = request.call(port);
        match model.routes.http(&call, fastrand::u64(..)) {
            HttpDecision::Unrouted => {
                let called = match model.of_host(&host, port) {
                    Ok(called) => called,
                    Err(why) => {
                        let nowhere = Nowhere::new(&model, why, original);
                        return self.unknown.request(nowhere, request, flow);
                    }
                };
                self.judge(&model, called, &call)?;
                let cluster = self.clusters.of(called, &model, request.protocol())?;
                let how = How {
                    route: Some(Arc::clone(&DEFAULT)),
                    retries: Retries::Usual,
                    ..How::default()
                };
                Ok(Route::forward(request, cluster, how))
            }
            HttpDecision::NoRoute(object) => {
                let why = format!("no route of VirtualService {} takes it", object.name);
                Err(End::Routing(Routing::NoRoute(why.into())))
            }
            HttpDecision::Routed(decided) => self.take(&model, decided, request, port),
        }
    }

    /// Takes the route that was decided on.
    fn take(
        &self,
        model: &Arc<WorkloadModel>,
        decided: Decided<'_>,
        mut request: HttpRequest,
        port: u16,
    ) -> Result<Route, End> {
        let response = &decided.route.headers.response;
        let cors = match cors(&decided, &request) {
            CorsDecision::Answered(headers) => {
                return Ok(Route::Answer(LocalAnswer::preflight(&headers)));
            }
            CorsDecision::Passes(changes) => changes,
        };
        match decided.to {
            To::Redirect(redirect) => {
                let answer = redirected(redirect, &decided, &request.call(port))?;
                Ok(Route::Answer(answer.with(response).with(&cors)))
            }
            To::Response(direct) => {
                let answer = LocalAnswer::direct(direct).with(response);
                Ok(Route::Answer(answer.with(&cors)))
            }
            To::Destination(forward, weighted) => {
                let delay = match drawn(forward.fault.as_ref(), request.kind()) {
                    Drawn::Nothing => None,
                    Drawn::Delay(delay) => Some(delay),
                    Drawn::Abort(answer) => return Ok(Route::Answer(answer.with(&cors))),
                };
                let call = request.call(port);
                let destined = Destined {
                    decided,
                    forward,
                    weighted,
                    client: request.protocol(),
                };
                let onward = self.onward(model, &destined, &call)?;
                let Onward {
                    cluster,
                    path,
                    authority,
                    mut how,
                } = onward;
                (how.delay, how.cors) = (delay, cors);
                path.map_or(Ok(()), |path| request.set_path(path))?;
                authority.map_or(Ok(()), |host| request.set_host(&host))?;
                let headers = request.headers_mut();
                decided.route.headers.request.apply(headers);
                weighted.headers.request.apply(headers);
                if !model.egress.is_empty() {
                    let called = model.of_destination(&weighted.destination, port)?;
                    self.judge(model, called, &request.call(port))?;
                }
                Ok(Route::forward(request, cluster, how))
            }
        }
    }

    /// Where the request goes on to, and how.
    fn onward(
        &self,
        model: &Arc<WorkloadModel>,
        destined: &Destined<'_>,
        call: &HttpCall<'_>,
    ) -> Result<Onward, End> {
        let Destined {
            decided,
            forward,
            weighted,
            client,
        } = destined;
        let called = model.of_destination(&weighted.destination, call.port);
        let cluster = self.clusters.of(called?, model, *client)?;
        let rewritten = forward.rewrite.as_ref();
        let rewritten = rewritten.map(|it| it.path(call.path, decided.matched));
        let changes = [&decided.route.headers.response, &weighted.headers.response];
        let changes = changes.into_iter().filter(|changes| !changes.is_empty());
        Ok(Onward {
            cluster,
            path: rewritten.transpose().map_err(End::malformed)?,
            authority: decided.authority().map(str::to_owned),
            how: How {
                route: Some(Arc::clone(decided.name)),
                delay: None,
                timeout: forward.timeout,
                retries: Retries::OfRoute(Arc::clone(decided.route)),
                response: changes.cloned().collect(),
                cors: HeaderChanges::default(),
                copies: self.copies(model, destined, call),
            },
        })
    }

    /// The copies that are drawn, and that can be sent: one that cannot is no reason not to send
    /// the request.
    fn copies(
        &self,
        model: &Arc<WorkloadModel>,
        destined: &Destined<'_>,
        call: &HttpCall<'_>,
    ) -> Vec<Copy> {
        let mirrors = destined.forward.mirrors.iter();
        let drawn = mirrors.filter(|mirror| mirror.percent.takes(fastrand::u64(..)));
        let copy = |mirror: &Mirror| {
            let called = model.of_destination(&mirror.destination, call.port);
            let called = called.map_err(End::from).and_then(|called| {
                self.judge(model, called, call)?;
                self.clusters.of(called, model, destined.client)
            });
            match called {
                Ok(cluster) => self.copies.one(cluster),
                Err(end) => {
                    debug!(
                        reason = end.why(),
                        "no copy is sent to {}", mirror.destination
                    );
                    None
                }
            }
        };
        drawn.filter_map(copy).collect()
    }

    fn judge(
        &self,
        model: &WorkloadModel,
        called: Called<'_>,
        call: &HttpCall<'_>,
    ) -> Result<(), End> {
        match model.egress.is_empty() {
            true => Ok(()),
            false => judge(&self.sources, model, called, Some(call)),
        }
    }
}

impl Route {
    pub(super) fn forward(request: HttpRequest, cluster: Arc<Cluster>, how: How) -> Self {
        Self::Forward(Box::new(Routed {
            request,
            cluster,
            how,
        }))
    }
}

fn redirected(
    redirect: &Redirect,
    decided: &Decided<'_>,
    call: &HttpCall<'_>,
) -> Result<LocalAnswer, End> {
    LocalAnswer::redirect(redirect.code, &redirect.location(call, decided.matched))
}

/// What pages of other origins may do.
fn cors(decided: &Decided<'_>, request: &HttpRequest) -> CorsDecision {
    let method = request.asks().method.as_str();
    match &decided.route.cors {
        Some(cors) => cors.decide(method, request.headers()),
        None => CorsDecision::Passes(HeaderChanges::default()),
    }
}

/// What a fault makes of this request.
fn drawn(fault: Option<&Fault>, kind: Kind) -> Drawn {
    let Some(fault) = fault else {
        return Drawn::Nothing;
    };
    let delay = fault.delay.as_ref();
    let delay = delay.filter(|delay| delay.percent.takes(fastrand::u64(..)));
    let delay = delay.map(|delay| delay.fixed);
    match &fault.abort {
        Some(abort) if abort.percent.takes(fastrand::u64(..)) => {
            Drawn::Abort(LocalAnswer::abort(abort.status, kind, delay))
        }
        Some(_) | None => delay.map_or(Drawn::Nothing, Drawn::Delay),
    }
}

/// Istio's name for what no route says.
pub(super) static DEFAULT: LazyLock<Arc<str>> = LazyLock::new(|| "default".into());
