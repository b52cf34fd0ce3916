//! The application behind a port, or those to whose ports clients wanted.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::task::TaskTracker;

use crate::{
    cluster::{Cluster, Endpoint, Health},
    config::{InterceptionMode, Protocol, Target},
    pool::{Dialer, OurEnd, Terms},
};

/// An application, in each way in which it can be spoken to.
#[derive(Debug)]
pub(super) struct Application {
    http: Arc<Cluster>,
    http2: Arc<Cluster>,
    tcp: Arc<Cluster>,
}

/// The applications of this machine, by the addresses at which they are called.
#[derive(Debug)]
pub(super) struct Originals {
    port: Arc<str>,
    tasks: TaskTracker,
    /// The proxy's own ports: through them a peer would speak with the identity of the proxy, or as
    /// its administrator.
    never: Vec<u16>,
    mode: InterceptionMode,
    made: Mutex<HashMap<Way, Arc<Application>>>,
}

/// How an application is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Way {
    address: SocketAddr,
    /// The client whose address it sees; none if it sees the proxy.
    from: Option<IpAddr>,
}

impl Application {
    pub(super) fn new(target: &Target, health: &Arc<Health>, tasks: &TaskTracker) -> Self {
        Self::from(OurEnd::Any, target, health, tasks)
    }

    /// The same that is called from `our_end`.
    fn from(our_end: OurEnd, target: &Target, health: &Arc<Health>, tasks: &TaskTracker) -> Self {
        let cluster = |protocol| {
            let dialer = Dialer::new(target.clone(), None).from(our_end.clone());
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
    pub(super) fn new(
        port: &Arc<str>,
        never: Vec<u16>,
        mode: InterceptionMode,
        tasks: &TaskTracker,
    ) -> Self {
        Self {
            port: Arc::clone(port),
            tasks: tasks.clone(),
            never,
            mode,
            made: Mutex::default(),
        }
    }

    /// The one that `client` wants, which has called this address; none if it is the proxy itself.
    pub(super) fn of(&self, called: SocketAddr, client: SocketAddr) -> Option<Arc<Application>> {
        if self.never.contains(&called.port()) {
            return None;
        }
        let way = self.way(called, client);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(application) = made.get(&way) {
            return Some(Arc::clone(application));
        }
        let Way { address, from } = way;
        let health = Arc::new(Health::new(&format!("{} {address}", self.port)));
        let our_end = from.map_or(OurEnd::Any, OurEnd::OfClient);
        let target = Target::Tcp(address);
        let application = Application::from(our_end, &target, &health, &self.tasks);
        let application = Arc::new(application);
        // Whoever tries every port, or comes from everywhere, is served and leaves nothing behind.
        if made.len() >= MOST {
            made.retain(|_, application| Arc::strong_count(application) > 1);
        }
        if made.len() < MOST {
            made.insert(way, Arc::clone(&application));
        }
        Some(application)
    }

    /// An application that sees its client is called where that did; else at the loopback, where it
    /// may listen alone.
    fn way(&self, called: SocketAddr, client: SocketAddr) -> Way {
        let loopback = match called.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        match self.mode {
            InterceptionMode::Redirect => Way {
                address: SocketAddr::new(loopback, called.port()),
                from: None,
            },
            InterceptionMode::Tproxy => Way {
                address: called,
                from: Some(client.ip().to_canonical()),
            },
        }
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
        let originals = originals(vec![15006, admin], InterceptionMode::Redirect);
        let of = |port| originals.of(at(port), client(1));
        assert!(of(8080).is_some());
        assert!(of(15006).is_none() && of(admin).is_none());
    }

    #[tokio::test]
    async fn an_application_that_sees_its_clients_is_called_from_each_of_them_where_they_called() {
        let redirected = originals(Vec::new(), InterceptionMode::Redirect);
        let same = redirected.way(at(80), client(1));
        assert_eq!(same.address, SocketAddr::from(([127, 0, 0, 1], 80)));
        assert_eq!(same, redirected.way(at(80), client(2)));
        let kept = originals(Vec::new(), InterceptionMode::Tproxy);
        let way = kept.way(at(80), client(1));
        assert_eq!((way.address, way.from), (at(80), Some(client(1).ip())));
        assert_ne!(way, kept.way(at(80), client(2)));
    }

    #[tokio::test]
    async fn who_comes_from_everywhere_leaves_nothing_behind() {
        let originals = originals(Vec::new(), InterceptionMode::Tproxy);
        let used = originals.of(at(80), client(0)).unwrap();
        for number in 0..1000 {
            assert!(originals.of(at(80), client(number)).is_some());
        }
        assert!(originals.made.lock().unwrap().len() <= MOST);
        assert!(Arc::ptr_eq(
            &used,
            &originals.of(at(80), client(0)).unwrap()
        ));
    }

    fn originals(never: Vec<u16>, mode: InterceptionMode) -> Originals {
        Originals::new(&"web".into(), never, mode, &TaskTracker::new())
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], port))
    }

    fn client(number: u16) -> SocketAddr {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([10, 0, high, low], 40_000))
    }
}
