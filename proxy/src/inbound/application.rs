//! The application behind a port, or those to whose ports clients wanted.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::task::TaskTracker;

use crate::{
    cluster::{Cluster, Endpoint, Health},
    config::{Protocol, Target},
    pool::{Dialer, Terms},
};

/// An application, in each way in which it can be spoken to.
#[derive(Debug)]
pub(super) struct Application {
    http: Arc<Cluster>,
    http2: Arc<Cluster>,
    tcp: Arc<Cluster>,
}

/// The applications of this machine, by the ports on which they listen at its loopback.
#[derive(Debug)]
pub(super) struct Originals {
    port: Arc<str>,
    tasks: TaskTracker,
    /// The proxy's own ports: through them a peer would speak with the identity of the proxy, or as
    /// its administrator.
    never: Vec<u16>,
    made: Mutex<HashMap<SocketAddr, Arc<Application>>>,
}

impl Application {
    pub(super) fn new(target: &Target, health: &Arc<Health>, tasks: &TaskTracker) -> Self {
        let cluster = |protocol| {
            let dialer = Dialer {
                address: target.clone().into(),
                tls: None,
            };
            let (terms, health) = (Terms::default(), Arc::clone(health));
            let endpoint = Endpoint::new(dialer, protocol, terms, health, tasks.clone());
            Arc::new(Cluster::of_one(Arc::clone(endpoint.name()), endpoint))
        };
        Self {
            http: cluster(Protocol::Http),
            http2: cluster(Protocol::Http2),
            tcp: cluster(Protocol::Tcp),
        }
    }

    /// The way to it.
    pub(super) fn cluster(&self, protocol: Protocol) -> Arc<Cluster> {
        Arc::clone(match protocol {
            Protocol::Http => &self.http,
            Protocol::Http2 => &self.http2,
            Protocol::Tcp => &self.tcp,
        })
    }
}

impl Originals {
    /// Those behind the port of this name, without what listens on `never`.
    pub(super) fn new(port: &Arc<str>, never: Vec<u16>, tasks: &TaskTracker) -> Self {
        Self {
            port: Arc::clone(port),
            tasks: tasks.clone(),
            never,
            made: Mutex::default(),
        }
    }

    /// The one that clients of this address want; none if it is the proxy itself.
    pub(super) fn of(&self, called: SocketAddr) -> Option<Arc<Application>> {
        if self.never.contains(&called.port()) {
            return None;
        }
        let loopback = match called.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let address = SocketAddr::new(loopback, called.port());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(application) = made.get(&address) {
            return Some(Arc::clone(application));
        }
        let health = Arc::new(Health::new(&format!("{} {address}", self.port)));
        let target = Target::Tcp(address);
        let application = Arc::new(Application::new(&target, &health, &self.tasks));
        // Whoever tries every port is served, and leaves nothing behind.
        if made.len() < MOST {
            made.insert(address, Arc::clone(&application));
        }
        Some(application)
    }
}

/// Applications whose connections are kept.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_listens_at_the_loopback_is_an_application_unless_it_is_the_proxy() {
        let admin = 15000;
        let originals = Originals::new(&"web".into(), vec![15006, admin], &TaskTracker::new());
        let of = |port| originals.of(SocketAddr::from(([192, 0, 2, 7], port)));
        assert!(of(8080).is_some());
        assert!(of(15006).is_none() && of(admin).is_none());
    }
}
