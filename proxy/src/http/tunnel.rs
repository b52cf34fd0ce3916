//! Bytes both ways between a client and an endpoint, in the place of a request's answer.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use signet_mesh::TcpPool;
use tokio::{task::JoinSet, time::timeout};

use super::in_flight::Right;
use crate::{
    cluster::Active,
    flow::{Downstream, End, Flow, Shutdown, Traffic, Upstream, whole},
    listener::Ends,
    pool::Lease,
    relay::relay,
};

/// The tunnels of one connection of a client. They end with it: whatever ends the connection ends
/// them, and the connection counts as open for as long as one of them is.
#[derive(Clone, Debug)]
pub(crate) struct Tunnels(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ends: Ends,
    running: Mutex<JoinSet<()>>,
}

/// A tunnel whose two ends are about to be told of one another.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) server: OnUpgrade,
    /// The connection to the endpoint, which carries no more requests.
    pub(crate) lease: Option<Lease>,
    /// The endpoint is busy with it until it has ended.
    pub(crate) active: Active,
    /// Policy asks about it for as long as it lasts.
    pub(crate) right: Right,
    pub(crate) flow: Flow,
}

impl Tunnels {
    /// None yet. As bytes have no end of their own, they end when the port stops.
    pub(super) fn new(ends: &Ends) -> Self {
        Self(Arc::new(Inner {
            ends: ends.clone(),
            running: Mutex::default(),
        }))
    }

    /// Begins one.
    pub(crate) fn begin(&self, tunnel: Tunnel) {
        let mut running = self.lock();
        while running.try_join_next().is_some() {}
        running.spawn(tunnel.carry(self.0.ends.clone()));
    }

    /// Ready when there is none, or no longer.
    pub(super) async fn ended(&self) {
        let next = || poll_fn(|context| self.lock().poll_join_next(context));
        while next().await.is_some() {}
    }

    /// Ends all of them.
    pub(super) fn cut(&self) {
        self.lock().abort_all();
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        let running = &self.0.running;
        running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tunnel {
    async fn carry(self, ends: Ends) {
        let Self {
            client,
            server,
            lease: _lease,
            active: _active,
            right: _right,
            mut flow,
        } = self;
        let end = tokio::select! {
            end = pass(client, server, flow.traffic()) => end,
            () = ends.stopping() => End::Shutdown(Shutdown::Stopping),
        };
        flow.end(end);
    }
}

async fn pass(client: OnUpgrade, server: OnUpgrade, traffic: &Traffic) -> End {
    let client = async {
        let broken = |error| End::Downstream(Downstream::Broken(whole(&error)));
        client.await.map_err(broken)
    };
    let server = async {
        let broken = |error| End::Upstream(Upstream::Broken(whole(&error)));
        server.await.map_err(broken)
    };
    let both = async { tokio::try_join!(client, server) };
    match timeout(SWITCH, both).await {
        Ok(Ok((client, server))) => {
            let (client, server) = (TokioIo::new(client), TokioIo::new(server));
            relay(client, server, traffic, &TcpPool::default())
                .await
                .into()
        }
        Ok(Err(end)) => end,
        Err(_elapsed) => End::Downstream(Downstream::Silent),
    }
}

/// How long a client may take to read the head after which it may send.
const SWITCH: Duration = Duration::from_secs(60);
