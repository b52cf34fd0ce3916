//! What the proxy counts: Istio's standard metrics, by Istio's names and labels, and some of its
//! own.
//!
//! Whoever carries calls holds a [`Meter`], which counts those of one client to one service on one
//! thread. What a call ends with is looked up in it without a lock; series are made when the first
//! call ends so.

mod families;
mod meter;
mod party;
mod tags;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use signet_daemon::metrics::{Labels, Registry};
use signet_identity::tls::SharedIdentity;
use signet_mesh::{Metrics as OfTelemetry, Side, Workload, WorkloadTelemetry};

pub(crate) use families::Size;
pub(crate) use meter::{Call, Meter, Outcome, Spoken};
pub(crate) use party::{Between, Party, Security, Service};

use families::Families;

/// The metrics of a proxy, for all its threads.
#[derive(Debug)]
pub(crate) struct Metrics {
    families: Families,
    /// Whom the proxy stands for, and who it is.
    own: Party,
    identity: SharedIdentity,
    rules: Mutex<Arc<Rules>>,
    /// Raised when the rules change: meters that were made before are not asked any more.
    generation: AtomicU64,
}

/// What the documents of the mesh say of metrics.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rules {
    client: Option<Vec<OfTelemetry>>,
    server: Option<Vec<OfTelemetry>>,
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new(registry: &Registry, workload: &Workload, identity: SharedIdentity) -> Self {
        Self {
            families: Families::new(registry),
            own: Party::own(workload),
            identity,
            rules: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// Counts as a new model says from now on.
    pub(crate) fn follow(&self, telemetry: &WorkloadTelemetry) {
        let of = |side| telemetry.metrics(side).map(<[_]>::to_vec);
        let new = Rules {
            client: of(Side::Client),
            server: of(Side::Server),
        };
        let mut rules = self.rules();
        if **rules != new {
            *rules = Arc::new(new);
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection or request that a policy denied.
    pub(crate) fn denied(&self, port: &str, policy: &str) {
        let labels = [("port", port.to_owned()), ("policy", policy.to_owned())];
        let denied = self.families.denied.shard(&Labels::of(labels));
        denied.increment();
    }

    /// Counts a client that proved no SPIFFE ID.
    pub(crate) fn not_authenticated(&self, port: &str) {
        let labels = Labels::one("port", port.to_owned());
        self.families.not_authenticated.shard(&labels).increment();
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The proxy's workload, with the identity that it has now.
    fn own(&self) -> Party {
        let identity = self.identity.borrow();
        let own = self.own.clone();
        match &*identity {
            Some(identity) => own.with_principal(identity.id()),
            None => own,
        }
    }

    fn rules(&self) -> MutexGuard<'_, Arc<Rules>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
