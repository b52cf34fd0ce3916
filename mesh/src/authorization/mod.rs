//! Istio's `AuthorizationPolicy` (`security.istio.io/v1`): who may do what at a workload.

mod action;
mod condition;
mod decision;
mod describe;
mod document;
mod egress;
mod explain;
mod index;
mod keys;
mod lint;
mod ordered;
mod policy;
mod recorded;
mod remote;
mod request;
mod rules;
mod template;
mod texts;
mod token;
mod values;
mod when;
mod workload;

use std::sync::Arc;

pub use action::Action;
pub use decision::{
    Asked, Decision, Denied, DeniedWhy, NearMiss, Noted, Permit, PermitWhy, RuleRef,
};
pub(crate) use egress::Calls;
pub use egress::EgressPolicies;
pub use explain::{Explanation, Outcome, PolicyTrace, RuleTrace};
pub use recorded::{NotRecorded, RecordedDecision};
pub use remote::{NoProxy, TrustedProxies};
pub use request::{Http, Request};
pub use token::Token;
pub use workload::WorkloadPolicy;

use crate::{
    object::{Named, Object, ObjectName, Unique, Workload},
    problem::Problems,
};
use policy::Policy;

/// Every policy that was given, compiled.
#[derive(Debug, Clone)]
pub struct Policies(Vec<Arc<Policy>>);

impl Policies {
    /// Those that were read.
    pub(crate) fn new(policies: Read) -> Self {
        Self(policies.into_values().collect())
    }

    /// The policies that concern `workload`: those of its namespace and those of the root namespace
    /// (which hold for the whole mesh), if their selector selects it.
    pub fn for_workload(&self, workload: &Workload, root_namespace: &str) -> WorkloadPolicy {
        let concerns = |policy: &&Arc<Policy>| {
            let namespace = policy.name.namespace();
            (namespace == workload.namespace || namespace == root_namespace)
                && policy.targets.is_empty()
                && policy.selector.selects(&workload.labels)
        };
        WorkloadPolicy::new(self.0.iter().filter(concerns).cloned())
    }

    /// The policies that are enforced where services are called, by service.
    pub(crate) fn egress(&self) -> EgressPolicies {
        EgressPolicies::new(&self.0)
    }

    /// Says which of them are for services that are not `known`.
    pub(crate) fn check_targets(
        &self,
        known: impl Fn(&ObjectName) -> bool,
        problems: &mut Problems,
    ) {
        self.0
            .iter()
            .for_each(|policy| egress::check(policy, &known, problems));
    }
}

/// The policies that were read so far.
pub(crate) type Read = Unique<Arc<Policy>>;

/// Reads the policy that an object holds, and adds it to the others.
pub(crate) fn read_into(policies: &mut Read, object: Object<'_>, problems: &mut Problems) {
    let (name, line) = (object.name.clone(), object.line);
    let policy = document::read(object, problems);
    lint::check(&policy, problems);
    let value = Arc::new(policy);
    policies.add("policy", Named { name, line, value }, problems);
}

#[cfg(test)]
mod tests;
