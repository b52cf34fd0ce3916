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

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use client::ServiceOf;
pub use client::{DestinationPart, WorkloadDestinations};
pub use connection_pool::{
    ConnectionPool, Http2Keepalive, HttpPool, TcpKeepalive, TcpPool, Upgrade,
};
pub use consistent_hash::{
    ConsistentHash, CookieAttribute, HashAlgorithm, HashCookie, HashKey, MadeCookie,
};
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
    object::{Named, Object, Unique, Workload},
    problem::Problems,
    read::HostName,
};

/// Every `DestinationRule`, compiled.
#[derive(Debug, Clone, Default)]
pub struct DestinationRules {
    rules: Vec<Arc<DestinationRule>>,
}

/// The rules that were read so far.
pub(crate) type Read = Unique<Arc<DestinationRule>>;

/// Reads the rule that an object holds, and adds it to the others.
pub(crate) fn read_into(rules: &mut Read, object: Object<'_>, problems: &mut Problems) {
    let (name, line) = (object.name.clone(), object.line);
    if let Some(rule) = document::read(object, problems) {
        let value = Arc::new(rule);
        rules.add("DestinationRule", Named { name, line, value }, problems);
    }
}

impl DestinationRules {
    /// All of them, once every one was read.
    pub(crate) fn new(rules: Read, problems: &mut Problems) -> Self {
        let rules: Vec<_> = rules.into_values().collect();
        refuse_conflicts(&rules, problems);
        Self { rules }
    }

    /// Each of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<DestinationRule>> {
        self.rules.iter()
    }

    /// The rules of one client, which sees these services.
    pub(crate) fn for_workload<'s>(
        &'s self,
        workload: &Workload,
        root_namespace: &str,
        services: impl Iterator<Item = ServiceOf<'s>>,
    ) -> WorkloadDestinations {
        let concerns = |rule: &&Arc<DestinationRule>| {
            let selected = rule.selector.as_ref();
            rule.export.reaches(&workload.namespace)
                && selected.is_none_or(|it| it.selects(&workload.labels))
        };
        let rules = self.rules.iter().filter(concerns);
        WorkloadDestinations::new(rules, services, workload, root_namespace)
    }
}

/// Two of one namespace for the same host that the same client would see.
fn refuse_conflicts(rules: &[Arc<DestinationRule>], problems: &mut Problems) {
    let mut by_host: BTreeMap<(&str, &HostName), Vec<&DestinationRule>> = BTreeMap::new();
    for rule in rules {
        let others = by_host
            .entry((rule.name.namespace(), &rule.host))
            .or_default();
        if let Some(other) = others.iter().find(|other| meet(other, rule)) {
            let what = format!(
                "DestinationRule {} is for {}, as {} is, which is at {}:{}",
                rule.name, rule.host, other.name, other.file, other.line
            );
            problems.enter(&rule.file);
            problems.error(rule.line, what, "make one of them");
        }
        others.push(rule);
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
