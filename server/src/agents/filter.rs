//! What to look for among the agents.

use std::time::SystemTime;

use signet_identity::selector::Selectors;

use crate::{registration::Match, store::Agent};

/// Conditions, all of which an agent has to meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Attested in this way.
    pub(crate) attestation_type: Option<String>,
    /// With such selectors.
    pub(crate) selectors: Option<Match<Selectors>>,
    /// Banned, or not.
    pub(crate) banned: Option<bool>,
    /// Able to attest again, or not.
    pub(crate) can_reattest: Option<bool>,
    /// With an SVID that ends before.
    pub(crate) expires_before: Option<SystemTime>,
}

impl Filter {
    pub(super) fn accepts(&self, agent: &Agent) -> bool {
        let kind = self.attestation_type.as_ref();
        kind.is_none_or(|kind| *kind == agent.attestation_type)
            && self.banned.is_none_or(|banned| banned == agent.banned)
            && self
                .can_reattest
                .is_none_or(|can| can == agent.can_reattest)
            && self
                .expires_before
                .is_none_or(|before| agent.not_after < before)
            && self
                .selectors
                .as_ref()
                .is_none_or(|wanted| wanted.selectors(&agent.selectors))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        directory::testing::{agent, now, selectors},
        registration::How,
    };

    fn accepts(filter: &Filter) -> bool {
        filter.accepts(&agent("/spire/agent/x", &["a:1", "b:2"]))
    }

    #[test]
    fn selectors_match_as_exact_subset_superset_or_any() {
        for (given, how, wanted) in [
            (&["a:1", "b:2"][..], How::Exact, true),
            (&["a:1"], How::Exact, false),
            (&["a:1", "b:2", "c:3"], How::Subset, true),
            (&["a:1"], How::Subset, false),
            (&["a:1"], How::Superset, true),
            (&["c:3"], How::Superset, false),
            (&["c:3", "a:1"], How::Any, true),
            (&["c:3"], How::Any, false),
        ] {
            let set = selectors(given);
            let filter = Filter {
                selectors: Some(Match { set, how }),
                ..Filter::default()
            };
            assert_eq!(accepts(&filter), wanted, "{given:?} {how:?}");
        }
    }

    #[test]
    fn both_values_of_banned_and_can_reattest_filter() {
        for wanted in [true, false] {
            let banned = Filter {
                banned: Some(wanted),
                ..Filter::default()
            };
            assert_eq!(accepts(&banned), !wanted);
            let can_reattest = Filter {
                can_reattest: Some(wanted),
                ..Filter::default()
            };
            assert_eq!(accepts(&can_reattest), wanted);
        }
    }

    #[test]
    fn an_svid_that_ends_at_the_given_time_does_not_end_before_it() {
        let end = now() + Duration::from_secs(3600);
        for (before, wanted) in [(end, false), (end + Duration::from_secs(1), true)] {
            let filter = Filter {
                expires_before: Some(before),
                ..Filter::default()
            };
            assert_eq!(accepts(&filter), wanted);
        }
    }
}
