//! The clusters of a thread: made from the model in force when they are first called.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use signet_identity::SpiffeId;
use signet_mesh::{Called, CalledEndpoint, ClusterName, HostName, NotCalled, Site, WorkloadModel};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{
    Cluster, Endpoint, Member, Meters, SharedClusters,
    places::{Place, Places},
    secured::{Secured, Tls},
    spoken::{is_as_client, spoken, terms, upgraded},
    tunnelled::{self, Inner, Tunnelled},
};
use crate::{
    config::Protocol,
    dns::{Lookup, Names},
    flow::{End, Observer, Routing, Shutdown},
    metrics::Party,
    outside::Outside,
    pool::{Address, Bounds, Dialer, OwnConnections, Pool, Secure, Terms, Way},
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
    tls: HashMap<Tls, Secure>,
    tunnelled: Tunnelled,
}

/// A cluster of a service, by what names it.
#[derive(Debug)]
struct Named {
    name: ClusterName,
    /// Whose version of HTTP its endpoints are called in; none if it is the same for all clients.
    client: Option<Protocol>,
    cluster: Arc<Cluster>,
    /// The names by which its endpoints were found.
    lookups: Vec<Lookup>,
}

/// What a cluster is made with, and what is noted of that.
struct Making<'m> {
    /// What is spoken to its endpoints.
    protocol: Protocol,
    places: &'m mut Places,
    made: &'m mut Made,
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

    /// The cluster of what is called, as `model` describes it, for who speaks `client`.
    ///
    /// # Errors
    /// It cannot be called: nobody knows where it is or who it has to be.
    pub(crate) fn of(
        &self,
        called: Called<'_>,
        model: &Arc<WorkloadModel>,
        client: Protocol,
    ) -> Result<Arc<Cluster>, End> {
        let mut made = self.lock();
        made.follow(model);
        if let Some(cluster) = made.find(called, client) {
            return Ok(cluster);
        }
        let policy = model.part_of(called)?.policy;
        let protocol = upgraded(spoken(called.port.protocol), policy, client);
        let mut places = Places::default();
        let making = Making {
            protocol,
            places: &mut places,
            made: &mut made,
        };
        let cluster = Arc::new(self.make(called, model, making)?);
        let lookups = places.into_lookups();
        if !lookups.is_empty() {
            // Where a name was before.
            let is_used = |_: &Key, it: &mut Arc<Endpoint>| Arc::strong_count(it) > 1;
            made.endpoints.retain(is_used);
        }
        let of_host = made.clusters.entry(called.service.host.clone());
        of_host.or_default().push(Named {
            name: called.name(),
            client: is_as_client(policy).then_some(client),
            cluster: Arc::clone(&cluster),
            lookups,
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
        let protocol = upgraded(spoken(called.port.protocol), policy, Protocol::Tcp);
        let peer = model.peer_at(called, address.ip(), &own)?;
        let parties = self.observer.iter().map(|_| Party::at(&peer)).collect();
        let of_policy = policy.tls.as_ref();
        let secured = Secured::of(peer, called, of_policy, protocol, self.outside())?;
        let mut made = self.lock();
        made.follow(model);
        let dialer = Dialer::new(address, self.secure(secured.as_ref(), &mut made)?);
        drop(made);
        let health = self.shared.health(&dialer.address);
        let tasks = self.tasks.clone();
        let endpoint = Endpoint::new(dialer, protocol, terms(policy), health, tasks)
            .expecting(expected(secured.as_ref()));
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
        made.tunnelled.renew();
    }

    /// Where names are.
    pub(crate) fn names(&self) -> &Names {
        self.shared.names()
    }

    /// Those that the proxy makes itself to what no document names.
    pub(crate) fn own_connections(&self) -> &OwnConnections {
        self.shared.own_connections()
    }

    fn make(
        &self,
        called: Called<'_>,
        model: &WorkloadModel,
        making: Making<'_>,
    ) -> Result<Cluster, End> {
        let Making {
            protocol,
            places,
            made,
        } = making;
        let own = self.sources.trust_domain();
        let own = own.ok_or(End::Shutdown(Shutdown::Identity))?;
        let policy = model.part_of(called)?.policy;
        let shared = self.shared.of(called.name(), Instant::now());
        let bounds = shared.bounds(policy);
        let (mut members, mut sites) = (Vec::new(), Vec::new());
        let mut parties = Vec::new();
        for CalledEndpoint { endpoint, peer } in model.endpoints_of(called, &own)? {
            let party = Party::at(&peer).with_labels(&endpoint.labels);
            let (of_policy, outer) = (policy.tls.as_ref(), tunnelled::outer(endpoint, protocol));
            let secured = Secured::of(peer, called, of_policy, outer, self.outside())?;
            let place = Place::of(endpoint, called, self.names());
            for address in places.add(place) {
                if self.observer.is_some() {
                    parties.push(party.clone());
                }
                let key = Key {
                    address,
                    tls: secured.as_ref().map(|it| it.tls.clone()),
                    is_tunnelled: endpoint.is_tunnelled(),
                    protocol,
                    terms: terms(policy),
                    bounds: bounds.clone(),
                };
                members.push(Member {
                    endpoint: self.endpoint(key, secured.as_ref(), made)?,
                    weight: endpoint.weight,
                });
                sites.push(Site {
                    locality: endpoint.locality.as_ref(),
                    labels: &endpoint.labels,
                });
            }
        }
        let knows_health = policy.outlier_detection.is_some();
        let locality = &policy.load_balancer.locality;
        let groups = locality.groups(self.shared.home(), &sites, knows_health);
        let cluster = Cluster::new(members, Arc::clone(policy), shared).in_groups(groups);
        Ok(self.counted(cluster, called, parties))
    }

    fn endpoint(
        &self,
        key: Key,
        secured: Option<&Secured>,
        made: &mut Made,
    ) -> Result<Arc<Endpoint>, End> {
        if let Some(endpoint) = made.endpoints.get(&key) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = match made.before.remove(&key) {
            Some(endpoint) => endpoint,
            None => {
                let way = self.way(&key, secured, made)?;
                let health = self.shared.health(&key.address);
                let (protocol, terms) = (key.protocol, key.terms);
                let (bounds, tasks) = (key.bounds.clone(), self.tasks.clone());
                let pool = Pool::within(bounds, way, protocol, terms, tasks);
                let endpoint = Endpoint::with(pool, &key.address, health);
                Arc::new(endpoint.expecting(expected(secured)))
            }
        };
        made.endpoints.insert(key, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    fn way(&self, key: &Key, secured: Option<&Secured>, made: &mut Made) -> Result<Way, End> {
        let secure = self.secure(secured, made)?;
        if key.is_tunnelled {
            let inner = Inner::of(&key.address, secured, secure)?;
            return Ok(made.tunnelled.way(inner, &self.tasks));
        }
        Ok(Way::Direct(Dialer::new(key.address.clone(), secure)))
    }

    fn secure(&self, secured: Option<&Secured>, made: &mut Made) -> Result<Option<Secure>, End> {
        let Some(secured) = secured else {
            return Ok(None);
        };
        if let Some(secure) = made.tls.get(&secured.tls) {
            return Ok(Some(secure.clone()));
        }
        let secure = secured.secure(&self.sources)?;
        made.tls.insert(secured.tls.clone(), secure.clone());
        Ok(Some(secure))
    }

    /// What the files of the model in force say.
    fn outside(&self) -> &Outside {
        self.shared.outside()
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who of the mesh has to be there.
fn expected(secured: Option<&Secured>) -> &[SpiffeId] {
    secured.map(Secured::expected).unwrap_or_default()
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
        self.tunnelled.forget_unused();
    }

    /// The cluster, unless one of its names is elsewhere by now.
    fn find(&mut self, called: Called<'_>, client: Protocol) -> Option<Arc<Cluster>> {
        let of_host = self.clusters.get_mut(&called.service.host)?;
        let is_it =
            |it: &Named| it.name.is_of(called) && it.client.is_none_or(|spoken| spoken == client);
        let place = of_host.iter().position(is_it)?;
        let named = of_host.get(place)?;
        if named.lookups.iter().any(Lookup::is_stale) {
            of_host.swap_remove(place);
            return None;
        }
        Some(Arc::clone(&named.cluster))
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
