//! Istio's `RequestAuthentication` (`security.istio.io`): whose tokens a workload takes as proof of
//! who a request speaks for, and how they are verified.
//!
//! Every document that selects a workload counts, with those of its namespace and of the root
//! namespace. A request without a token passes on without a principal: an `AuthorizationPolicy`
//! with `requestPrincipals` is what asks for one. A token that is not good is refused, whatever
//! policies say. What is stricter than in Istio:
//!
//! - A request with two tokens is refused; in Istio it is open whose principal it has.
//! - A header that is made of claims never passes as its client sent it, even without a token.
//! - Keys are either written or fetched from `jwksUri`; they are not looked for at the issuer.

mod document;
mod jwks_uri;
mod place;
mod rule;
#[cfg(test)]
mod tests;
mod workload;

use std::sync::Arc;

pub use jwks_uri::{JwksUri, RemoteKeys};
pub use place::{TokenError, TokenPlace};
pub use rule::{IssuerKeys, JwtRule, Untellable};
pub use workload::{FoundToken, WorkloadRequestAuthentication};

use crate::{
    object::{Change, Inherited, Level, Objects, Workload},
    problem::Problems,
};
pub(crate) use document::read;

/// Every `RequestAuthentication`, compiled.
#[derive(Debug, Clone, Default)]
pub struct RequestAuthentications(Objects<Level<JwtRules>>);

/// The rules of one document.
pub(crate) type JwtRules = Vec<Arc<JwtRule>>;

impl Inherited for JwtRules {
    const NOUN: &'static str = "RequestAuthentication";
}

impl RequestAuthentications {
    /// Takes away what goes, and adds what comes.
    pub(crate) fn change(&mut self, change: &mut Change<Level<JwtRules>>, problems: &mut Problems) {
        self.0.change(change, problems);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whose tokens a workload takes. What stands in the root namespace and selects none is for
    /// the whole mesh.
    pub fn for_workload(
        &self,
        workload: &Workload,
        root_namespace: &str,
    ) -> WorkloadRequestAuthentication {
        let is_for = |level: &&Arc<Level<_>>| {
            let namespace = level.object.name.namespace();
            let reaches = namespace == workload.namespace
                || namespace == root_namespace && level.selector.is_for_all();
            reaches && level.selector.selects(&workload.labels)
        };
        let levels = self.0.iter().filter(is_for);
        WorkloadRequestAuthentication::new(levels.flat_map(|level| level.value.iter().cloned()))
    }

    /// What is suspicious of all of them: a principal is `issuer/subject`, so that the subjects of
    /// one issuer may read like those of another.
    pub(crate) fn warn(&self, problems: &mut Problems) {
        let rules = || self.0.iter().flat_map(|level| &level.value);
        for rule in rules() {
            let is_above = |other: &&Arc<JwtRule>| {
                let below = rule.issuer.strip_prefix(&*other.issuer);
                below.is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
            };
            let Some(above) = rules().find(is_above) else {
                continue;
            };
            let what = format!(
                "{rule} is for issuer {:?}, and a subject of issuer {:?} could be named so that \
                 both have one principal",
                rule.issuer, above.issuer
            );
            let remedy = "see to it that the other issuer gives no such subjects, or policies also \
                          ask for `request.auth.claims[iss]`";
            problems.enter(&rule.by.file);
            problems.warn(rule.by.line, what, remedy);
        }
    }
}
