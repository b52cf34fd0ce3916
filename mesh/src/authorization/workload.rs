//! What holds for one workload, and the decision.

use std::sync::Arc;

use super::{
    action::Action,
    decision::{Decision, Denied, DeniedWhy, NearMiss, Noted, Permit, PermitWhy, RuleRef},
    explain::Explanation,
    policy::{Miss, Policy},
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
    deny: Vec<Arc<Policy>>,
    allow: Vec<Arc<Policy>>,
}

/// What is told of a request, and changes nothing.
#[derive(Debug)]
struct Notes {
    audit: Vec<Arc<Policy>>,
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
            policies.iter().filter(concerns).cloned().collect()
        };
        let enforced = |tried| Enforced {
            deny: of(Action::Deny, tried),
            allow: of(Action::Allow, tried),
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
            audited: first_match(&notes.audit, request),
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
        let tried = tried.flat_map(|all| all.deny.iter().chain(&all.allow));
        let Enforced { deny, allow } = &self.enforced;
        let enforced = deny.iter().chain(allow);
        enforced
            .chain(tried.filter(|policy| policy.dry_run))
            .chain(notes.flat_map(|notes| &notes.audit))
    }
}

impl Enforced {
    fn decide(&self, request: &Request<'_>) -> Decision {
        if let Some(rule) = first_match(&self.deny, request) {
            return Decision::Denied(Denied::new(DeniedWhy::Rule(rule)));
        }
        if self.allow.is_empty() {
            return Decision::Permit(Permit::new(PermitWhy::NoAllowPolicy));
        }
        match first_match(&self.allow, request) {
            Some(rule) => Decision::Permit(Permit::new(PermitWhy::Rule(rule))),
            None => Decision::Denied(Denied::new(self.no_allow_matched(request))),
        }
    }

    fn no_allow_matched(&self, request: &Request<'_>) -> DeniedWhy {
        let considered = self
            .allow
            .iter()
            .map(|policy| policy.name.clone())
            .collect();
        let mut nearest: Option<(RuleRef, Miss<'_>)> = None;
        for policy in &self.allow {
            for (index, rule) in policy.rules.iter().enumerate() {
                let Err(miss) = rule.check(request, policy.action) else {
                    continue;
                };
                if nearest
                    .as_ref()
                    .is_none_or(|(_, best)| miss.held > best.held)
                {
                    nearest = Some((RuleRef::new(policy, index), miss));
                }
            }
        }
        let nearest = nearest.map(|(rule, miss)| NearMiss::new(rule, &miss, request));
        DeniedWhy::NoAllowMatched {
            considered,
            nearest,
        }
    }
}

fn first_match(policies: &[Arc<Policy>], request: &Request<'_>) -> Option<RuleRef> {
    policies.iter().find_map(|policy| {
        let index = policy
            .rules
            .iter()
            .position(|rule| rule.check(request, policy.action).is_ok())?;
        Some(RuleRef::new(policy, index))
    })
}
