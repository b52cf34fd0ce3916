//! A decision with everything that led to it.

use std::{fmt, sync::Arc};

use super::{
    action::Action,
    condition::{Condition, Held},
    decision::{Asked, Decision, Noted, describe_found},
    policy::{Policy, Rule},
    request::Request,
};
use crate::object::ObjectName;

/// What [`super::WorkloadPolicy::explain`] answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision itself, made by the same function that decides on requests; if somebody is
    /// asked, what is decided once they have permitted it.
    pub decision: Decision,
    /// Who is asked first, and has to permit it.
    pub asks: Vec<Asked>,
    /// What is told beside it.
    pub noted: Noted,
    /// Every policy of the workload in the order of decision: first CUSTOM, then DENY, then ALLOW,
    /// then what is only tried, then AUDIT.
    pub policies: Vec<PolicyTrace>,
}

/// What became of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTrace {
    /// The policy.
    pub name: ObjectName,
    /// What it does if a rule matches.
    pub action: Action,
    /// Whether it is only tried.
    pub dry_run: bool,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line its document begins on.
    pub line: u64,
    /// Its rules in order.
    pub rules: Vec<RuleTrace>,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTrace {
    /// The line it begins on.
    pub line: u64,
    /// Whether it matched.
    pub outcome: Outcome,
    /// Conditions of a DENY rule that were left out because the connection is not HTTP.
    pub left_out: Vec<String>,
}

/// Whether a rule matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Matched,
    /// It did not; this is the first condition that failed, in the alternative that came closest.
    Missed {
        /// The condition as `field [values]`.
        condition: String,
        /// The line of the condition.
        line: u64,
        /// What the request has instead.
        found: String,
    },
}

/// What became of each policy.
pub(super) fn traces<'p>(
    policies: impl Iterator<Item = &'p Arc<Policy>>,
    request: &Request<'_>,
) -> Vec<PolicyTrace> {
    policies
        .map(|policy| PolicyTrace::new(policy, request))
        .collect()
}

impl PolicyTrace {
    fn new(policy: &Policy, request: &Request<'_>) -> Self {
        let rules = policy
            .rules
            .iter()
            .map(|rule| RuleTrace::new(rule, policy.action, request));
        Self {
            name: policy.name.clone(),
            action: policy.action,
            dry_run: policy.dry_run,
            file: Arc::clone(&policy.file),
            line: policy.line,
            rules: rules.collect(),
        }
    }
}

impl RuleTrace {
    fn new(rule: &Rule, action: Action, request: &Request<'_>) -> Self {
        let outcome = match rule.check(request, action) {
            Ok(()) => Outcome::Matched,
            Err(miss) => Outcome::Missed {
                condition: miss.condition.to_string(),
                line: miss.condition.line,
                found: describe_found(miss.condition, miss.needs_http, request),
            },
        };
        let skipped = |condition: &&Condition| {
            let narrow = action.is_safe_if_it_matches_less();
            !narrow && condition.check(request, action) == Held::NeedsHttp
        };
        let left_out = rule
            .conditions()
            .filter(skipped)
            .map(ToString::to_string)
            .collect();
        Self {
            line: rule.line,
            outcome,
            left_out,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Asked { provider, rule } in &self.asks {
            writeln!(f, "provider {provider} is asked, by {rule}; if it permits:")?;
        }
        writeln!(f, "{}", self.decision)?;
        if let Some(rule) = &self.noted.audited {
            writeln!(f, "marked by {rule}")?;
        }
        if let Some(would_be) = &self.noted.would_be {
            writeln!(f, "with what is only tried it would be {would_be}")?;
        }
        for policy in &self.policies {
            write!(f, "{policy}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PolicyTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} policy {} ({}:{}){}",
            self.action,
            self.name,
            self.file,
            self.line,
            if self.dry_run { ", only tried" } else { "" }
        )?;
        if self.rules.is_empty() {
            writeln!(f, "  no rules: it matches nothing")?;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            writeln!(f, "  rule {index} (line {}): {}", rule.line, rule.outcome)?;
            for condition in &rule.left_out {
                writeln!(f, "    not asked on a connection without HTTP: {condition}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched => f.write_str("matched"),
            Self::Missed {
                condition,
                line,
                found,
            } => {
                write!(
                    f,
                    "did not match: {condition} (line {line}), the request has {found}"
                )
            }
        }
    }
}
