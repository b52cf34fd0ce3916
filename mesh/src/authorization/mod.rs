//! Istio's `AuthorizationPolicy` (`security.istio.io/v1`): who may do what at a workload.

mod action;
mod condition;
mod decision;
mod document;
mod explain;
mod lint;
mod policy;
mod request;
mod rules;
mod template;
mod values;
mod when;
mod workload;

use std::sync::Arc;

pub use action::Action;
pub use decision::{Decision, Denied, DeniedWhy, NearMiss, Permit, PermitWhy, RuleRef};
pub use explain::{Explanation, Outcome, PolicyTrace, RuleTrace};
pub use request::{Http, Request};
pub use workload::WorkloadPolicy;

use crate::{
    object::{self, Kind, Named, Object, ObjectName, Unique, Workload},
    problem::{DocumentError, Problems, Warning},
    read::Source,
};
use policy::Policy;

/// Every policy that was given, compiled.
#[derive(Debug, Clone)]
pub struct Policies {
    policies: Vec<Arc<Policy>>,
    warnings: Vec<Warning>,
}

impl Policies {
    /// Reads all documents of all sources, or refuses them together: the errors are those of every
    /// source, and nothing is loaded if there is one. The order of sources and documents
    /// carries no meaning.
    ///
    /// # Errors
    /// Every mistake of every source, each with its line and remedy.
    pub fn parse(sources: &[Source]) -> Result<Self, Vec<DocumentError>> {
        let mut problems = Problems::new();
        let mut policies = Read::default();
        object::each(sources, &mut problems, |object, problems| {
            match object.kind {
                Kind::AuthorizationPolicy => read_into(&mut policies, object, problems),
                Kind::PeerAuthentication
                | Kind::VirtualService
                | Kind::DestinationRule
                | Kind::ServiceEntry
                | Kind::WorkloadEntry
                | Kind::Telemetry => object.refuse(problems),
            }
        });
        let warnings = problems.finish()?;
        Ok(Self::new(policies, warnings))
    }

    /// Those that were read, with what was suspicious about the documents.
    pub(crate) fn new(policies: Read, warnings: Vec<Warning>) -> Self {
        Self {
            policies: policies.into_values().collect(),
            warnings,
        }
    }

    /// What was accepted but probably does not do what its author wants.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The names of all policies, sorted.
    pub fn names(&self) -> impl Iterator<Item = &ObjectName> {
        self.policies.iter().map(|policy| &policy.name)
    }

    /// The policies that concern `workload`: those of its namespace and those of the root namespace
    /// (which hold for the whole mesh), if their selector selects it.
    pub fn for_workload(&self, workload: &Workload, root_namespace: &str) -> WorkloadPolicy {
        let concerns = |policy: &&Arc<Policy>| {
            let namespace = policy.name.namespace();
            (namespace == workload.namespace || namespace == root_namespace)
                && policy.selector.selects(&workload.labels)
        };
        WorkloadPolicy::new(self.policies.iter().filter(concerns).cloned())
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
