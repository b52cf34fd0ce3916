//! What holds for one workload, and the decision.

use std::sync::Arc;

use super::{
    action::Action,
    decision::{Decision, Denied, DeniedWhy, NearMiss, Permit, PermitWhy, RuleRef},
    explain::Explanation,
    policy::{Miss, Policy},
    request::Request,
};

/// The policies that concern one workload.
#[derive(Debug, Clone)]
pub struct WorkloadPolicy {
    deny: Vec<Arc<Policy>>,
    allow: Vec<Arc<Policy>>,
    reads_headers: bool,
}

impl WorkloadPolicy {
    /// `policies` come sorted by name, so that the rule that is named does not depend on the order
    /// of files.
    pub(super) fn new(policies: impl Iterator<Item = Arc<Policy>>) -> Self {
        let (mut deny, mut allow) = (Vec::new(), Vec::new());
        for policy in policies {
            match policy.action {
                Action::Deny => deny.push(policy),
                Action::Allow => allow.push(policy),
            }
        }
        let reads_headers = deny
            .iter()
            .chain(&allow)
            .any(|policy| policy.reads_headers());
        Self {
            deny,
            allow,
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

    /// The same decision, and what became of every rule on the way to it.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        Explanation::new(self.decide(request), self.policies(), request)
    }

    /// The policies in the order in which they are asked.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.deny.iter().chain(&self.allow)
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
