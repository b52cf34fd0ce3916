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

use std::{collections::BTreeSet, sync::Arc};

pub use action::Action;
pub use decision::{
    Asked, Decision, Denied, DeniedWhy, NearMiss, Noted, Permit, PermitWhy, RuleRef,
};
pub(crate) use egress::Calls;
pub use egress::EgressPolicies;
pub use explain::{Explanation, Outcome, PolicyTrace, RuleTrace};
pub(crate) use policy::Policy;
pub use recorded::{NotRecorded, RecordedDecision};
pub use remote::{NoProxy, TrustedProxies};
pub use request::{Http, Request};
pub use token::Token;
pub use workload::WorkloadPolicy;

use crate::{
    object::{Change, Object, ObjectName, Objects, Workload},
    problem::Problems,
};

/// Every policy that was given, compiled.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    all: Objects<Policy>,
    /// Those that are enforced where services are called.
    egress: EgressPolicies,
}

/// The policy that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Policy {
    let policy = document::read(object, problems);
    lint::check(&policy, problems);
    policy
}

impl Policies {
    /// Takes away what goes, and adds what comes.
    pub(crate) fn change(&mut self, change: &mut Change<Policy>, problems: &mut Problems) {
        self.all.change(change, problems);
        self.egress.change(&self.all, change);
    }

    /// Says which of them are for services that are not `known`: of those that came with `change`,
    /// and of the others in the namespaces of services that are `gone`.
    pub(crate) fn check_targets<'g>(
        &self,
        change: &Change<Policy>,
        gone: impl Iterator<Item = &'g ObjectName>,
        known: impl Fn(&ObjectName) -> bool,
        problems: &mut Problems,
    ) {
        let namespaces: BTreeSet<&str> = gone.map(ObjectName::namespace).collect();
        let of = |namespace| self.all.of_namespace(namespace);
        let stays = |policy: &&Arc<Policy>| !change.has_come(*policy);
        let staying = namespaces.into_iter().flat_map(of).filter(stays);
        for policy in change.come.iter().chain(staying) {
            egress::check(policy, &known, problems);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The policies that concern `workload`: those of its namespace and those of the root namespace
    /// (which hold for the whole mesh), if their selector selects it.
    pub fn for_workload(&self, workload: &Workload, root_namespace: &str) -> WorkloadPolicy {
        WorkloadPolicy::new(self.concerning(workload, root_namespace))
    }

    /// The same, taken over from `before` if that is of the same policies.
    pub(crate) fn for_workload_after(
        &self,
        before: &WorkloadPolicy,
        workload: &Workload,
        root_namespace: &str,
    ) -> WorkloadPolicy {
        let policies = self.concerning(workload, root_namespace);
        match before.is_of(&policies) {
            true => before.clone(),
            false => WorkloadPolicy::new(policies),
        }
    }

    /// Sorted by their names.
    fn concerning(&self, workload: &Workload, root_namespace: &str) -> Vec<Arc<Policy>> {
        let namespaces = BTreeSet::from([&*workload.namespace, root_namespace]);
        let of = |namespace| self.all.of_namespace(namespace);
        let concerns = |policy: &&Arc<Policy>| {
            policy.targets.is_empty() && policy.selector.selects(&workload.labels)
        };
        let all = namespaces.into_iter().flat_map(of);
        all.filter(concerns).cloned().collect()
    }

    /// The policies that are enforced where services are called, by service.
    pub(crate) fn egress(&self) -> EgressPolicies {
        self.egress.clone()
    }
}

#[cfg(test)]
mod tests;
