//! The answer to a request, with the rule that gave it.

use std::{fmt, sync::Arc};

use super::{
    condition::Condition,
    policy::{Miss, Policy},
    request::Request,
};
use crate::object::ObjectName;

/// Whether a request may pass.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may; the permit is what opens the way.
    Permit(Permit),
    /// It may not.
    Denied(Denied),
}

/// Proof that a request was permitted. Only [`super::WorkloadPolicy::decide`] makes one, and it
/// cannot be copied.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    why: PermitWhy,
}

/// What permitted a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermitWhy {
    /// No ALLOW policy concerns the workload, and no DENY rule matched.
    NoAllowPolicy,
    /// This rule of an ALLOW policy matched.
    Rule(RuleRef),
}

/// A refusal and its reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Denied {
    why: DeniedWhy,
}

/// What denied a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeniedWhy {
    /// This rule of a DENY policy matched.
    Rule(RuleRef),
    /// This rule of a CUSTOM policy wants its provider to be asked, which has not permitted it.
    NotAsked(Asked),
    /// There are ALLOW policies, and no rule of theirs matched.
    NoAllowMatched {
        /// The ALLOW policies that concern the workload, sorted.
        considered: Arc<[ObjectName]>,
        /// The rule that came closest; `None` if no ALLOW policy has any rule. Of very many rules
        /// only those are compared that have something of the request, and the first ones.
        nearest: Option<NearMiss>,
    },
}

/// Somebody who is to be asked about a request before anything is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name of the provider.
    pub provider: Arc<str>,
    /// The rule of a CUSTOM policy that matched.
    pub rule: RuleRef,
}

/// What is told of a request beside the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// The AUDIT rule that matched.
    pub audited: Option<RuleRef>,
    /// What would be decided if the policies that are only tried (`istio.io/dry-run`) were
    /// enforced, if there are such.
    pub would_be: Option<String>,
}

/// A rule of a policy.
#[derive(Clone)]
pub struct RuleRef {
    policy: Arc<Policy>,
    index: usize,
}

/// The first condition of a rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// The rule that did not match.
    pub rule: RuleRef,
    /// The condition as `field [values]`.
    pub condition: String,
    /// What the request has instead.
    pub found: String,
}

impl Decision {
    /// Whether it is a permit.
    pub fn is_permitted(&self) -> bool {
        matches!(self, Self::Permit(_))
    }
}

impl Permit {
    /// Only for the one function that decides.
    pub(super) fn new(why: PermitWhy) -> Self {
        Self { why }
    }

    /// What permitted the request.
    pub fn why(&self) -> &PermitWhy {
        &self.why
    }
}

impl Denied {
    pub(super) fn new(why: DeniedWhy) -> Self {
        Self { why }
    }

    /// What denied the request.
    pub fn why(&self) -> &DeniedWhy {
        &self.why
    }

    /// The reason without the contents of any rule: fit to be told to the peer that was denied.
    pub fn public_reason(&self) -> String {
        match &self.why {
            DeniedWhy::Rule(rule) => format!("denied by {rule}"),
            DeniedWhy::NotAsked(asked) => format!("denied: {asked}"),
            DeniedWhy::NoAllowMatched { .. } => "no ALLOW policy matched".to_owned(),
        }
    }
}

impl RuleRef {
    pub(super) fn new(policy: &Arc<Policy>, index: usize) -> Self {
        Self {
            policy: Arc::clone(policy),
            index,
        }
    }

    /// The policy that the rule belongs to.
    pub fn policy(&self) -> &ObjectName {
        &self.policy.name
    }

    /// Its index in `spec.rules`, from 0.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl NearMiss {
    pub(super) fn new(rule: RuleRef, miss: &Miss<'_>, request: &Request<'_>) -> Self {
        let found = describe_found(miss.condition, miss.needs_http, request);
        Self {
            rule,
            condition: miss.condition.to_string(),
            found,
        }
    }
}

/// What the request has where the condition looks.
pub(super) fn describe_found(
    condition: &Condition,
    needs_http: bool,
    request: &Request<'_>,
) -> String {
    if needs_http {
        "a connection without HTTP".to_owned()
    } else {
        condition.test.found(request)
    }
}

impl PartialEq for RuleRef {
    fn eq(&self, other: &Self) -> bool {
        self.policy.name == other.policy.name && self.index == other.index
    }
}

impl Eq for RuleRef {}

impl fmt::Debug for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuleRef({self})")
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} policy {} rule {}",
            self.policy.action, self.policy.name, self.index
        )
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permit(permit) => permit.fmt(f),
            Self::Denied(denied) => denied.fmt(f),
        }
    }
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl fmt::Display for PermitWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAllowPolicy => {
                f.write_str("permitted: no ALLOW policy restricts this workload")
            }
            Self::Rule(rule) => write!(f, "permitted by {rule}"),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            DeniedWhy::Rule(rule) => write!(f, "denied by {rule}"),
            DeniedWhy::NotAsked(asked) => write!(f, "denied: {asked}"),
            DeniedWhy::NoAllowMatched {
                considered,
                nearest,
            } => {
                f.write_str("denied: no ALLOW policy matched (considered")?;
                for (index, name) in considered.iter().take(MOST_NAMED).enumerate() {
                    write!(f, "{}{name}", if index == 0 { " " } else { ", " })?;
                }
                match considered.len().saturating_sub(MOST_NAMED) {
                    0 => {}
                    more => write!(f, " and {more} more")?,
                }
                match nearest {
                    Some(nearest) => write!(f, "; {nearest})"),
                    None => f.write_str("; none has a rule)"),
                }
            }
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, rule } = self;
        write!(
            f,
            "{rule} asks provider {provider}, which has not permitted it"
        )
    }
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            condition,
            found,
        } = self;
        write!(
            f,
            "nearest was {rule}, which failed on {condition}: the request has {found}"
        )
    }
}

/// A reason is for one line of a log.
const MOST_NAMED: usize = 8;
