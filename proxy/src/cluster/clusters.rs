//! The clusters of a thread: made from the model in force when they are first called.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::ClientConfig;
use signet_identity::{SpiffeId, TrustDomain, tls};
use signet_mesh::{
    ClientTls, Endpoint as ServiceEndpoint, HostName, Location, Protocol as Spoken, Resolution,
    Service, ServicePort, SubjectAltName, TrafficPolicy, WorkloadModel,
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{Cluster, Endpoint, Member, SharedClusters, name::ClusterName, shared::address};
use crate::{
    config::Protocol,
    flow::{End, Routing, Shutdown, whole},
    pool::{Address, Dialer, Terms},
    reauthorize::Sources,
};

/// The clusters that a thread has had calls for.
#[derive(Debug)]
pub(crate) struct Clusters {
    sources: Sources,
    tasks: TaskTracker,
    shared: SharedClusters,
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
}

/// A cluster of a service, by what names it.
#[derive(Debug)]
struct Named {
    port: u16,
    subset: Option<Box<str>>,
    cluster: Arc<Cluster>,
}

/// By what an endpoint differs from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    address: Address,
    tls: Option<Tls>,
    protocol: Protocol,
    terms: Terms,
}

/// By what the TLS of endpoints differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tls {
    expect: Vec<SpiffeId>,
    protocol: Protocol,
}

/// What a cluster is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'m> {
    pub(crate) service: &'m Service,
    pub(crate) port: &'m ServicePort,
    /// The part of the service that is meant, if it is one.
    pub(crate) subset: Option<&'m str>,
}

impl Clusters {
    /// None yet; connections will run on `tasks`.
    pub(crate) fn new(sources: Sources, tasks: TaskTracker, shared: SharedClusters) -> Self {
        Self {
            sources,
            tasks,
            shared,
            made: Mutex::default(),
        }
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
        let Called {
            service,
            port,
            subset,
        } = called;
        let of_host = made.clusters.entry(service.host.clone()).or_default();
        of_host.push(Named {
            port: port.number,
            subset: subset.map(Into::into),
            cluster: Arc::clone(&cluster),
        });
        Ok(cluster)
    }

    /// Voids kept connections, because they were made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        let made = self.lock();
        let endpoints = made.endpoints.values().chain(made.before.values());
        endpoints.for_each(|endpoint| endpoint.renew());
    }

    fn make(
        &self,
        called: Called<'_>,
        model: &WorkloadModel,
        made: &mut Made,
    ) -> Result<Cluster, End> {
        let Called {
            service,
            port,
            subset,
        } = called;
        if service.resolution == Resolution::None {
            let why = format!(
                "service {} has resolution NONE: it is where the client called, which a host does \
                 not say",
                service.host
            );
            return Err(End::Routing(Routing::NoCluster(why.into())));
        }
        let part = model
            .destinations
            .policy(&service.host, subset, port.number);
        let part = part.ok_or_else(|| no_subset(called))?;
        let own = self.sources.trust_domain();
        let own = own.ok_or(End::Shutdown(Shutdown::Identity))?;
        let mut members = Vec::new();
        for endpoint in service.endpoints.iter().filter(|it| part.has(&it.labels)) {
            let key = key(called, endpoint, part.policy, &own)?;
            members.push(Member {
                endpoint: self.endpoint(key, made)?,
                weight: endpoint.weight,
            });
        }
        let name = ClusterName {
            host: service.host.clone(),
            port: port.number,
            subset: subset.map(Into::into),
        };
        let shared = self.shared.of(name, Instant::now());
        Ok(Cluster::new(members, Arc::clone(part.policy), shared))
    }

    fn endpoint(&self, key: Key, made: &mut Made) -> Result<Arc<Endpoint>, End> {
        if let Some(endpoint) = made.endpoints.get(&key) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = match made.before.remove(&key) {
            Some(endpoint) => endpoint,
            None => {
                let tls = key
                    .tls
                    .as_ref()
                    .map(|tls| self.tls(tls, made))
                    .transpose()?;
                let dialer = Dialer {
                    address: key.address.clone(),
                    tls,
                };
                let health = self.shared.health(&key.address);
                let (protocol, terms) = (key.protocol, key.terms);
                let tasks = self.tasks.clone();
                Arc::new(Endpoint::new(dialer, protocol, terms, health, tasks))
            }
        };
        made.endpoints.insert(key, Arc::clone(&endpoint));
        Ok(endpoint)
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
    }

    fn find(&self, called: Called<'_>) -> Option<Arc<Cluster>> {
        let of_host = self.clusters.get(&called.service.host)?;
        let same = |named: &&Named| {
            named.port == called.port.number && named.subset.as_deref() == called.subset
        };
        of_host
            .iter()
            .find(same)
            .map(|named| Arc::clone(&named.cluster))
    }
}

fn no_subset(called: Called<'_>) -> End {
    let subset = called.subset.unwrap_or_default();
    let why = format!(
        "no DestinationRule of {} has a subset {subset}",
        called.service.host
    );
    End::Routing(Routing::NoCluster(why.into()))
}

fn key(
    called: Called<'_>,
    endpoint: &ServiceEndpoint,
    policy: &TrafficPolicy,
    own: &TrustDomain,
) -> Result<Key, End> {
    let Called { service, port, .. } = called;
    let protocol = spoken(port.protocol);
    let expect = match (&policy.tls, service.location) {
        (Some(ClientTls::Disable), _) | (None, Location::External) => None,
        (Some(ClientTls::IstioMutual { ids, .. }), _) if !ids.is_empty() => Some(ids.clone()),
        (Some(ClientTls::IstioMutual { .. }), _) | (None, Location::Internal) => {
            Some(expected(service, endpoint, own)?)
        }
        (Some(ClientTls::Simple(_) | ClientTls::Mutual { .. }), _) => {
            let why = format!(
                "TLS by files is asked for {}, and not supported",
                service.host
            );
            return Err(End::Routing(Routing::NoCluster(why.into())));
        }
    };
    let tls = expect.map(|expect| Tls { expect, protocol });
    Ok(Key {
        address: address(endpoint, port),
        tls,
        protocol,
        terms: terms(policy),
    })
}

/// On what terms a policy makes and keeps connections.
pub(super) fn terms(policy: &TrafficPolicy) -> Terms {
    let pool = &policy.connection_pool;
    Terms {
        connect: pool.tcp.connect_timeout,
        idle: pool.http.idle_timeout,
        requests: pool.http.max_requests_per_connection,
    }
}

/// The IDs that an endpoint may have. A service that says none of its own could be anybody.
fn expected(
    service: &Service,
    endpoint: &ServiceEndpoint,
    own: &TrustDomain,
) -> Result<Vec<SpiffeId>, End> {
    let named = service
        .subject_alt_names
        .iter()
        .filter_map(|name| match name {
            SubjectAltName::Id(id) => Some(id.clone()),
            SubjectAltName::Dns(_) => None,
        });
    let mut ids: Vec<_> = endpoint.id(own).into_iter().chain(named).collect();
    if ids.is_empty() {
        let why = format!(
            "it is not known who service {} has to be at {}: its ServiceEntry has neither \
             `subjectAltNames` nor a `serviceAccount` for it",
            service.host, endpoint.address
        );
        return Err(End::Routing(Routing::NoCluster(why.into())));
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

fn spoken(protocol: Spoken) -> Protocol {
    match protocol {
        Spoken::Http => Protocol::Http,
        Spoken::Http2 | Spoken::Grpc => Protocol::Http2,
        Spoken::Https | Spoken::Tls | Spoken::Tcp | Spoken::Mongo => Protocol::Tcp,
    }
}
