//! The layer in front of all services: every request passes the rules, and handlers find the
//! [`Caller`] on it.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use signet_daemon::{log::Scope, socket::Peer};
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use tracing::{debug, warn};

use super::{
    Caller, Denied, Granted, Promotion, Rules, TlsPeer,
    log::{self, Authorization},
    methods::{known, only_local},
    shares::{InProgress, Shares},
};
use crate::{agents::Agents, api::status::permission_denied, clock};

/// Puts the rules in front of a service.
#[derive(Clone, Debug)]
pub(crate) struct Authorize {
    rules: Arc<Rules>,
    agents: Agents,
    shares: Shares,
}

impl Authorize {
    pub(crate) fn new(rules: Rules, agents: Agents) -> Self {
        Self {
            rules: Arc::new(rules),
            agents,
            shares: Shares::new(),
        }
    }

    /// Who calls and may, and what the call holds until it ends.
    fn admit<B>(&self, request: &Request<B>) -> Result<(Granted, InProgress), Status> {
        let method = request.uri().path();
        let local = request.extensions().get::<Peer>().is_some();
        if !known(method) || (only_local(method) && !local) {
            let message = format!("there is no method {method} here");
            return Err(Status::unimplemented(message));
        }
        let granted = self.judge(request).map_err(|denied| {
            let scope = log::scope(request, Authorization::NOBODY);
            scope.run(|| denied.status(request))
        })?;
        let in_progress = self.shares.take(request)?;
        Ok((granted, in_progress))
    }

    fn judge<B>(&self, request: &Request<B>) -> Result<Granted, Denied> {
        let method = request.uri().path();
        if let Some(peer) = request.extensions().get::<Peer>() {
            return Rules::local(method, peer.clone());
        }
        match request.extensions().get::<TlsPeer>() {
            Some(peer) => self.rules.remote(method, peer, clock::now()),
            None => Err(Denied(None)),
        }
    }

    fn scope<B>(&self, request: &Request<B>, caller: &Caller) -> Scope {
        let listed = match caller {
            Caller::Admin(admin) => self.rules.lists(&admin.id),
            Caller::Local(_) | Caller::Anyone(_) | Caller::Agent(_) | Caller::Downstream(_) => {
                false
            }
        };
        log::scope(request, Authorization::of(caller, listed))
    }
}

impl<S> Layer<S> for Authorize {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized {
            inner,
            authorize: self.clone(),
        }
    }
}

/// A service behind the rules.
#[derive(Clone)]
pub(crate) struct Authorized<S> {
    inner: S,
    authorize: Authorize,
}

impl<S> fmt::Debug for Authorized<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (granted, in_progress) = match self.authorize.admit(&request) {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        let scope = self.authorize.scope(&request, &granted.caller);
        scope.clone().run(|| {
            debug!(path = request.uri().path(), caller = %granted.caller, "a call");
        });
        request.extensions_mut().insert(granted.caller);
        // The service that is ready is the one to call; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let agents = &self.authorize.agents;
        let promotion = granted
            .promote
            .map(|promotion| promote(agents.clone(), promotion));
        let answer = async move {
            if let Some(promotion) = promotion {
                promotion.await;
            }
            Ok(in_progress.until_sent(inner.call(request).await?))
        };
        Box::pin(scope.around(answer))
    }
}

/// The first use of a renewed certificate makes it the agent's current one. If that cannot be
/// stored now, the next call tries again; the agent is who it is either way.
async fn promote(agents: Agents, promotion: Promotion) {
    let Promotion { agent, serial } = promotion;
    if let Err(error) = agents.promote(agent.clone(), serial).await {
        warn!(
            agent_id = %agent,
            error = &error as &dyn std::error::Error,
            "the first use of a renewed agent SVID could not be noted"
        );
    }
}

impl Denied {
    fn status<B>(self, request: &Request<B>) -> Status {
        let path = request.uri().path();
        let peer = request.extensions().get::<TlsPeer>();
        let leaf = peer.and_then(|peer| peer.leaf.as_ref());
        let caller_id = leaf.map(|leaf| &leaf.id);
        log::refusal(path, caller_id, peer.map(|peer| peer.address), self.0);
        permission_denied(format!("authorization denied for method {path}"), self.0)
    }
}
