//! The way on to addresses that no document names: plaintext, as the application wrote it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::task::TaskTracker;

use crate::{
    cluster::{Cluster, Endpoint, Health},
    config::Protocol,
    pool::{Dialer, OurEnd, OwnConnections, Terms},
};

/// The way on to addresses that no document names.
#[derive(Debug)]
pub(super) struct Passthrough {
    tasks: TaskTracker,
    own_connections: OwnConnections,
    /// Whose connections are kept for later requests.
    kept: Mutex<HashMap<Place, Arc<Cluster>>>,
}

/// An address, and what is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    address: SocketAddr,
    protocol: Protocol,
}

impl Passthrough {
    pub(super) fn new(tasks: &TaskTracker, own_connections: &OwnConnections) -> Self {
        Self {
            tasks: tasks.clone(),
            own_connections: own_connections.clone(),
            kept: Mutex::default(),
        }
    }

    /// The way for one connection: nothing of it is kept.
    pub(super) fn connection(&self, address: SocketAddr) -> Arc<Cluster> {
        Arc::new(self.cluster(address, Protocol::Tcp))
    }

    /// The way for requests. Whoever calls many addresses is served, and fills no memory: those
    /// that have no request are let go of then.
    pub(super) fn requests(&self, address: SocketAddr, protocol: Protocol) -> Arc<Cluster> {
        let place = Place { address, protocol };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = kept.get(&place) {
            return Arc::clone(cluster);
        }
        let cluster = Arc::new(self.cluster(address, protocol));
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, cluster| Arc::strong_count(cluster) > 1);
        }
        if kept.len() < MOST_KEPT {
            kept.insert(place, Arc::clone(&cluster));
        }
        cluster
    }

    fn cluster(&self, address: SocketAddr, protocol: Protocol) -> Cluster {
        let our_end = OurEnd::Recognized(self.own_connections.clone());
        let dialer = Dialer::new(address, None).from(our_end);
        let health = Arc::new(Health::new(&format!("{PASSTHROUGH} {address}")));
        let tasks = self.tasks.clone();
        let endpoint = Endpoint::new(dialer, protocol, Terms::default(), health, tasks);
        Cluster::of_one(PASSTHROUGH.into(), endpoint)
    }
}

/// Istio's name of all of them.
pub(super) const PASSTHROUGH: &str = "PassthroughCluster";
const MOST_KEPT: usize = 256;
