//! A thread that carries connections: accept, handshake and forwarding of a connection
//! stay on it.

use std::{net::TcpListener as StdListener, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, runtime, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    config::{Inbound, Outbound},
    inbound, outbound,
    reauthorize::Sources,
};

/// What one thread carries.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) inbound: Vec<(Inbound, StdListener)>,
    pub(crate) outbound: Vec<(Outbound, StdListener)>,
    pub(crate) sources: Sources,
    pub(crate) max_connections: usize,
    pub(crate) drain_timeout: Duration,
}

impl Worker {
    /// Carries connections until `shutdown`, then lets them finish for a while.
    ///
    /// # Errors
    /// The runtime, a listener or TLS that cannot be set up.
    pub(crate) fn run(self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a thread's runtime cannot be built")?;
        runtime.block_on(self.carry(shutdown))
    }

    async fn carry(self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let tasks = TaskTracker::new();
        for (config, listener) in self.inbound {
            let listener = TcpListener::from_std(listener)?;
            let port = inbound::Port::new(config, self.sources.clone(), &tasks, shutdown.clone())?;
            tasks.spawn(port.run(listener, self.max_connections, tasks.clone()));
        }
        for (config, listener) in self.outbound {
            let listener = TcpListener::from_std(listener)?;
            let port = outbound::Port::new(config, self.sources.clone(), &tasks, shutdown.clone())?;
            tasks.spawn(port.run(listener, self.max_connections, tasks.clone()));
        }
        shutdown.cancelled().await;
        tasks.close();
        if timeout(self.drain_timeout, tasks.wait()).await.is_err() {
            warn!(connections = tasks.len(), "not finished in time, cut");
        }
        Ok(())
    }
}
