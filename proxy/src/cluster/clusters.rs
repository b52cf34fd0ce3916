//! The clusters of a thread: made from the model in force when they are first called.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use rustls::ClientConfig;
use signet_identity::{SpiffeId, tls};
use signet_mesh::{
    Called, CalledEndpoint, ClusterName, HostName, NotCalled, Peer, Protocol as Spoken, Site,
    TrafficPolicy, Upgrade, WorkloadModel,
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{Cluster, Endpoint, Member, Meters, SharedClusters, shared::address};
use crate::{
    config::Protocol,
    flow::{End, Observer, Routing, Shutdown, whole},
    metrics::Party,
    pool::{Address, Bounds, Dialer, PINGS, Pool, Terms, Tunnels, Way},
    reauthorize::Sources,
};

/// The clusters that a thread has had calls for.
#[derive(Debug)]
pub(crate) struct Clusters {
    sources: Sources,
    tasks: TaskTracker,
    shared: SharedClusters,
    observer: Option<Observer>,
    made: Mutex<Made>,
}

/// What was made of one model.
#[derive(Debug, Default)]
struct Made {
    model: Option<Arc<WorkloadModel>>,
    clusters: HashMap<HostName, Vec<Named>>,
    endpoints: HashMap<Key, Arc<Endpoint>>,
    /// Those of the model before: what is still there keeps its connections.
    before: HashMap<Key, Arc<Endpoint>>,
    tls: HashMap<Tls, Arc<ClientConfig>>,
    /// Connections that endpoints share, for as long as one of them is there.
    tunnels: HashMap<Tunnel, Weak<Tunnels>>,
}

/// A cluster of a service, by what names it.
#[derive(Debug)]
struct Named {
    name: ClusterName,
    cluster: Arc<Cluster>,
}

/// By what an endpoint differs from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    address: Address,
    tls: Option<Tls>,
    /// Whether streams of shared connections lead to it.
    is_tunnelled: bool,
    protocol: Protocol,
    terms: Terms,
    bounds: Bounds,
}

/// By what shared connections differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tunnel {
    address: SocketAddr,
    tls: Tls,
}

/// By what the TLS of endpoints differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tls {
    expect: Vec<SpiffeId>,
    protocol: Protocol,
}

impl Clusters {
    /// None yet; connections will run on `tasks`.
    pub(crate) fn new(sources: Sources, tasks: TaskTracker, shared: SharedClusters) -> Self {
        Self {
            sources,
            tasks,
            shared,
            observer: None,
            made: Mutex::default(),
        }
    }

    /// Calls are counted, if anybody wants to know of them.
    pub(crate) fn observed(mut self, observer: Option<Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The cluster of what is called, as `model` describes it.
    ///
    /// # Errors
    /// It cannot be called: nobody knows where it is or who it has to be.
    pub(crate) fn of(
        &self,
        called: Called<'_>,
        model: &Arc<WorkloadModel>,
    ) -> Result<Arc<Cluster>, End> {
        let mut made = self.lock();
        made.follow(model);
        if let Some(cluster) = made.find(called) {
            return Ok(cluster);
        }
        let cluster = Arc::new(self.make(called, model, &mut made)?);
        let of_host = made.clusters.entry(called.service.host.clone());
        of_host.or_default().push(Named {
            name: called.name(),
            cluster: Arc::clone(&cluster),
        });
        Ok(cluster)
    }

    /// The cluster of a service that is where its client called (resolution NONE), for one
    /// connection: nothing of it is kept, or whoever calls many addresses would fill the memory.
    ///
    /// # Errors
    /// It cannot be called: nobody knows who it has to be.
    pub(crate) fn where_called(
        &self,
        called: Called<'_>,
        model: &Arc<WorkloadModel>,
        address: SocketAddr,
    ) -> Result<Arc<Cluster>, End> {
        let own = self.sources.trust_domain();
        let own = own.ok_or(End::Shutdown(Shutdown::Identity))?;
        let policy = model.part_of(called)?.policy;
        let protocol = upgraded(spoken(called.port.protocol), policy);
        let peer = model.peer_at(called, address.ip(), &own)?;
        let parties = self.observer.iter().map(|_| Party::at(&peer)).collect();
        let tls = tls_of(peer, called, protocol)?;
        let mut made = self.lock();
        made.follow(model);
        let dialer = Dialer {
            address: Address::Tcp(address),
            tls: tls.map(|tls| self.tls(&tls, &mut made)).transpose()?,
        };
        drop(made);
        let health = self.shared.health(&dialer.address);
        let tasks = self.tasks.clone();
        let endpoint = Endpoint::new(dialer, protocol, terms(policy), health, tasks);
        let member = Member {
            endpoint: Arc::new(endpoint),
            weight: 1,
        };
        let shared = self.shared.of(called.name(), Instant::now());
        let cluster = Cluster::new(vec![member], Arc::clone(policy), shared);
        Ok(Arc::new(self.counted(cluster, called, parties)))
    }

    /// The same cluster, whose calls are counted if anybody wants to know of them; `parties` are
    /// those at its endpoints, in their order.
    fn counted(&self, cluster: Cluster, called: Called<'_>, parties: Vec<Party>) -> Cluster {
        match &self.observer {
            None => cluster,
            Some(observer) => cluster.counted(Meters::new(observer, called, parties)),
        }
    }

    /// Voids kept connections, because they were made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        let made = self.lock();
        let endpoints = made.endpoints.values().chain(made.before.values());
        endpoints.for_each(|endpoint| endpoint.renew());
        let tunnels = made.tunnels.values().filter_map(Weak::upgrade);
        tunnels.for_each(|tunnels| tunnels.renew());
    }

    fn make(
        &self,
        called: Called<'_>,
        model: &WorkloadModel,
        made: &mut Made,
    ) -> Result<Cluster, End> {
        let own = self.sources.trust_domain();
        let own = own.ok_or(End::Shutdown(Shutdown::Identity))?;
        let policy = model.part_of(called)?.policy;
        let shared = self.shared.of(called.name(), Instant::now());
        let bounds = shared.bounds(policy);
        let protocol = upgraded(spoken(called.port.protocol), policy);
        let (mut members, mut sites) = (Vec::new(), Vec::new());
        let mut parties = Vec::new();
        for CalledEndpoint { endpoint, peer } in model.endpoints_of(called, &own)? {
            if self.observer.is_some() {
                parties.push(Party::at(&peer).with_labels(&endpoint.labels));
            }
            // Tunnels are of HTTP/2, whatever goes through them.
            let is_tunnelled = endpoint.is_tunnelled();
            let outer = if is_tunnelled {
                Protocol::Http2
            } else {
                protocol
            };
            let key = Key {
                address: address(endpoint, called.port),
                tls: tls_of(peer, called, outer)?,
                is_tunnelled,
                protocol,
                terms: terms(policy),
                bounds: bounds.clone(),
            };
            members.push(Member {
                endpoint: self.endpoint(key, made)?,
                weight: endpoint.weight,
            });
            sites.push(Site {
                locality: endpoint.locality.as_ref(),
                labels: &endpoint.labels,
            });
        }
        let knows_health = policy.outlier_detection.is_some();
        let locality = &policy.load_balancer.locality;
        let groups = locality.groups(self.shared.home(), &sites, knows_health);
        let cluster = Cluster::new(members, Arc::clone(policy), shared).in_groups(groups);
        Ok(self.counted(cluster, called, parties))
    }

    fn endpoint(&self, key: Key, made: &mut Made) -> Result<Arc<Endpoint>, End> {
        if let Some(endpoint) = made.endpoints.get(&key) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = match made.before.remove(&key) {
            Some(endpoint) => endpoint,
            None => {
                let way = self.way(&key, made)?;
                let health = self.shared.health(&key.address);
                let (protocol, terms) = (key.protocol, key.terms);
                let (bounds, tasks) = (key.bounds.clone(), self.tasks.clone());
                let pool = Pool::within(bounds, way, protocol, terms, tasks);
                Arc::new(Endpoint::with(pool, &key.address, health))
            }
        };
        made.endpoints.insert(key, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    fn way(&self, key: &Key, made: &mut Made) -> Result<Way, End> {
        let tls = key.tls.as_ref();
        let config = tls.map(|tls| self.tls(tls, made)).transpose()?;
        if !key.is_tunnelled {
            return Ok(Way::Direct(Dialer {
                address: key.address.clone(),
                tls: config,
            }));
        }
        let (Address::Tcp(called), Some(tls)) = (&key.address, tls) else {
            let why = format!(
                "{} is reached through tunnels, which need mutual TLS, and it is called without",
                key.address
            );
            return Err(End::Routing(Routing::NoCluster(why.into())));
        };
        let tunnel = Tunnel {
            address: SocketAddr::new(called.ip(), HBONE),
            tls: tls.clone(),
        };
        let there = made.tunnels.get(&tunnel).and_then(Weak::upgrade);
        let tunnels = there.unwrap_or_else(|| {
            let dialer = Dialer {
                address: Address::Tcp(tunnel.address),
                tls: config,
            };
            let tunnels = Tunnels::new(dialer, self.tasks.clone());
            made.tunnels.insert(tunnel, Arc::downgrade(&tunnels));
            tunnels
        });
        let called = *called;
        Ok(Way::Tunnel { tunnels, called })
    }

    fn tls(&self, tls: &Tls, made: &mut Made) -> Result<Arc<ClientConfig>, End> {
        if let Some(config) = made.tls.get(tls) {
            return Ok(Arc::clone(config));
        }
        let (identity, trust) = (self.sources.identity.clone(), self.sources.trust.clone());
        let expect = tls::Expect::Exactly(tls.expect.clone());
        let config = tls::client_config(Some(identity), trust, expect, tls.protocol.alpn())
            .map_err(|error| End::Routing(Routing::NoCluster(whole(&error))))?;
        made.tls.insert(tls.clone(), Arc::clone(&config));
        Ok(config)
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    /// What was made of another model is made again.
    fn follow(&mut self, model: &Arc<WorkloadModel>) {
        if self.model.as_ref().is_some_and(|it| Arc::ptr_eq(it, model)) {
            return;
        }
        self.model = Some(Arc::clone(model));
        self.clusters.clear();
        self.before = std::mem::take(&mut self.endpoints);
        self.tls.clear();
        self.tunnels.retain(|_, tunnels| tunnels.strong_count() > 0);
    }

    fn find(&self, called: Called<'_>) -> Option<Arc<Cluster>> {
        let of_host = self.clusters.get(&called.service.host)?;
        let named = of_host.iter().find(|named| named.name.is_of(called))?;
        Some(Arc::clone(&named.cluster))
    }
}

/// The TLS by which `peer` shows who it is; none if anybody may be there.
fn tls_of(peer: Peer, called: Called<'_>, protocol: Protocol) -> Result<Option<Tls>, End> {
    match peer {
        Peer::Anybody => Ok(None),
        Peer::OneOf(expect) => Ok(Some(Tls { expect, protocol })),
        Peer::OfFiles => {
            let host = &called.service.host;
            let why = format!("TLS by files is asked for {host}, and not supported");
            Err(End::Routing(Routing::NoCluster(why.into())))
        }
    }
}

/// On what terms a policy makes and keeps connections.
pub(super) fn terms(policy: &TrafficPolicy) -> Terms {
    let pool = &policy.connection_pool;
    Terms {
        connect: pool.tcp.connect_timeout,
        idle: pool.http.idle_timeout,
        requests: pool.http.max_requests_per_connection,
        life: pool.tcp.max_connection_duration,
        probes: pool.tcp.keepalive,
        streams: Some(pool.http.max_concurrent_streams).filter(|most| *most < ANY_STREAMS),
        pings: pool.http.keepalive.unwrap_or(PINGS),
    }
}

/// In which version of HTTP requests go.
pub(super) fn upgraded(spoken: Protocol, policy: &TrafficPolicy) -> Protocol {
    match (spoken, policy.connection_pool.http.upgrade) {
        (Protocol::Http, Upgrade::Always) => Protocol::Http2,
        (spoken, Upgrade::Default | Upgrade::Never | Upgrade::AsClient | Upgrade::Always) => spoken,
    }
}

fn spoken(protocol: Spoken) -> Protocol {
    match protocol {
        Spoken::Http => Protocol::Http,
        Spoken::Http2 | Spoken::Grpc => Protocol::Http2,
        Spoken::Https | Spoken::Tls | Spoken::Tcp | Spoken::Mongo => Protocol::Tcp,
    }
}

impl From<NotCalled> for End {
    fn from(why: NotCalled) -> Self {
        let text = why.to_string().into();
        Self::Routing(match why {
            NotCalled::NoService(_) | NotCalled::NothingAt(..) => Routing::NoService(text),
            NotCalled::NoPort(..)
            | NotCalled::NotHttp(..)
            | NotCalled::IsHttp(..)
            | NotCalled::Anywhere(_)
            | NotCalled::NoSubset(..)
            | NotCalled::NobodyExpected(..) => Routing::NoCluster(text),
        })
    }
}

/// Where proxies take tunnels, in Istio.
const HBONE: u16 = 15008;
/// Istio's default, which is no bound.
const ANY_STREAMS: u32 = i32::MAX.unsigned_abs();
