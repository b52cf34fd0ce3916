//! A decision on a request of which a log recorded a part: what was not recorded may be anything,
//! so it neither permits nor denies.

use super::{
    action::Action,
    condition::{Condition, Held, Test},
    decision::RuleRef,
    policy::{Clause, Policy, Rule},
    request::Request,
    workload::WorkloadPolicy,
};

/// What is decided on a recorded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedDecision {
    /// Whatever it had beside, this rule permits it; none if no ALLOW policy restricts the
    /// workload.
    Permitted(Option<RuleRef>),
    /// Whatever it had beside, this rule denies it; none if no ALLOW policy can match it.
    Denied(Option<RuleRef>),
    /// It depends on what was not recorded.
    CannotBeTold(NotRecorded),
}

/// What would have to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRecorded {
    /// The rule that asks for it.
    pub rule: RuleRef,
    /// What it asks for.
    pub condition: String,
}

/// Whether something matches a request of which not everything is known.
#[derive(Debug, Clone, Copy)]
enum Matching<'r> {
    Yes,
    No,
    /// It depends on this condition.
    Open(&'r Condition),
}

impl WorkloadPolicy {
    /// Decides on a request of which nothing was recorded but its peer, its source address, its
    /// port, and of HTTP its method, path and, unless it is empty, its host.
    pub fn decide_recorded(&self, request: &Request<'_>) -> RecordedDecision {
        let found = |action| Found::of(self, action, request);
        let (custom, deny, allow) = (
            found(Action::Custom),
            found(Action::Deny),
            found(Action::Allow),
        );
        if let Some(rule) = deny.yes {
            return RecordedDecision::Denied(Some(rule));
        }
        if allow.any && allow.yes.is_none() && allow.open.is_none() {
            return RecordedDecision::Denied(None);
        }
        // What somebody else would say of it is not recorded either.
        let asked = custom.yes.map(|rule| NotRecorded {
            rule,
            condition: "what its provider says".to_owned(),
        });
        let open = asked.or(custom.open).or(deny.open);
        match (open, allow.yes, allow.open) {
            (Some(open), _, _) | (None, None, Some(open)) => RecordedDecision::CannotBeTold(open),
            (None, by, _) => RecordedDecision::Permitted(by),
        }
    }
}

/// What the policies of one action say.
#[derive(Debug, Default)]
struct Found {
    /// Whether there are any.
    any: bool,
    yes: Option<RuleRef>,
    open: Option<NotRecorded>,
}

impl Found {
    fn of(all: &WorkloadPolicy, action: Action, request: &Request<'_>) -> Self {
        let mut found = Self::default();
        let policies = all
            .policies()
            .filter(|it| it.action == action && !it.dry_run);
        for policy in policies {
            found.any = true;
            for (index, rule) in policy.rules.iter().enumerate() {
                let reference = || RuleRef::new(policy, index);
                match rule.matching(request, policy) {
                    Matching::No => {}
                    Matching::Yes => {
                        found.yes = Some(reference());
                        return found;
                    }
                    Matching::Open(condition) => {
                        found.open.get_or_insert_with(|| NotRecorded {
                            rule: reference(),
                            condition: condition.to_string(),
                        });
                    }
                }
            }
        }
        found
    }
}

impl Rule {
    fn matching(&self, request: &Request<'_>, policy: &Policy) -> Matching<'_> {
        let action = policy.action;
        let narrow = action.is_safe_if_it_matches_less();
        let needs_http = || self.conditions().any(|it| it.test.needs_http());
        if narrow && request.http.is_none() && needs_http() {
            return Matching::No;
        }
        let parts = [
            one_of(&self.from, request, action),
            one_of(&self.to, request, action),
            self.when.matching(request, action),
        ];
        parts.into_iter().fold(Matching::Yes, Matching::and)
    }
}

impl Clause {
    fn matching(&self, request: &Request<'_>, action: Action) -> Matching<'_> {
        let conditions = self.0.iter().map(|it| it.matching(request, action));
        conditions.fold(Matching::Yes, Matching::and)
    }
}

impl Condition {
    fn matching(&self, request: &Request<'_>, action: Action) -> Matching<'_> {
        match (self.check(request, action), self.test.is_recorded(request)) {
            (Held::NeedsHttp, _) if action.is_safe_if_it_matches_less() => Matching::No,
            (Held::NeedsHttp, _) => Matching::Yes,
            (_, false) => Matching::Open(self),
            (Held::Yes, true) => Matching::Yes,
            (Held::No, true) => Matching::No,
        }
    }
}

impl Test {
    fn is_recorded(&self, request: &Request<'_>) -> bool {
        match self {
            Self::Principal(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::TrustDomain(_)
            | Self::SourceIp(_)
            | Self::Port(_)
            | Self::Method(_)
            | Self::Path(_) => true,
            Self::Host(_) => request.http.is_some_and(|http| !http.host.is_empty()),
            Self::RemoteIp(_) | Self::DestinationIp(_) | Self::Sni(_) | Self::Header(..) => false,
            Self::RequestPrincipal(_)
            | Self::Audience(_)
            | Self::Presenter(_)
            | Self::Claim(..) => false,
        }
    }
}

impl Matching<'_> {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Open(condition), _) | (_, Self::Open(condition)) => Self::Open(condition),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Open(condition), _) | (_, Self::Open(condition)) => Self::Open(condition),
            (Self::No, Self::No) => Self::No,
        }
    }
}

/// Without any there is nothing to ask.
fn one_of<'r>(clauses: &'r [Clause], request: &Request<'_>, action: Action) -> Matching<'r> {
    let matching = clauses.iter().map(|it| it.matching(request, action));
    matching.reduce(Matching::or).unwrap_or(Matching::Yes)
}
