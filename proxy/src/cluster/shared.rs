//! What all threads know of the clusters of the mesh: one state for each, by its name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use signet_mesh::{Called, ClusterName, Home, HttpPool, TrafficPolicy, WorkloadModel};
use tokio::{runtime::Handle, time::Instant};

use super::{
    Member,
    checks::Checks,
    ground::Ground,
    hashing::Hashing,
    health::Health,
    load::{Load, UnderWay},
    outliers::{Happened, Outliers},
    places::{Place, Places},
    to_check::ToCheck,
    warmth::{Since, Warmth},
};
use crate::{
    dns::{Lookup, Names},
    outside::Outside,
    pool::{Address, Bounds, Bulkhead, Limits, OwnConnections},
    reauthorize::Sources,
    source::SharedModel,
};

/// The states of all clusters that have had calls, for all threads. They are as the model in force
/// says; the state of a cluster is kept as long as the model has it.
#[derive(Clone, Debug)]
pub(crate) struct SharedClusters(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    model: SharedModel,
    ground: Ground,
    /// When the time of breakers begins.
    start: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// What the states are of.
    model: Option<Arc<WorkloadModel>>,
    clusters: HashMap<ClusterName, Arc<Shared>>,
    health: HashMap<Address, Weak<Health>>,
}

/// What all threads know of one cluster.
#[derive(Debug)]
pub(crate) struct Shared {
    name: Arc<str>,
    /// When its time begins.
    start: Instant,
    outliers: Arc<Outliers>,
    checks: Checks,
    load: Load,
    hashing: Hashing,
    warmth: Arc<Warmth>,
    /// The names of its endpoints, as they were when it last followed them.
    lookups: Mutex<Vec<Lookup>>,
    /// None while no policy asks for one.
    bulkhead: Mutex<Option<Arc<Bulkhead>>>,
}

/// How a cluster is.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) name: Arc<str>,
    pub(crate) under_way: UnderWay,
    /// How it is called: how much may be under way.
    pub(crate) policy: Arc<TrafficPolicy>,
    pub(crate) changes: [Happened; 5],
    pub(crate) endpoints: Vec<EndpointState>,
}

/// How an endpoint of a cluster is.
#[derive(Debug)]
pub(crate) struct EndpointState {
    pub(crate) address: String,
    /// Of its breaker.
    pub(crate) breaker: &'static str,
    /// What its health checks found, if there are any.
    pub(crate) health_check: Option<&'static str>,
    /// Whether it could not be connected to when that was tried last.
    pub(crate) is_failing: bool,
}

impl ClusterState {
    /// How often an endpoint of it was ejected, or stayed so after a probe.
    pub(crate) fn ejections(&self) -> u64 {
        let ejections = self.changes.iter();
        let ejections = ejections.filter(|it| matches!(it.change, "opened" | "reopened"));
        ejections.map(|it| it.times).sum()
    }
}

impl SharedClusters {
    /// None yet; `model` is the one in force, whose files say what `outside` has, and `home` is
    /// where the proxy runs.
    pub(crate) fn new(model: SharedModel, outside: Outside, home: Home, names: Names) -> Self {
        Self(Arc::new(Registry {
            model,
            ground: Ground {
                names,
                outside,
                home,
                runtime: Handle::current(),
                sources: OnceLock::new(),
                own_connections: OwnConnections::default(),
            },
            start: Instant::now(),
            known: Mutex::default(),
        }))
    }

    /// Endpoints are checked by the identity and trust of these.
    pub(crate) fn checking(self, sources: Sources) -> Self {
        self.0.ground.sources.get_or_init(|| sources);
        self
    }

    /// Where the proxy runs.
    pub(super) fn home(&self) -> &Home {
        &self.0.ground.home
    }

    /// What the files of the model in force say.
    pub(super) fn outside(&self) -> &Outside {
        &self.0.ground.outside
    }

    /// Where names are.
    pub(super) fn names(&self) -> &Names {
        &self.0.ground.names
    }

    /// Those that the proxy makes itself to what no document names.
    pub(super) fn own_connections(&self) -> &OwnConnections {
        &self.0.ground.own_connections
    }

    /// The state of a cluster. One that the model in force does not have, as whoever asks has an
    /// older one, is not shared.
    pub(super) fn of(&self, name: ClusterName, now: Instant) -> Arc<Shared> {
        let newest = Arc::clone(&self.0.model.borrow());
        let mut known = self.0.lock();
        known.follow(&newest, &self.0.ground, now);
        if let Some(shared) = known.clusters.get(&name) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(Shared::new(name.to_string().into(), self.0.start));
        if shared.follow(&name, &newest, &self.0.ground, now) {
            known.clusters.insert(name, Arc::clone(&shared));
        }
        shared
    }

    /// How the clusters are that have had calls, sorted by name.
    pub(crate) fn states(&self, now: Instant) -> Vec<ClusterState> {
        let newest = Arc::clone(&self.0.model.borrow());
        let mut known = self.0.lock();
        known.follow(&newest, &self.0.ground, now);
        let clusters = known.clusters.iter();
        let state = |(name, shared): (&ClusterName, &Arc<Shared>)| {
            let Described { policy, places, .. } = described(name, &newest, &self.0.ground.names)?;
            let ejected = shared.outliers.ejected(now);
            let endpoint = |address: Address| {
                let ejected = ejected.iter().find(|it| it.address == address);
                let health = known.health.get(&address).and_then(Weak::upgrade);
                EndpointState {
                    health_check: shared.checks.verdict(&address),
                    breaker: ejected.map_or("closed", |it| it.state),
                    is_failing: health.is_some_and(|health| health.is_failing()),
                    address: address.to_string(),
                }
            };
            Some(ClusterState {
                name: Arc::clone(&shared.name),
                under_way: shared.load.now(),
                policy: Arc::clone(policy),
                changes: shared.outliers.changes(),
                endpoints: places.addresses().map(endpoint).collect(),
            })
        };
        let mut states: Vec<_> = clusters.filter_map(state).collect();
        drop(known);
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// Whether an endpoint can be reached.
    pub(super) fn health(&self, address: &Address) -> Arc<Health> {
        let mut known = self.0.lock();
        if let Some(health) = known.health.get(address).and_then(Weak::upgrade) {
            return health;
        }
        known.health.retain(|_, health| health.strong_count() > 0);
        let health = Arc::new(Health::new(&address.to_string()));
        let kept = Arc::downgrade(&health);
        known.health.insert(address.clone(), kept);
        health
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// All clusters are as a new model says, and where their names are; those that it has not are
    /// forgotten.
    fn follow(&mut self, model: &Arc<WorkloadModel>, ground: &Ground, now: Instant) {
        let is_same = self.model.as_ref().is_some_and(|it| Arc::ptr_eq(it, model));
        self.model = Some(Arc::clone(model));
        self.clusters.retain(|name, shared| {
            is_same && !shared.is_elsewhere() || shared.follow(name, model, ground, now)
        });
    }
}

impl Shared {
    /// A state of a cluster that no model says anything of.
    pub(crate) fn new(name: Arc<str>, start: Instant) -> Self {
        let warmth = Arc::new(Warmth::default());
        let outliers = Outliers::new(Arc::clone(&name), start, Arc::clone(&warmth));
        Self {
            outliers: Arc::new(outliers),
            checks: Checks::new(Arc::clone(&name)),
            warmth,
            name,
            start,
            load: Load::default(),
            hashing: Hashing::default(),
            lookups: Mutex::default(),
            bulkhead: Mutex::default(),
        }
    }

    /// The name of the cluster in logs.
    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How long after the beginning of its time this is.
    pub(super) fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// Which of its endpoints are ejected.
    pub(super) fn outliers(&self) -> &Arc<Outliers> {
        &self.outliers
    }

    /// Which of its endpoints fail their checks.
    pub(super) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What is under way.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// Where the endpoints of keys are found.
    pub(super) fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// Since when these have their places, if the policy lets new ones begin with less.
    pub(super) fn since(&self, policy: &TrafficPolicy, members: &[Member]) -> Vec<Arc<Since>> {
        if policy.load_balancer.warmup.is_none() {
            return Vec::new();
        }
        let now = self.time(Instant::now());
        let addresses = members.iter().map(|member| member.endpoint.address());
        addresses
            .map(|address| self.warmth.of(address, now))
            .collect()
    }

    /// What bounds its connections, by this policy.
    pub(super) fn bounds(&self, policy: &TrafficPolicy) -> Bounds {
        let Some(limits) = limits(policy) else {
            return Bounds::default();
        };
        let mut bulkhead = self.bulkhead();
        let new = || Bulkhead::new(Arc::clone(&self.name), limits);
        Bounds(Some(Arc::clone(bulkhead.get_or_insert_with(new))))
    }

    fn bulkhead(&self) -> MutexGuard<'_, Option<Arc<Bulkhead>>> {
        self.bulkhead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one of its names is elsewhere than it was.
    fn is_elsewhere(&self) -> bool {
        self.lookups().iter().any(Lookup::is_stale)
    }

    fn lookups(&self) -> MutexGuard<'_, Vec<Lookup>> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is as the model says from now on, unless that does not have it.
    fn follow(
        &self,
        name: &ClusterName,
        model: &WorkloadModel,
        ground: &Ground,
        now: Instant,
    ) -> bool {
        let described = described(name, model, &ground.names);
        let Some(Described {
            called,
            policy,
            places,
        }) = described
        else {
            return false;
        };
        let addresses: Vec<_> = places.addresses().collect();
        *self.lookups() = places.into_lookups();
        self.checks
            .follow(ToCheck::each(called, model, ground), ground);
        let detection = policy.outlier_detection.as_ref();
        match policy.load_balancer.warmup {
            Some(_) => self.warmth.follow(&addresses, self.time(now)),
            None => self.warmth.forget(),
        }
        self.outliers.follow(detection, addresses, now);
        let mut bulkhead = self.bulkhead();
        match (&*bulkhead, limits(policy)) {
            (Some(bulkhead), Some(limits)) => bulkhead.follow(limits),
            (Some(_) | None, None) => *bulkhead = None,
            (None, Some(_)) => {}
        }
        true
    }
}

/// What a model says of a cluster.
struct Described<'m> {
    called: Called<'m>,
    policy: &'m Arc<TrafficPolicy>,
    places: Places,
}

fn described<'m>(
    name: &'m ClusterName,
    model: &'m WorkloadModel,
    names: &Names,
) -> Option<Described<'m>> {
    let called = model.named(name)?;
    let part = model.part_of(called).ok()?;
    let mut places = Places::default();
    let endpoints = called.service.endpoints.iter();
    for endpoint in endpoints.filter(|it| part.has(&it.labels)) {
        places.add(Place::of(endpoint, called, names));
    }
    let policy = part.policy;
    Some(Described {
        called,
        policy,
        places,
    })
}

/// How many connections there may be, and how many requests without one; none is any number.
fn limits(policy: &TrafficPolicy) -> Option<Limits> {
    let pool = &policy.connection_pool;
    let (connections, pending) = (pool.tcp.max_connections, pool.http.max_pending_requests);
    let bounded = connections < u32::MAX || pending.is_some();
    bounded.then(|| Limits {
        connections,
        pending: pending.unwrap_or(HttpPool::PENDING),
    })
}
