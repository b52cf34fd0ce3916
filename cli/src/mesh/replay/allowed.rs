//! Whether policies for a service permit a call of it, if no header could change that: a log has
//! none.
//!
//! It is told from the explanation of the decision on a request without headers: of a rule that
//! misses it, that names the first condition that does, and conditions on headers come last; a rule
//! that matches may ask that a header is not there.

use std::collections::BTreeSet;

use signet_mesh::{Action, Explanation, Outcome, PolicyTrace, Source};

/// What policies for a service say.
pub(super) enum Allowed {
    Yes,
    No(String),
    /// What would have to be known.
    Unclear(String),
}

impl Allowed {
    /// What is decided; `by_absence` are the files in which rules may ask that a header is not
    /// there. Of bytes, no policy asks for headers.
    pub(super) fn by(
        explained: &Explanation,
        is_request: bool,
        by_absence: &BTreeSet<&str>,
    ) -> Self {
        let permitted = explained.decision.is_permitted();
        let is_denied_by_rule = rules(explained)
            .any(|(policy, rule)| policy.action == Action::Deny && *rule == Outcome::Matched);
        // A rule counts that makes the decision, or one that would make the other one.
        let counts = |policy: &PolicyTrace, rule: &Outcome| match policy.action {
            Action::Allow if is_denied_by_rule => false,
            Action::Allow => permitted == (*rule == Outcome::Matched),
            Action::Deny => permitted != (*rule == Outcome::Matched),
            Action::Audit | Action::Custom => false,
        };
        let counting = rules(explained).filter(|(policy, rule)| counts(policy, rule));
        let asks = |(policy, rule): (&PolicyTrace, &Outcome)| {
            let what = match rule {
                Outcome::Missed { condition, .. } if condition.contains(HEADER) => {
                    format!("for {condition}")
                }
                Outcome::Matched if by_absence.contains(&*policy.file) => {
                    "perhaps that a header is not there".to_owned()
                }
                Outcome::Missed { .. } | Outcome::Matched => return None,
            };
            Some(format!(
                "{} policy {} asks {what}",
                policy.action, policy.name
            ))
        };
        let asks = counting.filter(|_| is_request).find_map(asks);
        match (asks, permitted) {
            (Some(asks), _) => Self::Unclear(asks),
            (None, true) => Self::Yes,
            (None, false) => Self::No(explained.decision.to_string()),
        }
    }
}

fn rules(explained: &Explanation) -> impl Iterator<Item = (&PolicyTrace, &Outcome)> {
    let policies = explained.policies.iter();
    policies.flat_map(|policy| policy.rules.iter().map(move |rule| (policy, &rule.outcome)))
}

/// The files in which rules may ask that a header is not there.
pub(in crate::mesh) fn by_absence(sources: &[Source]) -> BTreeSet<&str> {
    let has = |source: &&Source| {
        source.text.contains("request.headers") && source.text.contains("notValues")
    };
    sources.iter().filter(has).map(|it| &*it.name).collect()
}

/// How conditions on headers are explained.
const HEADER: &str = "request.headers[";
