//! What holds for one workload, and the decision.

use std::sync::Arc;

use super::{
    action::Action,
    decision::{Decision, Denied, DeniedWhy, Noted, Permit, PermitWhy},
    explain::Explanation,
    ordered::Ordered,
    policy::Policy,
    request::Request,
};

/// The policies that concern one workload.
#[derive(Debug, Clone)]
pub struct WorkloadPolicy {
    enforced: Enforced,
    notes: Option<Arc<Notes>>,
    reads_headers: bool,
}

/// What decides.
#[derive(Debug, Clone)]
struct Enforced {
    deny: Arc<Ordered>,
    allow: Arc<Ordered>,
}

/// What is told of a request, and changes nothing.
#[derive(Debug)]
struct Notes {
    audit: Ordered,
    /// What would decide if what is only tried were enforced too.
    tried: Option<Enforced>,
}

impl WorkloadPolicy {
    /// `policies` come sorted by name, so that the rule that is named does not depend on the order
    /// of files.
    pub(super) fn new(policies: impl Iterator<Item = Arc<Policy>>) -> Self {
        let policies: Vec<_> = policies.collect();
        let reads_headers = policies.iter().any(|policy| policy.reads_headers());
        let of = |action: Action, tried: bool| {
            let concerns =
                |policy: &&Arc<Policy>| policy.action == action && (tried || !policy.dry_run);
            Ordered::new(action, policies.iter().filter(concerns).cloned().collect())
        };
        let enforced = |tried| Enforced {
            deny: Arc::new(of(Action::Deny, tried)),
            allow: Arc::new(of(Action::Allow, tried)),
        };
        let notes = Notes {
            audit: of(Action::Audit, false),
            tried: policies
                .iter()
                .any(|policy| policy.dry_run)
                .then(|| enforced(true)),
        };
        let says_anything = !notes.audit.is_empty() || notes.tried.is_some();
        Self {
            enforced: enforced(false),
            notes: says_anything.then(|| Arc::new(notes)),
            reads_headers,
        }
    }

    /// Whether a rule reads headers other than the host. Who keeps a request to ask about it again
    /// needs to keep its headers only then.
    pub fn reads_headers(&self) -> bool {
        self.reads_headers
    }

    /// Decides in Istio's order: a DENY rule that matches denies; without an ALLOW policy
    /// everything else passes; with one, only what a rule of an ALLOW policy matches. It cannot
    /// fail, and a permit costs no allocation.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.enforced.decide(request)
    }

    /// Whether any request is to be told of: without AUDIT and dry-run policies none is.
    pub fn has_notes(&self) -> bool {
        self.notes.is_some()
    }

    /// What is to be told of a request; `None` if no policy asks for that.
    pub fn note(&self, request: &Request<'_>) -> Option<Box<Noted>> {
        let notes = self.notes.as_deref()?;
        let would_be = notes.tried.as_ref().map(|tried| tried.decide(request));
        Some(Box::new(Noted {
            audited: notes.audit.first_match(request),
            would_be: would_be.map(|decision| decision.to_string()),
        }))
    }

    /// The same decision, and what became of every rule on the way to it.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let noted = self.note(request).unwrap_or_default();
        Explanation::new(self.decide(request), *noted, self.policies(), request)
    }

    /// The policies in the order in which they are asked; last what changes nothing.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let notes = self.notes.iter();
        let tried = notes.clone().flat_map(|notes| &notes.tried);
        let tried = tried.flat_map(Enforced::policies);
        let audit = notes.flat_map(|notes| notes.audit.policies());
        self.enforced
            .policies()
            .chain(tried.filter(|policy| policy.dry_run))
            .chain(audit)
    }
}

impl Enforced {
    fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.deny.policies().iter().chain(self.allow.policies())
    }

    fn decide(&self, request: &Request<'_>) -> Decision {
        if let Some(rule) = self.deny.first_match(request) {
            return Decision::Denied(Denied::new(DeniedWhy::Rule(rule)));
        }
        if self.allow.is_empty() {
            return Decision::Permit(Permit::new(PermitWhy::NoAllowPolicy));
        }
        match self.allow.first_match(request) {
            Some(rule) => Decision::Permit(Permit::new(PermitWhy::Rule(rule))),
            None => Decision::Denied(Denied::new(self.allow.none_matched(request))),
        }
    }
}

#[cfg(test)]
impl WorkloadPolicy {
    /// How many rules are looked at for a request.
    pub(super) fn looked_at(&self, request: &Request<'_>) -> usize {
        let Enforced { deny, allow } = &self.enforced;
        deny.looked_at(request) + allow.looked_at(request)
    }

    /// What permits the request, or the rule that denies it, by walking over all rules.
    pub(super) fn decide_by_all(
        &self,
        request: &Request<'_>,
    ) -> Result<PermitWhy, Option<super::RuleRef>> {
        let Enforced { deny, allow } = &self.enforced;
        if let Some(rule) = deny.first_match_of_all(request) {
            return Err(Some(rule));
        }
        if allow.is_empty() {
            return Ok(PermitWhy::NoAllowPolicy);
        }
        let rule = allow.first_match_of_all(request);
        rule.map(PermitWhy::Rule).ok_or(None)
    }
}
