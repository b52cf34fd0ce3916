//! Inbound TCP: one decision per connection, asked again while it lives.

use std::sync::Arc;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use signet_mesh::{Decision, Denied, Permit, Request, WorkloadModel};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Authenticated, Port, Reached, tunnels};
use crate::{
    admission,
    flow::{Denial, End, Flow, Policy, Shutdown},
    forward::carry,
    peer::Peer,
    reauthorize::Sources,
};

/// A connection that policy permits; only [`Port::authorize`] makes one.
#[derive(Debug)]
pub(super) struct Authorized<S> {
    stream: S,
    peer: Box<Peer>,
    sources: Sources,
    /// The providers that have permitted it.
    approved: Vec<Arc<str>>,
    permit: Permit,
}

impl Authorized<OnUpgrade> {
    /// The same once the bytes are there.
    ///
    /// # Errors
    /// They do not come.
    pub(super) async fn connected(self) -> Result<Authorized<TokioIo<Upgraded>>, End> {
        let Self {
            stream,
            peer,
            sources,
            approved,
            permit,
        } = self;
        Ok(Authorized {
            stream: tunnels::connected(stream).await?,
            peer,
            sources,
            approved,
            permit,
        })
    }
}

impl Port {
    /// Carries the bytes of a connection, and says how it ended.
    pub(super) async fn carry_tcp<S>(
        &self,
        authenticated: Authenticated<S>,
        reached: &Reached,
        flow: &mut Flow,
    ) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let authorized = self.authorize(authenticated, flow, Denied::to_string);
        match authorized.await {
            Ok(authorized) => self.forward_tcp(authorized, reached, flow).await,
            Err(end) => end,
        }
    }

    /// What policy denies is closed here, and told with its reason, in the words of `why`.
    pub(super) async fn authorize<S>(
        &self,
        authenticated: Authenticated<S>,
        flow: &mut Flow,
        why: fn(&Denied) -> String,
    ) -> Result<Authorized<S>, End> {
        let Authenticated {
            stream,
            peer,
            sources,
        } = authenticated;
        admission::take(self.admission.bucket(&peer).as_deref()).map_err(End::Policy)?;
        let approved = match sources.model().policy.has_providers() {
            true => Box::pin(self.approved(&peer, &sources)).await?,
            false => Vec::new(),
        };
        let model = sources.model();
        let question = self.question(&peer);
        flow.noted(model.policy.note(&question));
        match model.policy.decide_approved(&question, &approved) {
            Decision::Permit(permit) => Ok(Authorized {
                approved,
                stream,
                peer,
                sources,
                permit,
            }),
            Decision::Denied(denied) => {
                let why = why(&denied);
                Err(End::Policy(Policy::Denied(Denial::new(&denied, why))))
            }
        }
    }

    /// Asks all who are to be asked about a connection, and says who has permitted it.
    async fn approved(&self, peer: &Peer, sources: &Sources) -> Result<Vec<Arc<str>>, End> {
        let mut approved = Vec::new();
        for asked in sources.model().policy.asks(&self.question(peer)) {
            let answer = self.asked(peer, &asked, None).await;
            answer.map_err(|refusal| refusal.end)?;
            approved.push(asked.provider);
        }
        Ok(approved)
    }

    pub(super) async fn forward_tcp<S>(
        &self,
        authorized: Authorized<S>,
        reached: &Reached,
        flow: &mut Flow,
    ) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Authorized {
            stream,
            peer,
            sources,
            approved,
            permit,
        } = authorized;
        flow.permitted(permit.why());
        let cluster = reached.cluster();
        let objection = |model: &WorkloadModel| self.objection(model, &peer, &approved);
        tokio::select! {
            end = carry(stream, &cluster, flow) => end,
            lost = sources.lost(&peer, objection) => lost.into(),
            () = self.listener.ends.stopping() => End::Shutdown(Shutdown::Stopping),
        }
    }

    fn objection(
        &self,
        model: &WorkloadModel,
        peer: &Peer,
        approved: &[Arc<str>],
    ) -> Option<String> {
        let of_policy = || {
            let question = self.question(peer);
            match model.policy.decide_approved(&question, approved) {
                Decision::Permit(_) => None,
                Decision::Denied(denied) => Some(denied.to_string()),
            }
        };
        peer.objection(model).or_else(of_policy)
    }

    /// What policy is asked about a connection; HTTP adds each request's part.
    pub(super) fn question<'a>(&self, peer: &'a Peer) -> Request<'a> {
        Request {
            trust_domain: peer.met_by.as_ref(),
            source: peer.id(),
            source_ip: peer.address.ip(),
            remote_ip: Some(peer.address.ip()),
            destination_ip: peer.local.ip(),
            destination_port: peer.local.port(),
            sni: peer.sni.as_deref(),
            http: None,
        }
    }
}
