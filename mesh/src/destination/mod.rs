//! Istio's `DestinationRule` (`networking.istio.io`): how a destination is called, and which parts
//! it has.
//!
//! A block of a subset's policy goes before the same block of the host's, and what is said of a
//! port is all that holds there. What Istio leaves open or answers in a surprising way is settled
//! here:
//!
//! - One host has one rule in a namespace, for a client: two are refused, where Istio merges their
//!   subsets and takes the policy of the older. One with a `workloadSelector` goes before one
//!   without, whole.
//! - A rule holds for the clients of those namespaces alone that `exportTo` names, its own too.
//! - `consecutiveErrors`, which Istio ignores today, is `consecutive5xxErrors`, and is warned of.
//! - One endpoint may be left out at any rate, where Istio's 10 percent leave out none of nine.
//! - A 0 that Istio takes for its default is refused, as it may have been meant.
//! - A field that has no effect beside another one is an error.

mod client;
mod connection_pool;
mod consistent_hash;
mod document;
mod health_check;
mod load_balancer;
mod locality;
mod outlier_detection;
mod policy;
mod retry_budget;
mod tls;

use std::sync::Arc;

pub(crate) use client::ServiceOf;
pub use client::{DestinationPart, WorkloadDestinations};
pub use connection_pool::{
    ConnectionPool, Http2Keepalive, HttpPool, TcpKeepalive, TcpPool, Upgrade,
};
pub use consistent_hash::{
    ConsistentHash, CookieAttribute, HashAlgorithm, HashCookie, HashKey, MadeCookie,
};
pub(crate) use document::read;
pub use document::{DestinationRule, Subset};
pub use health_check::{CheckedHealth, HealthCheck, HealthQuestion};
pub use load_balancer::{Balancing, LoadBalancer, Warmup};
pub use locality::{
    Distribution, LocalityBalancing, LocalityPattern, LocalityShare, PriorityLabel, RegionOf,
};
pub use outlier_detection::{LocalOrigin, OutlierDetection};
pub use policy::TrafficPolicy;
pub use retry_budget::{RecentRequests, RetryBudget};
pub use tls::{ClientCertificate, ClientTls, ServerCheck, Verify};

use crate::{
    object::{Change, Objects, Workload},
    problem::Problems,
    read::{HostName, by_host::ByHost},
};

/// Every `DestinationRule`, compiled.
#[derive(Debug, Clone, Default)]
pub struct DestinationRules {
    all: Objects<DestinationRule>,
    by_host: ByHost<DestinationRule>,
}

impl DestinationRules {
    /// Takes away what goes, and adds what comes.
    pub(crate) fn change(&mut self, change: &mut Change<DestinationRule>, problems: &mut Problems) {
        self.all.change(change, problems);
        for rule in &change.gone {
            self.by_host.remove(&rule.host, rule);
        }
        for rule in &change.come {
            self.add(rule, problems);
        }
    }

    /// Two of one namespace for the same host that the same client would see are refused.
    fn add(&mut self, rule: &Arc<DestinationRule>, problems: &mut Problems) {
        let namespace = rule.name.namespace();
        let others = self.by_host.exactly(&rule.host).iter();
        let mut others = others.filter(|it| it.name.namespace() == namespace);
        if let Some(other) = others.find(|other| meet(other, rule)) {
            let what = format!(
                "DestinationRule {} is for {}, as {} is, which is at {}:{}",
                rule.name, rule.host, other.name, other.file, other.line
            );
            problems.enter(&rule.file);
            problems.error(rule.line, what, "make one of them");
        }
        let is_before = |other: &DestinationRule| other.name < rule.name;
        self.by_host.add(&rule.host, rule, is_before);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Each of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<DestinationRule>> {
        self.all.iter()
    }

    /// Those for exactly this host, or for all hosts below exactly this name.
    pub(crate) fn exactly(&self, host: &HostName) -> &[Arc<DestinationRule>] {
        self.by_host.exactly(host)
    }

    /// The rules of one client.
    pub(crate) fn for_workload(&self, workload: Arc<Workload>, root: &str) -> WorkloadDestinations {
        WorkloadDestinations::new(self.by_host.clone(), workload, root)
    }
}

/// Whether there can be a client for which neither goes before the other.
fn meet(one: &DestinationRule, other: &DestinationRule) -> bool {
    let selectors = match (&one.selector, &other.selector) {
        (None, None) => true,
        (Some(one), Some(other)) => one.agrees(other),
        (Some(_), None) | (None, Some(_)) => false,
    };
    selectors && one.export.overlaps(&other.export)
}

#[cfg(test)]
mod tests;
