//! Inbound TCP: one decision per connection, asked again while it lives.

use std::time::Instant;

use signet_mesh::{Decision, Permit, Request, WorkloadPolicy};
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::{Authenticated, Port};
use crate::{
    http::exchange::ACCESS_LOG,
    peer::Peer,
    read_ahead::ReadAhead,
    reauthorize::Sources,
    relay::{Traffic, relay},
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
    pub(super) async fn carry_tcp(&self, authenticated: Authenticated) {
        if let Some(authorized) = self.authorize(authenticated) {
            self.forward_tcp(authorized).await;
        }
    }

    /// What policy denies is closed here, and told with its reason.
    fn authorize(&self, authenticated: Authenticated) -> Option<Authorized> {
        let Authenticated {
            stream,
            peer,
            sources,
        } = authenticated;
        match sources.policy().decide(&self.question(&peer)) {
            Decision::Permit(permit) => Some(Authorized {
                stream,
                peer,
                sources,
                permit,
            }),
            Decision::Denied(denied) => {
                warn!(
                    target: ACCESS_LOG,
                    port = &*self.name,
                    peer = %peer.leaf.id,
                    client = %peer.address,
                    "connection denied: {denied}"
                );
                None
            }
        }
    }

    async fn forward_tcp(&self, authorized: Authorized) {
        let Authorized {
            stream,
            peer,
            sources,
            permit,
        } = authorized;
        let (started, traffic) = (Instant::now(), Traffic::default());
        let end = tokio::select! {
            end = self.pass(stream, &traffic) => end,
            lost = sources.lost(&peer, |policy| self.objection(policy, &peer)) => {
                format!("cut: {lost}")
            }
            () = self.shutdown.cancelled() => "cut: the proxy is stopping".to_owned(),
        };
        info!(
            target: ACCESS_LOG,
            port = &*self.name,
            peer = %peer.leaf.id,
            client = %peer.address,
            permitted_by = %permit,
            bytes_received = traffic.received(),
            bytes_sent = traffic.sent(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "connection {end}"
        );
    }

    async fn pass(&self, stream: Box<TlsStream<ReadAhead>>, traffic: &Traffic) -> String {
        let application = match self.route.dial().await {
            Ok(application) => application,
            Err(error) => return format!("failed: {:#}", anyhow::Error::from(error)),
        };
        match relay(stream, application, traffic).await {
            Ok(()) => "ended".to_owned(),
            Err(error) => format!("broken: {error}"),
        }
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
            destination_port: self.config.policy_port,
            sni: peer.sni.as_deref(),
            http: None,
        }
    }
}
