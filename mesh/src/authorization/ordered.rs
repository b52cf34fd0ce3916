//! The policies of one action in their order, and which of their rules matches first.

use std::sync::Arc;

use super::{
    action::Action,
    decision::{DeniedWhy, NearMiss, RuleRef},
    index::{Index, Numbered},
    policy::{Miss, Policy},
    request::Request,
};
use crate::object::ObjectName;

/// The policies of one action, sorted by name.
#[derive(Debug)]
pub(super) struct Ordered {
    action: Action,
    policies: Vec<Arc<Policy>>,
    names: Arc<[ObjectName]>,
    /// Where each rule stands, by its number.
    places: Vec<Place>,
    of_requests: Index,
    of_bytes: Index,
}

/// The position of a policy, and that of a rule in it.
#[derive(Debug, Clone, Copy)]
struct Place {
    policy: usize,
    rule: usize,
}

impl Ordered {
    /// `policies` are all of `action`.
    pub(super) fn new(action: Action, policies: Vec<Arc<Policy>>) -> Self {
        let mut places = Vec::new();
        let mut rules = Vec::new();
        for (policy, of_policy) in policies.iter().enumerate() {
            for (position, rule) in of_policy.rules.iter().enumerate() {
                // A document has far fewer bytes than that.
                let number = u32::try_from(places.len()).unwrap_or(u32::MAX);
                rules.push(Numbered { number, rule });
                places.push(Place {
                    policy,
                    rule: position,
                });
            }
        }
        let of_requests = Index::new(&rules, true);
        let narrow = action.is_safe_if_it_matches_less();
        rules.retain(|it| !narrow || !it.rule.conditions().any(|it| it.test.needs_http()));
        Self {
            action,
            names: policies.iter().map(|policy| policy.name.clone()).collect(),
            of_bytes: Index::new(&rules, false),
            of_requests,
            places,
            policies,
        }
    }

    pub(super) fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The first rule that matches: by the order of policies, and in one by that of its rules.
    pub(super) fn first_match(&self, request: &Request<'_>) -> Option<RuleRef> {
        let mut best: Option<u32> = None;
        self.index(request).candidates(request, &mut |numbers| {
            let sooner = |number: &&u32| best.is_none_or(|best| **number < best);
            let mut numbers = numbers.iter().take_while(sooner);
            let found = numbers.find(|number| self.matches(**number, request));
            best = found.copied().or(best);
        });
        self.reference(best?)
    }

    /// That nothing here matched, with what came nearest.
    pub(super) fn none_matched(&self, request: &Request<'_>) -> DeniedWhy {
        let mut nearest: Option<(u32, Miss<'_>)> = None;
        for number in self.compared(request) {
            let Some(Err(miss)) = self.check(number, request) else {
                continue;
            };
            if nearest.is_none_or(|(_, best)| miss.held > best.held) {
                nearest = Some((number, miss));
            }
        }
        let near_miss = |(number, miss): (u32, Miss<'_>)| {
            let rule = self.reference(number)?;
            Some(NearMiss::new(rule, &miss, request))
        };
        DeniedWhy::NoAllowMatched {
            considered: Arc::clone(&self.names),
            nearest: nearest.and_then(near_miss),
        }
    }

    /// The rules of which the nearest is sought, in order: all, if there are not too many.
    fn compared(&self, request: &Request<'_>) -> Vec<u32> {
        let all = (0..u32::MAX).zip(&self.places).map(|(number, _)| number);
        if self.places.len() <= MOST_COMPARED {
            return all.collect();
        }
        let mut compared = Vec::with_capacity(MOST_COMPARED);
        let mut take = |numbers: &[u32]| {
            let room = MOST_COMPARED.saturating_sub(compared.len());
            compared.extend(numbers.iter().copied().take(room));
        };
        self.index(request).near(request, &mut take);
        compared.extend(all.take(FIRST_COMPARED));
        compared.sort_unstable();
        compared.dedup();
        compared
    }

    fn index(&self, request: &Request<'_>) -> &Index {
        match request.http {
            Some(_) => &self.of_requests,
            None => &self.of_bytes,
        }
    }

    fn matches(&self, number: u32, request: &Request<'_>) -> bool {
        self.check(number, request).is_some_and(|it| it.is_ok())
    }

    /// `None` if there is no such rule.
    fn check(&self, number: u32, request: &Request<'_>) -> Option<Result<(), Miss<'_>>> {
        let place = self.place(number)?;
        let rule = self.policies.get(place.policy)?.rules.get(place.rule)?;
        Some(rule.check(request, self.action))
    }

    fn reference(&self, number: u32) -> Option<RuleRef> {
        let place = self.place(number)?;
        Some(RuleRef::new(self.policies.get(place.policy)?, place.rule))
    }

    fn place(&self, number: u32) -> Option<Place> {
        self.places.get(usize::try_from(number).ok()?).copied()
    }
}

/// Whoever is denied must not cost a walk over all rules.
const MOST_COMPARED: usize = 64;
const FIRST_COMPARED: usize = 8;

#[cfg(test)]
impl Ordered {
    /// How many rules are looked at to answer, and how many more to say why not.
    pub(super) fn looked_at(&self, request: &Request<'_>) -> usize {
        let mut count = 0;
        let mut take = |numbers: &[u32]| count += numbers.len();
        self.index(request).candidates(request, &mut take);
        count + self.compared(request).len()
    }

    /// The same answer, by walking over all rules.
    pub(super) fn first_match_of_all(&self, request: &Request<'_>) -> Option<RuleRef> {
        self.policies.iter().find_map(|policy| {
            let mut rules = policy.rules.iter();
            let index = rules.position(|rule| rule.check(request, self.action).is_ok())?;
            Some(RuleRef::new(policy, index))
        })
    }
}
