//! What holds for one workload, and the decision.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    action::Action,
    decision::{Asked, Decision, Denied, DeniedWhy, Noted, Permit, PermitWhy},
    explain::{self, Explanation},
    ordered::Ordered,
    policy::Policy,
    request::Request,
};
use crate::object::ObjectName;

/// The policies that concern one workload.
#[derive(Debug, Clone)]
pub struct WorkloadPolicy {
    /// All of them, sorted by name.
    all: Arc<[Arc<Policy>]>,
    /// Whom CUSTOM policies ask, sorted by their names.
    providers: Arc<[Provider]>,
    enforced: Enforced,
    notes: Option<Arc<Notes>>,
    reads_headers: bool,
}

/// Somebody who is asked, and what about.
#[derive(Debug)]
struct Provider {
    name: Arc<str>,
    policies: Ordered,
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
    pub(super) fn new(policies: Vec<Arc<Policy>>) -> Self {
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
            providers: Provider::all(&policies),
            enforced: enforced(false),
            notes: says_anything.then(|| Arc::new(notes)),
            reads_headers,
            all: policies.into(),
        }
    }

    /// Whether it is of these policies and no others.
    pub(super) fn is_of(&self, policies: &[Arc<Policy>]) -> bool {
        let mut pairs = self.all.iter().zip(policies);
        self.all.len() == policies.len() && pairs.all(|(own, it)| Arc::ptr_eq(own, it))
    }

    /// Whether a rule reads headers other than the host. Who keeps a request to ask about it again
    /// needs to keep its headers only then.
    pub fn reads_headers(&self) -> bool {
        self.reads_headers
    }

    /// Decides in Istio's order: a DENY rule that matches denies; without an ALLOW policy
    /// everything else passes; with one, only what a rule of an ALLOW policy matches. It cannot
    /// fail, and a permit costs no allocation.
    ///
    /// What a CUSTOM rule matches is denied here, as nobody was asked: see
    /// [`WorkloadPolicy::decide_approved`].
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.decide_approved(request, &[])
    }

    /// The same for a request that these providers have permitted. In Istio's order they come
    /// first: what one of them that is [to be asked](Self::asks) has not permitted is denied.
    pub fn decide_approved(&self, request: &Request<'_>, approved: &[Arc<str>]) -> Decision {
        let mut asked = self.providers.iter().filter_map(|it| it.asked(request));
        match asked.find(|asked| !approved.contains(&asked.provider)) {
            Some(asked) => Decision::Denied(Denied::new(DeniedWhy::NotAsked(asked))),
            None => self.enforced.decide(request),
        }
    }

    /// Whether anybody has to be asked about any request.
    pub fn has_providers(&self) -> bool {
        !self.providers.is_empty()
    }

    /// Whom any CUSTOM policy asks, and which one it is.
    pub fn providers(&self) -> impl Iterator<Item = (&Arc<str>, &ObjectName)> {
        self.providers.iter().filter_map(|it| {
            let first = it.policies.policies().first()?;
            Some((&it.name, &first.name))
        })
    }

    /// Who is to be asked about a request before it is decided on: each provider at most once,
    /// sorted by their names.
    pub fn asks(&self, request: &Request<'_>) -> Vec<Asked> {
        let asked = self.providers.iter().filter_map(|it| it.asked(request));
        asked.collect()
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
        let asks = self.asks(request);
        let approved: Vec<Arc<str>> = asks.iter().map(|it| Arc::clone(&it.provider)).collect();
        Explanation {
            decision: self.decide_approved(request, &approved),
            asks,
            noted: *noted,
            policies: explain::traces(self.policies(), request),
        }
    }

    /// The policies in the order in which they are asked; last what changes nothing.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let notes = self.notes.iter();
        let tried = notes.clone().flat_map(|notes| &notes.tried);
        let tried = tried.flat_map(Enforced::policies);
        let audit = notes.flat_map(|notes| notes.audit.policies());
        let custom = self.providers.iter().flat_map(|it| it.policies.policies());
        custom
            .chain(self.enforced.policies())
            .chain(tried.filter(|policy| policy.dry_run))
            .chain(audit)
    }
}

impl Provider {
    fn all(policies: &[Arc<Policy>]) -> Arc<[Self]> {
        let mut by_name: BTreeMap<Arc<str>, Vec<Arc<Policy>>> = BTreeMap::new();
        for policy in policies {
            if let Some(name) = &policy.provider {
                by_name
                    .entry(Arc::clone(name))
                    .or_default()
                    .push(Arc::clone(policy));
            }
        }
        let provider = |(name, policies)| Self {
            name,
            policies: Ordered::new(Action::Custom, policies),
        };
        by_name.into_iter().map(provider).collect()
    }

    fn asked(&self, request: &Request<'_>) -> Option<Asked> {
        Some(Asked {
            provider: Arc::clone(&self.name),
            rule: self.policies.first_match(request)?,
        })
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
