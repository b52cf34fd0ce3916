//! Local ports whose connections go, over mTLS, to a destination that must have one of
//! the stated SPIFFE IDs.

mod http;
mod tcp;

use std::{net::SocketAddr, sync::Arc};

use signet_daemon::socket::{ConnectionLimit, Slot};
use signet_identity::tls::{self, Expect};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accept::Acceptor,
    config::{Outbound, Protocol},
    dial::Route,
    http::pool::Pool,
    reauthorize::{self, Sources},
};

/// One outbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    name: Arc<str>,
    /// Where it connects, for logs.
    destination: Arc<str>,
    config: Outbound,
    sources: Sources,
    route: Route,
    pool: Arc<Pool>,
    shutdown: CancellationToken,
}

impl Port {
    /// A port of the configuration; connections to the destination run on `tasks`.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    pub(crate) fn new(
        config: Outbound,
        sources: Sources,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let alpn: &[&[u8]] = match config.protocol {
            Protocol::Http => &[b"http/1.1"],
            Protocol::Http2 => &[b"h2"],
            Protocol::Tcp => &[],
        };
        let identity = Some(sources.identity.clone());
        let expect = Expect::Exactly(config.expect.clone());
        let tls = tls::client_config(identity, sources.trust.clone(), expect, alpn)?;
        let route = Route::Peer {
            connect: config.connect.clone(),
            tls,
        };
        Ok(Arc::new(Self {
            name: config.name.as_str().into(),
            destination: config.connect.as_str().into(),
            sources,
            pool: Pool::new(route.clone(), config.protocol, tasks.clone()),
            route,
            config,
            shutdown,
        }))
    }

    /// Accepts from the first identity on until shutdown.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        limit: usize,
        tasks: TaskTracker,
    ) {
        tasks.spawn(Arc::clone(&self).renew_connections());
        // Clients are on this machine and have one address; so it may have all.
        let acceptor = Acceptor {
            name: Arc::clone(&self.name),
            listener,
            limit: ConnectionLimit::new(limit, limit),
        };
        let handle = |stream, client, slot| Arc::clone(&self).carry(stream, client, slot);
        acceptor
            .serve(&self.sources.identity, &self.shutdown, &tasks, handle)
            .await;
    }

    async fn carry(self: Arc<Self>, stream: TcpStream, client: SocketAddr, _slot: Slot) {
        match self.config.protocol {
            Protocol::Tcp => self.carry_tcp(stream, client).await,
            Protocol::Http | Protocol::Http2 => self.carry_http(stream, client).await,
        }
    }

    /// New requests go over connections of the current identity and trust.
    async fn renew_connections(self: Arc<Self>) {
        let Sources {
            mut identity,
            mut trust,
            ..
        } = self.sources.clone();
        let renewing = async {
            loop {
                tokio::select! {
                    () = reauthorize::change(&mut identity) => {}
                    () = reauthorize::change(&mut trust) => {}
                }
                self.pool.renew();
            }
        };
        self.shutdown
            .run_until_cancelled(renewing)
            .await
            .unwrap_or(());
    }

    /// Ready when the proxy's own identity is withdrawn: nothing may speak for it then.
    async fn withdrawn(&self) {
        let mut identity = self.sources.identity.clone();
        if identity.wait_for(Option::is_none).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
