//! Inbound TCP: one decision per connection, asked again while it lives.

use signet_mesh::{Decision, Permit, Request, WorkloadPolicy};
use tokio_rustls::server::TlsStream;

use super::{Authenticated, Port};
use crate::{
    flow::{Denial, End, Flow, Policy, Shutdown, Traffic},
    forward::carry,
    peer::Peer,
    read_ahead::ReadAhead,
    reauthorize::Sources,
};

/// A connection that policy permits; only [`Port::authorize`] makes one.
#[derive(Debug)]
struct Authorized {
    stream: Box<TlsStream<ReadAhead>>,
    peer: Peer,
    sources: Sources,
    permit: Permit,
}

impl Port {
    pub(super) async fn carry_tcp(&self, authenticated: Authenticated, mut flow: Flow) {
        let end = match self.authorize(authenticated) {
            Ok(authorized) => self.forward_tcp(authorized, &mut flow).await,
            Err(denied) => End::Policy(denied),
        };
        flow.end(end);
    }

    /// What policy denies is closed here, and told with its reason.
    fn authorize(&self, authenticated: Authenticated) -> Result<Authorized, Policy> {
        let Authenticated {
            stream,
            peer,
            sources,
        } = authenticated;
        match sources.model().policy.decide(&self.question(&peer)) {
            Decision::Permit(permit) => Ok(Authorized {
                stream,
                peer,
                sources,
                permit,
            }),
            Decision::Denied(denied) => {
                let why = denied.to_string();
                Err(Policy::Denied(Denial::new(&denied, why)))
            }
        }
    }

    async fn forward_tcp(&self, authorized: Authorized, flow: &mut Flow) -> End {
        let Authorized {
            stream,
            peer,
            sources,
            permit,
        } = authorized;
        flow.permitted(permit.why());
        tokio::select! {
            end = self.pass(stream, flow.traffic()) => end,
            lost = sources.lost(&peer, |policy| self.objection(policy, &peer)) => lost.into(),
            () = self.listener.ends.stopping() => End::Shutdown(Shutdown::Stopping),
        }
    }

    async fn pass(&self, stream: Box<TlsStream<ReadAhead>>, traffic: &Traffic) -> End {
        carry(stream, &self.cluster(), traffic).await
    }

    fn objection(&self, policy: &WorkloadPolicy, peer: &Peer) -> Option<String> {
        match policy.decide(&self.question(peer)) {
            Decision::Permit(_) => None,
            Decision::Denied(denied) => Some(denied.to_string()),
        }
    }

    /// What policy is asked about a connection; HTTP adds each request's part.
    pub(super) fn question<'a>(&self, peer: &'a Peer) -> Request<'a> {
        Request {
            trust_domain: peer.met_by.as_ref(),
            source: Some(&peer.leaf.id),
            source_ip: peer.address.ip(),
            destination_ip: peer.local.ip(),
            destination_port: self.policy_port,
            sni: peer.sni.as_deref(),
            http: None,
        }
    }
}
