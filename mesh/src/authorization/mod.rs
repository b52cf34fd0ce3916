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

use std::{collections::BTreeMap, sync::Arc};

pub use action::Action;
pub use decision::{Decision, Denied, DeniedWhy, NearMiss, Permit, PermitWhy, RuleRef};
pub use explain::{Explanation, Outcome, PolicyTrace, RuleTrace};
pub use request::{Http, Request};
pub use workload::WorkloadPolicy;

use crate::{
    object::{Kind, Object, ObjectName},
    problem::{DocumentError, Problems, Warning},
    read::yaml,
};
use policy::Policy;

/// A text that holds policies, and the name by which errors speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Usually the name of a file.
    pub name: String,
    /// YAML, one document or several.
    pub text: String,
}

/// The workload whose requests are decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The namespace whose policies concern it.
    pub namespace: String,
    /// What selectors select by.
    pub labels: BTreeMap<String, String>,
}

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
        let mut policies: BTreeMap<ObjectName, Arc<Policy>> = BTreeMap::new();
        for source in sources {
            problems.enter(&source.name);
            for node in yaml::documents(&source.text, &mut problems) {
                let Some(object) = Object::open(&node, &mut problems) else {
                    continue;
                };
                let policy = match object.kind {
                    Kind::AuthorizationPolicy => document::read(object, &mut problems),
                };
                lint::check(&policy, &mut problems);
                if let Some(first) = policies.get(&policy.name) {
                    let what = format!(
                        "policy {} is defined twice, first at {}:{}",
                        policy.name, first.file, first.line
                    );
                    problems.error(policy.line, what, "rename or remove one of them");
                    continue;
                }
                policies.insert(policy.name.clone(), Arc::new(policy));
            }
        }
        let warnings = problems.finish()?;
        Ok(Self {
            policies: policies.into_values().collect(),
            warnings,
        })
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

#[cfg(test)]
mod tests;
