//! What a thread asks of a port of either direction.

use std::{fmt, future::Future, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::{
    admission::Admission,
    cluster::{Clusters, Copies},
    flow::{Observer, Telling},
    listener::{Ends, Listener},
    overload::Overload,
    ports::{Open, PortConfig},
    reauthorize::Sources,
};

/// What the ports of a thread share.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) sources: Sources,
    pub(crate) admission: Arc<Admission>,
    pub(crate) tasks: TaskTracker,
    /// Those of the mesh.
    pub(crate) clusters: Arc<Clusters>,
    /// Those of requests that go into the mesh.
    pub(crate) copies: Copies,
    /// Who wants to know of calls, if anybody does.
    pub(crate) observer: Option<Observer>,
    /// What is to be told of connections and requests.
    pub(crate) telling: Telling,
    /// What the proxy has of what it may have.
    pub(crate) overload: Arc<Overload>,
    /// The port of loopback on which the admin endpoint listens, if it does.
    pub(crate) admin_port: Option<u16>,
}

/// A port of either direction on one thread.
pub(crate) trait Port: fmt::Debug + Send + Sync + Sized + 'static {
    /// Its part of the configuration.
    type Config: PortConfig;

    /// A port that is not running yet.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    fn new(open: &Open<Self::Config>, thread: &Thread, ends: Ends) -> anyhow::Result<Arc<Self>>;

    /// Whether the two differ in nothing but where they lead.
    fn is_same(old: &Self::Config, new: &Self::Config) -> bool;

    /// Leads new connections and requests to another destination.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    fn lead(&self, open: &Open<Self::Config>, thread: &Thread) -> anyhow::Result<()>;

    /// Accepts connections on all of `sockets`, at most `limit` at a time, until it is to drain.
    fn run(
        self: Arc<Self>,
        sockets: Vec<TcpListener>,
        limit: usize,
    ) -> impl Future<Output = ()> + Send;

    /// Learns of the ports of its direction on this thread, itself among them.
    fn meet(&self, ports: &[Arc<Self>]);

    /// What it is made of.
    fn listener(&self) -> &Arc<Listener>;
}
